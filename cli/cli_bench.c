/*
 * lamina bench: latency of a model on random inputs, and where the time goes.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

const char cli_help_bench[] =
    "usage: lamina bench MODEL [--threads N] [--seconds S] [--dim NAME=N]... [--seed N] "
    "[--json]\n\n"
    "Runs the model on seeded random inputs for S seconds (default 2) after a warm-up, prints p50 "
    "and p99,\n"
    "then profiles it and prints time, GFLOP/s and GB/s per operator, largest first.\n\n"
    "examples:\n"
    "  lamina bench resnet50.onnx --threads 1\n"
    "  lamina bench bert.onnx --dim B=1 --dim S=128 --json\n";

#define MAX_IO 512
#define MAX_RUNS 100000

typedef struct bench {
    lamina_engine *engine;
    lamina_model *model;
    lamina_session *session;
    const lamina_tensor *in[MAX_IO];
    size_t n_in, n_out;
    long threads, seed;
    double seconds;
    cli_dims dims;
    double load_s, first_s;
    double *t;
    size_t n;
} bench;

static int one_run(bench *b)
{
    lamina_tensor *out[MAX_IO];
    lamina_error err;
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    if (lamina_session_run(b->session, b->in, b->n_in, out, b->n_out, &o) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    for (size_t i = 0; i < b->n_out; i++) lamina_tensor_unref(out[i]);
    return CLI_OK;
}

static int make_session(bench *b, bool profile)
{
    lamina_error err;
    lamina_session_destroy(b->session);
    b->session = NULL;
    const lamina_session_opts o = {
        .size = sizeof o, .n_threads = (uint32_t)b->threads, .profile = profile};
    if (lamina_session_create(b->model, &o, &b->session, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    return CLI_OK;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef struct op_row {
    const char *op, *kernel;
    double ns, flops, bytes;
    uint64_t calls;
} op_row;

static int by_time(const void *a, const void *b)
{
    double x = ((const op_row *)a)->ns, y = ((const op_row *)b)->ns;
    return (x < y) - (x > y);
}

static size_t collect(const bench *b, op_row *rows, size_t cap, double *node_ns, double *run_ns)
{
    lamina_session_stats st = {.size = sizeof st};
    size_t n = 0;
    *node_ns = *run_ns = 0;
    if (lamina_session_get_stats(b->session, &st) != LAMINA_OK) return 0;
    *run_ns = (double)st.run_ns;
    for (size_t i = 0; i < st.n_nodes; i++) {
        lamina_node_info ni = {.size = sizeof ni};
        if (lamina_session_node(b->session, i, &ni) != LAMINA_OK) continue;
        size_t k = 0;
        while (k < n && (strcmp(rows[k].op, ni.op) || strcmp(rows[k].kernel, ni.kernel))) k++;
        if (k == n) {
            if (n == cap) continue;
            rows[n++] = (op_row){.op = ni.op, .kernel = ni.kernel};
        }
        rows[k].ns += (double)ni.total_ns;
        rows[k].calls += ni.n_calls;
        rows[k].flops += ni.flops * (double)ni.n_calls;
        rows[k].bytes += ni.bytes * (double)ni.n_calls;
        *node_ns += (double)ni.total_ns;
    }
    qsort(rows, n, sizeof *rows, by_time);
    return n;
}

static void print_text(const bench *b, const op_row *rows, size_t n, double node_ns, double run_ns)
{
    printf("load %.1f ms, first run %.1f ms\n", b->load_s * 1e3, b->first_s * 1e3);
    printf("latency over %zu runs: p50 %.3f ms, p99 %.3f ms, min %.3f ms\n\n", b->n,
           b->t[b->n / 2] * 1e3, b->t[b->n * 99 / 100] * 1e3, b->t[0] * 1e3);
    printf("%-24s %-28s %8s %7s %9s %8s\n", "operator", "kernel", "calls", "time %", "GFLOP/s",
           "GB/s");
    for (size_t i = 0; i < n; i++)
        printf("%-24s %-28s %8llu %6.1f%% %9.2f %8.2f\n", rows[i].op, rows[i].kernel,
               (unsigned long long)rows[i].calls, 100 * rows[i].ns / (node_ns > 0 ? node_ns : 1),
               rows[i].flops / (rows[i].ns > 0 ? rows[i].ns : 1),
               rows[i].bytes / (rows[i].ns > 0 ? rows[i].ns : 1));
    printf("\noperators account for %.1f %% of the profiled runs\n",
           100 * node_ns / (run_ns > 0 ? run_ns : 1));
}

static void print_json(const bench *b, const op_row *rows, size_t n, double node_ns, double run_ns)
{
    printf("{\"load_ms\": %.3f, \"first_ms\": %.3f, \"runs\": %zu, \"p50_ms\": %.6f, \"p99_ms\": "
           "%.6f, "
           "\"min_ms\": %.6f, \"accounted\": %.4f, \"operators\": [",
           b->load_s * 1e3, b->first_s * 1e3, b->n, b->t[b->n / 2] * 1e3,
           b->t[b->n * 99 / 100] * 1e3, b->t[0] * 1e3, node_ns / (run_ns > 0 ? run_ns : 1));
    for (size_t i = 0; i < n; i++) {
        printf("%s{\"op\": ", i ? ", " : "");
        cli_json_string(stdout, rows[i].op);
        printf(", \"kernel\": ");
        cli_json_string(stdout, rows[i].kernel);
        printf(", \"calls\": %llu, \"ns\": %.0f, \"flops\": %.0f, \"bytes\": %.0f}",
               (unsigned long long)rows[i].calls, rows[i].ns, rows[i].flops, rows[i].bytes);
    }
    printf("]}\n");
}

static int measure(bench *b, bool json)
{
    double t0 = cli_now_s();
    int rc = one_run(b);
    b->first_s = cli_now_s() - t0;
    for (int i = 0; rc == CLI_OK && i < 2; i++) rc = one_run(b);
    for (t0 = cli_now_s();
         rc == CLI_OK && b->n < MAX_RUNS && (b->n < 3 || cli_now_s() - t0 < b->seconds);) {
        double s = cli_now_s();
        rc = one_run(b);
        b->t[b->n++] = cli_now_s() - s;
    }
    if (rc != CLI_OK) return rc;
    qsort(b->t, b->n, sizeof *b->t, by_value);
    if ((rc = make_session(b, true)) != CLI_OK || (rc = one_run(b)) != CLI_OK) return rc;
    for (t0 = cli_now_s(); cli_now_s() - t0 < b->seconds / 4;)
        if ((rc = one_run(b)) != CLI_OK) return rc;
    op_row rows[256];
    double node_ns, run_ns;
    size_t n = collect(b, rows, 256, &node_ns, &run_ns);
    (json ? print_json : print_text)(b, rows, n, node_ns, run_ns);
    return CLI_OK;
}

static int prepare(bench *b, const char *path)
{
    lamina_error err;
    int rc = cli_engine((uint32_t)b->threads, &b->engine);
    if (rc != CLI_OK) return rc;
    double t0 = cli_now_s();
    if (lamina_model_load(b->engine, path, NULL, &b->model, &err) != LAMINA_OK)
        return cli_fail("%s: %s", path, err.msg);
    if ((rc = make_session(b, false)) != CLI_OK) return rc;
    b->load_s = cli_now_s() - t0;
    b->n_in = lamina_model_input_count(b->model);
    b->n_out = lamina_model_output_count(b->model);
    if (b->n_in > MAX_IO || b->n_out > MAX_IO)
        return cli_fail("%s: more than %d inputs or outputs", path, MAX_IO);
    for (size_t i = 0; i < b->n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(b->model, i, &p) != LAMINA_OK || p.optional) continue;
        b->in[i] = cli_random_input(b->engine, &p, &b->dims, (uint64_t)b->seed + i);
        if (!b->in[i]) return cli_fail("%s: cannot make input \"%s\"", path, p.name);
    }
    b->t = malloc(MAX_RUNS * sizeof *b->t);
    return b->t ? CLI_OK : cli_fail("out of memory");
}

int cli_bench(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--threads", true}, {"--seconds", true}, {"--dim", true},
                                   {"--seed", true},    {"--json", false},   {NULL, false}};
    static bench b = {.seconds = 2};
    const char *path = NULL, *v;
    bool json = false;
    long n;
    int i = 1, o;
    while ((o = cli_next("bench", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && path) return cli_usage("bench", "one model at a time, not also %s", v);
        if (o == 0) path = v;
        if (o == 1 && !cli_number("bench", "--threads", v, 1, 1024, &b.threads)) return CLI_USAGE;
        if (o == 2 && !cli_number("bench", "--seconds", v, 1, 3600, &n)) return CLI_USAGE;
        if (o == 2) b.seconds = (double)n;
        if (o == 3 && !cli_dims_add(&b.dims, v))
            return cli_usage("bench", "--dim wants NAME=N, not \"%s\"", v);
        if (o == 4 && !cli_number("bench", "--seed", v, 0, 1L << 40, &b.seed)) return CLI_USAGE;
        if (o == 5) json = true;
    }
    if (!path) return cli_usage("bench", "which model?");
    int rc = prepare(&b, path);
    if (rc == CLI_OK) rc = measure(&b, json);
    for (size_t k = 0; k < b.n_in; k++) lamina_tensor_unref((lamina_tensor *)(uintptr_t)b.in[k]);
    free(b.t);
    lamina_session_destroy(b.session);
    lamina_model_unref(b.model);
    lamina_engine_destroy(b.engine);
    return rc;
}
