/*
 * One case: load the model, feed every data set, compare the outputs. Data are the TensorProto,
 * SequenceProto and OptionalProto files of the ONNX layout; the light models store outputs only and
 * take inputs that count from 0 to 1.
 */
#include "conform.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tensor/tensor.h"

enum { MAX_IO = 1024, PATH = 8192 };

/* Cases of random operators: the standard fixes type and shape, not values. */
static const char *const RANDOM[] = {"test_bernoulli", "test_training_dropout", "test_random",
                                     "test_multinomial"};

typedef struct run {
    const conform_case *c;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    lamina_tensor *in[MAX_IO], *out[MAX_IO];
    size_t n_in, n_out;
    char *why;
    size_t cap;
} run;

static bool is_random(const char *name)
{
    for (size_t i = 0; i < sizeof RANDOM / sizeof *RANDOM; i++)
        if (strncmp(name, RANDOM[i], strlen(RANDOM[i])) == 0) return true;
    return false;
}

/* LAMINA_E_IO when there is no such file. */
static lamina_status read_value(run *r, const char *path, const lamina_port *p, lamina_tensor **out,
                                lamina_error *err)
{
    const lamina_kind kind = p->kind != LAMINA_KIND_TENSOR ? p->kind
                             : p->optional                 ? LAMINA_KIND_NONE
                                                           : LAMINA_KIND_TENSOR;
    if (access(path, R_OK) != 0) return LAMINA_E_IO;
    return lamina_tensor_load(r->e, path, kind, out, err);
}

/* The input of the light models: element i of n is i / n; a dim that is not fixed counts 1. */
static lamina_status make_ramp(run *r, const lamina_port *p, lamina_tensor **out, lamina_error *err)
{
    int64_t dims[LAMINA_MAX_RANK];
    if (p->dtype != LAMINA_F32 || p->rank < 0) {
        (void)snprintf(err->msg, sizeof err->msg, "light models take f32 of known rank");
        return LAMINA_E_DTYPE;
    }
    for (int32_t i = 0; i < p->rank; i++) dims[i] = p->dims[i] > 0 ? p->dims[i] : 1;
    lamina_status st = lamina_tensor_create(r->e, LAMINA_F32, p->rank, dims, out);
    if (st != LAMINA_OK) return st;
    const int64_t n = lamina_tensor_count(*out);
    float *f = (*out)->data;
    for (int64_t i = 0; i < n; i++) f[i] = (float)((double)i / (double)n);
    return LAMINA_OK;
}

static int read_inputs(run *r, const char *set)
{
    char path[PATH];
    lamina_error err = {0};
    for (size_t i = 0; i < r->n_in; i++) {
        lamina_port p = {.size = sizeof p};
        lamina_status st = lamina_model_input(r->m, i, &p);
        if (st == LAMINA_OK && !set) {
            if (!p.optional) st = make_ramp(r, &p, &r->in[i], &err);
        } else if (st == LAMINA_OK) {
            (void)snprintf(path, sizeof path, "%s/input_%zu.pb", set, i);
            st = read_value(r, path, &p, &r->in[i], &err);
            if (st == LAMINA_E_IO) continue; /* takes the initialiser's default */
        }
        if (st != LAMINA_OK)
            return (void)snprintf(r->why, r->cap, "input %zu: %s", i, err.msg), R_RUN;
        if (r->in[i] && r->in[i]->kind == LAMINA_KIND_NONE && p.kind != LAMINA_KIND_NONE &&
            !p.optional)
            return (void)snprintf(r->why, r->cap, "input %zu is empty", i), R_RUN;
    }
    return R_PASS;
}

static int compare_outputs(run *r, const char *set)
{
    char path[PATH];
    lamina_error err = {0};
    for (size_t i = 0; i < r->n_out; i++) {
        lamina_port p = {.size = sizeof p};
        lamina_tensor *want = NULL;
        if (lamina_model_output(r->m, i, &p) != LAMINA_OK) return R_RUN;
        if (set)
            (void)snprintf(path, sizeof path, "%s/output_%zu.pb", set, i);
        else
            (void)snprintf(path, sizeof path, "%.*s_output_%zu.pb",
                           (int)(strlen(r->c->model) - strlen(".onnx")), r->c->model, i);
        if (read_value(r, path, &p, &want, &err) != LAMINA_OK)
            return (void)snprintf(r->why, r->cap, "output %zu: %s", i,
                                  *err.msg ? err.msg : "no such file"),
                   R_RUN;
        char text[512] = "";
        bool same = conform_equal(r->out[i], want, !is_random(r->c->name), text, sizeof text);
        lamina_tensor_unref(want);
        if (!same)
            return (void)snprintf(r->why, r->cap, "output %zu (%s): %s", i, p.name, text),
                   R_MISMATCH;
    }
    return R_PASS;
}

/* One data set; `set` NULL: the light layout. */
static int run_set(run *r, const char *set)
{
    lamina_error err = {0};
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    int result = read_inputs(r, set);
    if (result == R_PASS) {
        if (lamina_session_run(r->s, (const lamina_tensor *const *)r->in, r->n_in, r->out, r->n_out,
                               &o) == LAMINA_OK)
            result = compare_outputs(r, set);
        else
            result = R_RUN, (void)snprintf(r->why, r->cap, "%s", err.msg);
    }
    for (size_t i = 0; i < r->n_in; i++) lamina_tensor_unref(r->in[i]), r->in[i] = NULL;
    for (size_t i = 0; i < r->n_out; i++) lamina_tensor_unref(r->out[i]), r->out[i] = NULL;
    return result;
}

static int run_sets(run *r)
{
    char set[PATH];
    if (!r->c->data) return run_set(r, NULL);
    int n = 0, result = R_PASS;
    for (; result == R_PASS; n++) {
        (void)snprintf(set, sizeof set, "%s/test_data_set_%d", r->c->data, n);
        if (access(set, R_OK) != 0) break;
        result = run_set(r, set);
    }
    if (n) return result;
    return (void)snprintf(r->why, r->cap, "no test_data_set_0"), R_RUN;
}

int conform_run(const conform_case *c, char *why, size_t cap)
{
    static run r;
    lamina_error err = {0};
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = c->threads};
    int result = R_LOAD;
    r = (run){.c = c, .why = why, .cap = cap};
    if (lamina_engine_create(&eo, &r.e) != LAMINA_OK)
        return (void)snprintf(why, cap, "no engine"), R_LOAD;
    if (lamina_model_load(r.e, c->model, NULL, &r.m, &err) != LAMINA_OK ||
        lamina_session_create(r.m, NULL, &r.s, &err) != LAMINA_OK) {
        (void)snprintf(why, cap, "%s", err.msg);
    } else {
        r.n_in = lamina_model_input_count(r.m);
        r.n_out = lamina_model_output_count(r.m);
        if (r.n_in > MAX_IO || r.n_out > MAX_IO)
            result = R_RUN, (void)snprintf(why, cap, "more than %d inputs or outputs", MAX_IO);
        else
            result = run_sets(&r);
    }
    lamina_session_destroy(r.s);
    lamina_model_unref(r.m);
    lamina_engine_destroy(r.e);
    return result;
}
