/*
 * The profile while it is collected. Everything here is either under the session's lock or touches
 * only the frame of the caller.
 */
#include "runtime/profile.h"

#include "ops/node.h"
#include "runtime/exec.h"

#include <string.h>

#define TAG "profile"
#define MAX_PORTS 12 /* of a row: inputs first, then outputs; the rest is not shown */
#define MAX_WORDS (MAX_PORTS * (1 + LMN_MAX_RANK))

static lmn_row *new_row(lmn_profile *p, size_t n_words)
{
    lmn_row *r = lmn_arena_alloc(&p->rows, sizeof *r + n_words * sizeof r->words[0], 16);
    if (r) r->n_words = (uint32_t)n_words;
    return r;
}

/* Ticks a reading takes, many in a row because two neighbours may execute at once. */
static uint64_t read_cost(const lmn_ticks *c)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 4; i++) {
        const uint64_t a = lmn_ticks_now(c);
        for (int k = 0; k < 31; k++) (void)lmn_ticks_now(c);
        const uint64_t took = (lmn_ticks_now(c) - a) / 32;
        if (took < best) best = took;
    }
    return best ? best : 1;
}

lamina_status lmn_profile_create(const lamina_allocator *a, lmn_profile **out)
{
    lmn_profile *p = lmn_calloc(a, 1, sizeof *p, TAG);
    if (!p) return LAMINA_E_NOMEM;
    lmn_arena_init(&p->rows, a, LMN_PROFILE_ROW_BYTES);
    p->ring = lmn_alloc(a, LMN_PROFILE_RING * sizeof *p->ring, 16, TAG);
    p->row_run = new_row(p, 0);
    p->row_plan = new_row(p, 0);
    if (!p->ring || !p->row_run || !p->row_plan) {
        lmn_profile_destroy(a, p);
        return LAMINA_E_NOMEM;
    }
    p->row_run->name = "run";
    p->row_plan->name = "plan";
    lmn_ticks_start(&p->clock);
    p->read_ticks = read_cost(&p->clock);
    *out = p;
    return LAMINA_OK;
}

void lmn_profile_destroy(const lamina_allocator *a, lmn_profile *p)
{
    if (!p) return;
    lmn_free(a, p->ring, LMN_PROFILE_RING * sizeof *p->ring, 16, TAG);
    lmn_arena_finish(&p->rows);
    lmn_cfree(a, p, 1, sizeof *p, TAG);
}

/* Small number of the calling thread; threads past the bound share the last one. */
static uint32_t thread_number(lmn_profile *p)
{
    const uintptr_t key = lmn_thread_key();
    uint32_t i = 0;
    while (i < p->n_threads && p->thread[i] != key) i++;
    if (i == LMN_PROFILE_MAX_THREADS) return i;
    if (i == p->n_threads) p->thread[p->n_threads++] = key;
    return i + 1;
}

static void put(lmn_profile *p, const lmn_event *e)
{
    p->ring[p->n_events++ % LMN_PROFILE_RING] = *e;
}

void lmn_profile_span(lmn_profile *p, const lmn_row *row, uint64_t start, uint64_t end,
                      uint32_t run)
{
    put(p, &(lmn_event){row, start, end - start, run, thread_number(p)});
}

void lmn_profile_end(lmn_profile *p, uint64_t start, uint32_t run)
{
    const uint32_t skip = lmn_atomic_load(&p->n_skip, relaxed);
    if (!start) {
        if (skip) lmn_atomic_store(&p->n_skip, skip - 1, relaxed);
        return;
    }
    const uint64_t now = lmn_ticks_now(&p->clock), took = now - start;
    p->run_ticks += took;
    lmn_profile_span(p, p->row_run, start, now, run);
    const double cost = (double)((p->n_steps + 3) * p->read_ticks);
    const double due = took ? cost / ((double)took * LMN_PROFILE_SHARE) : 0;
    p->n_steps = 0;
    if (due > 1) lmn_atomic_store(&p->n_skip, due < 64 ? (uint32_t)due : 64, relaxed);
}

void lmn_profile_commit(lmn_profile *p, lmn_frame *f, size_t n_done, uint32_t run)
{
    lmn_event e = {.run = run, .thread = thread_number(p)};
    for (size_t i = 0; i < n_done; i++) {
        const lmn_step_span *span = &f->spans[i];
        if (!span->end) continue; /* a step that the plan skips */
        lmn_step *s = &f->x->steps[i];
        e.row = span->row;
        e.start = span->start;
        e.ticks = span->end - span->start;
        p->n_steps++;
        s->n_calls++;
        s->total_ticks += e.ticks;
        if (e.row)
            put(p, &e);
        else
            p->n_dropped++;
    }
}

/* ---- shapes -----------------------------------------------------------------------------------
 */

static size_t port_words(const lamina_tensor *t, int64_t *w)
{
    if (!t || t->kind == LAMINA_KIND_NONE) {
        w[0] = 0;
        return 1;
    }
    const int32_t rank = t->kind == LAMINA_KIND_TENSOR ? t->rank : -1;
    w[0] = (int64_t)t->dtype << 32 | (int64_t)(rank + 2);
    for (int32_t k = 0; k < rank; k++) w[1 + k] = t->dims[k];
    return 1 + (rank > 0 ? (size_t)rank : 0);
}

static size_t step_words(const lmn_opnode *op, const lamina_tensor *const *io, int64_t *w,
                         uint32_t *n_in, uint32_t *n_out)
{
    size_t n = 0;
    const int32_t outs = op->n_out < 4 ? op->n_out : 4;
    const int32_t ins = op->n_in < MAX_PORTS - outs ? op->n_in : MAX_PORTS - outs;
    for (int32_t i = 0; i < ins; i++) n += port_words(io[i], w + n);
    for (int32_t i = 0; i < outs; i++) n += port_words(io[op->n_in + i], w + n);
    *n_in = (uint32_t)ins;
    *n_out = (uint32_t)outs;
    return n;
}

static bool same(const lmn_row *r, const int64_t *w, size_t n)
{
    return r->n_words == n && memcmp(r->words, w, n * sizeof *w) == 0;
}

static void cost_of(const lmn_opnode *op, const lamina_tensor *const *io, lmn_row *r)
{
    lmn_fact fact[MAX_PORTS];
    const lmn_fact *in[MAX_PORTS];
    if (op->n_in + op->n_out > MAX_PORTS) return;
    for (int32_t i = 0; i < op->n_in + op->n_out; i++)
        fact[i] = io[i] && io[i]->kind != LAMINA_KIND_NONE ? lmn_fact_of(io[i], NULL)
                                                           : lmn_fact_unknown();
    for (int32_t i = 0; i < op->n_in; i++) in[i] = io[i] ? &fact[i] : NULL;
    lmn_cost c = {0, 0};
    lmn_op_cost(op, in, fact + op->n_in, &c);
    r->flops = c.flops;
    r->bytes = c.bytes;
}

void lmn_profile_shapes(lamina_session *s, lmn_frame *f, size_t i, const lamina_tensor *const *io)
{
    lmn_step *step = &f->x->steps[i];
    lmn_step_span *span = &f->spans[i];
    int64_t w[MAX_WORDS];
    uint32_t n_in, n_out;
    const size_t n = step_words(&step->node->op, io, w, &n_in, &n_out);
    if (span->row && same(span->row, w, n)) return;
    lmn_mutex_lock(&s->lock);
    lmn_row *r = step->rows;
    while (r && !same(r, w, n)) r = r->next;
    if (!r && (r = new_row(s->profile, n)) != NULL) {
        memcpy(r->words, w, n * sizeof *w);
        r->step = step;
        r->n_in = n_in;
        r->n_out = n_out;
        cost_of(&step->node->op, io, r);
        r->next = step->rows;
        step->rows = r;
    }
    lmn_mutex_unlock(&s->lock);
    span->row = r;
}

void lmn_profile_watch(lmn_frame *f)
{
    const lmn_graph *g = f->x->g;
    const lmn_plan *p = f->plan;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        bool fixed = p != NULL;
        for (int32_t k = 0; fixed && k < n->op.n_in + n->op.n_out; k++) {
            const lmn_vid v = k < n->op.n_in ? n->in[k] : n->out[k - n->op.n_in];
            fixed = !v || p->offset[v] >= 0 || p->known[v] || g->values[v].constant ||
                    g->values[v].is_input;
        }
        f->spans[i].watch = !fixed;
    }
}
