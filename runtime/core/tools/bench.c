/* edgebert-bench: how fast the core is on this machine, and whether it gives the same bits as on another one.
 *
 * Replays every line of a text file, through a model (.ebnn) or through WordPiece alone. Prints sentences a second,
 * percentiles, and a checksum of all results. Lines that hold a TAB are pairs when the model takes pairs. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "edgebert.h"
#include "system_features.h"

enum { MAX_LENGTH = 128, MOST_ROUNDS = 1000 };

static const char usage[] =
    "usage: edgebert-bench MODEL.ebnn TEXTS.txt [--features NAME] [--rounds N] [--json]\n"
    "       edgebert-bench --wordpiece vocab.txt TEXTS.txt [--cased] [--rounds N] [--json]\n"
    "TEXTS.txt has one text a line. A model of pairs takes lines `first TAB second`.\n"
    "--features: auto (what this processor can do), scalar, avx2, avx512, neon or dotprod.\n"
    "--rounds: 1 to 1000; 5 when not given.\n";

__attribute__((noreturn, format(printf, 2, 3))) static void fail(int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("edgebert-bench: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(status == 2 ? "\nedgebert-bench --help tells the options.\n" : "\n", stderr);
    exit(status);
}

/* ---- input ----------------------------------------------------------------------------------------------------- */

typedef struct bytes_of {
    const uint8_t *at;
    size_t size;
} bytes_of;

static bytes_of map_file(const char *path) {
    const int file = open(path, O_RDONLY);
    struct stat facts;
    if (file < 0 || fstat(file, &facts)) fail(1, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(facts.st_mode)) fail(1, "%s is not a regular file", path);
    if (facts.st_size == 0) fail(1, "%s is empty", path);
    void *at = mmap(0, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (at == MAP_FAILED) fail(1, "cannot map %s: %s", path, strerror(errno));
    close(file);
    return (bytes_of){at, (size_t)facts.st_size};
}

static void *allocate(size_t bytes) {
    void *memory = aligned_alloc(EB_ALIGNMENT, (bytes + EB_ALIGNMENT) / EB_ALIGNMENT * EB_ALIGNMENT);
    if (!memory) fail(1, "no memory for %zu bytes", bytes);
    return memory;
}

typedef struct line {
    bytes_of a, b; /* b.at is null but for a pair */
} line;

typedef struct lines {
    line *line;
    size_t count, bytes;
} lines;

static bytes_of cut(const uint8_t *from, const uint8_t *to) { return (bytes_of){from, (size_t)(to - from)}; }

static line make_line(bytes_of text, bool pairs, size_t number) {
    if (!pairs) return (line){text, {0, 0}};
    const uint8_t *tab = memchr(text.at, '\t', text.size);
    if (!tab) fail(1, "the model takes pairs, and line %zu has no TAB", number);
    return (line){cut(text.at, tab), cut(tab + 1, text.at + text.size)};
}

static lines split_lines(bytes_of file, bool pairs) {
    const uint8_t *at = file.at, *end = file.at + file.size;
    size_t count = end[-1] != '\n';
    for (size_t i = 0; i < file.size; i++) count += file.at[i] == '\n';
    lines all = {allocate(count * sizeof(line)), 0, file.size};
    while (at < end) {
        const uint8_t *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        all.line[all.count] = make_line(cut(at, stop), pairs, all.count + 1);
        all.count++;
        at = stop + 1;
    }
    return all;
}

/* ---- what is run ------------------------------------------------------------------------------------------------- */

/* FNV-1a, word by word; wasm_run.mjs does the same. */
static void add(uint64_t *checksum, uint32_t word) { *checksum = (*checksum ^ word) * 0x100000001B3u; }

static void check(int64_t status, const char *what) {
    if (status < 0) fail(1, "%s: %s", what, eb_message((int)status));
}

/* A model or a tokenizer: `run` does what is timed, `summarize` takes the results of a line into the checksum. */
typedef struct subject {
    void (*run)(struct subject *it, const line *text);
    void (*summarize)(struct subject *it, const line *text, uint64_t *checksum);
    const char *kind;
    const eb_model *model;
    const eb_wordpiece *wordpiece;
    float *logits;
    void *scratch;
    size_t scratch_bytes, capacity;
    eb_token *tokens;
    int32_t ids[MAX_LENGTH], types[MAX_LENGTH];
    int64_t count;
} subject;

static void run_model(subject *it, const line *text) {
    check(eb_model_logits(it->model, text->a.at, text->a.size, text->b.at, text->b.size, it->logits, it->scratch,
                          it->scratch_bytes),
          "logits");
}

static void summarize_model(subject *it, const line *text, uint64_t *checksum) {
    (void)text;
    for (unsigned i = 0; i < eb_model_classes(it->model); i++) {
        uint32_t bits;
        memcpy(&bits, &it->logits[i], sizeof bits);
        add(checksum, bits);
    }
}

static subject open_model(const char *path, uint32_t features) {
    const bytes_of file = map_file(path);
    subject it = {.run = run_model, .summarize = summarize_model, .kind = "model"};
    check(eb_model_open(allocate(eb_model_size()), eb_model_size(), file.at, file.size, features, &it.model), path);
    it.scratch_bytes = eb_model_scratch(it.model);
    it.scratch = allocate(it.scratch_bytes);
    it.logits = allocate(eb_model_classes(it.model) * sizeof(float));
    return it;
}

static void run_wordpiece(subject *it, const line *text) {
    it->count = eb_wordpiece_ids(it->wordpiece, text->a.at, text->a.size, 0, 0, MAX_LENGTH, it->ids, it->types,
                                 it->tokens);
    check(it->count, "ids");
}

static size_t all_tokens(subject *it, bytes_of text) {
    for (;;) {
        const int64_t count = eb_wordpiece_tokens(it->wordpiece, text.at, text.size, it->tokens, it->capacity, 0);
        check(count, "tokens");
        if ((uint64_t)count <= it->capacity) return (size_t)count;
        free(it->tokens);
        it->capacity = (size_t)count;
        it->tokens = allocate(it->capacity * sizeof(eb_token));
    }
}

static void summarize_wordpiece(subject *it, const line *text, uint64_t *checksum) {
    add(checksum, (uint32_t)it->count);
    for (int64_t i = 0; i < it->count; i++) add(checksum, (uint32_t)it->ids[i]), add(checksum, (uint32_t)it->types[i]);
    for (int unit = EB_BYTES; unit <= EB_UTF16; unit++) {
        const size_t count = all_tokens(it, text->a);
        eb_offsets_convert(text->a.at, text->a.size, it->tokens, count, (eb_unit)unit);
        add(checksum, (uint32_t)count);
        for (size_t i = 0; i < count; i++) {
            const eb_token *token = &it->tokens[i];
            add(checksum, (uint32_t)token->id), add(checksum, token->word);
            add(checksum, token->start), add(checksum, token->end);
        }
    }
}

static subject open_wordpiece(const char *path, bool cased) {
    const bytes_of file = map_file(path);
    subject it = {.run = run_wordpiece, .summarize = summarize_wordpiece, .kind = "wordpiece", .capacity = MAX_LENGTH};
    const size_t size = eb_wordpiece_size(file.at, file.size);
    if (size == 0) fail(1, "%s: %s", path, eb_message(EB_BAD_VOCABULARY));
    const uint32_t flags = cased ? 0 : EB_LOWERCASE | EB_STRIP_ACCENTS;
    check(eb_wordpiece_make(allocate(size), size, file.at, file.size, flags, &it.wordpiece), path);
    it.tokens = allocate(it.capacity * sizeof(eb_token));
    return it;
}

/* ---- time ------------------------------------------------------------------------------------------------------ */

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int ascending(const void *a, const void *b) {
    const double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* Percentile of sorted values, between two of them by linear interpolation. */
static double percentile(const double *sorted, size_t count, double percent) {
    const double place = percent / 100 * (double)(count - 1);
    const size_t below = (size_t)place;
    if (below + 1 >= count) return sorted[count - 1];
    return sorted[below] + (place - (double)below) * (sorted[below + 1] - sorted[below]);
}

typedef struct result {
    uint64_t checksum;
    double per_second; /* of the middle round */
    double p50, p90, p99; /* us, of all rounds */
} result;

/* The first pass warms up and takes the checksum. Each round then reads the texts twice: without a clock inside, for
 * the speed, and timing each text, for the percentiles. */
static result measure(subject *it, const lines *texts, size_t rounds) {
    result found = {.checksum = 0xCBF29CE484222325u};
    double *seconds = allocate(rounds * sizeof(double)), *each = allocate(rounds * texts->count * sizeof(double));
    for (size_t i = 0; i < texts->count; i++) {
        it->run(it, &texts->line[i]);
        it->summarize(it, &texts->line[i], &found.checksum);
    }
    for (size_t round = 0; round < rounds; round++) {
        const double start = now();
        for (size_t i = 0; i < texts->count; i++) it->run(it, &texts->line[i]);
        seconds[round] = now() - start;
        for (size_t i = 0; i < texts->count; i++) {
            const double before = now();
            it->run(it, &texts->line[i]);
            each[round * texts->count + i] = now() - before;
        }
    }
    qsort(seconds, rounds, sizeof(double), ascending);
    qsort(each, rounds * texts->count, sizeof(double), ascending);
    found.per_second = (double)texts->count / percentile(seconds, rounds, 50);
    found.p50 = percentile(each, rounds * texts->count, 50) * 1e6;
    found.p90 = percentile(each, rounds * texts->count, 90) * 1e6;
    found.p99 = percentile(each, rounds * texts->count, 99) * 1e6;
    return found;
}

/* ---- command line ------------------------------------------------------------------------------------------------ */

typedef struct options {
    const char *model, *vocabulary, *texts;
    const char *features;
    size_t rounds;
    bool cased, json;
} options;

static const struct {
    const char *name;
    uint32_t bits;
} choices[] = {{"scalar", EB_SCALAR},
               {"avx2", EB_AVX2},
               {"avx512", EB_AVX2 | EB_AVX512},
               {"neon", EB_NEON},
               {"dotprod", EB_NEON | EB_DOTPROD}};

enum { CHOICES = sizeof choices / sizeof choices[0] };

static uint32_t chosen_features(const char *name) {
    const uint32_t all = system_features();
    if (!strcmp(name, "auto")) return all;
    for (size_t i = 0; i < CHOICES; i++) {
        if (strcmp(name, choices[i].name)) continue;
        if (choices[i].bits & ~all) fail(1, "this processor has no %s", name);
        return choices[i].bits;
    }
    fail(2, "--features %s: not one of auto, scalar, avx2, avx512, neon, dotprod", name);
}

static const char *name_of(uint32_t features) {
    for (size_t i = 0; i < CHOICES; i++)
        if (choices[i].bits == features) return choices[i].name;
    return "unknown";
}

static size_t number_of_rounds(const char *text) {
    char *end;
    const long number = strtol(text, &end, 10);
    if (*end || end == text || number < 1 || number > MOST_ROUNDS) {
        fail(2, "--rounds %s: not a number from 1 to %d", text, MOST_ROUNDS);
    }
    return (size_t)number;
}

static const char *value_of(int count, char **words, int option) {
    if (option + 1 >= count) fail(2, "%s needs a value", words[option]);
    return words[option + 1];
}

static options parse(int count, char **words) {
    options it = {.features = 0, .rounds = 5};
    const char *files[2] = {0, 0};
    size_t given = 0;
    for (int i = 1; i < count; i++) {
        const char *word = words[i];
        if (!strcmp(word, "--help")) fputs(usage, stdout), exit(0);
        else if (!strcmp(word, "--features")) it.features = value_of(count, words, i++);
        else if (!strcmp(word, "--rounds")) it.rounds = number_of_rounds(value_of(count, words, i++));
        else if (!strcmp(word, "--wordpiece")) it.vocabulary = value_of(count, words, i++);
        else if (!strcmp(word, "--cased")) it.cased = true;
        else if (!strcmp(word, "--json")) it.json = true;
        else if (word[0] == '-') fail(2, "unknown option %s", word);
        else if (given == 2) fail(2, "too many files: %s", word);
        else files[given++] = word;
    }
    if (given != (it.vocabulary ? 1 : 2)) fail(2, "give a model (or --wordpiece vocab.txt) and a file of texts");
    if (it.cased && !it.vocabulary) fail(2, "--cased goes with --wordpiece");
    if (it.features && it.vocabulary) fail(2, "--features goes with a model");
    it.model = it.vocabulary ? 0 : files[0];
    it.texts = files[given - 1];
    return it;
}

static void print(const options *asked, const char *kind, const lines *texts, const result *found, uint32_t features) {
    const char *kernels = name_of(features);
    const double ns = 1e9 / found->per_second;
    if (asked->json) {
        printf("{\"mode\": \"%s\", \"features\": \"%s\", \"texts\": %zu, \"bytes\": %zu, \"rounds\": %zu, "
               "\"sentences_per_second\": %.1f, \"ns_per_sentence\": %.1f, \"p50_us\": %.3f, \"p90_us\": %.3f, "
               "\"p99_us\": %.3f, \"checksum\": \"%016llx\"}\n",
               kind, kernels, texts->count, texts->bytes, asked->rounds, found->per_second, ns, found->p50,
               found->p90, found->p99, (unsigned long long)found->checksum);
        return;
    }
    printf("%zu texts, %zu rounds, %s, kernels: %s\n", texts->count, asked->rounds, kind, kernels);
    printf("sentences/s  %.0f (%.0f ns each)\n", found->per_second, ns);
    printf("us/sentence  p50 %.2f  p90 %.2f  p99 %.2f\n", found->p50, found->p90, found->p99);
    printf("checksum     %016llx\n", (unsigned long long)found->checksum);
}

int main(int count, char **words) {
    const options asked = parse(count, words);
    const uint32_t features = asked.vocabulary ? EB_SCALAR : chosen_features(asked.features ? asked.features : "auto");
    subject it = asked.vocabulary ? open_wordpiece(asked.vocabulary, asked.cased) : open_model(asked.model, features);
    const lines texts = split_lines(map_file(asked.texts), it.model && eb_model_takes_pairs(it.model));
    const result found = measure(&it, &texts, asked.rounds);
    print(&asked, it.kind, &texts, &found, features);
    return 0;
}
