/*
 * The yardsticks: a short burst of FMAs that says how fast this core runs at the moment, and a read
 * of memory that says what the bus gives. Target attributes: called on any CPU.
 */
#include "kb.h"

#include "kcheck/fma_burst.h"

#include <time.h>

double kb_seconds(bool cpu)
{
    struct timespec ts;
    clock_gettime(cpu ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

#if defined(__x86_64__)
enum { STEPS = 40000 };

double kb_burst(void)
{
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !__builtin_cpu_supports("fma")) return 0;
    volatile float sink = 0;
    const double t0 = kb_seconds(true);
    sink = wide ? fma_burst_512(STEPS) : fma_burst_256(STEPS);
    const double t = kb_seconds(true) - t0;
    (void)sink;
    return fma_burst_flops(wide, STEPS) / t * 1e-9;
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
