/* The n-gram student: rows of n-grams summed as whole numbers, pooled, and a small network on top. */
#include "model.h"

#define CHUNK 64u                                /* words taken at a time */
#define MOST_IDS (CHUNK * EB_MOST_ORDER)         /* of one channel of word n-grams in a chunk */

/* What one text needs while it is read; it lies in the caller's scratch memory. */
typedef struct state {
    int32_t *sums, *folded;         /* [width] */
    float *x;                       /* [inputs] */
    int16_t *quantized;             /* [inputs or hidden, the larger] */
    float *hidden;                  /* [hidden] */
    int32_t *products;              /* [hidden or classes, the larger] */
    window windows[EB_MOST_CHANNELS];
    uint32_t counts[EB_MOST_CHANNELS];
    word words[CHUNK];
    int32_t rows[CHUNK]; /* of the single words, 0 for an unknown one */
    uint64_t hashes[MOST_IDS > EB_CHARACTER_HASHES ? MOST_IDS : EB_CHARACTER_HASHES];
    int32_t ids[MOST_IDS > EB_CHARACTER_HASHES ? MOST_IDS : EB_CHARACTER_HASHES];
} state;

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

size_t eb_model_size(void) { return round_up(sizeof(eb_model), EB_ALIGNMENT); }

size_t eb_model_scratch(const eb_model *model) {
    const size_t hidden = model->hidden.outputs;
    return round_up(sizeof(state), EB_ALIGNMENT) + round_up(model->width * 4, EB_ALIGNMENT) * 2 +
           round_up(model->inputs * 4, EB_ALIGNMENT) + round_up(larger(model->inputs, hidden) * 2, EB_ALIGNMENT) +
           round_up(hidden * 4, EB_ALIGNMENT) + round_up(larger(hidden, model->classes) * 4, EB_ALIGNMENT);
}

static state *place(const eb_model *model, void *scratch) {
    const size_t hidden = model->hidden.outputs;
    uint8_t *at = scratch;
    state *s = scratch;
    at += round_up(sizeof(state), EB_ALIGNMENT);
    s->sums = (int32_t *)(void *)at, at += round_up(model->width * 4, EB_ALIGNMENT);
    s->folded = (int32_t *)(void *)at, at += round_up(model->width * 4, EB_ALIGNMENT);
    s->x = (float *)(void *)at, at += round_up(model->inputs * 4, EB_ALIGNMENT);
    s->quantized = (int16_t *)(void *)at, at += round_up(larger(model->inputs, hidden) * 2, EB_ALIGNMENT);
    s->hidden = (float *)(void *)at, at += round_up(hidden * 4, EB_ALIGNMENT);
    s->products = (int32_t *)(void *)at;
    return s;
}

int eb_model_open(void *memory, size_t size, const uint8_t *file, size_t bytes, uint32_t features,
                  const eb_model **opened) {
    if (size < sizeof(eb_model) || (uintptr_t)memory % EB_ALIGNMENT) return EB_SMALL_MEMORY;
    eb_model *model = memory;
    const int status = load_model(model, file, bytes);
    model->kernels = choose_kernels(features);
    if (status == EB_OK) *opened = model;
    return status;
}

unsigned eb_model_classes(const eb_model *model) { return model->classes; }

int eb_model_takes_pairs(const eb_model *model) { return model->pairs; }

const eb_ngrams *eb_model_ngrams(const eb_model *model) { return &model->ngrams; }

/* Adds rows to sums, after asking for all their cache lines at once. */
static void add(const eb_model *model, int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    const size_t row = width * model->bits / 8;
    for (size_t i = 0; i < count; i++) {
        for (size_t line = 0; line < row; line += 64) __builtin_prefetch(rows + (size_t)(ids[i] - 1) * row + line);
    }
    (model->bits == 8 ? model->kernels->add_rows8 : model->kernels->add_rows4)(sums, rows, ids, count, width);
}

/* Word n-grams that end in this chunk. */
static void add_word_ngrams(const eb_model *model, state *s, unsigned index, int32_t *sums, size_t count) {
    const channel *c = &model->ngrams.channel[index];
    const table *t = &model->table[index];
    size_t made = 0, found = 0;
    for (size_t i = 0; i < count; i++) {
        made += ngrams_ending(&s->windows[index], c->low, c->high, s->words[i].hash, s->hashes + made);
    }
    if (index + 1 == model->fold) { /* one hash a word: remember which words are known */
        look_up(c, s->hashes, made, s->rows);
        for (size_t i = 0; i < made; i++) {
            if (s->rows[i]) s->ids[found++] = s->rows[i];
        }
    } else {
        found = rows_of(c, s->hashes, made, s->ids, made);
    }
    add(model, sums, t->rows, s->ids, found, t->width);
    s->counts[index] += (uint32_t)found;
}

/* Character n-grams of this chunk: a folded row for a known word, the word's own n-grams for another. */
static void add_character_ngrams(const eb_model *model, state *s, unsigned index, const uint8_t *text, int32_t *sums,
                                 int32_t *folded, size_t count) {
    const channel *c = &model->ngrams.channel[index];
    const table *t = &model->table[index];
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        if (t->folded && s->rows[i]) {
            s->ids[known++] = s->rows[i];
            s->counts[index] += t->folded_counts[s->rows[i] - 1];
        }
    }
    if (known) add(model, folded, t->folded, s->ids, known, t->width);
    for (size_t i = 0; i < count; i++) {
        if (t->folded && s->rows[i]) continue;
        const size_t made = character_hashes(text, &s->words[i], c->low, c->high, s->hashes);
        const size_t found = rows_of(c, s->hashes, made, s->ids, EB_CHARS_PER_WORD);
        add(model, sums, t->rows, s->ids, found, t->width);
        s->counts[index] += (uint32_t)found;
    }
}

/* Reads a text and leaves its pooled vector [width] in `x`. */
static void pool(const eb_model *model, state *s, const uint8_t *text, size_t bytes, float *x) {
    for (size_t j = 0; j < model->width; j++) s->sums[j] = s->folded[j] = 0;
    for (unsigned i = 0; i < model->ngrams.channels; i++) s->windows[i].seen = 0, s->counts[i] = 0;
    size_t at = 0, left = model->ngrams.max_length, count;
    do {
        for (count = 0; count < CHUNK && left && next_word(text, bytes, &at, &s->words[count]); left--) count++;
        /* Words first: the characters' folded rows go by them. */
        size_t column = 0;
        for (unsigned i = 0; i < model->ngrams.channels; column += model->table[i++].width) {
            if (model->ngrams.channel[i].kind == EB_WORDS) add_word_ngrams(model, s, i, s->sums + column, count);
        }
        column = 0;
        for (unsigned i = 0; i < model->ngrams.channels; column += model->table[i++].width) {
            if (model->ngrams.channel[i].kind == EB_CHARACTERS) {
                add_character_ngrams(model, s, i, text, s->sums + column, s->folded + column, count);
            }
        }
    } while (count == CHUNK);
    for (unsigned i = 0, column = 0; i < model->ngrams.channels; column += (unsigned)model->table[i++].width) {
        const table *t = &model->table[i];
        const float n = (float)(s->counts[i] ? s->counts[i] : 1);
        const float share = 1.0f / (model->mean ? n : __builtin_sqrtf(n));
        model->kernels->rescale(x + column, s->sums + column, t->scales, t->width, 0);
        if (t->folded) model->kernels->rescale(x + column, s->folded + column, t->folded_scales, t->width, 1);
        for (size_t j = 0; j < t->width; j++) x[column + j] *= share;
    }
}

/* x [count] as whole numbers, so small that no product with a row of int8 weights leaves int32. Returns their scale. */
static float quantize(const eb_model *model, const float *x, int16_t *quantized, size_t count) {
    const union {
        uint32_t bits;
        float value;
    } found = {model->kernels->largest_bits(x, count)};
    const float largest = found.value;
    if (!(largest > 1e-30f && largest < 1e20f)) { /* nothing, or numbers that only a made-up model gives */
        for (size_t j = 0; j < count; j++) quantized[j] = 0;
        return 0;
    }
    const size_t room = (size_t)INT32_MAX / (128 * count) - 128;
    const float most = (float)(room < EB_MOST_ACTIVATION ? room : EB_MOST_ACTIVATION);
    model->kernels->round_off(x, most / largest, quantized, count);
    return largest / most;
}

/* out[o] (+)= layer of the quantized x. */
static void run_layer(const eb_model *model, state *s, const layer *l, float scale, float *out, bool on_top) {
    model->kernels->multiply(s->products, l->weights, s->quantized, l->outputs, l->inputs);
    for (size_t o = 0; o < l->outputs; o++) {
        const float y = (float)s->products[o] * (scale * l->scales[o]) + l->bias[o];
        out[o] = on_top ? out[o] + y : y;
    }
}

int eb_model_logits(const eb_model *model, const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes,
                    float *logits, void *scratch, size_t scratch_bytes) {
    if (a_bytes > EB_MOST_BYTES || b_bytes > EB_MOST_BYTES) return EB_TOO_LARGE;
    if (model->pairs != (b != 0)) return EB_BAD_ARGUMENT;
    if (scratch_bytes < eb_model_scratch(model) || (uintptr_t)scratch % EB_ALIGNMENT) return EB_SMALL_MEMORY;
    state *s = place(model, scratch);
    const size_t width = model->width;
    pool(model, s, a, a_bytes, s->x);
    if (b) { /* [a, b, a * b, |a - b|] */
        pool(model, s, b, b_bytes, s->x + width);
        for (size_t j = 0; j < width; j++) {
            const float first = s->x[j], second = s->x[width + j], apart = first - second;
            s->x[2 * width + j] = first * second;
            s->x[3 * width + j] = apart < 0 ? -apart : apart;
        }
    }
    const float scale = quantize(model, s->x, s->quantized, model->inputs);
    run_layer(model, s, &model->linear, scale, logits, false);
    if (!model->hidden.outputs) return EB_OK;
    run_layer(model, s, &model->hidden, scale, s->hidden, false);
    for (size_t h = 0; h < model->hidden.outputs; h++) s->hidden[h] = s->hidden[h] > 0 ? s->hidden[h] : 0;
    run_layer(model, s, &model->output, quantize(model, s->hidden, s->quantized, model->hidden.outputs), logits, true);
    return EB_OK;
}

/* e^x for x <= 0: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; within two units in the last place. */
static float exponential(float x) {
    if (x < -87.0f) return 0;
    const float n = (float)(int32_t)(x * 1.44269504f - 0.5f);
    const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.0f / 5040;
    p = p * r + 1.0f / 720, p = p * r + 1.0f / 120, p = p * r + 1.0f / 24, p = p * r + 1.0f / 6;
    p = p * r + 0.5f, p = p * r + 1.0f, p = p * r + 1.0f;
    const union {
        uint32_t bits;
        float value;
    } power = {(uint32_t)((int32_t)n + 127) << 23};
    return p * power.value;
}

void eb_softmax(float *logits, unsigned classes) {
    float largest = classes ? logits[0] : 0, sum = 0;
    for (unsigned i = 1; i < classes; i++) largest = logits[i] > largest ? logits[i] : largest;
    for (unsigned i = 0; i < classes; i++) sum += logits[i] = exponential(logits[i] - largest);
    for (unsigned i = 0; i < classes; i++) logits[i] /= sum;
}

const char *eb_message(int status) {
    switch (status) {
        case EB_OK: return "no error";
        case EB_BAD_MODEL: return "the file is not an EdgeBERT model, or it is damaged";
        case EB_BAD_VERSION: return "the file was made for another version of EdgeBERT";
        case EB_SMALL_MEMORY: return "the memory given is too small or not aligned to 64 bytes";
        case EB_BAD_ARGUMENT: return "an argument makes no sense, or a pair was given where one text is taken, or the reverse";
        case EB_BAD_VOCABULARY: return "the vocabulary is not UTF-8 or lacks one of [PAD], [UNK], [CLS], [SEP]";
        case EB_TOO_LARGE: return "the text is larger than 1 GiB";
        default: return "unknown status";
    }
}
