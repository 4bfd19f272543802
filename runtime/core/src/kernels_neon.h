/* What both NEON versions share: adding rows. */
#ifndef EDGEBERT_KERNELS_NEON_H
#define EDGEBERT_KERNELS_NEON_H

#include <arm_neon.h>

#include "kernels.h"

/* Adds 16 int16 sums to int32 ones. */
static inline void flush(int32_t *sums, int16x8_t low, int16x8_t high) {
    vst1q_s32(sums, vaddw_s16(vld1q_s32(sums), vget_low_s16(low)));
    vst1q_s32(sums + 4, vaddw_high_s16(vld1q_s32(sums + 4), low));
    vst1q_s32(sums + 8, vaddw_s16(vld1q_s32(sums + 8), vget_low_s16(high)));
    vst1q_s32(sums + 12, vaddw_high_s16(vld1q_s32(sums + 12), high));
}

static inline void add_rows8(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    for (size_t from = 0; from < count; from += EB_MOST_NARROW_ADDS) {
        const size_t to = count - from < EB_MOST_NARROW_ADDS ? count : from + EB_MOST_NARROW_ADDS;
        for (size_t block = 0; block < width; block += EB_BLOCK) {
            int16x8_t a = vdupq_n_s16(0), b = a, c = a, d = a;
            for (size_t i = from; i < to; i++) {
                const int8_t *row = (const int8_t *)rows + (size_t)(ids[i] - 1) * width + block;
                const int8x16_t first = vld1q_s8(row), second = vld1q_s8(row + 16);
                a = vaddw_s8(a, vget_low_s8(first)), b = vaddw_high_s8(b, first);
                c = vaddw_s8(c, vget_low_s8(second)), d = vaddw_high_s8(d, second);
            }
            flush(sums + block, a, b), flush(sums + block + 16, c, d);
        }
    }
}

static inline void add_rows4(int32_t *sums, const uint8_t *rows, const int32_t *ids, size_t count, size_t width) {
    const uint8x16_t eight = vdupq_n_u8(8);
    for (size_t from = 0; from < count; from += EB_MOST_NARROW_ADDS) {
        const size_t to = count - from < EB_MOST_NARROW_ADDS ? count : from + EB_MOST_NARROW_ADDS;
        for (size_t block = 0; block < width; block += EB_BLOCK) {
            int16x8_t a = vdupq_n_s16(0), b = a, c = a, d = a;
            for (size_t i = from; i < to; i++) {
                const uint8x16_t packed = vld1q_u8(rows + ((size_t)(ids[i] - 1) * width + block) / 2);
                const uint8x16_t low = veorq_u8(vandq_u8(packed, vdupq_n_u8(15)), eight);
                const uint8x16_t high = veorq_u8(vshrq_n_u8(packed, 4), eight);
                const int8x16_t first = vreinterpretq_s8_u8(vsubq_u8(low, eight));
                const int8x16_t second = vreinterpretq_s8_u8(vsubq_u8(high, eight));
                a = vaddw_s8(a, vget_low_s8(first)), b = vaddw_high_s8(b, first);
                c = vaddw_s8(c, vget_low_s8(second)), d = vaddw_high_s8(d, second);
            }
            flush(sums + block, a, b), flush(sums + block + 16, c, d);
        }
    }
}

#endif
