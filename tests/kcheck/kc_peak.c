/*
 * The FMA peak of this core, the yardstick of --bench. Target attributes instead of file flags: the
 * file is called on any CPU, the functions only where the CPU word has their level.
 */
#include "kcheck/kcheck.h"

#include <time.h>

double kc_cpu_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { STEPS = 200000, CHAINS = 12 };
/* Spelled out: literal indices keep the chains in registers at every optimisation level, and
   different starts keep the compiler from merging them. */
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define START256(i) a[i] = _mm256_set1_ps((float)(i));
#define STEP256(i) a[i] = _mm256_fmadd_ps(a[i], x, y);
#define SUM256(i) sum = _mm256_add_ps(sum, a[i]);
#define START512(i) a[i] = _mm512_set1_ps((float)(i));
#define STEP512(i) a[i] = _mm512_fmadd_ps(a[i], x, y);
#define SUM512(i) sum = _mm512_add_ps(sum, a[i]);

__attribute__((target("avx2,fma"))) static float burst_avx2(void)
{
    __m256 a[CHAINS], sum = _mm256_setzero_ps();
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    EACH_CHAIN(START256)
    for (int s = 0; s < STEPS; s++) {
        EACH_CHAIN(STEP256)
    }
    EACH_CHAIN(SUM256)
    return _mm256_cvtss_f32(sum);
}
__attribute__((target("avx512f"))) static float burst_avx512(void)
{
    __m512 a[CHAINS], sum = _mm512_setzero_ps();
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    EACH_CHAIN(START512)
    for (int s = 0; s < STEPS; s++) {
        EACH_CHAIN(STEP512)
    }
    EACH_CHAIN(SUM512)
    return _mm512_cvtss_f32(sum);
}

double kc_peak_gflops(const lmn_cpu *cpu)
{
    if (!(cpu->isa & LMN_ISA_AVX2)) return 0;
    bool wide = cpu->isa & LMN_ISA_AVX512;
    double best = 1e30;
    volatile float sink = 0;
    for (int r = 0; r < 20; r++) {
        double t0 = kc_cpu_seconds();
        sink = wide ? burst_avx512() : burst_avx2();
        double t = kc_cpu_seconds() - t0;
        if (t < best) best = t;
    }
    (void)sink;
    return 2.0 * STEPS * CHAINS * (wide ? 16 : 8) / best * 1e-9;
}
#else
double kc_peak_gflops(const lmn_cpu *cpu)
{
    (void)cpu;
    return 0;
}
#endif
