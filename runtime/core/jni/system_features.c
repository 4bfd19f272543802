/* Whether a 64-bit Arm has the dot product cannot be asked of the processor itself: on older kernels that traps.
 * getauxval would tell, but belongs to a libc, which libedgebert.so does without. So /proc is read by system calls. */
#include "system_features.h"

#include <stdbool.h>
#include <stddef.h>

#include "edgebert.h"

#if defined(__aarch64__) && defined(__linux__)

enum { CALL_OPENAT = 56, CALL_CLOSE = 57, CALL_READ = 63, CURRENT_FOLDER = -100, INTERRUPTED = -4 };

static long system_call(long number, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory", "cc");
    return x0;
}

/* Reads the start of a file; returns how many bytes, 0 when it cannot be read. */
static size_t read_start(const char *path, void *into, size_t capacity) {
    const long file = system_call(CALL_OPENAT, CURRENT_FOLDER, (long)path, 0, 0);
    if (file < 0) return 0;
    size_t bytes = 0;
    while (bytes < capacity) {
        const long more = system_call(CALL_READ, file, (long)((char *)into + bytes), (long)(capacity - bytes), 0);
        if (more == INTERRUPTED) continue;
        if (more <= 0) break;
        bytes += (size_t)more;
    }
    system_call(CALL_CLOSE, file, 0, 0, 0);
    return bytes;
}

/* What the kernel tells each program at its start. An Android app may not read it unless it is debuggable. */
static bool in_auxiliary_vector(bool *known) {
    const uint64_t hardware = 16, dot_product = 1u << 20; /* AT_HWCAP, HWCAP_ASIMDDP */
    uint64_t pairs[64][2];
    const size_t count = read_start("/proc/self/auxv", pairs, sizeof pairs) / sizeof pairs[0];
    for (size_t i = 0; i < count; i++) {
        if (pairs[i][0] != hardware) continue;
        *known = true;
        return pairs[i][1] & dot_product;
    }
    return false;
}

/* The first line of features in /proc/cpuinfo: it tells what all cores have in common. */
static bool in_cpuinfo(void) {
    static const char wanted[] = " asimddp";
    char text[2048];
    const size_t bytes = read_start("/proc/cpuinfo", text, sizeof text), length = sizeof wanted - 1;
    for (size_t at = 0; at + length < bytes; at++) {
        size_t same = 0;
        while (same < length && text[at + same] == wanted[same]) same++;
        if (same == length && (text[at + same] == ' ' || text[at + same] == '\n')) return true;
    }
    return false;
}

uint32_t system_features(void) {
    bool known = false;
    bool dot_product = in_auxiliary_vector(&known);
    if (!known) dot_product = in_cpuinfo();
    return eb_cpu_features() | (dot_product ? EB_DOTPROD : 0);
}

#else

uint32_t system_features(void) { return eb_cpu_features(); }

#endif
