/* Reading vocab.txt, and looking pieces up. */
#include "pieces.h"

#include "unicode.h"

#define MOST_SLOTS 0xFFFFFFu /* a node takes 24 bits of an edge's key */
#define MOST_TOKENS 0x7FFFFFFFu

typedef struct text_range {
    const uint8_t *bytes;
    size_t length;
} text_range;

static const text_range SPECIAL[SPECIALS] = {
    {(const uint8_t *)"[PAD]", 5}, {(const uint8_t *)"[UNK]", 5},  {(const uint8_t *)"[CLS]", 5},
    {(const uint8_t *)"[SEP]", 5}, {(const uint8_t *)"[MASK]", 6},
};

static bool starts_with(const uint8_t *text, size_t bytes, text_range prefix) {
    if (bytes < prefix.length) return false;
    for (size_t i = 0; i < prefix.length; i++)
        if (text[i] != prefix.bytes[i]) return false;
    return true;
}

/* ---- lines ------------------------------------------------------------------------------------------------------ */

/* Unicode's White_Space, which is trimmed off the end of a line: as the oracle's loader does. */
static inline bool is_trimmed(uint32_t point) {
    if (point < 128) return point == ' ' || point - 9 < 5;
    return unicode_of(point)->flags & UNICODE_SPACE || point == 0x85;
}

/* The next line of a vocabulary, without the white space at its end. False behind the last one, or when it is not
 * UTF-8: *at is then short of `bytes`. */
static bool next_line(const uint8_t *vocab, size_t bytes, size_t *at, text_range *line) {
    const size_t start = *at;
    size_t next = start;
    if (start >= bytes) return false;
    line->bytes = vocab + start, line->length = 0;
    while (next < bytes && vocab[next] != '\n') {
        const size_t first = next;
        const uint32_t point = next_code_point(vocab, bytes, &next);
        /* A true U+FFFD is EF BF BD. */
        if (point == EB_REPLACEMENT && (next - first != 3 || vocab[first] != 0xEF || vocab[first + 1] != 0xBF))
            return false;
        if (!is_trimmed(point)) line->length = next - start;
    }
    *at = next < bytes ? next + 1 : bytes;
    return true;
}

static bool holds_zero(text_range token) {
    for (size_t i = 0; i < token.length; i++)
        if (token.bytes[i] == 0) return true;
    return false;
}

/* What the tables must hold. No text holds a zero byte once it is cleaned, so tokens with one are left out. */
typedef struct survey {
    uint32_t word_slots;
    uint32_t edge_slots;
    int32_t special[SPECIALS];
} survey;

static int survey_vocabulary(const uint8_t *vocab, size_t bytes, survey *found) {
    uint64_t words = 0, nodes = 2; /* those of "##" are always there */
    uint32_t id = 0;
    size_t at = 0;
    text_range token;
    for (unsigned i = 0; i < SPECIALS; i++) found->special[i] = NO_TOKEN;
    for (; next_line(vocab, bytes, &at, &token); id++) {
        if (id == MOST_TOKENS) return EB_BAD_VOCABULARY;
        if (holds_zero(token)) continue;
        nodes += token.length;
        words += token.length > 0 && token.length <= SHORT_WORD;
        for (unsigned i = 0; i < SPECIALS; i++)
            if (token.length == SPECIAL[i].length && starts_with(token.bytes, token.length, SPECIAL[i]))
                found->special[i] = (int32_t)id;
    }
    if (at < bytes) return EB_BAD_VOCABULARY;
    for (unsigned i = 0; i < MASK; i++)
        if (found->special[i] == NO_TOKEN) return EB_BAD_VOCABULARY;
    const uint64_t edge_slots = nodes + nodes / 4 + 16;
    if (edge_slots > MOST_SLOTS) return EB_BAD_VOCABULARY;
    found->edge_slots = (uint32_t)edge_slots, found->word_slots = (uint32_t)(words + words / 2 + 16);
    return EB_OK;
}

/* ---- building --------------------------------------------------------------------------------------------------- */

static size_t words_offset(void) { return round_up(sizeof(eb_wordpiece), EB_ALIGNMENT); }

static size_t edges_offset(const survey *found) {
    return words_offset() + round_up(found->word_slots * sizeof(word_entry), EB_ALIGNMENT);
}

static size_t whole_size(const survey *found) {
    return edges_offset(found) + round_up(found->edge_slots * sizeof(edge), EB_ALIGNMENT);
}

size_t eb_wordpiece_size(const uint8_t *vocab, size_t bytes) {
    survey found;
    return survey_vocabulary(vocab, bytes, &found) == EB_OK ? whole_size(&found) : 0;
}

/* The node that `byte` leads to from `node`; makes it when it is not there. */
static uint32_t grow(edge *edges, uint32_t slots, uint32_t node, uint8_t byte) {
    const uint32_t key = node << 8 | byte;
    uint32_t slot = edge_slot(key, slots);
    while (edges[slot].key != key) {
        if (edges[slot].key == 0) {
            edges[slot] = (edge){key, NO_TOKEN};
            break;
        }
        if (++slot == slots) slot = 0;
    }
    return slot;
}

static void add_piece(edge *edges, uint32_t slots, text_range token, int32_t id) {
    uint32_t node = slots;
    for (size_t i = 0; i < token.length; i++) node = grow(edges, slots, node, token.bytes[i]);
    edges[node].id = id;
}

static void add_word(word_entry *words, uint32_t slots, text_range token, int32_t id) {
    uint64_t low = 0;
    uint32_t high = 0;
    for (size_t i = 0; i < token.length; i++) {
        if (i < 8)
            low |= (uint64_t)token.bytes[i] << 8 * i;
        else
            high |= (uint32_t)token.bytes[i] << (8 * i - 64);
    }
    uint32_t slot = word_slot(low, high, slots);
    while (words[slot].low && (words[slot].low != low || words[slot].high != high))
        if (++slot == slots) slot = 0;
    words[slot] = (word_entry){low, high, id};
}

static void fill_ascii(eb_wordpiece *made) {
    for (unsigned byte = 0; byte < 256; byte++) {
        const unsigned flags = unicode_of(byte)->flags;
        made->kind[byte] = byte >= 128                   ? NOT_ASCII
                           : flags & UNICODE_DROPPED     ? IS_DROPPED
                           : flags & UNICODE_SPACE       ? IS_SPACE
                           : flags & UNICODE_PUNCTUATION ? IS_PUNCTUATION
                                                         : IN_WORD;
    }
    for (unsigned byte = 0; byte < 128; byte++) {
        const int32_t id = byte ? find_word(made, byte, 0) : NO_TOKEN;
        made->single[byte] = id == NO_TOKEN ? made->special[UNK] : id;
    }
}

int eb_wordpiece_make(void *memory, size_t size, const uint8_t *vocab, size_t bytes, uint32_t flags,
                      const eb_wordpiece **made) {
    survey found;
    if (flags & ~(EB_LOWERCASE | EB_STRIP_ACCENTS)) return EB_BAD_ARGUMENT;
    const int status = survey_vocabulary(vocab, bytes, &found);
    if (status != EB_OK) return status;
    if (size < whole_size(&found) || (uintptr_t)memory % EB_ALIGNMENT) return EB_SMALL_MEMORY;

    eb_wordpiece *wordpiece = memory;
    word_entry *words = (void *)((uint8_t *)memory + words_offset());
    edge *edges = (void *)((uint8_t *)memory + edges_offset(&found));
    *wordpiece = (eb_wordpiece){.flags = flags, .words = words, .edges = edges};
    wordpiece->word_slots = found.word_slots, wordpiece->edge_slots = found.edge_slots;
    for (unsigned i = 0; i < SPECIALS; i++) wordpiece->special[i] = found.special[i];
    for (uint32_t i = 0; i < found.word_slots; i++) words[i] = (word_entry){0, 0, NO_TOKEN};
    for (uint32_t i = 0; i < found.edge_slots; i++) edges[i] = (edge){0, NO_TOKEN};

    wordpiece->continuation = grow(edges, found.edge_slots, grow(edges, found.edge_slots, found.edge_slots, '#'), '#');
    text_range token;
    size_t at = 0;
    for (int32_t id = 0; next_line(vocab, bytes, &at, &token); id++) {
        if (token.length == 0 || holds_zero(token)) continue;
        add_piece(edges, found.edge_slots, token, id);
        if (token.length <= SHORT_WORD) add_word(words, found.word_slots, token, id);
    }
    fill_ascii(wordpiece);
    *made = wordpiece;
    return EB_OK;
}

/* ---- looking up ------------------------------------------------------------------------------------------------- */

/* Slot of the edge (node, byte), or NO_NODE. */
static inline uint32_t follow(const edge *edges, uint32_t slots, uint32_t node, uint8_t byte) {
    const uint32_t key = node << 8 | byte;
    uint32_t slot = edge_slot(key, slots);
    while (edges[slot].key != key) {
        if (edges[slot].key == 0) return NO_NODE;
        if (++slot == slots) slot = 0;
    }
    return slot;
}

size_t find_pieces(const eb_wordpiece *wordpiece, const uint8_t *word, size_t bytes, eb_token *pieces, size_t room) {
    const edge *edges = wordpiece->edges;
    const uint32_t slots = wordpiece->edge_slots;
    size_t count = 0, start = 0;
    while (start < bytes) {
        uint32_t node = start ? wordpiece->continuation : slots;
        int32_t id = NO_TOKEN;
        size_t end = start;
        for (size_t i = start; i < bytes && (node = follow(edges, slots, node, word[i])) != NO_NODE; i++)
            if (edges[node].id != NO_TOKEN) id = edges[node].id, end = i + 1;
        if (id == NO_TOKEN) return 0;
        if (count < room) pieces[count] = (eb_token){id, 0, (uint32_t)start, (uint32_t)end};
        count++;
        start = end;
    }
    return count;
}

bool find_special(const eb_wordpiece *wordpiece, const uint8_t *text, size_t bytes, size_t at, enum special *found,
                  size_t *length) {
    for (unsigned i = 0; i < SPECIALS; i++) {
        if (wordpiece->special[i] == NO_TOKEN || !starts_with(text + at, bytes - at, SPECIAL[i])) continue;
        *found = (enum special)i, *length = SPECIAL[i].length;
        return true;
    }
    return false;
}
