/* The n-gram featurizer: words, word n-grams and character n-grams of a text, as rows of a vocabulary.
 *
 * Words are runs of letters, marks, digits and underscores, with apostrophes inside ("don't", "n't"); an ideograph is a
 * word of its own, and so is every other visible character: negation and punctuation carry meaning. Words are lower-cased
 * character by character. */
#include "ngrams.h"

#include "unicode.h"

#define MAGIC 0x474E4245u /* "EBNG" */
#define VERSION 3u
#define HEADER 64u
#define ENTRY 32u
#define AHEAD 32u /* lines of a vocabulary on their way from memory */
#define MOST_WORDS 1000000u /* of a text: sums of int8 numbers then stay inside int32 */

static inline bool is_ideograph(uint32_t point) { return point >= 0x2E80 && unicode_of(point)->flags & UNICODE_IDEOGRAPH; }

static inline bool is_apostrophe(uint32_t point) { return point == '\'' || point == 0x2019; }

/* A hash over the lower-cased UTF-8 of a word, eight bytes at a time. */
typedef struct hasher {
    uint64_t state, pending;
    unsigned held, length;
} hasher;

static inline void hash_byte(hasher *h, uint8_t byte) {
    h->pending |= (uint64_t)byte << (8 * h->held);
    h->length++;
    if (++h->held == 8) {
        h->state = (h->state ^ h->pending) * EB_MULTIPLIER;
        h->state ^= h->state >> 32;
        h->pending = 0, h->held = 0;
    }
}

static inline uint64_t hash_end(const hasher *h) {
    const uint64_t state = (h->state ^ h->pending) * EB_MULTIPLIER;
    return (state ^ state >> 32) + h->length;
}

static void hash_point(hasher *h, uint32_t point) {
    uint32_t lower[3];
    const unsigned count = lower_of(point, lower);
    for (unsigned i = 0; i < count; i++) {
        uint8_t utf8[4];
        const unsigned bytes = put_code_point(lower[i], utf8);
        for (unsigned k = 0; k < bytes; k++) hash_byte(h, utf8[k]);
    }
}

static inline bool is_ascii_word(uint8_t byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_';
}

/* Whether a word goes on at `at`; `*next` is then behind the character that is taken up. */
static inline bool word_goes_on(const uint8_t *text, size_t bytes, size_t at, size_t *next, uint32_t *point) {
    *next = at;
    if (at >= bytes) return false;
    *point = next_code_point(text, bytes, next);
    if (is_word_character(*point)) return !is_ideograph(*point);
    if (!is_apostrophe(*point) || *next >= bytes) return false;
    size_t behind = *next;
    const uint32_t following = next_code_point(text, bytes, &behind);
    return is_word_character(following) && !is_ideograph(following);
}

bool next_word(const uint8_t *text, size_t bytes, size_t *at, word *found) {
    uint32_t point = 0;
    size_t start = *at, next = *at;
    for (;; start = next) {
        if (start >= bytes) {
            *at = bytes;
            return false;
        }
        point = next_code_point(text, bytes, &next);
        if (!is_space_character(point)) break;
    }
    hasher hash = {EB_MULTIPLIER, 0, 0, 0};
    if (is_word_character(point) && !is_ideograph(point)) {
        next = start;
        for (;;) {
            while (next < bytes && is_ascii_word(text[next])) {
                const uint8_t byte = text[next++];
                hash_byte(&hash, byte >= 'A' && byte <= 'Z' ? (uint8_t)(byte + 32) : byte);
            }
            size_t behind;
            if (!word_goes_on(text, bytes, next, &behind, &point)) break;
            hash_point(&hash, point);
            next = behind;
        }
    } else {
        hash_point(&hash, point);
    }
    found->hash = hash_end(&hash), found->start = (uint32_t)start, found->end = (uint32_t)next;
    *at = next;
    return true;
}

size_t character_hashes(const uint8_t *text, const word *w, unsigned low, unsigned high, uint64_t *hashes) {
    uint32_t points[EB_LONGEST_WORD + 2];
    unsigned count = 0;
    points[count++] = '<';
    for (size_t at = w->start; at < w->end && count <= EB_LONGEST_WORD;) {
        uint32_t lower[3];
        const unsigned grown = lower_of(next_code_point(text, w->end, &at), lower);
        for (unsigned i = 0; i < grown && count <= EB_LONGEST_WORD; i++) points[count++] = lower[i];
    }
    points[count++] = '>';
    window w_chars = {{0}, 0};
    size_t made = 0;
    for (unsigned i = 0; i < count; i++) made += ngrams_ending(&w_chars, low, high, points[i], hashes + made);
    return made;
}

void look_up(const channel *c, const uint64_t *hashes, size_t count, int32_t *rows) {
    for (size_t i = 0; i < count && i < AHEAD; i++) __builtin_prefetch(line_of(c, hashes[i]));
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count) __builtin_prefetch(line_of(c, hashes[i + AHEAD]));
        rows[i] = row_of(c, hashes[i]);
    }
}

size_t rows_of(const channel *c, const uint64_t *hashes, size_t count, int32_t *ids, size_t most) {
    size_t found = 0;
    look_up(c, hashes, count, ids);
    for (size_t i = 0; i < count && found < most; i++) {
        const int32_t row = ids[i];
        ids[found] = row;
        found += row != 0; /* no branch, as in row_of */
    }
    return found;
}

/* Hashes of the n-grams that a word brings: those of words that end with it, or those of its own characters. */
static size_t hashes_of_word(eb_channel_kind kind, unsigned low, unsigned high, const uint8_t *text, const word *w,
                             window *words, uint64_t *hashes) {
    if (kind == EB_WORDS) return ngrams_ending(words, low, high, w->hash, hashes);
    return character_hashes(text, w, low, high, hashes);
}

static bool orders_make_sense(unsigned low, unsigned high) { return low >= 1 && low <= high && high <= EB_MOST_ORDER; }

int64_t eb_ngram_hashes(eb_channel_kind kind, unsigned low, unsigned high, size_t max_length, const uint8_t *text,
                        size_t bytes, uint64_t *hashes, size_t capacity) {
    if (bytes > EB_MOST_BYTES) return EB_TOO_LARGE;
    if (!orders_make_sense(low, high) || kind > EB_CHARACTERS) return EB_BAD_ARGUMENT;
    window words = {{0}, 0};
    uint64_t own[EB_CHARACTER_HASHES];
    size_t made = 0, at = 0;
    word w;
    for (size_t n = 0; n < max_length && next_word(text, bytes, &at, &w); n++) {
        const size_t count = hashes_of_word(kind, low, high, text, &w, &words, own);
        for (size_t i = 0; i < count; i++, made++) {
            if (made < capacity) hashes[made] = own[i];
        }
    }
    return (int64_t)made;
}

int64_t eb_ngram_words(const uint8_t *text, size_t bytes, uint32_t *ranges, size_t capacity) {
    if (bytes > EB_MOST_BYTES) return EB_TOO_LARGE;
    size_t made = 0, at = 0;
    word w;
    for (; next_word(text, bytes, &at, &w); made++) {
        if (made < capacity) ranges[2 * made] = w.start, ranges[2 * made + 1] = w.end;
    }
    return (int64_t)made;
}

int64_t eb_ngrams_ids(const eb_ngrams *ngrams, unsigned index, const uint8_t *text, size_t bytes, int32_t *ids,
                      size_t capacity) {
    if (bytes > EB_MOST_BYTES) return EB_TOO_LARGE;
    if (index >= ngrams->channels) return EB_BAD_ARGUMENT;
    const channel *c = &ngrams->channel[index];
    window words = {{0}, 0};
    uint64_t own[EB_CHARACTER_HASHES];
    int32_t rows[EB_CHARACTER_HASHES];
    size_t made = 0, at = 0;
    word w;
    for (size_t n = 0; n < ngrams->max_length && next_word(text, bytes, &at, &w); n++) {
        const size_t all = hashes_of_word(c->kind, c->low, c->high, text, &w, &words, own);
        const size_t count = rows_of(c, own, all, rows, c->kind == EB_WORDS ? all : EB_CHARS_PER_WORD);
        for (size_t i = 0; i < count; i++, made++) {
            if (made < capacity) ids[made] = rows[i];
        }
    }
    return (int64_t)made;
}

/* How the word text[start, end) is written. */
static eb_shape shape_of(const uint8_t *text, const word *w) {
    unsigned letters = 0, capitals = 0, digits = 0;
    bool first = false; /* whether the first letter is a capital */
    for (size_t at = w->start; at < w->end;) {
        uint32_t lower[3];
        const uint32_t point = next_code_point(text, w->end, &at);
        if (point - '0' < 10) digits++;
        if (point - '0' < 10 || point == '_' || !is_word_character(point)) continue;
        if (point >= 128 && unicode_of(point)->flags & UNICODE_MARK) continue;
        const bool capital = lower_of(point, lower) > 1 || lower[0] != point;
        letters++, capitals += capital;
        if (letters == 1) first = capital;
    }
    if (digits) return letters ? EB_SHAPE_LETTERS_AND_DIGITS : EB_SHAPE_DIGITS;
    if (!letters) return EB_SHAPE_OTHER;
    if (!capitals) return EB_SHAPE_LOWER;
    if (capitals == 1 && first) return EB_SHAPE_CAPITAL;
    return capitals == letters ? EB_SHAPE_CAPITALS : EB_SHAPE_MIXED;
}

static eb_word described(const channel *words, const channel *characters, const uint8_t *text, const word *w) {
    eb_word made = {.start = w->start, .end = w->end, .shape = shape_of(text, w)};
    uint64_t hashes[EB_CHARACTER_HASHES];
    int32_t rows[EB_CHARACTER_HASHES];
    window alone = {{0}, 0};
    ngrams_ending(&alone, 1, 1, w->hash, hashes);
    made.row = row_of(words, hashes[0]);
    const size_t all = character_hashes(text, w, characters->low, characters->high, hashes);
    const size_t known = rows_of(characters, hashes, all, rows, EB_CHARS_PER_WORD);
    for (size_t i = 0; i < known; i++) made.characters[i] = rows[i];
    return made;
}

int64_t eb_ngrams_words(const eb_ngrams *ngrams, unsigned words, unsigned characters, const uint8_t *text, size_t bytes,
                        eb_word *out, size_t capacity) {
    if (bytes > EB_MOST_BYTES) return EB_TOO_LARGE;
    if (words >= ngrams->channels || characters >= ngrams->channels) return EB_BAD_ARGUMENT;
    const channel *whole = &ngrams->channel[words], *parts = &ngrams->channel[characters];
    if (whole->kind != EB_WORDS || whole->high != 1 || parts->kind != EB_CHARACTERS) return EB_BAD_ARGUMENT;
    size_t made = 0, at = 0;
    word w;
    for (; next_word(text, bytes, &at, &w); made++) {
        if (made < capacity) out[made] = described(whole, parts, text, &w);
    }
    return (int64_t)made;
}

/* One channel's header entry and, from `*at` on, its arrays. */
static int open_channel(channel *c, const uint8_t *entry, const uint8_t *table, size_t bytes, size_t *at) {
    const uint32_t kind = read_u32(entry);
    c->low = read_u32(entry + 4), c->high = read_u32(entry + 8);
    c->bits = read_u32(entry + 12), c->known = read_u32(entry + 16);
    if (kind > EB_CHARACTERS || !orders_make_sense(c->low, c->high) || c->bits > 32 || c->known > INT32_MAX - 1) {
        return EB_BAD_MODEL;
    }
    c->kind = (eb_channel_kind)kind;
    const uint64_t size = (uint64_t)sizeof(line) << c->bits;
    if (size > bytes - *at) return EB_BAD_MODEL;
    c->lines = (const line *)(const void *)(table + *at);
    uint64_t known = 0;
    for (uint64_t i = 0; i < (uint64_t)1 << c->bits; known += c->lines[i++].count) {
        if (c->lines[i].before != known || c->lines[i].count > EB_PRINTS) return EB_BAD_MODEL;
    }
    *at += (size_t)size;
    return known == c->known ? EB_OK : EB_BAD_MODEL;
}

int open_ngrams(eb_ngrams *ngrams, const uint8_t *table, size_t bytes) {
    if (bytes < HEADER || (uintptr_t)table % sizeof(uint64_t)) return EB_BAD_MODEL;
    if (read_u32(table) != MAGIC) return EB_BAD_MODEL;
    if (read_u32(table + 4) != VERSION) return EB_BAD_VERSION;
    ngrams->channels = read_u32(table + 8);
    ngrams->max_length = read_u32(table + 12);
    if (ngrams->channels < 1 || ngrams->channels > EB_MOST_CHANNELS) return EB_BAD_MODEL;
    if (ngrams->max_length < 1 || ngrams->max_length > MOST_WORDS) return EB_BAD_MODEL;
    size_t at = round_up(HEADER + (size_t)ngrams->channels * ENTRY, EB_ALIGNMENT);
    if (at > bytes) return EB_BAD_MODEL;
    for (unsigned i = 0; i < ngrams->channels; i++) {
        const int status = open_channel(&ngrams->channel[i], table + HEADER + i * ENTRY, table, bytes, &at);
        if (status != EB_OK) return status;
    }
    return at == bytes ? EB_OK : EB_BAD_MODEL;
}

size_t eb_ngrams_size(void) { return sizeof(eb_ngrams); }

int eb_ngrams_open(void *memory, size_t size, const uint8_t *table, size_t bytes, const eb_ngrams **opened) {
    if (size < sizeof(eb_ngrams) || (uintptr_t)memory % EB_ALIGNMENT) return EB_SMALL_MEMORY;
    eb_ngrams *ngrams = memory;
    const int status = open_ngrams(ngrams, table, bytes);
    if (status == EB_OK) *opened = ngrams;
    return status;
}

unsigned eb_ngrams_channels(const eb_ngrams *ngrams) { return ngrams->channels; }

uint32_t eb_ngrams_rows(const eb_ngrams *ngrams, unsigned index) {
    return index < ngrams->channels ? ngrams->channel[index].known + 1 : 0;
}
