/*
 * bench_cancel_runs MODEL THREADS N [NAME=SIZE]...: how long lamina_session_run takes to return
 * after lamina_cancel from another thread, N times at moments spread over the run. Prints one line
 * of JSON: time of a whole run, median and worst of the cancels, and time past a deadline, in
 * milliseconds.
 */
#include "bench_input.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MAX_N 1000

typedef struct canceller {
    lamina_session *s;
    double delay, at;
} canceller;

static void *cancel(void *arg)
{
    canceller *c = arg;
    const struct timespec t = {(time_t)c->delay,
                               (long)((c->delay - (double)(time_t)c->delay) * 1e9)};
    (void)nanosleep(&t, NULL);
    c->at = bench_now();
    lamina_cancel(c->s);
    return NULL;
}

static lamina_status run(const bench_model *m, lamina_session *s, uint64_t deadline_ns)
{
    lamina_tensor *out[BENCH_MAX_IO];
    const lamina_run_opts o = {.size = sizeof o, .deadline_ns = deadline_ns};
    const lamina_status st =
        lamina_session_run(s, (const lamina_tensor *const *)m->in, m->n_in, out, m->n_out, &o);
    for (size_t i = 0; st == LAMINA_OK && i < m->n_out; i++) lamina_tensor_unref(out[i]);
    return st;
}

int main(int argc, char **argv)
{
    static double late[MAX_N], past[MAX_N];
    bench_model m;
    if (argc < 4) return fprintf(stderr, "usage: MODEL THREADS N [NAME=SIZE]...\n"), 2;
    const int n = atoi(argv[3]) < MAX_N ? atoi(argv[3]) : MAX_N;
    const lamina_session_opts o = {.size = sizeof o, .n_threads = (uint32_t)atoi(argv[2])};
    bench_open(&m, argv[1], o.n_threads);
    bench_inputs(&m, argv + 4, argc - 4);
    lamina_session *s = bench_session(&m, &o);
    bench_run(&m, s);
    double t0 = bench_now();
    bench_run(&m, s);
    const double whole = bench_now() - t0;
    for (int i = 0; i < n; i++) {
        pthread_t thread; /* a run that ended first (the machine is faster now) counts as 0 */
        canceller c = {.s = s, .delay = whole * 0.8 * (i + 0.5) / n};
        if (pthread_create(&thread, NULL, cancel, &c)) return 1;
        const lamina_status st = run(&m, s, 0);
        const double now = bench_now();
        (void)pthread_join(thread, NULL);
        late[i] = st == LAMINA_E_CANCELLED ? (now - c.at) * 1e3 : 0;
        const double until = bench_now() + c.delay;
        past[i] = run(&m, s, (uint64_t)(until * 1e9)) == LAMINA_E_TIMEOUT
                      ? (bench_now() - until) * 1e3
                      : 0;
    }
    bench_run(&m, s);
    qsort(late, (size_t)n, sizeof *late, bench_by_value);
    qsort(past, (size_t)n, sizeof *past, bench_by_value);
    printf("{\"run_ms\": %.3f, \"cancel_p50_ms\": %.4f, \"cancel_max_ms\": %.4f, "
           "\"deadline_p50_ms\": %.4f, \"deadline_max_ms\": %.4f}\n",
           whole * 1e3, late[n / 2], late[n - 1], past[n / 2], past[n - 1]);
    lamina_session_destroy(s);
    bench_close(&m);
    return 0;
}
