/* WordPiece, equal to Hugging Face's BertTokenizerFast.
 *
 * Most words are ASCII, and most of those are in the vocabulary as a whole. They are cut out and folded eight bytes at
 * a time, and looked up at once; all others take the general way (normalize.c, pieces.c), from the start of the word.
 */
#include "normalize.h"
#include "pieces.h"

#define BYTES_OF(byte) (0x0101010101010101u * (byte))

/* ---- plain ASCII ------------------------------------------------------------------------------------------------ */

static inline uint64_t read_up_to_8(const uint8_t *text, size_t bytes, size_t at) {
    if (bytes - at >= 8) return read_u64(text + at);
    uint64_t value = 0;
    for (size_t i = bytes - at; i-- > 0;) value = value << 8 | text[at + i];
    return value;
}

/* How many of eight bytes are letters or digits, from the first on. With `fold`, 0x20 in each byte, letters become
 * small. */
static inline unsigned leading_letters(uint64_t *eight, uint64_t fold) {
    const uint64_t value = *eight, high = BYTES_OF(0x80);
    const uint64_t low = value & ~high, small = low | BYTES_OF(0x20);
    /* Adding 0x80 - c carries into a byte's highest bit from c on. */
    const uint64_t letter = (small + BYTES_OF(0x80 - 'a')) & ~(small + BYTES_OF(0x7F - 'z'));
    const uint64_t digit = (low + BYTES_OF(0x80 - '0')) & ~(low + BYTES_OF(0x7F - '9'));
    const uint64_t others = ~((letter | digit) & ~value) & high;
    *eight = value | ((letter & ~value & high) >> 2 & fold);
    return others ? (unsigned)__builtin_ctzll(others) / 8 : 8;
}

/* End of the letters and digits that start at `at`. */
static size_t end_of_letters(const uint8_t *text, size_t bytes, size_t at) {
    while (at < bytes) {
        uint64_t eight = read_up_to_8(text, bytes, at);
        const unsigned count = leading_letters(&eight, 0);
        at += count;
        if (count < 8) break;
    }
    return at;
}

/* ---- tokens ----------------------------------------------------------------------------------------------------- */

typedef struct output {
    const eb_wordpiece *wordpiece;
    eb_token *tokens;
    size_t capacity, count;
    uint32_t word;
} output;

static inline void put_token(output *out, int32_t id, size_t start, size_t end) {
    if (out->count < out->capacity) out->tokens[out->count] = (eb_token){id, out->word, (uint32_t)start, (uint32_t)end};
    out->count++;
    out->word++;
}

/* The pieces of a word that is not in the vocabulary as a whole; the caller sets the offsets of those that it stored:
 * [from, the return value). One [UNK] when a part matches no piece. */
static size_t put_pieces(output *out, const uint8_t *word, size_t bytes) {
    const size_t room = out->count < out->capacity ? out->capacity - out->count : 0;
    eb_token *pieces = room ? out->tokens + out->count : 0;
    size_t count = find_pieces(out->wordpiece, word, bytes, pieces, room);
    if (count == 0) {
        count = 1;
        if (room) pieces[0] = (eb_token){out->wordpiece->special[UNK], 0, 0, (uint32_t)bytes};
    }
    const size_t stored = out->count + (count < room ? count : room);
    for (size_t i = out->count; i < stored; i++) out->tokens[i].word = out->word;
    out->count += count;
    out->word++;
    return stored;
}

/* An ASCII word that is long or unknown as a whole: text[at, end). */
static void put_ascii_word(output *out, const uint8_t *text, size_t at, size_t end) {
    if (end - at > MOST_POINTS) {
        put_token(out, out->wordpiece->special[UNK], at, end);
        return;
    }
    uint8_t word[MOST_POINTS];
    const bool fold = (out->wordpiece->flags & EB_LOWERCASE) != 0;
    for (size_t i = 0; i < end - at; i++) {
        const uint8_t byte = text[at + i];
        word[i] = (uint8_t)(byte + (fold && byte >= 'A' && byte <= 'Z' ? 32 : 0));
    }
    const size_t from = out->count, stored = put_pieces(out, word, end - at);
    for (size_t i = from; i < stored; i++) out->tokens[i].start += (uint32_t)at, out->tokens[i].end += (uint32_t)at;
}

static void put_normalized(output *out, normalized *word) {
    if (word->points == 0) return;
    if (word->points > MOST_POINTS) {
        put_token(out, out->wordpiece->special[UNK], word->start, word->end);
        return;
    }
    if (word->length <= SHORT_WORD) {
        for (unsigned i = 0; i < SHORT_WORD; i++) word->bytes[word->length + i] = 0;
        const int32_t id = find_word(out->wordpiece, read_u64(word->bytes), read_u32(word->bytes + 8));
        if (id != NO_TOKEN) {
            put_token(out, id, word->start, word->end);
            return;
        }
    }
    const size_t from = out->count, stored = put_pieces(out, word->bytes, word->length);
    for (size_t i = from; i < stored; i++) {
        eb_token *token = &out->tokens[i];
        token->start = word->starts[token->start], token->end = word->ends[token->end];
    }
}

/* A word that holds, or may hold, more than plain ASCII; returns where to go on. */
static size_t put_general(output *out, const uint8_t *text, size_t bytes, size_t at) {
    normalized word;
    at = normalize_word(out->wordpiece->flags, text, bytes, at, &word);
    put_normalized(out, &word);
    return at;
}

static size_t put_punctuation(output *out, const uint8_t *text, size_t bytes, size_t at) {
    enum special special;
    size_t length;
    if (text[at] == '[' && find_special(out->wordpiece, text, bytes, at, &special, &length)) {
        put_token(out, out->wordpiece->special[special], at, at + length);
        return at + length;
    }
    put_token(out, out->wordpiece->single[text[at]], at, at + 1);
    return at + 1;
}

/* One word that starts with an ASCII letter or digit; returns where to go on. */
static inline size_t put_word(output *out, const uint8_t *text, size_t bytes, size_t at, uint64_t fold) {
    const eb_wordpiece *wordpiece = out->wordpiece;
    uint64_t low = read_up_to_8(text, bytes, at), high = 0;
    unsigned length = leading_letters(&low, fold);
    size_t end = at + length;
    if (length < 8) {
        low &= ((uint64_t)1 << 8 * length) - 1;
    } else if (end < bytes) {
        high = read_up_to_8(text, bytes, end);
        const unsigned more = leading_letters(&high, fold);
        high &= more < 8 ? ((uint64_t)1 << 8 * more) - 1 : UINT64_MAX;
        end = more < 8 ? end + more : end_of_letters(text, bytes, end + 8);
    }
    const uint8_t kind = end < bytes ? wordpiece->kind[text[end]] : IS_SPACE;
    if (kind != IS_SPACE && kind != IS_PUNCTUATION) return put_general(out, text, bytes, at);
    const int32_t id = end - at <= SHORT_WORD ? find_word(wordpiece, low, (uint32_t)high) : NO_TOKEN;
    if (id != NO_TOKEN)
        put_token(out, id, at, end);
    else
        put_ascii_word(out, text, at, end);
    return end + (kind == IS_SPACE && end < bytes);
}

int64_t eb_wordpiece_tokens(const eb_wordpiece *wordpiece, const uint8_t *text, size_t bytes, eb_token *tokens,
                            size_t capacity, int stop) {
    if (bytes > EB_MOST_BYTES) return EB_TOO_LARGE;
    output out = {wordpiece, tokens, capacity, 0, 0};
    const uint64_t fold = wordpiece->flags & EB_LOWERCASE ? BYTES_OF(0x20) : 0;
    size_t at = 0;
    while (at < bytes && !(stop && out.count >= capacity)) {
        switch (wordpiece->kind[text[at]]) {
            case IN_WORD: at = put_word(&out, text, bytes, at, fold); break;
            case IS_PUNCTUATION: at = put_punctuation(&out, text, bytes, at); break;
            case NOT_ASCII: at = put_general(&out, text, bytes, at); break;
            default: at++;
        }
    }
    return (int64_t)(stop && out.count > capacity ? capacity : out.count);
}

/* ---- ids -------------------------------------------------------------------------------------------------------- */

/* How many tokens of each half of a pair stay, so that together they take at most `room`. The shorter half stays whole
 * while it takes no more than its share; otherwise each gets half of the room, the longer one the odd token. */
static void longest_first(size_t *first, size_t *second, size_t room) {
    if (*first + *second <= room) return;
    size_t short_half = *first < *second ? *first : *second;
    if (short_half > room / 2) short_half = room / 2;
    const bool first_is_short = *first <= *second;
    *first = first_is_short ? short_half : room - short_half;
    *second = room - *first;
}

int64_t eb_wordpiece_ids(const eb_wordpiece *wordpiece, const uint8_t *a, size_t a_bytes, const uint8_t *b,
                         size_t b_bytes, size_t max_length, int32_t *ids, int32_t *types, eb_token *scratch) {
    if (max_length < 4) return EB_BAD_ARGUMENT;
    if (a_bytes > EB_MOST_BYTES || (b && b_bytes > EB_MOST_BYTES)) return EB_TOO_LARGE;
    const size_t room = max_length - (b ? 3 : 2);
    size_t first = (size_t)eb_wordpiece_tokens(wordpiece, a, a_bytes, scratch, room, 1), second = 0;
    for (size_t i = 0; i < first; i++) ids[1 + i] = scratch[i].id;
    if (b) {
        second = (size_t)eb_wordpiece_tokens(wordpiece, b, b_bytes, scratch, room, 1);
        if (room % 2 && first == room && second == room) { /* the longer half gets the odd token: which is it? */
            first = (size_t)eb_wordpiece_tokens(wordpiece, a, a_bytes, 0, 0, 0);
            second = (size_t)eb_wordpiece_tokens(wordpiece, b, b_bytes, 0, 0, 0);
        }
        longest_first(&first, &second, room);
    }
    size_t count = 0;
    ids[count++] = wordpiece->special[CLS];
    count += first;
    ids[count++] = wordpiece->special[SEP];
    for (size_t i = 0; i < second; i++) ids[count++] = scratch[i].id;
    if (b) ids[count++] = wordpiece->special[SEP];
    if (types)
        for (size_t i = 0; i < count; i++) types[i] = i >= first + 2;
    return (int64_t)count;
}
