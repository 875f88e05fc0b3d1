/*
 * Sessions: a private optimised graph, its steps, the plans of the shapes seen so far, and the runs
 * in flight.
 */
#include "lamina/session.h"

#include "base/fpenv.h"
#include "base/os/os_env.h"
#include "graph/model.h"
#include "graph/passes/pass.h"
#include "runtime/exec.h"
#include "tune/tune_file.h"

#include <string.h>

#define DEFAULT_MAX_PLANS 16u
#define DEFAULT_MAX_PLAN_BYTES ((uint64_t)1 << 30)
#define SLICE_BYTES ((uint64_t)2 << 20) /* of images: more than L2 */
#define DEFAULT_MAX_CONST_BYTES ((uint64_t)64 << 20)

typedef struct pass_times {
    lamina_trace *trace;
    uint64_t start;
} pass_times;

static void pass_ran(void *arg, const char *pass)
{
    pass_times *p = arg;
    lmn_trace_phase_end(p->trace, p->start, pass, "pass", "");
    p->start = lmn_trace_phase_begin(p->trace);
}

/* Products of pairs of bf16 are what pays for it. */
static bool wants_short_images(const lamina_session *s)
{
    const lmn_isa pairs = LMN_ISA_AVX512BF16 | LMN_ISA_AMX;
    return s->opts.precision == LAMINA_PRECISION_BF16 && !s->opts.reference &&
           (s->engine->cpu.isa & pairs);
}

static lamina_status optimise(lamina_session *s, lamina_error *err)
{
    pass_times times = {s->spans.trace, lmn_trace_phase_begin(s->spans.trace)};
    lmn_pass_ctx ctx = {.max_const_bytes = s->opts.max_const_bytes,
                        .ran = s->spans.trace ? pass_ran : NULL,
                        .arg = &times,
                        .short_images = wants_short_images(s)};
    /* What no output needs never runs, so that it is refused in no way of running. */
    lamina_status st =
        s->opts.no_optimize ? lmn_pass_run(s->g, "dce", &ctx) : lmn_passes_run(s->g, &ctx);
    if (st == LAMINA_OK) st = lmn_graph_infer(s->g, NULL);
    /* intermediate weights are of no size that a run asks for */
    (void)lmn_recycle_trim(&s->engine->recycle, &s->engine->alloc, 0);
    if (st != LAMINA_OK)
        return lmn_fail(err, st, "optimising the graph failed: %s", lamina_status_text(st));
    return LAMINA_OK;
}

/* Choices for this machine, if somebody tuned a model here. */
static lamina_status read_tuned(lamina_session *s)
{
    char path[LMN_TUNE_PATH_MAX];
    if (s->opts.reference || !lmn_tune_path(s->engine, s->opts.tune, path, sizeof path))
        return LAMINA_OK;
    LMN_TRY(lmn_tune_load(s->engine, path, &s->tuned));
    const uint32_t ignored = lmn_tune_table_ignored(&s->tuned);
    if (ignored)
        lmn_log(s->engine, LAMINA_LOG_INFO, "%.400s: %u lines are not for this machine or damaged",
                path, ignored);
    s->tune.table = s->tuned.n ? &s->tuned : NULL;
    return LAMINA_OK;
}

static lamina_status prepare(lamina_session *s, lamina_error *err)
{
    lamina_status st = lmn_workers_get(s->engine, &s->pool);
    if (st == LAMINA_OK && s->opts.profile) st = lmn_profile_create(&s->engine->alloc, &s->profile);
    if (st == LAMINA_OK) st = lmn_graph_clone_lent(s->model->graph, &s->g);
    if (st == LAMINA_OK) st = read_tuned(s);
    if (st != LAMINA_OK) return lmn_fail(err, st, "out of memory making a session");
    lamina_trace *t = s->spans.trace;
    const char *name = s->model->graph_name ? s->model->graph_name : "";
    const uint64_t start = lmn_trace_phase_begin(t);
    LMN_TRY(optimise(s, err));
    lmn_trace_phase_end(t, start, "optimise", "session(model:s)", name);
    const uint64_t placing = lmn_trace_phase_begin(t);
    if (lmn_packs_create(s->model, &s->opts, &s->packs) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory making a session");
    LMN_TRY(lmn_exec_create(s, s->g, &s->x, err));
    const uint64_t packing = lmn_trace_phase_begin(t);
    LMN_TRY(lmn_packs_commit(s->packs, err));
    s->opts.prepack_cache = NULL; /* the caller's, until now */
    lmn_trace_phase_end(t, packing, "prepack", "session(model:s)", name);
    lmn_trace_phase_end(t, placing, "place", "session(model:s)", name);
    lmn_trace_phase_end(t, start, "session", "session(model:s)", name);
    return LAMINA_OK;
}

lamina_status lamina_session_create(lamina_model *model, const lamina_session_opts *opts,
                                    lamina_session **out, lamina_error *err)
{
    if (!model || !out)
        return lmn_fail(err, LAMINA_E_INVALID, "a session needs a model and a place to go");
    lamina_session_opts o;
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK || o.precision > LAMINA_PRECISION_INT8)
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
    s->slice_bytes = SLICE_BYTES;
    s->devices = s->engine->slot[LMN_SLOT_DEVICES].ptr;
    lmn_tune_table_init(&s->tuned, a);
    lmn_spans_open(s);
    lmn_mutex_init_as(&s->lock, LMN_RANK_SESSION, "session", lmn_spans_lock_hook(s));
    lmn_fpenv fp; /* folding computes */
    lmn_fpenv_enter(&fp);
    lamina_status st =
        s->devices ? prepare(s, err) : lmn_fail(err, LAMINA_E_STATE, "the engine has no device");
    lmn_fpenv_leave(&fp);
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
    lmn_plans_destroy(s);
    lmn_exec_destroy(s->x);
    lmn_packs_destroy(s->packs);
    lmn_graph_destroy(s->g);
    lmn_mutex_finish(&s->lock);
    lamina_engine *e = s->engine;
    lmn_tune_table_finish(&s->tuned);
    lmn_profile_destroy(&e->alloc, s->profile);
    lamina_model_unref(s->model);
    lmn_cfree(&e->alloc, s, 1, sizeof *s, "session");
}

void lamina_cancel(lamina_session *s)
{
    if (!s) return;
    lmn_mutex_lock(&s->lock);
    for (lmn_run *r = s->runs; r; r = r->next) lmn_stop_set(&r->stop, LAMINA_E_CANCELLED);
    lmn_mutex_unlock(&s->lock);
}

/* ---- looking ----------------------------------------------------------------------------------
 */

uint64_t lamina_session_trim(lamina_session *s, uint64_t keep_bytes)
{
    if (!s) return 0;
    uint64_t freed = lmn_plans_trim(s, keep_bytes);
    freed += lmn_recycle_trim(&s->engine->recycle, &s->engine->alloc, (size_t)keep_bytes);
    lmn_os_heap_trim();
    return freed;
}

static uint64_t nanoseconds(const lamina_session *s, uint64_t ticks)
{
    return ticks ? (uint64_t)((double)ticks * lmn_ticks_ns(&s->profile->clock)) : 0;
}

lamina_status lamina_session_get_stats(const lamina_session *cs, lamina_session_stats *out)
{
    lamina_session *s = (lamina_session *)(uintptr_t)cs;
    LMN_CHECK(s && out && out->size >= sizeof(size_t) && out->size <= sizeof *out,
              LAMINA_E_INVALID);
    lamina_session_stats st = {.size = out->size, .n_nodes = s->g->n_nodes};
    for (size_t i = 0; i < s->g->n_nodes; i++) {
        st.n_nodes_fast += s->x->steps[i].kernel != NULL;
        st.n_nodes_tuned += lmn_atomic_load(&s->x->steps[i].site.chosen, relaxed);
    }
    st.n_choices = s->tuned.n;
    st.n_choices_ignored = lmn_tune_table_ignored(&s->tuned);
    lmn_mutex_lock(&s->lock);
    st.n_runs = s->n_runs;
    st.n_plans_made = s->n_plans_made;
    st.n_plan_hits = s->n_plan_hits;
    st.idle_bytes = s->idle_bytes;
    const uint64_t ticks = s->profile ? s->profile->run_ticks : 0;
    lmn_mutex_unlock(&s->lock);
    st.run_ns = nanoseconds(s, ticks);
    lmn_packs_stats(s->packs, &st);
    memcpy(out, &st, out->size);
    return LAMINA_OK;
}

lamina_status lamina_session_node(const lamina_session *cs, size_t i, lamina_node_info *out)
{
    lamina_session *s = (lamina_session *)(uintptr_t)cs;
    LMN_CHECK(s && out && out->size >= sizeof(size_t) && out->size <= sizeof *out,
              LAMINA_E_INVALID);
    LMN_CHECK(i < s->g->n_nodes, LAMINA_E_RANGE);
    const lmn_step *t = &s->x->steps[i];
    lmn_mutex_lock(&s->lock);
    const uint64_t n_calls = t->n_calls, ticks = t->total_ticks;
    const double flops = t->flops, bytes = t->bytes;
    lmn_mutex_unlock(&s->lock);
    const lamina_node_info info = {
        .size = out->size,
        .name = t->node->op.name,
        .op = t->node->op.def->name,
        .device = t->kernel ? t->vt->name : "cpu",
        .kernel = t->kernel ? t->kernel_name : "reference",
        .reason = t->reason,
        .n_calls = n_calls,
        .total_ns = nanoseconds(s, ticks),
        .flops = flops,
        .bytes = bytes,
        .tuned = lmn_atomic_load(&t->site.chosen, relaxed) != 0,
    };
    memcpy(out, &info, out->size);
    return LAMINA_OK;
}
