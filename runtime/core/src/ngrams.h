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

#define EB_MULTIPLIER 0x9E3779B97F4A7C15u /* 2^64 / golden ratio, odd */

/* One word of a text: its hash and where it lies. */
typedef struct word {
    uint64_t hash;
    uint32_t start, end;
} word;

/* One cache line of a vocabulary: the n-grams whose hash leads here. A lookup reads this line and no other memory. */
#define EB_PRINTS 29u
typedef struct line {
    uint32_t before; /* n-grams in all the lines before this one */
    uint16_t count;  /* how many of `prints` are n-grams */
    uint16_t prints[EB_PRINTS];
} line;
_Static_assert(sizeof(line) == 64, "a line of a vocabulary is a cache line");

/* One channel of a vocabulary. The top `bits` bits of a hash choose a line, the next 16 are its print there. Known n-grams
 * are sorted by hash; the row of an n-gram is its rank plus one. With 8 to 16 n-grams a line on average, a foreign n-gram
 * is taken for a known one with a probability of 16 / 65536 at most, for 4 to 8 bytes an n-gram. */
typedef struct channel {
    eb_channel_kind kind;
    unsigned low, high, bits;
    uint32_t known;
    const line *lines; /* [2^bits] */
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

static inline const line *line_of(const channel *c, uint64_t hash) {
    return c->lines + (c->bits ? (size_t)(hash >> (64 - c->bits)) : 0);
}

/* Which of a line's 32 halfwords are equal to `print`: bit i for the i-th. */
static inline uint32_t matches(const line *l, uint16_t print) {
#if defined(__SSE2__)
    const __m128i *from = (const __m128i *)(const void *)l, wanted = _mm_set1_epi16((short)print);
    const __m128i a = _mm_cmpeq_epi16(_mm_loadu_si128(from), wanted), b = _mm_cmpeq_epi16(_mm_loadu_si128(from + 1), wanted);
    const __m128i c = _mm_cmpeq_epi16(_mm_loadu_si128(from + 2), wanted), d = _mm_cmpeq_epi16(_mm_loadu_si128(from + 3), wanted);
    return (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(a, b)) | (uint32_t)_mm_movemask_epi8(_mm_packs_epi16(c, d)) << 16;
#elif defined(__aarch64__)
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    const uint16_t *from = (const uint16_t *)(const void *)l;
    uint32_t found = 0;
    for (unsigned i = 0; i < 4; i++) {
        const uint8x8_t equal = vmovn_u16(vceqq_u16(vld1q_u16(from + 8 * i), vdupq_n_u16(print)));
        found |= (uint32_t)vaddv_u8(vand_u8(equal, vld1_u8(bits))) << 8 * i;
    }
    return found;
#else
    uint32_t found = 0;
    for (unsigned i = 0; i < EB_PRINTS; i++) found |= (uint32_t)(l->prints[i] == print) << (i + 32 - EB_PRINTS);
    return found;
#endif
}

/* Row of an n-gram, 0 when it is not known. No branch: whether an n-gram is known cannot be predicted. */
static inline int32_t row_of(const channel *c, uint64_t hash) {
    const line *l = line_of(c, hash);
    const uint32_t mine = ((uint32_t)1 << l->count) - 1;
    const uint32_t found = matches(l, (uint16_t)(hash >> (48 - c->bits))) >> (32 - EB_PRINTS) & mine;
    return (int32_t)((l->before + (uint32_t)__builtin_ctz(found | (uint32_t)1 << EB_PRINTS) + 1) & -(uint32_t)(found != 0));
}

/* The next word at or behind `*at`; false at the end of the text. */
bool next_word(const uint8_t *text, size_t bytes, size_t *at, word *found);

/* Hashes of the character n-grams of the word text[start, end), in order; at most EB_CHARACTER_HASHES of them. */
#define EB_CHARACTER_HASHES ((EB_LONGEST_WORD + 2) * EB_MOST_ORDER)
size_t character_hashes(const uint8_t *text, const word *w, unsigned low, unsigned high, uint64_t *hashes);

/* The row of each hash, 0 for one that is not known. */
void look_up(const channel *c, const uint64_t *hashes, size_t count, int32_t *rows);

/* The known rows among those of `hashes`, at most `most` of them; `ids` has room for `count`. */
size_t rows_of(const channel *c, const uint64_t *hashes, size_t count, int32_t *ids, size_t most);

/* Reads a vocabulary file into `ngrams`; every number in it is checked. */
int open_ngrams(eb_ngrams *ngrams, const uint8_t *table, size_t bytes);

#endif
