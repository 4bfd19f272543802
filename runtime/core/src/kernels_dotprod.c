/* NEON with SDOT (Armv8.2 and later): an activation is split into a signed byte and seven bits, x = 128 * high + low. */
#if defined(__aarch64__)

#if !defined(__clang__) /* clang takes it from the command line: -march=armv8.2-a+dotprod */
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

#include "kernels_float.h"
#include "kernels_neon.h"

static void multiply(int32_t *out, const int8_t *weights, const int16_t *x, size_t rows, size_t width) {
    const int16x8_t seven = vdupq_n_s16(127);
    for (size_t r = 0; r < rows; r++, weights += width) {
        int32x4_t high = vdupq_n_s32(0), low = high;
        for (size_t j = 0; j < width; j += 16) {
            const int8x16_t row = vld1q_s8(weights + j);
            const int16x8_t first = vld1q_s16(x + j), second = vld1q_s16(x + j + 8);
            high = vdotq_s32(high, row, vcombine_s8(vshrn_n_s16(first, 7), vshrn_n_s16(second, 7)));
            low = vdotq_s32(low, row, vcombine_s8(vmovn_s16(vandq_s16(first, seven)), vmovn_s16(vandq_s16(second, seven))));
        }
        out[r] = 128 * vaddvq_s32(high) + vaddvq_s32(low);
    }
}

const kernels dotprod_kernels = {add_rows8, add_rows4, multiply, rescale, largest_bits, round_off};

#else
typedef int not_for_this_processor;
#endif
