/*
 * Plans: inference once more with concrete input shapes, then a place in one block of memory for
 * every value whose size came out (graph/planner.h). Values that inference computed outright are
 * kept and need no step. Graph outputs and everything they look at stay off the block.
 */
#include "graph/planner.h"
#include "runtime/exec.h"

#include <string.h>

typedef struct planner {
    lmn_exec *x;
    lmn_plan *p;
    lmn_fact *facts;
    lmn_arena *tmp;
} planner;

/* Does all that the stretches make lie in the block? Else they cannot make it in parts. */
static bool all_placed(const planner *pl, const lmn_lifetimes *l)
{
    for (size_t k = 0; k < pl->p->slices.n; k++) {
        const lmn_slice *s = &pl->p->slices.all[k];
        for (uint32_t i = s->first; i <= s->last; i++)
            if (!pl->p->skip[i] && l->of[pl->x->g->nodes[i].out[0]] < 0) return false;
    }
    return true;
}

static lamina_status lifetimes(planner *pl, const bool *off, lmn_lifetimes *l)
{
    const lmn_graph *g = pl->x->g;
    const lamina_session *s = pl->x->session;
    lmn_plan *p = pl->p;
    const uint32_t width = lmn_workpool_width(s->pool), asked = s->opts.n_threads;
    const lmn_slices_in sin = {g,
                               pl->facts,
                               p->skip,
                               p->known,
                               asked && asked < width ? asked : width,
                               s->slice_bytes,
                               s->slice_bytes / 4};
    LMN_TRY(lmn_slices_find(&sin, pl->tmp, &p->mem, &p->slices));
    if (p->slices.n) {
        lmn_fact *facts = lmn_arena_dup(pl->tmp, pl->facts, g->n_values * sizeof *facts);
        if (!facts) return LAMINA_E_NOMEM;
        lmn_slices_thin(&sin, &p->slices, facts);
        const lmn_lifetimes_in in = {g, facts, p->skip, off, &p->slices};
        LMN_TRY(lmn_planner_lifetimes(&in, pl->tmp, l));
        if (all_placed(pl, l)) return LAMINA_OK;
        p->slices.n = 0;
    }
    const lmn_lifetimes_in in = {g, pl->facts, p->skip, off, NULL};
    return lmn_planner_lifetimes(&in, pl->tmp, l);
}

/* Offsets of the values that live in the block. */
static lamina_status assign(planner *pl)
{
    const lmn_graph *g = pl->x->g;
    lmn_plan *p = pl->p;
    bool *off = LMN_ARENA_ARRAY(pl->tmp, bool, g->n_values);
    if (!off) return LAMINA_E_NOMEM;
    for (size_t v = 1; v < g->n_values; v++)
        off[v] = g->values[v].is_input || g->values[v].constant || p->known[v];
    lmn_lifetimes l;
    LMN_TRY(lifetimes(pl, off, &l));
    LMN_TRY(lmn_planner_place(l.storages, l.n, pl->tmp, &p->arena_bytes));
    for (size_t v = 0; v < g->n_values; v++) {
        p->offset[v] = l.of[v] < 0 ? -1 : (int64_t)(l.storages[l.of[v]].at + l.within[v]);
        p->bytes[v] = l.of[v] < 0 ? 0 : (size_t)l.bytes[v];
    }
    return LAMINA_OK;
}

static lamina_status materialise(planner *pl, lmn_vid v)
{
    const lmn_fact *f = &pl->facts[v];
    int64_t dims[LMN_MAX_RANK];
    if (f->kind != LMN_FACT_TENSOR || f->n_elems < 0 || !lmn_fact_static(f, dims)) return LAMINA_OK;
    lmn_dclass c = lmn_dtype_class(f->dtype);
    if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT && c != LMN_CLASS_BOOL) return LAMINA_OK;
    for (int32_t i = 0; i < f->n_elems; i++)
        if (!lmn_dim_is_exact(f->elems[i])) return LAMINA_OK;
    lamina_tensor *t;
    LMN_TRY(lamina_tensor_create(pl->x->g->engine, f->dtype, f->rank, dims, &t));
    for (int32_t i = 0; i < f->n_elems; i++) lmn_set_i64(t, i, lmn_dim_value(f->elems[i]));
    pl->p->known[v] = t;
    return LAMINA_OK;
}

/* Values that inference computed outright need no step. */
static lamina_status find_known(planner *pl)
{
    const lmn_graph *g = pl->x->g;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        bool all = (n->op.def->flags & LMN_OP_INT_LATTICE) != 0;
        for (int32_t k = 0; all && k < n->op.n_out; k++) {
            if (!n->out[k]) continue;
            if (g->values[n->out[k]].is_output) {
                all = false;
                break;
            }
            LMN_TRY(materialise(pl, n->out[k]));
            all = pl->p->known[n->out[k]] != NULL;
        }
        pl->p->skip[i] = all;
        for (int32_t k = 0; !all && k < n->op.n_out; k++) { /* the step makes them */
            lamina_tensor **known = &pl->p->known[n->out[k]];
            lamina_tensor_unref(*known);
            *known = NULL;
        }
    }
    return LAMINA_OK;
}

/* Other runs may plan or read them at the same time. */
static void note_costs(planner *pl)
{
    const lmn_graph *g = pl->x->g;
    lmn_mutex_lock(&pl->x->session->lock);
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (n->op.n_in > 32 || n->op.n_out > 32) continue;
        const lmn_fact *in[32];
        lmn_fact out[32];
        for (int32_t k = 0; k < n->op.n_in; k++) in[k] = n->in[k] ? &pl->facts[n->in[k]] : NULL;
        for (int32_t k = 0; k < n->op.n_out; k++)
            out[k] = n->out[k] ? pl->facts[n->out[k]] : lmn_fact_unknown();
        lmn_cost c = {0, 0};
        lmn_op_cost(&n->op, in, out, &c);
        pl->x->steps[i].flops = c.flops;
        pl->x->steps[i].bytes = c.bytes;
    }
    lmn_mutex_unlock(&pl->x->session->lock);
}

static lamina_status build(planner *pl, lmn_dim_pool *dims, const lamina_tensor *const *in,
                           lmn_diags *diags)
{
    const lmn_graph *g = pl->x->g;
    const size_t nv = g->n_values;
    pl->facts = LMN_ARENA_ARRAY(pl->tmp, lmn_fact, nv);
    pl->p->offset = LMN_ARENA_ARRAY(&pl->p->mem, int64_t, nv);
    pl->p->bytes = LMN_ARENA_ARRAY(&pl->p->mem, size_t, nv);
    pl->p->known = LMN_ARENA_ARRAY(&pl->p->mem, lamina_tensor *, nv);
    pl->p->skip = LMN_ARENA_ARRAY(&pl->p->mem, bool, g->n_nodes + 1);
    if (pl->tmp->failed || pl->p->mem.failed) return LAMINA_E_NOMEM;
    for (size_t i = 0; i < g->n_inputs; i++) pl->facts[g->inputs[i]] = lmn_fact_of(in[i], NULL);
    LMN_TRY(lmn_graph_infer_facts(g, dims, pl->tmp, pl->facts, diags));
    LMN_TRY(find_known(pl));
    LMN_TRY(assign(pl));
    note_costs(pl);
    return LAMINA_OK;
}

lamina_status lmn_plan_create(lmn_exec *x, const int64_t *key, size_t n_key,
                              const lamina_tensor *const *in, lmn_plan **out, lamina_error *err)
{
    const lamina_allocator *a = &x->g->engine->alloc;
    lmn_plan *p = lmn_calloc(a, 1, sizeof *p, "plan");
    if (!p) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory planning a run");
    lmn_arena_init(&p->mem, a, 0);
    lmn_arena tmp;
    lmn_arena_init(&tmp, a, 0);
    lmn_diags diags;
    lmn_diags_init(&diags, a);
    lmn_dim_pool *dims = NULL;
    planner pl = {.x = x, .p = p, .tmp = &tmp};
    p->key = lmn_arena_dup(&p->mem, key, n_key * sizeof *key);
    p->n_key = n_key;
    lamina_status st = p->key ? lmn_dim_pool_create(a, 0, &dims) : LAMINA_E_NOMEM;
    if (st == LAMINA_OK) st = build(&pl, dims, in, &diags);
    if (st != LAMINA_OK && (!diags.n_errors || lmn_diags_to_error(&diags, err) == LAMINA_OK))
        st = lmn_fail(err, st, "planning a run failed: %s", lamina_status_text(st));
    lmn_dim_pool_destroy(dims);
    lmn_diags_finish(&diags);
    lmn_arena_finish(&tmp);
    if (st != LAMINA_OK) {
        lmn_plan_destroy(x, p);
        return st;
    }
    *out = p;
    return LAMINA_OK;
}

void lmn_plan_destroy(lmn_exec *x, lmn_plan *p)
{
    const lamina_allocator *a = &x->g->engine->alloc;
    while (p->idle) {
        lmn_frame *f = p->idle;
        p->idle = f->next;
        lmn_frame_destroy(f);
    }
    for (size_t v = 0; p->known && v < x->g->n_values; v++) lamina_tensor_unref(p->known[v]);
    lmn_arena_finish(&p->mem);
    lmn_cfree(a, p, 1, sizeof *p, "plan");
}
