/* What the harnesses share. Memory is exactly as large as asked for, so that AddressSanitizer sees a step too far. */
#ifndef EDGEBERT_FUZZ_H
#define EDGEBERT_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "edgebert.h"

/* Ends the process with the line that was not true; libFuzzer keeps the input. */
#define EXPECT(condition) \
    ((condition) ? (void)0 : (fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition), abort()))

static inline void *take(size_t bytes) {
    void *memory = 0;
    if (posix_memalign(&memory, EB_ALIGNMENT, bytes ? bytes : 1)) abort();
    return memory;
}

static inline void *copy_of(const void *bytes, size_t size) {
    void *memory = take(size);
    if (size) memcpy(memory, bytes, size);
    return memory;
}

/* The next `most` bytes of the input, or what is left of it. */
typedef struct input {
    const uint8_t *at;
    size_t left;
} input;

static inline uint8_t next_byte(input *it) {
    if (!it->left) return 0;
    it->left--;
    return *it->at++;
}

static inline input next_part(input *it, size_t most) {
    const input part = {it->at, it->left < most ? it->left : most};
    it->at += part.left, it->left -= part.left;
    return part;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
