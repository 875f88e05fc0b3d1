/*
 * bench_batcher_runs MODEL SECONDS: what the batcher and the instances of `lamina serve` cost
 * beside the same model called in process, without any wire: one request at a time, and 64
 * outstanding. The model has one input and one output of f32 whose first dimension is free. Prints
 * one line of JSON: microseconds a request. Inline figures are CPU time of the thread, the others
 * wall time.
 */
#include "bench_input.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "serve/served.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUTSTANDING = 64 };

typedef struct client {
    lmn_infer r;
    lmn_atomic(uint32_t) back;
} client;

typedef struct bench {
    lamina_engine *engine;
    lmn_model *m;
    client *c;
    float *x;
    int64_t width;
    lmn_atomic(uint32_t) n_back; /* what the collecting thread sleeps on */
} bench;

static void came_back(lmn_infer *r)
{
    bench *b = r->user;
    client *c = (client *)(void *)r;
    lamina_tensor_unref(r->result[0]);
    lmn_atomic_store(&c->back, 1, release);
    if (lmn_atomic_add(&b->n_back, 1, acq_rel) == 0) lmn_futex_wake(&b->n_back, 1);
}

static void submit(bench *b, client *c)
{
    lmn_atomic_store(&c->back, 0, relaxed);
    const lamina_status st = lmn_model_submit(b->m, &c->r, lmn_now_ns());
    bench_must(st, &c->r.error, "submit");
}

/* Requests as they come back go out again; the time of one. */
static double closed_loop(bench *b, int n, double seconds, bool inlined)
{
    uint64_t done = 0;
    lmn_atomic_store(&b->n_back, 0, relaxed);
    for (int i = 0; i < n; i++) submit(b, &b->c[i]);
    const uint64_t end = lmn_now_ns() + (uint64_t)(seconds * 1e9);
    const uint64_t wall = lmn_now_ns(), cpu = lmn_thread_cpu_ns();
    uint64_t now = wall, used = 0, took = 0;
    for (bool more = true; more || n;) {
        (void)lmn_model_turn(b->m, now);
        while (!inlined && !lmn_atomic_load(&b->n_back, acquire)) lmn_futex_wait(&b->n_back, 0, 0);
        int left = (int)lmn_atomic_exchange(&b->n_back, 0, acq_rel);
        now = lmn_now_ns();
        if (more) done += (uint64_t)left;
        if (more && now >= end) {
            more = false;
            took = now - wall;
            used = lmn_thread_cpu_ns() - cpu;
        }
        if (!more) n -= left;
        for (int i = 0; left > 0 && more && i < OUTSTANDING; i++)
            if (lmn_atomic_load(&b->c[i].back, acquire)) {
                submit(b, &b->c[i]);
                left--;
            }
    }
    return (double)(inlined ? used : took) / 1e3 / (double)(done ? done : 1);
}

static double served(bench *b, const char *path, lmn_run_where where, bool dynamic, int n,
                     double seconds)
{
    lamina_error err;
    const lmn_model_config config = {.batch = {.dynamic = dynamic, .max_batch_size = OUTSTANDING},
                                     .where = where,
                                     .warm_up = true};
    bench_must(lmn_model_open(b->engine, path, "m", "1", &config, &b->m, &err), &err, path);
    b->width = lmn_model_signature(b->m)->in[0].dims[1];
    b->x = realloc(b->x, (size_t)b->width * OUTSTANDING * sizeof *b->x);
    for (int64_t i = 0; i < b->width * OUTSTANDING; i++) b->x[i] = (float)(i % 17) / 17.0f;
    for (int i = 0; i < OUTSTANDING; i++) {
        lmn_infer *r = &b->c[i].r;
        lmn_atomic_store(&b->c[i].back, 0, relaxed);
        r->user = b;
        r->done = came_back;
        r->n_in = 1;
        r->in[0] = (lmn_infer_tensor){.dtype = LAMINA_F32,
                                      .rank = 2,
                                      .dims = {1, b->width},
                                      .data = b->x + i * b->width,
                                      .bytes = (size_t)b->width * sizeof *b->x};
    }
    (void)closed_loop(b, n, seconds / 5, where == LMN_RUN_INLINE);
    const double us = closed_loop(b, n, seconds, where == LMN_RUN_INLINE);
    lmn_model_unref(b->m);
    return us;
}

/* Microseconds a row in process. */
static double in_process(const char *path, int64_t rows, double seconds, bool cpu)
{
    bench_model m;
    char dim[32];
    lamina_port p = {.size = sizeof p};
    bench_open(&m, path, 1);
    bench_must(lamina_model_input(m.model, 0, &p), NULL, "input");
    (void)snprintf(dim, sizeof dim, "%s=%lld", p.dim_names[0], (long long)rows);
    char *dims[] = {dim};
    bench_inputs(&m, dims, 1);
    const lamina_session_opts o = {.size = sizeof o, .n_threads = 1};
    lamina_session *s = bench_session(&m, &o);
    for (int i = 0; i < 3; i++) bench_run(&m, s);
    uint64_t n = 0;
    const uint64_t wall = lmn_now_ns(), own = lmn_thread_cpu_ns();
    do {
        for (int i = 0; i < (cpu ? 16 : 1); i++, n++) bench_run(&m, s);
    } while ((double)(lmn_now_ns() - wall) < seconds * 1e9);
    const uint64_t took = cpu ? lmn_thread_cpu_ns() - own : lmn_now_ns() - wall;
    lamina_session_destroy(s);
    bench_close(&m);
    return (double)took / 1e3 / (double)n / (double)rows;
}

int main(int argc, char **argv)
{
    if (argc < 4) return fprintf(stderr, "usage: MODEL SECONDS inline|threads\n"), 2;
    const double seconds = atof(argv[2]);
    const bool inlined = !strcmp(argv[3], "inline");
    const lmn_run_where where = inlined ? LMN_RUN_INLINE : LMN_RUN_THREADS;
    bench b = {.c = calloc(OUTSTANDING, sizeof(client))};
    const lamina_engine_opts o = {.size = sizeof o, .n_threads = 1};
    if (!b.c || lamina_engine_create(&o, &b.engine) != LAMINA_OK) return 1;
    printf("{\"direct_1\": %.4f", in_process(argv[1], 1, seconds, inlined));
    printf(", \"single_1\": %.4f", served(&b, argv[1], where, false, 1, seconds));
    printf(", \"batched_1\": %.4f", served(&b, argv[1], where, true, 1, seconds));
    printf(", \"single_64\": %.4f", served(&b, argv[1], where, false, OUTSTANDING, seconds));
    printf(", \"direct_64\": %.4f", in_process(argv[1], OUTSTANDING, seconds, inlined));
    printf(", \"batched_64\": %.4f}\n", served(&b, argv[1], where, true, OUTSTANDING, seconds));
    lamina_engine_destroy(b.engine);
    free(b.x);
    free(b.c);
    return 0;
}
