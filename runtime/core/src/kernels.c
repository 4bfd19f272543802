/* The reference kernels, and the choice among all. */
#include "kernels_float.h"

#include "edgebert.h"

static void add_rows8(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t i = 0; i < count; i++) {
        const int8_t *row = (const int8_t *)rows + (size_t)(ids[i] - 1) * width;
        for (size_t j = 0; j < width; j++) sums[j] += row[j];
    }
}

static void add_rows4(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t i = 0; i < count; i++) {
        const uint8_t *row = rows + (size_t)(ids[i] - 1) * (width / 2);
        for (size_t block = 0; block < width; block += EB_BLOCK, row += EB_BLOCK / 2) {
            for (size_t k = 0; k < EB_BLOCK / 2; k++) {
                sums[block + k] += (int32_t)((row[k] & 15u) ^ 8u) - 8;
                sums[block + EB_BLOCK / 2 + k] += (int32_t)(((unsigned)row[k] >> 4) ^ 8u) - 8;
            }
        }
    }
}

static void multiply(int32_t *out, const int8_t *weights, const int16_t *x, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, weights += width) {
        int32_t sum = 0;
        for (size_t j = 0; j < width; j++) sum += weights[j] * x[j];
        out[r] = sum;
    }
}

const kernels scalar_kernels = {add_rows8, add_rows4, multiply, rescale, largest_bits, round_off};

const kernels *choose_kernels(uint32_t features) {
#if defined(__x86_64__)
    if (features & EB_AVX512) return &avx512_kernels;
    if (features & EB_AVX2) return &avx2_kernels;
#elif defined(__aarch64__)
    if (features & EB_DOTPROD) return &dotprod_kernels;
    if (features & EB_NEON) return &neon_kernels;
#endif
    (void)features;
    return &scalar_kernels;
}
