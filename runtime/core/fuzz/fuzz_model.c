/* The n-gram vocabulary, the model file and inference over a damaged one.
 *
 * Input: flags (1 mend size and checksum of the file, 2 AVX2, 4 AVX-512 where they exist, 8 give a pair, 16 the file is
 * a vocabulary alone), two bytes for the text's size, the text, and the file. */
#include "fuzz.h"

/* Makes size and checksum right, so that mutations get past them. */
static void mend(uint8_t *file, uint64_t bytes) {
    if (bytes < 128) return;
    memcpy(file, "EBNN\1\0\0\0", 8);
    memcpy(file + 8, &bytes, 8);
    const uint64_t sum = eb_model_checksum(file, (size_t)bytes);
    memcpy(file + 16, &sum, 8);
}

typedef struct text_of {
    const uint8_t *at;
    size_t bytes;
} text_of;

static void try_channel(const eb_ngrams *ngrams, unsigned channel, text_of text) {
    const int64_t count = eb_ngrams_ids(ngrams, channel, text.at, text.bytes, 0, 0);
    EXPECT(count >= 0 && (uint64_t)count <= EB_CHARS_PER_WORD * (uint64_t)text.bytes);
    const size_t some = (size_t)count / 2;
    int32_t *ids = take((size_t)count * sizeof(int32_t)), *first = take(some * sizeof(int32_t));
    EXPECT(eb_ngrams_ids(ngrams, channel, text.at, text.bytes, ids, (size_t)count) == count);
    EXPECT(eb_ngrams_ids(ngrams, channel, text.at, text.bytes, first, some) == count);
    EXPECT(!memcmp(ids, first, some * sizeof(int32_t)));
    for (int64_t i = 0; i < count; i++) EXPECT(ids[i] > 0 && (uint32_t)ids[i] < eb_ngrams_rows(ngrams, channel));
    free(first), free(ids);
}

/* Words with rows, of any two channels: refused, or the words that eb_ngram_words finds. */
static void try_described(const eb_ngrams *ngrams, unsigned words, unsigned characters, text_of text) {
    const int64_t count = eb_ngrams_words(ngrams, words, characters, text.at, text.bytes, 0, 0);
    if (count == EB_BAD_ARGUMENT) return;
    EXPECT(count >= 0 && (uint64_t)count <= text.bytes);
    const size_t some = (size_t)count / 2, size = sizeof(eb_word);
    eb_word *found = take((size_t)count * size), *first = take(some * size);
    uint32_t *ranges = take((size_t)count * 8);
    EXPECT(eb_ngrams_words(ngrams, words, characters, text.at, text.bytes, found, (size_t)count) == count);
    EXPECT(eb_ngrams_words(ngrams, words, characters, text.at, text.bytes, first, some) == count);
    EXPECT(!memcmp(found, first, some * size));
    EXPECT(eb_ngram_words(text.at, text.bytes, ranges, (size_t)count) == count);
    for (int64_t i = 0; i < count; i++) {
        EXPECT(found[i].start == ranges[2 * i] && found[i].end == ranges[2 * i + 1]);
        EXPECT(found[i].row >= 0 && (uint32_t)found[i].row < eb_ngrams_rows(ngrams, words));
        EXPECT(found[i].shape >= EB_SHAPE_LOWER && found[i].shape <= EB_SHAPE_OTHER);
        for (int k = 0; k < EB_CHARS_PER_WORD; k++) {
            EXPECT(found[i].characters[k] >= 0 && (uint32_t)found[i].characters[k] < eb_ngrams_rows(ngrams, characters));
            EXPECT(k == 0 || found[i].characters[k] == 0 || found[i].characters[k - 1]);
        }
    }
    for (eb_unit unit = EB_CODE_POINTS; unit <= EB_UTF16; unit++) {
        eb_word *converted = copy_of(found, (size_t)count * size);
        eb_words_convert(text.at, text.bytes, converted, (size_t)count, unit);
        for (int64_t i = 0; i < count; i++) {
            EXPECT(converted[i].start < converted[i].end && converted[i].end <= found[i].end);
            EXPECT(i == 0 || converted[i].start >= converted[i - 1].end);
        }
        free(converted);
    }
    free(ranges), free(first), free(found);
}

static void try_ngrams(const eb_ngrams *ngrams, text_of text) {
    const unsigned channels = eb_ngrams_channels(ngrams);
    EXPECT(channels >= 1 && channels <= EB_MOST_CHANNELS);
    for (unsigned i = 0; i < channels; i++) try_channel(ngrams, i, text);
    for (unsigned i = 0; i <= channels; i++) {
        for (unsigned k = 0; k <= channels; k++) try_described(ngrams, i, k, text);
    }
    EXPECT(eb_ngrams_ids(ngrams, channels, text.at, text.bytes, 0, 0) == EB_BAD_ARGUMENT);
}

static void try_words(text_of text) {
    const int64_t count = eb_ngram_words(text.at, text.bytes, 0, 0);
    EXPECT(count >= 0 && (uint64_t)count <= text.bytes);
    uint32_t *ranges = take((size_t)count * 8);
    EXPECT(eb_ngram_words(text.at, text.bytes, ranges, (size_t)count) == count);
    for (int64_t i = 0; i < count; i++) {
        EXPECT(ranges[2 * i] < ranges[2 * i + 1] && ranges[2 * i + 1] <= text.bytes);
        EXPECT(i == 0 || ranges[2 * i] >= ranges[2 * i - 1]);
    }
    free(ranges);
}

static void logits_of(const eb_model *model, text_of a, text_of b, float *logits) {
    const size_t bytes = eb_model_scratch(model);
    EXPECT(bytes < 1u << 25);
    void *scratch = take(bytes);
    memset(scratch, 0xA5, bytes); /* results must not depend on what was there */
    const int status = eb_model_logits(model, a.at, a.bytes, b.at, b.bytes, logits, scratch, bytes);
    EXPECT(status == (eb_model_takes_pairs(model) == (b.at != 0) ? EB_OK : EB_BAD_ARGUMENT));
    free(scratch);
}

/* Every kernel gives the same bits. */
static void try_model(const uint8_t *file, size_t bytes, uint32_t features, text_of a, text_of b) {
    const size_t size = eb_model_size();
    void *memory = take(size), *reference_memory = take(size);
    const eb_model *model = 0, *reference = 0;
    const int status = eb_model_open(memory, size, file, bytes, features, &model);
    EXPECT(eb_model_open(reference_memory, size, file, bytes, EB_SCALAR, &reference) == status);
    if (status == EB_OK) {
        const size_t classes = eb_model_classes(model);
        float *logits = take(classes * sizeof(float)), *expected = take(classes * sizeof(float));
        memset(logits, 0, classes * sizeof(float)), memset(expected, 0, classes * sizeof(float));
        logits_of(model, a, b, logits);
        logits_of(reference, a, b, expected);
        EXPECT(!memcmp(logits, expected, classes * sizeof(float)));
        eb_softmax(logits, (unsigned)classes);
        try_ngrams(eb_model_ngrams(model), a);
        free(expected), free(logits);
    } else {
        EXPECT(status == EB_BAD_MODEL || status == EB_BAD_VERSION);
    }
    free(reference_memory), free(memory);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input in = {data, size};
    const uint8_t flags = next_byte(&in);
    const size_t most = next_byte(&in);
    const input given = next_part(&in, most | (size_t)next_byte(&in) << 8);
    uint8_t *copy = copy_of(given.at, given.left), *file = copy_of(in.at, in.left);
    const text_of text = {copy, given.left}, second = {copy + given.left / 2, given.left - given.left / 2};
    try_words(text);
    if (flags & 16) {
        void *memory = take(eb_ngrams_size());
        const eb_ngrams *ngrams = 0;
        const int status = eb_ngrams_open(memory, eb_ngrams_size(), file, in.left, &ngrams);
        EXPECT(status == EB_OK || status == EB_BAD_MODEL || status == EB_BAD_VERSION);
        if (status == EB_OK) try_ngrams(ngrams, text);
        free(memory);
    } else {
        if (flags & 1) mend(file, in.left);
        const uint32_t wanted = (flags & 2 ? EB_AVX2 : 0) | (flags & 4 ? EB_AVX2 | EB_AVX512 : 0);
        try_model(file, in.left, wanted & eb_cpu_features(), text, flags & 8 ? second : (text_of){0, 0});
    }
    free(file), free(copy);
    return 0;
}
