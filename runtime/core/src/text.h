/* Reading bytes: UTF-8 and little-endian numbers, without a step past the end. */
#ifndef EDGEBERT_TEXT_H
#define EDGEBERT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EB_REPLACEMENT 0xFFFDu

/* The least multiple of `unit` (a power of two) that is at least `n`. */
static inline size_t round_up(size_t n, size_t unit) { return (n + unit - 1) & ~(unit - 1); }

static inline bool is_continuation(uint8_t byte) { return (byte & 0xC0) == 0x80; }

/* Decodes the code point at `text[*at]`, moves `*at` behind it. A broken sequence gives U+FFFD and is passed over as far as
 * it could have been valid (as Unicode recommends, and as Python and Rust do). The caller sees to it that *at < bytes. */
static inline uint32_t next_code_point(const uint8_t *text, size_t bytes, size_t *at) {
    const uint8_t first = text[(*at)++];
    if (first < 0x80) return first;
    uint32_t value;
    unsigned more;
    uint8_t low = 0x80, high = 0xBF; /* what the second byte may be: no overlong forms, no surrogates, no more than 10FFFF */
    if (first >= 0xC2 && first <= 0xDF) {
        value = first & 0x1Fu, more = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
        value = first & 0x0Fu, more = 2;
        if (first == 0xE0) low = 0xA0;
        if (first == 0xED) high = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        value = first & 0x07u, more = 3;
        if (first == 0xF0) low = 0x90;
        if (first == 0xF4) high = 0x8F;
    } else {
        return EB_REPLACEMENT;
    }
    for (; more; more--) {
        if (*at >= bytes || text[*at] < low || text[*at] > high) return EB_REPLACEMENT;
        value = value << 6 | (text[(*at)++] & 0x3Fu);
        low = 0x80, high = 0xBF;
    }
    return value;
}

/* Writes a code point as UTF-8 (at most 4 bytes), returns how many. */
static inline unsigned put_code_point(uint32_t point, uint8_t *out) {
    if (point < 0x80) {
        out[0] = (uint8_t)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (uint8_t)(0xC0 | point >> 6), out[1] = (uint8_t)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (uint8_t)(0xE0 | point >> 12), out[1] = (uint8_t)(0x80 | (point >> 6 & 0x3F));
        out[2] = (uint8_t)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (uint8_t)(0xF0 | point >> 18), out[1] = (uint8_t)(0x80 | (point >> 12 & 0x3F));
    out[2] = (uint8_t)(0x80 | (point >> 6 & 0x3F)), out[3] = (uint8_t)(0x80 | (point & 0x3F));
    return 4;
}

static inline uint16_t read_u16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static inline uint32_t read_u32(const uint8_t *p) { return read_u16(p) | (uint32_t)read_u16(p + 2) << 16; }
static inline uint64_t read_u64(const uint8_t *p) { return read_u32(p) | (uint64_t)read_u32(p + 4) << 32; }

#endif
