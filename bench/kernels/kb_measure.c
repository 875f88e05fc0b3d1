/*
 * One case: every contender is checked, its calls a sample are counted, then round by round each is
 * sampled once, the first of a round being another every time. All samples are printed: medians and
 * ratios belong to whoever reads them.
 */
#include "kb.h"

#include "base/alloc.h"
#include "kernels/kset.h"
#include "sync/workpool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double sample_seconds = 1e-3;
enum { LEAST_ROUNDS = 3 };

bool kb_wants(const kb_run *run, const char *set, const char *name, double ops)
{
    if (run->set && strcmp(run->set, set) != 0) return false;
    if (run->only && !strstr(name, run->only)) return false;
    return !run->quick || ops < 2147483648.0;
}

kb_contender *kb_add(kb_case *c, const char *name, kb_kind kind, bool ours)
{
    if (c->n == KB_CONTENDERS) {
        fprintf(stderr, "bench_kernels: too many contenders in %s\n", c->name);
        exit(2);
    }
    kb_contender *k = &c->c[c->n++];
    *k = (kb_contender){.name = name, .kind = kind, .ours = ours};
    return k;
}

void kb_choose(lmn_kset *set)
{
    lmn_cpu cpu;
    (void)lmn_cpu_detect(&cpu, getenv("LAMINA_ISA"));
    (void)lmn_kset_choose(&cpu, getenv("LAMINA_KERNEL"), set);
}

void *kb_alloc(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 64) / 64 * 64);
    if (!p) {
        fprintf(stderr, "bench_kernels: no memory\n");
        exit(2);
    }
    return p;
}

lmn_workpool *kb_pool(int32_t threads)
{
    lmn_workpool *pool = NULL;
    const lmn_pool_opts opts = {.width = (uint32_t)threads};
    if (threads > 1 && lmn_workpool_create(&lmn_libc_allocator, &opts, &pool)) exit(2);
    return pool;
}

void kb_pool_release(lmn_workpool *pool)
{
    lmn_workpool_destroy(pool);
}

size_t kb_apart(size_t scratch_bytes)
{
    return lmn_worker_step(scratch_bytes, 2);
}

void kb_chunks(lmn_workpool *pool, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    if (n_chunks > 1 && pool) {
        lmn_workpool_for(pool, &(lmn_loop){.n_chunks = n_chunks, .fn = fn, .arg = arg});
        return;
    }
    for (int64_t i = 0; i < n_chunks; i++) fn(arg, i, 0);
}

void kb_random_f32(float *x, int64_t n, uint64_t seed)
{
    uint64_t s = seed * 0x9e3779b97f4a7c15u + 1;
    for (int64_t i = 0; i < n; i++) {
        s ^= s << 13, s ^= s >> 7, s ^= s << 17;
        x[i] = (float)(int32_t)(s >> 32) * 0x1p-31f;
    }
}

typedef struct samples {
    int32_t inner[KB_CONTENDERS], rounds;
    double *seconds, *burst; /* [contender][round]; [round * contenders] */
    double error[KB_CONTENDERS];
} samples;

/* Warm: a call before those that count. Operands that a contender has to itself, packed weights
   above all, are gone from the caches when its turn comes, where those of all others are not. */
static double sample(const kb_contender *k, int32_t inner, bool cpu)
{
    k->run(k->arg);
    const double t0 = kb_seconds(cpu);
    for (int32_t i = 0; i < inner; i++) k->run(k->arg);
    return (kb_seconds(cpu) - t0) / inner;
}

/* Calls a sample, and rounds within the budget. */
static void prepare(kb_run *run, const kb_case *c, samples *s)
{
    const bool cpu = run->threads == 1;
    double round = 0;
    for (int32_t i = 0; i < c->n; i++) {
        const kb_contender *k = &c->c[i];
        double t = sample(k, 1, cpu);
        s->error[i] = k->error ? k->error(k->arg) : 0;
        if (!(s->error[i] <= 1)) {
            fprintf(stderr, "WRONG %s %s: %s, %g of its bound\n", c->set, c->name, k->name,
                    s->error[i]);
            run->wrong++;
        }
        if (t < sample_seconds) t = sample(k, 4, cpu);
        const double inner = t > 0 ? sample_seconds / t : 1000;
        s->inner[i] = inner < 1 ? 1 : inner > 1e6 ? 1000000 : (int32_t)inner;
        if (s->inner[i] > 16) { /* a call this short is known only now */
            t = sample(k, s->inner[i], cpu);
            s->inner[i] = (int32_t)(sample_seconds / t) + 1;
        }
        round += t * (s->inner[i] + 1);
    }
    const double fit = run->budget / round;
    s->rounds = fit > run->samples ? run->samples : fit < LEAST_ROUNDS ? LEAST_ROUNDS : (int)fit;
}

static void print_numbers(const char *key, const double *x, int32_t n)
{
    printf(", \"%s\": [", key);
    for (int32_t i = 0; i < n; i++) printf("%s%.6g", i ? ", " : "", x[i]);
    printf("]");
}

static void print(const kb_run *run, const kb_case *c, const samples *s)
{
    static const char *const kind[] = {"plain", "packed", "hot", "alone", "roof"};
    printf("{\"domain\": \"%s\", \"set\": \"%s\", \"case\": \"%s\", \"ops\": %.17g", c->domain,
           c->set, c->name, c->ops);
    printf(", \"peak\": %g, \"bytes\": %g, \"threads\": %d", c->peak, c->bytes, run->threads);
    print_numbers("burst", s->burst, s->rounds * c->n);
    printf(", \"contenders\": [");
    for (int32_t i = 0; i < c->n; i++) {
        const kb_contender *k = &c->c[i];
        printf("%s{\"name\": \"%s\", \"kind\": \"%s\", \"ours\": %s, \"error\": %g", i ? ", " : "",
               k->name, kind[k->kind], k->ours ? "true" : "false", s->error[i]);
        print_numbers("seconds", s->seconds + (int64_t)i * s->rounds, s->rounds);
        printf("}");
    }
    printf("]}\n");
    fflush(stdout);
}

void kb_measure(kb_run *run, kb_case *c)
{
    samples s = {0};
    prepare(run, c, &s);
    s.seconds = kb_alloc(sizeof(double) * (size_t)(c->n * s.rounds));
    s.burst = kb_alloc(sizeof(double) * (size_t)(c->n * s.rounds));
    for (int32_t r = 0; r < s.rounds; r++) {
        for (int32_t j = 0; j < c->n; j++) {
            const int32_t i = (j + r) % c->n;
            s.burst[r * c->n + j] = kb_burst();
            s.seconds[i * s.rounds + r] = sample(&c->c[i], s.inner[i], run->threads == 1);
        }
    }
    print(run, c, &s);
    free(s.seconds);
    free(s.burst);
    for (int32_t i = 0; i < c->n; i++)
        if (c->c[i].release) c->c[i].release(c->c[i].arg);
}
