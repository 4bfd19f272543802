/* The vocabulary of a WordPiece tokenizer: whole words by hash, pieces by a trie.
 *
 * Both are hash tables with open addressing and linear probing. A short word is found whole by one lookup, as most
 * words are. The trie is a table of edges: (node, byte) -> node, where a node is the slot that its edge lies in. Its
 * root is the slot behind the last one. Pieces that continue a word start at the node of "##".
 */
#ifndef EDGEBERT_PIECES_H
#define EDGEBERT_PIECES_H

#include "edgebert.h"
#include "text.h"

#define NO_TOKEN (-1)
#define NO_NODE UINT32_MAX
#define SHORT_WORD 12u /* bytes; longer words go by the trie alone */
#define SPECIALS 5u

enum special { PAD, UNK, CLS, SEP, MASK };

/* What a byte of the text means where a word may begin or end. */
enum byte_kind { IN_WORD, IS_SPACE, IS_PUNCTUATION, IS_DROPPED, NOT_ASCII };

/* A word's bytes, padded with zeros: no token holds a zero byte. */
typedef struct word_entry {
    uint64_t low;
    uint32_t high;
    int32_t id;
} word_entry;

typedef struct edge {
    uint32_t key; /* node << 8 | byte; 0: the slot is free */
    int32_t id;   /* of the token that ends here, or NO_TOKEN */
} edge;

struct eb_wordpiece {
    uint32_t flags;
    uint32_t word_slots;
    uint32_t edge_slots;
    uint32_t continuation; /* the node of "##" */
    const word_entry *words;
    const edge *edges;
    int32_t special[SPECIALS];
    int32_t single[128]; /* id of a word of one ASCII character, [UNK] when there is none */
    uint8_t kind[256];
};

static inline uint32_t word_slot(uint64_t low, uint32_t high, uint32_t slots) {
    const uint64_t mixed = (low ^ high * 0xD6E8FEB86659FD93u) * 0x9E3779B97F4A7C15u;
    return (uint32_t)((mixed >> 32) * slots >> 32);
}

static inline uint32_t edge_slot(uint32_t key, uint32_t slots) {
    return (uint32_t)((uint64_t)(key * 0x9E3779B1u) * slots >> 32);
}

/* Id of a whole word of at most SHORT_WORD bytes, or NO_TOKEN. */
static inline int32_t find_word(const eb_wordpiece *wordpiece, uint64_t low, uint32_t high) {
    uint32_t slot = word_slot(low, high, wordpiece->word_slots);
    for (;;) {
        const word_entry *entry = &wordpiece->words[slot];
        if (entry->low == low && entry->high == high) return entry->id;
        if (entry->low == 0) return NO_TOKEN;
        if (++slot == wordpiece->word_slots) slot = 0;
    }
}

/* Splits a word into pieces, the longest first; `start` and `end` are then bytes of `word`. Writes the first `room`
 * pieces, returns how many there are; 0 when some part matches no piece. */
size_t find_pieces(const eb_wordpiece *wordpiece, const uint8_t *word, size_t bytes, eb_token *pieces, size_t room);

/* Whether a special token is spelt out at text[at], and which. */
bool find_special(const eb_wordpiece *wordpiece, const uint8_t *text, size_t bytes, size_t at, enum special *found,
                  size_t *length);

#endif
