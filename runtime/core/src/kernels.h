/* The loops that the time goes into. Every version gives the same bits: sums are of whole numbers. */
#ifndef EDGEBERT_KERNELS_H
#define EDGEBERT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* Widths are multiples of this. */
#define EB_BLOCK 32
/* Rows whose int8 numbers can be added up in int16. */
#define EB_MOST_NARROW_ADDS 256
/* The largest activation: seven bits and a signed byte, so that it splits into two operands of SDOT. */
#define EB_MOST_ACTIVATION 16383

typedef struct kernels {
    /* sums[j] += numbers of rows[ids[i] - 1][j], for all i: int8 rows of `width` bytes. */
    void (*add_rows8)(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width);
    /* The same with 4-bit numbers (-8 to 7), two a byte: in each block of 32, byte k holds number k (low) and k + 16. */
    void (*add_rows4)(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width);
    /* out[r] = sum over j of weights[r][j] * x[j]. The caller keeps x so small that no sum leaves int32. */
    void (*multiply)(int32_t *out, const int8_t *weights, const int16_t *x, size_t rows, size_t width);
    /* See kernels_float.h. */
    void (*rescale)(float *x, const int32_t *sums, const float *scales, size_t count, int on_top);
    uint32_t (*largest_bits)(const float *x, size_t count);
    void (*round_off)(const float *x, float factor, int16_t *quantized, size_t count);
} kernels;

extern const kernels scalar_kernels;
#if defined(__x86_64__)
extern const kernels avx2_kernels, avx512_kernels;
#elif defined(__aarch64__)
extern const kernels neon_kernels, dotprod_kernels;
#endif

/* The fastest that `features` (EB_AVX2 …) and this build allow. */
const kernels *choose_kernels(uint32_t features);

#endif
