/* EdgeBERT core: text to ids (WordPiece, n-grams) and the n-gram student, in freestanding C11.
 *
 * The core never allocates, calls no libc, keeps no globals and starts no thread. The caller passes in a mapped model
 * and memory; a handle lives in that memory and points into the model, so both must outlive it, unchanged: what was
 * checked is not checked again. A handle is read-only
 * once it is made: any number of threads may use one, each with scratch memory of its own.
 *
 * Texts are UTF-8, given as pointer and bytes; they need no terminator. Bytes that are not UTF-8 are read as U+FFFD,
 * one for each maximal broken sequence. Functions return a count, or a negative `eb_status`.
 */
#ifndef EDGEBERT_H
#define EDGEBERT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EB_API_VERSION 2

typedef enum eb_status {
    EB_OK = 0,
    EB_BAD_MODEL = -1,    /* not such a file, or damaged: eb_message says no more, the bundle's check does */
    EB_BAD_VERSION = -2,  /* made for another version of the core */
    EB_SMALL_MEMORY = -3, /* the memory given is smaller than the size function asked for, or not aligned to 64 */
    EB_BAD_ARGUMENT = -4, /* a number or a flag that makes no sense, or a pair where one text is taken */
    EB_BAD_VOCABULARY = -5, /* WordPiece: a special token is missing, or the file is not UTF-8 */
    EB_TOO_LARGE = -6     /* a text over EB_MOST_BYTES */
} eb_status;

/* One English sentence for a status; never null. */
const char *eb_message(int status);

#define EB_MOST_BYTES 0x40000000u /* 1 GiB: the longest text */
#define EB_ALIGNMENT 64           /* of memory that handles and scratch live in */

/* ---- processor ------------------------------------------------------------------------------------------------ */

/* Bits that choose the kernels. Every choice gives the same results, bit for bit. */
#define EB_SCALAR 0u
#define EB_AVX2 1u
#define EB_AVX512 2u /* F, BW, VL and VNNI */
#define EB_NEON 4u
#define EB_DOTPROD 8u /* NEON with SDOT */

/* What this processor can do, as far as it can be asked without an operating system: all of it on x86-64; on aarch64
 * NEON alone, to which the caller adds EB_DOTPROD when the system reports it (HWCAP_ASIMDDP). */
uint32_t eb_cpu_features(void);

/* ---- WordPiece ------------------------------------------------------------------------------------------------- */

#define EB_LOWERCASE 1u     /* an uncased model */
#define EB_STRIP_ACCENTS 2u /* decompose (NFD) and drop nonspacing marks */

typedef struct eb_wordpiece eb_wordpiece;

/* One token. Offsets are half-open ranges of the original text: in bytes, and after eb_offsets_convert in another unit.
 * `word` counts the words of the text (what the pre-tokenizer splits into) from 0. */
typedef struct eb_token {
    int32_t id;
    uint32_t word;
    uint32_t start;
    uint32_t end;
} eb_token;

/* Bytes of memory that a handle for this vocab.txt needs; 0 when the file is no vocabulary. */
size_t eb_wordpiece_size(const uint8_t *vocab, size_t bytes);

/* Builds the token trie in `memory`. A token's id is its line number; of equal lines the last counts. The vocabulary's
 * bytes are not needed afterwards. [PAD], [UNK], [CLS] and [SEP] must be there; [MASK] may be. */
int eb_wordpiece_make(void *memory, size_t size, const uint8_t *vocab, size_t bytes, uint32_t flags,
                      const eb_wordpiece **made);

/* Tokens of one text, without [CLS] and [SEP]. Writes the first `capacity`, returns how many there are in all; with
 * `stop` set it stops counting at `capacity`. A special token spelt out in the text ("[SEP]") is that token. */
int64_t eb_wordpiece_tokens(const eb_wordpiece *wordpiece, const uint8_t *text, size_t bytes, eb_token *tokens,
                            size_t capacity, int stop);

/* Ids as BERT takes them: [CLS] a [SEP], or [CLS] a [SEP] b [SEP] when `b` is not null, cut to `max_length` (at least
 * 4), the longer half of a pair first. `types` (may be null) gets 0 and 1. `scratch` holds max_length tokens.
 * Returns the number of ids. */
int64_t eb_wordpiece_ids(const eb_wordpiece *wordpiece, const uint8_t *a, size_t a_bytes, const uint8_t *b,
                         size_t b_bytes, size_t max_length, int32_t *ids, int32_t *types, eb_token *scratch);

typedef enum eb_unit { EB_BYTES = 0, EB_CODE_POINTS = 1, EB_UTF16 = 2 } eb_unit;

/* Rewrites the byte offsets of tokens of this text (in ascending order, as they were given) in another unit. */
void eb_offsets_convert(const uint8_t *text, size_t bytes, eb_token *tokens, size_t count, eb_unit unit);

/* ---- n-grams --------------------------------------------------------------------------------------------------- */

#define EB_MOST_CHANNELS 8
#define EB_MOST_ORDER 8
#define EB_CHARS_PER_WORD 12  /* known character n-grams that count of one word; the rest is left out */
#define EB_LONGEST_WORD 64    /* characters of a word that character n-grams are taken of */

typedef struct eb_ngrams eb_ngrams;

typedef enum eb_channel_kind { EB_WORDS = 0, EB_CHARACTERS = 1 } eb_channel_kind;

/* 64-bit hashes of all n-grams of a text, known or not: what a vocabulary is counted from. Reads the first
 * `max_length` words. The order: word by word; at each word (or character) the n-grams that end there, short ones
 * first. Writes the first `capacity`, returns how many there are. */
int64_t eb_ngram_hashes(eb_channel_kind kind, unsigned low, unsigned high, size_t max_length, const uint8_t *text,
                        size_t bytes, uint64_t *hashes, size_t capacity);

/* Words of a text as byte ranges: pairs (start, end). Returns how many there are. */
int64_t eb_ngram_words(const uint8_t *text, size_t bytes, uint32_t *ranges, size_t capacity);

size_t eb_ngrams_size(void);

/* A handle on a vocabulary file (ngrams.bin); every number in it is checked here. */
int eb_ngrams_open(void *memory, size_t size, const uint8_t *table, size_t bytes, const eb_ngrams **opened);

/* Number of channels; and rows of a channel, row 0 (padding) included. */
unsigned eb_ngrams_channels(const eb_ngrams *ngrams);
uint32_t eb_ngrams_rows(const eb_ngrams *ngrams, unsigned channel);

/* Row ids of the known n-grams of one channel, in the order of eb_ngram_hashes. Writes the first `capacity`, returns
 * how many there are. */
int64_t eb_ngrams_ids(const eb_ngrams *ngrams, unsigned channel, const uint8_t *text, size_t bytes, int32_t *ids,
                      size_t capacity);

/* How a word is written, which its row does not tell: rows are those of lower-cased words. Marks, apostrophes and
 * underscores do not count; a letter of a script without case counts as lower case; digits are 0 to 9. */
typedef enum eb_shape {
    EB_SHAPE_LOWER = 1,      /* letters, none in upper case */
    EB_SHAPE_CAPITAL = 2,    /* the first letter alone in upper case, and be it the only one */
    EB_SHAPE_CAPITALS = 3,   /* two letters or more, all in upper case */
    EB_SHAPE_MIXED = 4,      /* any other letters */
    EB_SHAPE_DIGITS = 5,     /* digits */
    EB_SHAPE_LETTERS_AND_DIGITS = 6,
    EB_SHAPE_OTHER = 7       /* neither letter nor digit */
} eb_shape;

/* One word: its half-open range of the text (in bytes, and after eb_words_convert in another unit), its row (0: not
 * known), the rows of its known character n-grams, the first EB_CHARS_PER_WORD of them with zeros behind, its shape. */
typedef struct eb_word {
    uint32_t start, end;
    int32_t row;
    int32_t characters[EB_CHARS_PER_WORD];
    uint32_t shape;
} eb_word;

/* The words of a text, known or not. `words` is a channel of single words, `characters` one of characters; else
 * EB_BAD_ARGUMENT. Writes the first `capacity`, returns how many there are in all: the vocabulary's max_length cuts
 * nothing here, since a long text is read in windows. */
int64_t eb_ngrams_words(const eb_ngrams *ngrams, unsigned words, unsigned characters, const uint8_t *text, size_t bytes,
                        eb_word *out, size_t capacity);

/* Rewrites the byte ranges of words of this text (in ascending order, as they were given) in another unit. */
void eb_words_convert(const uint8_t *text, size_t bytes, eb_word *words, size_t count, eb_unit unit);

/* ---- the n-gram student (format `native`, file .ebnn) ------------------------------------------------------------ */

typedef struct eb_model eb_model;

size_t eb_model_size(void);

/* Checks the whole file (its checksum too) and makes a handle; `features` chooses the kernels. */
int eb_model_open(void *memory, size_t size, const uint8_t *file, size_t bytes, uint32_t features,
                  const eb_model **opened);

/* The checksum that belongs at byte 16 of a .ebnn file of these bytes (aligned to 8). */
uint64_t eb_model_checksum(const uint8_t *file, size_t bytes);

unsigned eb_model_classes(const eb_model *model);
int eb_model_takes_pairs(const eb_model *model);
const eb_ngrams *eb_model_ngrams(const eb_model *model);

/* Scratch bytes that one call of eb_model_logits needs. */
size_t eb_model_scratch(const eb_model *model);

/* Logits of one text, or of a pair when the model takes pairs (`b` null otherwise): float [classes]. */
int eb_model_logits(const eb_model *model, const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes,
                    float *logits, void *scratch, size_t scratch_bytes);

/* Probabilities in place of logits. Its own exponential, so that every platform gives the same bits. */
void eb_softmax(float *logits, unsigned classes);

/* ---- bundles --------------------------------------------------------------------------------------------------- */

/* Finds an entry of a bundle by its name: where its bytes lie. The whole archive's structure is checked, as strictly as
 * docs/bundle.md says; the entry's checksum is not. EB_BAD_ARGUMENT when a sound bundle has no such entry. */
int eb_bundle_find(const uint8_t *archive, size_t bytes, const char *name, size_t *offset, size_t *size);

#ifdef __cplusplus
}
#endif
#endif
