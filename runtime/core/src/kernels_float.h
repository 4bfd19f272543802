/* Loops over floats, written once and compiled for each processor: every element is computed by itself, in the same order of
 * operations and never contracted, so however wide the vectors are, the bits are the same. Lengths are multiples of EB_BLOCK. */
#ifndef EDGEBERT_KERNELS_FLOAT_H
#define EDGEBERT_KERNELS_FLOAT_H

#include "kernels.h"

/* x[j] (+)= sums[j] * scales[j] */
static void rescale(float *x, const int32_t *sums, const float *scales, size_t count, int on_top) {
    if (on_top) {
        for (size_t j = 0; j < count; j++) x[j] += (float)sums[j] * scales[j];
    } else {
        for (size_t j = 0; j < count; j++) x[j] = (float)sums[j] * scales[j];
    }
}

/* Bits of the largest absolute value: of floats without their sign, the order of the bits is that of the numbers. */
static uint32_t largest_bits(const float *x, size_t count) {
    uint32_t largest = 0;
    for (size_t j = 0; j < count; j++) {
        const union {
            float value;
            uint32_t bits;
        } number = {x[j]};
        const uint32_t size = number.bits & 0x7FFFFFFFu;
        largest = size > largest ? size : largest;
    }
    return largest;
}

/* quantized[j] = x[j] * factor, rounded; halves away from zero. */
static void round_off(const float *x, float factor, int16_t *quantized, size_t count) {
    for (size_t j = 0; j < count; j++) {
        const float value = x[j] * factor;
        const int32_t whole = (int32_t)(value + (value < 0 ? -0.5f : 0.5f));
        quantized[j] = (int16_t)(whole > EB_MOST_ACTIVATION ? EB_MOST_ACTIVATION : whole);
    }
}

#endif
