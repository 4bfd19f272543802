/* How far n-gram lookups are from what memory allows: the cost of one against a random 64-byte gather.
 *
 *     cc -O3 -std=c11 -march=native -Iruntime/core/include -Iruntime/core/src benchmarks/gather.c \
 *        runtime/core/src/ngrams.c runtime/core/src/unicode_tables.c -o /tmp/gather && /tmp/gather [million rows]
 *
 * Both sum 64-byte rows of one table. The gather is told the rows; the lookup is given 64-bit hashes (all of them known)
 * and finds the rows through a vocabulary as a model has it. In turns, median of rounds. */
#define _POSIX_C_SOURCE 199309L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ngrams.h"

#define ROUNDS 15
#define LOOKUPS (1u << 20)
#define BLOCK 256u

static uint64_t state = 88172645463325252u;

static uint64_t next_random(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state * EB_MULTIPLIER;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int ascending(const void *a, const void *b) {
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static int by_size(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A vocabulary of these sorted hashes; the few that their line has no room for are left out, and `hashes` shortened. */
static channel vocabulary(uint64_t *hashes, uint32_t *count) {
    channel c = {EB_WORDS, 1, 1, 0, 0, NULL};
    while ((uint64_t)16 << c.bits < *count) c.bits++;
    line *lines = aligned_alloc(sizeof *lines, sizeof *lines << c.bits);
    if (!lines) exit(1);
    memset(lines, 0, sizeof *lines << c.bits);
    c.lines = lines;
    for (uint32_t i = 0; i < *count; i++) {
        line *l = lines + (line_of(&c, hashes[i]) - lines);
        if (l->count == EB_PRINTS) continue;
        if (!l->count) l->before = c.known;
        l->prints[l->count++] = (uint16_t)(hashes[i] >> (48 - c.bits));
        hashes[c.known++] = hashes[i];
    }
    *count = c.known;
    return c;
}

/* Sums the rows `ids`, 256 at a time (the n-grams of 64 words), each line asked for before any is read. */
static uint64_t add_rows(const uint64_t *rows, const int32_t *ids, size_t count) {
    uint64_t sums[8] = {0};
    for (size_t from = 0; from < count; from += BLOCK) {
        const size_t to = count - from < BLOCK ? count : from + BLOCK;
        for (size_t i = from; i < to; i++) __builtin_prefetch(rows + 8 * (size_t)(ids[i] - 1));
        for (size_t i = from; i < to; i++) {
            for (size_t j = 0; j < 8; j++) sums[j] += rows[8 * (size_t)(ids[i] - 1) + j];
        }
    }
    return sums[0] ^ sums[1] ^ sums[2] ^ sums[3] ^ sums[4] ^ sums[5] ^ sums[6] ^ sums[7];
}

int main(int arguments, char **values) {
    uint32_t count = (uint32_t)((arguments > 1 ? atof(values[1]) : 1.0) * 1e6);
    uint64_t *hashes = malloc(count * sizeof *hashes), *wanted = malloc(LOOKUPS * sizeof *wanted);
    uint64_t *rows = aligned_alloc(64, 64 * (size_t)count);
    int32_t *ids = malloc(LOOKUPS * sizeof *ids), found[BLOCK];
    if (count < 1 || !hashes || !wanted || !rows || !ids) return 1;
    for (uint32_t i = 0; i < count; i++) hashes[i] = next_random();
    qsort(hashes, count, sizeof *hashes, ascending);
    for (size_t i = 0; i < 8 * (size_t)count; i++) rows[i] = i;
    const channel c = vocabulary(hashes, &count);
    for (size_t i = 0; i < LOOKUPS; i++) ids[i] = (int32_t)(next_random() % count) + 1, wanted[i] = hashes[ids[i] - 1];
    double gather[ROUNDS], lookup[ROUNDS];
    uint64_t sums[2] = {0, 0};
    for (int round = 0; round < ROUNDS; round++) {
        double start = seconds();
        sums[0] += add_rows(rows, ids, LOOKUPS);
        gather[round] = seconds() - start;
        start = seconds();
        for (size_t i = 0; i < LOOKUPS; i += BLOCK) {
            const size_t known = rows_of(&c, wanted + i, BLOCK, found, BLOCK);
            sums[1] += add_rows(rows, found, known);
        }
        lookup[round] = seconds() - start;
    }
    qsort(gather, ROUNDS, sizeof *gather, by_size), qsort(lookup, ROUNDS, sizeof *lookup, by_size);
    const double g = gather[ROUNDS / 2] / LOOKUPS * 1e9, l = lookup[ROUNDS / 2] / LOOKUPS * 1e9;
    printf("%u rows of 64 bytes (%.0f MB): gather %.2f ns, n-gram lookup and gather %.2f ns, ratio %.2f (%llx)\n", count,
           64e-6 * count, g, l, l / g, (unsigned long long)(sums[0] ^ sums[1]));
    return 0;
}
