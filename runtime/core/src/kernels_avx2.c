/* AVX2: int8 numbers widened to int16 and added there, up to 256 rows at a time. */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif

#include <immintrin.h>

#include "kernels_float.h"

static inline __m256i widen(const uint8_t *p) { return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)p)); }

/* Adds 16 int16 sums to int32 ones. */
static inline void flush(int32_t *sums, __m256i narrow) {
    __m256i *out = (__m256i *)(void *)sums;
    const __m256i low = _mm256_cvtepi16_epi32(_mm256_castsi256_si128(narrow));
    const __m256i high = _mm256_cvtepi16_epi32(_mm256_extracti128_si256(narrow, 1));
    _mm256_storeu_si256(out, _mm256_add_epi32(_mm256_loadu_si256(out), low));
    _mm256_storeu_si256(out + 1, _mm256_add_epi32(_mm256_loadu_si256(out + 1), high));
}

static void add_rows8(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t from = 0; from < count; from += EB_MOST_NARROW_ADDS) {
        const size_t to = count - from < EB_MOST_NARROW_ADDS ? count : from + EB_MOST_NARROW_ADDS;
        for (size_t block = 0; block < width; block += EB_BLOCK) {
            __m256i a = _mm256_setzero_si256(), b = a;
            for (size_t i = from; i < to; i++) {
                const uint8_t *row = rows + (size_t)(ids[i] - 1) * width + block;
                a = _mm256_add_epi16(a, widen(row)), b = _mm256_add_epi16(b, widen(row + 16));
            }
            flush(sums + block, a), flush(sums + block + 16, b);
        }
    }
}

/* The numbers in the low four bits of each of 16 bytes, as int16. */
static inline __m256i nibbles(__m128i bytes) {
    const __m128i eight = _mm_set1_epi8(8);
    return _mm256_cvtepi8_epi16(_mm_sub_epi8(_mm_xor_si128(_mm_and_si128(bytes, _mm_set1_epi8(15)), eight), eight));
}

static void add_rows4(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t from = 0; from < count; from += EB_MOST_NARROW_ADDS) {
        const size_t to = count - from < EB_MOST_NARROW_ADDS ? count : from + EB_MOST_NARROW_ADDS;
        for (size_t block = 0; block < width; block += EB_BLOCK) {
            __m256i a = _mm256_setzero_si256(), b = a;
            for (size_t i = from; i < to; i++) {
                const uint8_t *row = rows + ((size_t)(ids[i] - 1) * width + block) / 2;
                const __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)row);
                a = _mm256_add_epi16(a, nibbles(packed));
                b = _mm256_add_epi16(b, nibbles(_mm_srli_epi16(packed, 4)));
            }
            flush(sums + block, a), flush(sums + block + 16, b);
        }
    }
}

static inline int32_t total(__m256i v) {
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 0xB1)));
}

/* Four rows at a time share the loads of x and one reduction. */
static inline void multiply_four(int32_t *out, const uint8_t *row, const int16_t *x, size_t width) {
    __m256i sum[4] = {_mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256(), _mm256_setzero_si256()};
    for (size_t j = 0; j < width; j += EB_BLOCK / 2) {
        const __m256i in = _mm256_loadu_si256((const __m256i *)(const void *)(x + j));
        for (size_t r = 0; r < 4; r++) sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(widen(row + r * width + j), in));
    }
    const __m256i halves = _mm256_hadd_epi32(_mm256_hadd_epi32(sum[0], sum[1]), _mm256_hadd_epi32(sum[2], sum[3]));
    _mm_storeu_si128((__m128i *)(void *)out,
                     _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}

static void multiply(int32_t *out, const int8_t *weights, const int16_t *x, size_t rows, size_t width) {
    const uint8_t *row = (const uint8_t *)weights;
    size_t r = 0;
    for (; r + 4 <= rows; r += 4, row += 4 * width) multiply_four(out + r, row, x, width);
    for (; r < rows; r++, row += width) {
        __m256i sum = _mm256_setzero_si256();
        for (size_t j = 0; j < width; j += EB_BLOCK / 2) {
            const __m256i in = _mm256_loadu_si256((const __m256i *)(const void *)(x + j));
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(widen(row + j), in));
        }
        out[r] = total(sum);
    }
}

const kernels avx2_kernels = {add_rows8, add_rows4, multiply, rescale, largest_bits, round_off};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int not_for_this_processor;
#endif
