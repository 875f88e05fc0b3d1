/*
 * The spans of sessions and runs.
 */
#include "runtime/spans.h"

#include "graph/model.h"
#include "runtime/exec.h"

#define DEEPEST (LMN_LANE_OPEN - 1)
/* What noting costs, measured: bench/trace.py. */
#define RUN_NS 80.0
#define NODE_NS 25.0

void lmn_spans_open(lamina_session *s)
{
    lmn_spans *p = &s->spans;
    lamina_trace *t = lmn_engine_trace(s->engine);
    if (!t) return;
    const char *name = s->model->graph_name;
    p->run = lamina_trace_name(t, "run", "session(model:s,number:u)");
    p->plan = lamina_trace_name(t, "plan", "session(model:s)");
    p->chunk = lamina_trace_name(t, "chunk", "pool(node:s,chunk:u,worker:i)");
    p->model = lamina_trace_name(t, name && *name ? name : "model", NULL);
    p->run_ns = lamina_trace_metric_get(t, LAMINA_TRACE_HISTOGRAM, "lamina_run", "seconds", 1e-9,
                                        "Time of a run that succeeded");
    p->errors = lamina_trace_metric_get(t, LAMINA_TRACE_COUNTER, "lamina_run_errors", "", 1,
                                        "Runs that did not succeed");
    p->plans = lamina_trace_metric_get(t, LAMINA_TRACE_COUNTER, "lamina_plans", "", 1,
                                       "Plans made for new input shapes");
    p->lock_hook = lmn_trace_mutex_hook(t);
    p->trace = t;
}

void lmn_spans_name_steps(lmn_exec *x)
{
    lamina_trace *t = x->session->spans.trace;
    for (size_t i = 0; t && i < x->g->n_nodes; i++) {
        lmn_step *s = &x->steps[i];
        const lmn_opnode *op = &s->node->op;
        s->names.op = lamina_trace_name(t, op->def->name, "node(node:s,kernel:s,run:u)");
        s->names.node = lamina_trace_name(t, op->name, NULL);
        s->names.kernel = lamina_trace_name(t, s->kernel ? s->kernel_name : "reference", NULL);
    }
}

const lmn_mutex_hook *lmn_spans_lock_hook(const lamina_session *s)
{
    const bool wanted = lmn_trace_on(s->spans.trace, LAMINA_TRACE_LEVEL_CHUNKS);
    return wanted ? &s->spans.lock_hook : NULL;
}

/* ---- chunks -----------------------------------------------------------------------------------
 */

typedef struct chunks {
    lmn_par_fn *fn;
    void *arg;
    lmn_run *run;
} chunks;

static void chunk(void *arg, int64_t i, int32_t worker)
{
    const chunks *c = arg;
    const lmn_run_spans *r = &c->run->spans;
    const lmn_spans *p = &c->run->session->spans;
    const uint64_t start = lmn_trace_now(p->trace);
    c->fn(c->arg, i, worker);
    const bool mine = lmn_trace_holds(r->lane); /* the caller of the run does chunks too */
    lamina_trace_lane *lane = mine ? r->lane : lmn_trace_take(p->trace, NULL);
    if (!lane) return;
    const lmn_trace_put e = {.time = start,
                             .value = lmn_trace_now(p->trace) - start,
                             .kind = LAMINA_TRACE_SPAN,
                             .name = p->chunk,
                             .parent = r->id,
                             .args = {r->node, (uint64_t)i, (uint64_t)worker}};
    lmn_trace_emit(lane, &e);
    if (!mine) lmn_trace_give(lane);
}

static void run_chunks(void *ctx, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    lmn_run *run = ctx;
    chunks c = {fn, arg, run};
    run->spans.inner.run(run->spans.inner.ctx, n_chunks, chunk, &c);
}

/* ---- runs -------------------------------------------------------------------------------------
 */

void lmn_spans_begin_run(lmn_run *run)
{
    lmn_spans *p = &run->session->spans;
    lmn_run_spans *r = &run->spans;
    const uint32_t skip = lmn_atomic_load(&p->n_skip, relaxed);
    if (skip && lmn_atomic_load(&p->at, relaxed) == lmn_atomic_load(p->trace->level, relaxed)) {
        /* two at once may skip the same one: it is about the rate */
        lmn_atomic_store(&p->n_skip, skip - 1, relaxed);
        return;
    }
    r->lane = lmn_trace_take(p->trace, NULL);
    if (!r->lane) return;
    r->id = lmn_trace_span_id(r->lane);
    r->nodes = lmn_trace_on(p->trace, LAMINA_TRACE_LEVEL_NODES);
    r->start = lmn_trace_now(p->trace);
    lmn_trace_inside(r->lane, 0, p->run, p->model);
    if (!lmn_trace_on(p->trace, LAMINA_TRACE_LEVEL_CHUNKS)) return;
    r->inner = run->par;
    run->par = (lmn_par){run, r->inner.width, run_chunks};
}

/* How many of the next runs are not noted, so that the share is kept. */
static void space_out(lmn_spans *p, const lmn_run_spans *r, uint64_t ns)
{
    const double share = r->nodes ? LMN_SPANS_SHARE_NODES : LMN_SPANS_SHARE_RUNS;
    const double due = (RUN_NS + r->n_nodes * NODE_NS) / ((double)(ns + 1) * share);
    const uint32_t skip = due <= 1 ? 0 : due < 64 ? (uint32_t)due : 64;
    lmn_atomic_store(&p->weight, skip + 1, relaxed);
    lmn_atomic_store(&p->at, lmn_atomic_load(p->trace->level, relaxed), relaxed);
    lmn_atomic_store(&p->n_skip, skip, relaxed);
}

void lmn_spans_end_run(lmn_run *run, lamina_status st)
{
    lmn_spans *p = &run->session->spans;
    const lmn_run_spans *r = &run->spans;
    const uint64_t took = lmn_trace_now(p->trace) - r->start;
    const lmn_trace_put e = {.time = r->start,
                             .value = took,
                             .kind = LAMINA_TRACE_SPAN,
                             .name = p->run,
                             .span = r->id,
                             .args = {p->model, run->number}};
    lmn_trace_emit(r->lane, &e);
    const uint64_t ns = lmn_trace_ticks_ns(p->trace, took);
    const uint32_t weight = lmn_atomic_load(&p->weight, relaxed);
    if (st == LAMINA_OK) lmn_metric_add_many(p->run_ns, ns, weight ? weight : 1);
    space_out(p, r, ns);
    for (int i = r->nodes ? DEEPEST : 0; i >= 0; i--) lmn_trace_inside(r->lane, i, 0, 0);
    lmn_trace_give(r->lane);
}

void lmn_spans_plan(lmn_run *run, uint64_t start)
{
    const lmn_spans *p = &run->session->spans;
    const lmn_trace_put e = {.time = start,
                             .value = lmn_trace_now(p->trace) - start,
                             .kind = LAMINA_TRACE_SPAN,
                             .name = p->plan,
                             .parent = run->spans.id,
                             .args = {p->model}};
    lmn_trace_emit(run->spans.lane, &e);
    lmn_metric_add(p->plans, 1);
}

void lmn_spans_node(lmn_run *run, const lmn_step *s, uint64_t start, uint64_t end)
{
    const lmn_trace_put e = {.time = start,
                             .value = end - start,
                             .kind = LAMINA_TRACE_SPAN,
                             .name = s->names.op,
                             .parent = run->spans.id,
                             .args = {s->names.node, s->names.kernel, run->number}};
    lmn_trace_emit(run->spans.lane, &e);
    run->spans.n_nodes++;
}

void lmn_spans_inside(lmn_run *run, const lmn_step *s)
{
    const int depth = 1 + (int)run->depth;
    if (s) run->spans.node = s->names.node;
    if (depth > DEEPEST) return;
    lmn_trace_inside(run->spans.lane, depth, s ? s->names.op : 0, s ? s->names.node : 0);
}
