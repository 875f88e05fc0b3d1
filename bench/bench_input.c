/*
 * Opening and feeding a model for the bench programs.
 */
#include "bench_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void bench_must(lamina_status st, const lamina_error *err, const char *what)
{
    if (st == LAMINA_OK) return;
    fprintf(stderr, "%s: %s: %s\n", what, lamina_status_name(st), err ? err->msg : "");
    exit(1);
}

static double seconds(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

double bench_now(void)
{
    return seconds(CLOCK_MONOTONIC);
}
double bench_cpu(void)
{
    return seconds(CLOCK_PROCESS_CPUTIME_ID);
}

int bench_by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void bench_open(bench_model *m, const char *path, uint32_t threads)
{
    bench_open_traced(m, path, threads, NULL);
}

void bench_open_traced(bench_model *m, const char *path, uint32_t threads, lamina_trace *trace)
{
    lamina_error err = {0};
    const lamina_engine_opts o = {.size = sizeof o, .n_threads = threads, .trace = trace};
    memset(m, 0, sizeof *m);
    bench_must(lamina_engine_create(&o, &m->engine), NULL, "engine");
    bench_must(lamina_model_load(m->engine, path, NULL, &m->model, &err), &err, path);
    m->n_in = lamina_model_input_count(m->model);
    m->n_out = lamina_model_output_count(m->model);
    if (m->n_in > BENCH_MAX_IO || m->n_out > BENCH_MAX_IO)
        bench_must(LAMINA_E_LIMIT, NULL, "inputs or outputs");
}

static int64_t size_of(const char *name, char *const *dims, int n)
{
    for (int i = 0; i < n; i++) {
        const char *eq = strchr(dims[i], '=');
        const size_t len = eq ? (size_t)(eq - dims[i]) : 0;
        if (eq && strlen(name) == len && !strncmp(name, dims[i], len)) return atoll(eq + 1);
    }
    return 1;
}

static lamina_tensor *make(const bench_model *m, const lamina_port *p, char *const *dims, int n)
{
    int64_t size[LAMINA_MAX_RANK] = {0};
    lamina_tensor *t = NULL;
    uint32_t x = 1;
    for (int32_t k = 0; k < p->rank; k++)
        size[k] = p->dims[k] >= 0 ? p->dims[k] : size_of(p->dim_names[k], dims, n);
    bench_must(lamina_tensor_create(m->engine, p->dtype, p->rank, size, &t), NULL, p->name);
    void *data = lamina_tensor_mutable_data(t);
    for (int64_t i = 0; i < lamina_tensor_count(t); i++) {
        x = x * 1664525u + 1013904223u;
        if (p->dtype == LAMINA_F32)
            ((float *)data)[i] = (float)(x >> 8) * 0x1p-24f;
        else if (p->dtype == LAMINA_I64)
            ((int64_t *)data)[i] = 1;
        else
            bench_must(LAMINA_E_DTYPE, NULL, p->name);
    }
    return t;
}

void bench_inputs(bench_model *m, char *const *dims, int n)
{
    for (size_t i = 0; i < m->n_in; i++) {
        lamina_port p = {.size = sizeof p};
        bench_must(lamina_model_input(m->model, i, &p), NULL, "input");
        lamina_tensor_unref(m->in[i]);
        m->in[i] = make(m, &p, dims, n);
    }
}

lamina_session *bench_session(const bench_model *m, const lamina_session_opts *opts)
{
    lamina_error err = {0};
    lamina_session *s = NULL;
    bench_must(lamina_session_create(m->model, opts, &s, &err), &err, "session");
    return s;
}

void bench_run(const bench_model *m, lamina_session *s)
{
    lamina_tensor *out[BENCH_MAX_IO];
    lamina_error err = {0};
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    bench_must(
        lamina_session_run(s, (const lamina_tensor *const *)m->in, m->n_in, out, m->n_out, &o),
        &err, "run");
    for (size_t i = 0; i < m->n_out; i++) lamina_tensor_unref(out[i]);
}

void bench_close(bench_model *m)
{
    for (size_t i = 0; i < m->n_in; i++) lamina_tensor_unref(m->in[i]);
    lamina_model_unref(m->model);
    lamina_engine_destroy(m->engine);
}
