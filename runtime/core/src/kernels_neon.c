/* NEON as every 64-bit Arm has it: widening multiply-add. */
#if defined(__aarch64__)

#include "kernels_float.h"
#include "kernels_neon.h"

static void multiply(int32_t *out, const int8_t *weights, const int16_t *x, size_t rows, size_t width) {
    for (size_t r = 0; r < rows; r++, weights += width) {
        int32x4_t a = vdupq_n_s32(0), b = a;
        for (size_t j = 0; j < width; j += 16) {
            const int8x16_t row = vld1q_s8(weights + j);
            const int16x8_t low = vmovl_s8(vget_low_s8(row)), high = vmovl_high_s8(row);
            const int16x8_t first = vld1q_s16(x + j), second = vld1q_s16(x + j + 8);
            a = vmlal_s16(a, vget_low_s16(low), vget_low_s16(first)), b = vmlal_high_s16(b, low, first);
            a = vmlal_s16(a, vget_low_s16(high), vget_low_s16(second)), b = vmlal_high_s16(b, high, second);
        }
        out[r] = vaddvq_s32(vaddq_s32(a, b));
    }
}

const kernels neon_kernels = {add_rows8, add_rows4, multiply, rescale, largest_bits, round_off};

#else
typedef int not_for_this_processor;
#endif
