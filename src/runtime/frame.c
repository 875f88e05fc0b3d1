/*
 * Frames and the step loop: what happens on every run. A frame resolves every pointer once, so that
 * a run of a known shape binds inputs, walks the steps and hands out the outputs.
 */
#include "runtime/exec.h"

#include "ops/node.h"

#include <string.h>

#define MAX_CALL_DEPTH 64u

static void resolve_io(lmn_frame *f)
{
    const lmn_graph *g = f->x->g;
    lamina_tensor **io = f->io;
    size_t o = 0;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        for (int32_t k = 0; k < n->op.n_in; k++) *io++ = f->at[n->in[k]];
        for (int32_t k = 0; k < n->op.n_out; k++, o++) {
            *io++ = f->at[n->out[k]];
            if (f->plan && n->out[k] && f->plan->offset[n->out[k]] >= 0)
                f->plan_bytes[o] = f->plan->bytes[n->out[k]];
        }
    }
}

void lmn_frame_place(lmn_frame *f, lmn_block *b)
{
    const lmn_graph *g = f->x->g;
    f->block = b;
    if (!b || b->data == f->arena) return;
    f->arena = b->data;
    size_t o = 0;
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_out; k++, o++) {
            const lmn_vid v = g->nodes[i].out[k];
            if (v && f->plan->offset[v] >= 0) f->plan_data[o] = f->arena + f->plan->offset[v];
        }
}

lamina_status lmn_frame_create(lmn_exec *x, lmn_plan *p, lmn_frame **out)
{
    const lmn_graph *g = x->g;
    const lamina_allocator *a = &g->engine->alloc;
    lmn_frame *f = lmn_calloc(a, 1, sizeof *f, "frame");
    if (!f) return LAMINA_E_NOMEM;
    f->x = x;
    f->plan = p;
    for (size_t i = 0; i < g->n_nodes; i++) {
        f->n_io += (size_t)(g->nodes[i].op.n_in + g->nodes[i].op.n_out);
        f->n_outs += (size_t)g->nodes[i].op.n_out;
    }
    f->slots = lmn_calloc(a, g->n_values, sizeof *f->slots, "frame");
    f->at = lmn_calloc(a, g->n_values, sizeof *f->at, "frame");
    f->io = lmn_calloc(a, f->n_io + 1, sizeof *f->io, "frame");
    f->plan_data = lmn_calloc(a, f->n_outs + 1, sizeof *f->plan_data, "frame");
    f->plan_bytes = lmn_calloc(a, f->n_outs + 1, sizeof *f->plan_bytes, "frame");
    if (x->session->profile) f->spans = lmn_calloc(a, g->n_nodes + 1, sizeof *f->spans, "frame");
    if (!f->slots || !f->at || !f->io || !f->plan_data || !f->plan_bytes ||
        (x->session->profile && !f->spans)) {
        lmn_frame_destroy(f);
        return LAMINA_E_NOMEM;
    }
    for (size_t v = 1; v < g->n_values; v++) {
        f->slots[v].kind = LAMINA_KIND_NONE;
        f->slots[v].engine = g->engine;
        f->at[v] = &f->slots[v];
        if (g->values[v].constant && !g->values[v].is_input) f->at[v] = g->values[v].constant;
        if (p && p->known[v]) f->at[v] = p->known[v];
    }
    resolve_io(f);
    if (f->spans) lmn_profile_watch(f);
    *out = f;
    return LAMINA_OK;
}

void lmn_frame_destroy(lmn_frame *f)
{
    const lmn_graph *g = f->x->g;
    const lamina_allocator *a = &g->engine->alloc;
    for (size_t v = 1; f->slots && v < g->n_values; v++) lmn_slot_clear(&f->slots[v]);
    lmn_cfree(a, f->slots, g->n_values, sizeof *f->slots, "frame");
    lmn_cfree(a, f->at, g->n_values, sizeof *f->at, "frame");
    lmn_cfree(a, f->io, f->n_io + 1, sizeof *f->io, "frame");
    lmn_cfree(a, f->plan_data, f->n_outs + 1, sizeof *f->plan_data, "frame");
    lmn_cfree(a, f->plan_bytes, f->n_outs + 1, sizeof *f->plan_bytes, "frame");
    lmn_cfree(a, f->spans, g->n_nodes + 1, sizeof *f->spans, "frame");
    lmn_cfree(a, f, 1, sizeof *f, "frame");
}

void lmn_frame_clear(lmn_frame *f)
{
    for (size_t v = 1; v < f->x->g->n_values; v++)
        if (f->slots[v].buf || f->slots[v].items) lmn_slot_clear(&f->slots[v]);
}

/* Frames of subgraphs: on the heap, kept until the session goes. */
static lamina_status sub_take(lmn_exec *x, lmn_frame **out)
{
    lamina_session *s = x->session;
    lmn_mutex_lock(&s->lock);
    lmn_frame *f = x->idle;
    if (f) x->idle = f->next;
    lmn_mutex_unlock(&s->lock);
    if (!f) return lmn_frame_create(x, NULL, out);
    *out = f;
    return LAMINA_OK;
}

static void sub_give(lmn_frame *f, const lmn_run *run, size_t n_done)
{
    lamina_session *s = f->x->session;
    lmn_frame_clear(f);
    lmn_mutex_lock(&s->lock);
    if (run->start) lmn_profile_commit(s->profile, f, n_done, run->number);
    f->next = f->x->idle;
    f->x->idle = f;
    lmn_mutex_unlock(&s->lock);
}

/* ---- running ----------------------------------------------------------------------------------
 */

typedef struct call {
    lmn_eval ec; /* first: the host functions get back here */
    lmn_frame *frame;
    lmn_run *run;
} call;

static bool call_cancelled(lmn_eval *ec)
{
    return lmn_stop_poll(&((call *)ec)->run->stop) != LAMINA_OK;
}

static lmn_exec *find_sub(const lmn_exec *x, const lmn_attr *graph)
{
    for (size_t i = 0; i < x->n_subs; i++)
        if (x->sub_graphs[i] == graph->u.g) return x->subs[i];
    return NULL;
}

/* Rare: a loop that never turned. Constant dims are all that outlives the pool. */
static bool call_graph_fact(lmn_eval *ec, const lmn_attr *graph, const lmn_fact *const *in,
                            int32_t n_in, int32_t o, lmn_fact *f)
{
    const lamina_allocator *a = &ec->engine->alloc;
    const lmn_exec *sub = find_sub(((call *)ec)->frame->x, graph);
    if (!sub || n_in < 0 || o < 0 || (size_t)o >= sub->g->n_outputs) return false;
    lmn_dim_pool *dims = NULL;
    lmn_arena tmp;
    lmn_diags diags;
    lmn_arena_init(&tmp, a, 0);
    lmn_diags_init(&diags, a);
    lmn_fact *out = LMN_ARENA_ARRAY(&tmp, lmn_fact, sub->g->n_outputs);
    lamina_status st = out ? lmn_dim_pool_create(a, 0, &dims) : LAMINA_E_NOMEM;
    if (st == LAMINA_OK)
        st = lmn_graph_infer_call(sub->g, dims, &tmp, in, (size_t)n_in, out, sub->g->n_outputs,
                                  &diags);
    if (st == LAMINA_OK) {
        *f = out[o];
        f->n_elems = -1;
        f->elems = NULL;
    }
    lmn_dim_pool_destroy(dims);
    lmn_diags_finish(&diags);
    lmn_arena_finish(&tmp);
    return st == LAMINA_OK;
}

static lamina_status call_graph(lmn_eval *ec, const lmn_attr *graph, lamina_tensor *const *in,
                                int32_t n_in, lamina_tensor **out, int32_t n_out)
{
    call *c = (call *)ec;
    lmn_exec *sub = find_sub(c->frame->x, graph);
    if (!sub)
        return lmn_eval_fail(ec, LAMINA_E_STATE, "attribute %s has no prepared graph", graph->name);
    if (c->run->depth >= MAX_CALL_DEPTH)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "subgraphs nest deeper than %u", MAX_CALL_DEPTH);
    lmn_frame *f;
    size_t n_done = 0;
    LMN_TRY(sub_take(sub, &f));
    c->run->depth++;
    lamina_status st = lmn_frame_run(f, c->run, in, (size_t)n_in, out, (size_t)n_out, &n_done);
    if (c->run->spans.nodes) lmn_spans_inside(c->run, NULL);
    c->run->depth--;
    sub_give(f, c->run, n_done);
    return st;
}

static const lmn_eval_host HOST = {call_graph, call_cancelled, call_graph_fact};

/* Shallow copy of a value into a slot: same bytes, a ref where there is a buffer. */
static lamina_status bind(lamina_tensor *slot, const lamina_tensor *t)
{
    if (!t) {
        slot->kind = LAMINA_KIND_NONE;
        return LAMINA_OK;
    }
    lmn_eval ec = {.engine = slot->engine, .n_out = 1, .out = (lamina_tensor *const[]){slot}};
    if (t->kind != LAMINA_KIND_TENSOR || t->strided) {
        lamina_tensor *dense = NULL;
        if (t->kind == LAMINA_KIND_TENSOR) LMN_TRY(lmn_tensor_clone(slot->engine, t, &dense));
        lamina_status st = lmn_out_value(&ec, 0, dense ? dense : t);
        lamina_tensor_unref(dense);
        return st;
    }
    slot->kind = t->kind;
    slot->dtype = t->dtype;
    slot->rank = t->rank;
    memcpy(slot->dims, t->dims, sizeof slot->dims);
    memcpy(slot->strides, t->strides, sizeof slot->strides);
    slot->data = t->data;
    slot->data_bytes = t->data_bytes;
    slot->buf = t->buf ? lmn_buffer_ref(t->buf) : NULL;
    return LAMINA_OK;
}

/* What to do about a node that failed in a run, where its operator says nothing better. */
static const char *run_fix(lamina_status st)
{
    switch (st) {
    case LAMINA_E_INVALID:
    case LAMINA_E_PARSE:
    case LAMINA_E_CORRUPT:
    case LAMINA_E_RANGE: return "correct what feeds this node: an input of the run, or the model";
    case LAMINA_E_SHAPE:
        return "make the shapes agree that feed this node: those of the run, or in the model";
    case LAMINA_E_DTYPE: return "feed it an element type that fits, or put a Cast before it";
    case LAMINA_E_LIMIT:
        return "make smaller what feeds this node: nothing of that size can be held";
    case LAMINA_E_NOMEM: return "run on smaller inputs, or raise the memory limit";
    case LAMINA_E_UNSUPPORTED: return "use other data or another form of the operator";
    default: return "";
    }
}

static lamina_status run_error(lmn_run *run, const lmn_step *s, lamina_status st)
{
    if (run->err && run->err->status != st) /* the operator gave no sentence */
        (void)lmn_fail(run->err, st, "%s", lamina_status_text(st));
    const lmn_opnode *op = &s->node->op;
    char who[160]; /* as lmn_eval_fail begins its sentences */
    const size_t n =
        op->name[0] ? lmn_format(who, sizeof who, "node \"%.80s\" (%s)", op->name, op->def->name)
                    : lmn_format(who, sizeof who, "%s", op->def->name);
    if (!run->err) return st;
    if (strncmp(run->err->msg, who, n) != 0) lmn_error_prefix(run->err, "%s", who);
    const char *fix = strstr(run->err->msg, "; ") ? "" : run_fix(st);
    const size_t o = strlen(run->err->msg);
    if (*fix) (void)lmn_format(run->err->msg + o, sizeof run->err->msg - o, "; %s", fix);
    return st;
}

static lamina_status stopped(lmn_run *run)
{
    const lamina_status st = lmn_stop_poll(&run->stop);
    if (st == LAMINA_OK) return st;
    return lmn_fail(run->err, st,
                    st == LAMINA_E_TIMEOUT ? "the deadline expired before the run was done"
                                           : "the run was cancelled");
}

static lamina_status run_step(lmn_frame *f, lmn_run *run, lmn_step *s, lamina_tensor **io, size_t o)
{
    const lmn_opnode *op = &s->node->op;
    call c = {.ec = {.node = op,
                     .engine = f->x->g->engine,
                     .n_in = op->n_in,
                     .n_out = op->n_out,
                     .in = io,
                     .out = io + op->n_in,
                     .plan_data = f->plan_data + o,
                     .plan_bytes = f->plan_bytes + o,
                     .par = &run->par,
                     .err = run->err,
                     .host = &HOST,
                     .seed = run->session->opts.seed},
              .frame = f,
              .run = run};
    lamina_status st =
        s->kernel ? s->vt->execute(s->self, s->kernel, lmn_eval_call(&c.ec)) : op->def->eval(&c.ec);
    if (c.ec.scratch_head) lmn_scratch_release(&c.ec);
    return st;
}

/* Profile and trace tick alike: both decide by the processor. */
static const lmn_ticks *clock_of(const lamina_session *s)
{
    return s->profile ? &s->profile->clock : &s->spans.trace->clock;
}

/* Where a walk over the steps is: the step, its ports and its first output among all. */
typedef struct place {
    size_t i, o;
    lamina_tensor **io;
    uint64_t tick;          /* when the last step ended */
    const lmn_slice *slice; /* that it is in, or NULL */
    bool first;             /* the only images at hand, or the first ones of a stretch */
} place;

/* Step at->i is done, begun at at->tick: note it; when does the next one begin? */
static uint64_t note(lmn_frame *f, lmn_run *run, const place *at)
{
    const uint64_t end = lmn_ticks_now(clock_of(run->session));
    if (run->spans.nodes) lmn_spans_node(run, &f->x->steps[at->i], at->tick, end);
    if (!run->start) return end;
    lmn_step_span *span = &f->spans[at->i];
    if (at->first) span->start = span->end = at->tick;
    span->end += end - at->tick;
    if (at->slice || (span->row && !span->watch)) return end;
    lmn_profile_shapes(run->session, f, at->i, (const lamina_tensor *const *)(uintptr_t)at->io);
    return lmn_ticks_now(clock_of(run->session));
}

/* A stretch is done: each of its steps as if it had taken all images at once, one behind another.
 */
static uint64_t note_slice(lmn_frame *f, lmn_run *run, place at)
{
    const lmn_slice *s = at.slice;
    uint64_t tick = f->spans[at.i].start;
    for (uint32_t i = s->first; i <= s->last; i++) {
        const lmn_opnode *op = &f->x->steps[i].node->op;
        lmn_step_span *span = &f->spans[i];
        if (!f->plan->skip[i]) {
            at.io[op->n_in]->dims[0] = s->n_images;
            if (!span->row || span->watch)
                lmn_profile_shapes(run->session, f, i,
                                   (const lamina_tensor *const *)(uintptr_t)at.io);
            span->end = tick + (span->end - span->start);
            span->start = tick;
            tick = span->end;
        }
        at.io += op->n_in + op->n_out;
    }
    return lmn_ticks_now(clock_of(run->session));
}

/* Step i was the last to read some values. */
static void let_go(lmn_frame *f, size_t i)
{
    const lmn_step *s = &f->x->steps[i];
    for (uint32_t k = 0; k < s->n_dies; k++) {
        lamina_tensor *t = &f->slots[s->dies[k]];
        if (t->buf || t->items) lmn_slot_clear(t);
    }
}

/* Step at->i, unless it is not to run. What dies in a stretch goes behind it. */
static lamina_status one_step(lmn_frame *f, lmn_run *run, place *at)
{
    const lamina_session *session = run->session;
    lmn_step *s = &f->x->steps[at->i];
    const lmn_opnode *op = &s->node->op;
    if (!f->plan || !f->plan->skip[at->i]) {
        LMN_TRY(stopped(run));
        if (session->watch) session->watch(session->watch_ctx, f, at->i);
        if (run->spans.nodes) lmn_spans_inside(run, s);
        const lamina_status st = run_step(f, run, s, at->io, at->o);
        if (st != LAMINA_OK) {
            LMN_TRY(stopped(run));
            return run_error(run, s, st);
        }
        if (run->start || run->spans.nodes) at->tick = note(f, run, at);
    }
    if (!at->slice) let_go(f, at->i);
    at->io += op->n_in + op->n_out;
    at->o += (size_t)op->n_out;
    at->i++;
    return LAMINA_OK;
}

static void see_images(lamina_tensor *t, int64_t n, size_t image_bytes)
{
    t->dims[0] = n;
    t->data_bytes = (size_t)n * image_bytes;
}

/* What the stretch reads and leaves: from now on images from `to` on that were those from `from`,
   and n of them. */
static void move_images(lmn_frame *f, const lmn_slice *s, int64_t from, int64_t to, int64_t n)
{
    for (uint32_t k = 0; k < s->n_in; k++) {
        lamina_tensor *t = &f->slots[s->in[k].v];
        t->data = (uint8_t *)t->data + (to - from) * (int64_t)s->in[k].image_bytes;
        see_images(t, n, s->in[k].image_bytes);
    }
    for (uint32_t k = 0; k < s->n_out; k++) {
        const lmn_slice_value *v = &s->out[k];
        f->plan_data[v->out] =
            (uint8_t *)f->plan_data[v->out] + (to - from) * (int64_t)v->image_bytes;
        f->plan_bytes[v->out] = (size_t)n * v->image_bytes;
    }
}

/* A stretch of steps, some images at a time; then everything is as if they had run at once. */
static lamina_status run_slice(lmn_frame *f, lmn_run *run, const lmn_slice *s, place *at)
{
    const place begin = *at;
    lamina_status st = LAMINA_OK;
    int64_t seen = 0;
    for (int64_t done = 0; st == LAMINA_OK && done < s->n_images; done += s->at_once) {
        const int64_t left = s->n_images - done;
        move_images(f, s, seen, done, left < s->at_once ? left : s->at_once);
        seen = done;
        *at = (place){begin.i, begin.o, begin.io, at->tick, s, done == 0};
        while (st == LAMINA_OK && at->i <= s->last) st = one_step(f, run, at);
    }
    move_images(f, s, seen, 0, s->n_images);
    for (uint32_t k = 0; k < s->n_out; k++) {
        lamina_tensor *t = &f->slots[s->out[k].v];
        t->data = f->plan_data[s->out[k].out];
        see_images(t, s->n_images, s->out[k].image_bytes);
    }
    if (st == LAMINA_OK && run->start)
        at->tick = note_slice(f, run, (place){.i = begin.i, .io = begin.io, .slice = s});
    for (uint32_t i = s->first; i <= s->last; i++) let_go(f, i);
    at->slice = NULL;
    at->first = true;
    return st;
}

static lamina_status run_steps(lmn_frame *f, lmn_run *run, size_t *n_done)
{
    const bool timed = run->start || run->spans.nodes;
    const lmn_slice *next = f->plan ? f->plan->slices.all : NULL;
    const lmn_slice *end = next ? next + f->plan->slices.n : NULL;
    place at = {
        .io = f->io, .tick = timed ? lmn_ticks_now(clock_of(run->session)) : 0, .first = true};
    while (at.i < f->x->g->n_nodes) {
        if (next != end && next->first == at.i)
            LMN_TRY(run_slice(f, run, next++, &at));
        else
            LMN_TRY(one_step(f, run, &at));
        *n_done = at.i;
    }
    return stopped(run);
}

lamina_status lmn_frame_run(lmn_frame *f, lmn_run *run, lamina_tensor *const *in, size_t n_in,
                            lamina_tensor **out, size_t n_out, size_t *n_done)
{
    const lmn_graph *g = f->x->g;
    if (n_in != g->n_inputs || n_out > g->n_outputs)
        return lmn_fail(run->err, LAMINA_E_SHAPE,
                        "a subgraph takes %zu values and gives %zu; it was called "
                        "with %zu and %zu",
                        g->n_inputs, g->n_outputs, n_in, n_out);
    for (size_t i = 0; i < n_in; i++) LMN_TRY(bind(&f->slots[g->inputs[i]], in[i]));
    LMN_TRY(run_steps(f, run, n_done));
    lmn_eval ec = {.engine = g->engine, .err = run->err};
    lamina_status st = LAMINA_OK;
    size_t done = 0;
    while (st == LAMINA_OK && done < n_out) {
        st = lmn_keep(&ec, f->at[g->outputs[done]], &out[done]);
        if (st == LAMINA_OK) done++;
    }
    if (st != LAMINA_OK)
        while (done > 0) {
            lamina_tensor_unref(out[--done]);
            out[done] = NULL;
        }
    return st;
}
