/*
 * Sessions: a private optimised graph, its steps, the plans of the shapes seen so far, and the runs
 * in flight.
 */
#include "lamina/session.h"

#include "base/os/os_time.h"
#include "graph/model.h"
#include "graph/passes/pass.h"
#include "runtime/exec.h"

#include <string.h>

#define DEFAULT_MAX_PLANS 16u
#define DEFAULT_MAX_PLAN_BYTES ((uint64_t)1 << 30)
#define DEFAULT_MAX_CONST_BYTES ((uint64_t)64 << 20)
#define MAX_KEY 4096u

static lamina_status optimise(lamina_session *s, lamina_error *err)
{
    if (s->opts.no_optimize) return LAMINA_OK;
    lmn_pass_ctx ctx = {.max_const_bytes = s->opts.max_const_bytes};
    lamina_status st = lmn_passes_run(s->g, &ctx);
    if (st == LAMINA_OK) st = lmn_graph_infer(s->g, NULL);
    if (st != LAMINA_OK)
        return lmn_fail(err, st, "optimising the graph failed: %s", lamina_status_text(st));
    return LAMINA_OK;
}

static lamina_status prepare(lamina_session *s, lamina_error *err)
{
    lamina_status st = lmn_workers_get(s->engine, &s->pool);
    if (st == LAMINA_OK) st = lmn_graph_clone(s->model->graph, NULL, &s->g);
    if (st != LAMINA_OK) return lmn_fail(err, st, "out of memory making a session");
    LMN_TRY(optimise(s, err));
    return lmn_exec_create(s, s->g, &s->x, err);
}

lamina_status lamina_session_create(lamina_model *model, const lamina_session_opts *opts,
                                    lamina_session **out, lamina_error *err)
{
    if (!model || !out)
        return lmn_fail(err, LAMINA_E_INVALID, "a session needs a model and a place to go");
    lamina_session_opts o;
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK || o.reserved)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the session options set a field this version does not know");
    if (model->diags.n_errors) {
        lamina_status st = lmn_diags_to_error(&model->diags, err);
        return st == LAMINA_OK ? lmn_fail(err, LAMINA_E_UNSUPPORTED, "the model has errors") : st;
    }
    const lamina_allocator *a = &model->engine->alloc;
    lamina_session *s = lmn_calloc(a, 1, sizeof *s, "session");
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory making a session");
    if (!o.max_plans) o.max_plans = DEFAULT_MAX_PLANS;
    if (!o.max_plan_bytes) o.max_plan_bytes = DEFAULT_MAX_PLAN_BYTES;
    if (!o.max_const_bytes) o.max_const_bytes = DEFAULT_MAX_CONST_BYTES;
    s->engine = model->engine;
    s->model = lamina_model_ref(model);
    s->opts = o;
    s->devices = s->engine->slot[LMN_SLOT_DEVICES].ptr;
    lmn_mutex_init(&s->lock);
    lamina_status st =
        s->devices ? prepare(s, err) : lmn_fail(err, LAMINA_E_STATE, "the engine has no device");
    if (st != LAMINA_OK) {
        lamina_session_destroy(s);
        return st;
    }
    *out = s;
    return LAMINA_OK;
}

void lamina_session_destroy(lamina_session *s)
{
    if (!s) return;
    while (s->plans) {
        lmn_plan *p = s->plans;
        s->plans = p->next;
        lmn_plan_destroy(s->x, p);
    }
    lmn_exec_destroy(s->x);
    lmn_graph_destroy(s->g);
    lmn_mutex_finish(&s->lock);
    lamina_engine *e = s->engine;
    lamina_model_unref(s->model);
    lmn_cfree(&e->alloc, s, 1, sizeof *s, "session");
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

static lamina_status check_input(const lamina_session *s, size_t i, const lamina_tensor *t,
                                 lamina_error *err)
{
    const lmn_value *v = &s->model->graph->values[s->model->graph->inputs[i]];
    const lmn_fact *f = &v->fact;
    char want[128];
    (void)lmn_fact_format(s->model->graph->dims, f, want, sizeof want);
    if (f->kind == LMN_FACT_TENSOR && t->kind != LAMINA_KIND_TENSOR)
        return lmn_fail(err, LAMINA_E_DTYPE, "input \"%s\" wants %s and got no tensor", v->name,
                        want);
    if (t->kind == LAMINA_KIND_NONE) return LAMINA_OK; /* an empty optional, maybe of a sequence */
    if (f->kind == LMN_FACT_SEQUENCE && t->kind != LAMINA_KIND_SEQUENCE)
        return lmn_fail(err, LAMINA_E_DTYPE, "input \"%s\" wants a sequence", v->name);
    if (f->dtype && t->dtype != f->dtype)
        return lmn_fail(err, LAMINA_E_DTYPE, "input \"%s\" wants %s and got %s", v->name,
                        lamina_dtype_name(f->dtype), lamina_dtype_name(t->dtype));
    if (f->kind != LMN_FACT_TENSOR || f->rank < 0) return LAMINA_OK;
    if (t->rank != f->rank)
        return lmn_fail(err, LAMINA_E_SHAPE, "input \"%s\" wants %s (rank %d) and got rank %d",
                        v->name, want, f->rank, t->rank);
    for (int32_t k = 0; k < f->rank; k++)
        if (lmn_dim_is_const(f->dims[k]) && lmn_dim_value(f->dims[k]) != t->dims[k])
            return lmn_fail(err, LAMINA_E_SHAPE,
                            "input \"%s\" wants %s: dimension %d is %lld and must be %lld", v->name,
                            want, k, (long long)t->dims[k], (long long)lmn_dim_value(f->dims[k]));
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
        return lmn_fail(err, LAMINA_E_INVALID, "the model has %zu inputs and got %zu", g->n_inputs,
                        n_given);
    for (size_t i = 0; i < g->n_inputs; i++) {
        const lmn_value *v = &s->model->graph->values[g->inputs[i]];
        const lamina_tensor *t = i < n_given ? given[i] : NULL;
        if (t && t->engine != s->engine)
            return lmn_fail(err, LAMINA_E_INVALID, "input \"%s\" belongs to another engine",
                            v->name);
        if (t)
            LMN_TRY(check_input(s, i, t, err));
        else if (!(t = v->constant) && v->fact.kind != LMN_FACT_OPTIONAL)
            return lmn_fail(err, LAMINA_E_INVALID, "input \"%s\" is missing", v->name);
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

/* ---- plans ------------------------------------------------------------------------------------
 */

/* Under lock: unlink plans from the tail until the bounds hold; what runs goes when its run ends.
 */
static lmn_plan *evict(lamina_session *s)
{
    lmn_plan *dead = NULL;
    while (s->plans && s->plans->next &&
           (s->n_plans > s->opts.max_plans || s->idle_bytes > s->opts.max_plan_bytes)) {
        lmn_plan **at = &s->plans;
        while ((*at)->next) at = &(*at)->next;
        lmn_plan *p = *at;
        *at = NULL;
        s->n_plans--;
        p->evicted = true;
        for (lmn_frame *f = p->idle; f; f = f->next) {
            s->idle_bytes -= p->arena_bytes;
            p->n_frames--;
        }
        if (p->n_frames == 0) {
            p->next = dead;
            dead = p;
        }
    }
    return dead;
}

static void destroy_list(lamina_session *s, lmn_plan *dead)
{
    while (dead) {
        lmn_plan *p = dead;
        dead = p->next;
        lmn_plan_destroy(s->x, p);
    }
}

/* Under lock: the cached plan for this key, moved to the front. */
static lmn_plan *find_plan(lamina_session *s, const int64_t *key, size_t n_key)
{
    for (lmn_plan **at = &s->plans; *at; at = &(*at)->next) {
        lmn_plan *p = *at;
        if (p->n_key != n_key || memcmp(p->key, key, n_key * sizeof *key)) continue;
        *at = p->next;
        p->next = s->plans;
        s->plans = p;
        return p;
    }
    return NULL;
}

static lamina_status get_frame(lamina_session *s, const int64_t *key, size_t n_key,
                               const lamina_tensor *const *in, lmn_frame **out, lamina_error *err)
{
    lmn_mutex_lock(&s->lock);
    lmn_plan *p = find_plan(s, key, n_key);
    if (p) {
        p->n_frames++; /* holds the plan until lmn_frame_take has its own */
        s->n_plan_hits++;
    }
    lmn_mutex_unlock(&s->lock);
    if (!p) {
        LMN_TRY(lmn_plan_create(s->x, key, n_key, in, &p, err));
        lmn_mutex_lock(&s->lock);
        p->next = s->plans;
        p->n_frames = 1;
        s->plans = p;
        s->n_plans++;
        s->n_plans_made++;
        lmn_plan *dead = evict(s);
        lmn_mutex_unlock(&s->lock);
        destroy_list(s, dead);
    }
    lamina_status st = lmn_frame_take(s->x, p, out);
    lmn_mutex_lock(&s->lock);
    bool last = --p->n_frames == 0 && p->evicted;
    lmn_mutex_unlock(&s->lock);
    if (last) lmn_plan_destroy(s->x, p);
    if (st != LAMINA_OK) return lmn_fail(err, st, "out of memory for the activations of a run");
    return LAMINA_OK;
}

/* ---- running ----------------------------------------------------------------------------------
 */

static void run_enter(lamina_session *s, lmn_run *run)
{
    lmn_mutex_lock(&s->lock);
    run->next = s->runs;
    if (s->runs) s->runs->prev = run;
    s->runs = run;
    s->n_runs++;
    lmn_mutex_unlock(&s->lock);
}

static void run_leave(lamina_session *s, lmn_run *run)
{
    lmn_mutex_lock(&s->lock);
    if (run->prev)
        run->prev->next = run->next;
    else
        s->runs = run->next;
    if (run->next) run->next->prev = run->prev;
    lmn_mutex_unlock(&s->lock);
}

static lamina_status run_bound(lamina_session *s, const lamina_tensor **in, const int64_t *key,
                               size_t n_key, lamina_tensor **outputs, size_t n_outputs,
                               const lamina_run_opts *o)
{
    lmn_frame *f = NULL;
    LMN_TRY(get_frame(s, key, n_key, in, &f, o->error));
    lmn_run run = {.session = s,
                   .deadline_ns = o->deadline_ns,
                   .user_stop = (const _Atomic uint32_t *)o->stop,
                   .err = o->error};
    lmn_workers_par(s->pool, (int32_t)s->opts.n_threads, &run.stop, &run.par_ctx, &run.par);
    run_enter(s, &run);
    const uint64_t t0 = s->opts.profile ? lmn_now_ns() : 0;
    lamina_status st = lmn_frame_run(f, &run, (lamina_tensor *const *)(uintptr_t)in, s->g->n_inputs,
                                     outputs, n_outputs);
    if (s->opts.profile)
        atomic_fetch_add_explicit(&s->run_ns, lmn_now_ns() - t0, memory_order_relaxed);
    run_leave(s, &run);
    lmn_frame_give(f);
    return st;
}

lamina_status lamina_session_run(lamina_session *s, const lamina_tensor *const *inputs,
                                 size_t n_inputs, lamina_tensor **outputs, size_t n_outputs,
                                 const lamina_run_opts *opts)
{
    lamina_run_opts o;
    LMN_CHECK(s && (inputs || !n_inputs) && (outputs || !n_outputs), LAMINA_E_INVALID);
    LMN_TRY(lmn_opts_read(&o, sizeof o, opts));
    if (o.error) memset(o.error, 0, sizeof *o.error);
    if (n_outputs > s->g->n_outputs)
        return lmn_fail(o.error, LAMINA_E_INVALID, "the model has %zu outputs, not %zu",
                        s->g->n_outputs, n_outputs);
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
    if (st == LAMINA_OK) st = run_bound(s, in, key, n_key, out, n_outputs, &o);
    if (st == LAMINA_OK && n_outputs) memcpy(outputs, out, n_outputs * sizeof *out);
    if (in != in_small) lmn_cfree(a, in, n_in, sizeof *in, "run");
    if (out != out_small) lmn_cfree(a, out, n_outputs, sizeof *out, "run");
    return st;
}

void lamina_cancel(lamina_session *s)
{
    if (!s) return;
    lmn_mutex_lock(&s->lock);
    for (lmn_run *r = s->runs; r; r = r->next)
        atomic_store_explicit(&r->stop, (uint32_t)-LAMINA_E_CANCELLED, memory_order_release);
    lmn_mutex_unlock(&s->lock);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

uint64_t lamina_session_trim(lamina_session *s, uint64_t keep_bytes)
{
    if (!s) return 0;
    lmn_frame *dead = NULL;
    lmn_mutex_lock(&s->lock);
    const uint64_t before = s->idle_bytes;
    for (lmn_plan *p = s->plans; p; p = p->next)
        while (p->idle && s->idle_bytes > keep_bytes) {
            lmn_frame *f = p->idle;
            p->idle = f->next;
            p->n_frames--;
            s->idle_bytes -= p->arena_bytes;
            f->next = dead;
            dead = f;
        }
    const uint64_t freed = before - s->idle_bytes;
    lmn_mutex_unlock(&s->lock);
    while (dead) {
        lmn_frame *f = dead;
        dead = f->next;
        lmn_frame_destroy(f);
    }
    return freed;
}

lamina_status lamina_session_get_stats(const lamina_session *cs, lamina_session_stats *out)
{
    lamina_session *s = (lamina_session *)(uintptr_t)cs;
    LMN_CHECK(s && out && out->size >= sizeof(size_t) && out->size <= sizeof *out,
              LAMINA_E_INVALID);
    lamina_session_stats st = {.size = out->size, .n_nodes = s->g->n_nodes};
    for (size_t i = 0; i < s->g->n_nodes; i++) st.n_nodes_fast += s->x->steps[i].kernel != NULL;
    lmn_mutex_lock(&s->lock);
    st.n_runs = s->n_runs;
    st.n_plans_made = s->n_plans_made;
    st.n_plan_hits = s->n_plan_hits;
    st.idle_bytes = s->idle_bytes;
    lmn_mutex_unlock(&s->lock);
    st.run_ns = atomic_load_explicit(&s->run_ns, memory_order_relaxed);
    memcpy(out, &st, out->size);
    return LAMINA_OK;
}

lamina_status lamina_session_node(const lamina_session *s, size_t i, lamina_node_info *out)
{
    LMN_CHECK(s && out && out->size >= sizeof(size_t) && out->size <= sizeof *out,
              LAMINA_E_INVALID);
    LMN_CHECK(i < s->g->n_nodes, LAMINA_E_RANGE);
    lmn_step *t = &s->x->steps[i];
    const lamina_node_info info = {
        .size = out->size,
        .name = t->node->op.name,
        .op = t->node->op.def->name,
        .device = t->kernel ? t->vt->name : "cpu",
        .kernel = t->kernel ? t->kernel_name : "reference",
        .reason = t->reason,
        .n_calls = atomic_load_explicit(&t->n_calls, memory_order_relaxed),
        .total_ns = atomic_load_explicit(&t->total_ns, memory_order_relaxed),
        .flops = t->flops,
        .bytes = t->bytes,
    };
    memcpy(out, &info, out->size);
    return LAMINA_OK;
}
