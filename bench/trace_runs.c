/*
 * bench_trace_runs MODEL SECONDS TRACE [NAME=SIZE]...: one session run at three levels of the
 * trace (off, runs, nodes) in short blocks turn by turn on CPU time, the level changed by its knob,
 * so that memory and code lie where they lay. Prints one line of JSON: time of a run, and the
 * median over the rounds of how much longer it took at each level.
 */
#include "bench_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_SECONDS 0.004
#define MAX_ROUNDS 4000
#define LEVELS 3

static double block(const bench_model *m, lamina_session *s, int n)
{
    const double t0 = bench_cpu();
    for (int i = 0; i < n; i++) bench_run(m, s);
    return (bench_cpu() - t0) / n;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, bench_by_value);
    return v[n / 2];
}

int main(int argc, char **argv)
{
    static double plain[MAX_ROUNDS], ratio[LEVELS][MAX_ROUNDS];
    lamina_error err = {0};
    bench_model m = {0};
    lamina_trace *trace;
    if (argc < 4) return fprintf(stderr, "usage: MODEL SECONDS TRACE [NAME=SIZE]...\n"), 2;
    const double budget = atof(argv[2]);
    const lamina_trace_opts o = {.size = sizeof o, .allow_set = true};
    bench_must(lamina_trace_create(argv[3], &o, &trace, &err), &err, "trace");
    bench_open_traced(&m, argv[1], 1, trace);
    bench_inputs(&m, argv + 4, argc - 4);
    lamina_session *s = bench_session(&m, NULL);
    bench_run(&m, s);
    const double once = block(&m, s, 3);
    const int inner = once < BLOCK_SECONDS ? (int)(BLOCK_SECONDS / once) + 1 : 1;
    int n = 0;
    for (const double t0 = bench_now(); n < MAX_ROUNDS && (n < 5 || bench_now() - t0 < budget);
         n++) {
        double took[LEVELS];
        for (int k = 0; k < LEVELS; k++) { /* each goes first in turn */
            const int level = (k + n) % LEVELS;
            bench_must(lamina_trace_knob_set(argv[3], "trace.level", level, &err), &err, "level");
            took[level] = block(&m, s, inner);
        }
        plain[n] = took[0];
        for (int k = 0; k < LEVELS; k++) ratio[k][n] = took[k] / took[0] - 1;
    }
    printf("{\"run_us\": %.3f, \"runs_cost\": %.6f, \"nodes_cost\": %.6f, \"rounds\": %d}\n",
           median(plain, n) * 1e6, median(ratio[1], n), median(ratio[2], n), n);
    lamina_session_destroy(s);
    bench_close(&m);
    lamina_trace_destroy(trace);
    return 0;
}
