/*
 * Measuring the roof. Every thread keeps the best of many short bursts, so that a neighbour on the
 * same core costs some bursts and not the result; threads run at the same time because shared
 * clocks, caches and memory channels are part of the answer.
 *
 * Target attributes instead of file flags: the file is called on any CPU, a function only where the
 * CPU has its instructions.
 */
#include "cli_roof.h"

#include "cli.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STEPS 20000
#define CHAINS 12
#define BURSTS 60
#define PASSES 4
#define SLICE ((size_t)96 << 20) /* bytes a thread streams: past the caches */
#define PIECE ((size_t)3 << 20)
#define MOST_BYTES ((size_t)1 << 30)
#define MOST_THREADS 256

/* Spelled out: literal indices keep the chains in registers, different starts keep the compiler
   from merging them. */
#define EACH_CHAIN(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11)

typedef float (*burst_fn)(void);

/* A burst of CHAINS * STEPS multiply-adds on vectors of `lanes` floats. */
#define BURST(name, attributes, vec, lanes)                                      \
    typedef float vec __attribute__((vector_size(lanes * sizeof(float))));       \
    attributes static float name(void)                                           \
    {                                                                            \
        vec a[CHAINS], x, y, sum;                                                \
        for (int l = 0; l < lanes; l++) x[l] = 0.999f, y[l] = 1e-3f, sum[l] = 0; \
        EACH_CHAIN(START)                                                        \
        for (int s = 0; s < STEPS; s++) {                                        \
            EACH_CHAIN(STEP)                                                     \
        }                                                                        \
        EACH_CHAIN(SUM)                                                          \
        return sum[0];                                                           \
    }
#define START(i) a[i] = x * (float)(i + 1);
#define STEP(i) a[i] = a[i] * x + y;
#define SUM(i) sum += a[i];

#if defined(__clang__)
#pragma STDC FP_CONTRACT ON
#define FUSED
#else
#define FUSED __attribute__((optimize("fp-contract=fast")))
#endif

#if defined(__x86_64__)
BURST(burst_sse, FUSED, vec4, 4)
BURST(burst_avx2, FUSED __attribute__((target("avx2,fma"))), vec8, 8)
BURST(burst_avx512, FUSED __attribute__((target("avx512f,fma"))), vec16, 16)
#else
BURST(burst_128, FUSED, vec4, 4)
#endif

typedef struct level {
    const char *isa;
    burst_fn burst;
    int lanes;
} level;

static level best_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return (level){"avx512", burst_avx512, 16};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return (level){"avx2", burst_avx2, 8};
    return (level){"sse", burst_sse, 4};
#else
    return (level){"128-bit vectors", burst_128, 4};
#endif
}

typedef struct worker {
    pthread_t thread;
    level lv;
    const uint64_t *data;
    size_t n;
    double flops, bytes;
    uint64_t sink;
    bool started;
} worker;

/* Four sums of vectors, so that reading and not adding is what takes time. */
static uint64_t stream(const uint64_t *data, size_t n)
{
    typedef uint64_t vec __attribute__((vector_size(16), aligned(8), may_alias));
    const vec *p = (const vec *)data;
    vec a = {0}, b = {0}, c = {0}, d = {0};
    for (size_t i = 0; i + 4 <= n / 2; i += 4) {
        a += p[i];
        b += p[i + 1];
        c += p[i + 2];
        d += p[i + 3];
    }
    a += b + c + d;
    return a[0] + a[1];
}

static void *work(void *arg)
{
    worker *w = arg;
    for (int r = 0; r < BURSTS; r++) {
        const double start = cli_now_s();
        const volatile float keep = w->lv.burst();
        const double s = cli_now_s() - start, flops = 2.0 * STEPS * CHAINS * w->lv.lanes;
        w->sink += keep > 0;
        if (s > 0 && flops / s > w->flops) w->flops = flops / s;
    }
    /* Piece by piece through far more than a cache holds: each comes from memory again. */
    const size_t piece = PIECE / sizeof *w->data;
    for (size_t i = 0, n = w->n / piece; i < PASSES * n; i++) {
        const double start = cli_now_s();
        w->sink += stream(w->data + i % n * piece, piece);
        const double s = cli_now_s() - start;
        if (s > 0 && PIECE / s > w->bytes) w->bytes = PIECE / s;
    }
    return NULL;
}

cli_roof cli_roof_measure(int threads)
{
    if (threads > MOST_THREADS) threads = MOST_THREADS;
    if (threads < 1) threads = 1;
    size_t slice = SLICE;
    if (slice * (size_t)threads > MOST_BYTES) slice = MOST_BYTES / (size_t)threads;
    cli_roof r = {.threads = threads, .isa = best_level().isa};
    worker *w = calloc((size_t)threads, sizeof *w);
    uint64_t *data = malloc(slice * (size_t)threads);
    if (!w || !data) {
        free(w);
        free(data);
        return (cli_roof){0};
    }
    memset(data, 1, slice * (size_t)threads);
    for (int i = 0; i < threads; i++) {
        w[i].lv = best_level();
        w[i].n = slice / sizeof *data;
        w[i].data = data + (size_t)i * w[i].n;
        w[i].started = i && pthread_create(&w[i].thread, NULL, work, &w[i]) == 0;
    }
    (void)work(&w[0]);
    for (int i = 0; i < threads; i++) {
        if (w[i].started) (void)pthread_join(w[i].thread, NULL);
        r.flops += w[i].flops;
        r.bytes += w[i].bytes;
    }
    free(data);
    free(w);
    return r;
}
