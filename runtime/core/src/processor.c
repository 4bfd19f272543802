/* What this processor can do, asked of the processor itself. */
#include "edgebert.h"

#ifdef __x86_64__

typedef struct registers {
    uint32_t eax, ebx, ecx, edx;
} registers;

static registers cpuid(uint32_t leaf) {
    registers r;
    __asm__ volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(0));
    return r;
}

/* Which registers the operating system saves at a task switch. Only to be asked when cpuid says OSXSAVE. */
static uint32_t saved_by_system(void) {
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int has(uint32_t value, uint32_t bits) { return (value & bits) == bits; }

uint32_t eb_cpu_features(void) {
    const uint32_t popcnt = 1u << 23, osxsave = 1u << 27, avx = 1u << 28, fma = 1u << 12, f16c = 1u << 29;
    const uint32_t ymm = 0x06, zmm = 0xE6; /* XMM and YMM; and the mask registers and both parts of ZMM */
    const uint32_t avx2 = 1u << 5, avx512f = 1u << 16, avx512bw = 1u << 30, avx512vl = 1u << 31; /* leaf 7, ebx */
    const uint32_t vnni = 1u << 11;                                                             /* leaf 7, ecx */
    if (cpuid(0).eax < 7) return EB_SCALAR;
    const registers basic = cpuid(1), more = cpuid(7);
    if (!has(basic.ecx, popcnt | osxsave | avx)) return EB_SCALAR;
    const uint32_t saved = saved_by_system();
    if (!has(saved, ymm) || !has(more.ebx, avx2)) return EB_SCALAR;
    /* FMA and F16C: compilers take them for granted where AVX-512F is. */
    if (!has(saved, zmm) || !has(basic.ecx, fma | f16c)) return EB_AVX2;
    if (!has(more.ebx, avx512f | avx512bw | avx512vl) || !has(more.ecx, vnni)) return EB_AVX2;
    return EB_AVX2 | EB_AVX512;
}

#elif defined(__aarch64__)

uint32_t eb_cpu_features(void) { return EB_NEON; } /* every 64-bit Arm has it; more only the system may be asked */

#else

uint32_t eb_cpu_features(void) { return EB_SCALAR; }

#endif
