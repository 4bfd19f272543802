/* memcpy and its kin for builds without a libc. The compiler may call them for a struct copy or a cleared array,
 * whatever the source says. Empty where a libc is linked. */
#include <stddef.h>
#include <stdint.h>

#ifdef EB_FREESTANDING

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("no-tree-loop-distribute-patterns") /* else it makes of each loop a call of what it stands in */
#endif

void *memcpy(void *restrict to, const void *restrict from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);

void *memcpy(void *restrict to, const void *restrict from, size_t bytes) {
    uint8_t *out = to;
    const uint8_t *in = from;
    for (size_t i = 0; i < bytes; i++) out[i] = in[i];
    return to;
}

void *memmove(void *to, const void *from, size_t bytes) {
    uint8_t *out = to;
    const uint8_t *in = from;
    if ((uintptr_t)out < (uintptr_t)in) {
        for (size_t i = 0; i < bytes; i++) out[i] = in[i];
    } else {
        for (size_t i = bytes; i > 0; i--) out[i - 1] = in[i - 1];
    }
    return to;
}

void *memset(void *to, int value, size_t bytes) {
    uint8_t *out = to;
    for (size_t i = 0; i < bytes; i++) out[i] = (uint8_t)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t bytes) {
    const uint8_t *left = a, *right = b;
    for (size_t i = 0; i < bytes; i++)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}

#else
typedef int eb_memory_is_the_libc_s; /* a file must declare something */
#endif
