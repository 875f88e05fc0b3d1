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

#define READ(v, at) v = _mm256_or_si256(v, _mm256_loadu_si256((const __m256i *)(const void *)(at)))

__attribute__((target("avx2"))) static void read_on(const char *x, size_t bytes)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i + 128 <= bytes; i += 128) {
        READ(a, x + i), READ(b, x + i + 32), READ(c, x + i + 64), READ(d, x + i + 96);
    }
    a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
    volatile int sink = _mm256_movemask_epi8(a);
    (void)sink;
}

/* Four streams, a quarter each, and a line of the page 16 KiB on of each touched: hardware follows
   streams up to the end of a page, and a read of one stream waits for walks to pages. */
__attribute__((target("avx2"))) static void read_runs(const char *x, size_t bytes)
{
    enum { PAGE = 4096, RUNS = 4, AHEAD = 4 * PAGE };
    const size_t each = bytes / RUNS / 64 * 64;
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
    for (size_t i = 0; i < each; i += 64) {
        const char *y = x + i;
        for (size_t q = 0; i % PAGE == 0 && q < RUNS; q++)
            __builtin_prefetch((const void *)((uintptr_t)y + q * each + AHEAD), 0, 2);
        READ(a, y), READ(a, y + 32);
        READ(b, y + each), READ(b, y + each + 32);
        READ(c, y + 2 * each), READ(c, y + 2 * each + 32);
        READ(d, y + 3 * each), READ(d, y + 3 * each + 32);
    }
    a = _mm256_or_si256(_mm256_or_si256(a, b), _mm256_or_si256(c, d));
    volatile int sink = _mm256_movemask_epi8(a);
    (void)sink;
}

/* The faster of both: Zen 4 reads 64 MiB on small pages at 1.08 - 1.36 by runs, 4 MiB in L3 at 0.84
   of one stream. */
void kb_read_bytes(const void *p, size_t bytes)
{
    const size_t far = (size_t)16 << 20;
    (bytes > far ? read_runs : read_on)(p, bytes);
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
