/*
 * bench_profile_runs MODEL SECONDS TRACE [NAME=SIZE]...: the same model through two sessions, one
 * with the option profile, in short blocks turn by turn on CPU time. Prints one line of JSON: time
 * of a run of either, the median over the pairs of how much longer the profiled one took, and what
 * the profile accounts for. TRACE receives the trace.
 */
#include "bench_input.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCK_SECONDS 0.004
#define MAX_PAIRS 4000

static double block(const bench_model *m, lamina_session *s, int n)
{
    const double t0 = bench_cpu();
    for (int i = 0; i < n; i++) bench_run(m, s);
    return (bench_cpu() - t0) / n;
}

/* Time inside nodes and inside runs, over the life of the session, in seconds. */
static void account(const lamina_session *s, double *nodes, double *runs)
{
    lamina_session_stats st = {.size = sizeof st};
    bench_must(lamina_session_get_stats(s, &st), NULL, "stats");
    *runs = (double)st.run_ns * 1e-9;
    *nodes = 0;
    for (size_t i = 0; i < st.n_nodes; i++) {
        lamina_node_info n = {.size = sizeof n};
        bench_must(lamina_session_node(s, i, &n), NULL, "node");
        *nodes += (double)n.total_ns * 1e-9;
    }
}

int main(int argc, char **argv)
{
    static double plain[MAX_PAIRS], profiled[MAX_PAIRS], ratio[MAX_PAIRS];
    lamina_error err = {0};
    bench_model m;
    if (argc < 4) return fprintf(stderr, "usage: MODEL SECONDS TRACE [NAME=SIZE]...\n"), 2;
    const double budget = atof(argv[2]);
    bench_open(&m, argv[1], 1);
    bench_inputs(&m, argv + 4, argc - 4);
    lamina_session_opts o = {.size = sizeof o, .n_threads = 1};
    lamina_session *a = bench_session(&m, &o);
    o.profile = true;
    lamina_session *b = bench_session(&m, &o);
    bench_run(&m, a);
    bench_run(&m, b);
    const double once = block(&m, a, 3);
    const int inner = once < BLOCK_SECONDS ? (int)(BLOCK_SECONDS / once) + 1 : 1;
    int n = 0;
    for (const double t0 = bench_now(); n < MAX_PAIRS && (n < 5 || bench_now() - t0 < budget);
         n++) {
        lamina_session *first = n & 1 ? b : a, *second = n & 1 ? a : b;
        const double x = block(&m, first, inner), y = block(&m, second, inner);
        plain[n] = n & 1 ? y : x;
        profiled[n] = n & 1 ? x : y;
        ratio[n] = profiled[n] / plain[n];
    }
    double nodes, runs;
    account(b, &nodes, &runs);
    bench_must(lamina_session_trace_save(b, argv[3], &err), &err, argv[3]);
    qsort(plain, (size_t)n, sizeof *plain, bench_by_value);
    qsort(profiled, (size_t)n, sizeof *profiled, bench_by_value);
    qsort(ratio, (size_t)n, sizeof *ratio, bench_by_value);
    printf("{\"pairs\": %d, \"runs\": %d, \"plain_us\": %.4f, \"profiled_us\": %.4f, "
           "\"cost\": %.5f, \"accounted\": %.5f}\n",
           n, n * inner, plain[n / 2] * 1e6, profiled[n / 2] * 1e6, ratio[n / 2] - 1, nodes / runs);
    lamina_session_destroy(a);
    lamina_session_destroy(b);
    bench_close(&m);
    return 0;
}
