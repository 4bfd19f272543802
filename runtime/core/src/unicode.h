/* What the tokenizer oracle (and Python, for the n-grams) says of each code point. Tables: tools/make_unicode.py.
 *
 * Code points under UNICODE_LIMIT are looked up in two stages, those above lie in a few long ranges.
 */
#ifndef EDGEBERT_UNICODE_H
#define EDGEBERT_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

enum unicode_flag {
    UNICODE_DROPPED = 1,       /* cleaning removes it */
    UNICODE_SPACE = 2,         /* cleaning makes it a space */
    UNICODE_IDEOGRAPH = 4,     /* gets spaces around it */
    UNICODE_PUNCTUATION = 8,   /* a word of its own */
    UNICODE_MARK = 16,         /* stripping accents removes it */
    UNICODE_DECOMPOSES = 32,   /* stripping accents turns it into others: unicode_strip */
    UNICODE_LONG_LOWER = 64,   /* lower case has several code points: unicode_pool[lower...] */
    UNICODE_PYTHON_WORD = 128, /* Python's \w */
    UNICODE_PYTHON_SPACE = 256 /* Python's str.isspace */
};

typedef struct unicode_record {
    int32_t lower; /* what lower-casing adds to the code point */
    uint16_t flags;
    uint16_t order; /* rank of the canonical combining class; 0 for starters */
} unicode_record;

typedef struct unicode_range {
    uint32_t first;
    uint32_t record;
} unicode_range;

#define UNICODE_BLOCK 64u
#define UNICODE_LIMIT 0x31380u /* from here on: unicode_tail. The tables check it */
#define UNICODE_ORDERS 64u     /* ranks of combining classes are less */
#define UNICODE_LAST_OF_SEQUENCE 0x80000000u

extern const uint16_t unicode_index[]; /* block of 64 code points -> where it starts in unicode_blocks */
extern const uint8_t unicode_blocks[]; /* -> record */
extern const unicode_record unicode_records[];
extern const unicode_range unicode_tail[];    /* descending; the last one starts at UNICODE_LIMIT */
extern const uint32_t unicode_pool[];         /* sequences; the last code point of each carries the mark above */
extern const uint8_t unicode_strip_index[];   /* block of 64 code points -> block of unicode_strip_blocks */
extern const uint16_t unicode_strip_blocks[]; /* -> code point, or 0xD800 + place in unicode_pool */

static inline const unicode_record *unicode_of(uint32_t point) {
    if (point < UNICODE_LIMIT)
        return &unicode_records[unicode_blocks[unicode_index[point / UNICODE_BLOCK] + point % UNICODE_BLOCK]];
    const unicode_range *range = unicode_tail;
    while (point < range->first) range++;
    return &unicode_records[range->record];
}

static inline bool is_word_character(uint32_t point) {
    if (point < 128) return (point | 0x20) - 'a' < 26 || point - '0' < 10 || point == '_';
    return (unicode_of(point)->flags & UNICODE_PYTHON_WORD) != 0;
}

static inline bool is_space_character(uint32_t point) {
    if (point < 128) return point == ' ' || point - 9 < 5 || point - 28 < 4;
    return (unicode_of(point)->flags & UNICODE_PYTHON_SPACE) != 0;
}

/* Copies a sequence of the pool (1 to 3 code points), returns its length. */
static inline unsigned unicode_sequence(uint32_t place, uint32_t out[3]) {
    unsigned count = 0;
    const uint32_t *next = unicode_pool + place;
    do out[count++] = *next & ~UNICODE_LAST_OF_SEQUENCE;
    while (!(*next++ & UNICODE_LAST_OF_SEQUENCE));
    return count;
}

/* Lower case of one code point, whatever stands around it; 1 to 3 code points, returns how many. */
static inline unsigned lower_of(uint32_t point, uint32_t out[3]) {
    if (point < 128) {
        out[0] = point - 'A' < 26 ? point + 32 : point;
        return 1;
    }
    const unicode_record *record = unicode_of(point);
    if (record->flags & UNICODE_LONG_LOWER) return unicode_sequence((uint32_t)record->lower, out);
    out[0] = point + (uint32_t)record->lower;
    return 1;
}

#define HANGUL_FIRST 0xAC00u
#define HANGUL_COUNT 11172u

/* What is left of a code point that UNICODE_DECOMPOSES: 1 to 3 code points, returns how many. The marks that stripping
 * removes are left out already. */
static inline unsigned stripped_of(uint32_t point, uint32_t out[3]) {
    const uint32_t syllable = point - HANGUL_FIRST;
    if (syllable < HANGUL_COUNT) {
        out[0] = 0x1100 + syllable / 588, out[1] = 0x1161 + syllable % 588 / 28, out[2] = 0x11A7 + syllable % 28;
        return syllable % 28 ? 3 : 2;
    }
    const uint32_t block = unicode_strip_index[point / UNICODE_BLOCK];
    const uint32_t entry = unicode_strip_blocks[block * UNICODE_BLOCK + point % UNICODE_BLOCK];
    out[0] = entry;
    return entry - 0xD800 < 0x800 ? unicode_sequence(entry - 0xD800, out) : 1;
}

#endif
