/* Reading a .ebnn file: every number is checked here, once, so that inference need not. */
#include "model.h"

#define MAGIC 0x4E4E4245u /* "EBNN" */
#define VERSION 1u
#define HEADER 128u
#define ENTRY 32u
#define CHECKED_FROM 24u
#define MOST_SECTIONS 64u
#define MOST_WIDTH 65536u
#define MOST_CLASSES 65536u

/* A section's bytes; `at` is null when the file has none of this kind and channel. */
typedef struct section {
    const uint8_t *at;
    uint64_t size;
} section;

/* Four lanes of xor and multiply by an odd number: each step is one to one, so one changed word always shows. */
uint64_t eb_model_checksum(const uint8_t *file, size_t bytes) {
    if (bytes < CHECKED_FROM || bytes % 8 || (uintptr_t)file % sizeof(uint64_t)) return 0;
    const size_t count = bytes - CHECKED_FROM;
    uint64_t lane[4] = {1, 2, 3, 4};
    const uint64_t *words = (const uint64_t *)(const void *)(file + CHECKED_FROM);
    for (size_t i = 0; i < count / 8; i++) {
        lane[i % 4] = (lane[i % 4] ^ words[i]) * EB_MULTIPLIER;
        lane[i % 4] ^= lane[i % 4] >> 32;
    }
    uint64_t sum = count;
    for (unsigned i = 0; i < 4; i++) sum = mix(sum ^ lane[i]);
    return sum;
}

static section find(const uint8_t *file, section_kind kind, uint32_t channel) {
    const uint32_t count = read_u32(file + 24);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = file + HEADER + i * ENTRY;
        if (read_u32(entry) == (uint32_t)kind && read_u32(entry + 4) == channel) {
            return (section){file + read_u64(entry + 8), read_u64(entry + 16)};
        }
    }
    return (section){0, 0};
}

/* The section table: every section lies inside the file, aligned, behind the table. */
static bool sections_fit(const uint8_t *file, size_t bytes) {
    const uint32_t count = read_u32(file + 24);
    if (count > MOST_SECTIONS || HEADER + (size_t)count * ENTRY > bytes) return false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *entry = file + HEADER + i * ENTRY;
        const uint64_t offset = read_u64(entry + 8), size = read_u64(entry + 16);
        if (offset % EB_ALIGNMENT || offset < HEADER + (uint64_t)count * ENTRY) return false;
        if (offset > bytes || size > bytes - offset) return false;
    }
    return true;
}

/* Scales and biases are finite and not absurd, so that no product of a few of them overflows. */
static bool floats_make_sense(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!(values[i] > -1e9f && values[i] < 1e9f)) return false;
    }
    return true;
}

static bool open_floats(const uint8_t *file, section_kind kind, uint32_t channel, size_t count, const float **values) {
    const section found = find(file, kind, channel);
    if (!found.at || found.size != count * sizeof(float)) return false;
    *values = (const float *)(const void *)found.at;
    return floats_make_sense(*values, count);
}

static bool open_layer(const uint8_t *file, section_kind kind, size_t inputs, size_t outputs, layer *opened) {
    const section found = find(file, kind, 0);
    const uint64_t floats = 2 * (uint64_t)outputs;
    if (!found.at || found.size != floats * sizeof(float) + (uint64_t)inputs * outputs) return false;
    opened->inputs = inputs, opened->outputs = outputs;
    opened->scales = (const float *)(const void *)found.at;
    opened->bias = opened->scales + outputs;
    opened->weights = (const int8_t *)(const void *)(opened->bias + outputs);
    return floats_make_sense(opened->scales, (size_t)floats);
}

static bool open_rows(const uint8_t *file, section_kind kind, uint32_t channel, uint64_t bytes, const uint8_t **rows) {
    const section found = find(file, kind, channel);
    *rows = found.at;
    return found.at && found.size == bytes;
}

static bool open_table(eb_model *model, const uint8_t *file, uint32_t channel) {
    table *t = &model->table[channel];
    const uint64_t row = t->width * model->bits / 8;
    t->folded = t->folded_counts = 0, t->folded_scales = 0;
    if (!open_rows(file, SECTION_ROWS, channel, row * model->ngrams.channel[channel].known, &t->rows)) return false;
    if (!open_floats(file, SECTION_SCALES, channel, t->width, &t->scales)) return false;
    if (!model->fold || model->ngrams.channel[channel].kind != EB_CHARACTERS) return true;
    const uint64_t words = model->ngrams.channel[model->fold - 1].known;
    return open_rows(file, SECTION_FOLDED, channel, row * words, &t->folded) &&
           open_rows(file, SECTION_FOLDED_COUNTS, channel, words, &t->folded_counts) &&
           open_floats(file, SECTION_FOLDED_SCALES, channel, t->width, &t->folded_scales);
}

static bool open_widths(eb_model *model, const uint8_t *file) {
    model->width = 0;
    for (unsigned i = 0; i < model->ngrams.channels; i++) {
        const uint32_t width = read_u32(file + 64 + 4 * i);
        if (width < EB_BLOCK || width % EB_BLOCK || width > MOST_WIDTH) return false;
        model->table[i].width = width;
        model->width += width;
    }
    model->inputs = model->width * (model->pairs ? 4 : 1);
    return model->inputs <= MOST_WIDTH;
}

int load_model(eb_model *model, const uint8_t *file, size_t bytes) {
    if (bytes < HEADER || bytes % 8 || (uintptr_t)file % sizeof(uint64_t)) return EB_BAD_MODEL;
    if (read_u32(file) != MAGIC) return EB_BAD_MODEL;
    if (read_u32(file + 4) != VERSION) return EB_BAD_VERSION;
    if (read_u64(file + 8) != bytes) return EB_BAD_MODEL;
    if (read_u64(file + 16) != eb_model_checksum(file, bytes)) return EB_BAD_MODEL;
    if (!sections_fit(file, bytes)) return EB_BAD_MODEL;
    const section vocabulary = find(file, SECTION_NGRAMS, 0);
    if (!vocabulary.at) return EB_BAD_MODEL;
    const int status = open_ngrams(&model->ngrams, vocabulary.at, (size_t)vocabulary.size);
    if (status != EB_OK) return status;

    model->classes = read_u32(file + 28);
    const uint32_t hidden = read_u32(file + 32), flags = read_u32(file + 40);
    model->bits = read_u32(file + 44), model->fold = read_u32(file + 48);
    model->pairs = flags & EB_FLAG_PAIRS, model->mean = flags & EB_FLAG_MEAN;
    if (model->classes < 1 || model->classes > MOST_CLASSES || hidden % EB_BLOCK || hidden > MOST_WIDTH) return EB_BAD_MODEL;
    if (flags > (EB_FLAG_PAIRS | EB_FLAG_MEAN) || (model->bits != 8 && model->bits != 4)) return EB_BAD_MODEL;
    if (read_u32(file + 36) != model->ngrams.channels || model->fold > model->ngrams.channels) return EB_BAD_MODEL;
    if (model->fold) {
        const channel *words = &model->ngrams.channel[model->fold - 1];
        if (words->kind != EB_WORDS || words->high != 1) return EB_BAD_MODEL;
    }
    if (!open_widths(model, file)) return EB_BAD_MODEL;
    for (unsigned i = 0; i < model->ngrams.channels; i++) {
        if (!open_table(model, file, i)) return EB_BAD_MODEL;
    }
    if (!open_layer(file, SECTION_LINEAR, model->inputs, model->classes, &model->linear)) return EB_BAD_MODEL;
    model->hidden.outputs = 0;
    if (!hidden) return EB_OK;
    const bool fine = open_layer(file, SECTION_HIDDEN, model->inputs, hidden, &model->hidden) &&
                      open_layer(file, SECTION_OUTPUT, hidden, model->classes, &model->output);
    return fine ? EB_OK : EB_BAD_MODEL;
}
