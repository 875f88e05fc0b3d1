/*
 * The yardsticks: a short burst of FMAs that says how fast this core runs at the moment, and a read
 * of memory that says what the bus gives. Target attributes: called on any CPU.
 */
#include "kb.h"

#include <time.h>

double kb_seconds(bool cpu)
{
    struct timespec ts;
    clock_gettime(cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

#if defined(__x86_64__)
#include <immintrin.h>

enum { STEPS = 40000, CHAINS = 12 };
/* Literal indices keep the chains in registers; different starts keep them apart. */
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)
#define START(i) a[i] = _mm256_set1_ps((float)(i));
#define STEP(i) a[i] = _mm256_fmadd_ps(a[i], x, y);
#define SUM(i) sum = _mm256_add_ps(sum, a[i]);
#define START_WIDE(i) a[i] = _mm512_set1_ps((float)(i));
#define STEP_WIDE(i) a[i] = _mm512_fmadd_ps(a[i], x, y);
#define SUM_WIDE(i) sum = _mm512_add_ps(sum, a[i]);

__attribute__((target("avx2,fma"))) static float burst_256(void)
{
    __m256 a[CHAINS], sum = _mm256_setzero_ps();
    const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(1e-3f);
    EACH_CHAIN(START)
    for (int s = 0; s < STEPS; s++) {
        EACH_CHAIN(STEP)
    }
    EACH_CHAIN(SUM)
    return _mm256_cvtss_f32(sum);
}

__attribute__((target("avx512f"))) static float burst_512(void)
{
    __m512 a[CHAINS], sum = _mm512_setzero_ps();
    const __m512 x = _mm512_set1_ps(0.999f), y = _mm512_set1_ps(1e-3f);
    EACH_CHAIN(START_WIDE)
    for (int s = 0; s < STEPS; s++) {
        EACH_CHAIN(STEP_WIDE)
    }
    EACH_CHAIN(SUM_WIDE)
    return _mm512_cvtss_f32(sum);
}

double kb_burst(void)
{
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !__builtin_cpu_supports("fma")) return 0;
    volatile float sink = 0;
    const double t0 = kb_seconds(true);
    sink = wide ? burst_512() : burst_256();
    const double t = kb_seconds(true) - t0;
    (void)sink;
    return 2.0 * STEPS * CHAINS * (wide ? 16 : 8) / t * 1e-9;
}

__attribute__((target("avx2"))) void kb_read_bytes(const void *p, size_t bytes)
{
    const char *x = p;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i + 128 <= bytes; i += 128) {
        a = _mm256_or_si256(a, _mm256_loadu_si256((const __m256i *)(const void *)(x + i)));
        b = _mm256_or_si256(b, _mm256_loadu_si256((const __m256i *)(const void *)(x + i + 32)));
        c = _mm256_or_si256(c, _mm256_loadu_si256((const __m256i *)(const void *)(x + i + 64)));
        d = _mm256_or_si256(d, _mm256_loadu_si256((const __m256i *)(const void *)(x + i + 96)));
    }
    a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
    volatile int sink = _mm256_movemask_epi8(a);
    (void)sink;
}
#else
double kb_burst(void)
{
    return 0;
}
void kb_read_bytes(const void *p, size_t bytes)
{
    const uint64_t *x = p;
    uint64_t all = 0;
    for (size_t i = 0; i < bytes / 8; i++) all |= x[i];
    volatile uint64_t sink = all;
    (void)sink;
}
#endif
