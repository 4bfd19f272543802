/* BERT's normalisation of text that is not plain ASCII, one word at a time. */
#ifndef EDGEBERT_NORMALIZE_H
#define EDGEBERT_NORMALIZE_H

#include "edgebert.h"
#include "text.h"

#define MOST_POINTS 100u /* code points of a word; a longer one is unknown */
#define MOST_WORD_BYTES (4 * MOST_POINTS)

/* One word, normalised. A code point at bytes [i, j) comes from the bytes [starts[i], ends[j]) of the text. */
typedef struct normalized {
    size_t points; /* may be over MOST_POINTS: those behind are counted, not kept */
    size_t length; /* of `bytes` */
    uint32_t start, end;
    uint32_t starts[MOST_WORD_BYTES];
    uint32_t ends[MOST_WORD_BYTES + 1];
    uint8_t bytes[MOST_WORD_BYTES + 16]; /* read 16 at a time */
} normalized;

/* Reads from text[at] on to the end of a word, returns where it stopped. ASCII white space and punctuation are never
 * taken up, and the word may be empty: when it stops there at once, or when nothing is left of what it has read. */
size_t normalize_word(uint32_t flags, const uint8_t *text, size_t bytes, size_t at, normalized *word);

#endif
