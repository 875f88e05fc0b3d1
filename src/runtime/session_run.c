/*
 * One run: the inputs are checked against the model and make the key of a plan, a frame of that
 * plan executes, and its outputs leave by reference. Nothing runs before every input is accepted.
 */
#include "lamina/session.h"

#include "base/fpenv.h"
#include "graph/model.h"
#include "runtime/exec.h"

#include <stdarg.h>
#include <string.h>

#define MAX_KEY 4096u

/* Input i is not what the model declares: `what` and, with it, what it wants. */
LMN_PRINTF(5, 6)
static lamina_status refuse(const lamina_session *s, size_t i, lamina_error *err, lamina_status st,
                            const char *fmt, ...)
{
    const lmn_graph *g = s->model->graph;
    const lmn_value *v = &g->values[g->inputs[i]];
    char want[128], what[160];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)lmn_fact_format(g->dims, &v->fact, want, sizeof want);
    const char *fix = v->fact.kind == LMN_FACT_TENSOR || v->fact.kind == LMN_FACT_UNKNOWN
                          ? "a tensor of that type and shape"
                          : "a value of that type";
    return lmn_fail(err, st, "input \"%s\" wants %s: %s; give it %s", v->name, want, what, fix);
}

static lamina_status check_input(const lamina_session *s, size_t i, const lamina_tensor *t,
                                 lamina_error *err)
{
    const lmn_fact *f = &s->model->graph->values[s->model->graph->inputs[i]].fact;
    if (f->kind == LMN_FACT_TENSOR && t->kind != LAMINA_KIND_TENSOR)
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got no tensor");
    if (t->kind == LAMINA_KIND_NONE) {
        if (f->maybe || f->kind == LMN_FACT_OPTIONAL || f->kind == LMN_FACT_UNKNOWN)
            return LAMINA_OK;
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got nothing");
    }
    if (f->kind == LMN_FACT_SEQUENCE && t->kind != LAMINA_KIND_SEQUENCE)
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got no sequence");
    if (f->kind == LMN_FACT_MAP && t->kind != LAMINA_KIND_MAP)
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got no map");
    if (f->kind == LMN_FACT_OPTIONAL && t->kind != LAMINA_KIND_TENSOR)
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got no tensor");
    const bool empty = t->kind == LAMINA_KIND_SEQUENCE && t->n_items == 0;
    if (f->kind != LMN_FACT_UNKNOWN && !empty && f->key != lmn_map_key(t))
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got %s",
                      lmn_map_key(t) ? "maps or other keys" : "no map");
    if (f->dtype && t->dtype != f->dtype)
        return refuse(s, i, err, LAMINA_E_DTYPE, "it got %s", lamina_dtype_name(t->dtype));
    if (f->kind != LMN_FACT_TENSOR || f->rank < 0) return LAMINA_OK;
    if (t->rank != f->rank)
        return refuse(s, i, err, LAMINA_E_SHAPE, "rank %d is not rank %d", t->rank, f->rank);
    for (int32_t k = 0; k < f->rank; k++)
        if (lmn_dim_is_const(f->dims[k]) && lmn_dim_value(f->dims[k]) != t->dims[k])
            return refuse(s, i, err, LAMINA_E_SHAPE, "dimension %d is %lld and must be %lld", k,
                          (long long)t->dims[k], (long long)lmn_dim_value(f->dims[k]));
    return LAMINA_OK;
}

/* Resolve every input (given or default) and write the plan key. */
static lamina_status gather_inputs(const lamina_session *s, const lamina_tensor *const *given,
                                   size_t n_given, const lamina_tensor **in, int64_t *key,
                                   size_t *n_key, lamina_error *err)
{
    const lmn_graph *g = s->g;
    size_t o = 0;
    if (n_given > g->n_inputs)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the model has %zu inputs and got %zu; leave the others out", g->n_inputs,
                        n_given);
    for (size_t i = 0; i < g->n_inputs; i++) {
        const lmn_value *v = &s->model->graph->values[g->inputs[i]];
        const lamina_tensor *t = i < n_given ? given[i] : NULL;
        if (t && t->engine != s->engine)
            return lmn_fail(err, LAMINA_E_INVALID,
                            "input \"%s\" belongs to another engine; make it with this one",
                            v->name);
        if (t)
            LMN_TRY(check_input(s, i, t, err));
        else if (!(t = g->values[g->inputs[i]].constant) && v->fact.kind != LMN_FACT_OPTIONAL &&
                 !v->fact.maybe)
            return lmn_fail(err, LAMINA_E_INVALID, "input \"%s\" is missing; give it a tensor",
                            v->name);
        in[i] = t;
        if (o + 2 + LMN_MAX_RANK > MAX_KEY)
            return lmn_fail(err, LAMINA_E_LIMIT,
                            "the model has more inputs (%zu) than a plan can tell apart",
                            g->n_inputs);
        key[o++] = t ? t->dtype : -1;
        key[o++] = t && t->kind == LAMINA_KIND_TENSOR ? t->rank : -1;
        for (int32_t k = 0; t && t->kind == LAMINA_KIND_TENSOR && k < t->rank; k++)
            key[o++] = t->dims[k];
    }
    *n_key = o;
    return LAMINA_OK;
}

/* ---- running ----------------------------------------------------------------------------------
 */

/* A run whose inputs are accepted. */
typedef struct bound {
    const lamina_tensor **in;
    lamina_tensor **out;
    const int64_t *key;
    size_t n_out, n_key;
    uint64_t start; /* tick of the call; 0: the profile does not note this run */
} bound;

static lamina_status run_bound(lamina_session *s, const bound *b, const lamina_run_opts *o)
{
    lmn_frame *f = NULL;
    size_t n_done = 0;
    lmn_run run = {
        .session = s,
        .stop = {.user = (const lmn_atomic(uint32_t) *)o->stop, .deadline_ns = o->deadline_ns},
        .err = o->error,
        .start = b->start};
    lmn_workers_par(s->pool, (int32_t)s->opts.n_threads, &run.stop, &run.par_ctx, &run.par);
    const bool shared = run.par.width > 1;
    if (shared) lmn_workpool_expect(s->pool, 1);
    if (lmn_trace_on(s->spans.trace, LAMINA_TRACE_LEVEL_RUNS)) lmn_spans_begin_run(&run);
    lamina_status st = lmn_plans_enter(s, b->key, b->n_key, b->in, &run, &f);
    if (st == LAMINA_OK) {
        st = lmn_frame_run(f, &run, (lamina_tensor *const *)(uintptr_t)b->in, s->g->n_inputs,
                           b->out, b->n_out, &n_done);
        lmn_plans_leave(s, &run, f, n_done);
    }
    if (shared) lmn_workpool_expect(s->pool, -1);
    if (st != LAMINA_OK) lmn_metric_add(s->spans.errors, 1);
    if (run.spans.lane) lmn_spans_end_run(&run, st);
    return st;
}

static lamina_status run_plain(lamina_session *s, const lamina_tensor *const *inputs,
                               size_t n_inputs, lamina_tensor **outputs, size_t n_outputs,
                               const lamina_run_opts *opts)
{
    lamina_run_opts o;
    const uint64_t start = s && s->profile ? lmn_profile_begin(s->profile) : 0;
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    if (o.error) memset(o.error, 0, sizeof *o.error);
    if (!s || (!inputs && n_inputs) || (!outputs && n_outputs))
        return lmn_fail(o.error, LAMINA_E_INVALID,
                        "a run needs a session, and an array wherever a count is not 0");
    if (n_outputs > s->g->n_outputs)
        return lmn_fail(o.error, LAMINA_E_INVALID,
                        "the model has %zu outputs, not %zu; ask for fewer", s->g->n_outputs,
                        n_outputs);
    const size_t n_in = s->g->n_inputs;
    const lamina_tensor *in_small[64];
    lamina_tensor *out_small[64];
    int64_t key[MAX_KEY];
    size_t n_key = 0;
    const lamina_allocator *a = &s->engine->alloc;
    const lamina_tensor **in = n_in <= 64 ? in_small : lmn_calloc(a, n_in, sizeof *in, "run");
    lamina_tensor **out =
        n_outputs <= 64 ? out_small : lmn_calloc(a, n_outputs, sizeof *out, "run");
    lamina_status st =
        in && out ? LAMINA_OK : lmn_fail(o.error, LAMINA_E_NOMEM, "out of memory for a run");
    if (st == LAMINA_OK) st = gather_inputs(s, inputs, n_inputs, in, key, &n_key, o.error);
    if (st == LAMINA_OK) {
        const bound b = {in, out, key, n_outputs, n_key, start};
        st = run_bound(s, &b, &o);
    }
    if (st == LAMINA_OK && n_outputs) memcpy(outputs, out, n_outputs * sizeof *out);
    if (in != in_small) lmn_cfree(a, in, n_in, sizeof *in, "run");
    if (out != out_small) lmn_cfree(a, out, n_outputs, sizeof *out, "run");
    return st;
}

lamina_status lamina_session_run(lamina_session *s, const lamina_tensor *const *inputs,
                                 size_t n_inputs, lamina_tensor **outputs, size_t n_outputs,
                                 const lamina_run_opts *opts)
{
    lmn_fpenv fp;
    lmn_fpenv_enter(&fp);
    const lamina_status st = run_plain(s, inputs, n_inputs, outputs, n_outputs, opts);
    lmn_fpenv_leave(&fp);
    return st;
}
