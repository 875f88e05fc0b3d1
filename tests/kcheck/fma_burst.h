/*
 * A burst of FMAs in registers: as many FLOPs a second as this core does at the moment. Target
 * attributes instead of file flags: included on any CPU, called where the CPU has the level.
 */
#ifndef LMN_TESTS_KCHECK_FMA_BURST_H
#define LMN_TESTS_KCHECK_FMA_BURST_H

#include <stdbool.h>

enum { FMA_CHAINS = 12 };

/* FLOPs of a burst. */
static inline double fma_burst_flops(bool wide, int steps)
{
    return 2.0 * steps * FMA_CHAINS * (wide ? 16 : 8);
}

#if defined(__x86_64__)
#include <immintrin.h>

/* Spelled out: literal indices keep the chains in registers at every optimisation level, and
   different starts keep the compiler from merging them. */
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define START256(i) a[i] = _mm256_set1_ps((float)(i));
#define STEP256(i) a[i] = _mm256_fmadd_ps(a[i], x, y);
#define SUM256(i) sum = _mm256_add_ps(sum, a[i]);
#define START512(i) a[i] = _mm512_set1_ps((float)(i));
#define STEP512(i) a[i] = _mm512_fmadd_ps(a[i], x, y);
#define SUM512(i) sum = _mm512_add_ps(sum, a[i]);

__attribute__((target("avx2,fma"))) static inline float fma_burst_256(int steps)
{
    __m256 a[FMA_CHAINS], sum = _mm256_setzero_ps();
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    EACH_CHAIN(START256)
    for (int s = 0; s < steps; s++) {
        EACH_CHAIN(STEP256)
    }
    EACH_CHAIN(SUM256)
    return _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) static inline float fma_burst_512(int steps)
{
    __m512 a[FMA_CHAINS], sum = _mm512_setzero_ps();
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    EACH_CHAIN(START512)
    for (int s = 0; s < steps; s++) {
        EACH_CHAIN(STEP512)
    }
    EACH_CHAIN(SUM512)
    return _mm512_cvtss_f32(sum);
}

#undef EACH_CHAIN
#undef START256
#undef STEP256
#undef SUM256
#undef START512
#undef STEP512
#undef SUM512
#endif

#endif
