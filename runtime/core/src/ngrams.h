/* Inside the n-gram featurizer: words, rolling hashes and the vocabulary table; model.c builds on it. */
#ifndef EDGEBERT_NGRAMS_H
#define EDGEBERT_NGRAMS_H

#include "edgebert.h"
#include "text.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define EB_PRINTS_AT_ONCE 8u

#define EB_MULTIPLIER 0x9E3779B97F4A7C15u /* 2^64 / golden ratio, odd */

/* One word of a text: its hash and where it lies. */
typedef struct word {
    uint64_t hash;
    uint32_t start, end;
} word;

/* One channel of a vocabulary. Known n-grams are sorted by hash; the row of an n-gram is its rank plus one. The top
 * `bits` bits of a hash choose a bucket, `starts` says at which rank a bucket begins, and `prints` holds the next 16 bits
 * of each. With 2 to 4 n-grams a bucket, a foreign n-gram is taken for a known one with probability 4 / 65536 at most on
 * average, for 2.5 to 4 bytes an n-gram (starts included). */
typedef struct channel {
    eb_channel_kind kind;
    unsigned low, high, bits;
    uint32_t known;
    const uint32_t *starts; /* [2^bits + 1], ascending, the last is `known` */
    const uint16_t *prints; /* [known], and EB_PRINTS_AT_ONCE more that are read but do not count */
} channel;

struct eb_ngrams {
    unsigned channels;
    size_t max_length;
    channel channel[EB_MOST_CHANNELS];
};

/* The last n-grams of a running sequence: window[k - 1] is the hash, not yet mixed, of the k-gram that ends here. */
typedef struct window {
    uint64_t hash[EB_MOST_ORDER];
    unsigned seen; /* values so far, up to EB_MOST_ORDER */
} window;

/* Spreads the bits, so that the high ones choose a bucket. */
static inline uint64_t mix(uint64_t value) {
    value = (value ^ value >> 32) * EB_MULTIPLIER;
    return value ^ value >> 29;
}

/* Takes up one value: each n-gram that ended before it grows by one. */
static inline void roll(window *w, unsigned high, uint64_t value) {
    for (unsigned order = high; order >= 2; order--) w->hash[order - 1] = w->hash[order - 2] * EB_MULTIPLIER + value + order;
    w->hash[0] = value + 1;
    if (w->seen < high) w->seen++;
}

/* Takes up one value and writes the hashes of the n-grams that end with it, short ones first; returns how many. */
static inline size_t ngrams_ending(window *w, unsigned low, unsigned high, uint64_t value, uint64_t *hashes) {
    size_t made = 0;
    roll(w, high, value);
    for (unsigned order = low; order <= w->seen; order++) hashes[made++] = mix(w->hash[order - 1]);
    return made;
}

static inline size_t bucket_of(const channel *c, uint64_t hash) { return c->bits ? (size_t)(hash >> (64 - c->bits)) : 0; }

/* Which of the eight prints at `p` are equal to `print`: bit i for the i-th. */
static inline unsigned matches(const uint16_t *p, uint16_t print) {
#if defined(__SSE2__)
    const __m128i equal = _mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)(const void *)p), _mm_set1_epi16((short)print));
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128()));
#elif defined(__aarch64__)
    static const uint16_t bits[EB_PRINTS_AT_ONCE] = {1, 2, 4, 8, 16, 32, 64, 128};
    return vaddvq_u16(vandq_u16(vceqq_u16(vld1q_u16(p), vdupq_n_u16(print)), vld1q_u16(bits)));
#else
    unsigned found = 0;
    for (unsigned i = 0; i < EB_PRINTS_AT_ONCE; i++) found |= (unsigned)(p[i] == print) << i;
    return found;
#endif
}

/* Row of an n-gram, 0 when it is not known. A bucket is compared at once: a loop over its few prints would be mispredicted
 * nearly every time. */
static inline uint32_t row_of(const channel *c, uint64_t hash) {
    const size_t bucket = bucket_of(c, hash);
    const uint16_t print = (uint16_t)(hash >> (48 - c->bits));
    const uint32_t end = c->starts[bucket + 1];
    uint32_t rank = c->starts[bucket];
    for (;;) {
        const uint32_t left = end - rank;
        const unsigned mine = left < EB_PRINTS_AT_ONCE ? (1u << left) - 1 : (1u << EB_PRINTS_AT_ONCE) - 1;
        const unsigned found = matches(c->prints + rank, print) & mine;
        if (found) return rank + (uint32_t)__builtin_ctz(found) + 1;
        if (left <= EB_PRINTS_AT_ONCE) return 0;
        rank += EB_PRINTS_AT_ONCE;
    }
}

/* The next word at or behind `*at`; false at the end of the text. */
bool next_word(const uint8_t *text, size_t bytes, size_t *at, word *found);

/* Hashes of the character n-grams of the word text[start, end), in order; at most EB_CHARACTER_HASHES of them. */
#define EB_CHARACTER_HASHES ((EB_LONGEST_WORD + 2) * EB_MOST_ORDER)
size_t character_hashes(const uint8_t *text, const word *w, unsigned low, unsigned high, uint64_t *hashes);

/* The row of each hash, 0 for one that is not known. Fetches ahead, so that misses overlap: give it EB_AT_ONCE or fewer. */
#define EB_AT_ONCE 64u
void look_up(const channel *c, const uint64_t *hashes, size_t count, uint32_t *rows);

/* Known rows among any number of `hashes`, written to `ids`; stops at `most`. */
size_t rows_of(const channel *c, const uint64_t *hashes, size_t count, int32_t *ids, size_t most);

/* Reads a vocabulary file into `ngrams`; every number in it is checked. */
int open_ngrams(eb_ngrams *ngrams, const uint8_t *table, size_t bytes);

#endif
