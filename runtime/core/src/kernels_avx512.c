/* AVX-512 (F, BW, VL, VNNI): as AVX2 with twice the width, and VPDPWSSD for the products. */
#if defined(__x86_64__)

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512vl,avx512vnni")
#endif

#include <immintrin.h>

#include "kernels_float.h"

static inline __m512i widen(const uint8_t *p) { return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const __m256i *)(const void *)p)); }

/* Adds 32 int16 sums to int32 ones. */
static inline void flush(int32_t *sums, __m512i narrow) {
    const __m512i low = _mm512_cvtepi16_epi32(_mm512_castsi512_si256(narrow));
    const __m512i high = _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(narrow, 1));
    _mm512_storeu_si512(sums, _mm512_add_epi32(_mm512_loadu_si512(sums), low));
    _mm512_storeu_si512(sums + 16, _mm512_add_epi32(_mm512_loadu_si512(sums + 16), high));
}

static void add_rows8(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t from = 0; from < count; from += EB_MOST_NARROW_ADDS) {
        const size_t to = count - from < EB_MOST_NARROW_ADDS ? count : from + EB_MOST_NARROW_ADDS;
        size_t block = 0;
        for (; block + 2 * EB_BLOCK <= width; block += 2 * EB_BLOCK) { /* a cache line a row */
            __m512i a = _mm512_setzero_si512(), b = a;
            for (size_t i = from; i < to; i++) {
                const uint8_t *row = rows + (size_t)(ids[i] - 1) * width + block;
                a = _mm512_add_epi16(a, widen(row)), b = _mm512_add_epi16(b, widen(row + EB_BLOCK));
            }
            flush(sums + block, a), flush(sums + block + EB_BLOCK, b);
        }
        for (; block < width; block += EB_BLOCK) {
            __m512i a = _mm512_setzero_si512();
            for (size_t i = from; i < to; i++) a = _mm512_add_epi16(a, widen(rows + (size_t)(ids[i] - 1) * width + block));
            flush(sums + block, a);
        }
    }
}

/* 16 bytes to 32 numbers: the low halves of all, then the high halves. */
static inline __m512i nibbles(const uint8_t *p) {
    const __m128i packed = _mm_loadu_si128((const __m128i *)(const void *)p);
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(packed), _mm_srli_epi16(packed, 4), 1);
    const __m256i eight = _mm256_set1_epi8(8);
    const __m256i biased = _mm256_xor_si256(_mm256_and_si256(both, _mm256_set1_epi8(15)), eight);
    return _mm512_cvtepi8_epi16(_mm256_sub_epi8(biased, eight));
}

static void add_rows4(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t from = 0; from < count; from += EB_MOST_NARROW_ADDS) {
        const size_t to = count - from < EB_MOST_NARROW_ADDS ? count : from + EB_MOST_NARROW_ADDS;
        for (size_t block = 0; block < width; block += EB_BLOCK) {
            __m512i a = _mm512_setzero_si512();
            for (size_t i = from; i < to; i++) a = _mm512_add_epi16(a, nibbles(rows + ((size_t)(ids[i] - 1) * width + block) / 2));
            flush(sums + block, a);
        }
    }
}

static inline __m256i fold(__m512i v) {
    return _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
}

/* Four rows at a time share the loads of x and one reduction. */
static inline void multiply_four(int32_t *out, const uint8_t *row, const int16_t *x, size_t width) {
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
    for (size_t j = 0; j < width; j += EB_BLOCK) {
        const __m512i in = _mm512_loadu_si512(x + j);
        for (size_t r = 0; r < 4; r++) sum[r] = _mm512_dpwssd_epi32(sum[r], widen(row + r * width + j), in);
    }
    const __m256i low = _mm256_hadd_epi32(fold(sum[0]), fold(sum[1])), high = _mm256_hadd_epi32(fold(sum[2]), fold(sum[3]));
    const __m256i halves = _mm256_hadd_epi32(low, high);
    _mm_storeu_si128((__m128i *)(void *)out,
                     _mm_add_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1)));
}

static void multiply(int32_t *out, const int8_t *weights, const int16_t *x, size_t rows, size_t width) {
    const uint8_t *row = (const uint8_t *)weights;
    size_t r = 0;
    for (; r + 4 <= rows; r += 4, row += 4 * width) multiply_four(out + r, row, x, width);
    for (; r < rows; r++, row += width) {
        __m512i sum = _mm512_setzero_si512();
        for (size_t j = 0; j < width; j += EB_BLOCK) {
            sum = _mm512_dpwssd_epi32(sum, widen(row + j), _mm512_loadu_si512(x + j));
        }
        out[r] = _mm512_reduce_add_epi32(sum);
    }
}

const kernels avx512_kernels = {add_rows8, add_rows4, multiply, rescale, largest_bits, round_off};

#if defined(__clang__)
#pragma clang attribute pop
#endif

#else
typedef int not_for_this_processor;
#endif
