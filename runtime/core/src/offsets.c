/* Byte offsets of tokens and words in other units: code points (Python) or UTF-16 (Kotlin, Java, JavaScript). */
#include "edgebert.h"
#include "text.h"

/* Counts the units of a text up to one byte offset after another. */
typedef struct counter {
    size_t at;
    uint32_t units;
} counter;

static uint32_t count_to(counter *c, const uint8_t *text, size_t bytes, size_t offset, eb_unit unit) {
    while (c->at < offset && c->at < bytes) {
        const uint32_t point = next_code_point(text, bytes, &c->at);
        c->units += unit == EB_UTF16 && point >= 0x10000 ? 2 : 1;
    }
    return c->units;
}

static bool is_ascii(const uint8_t *text, size_t bytes) {
    uint64_t seen = 0;
    size_t at = 0;
    for (; at < bytes && bytes - at >= 8; at += 8) seen |= read_u64(text + at);
    for (; at < bytes; at++) seen |= text[at];
    return (seen & 0x8080808080808080u) == 0;
}

void eb_offsets_convert(const uint8_t *text, size_t bytes, eb_token *tokens, size_t count, eb_unit unit) {
    if (unit == EB_BYTES || is_ascii(text, bytes)) return;
    counter starts = {0, 0}, ends = {0, 0}; /* apart: two tokens may come from one code point */
    for (size_t i = 0; i < count; i++) {
        tokens[i].start = count_to(&starts, text, bytes, tokens[i].start, unit);
        tokens[i].end = count_to(&ends, text, bytes, tokens[i].end, unit);
    }
}

void eb_words_convert(const uint8_t *text, size_t bytes, eb_word *words, size_t count, eb_unit unit) {
    if (unit == EB_BYTES || is_ascii(text, bytes)) return;
    counter c = {0, 0};
    for (size_t i = 0; i < count; i++) {
        words[i].start = count_to(&c, text, bytes, words[i].start, unit);
        words[i].end = count_to(&c, text, bytes, words[i].end, unit);
    }
}
