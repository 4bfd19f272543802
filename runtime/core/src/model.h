/* The n-gram student as it lies in a .ebnn file; little-endian, every section at a multiple of 64.
 *
 *     0   u32 magic "EBNN", u32 version, u64 size of the file, u64 checksum of all bytes from 24 on
 *     24  u32 sections, classes, hidden (0: none), channels, flags (1: pairs, 2: mean instead of sum / sqrt(n)),
 *         bits of a row's number (8 or 4), fold (the channel of single words whose rows have folded ones, plus 1; 0: none)
 *     64  u32 width of each of 8 channels (multiples of 32)
 *     128 sections: u32 kind, u32 channel, u64 offset, u64 size, u64 zero
 *
 * Rows hold whole numbers; number j of channel c stands for number * scales[c][j]. So sums stay whole until a text is
 * read, and no two processors differ. A folded row of a character channel is the sum over the character n-grams of a known
 * word, made when the model was: known words then cost one row instead of a dozen. */
#ifndef EDGEBERT_MODEL_H
#define EDGEBERT_MODEL_H

#include "kernels.h"
#include "ngrams.h"

typedef enum section_kind {
    SECTION_NGRAMS = 1,      /* a vocabulary file (ngrams.bin) */
    SECTION_ROWS = 2,        /* channel: numbers [known][width], 8 or 4 bits each */
    SECTION_SCALES = 3,      /* channel: f32 [width] */
    SECTION_FOLDED = 4,      /* channel: numbers [known words][width] */
    SECTION_FOLDED_SCALES = 5, /* channel: f32 [width] */
    SECTION_FOLDED_COUNTS = 6, /* channel: u8 [known words], n-grams in a folded row */
    SECTION_LINEAR = 7,      /* f32 scale [classes], f32 bias [classes], int8 [classes][inputs] */
    SECTION_HIDDEN = 8,      /* f32 scale [hidden], f32 bias [hidden], int8 [hidden][inputs] */
    SECTION_OUTPUT = 9       /* f32 scale [classes], f32 bias [classes], int8 [classes][hidden] */
} section_kind;

#define EB_FLAG_PAIRS 1u
#define EB_FLAG_MEAN 2u

/* A linear layer: y[o] = (sum over i of weights[o][i] * x[i]) * scales[o] * (scale of x) + bias[o]. */
typedef struct layer {
    size_t inputs, outputs;
    const float *scales, *bias;
    const int8_t *weights;
} layer;

typedef struct table {
    size_t width;
    const uint8_t *rows, *folded, *folded_counts;
    const float *scales, *folded_scales;
} table;

struct eb_model {
    eb_ngrams ngrams;
    const kernels *kernels;
    unsigned classes, bits, fold; /* fold: channel of single words plus 1 */
    bool pairs, mean;
    size_t width;  /* sum of all channels' */
    size_t inputs; /* of the first layers: width, or 4 * width for pairs */
    table table[EB_MOST_CHANNELS];
    layer linear, hidden, output; /* hidden.outputs is 0 when there is none */
};

/* Checks and opens; see eb_model_open. */
int load_model(eb_model *model, const uint8_t *file, size_t bytes);

#endif
