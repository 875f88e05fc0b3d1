/*
 * Plans: inference once more with concrete input shapes, then offsets for every value whose size
 * came out, by one walk in execution order over a free list (first fit by address). Views share the
 * bytes of what they look at; an elementwise result takes over an input that dies with it.
 *
 * Invariants: two values whose lifetimes overlap never overlap in the arena unless one is a view
 * of, or takes over, the other; graph outputs and everything they look at stay off the arena.
 */
#include "runtime/exec.h"

#include <string.h>

#define ALIGN 64u

typedef struct gap {
    uint64_t at, bytes;
} gap;

typedef struct planner {
    lmn_exec *x;
    lmn_plan *p;
    lmn_fact *facts;
    lmn_arena *tmp;
    lmn_vid *root;     /* of the storage a value lives in */
    uint32_t *readers; /* of a root: reads left */
    bool *off_arena;   /* of a root */
    gap *gaps;         /* sorted by address */
    size_t n_gaps, cap_gaps;
    uint64_t top;
} planner;

static size_t fact_bytes(const lmn_fact *f)
{
    int64_t dims[LMN_MAX_RANK], count;
    size_t bytes;
    if (f->kind != LMN_FACT_TENSOR || f->dtype == LAMINA_STRING || f->dtype == LAMINA_DTYPE_NONE)
        return 0;
    if (!lmn_fact_static(f, dims) || !lmn_dims_count(f->rank, dims, &count)) return 0;
    if (!lmn_dense_bytes(f->dtype, count, &bytes) || bytes > SIZE_MAX / 2) return 0;
    return lmn_align_up(bytes, ALIGN);
}

static bool gap_insert(planner *pl, size_t i, gap g)
{
    if (lmn_grow(pl->tmp->alloc, (void **)&pl->gaps, &pl->cap_gaps, pl->n_gaps + 1, SIZE_MAX / 64,
                 sizeof *pl->gaps, "plan") != LAMINA_OK)
        return false;
    memmove(pl->gaps + i + 1, pl->gaps + i, (pl->n_gaps - i) * sizeof *pl->gaps);
    pl->gaps[i] = g;
    pl->n_gaps++;
    return true;
}

static uint64_t take(planner *pl, uint64_t bytes)
{
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < pl->n_gaps; i++)
        if (pl->gaps[i].bytes >= bytes &&
            (best == SIZE_MAX || pl->gaps[i].bytes < pl->gaps[best].bytes))
            best = i;
    if (best != SIZE_MAX) {
        uint64_t at = pl->gaps[best].at;
        pl->gaps[best].at += bytes;
        pl->gaps[best].bytes -= bytes;
        return at;
    }
    gap *last = pl->n_gaps ? &pl->gaps[pl->n_gaps - 1] : NULL;
    if (last && last->at + last->bytes == pl->top) { /* grow out of the last gap */
        uint64_t at = last->at;
        pl->n_gaps--;
        pl->top = at + bytes;
        return at;
    }
    uint64_t at = pl->top;
    pl->top += bytes;
    return at;
}

static bool give(planner *pl, uint64_t at, uint64_t bytes)
{
    size_t i = 0;
    while (i < pl->n_gaps && pl->gaps[i].at < at) i++;
    bool left = i > 0 && pl->gaps[i - 1].at + pl->gaps[i - 1].bytes == at;
    bool right = i < pl->n_gaps && at + bytes == pl->gaps[i].at;
    if (left && right) {
        pl->gaps[i - 1].bytes += bytes + pl->gaps[i].bytes;
        memmove(pl->gaps + i, pl->gaps + i + 1, (pl->n_gaps - i - 1) * sizeof *pl->gaps);
        pl->n_gaps--;
        return true;
    }
    if (left) {
        pl->gaps[i - 1].bytes += bytes;
        return true;
    }
    if (right) {
        pl->gaps[i].at = at;
        pl->gaps[i].bytes += bytes;
        return true;
    }
    return gap_insert(pl, i, (gap){at, bytes});
}

static void find_roots(planner *pl)
{
    const lmn_graph *g = pl->x->g;
    for (size_t v = 0; v < g->n_values; v++) pl->root[v] = (lmn_vid)v;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (pl->p->skip[i]) continue;
        if ((n->op.def->flags & LMN_OP_VIEW) && n->op.n_in && n->in[0] && n->out[0])
            pl->root[n->out[0]] = pl->root[n->in[0]];
        for (int32_t k = 0; k < n->op.n_in; k++) pl->readers[pl->root[n->in[k]]]++;
    }
    for (size_t i = 0; i < g->n_outputs; i++) pl->off_arena[pl->root[g->outputs[i]]] = true;
    pl->off_arena[0] = true;
}

/* An input that this step reads last, of the same size and type, that the output may overwrite. */
static lmn_vid reusable(const planner *pl, const lmn_gnode *n, lmn_vid out, size_t bytes)
{
    if (!(n->op.def->flags & LMN_OP_INPLACE)) return 0;
    for (int32_t k = 0; k < n->op.n_in; k++) {
        lmn_vid v = n->in[k], r = pl->root[v];
        if (!v || pl->off_arena[r] || pl->p->offset[r] < 0 || pl->readers[r] != 1) continue;
        if (pl->p->bytes[r] != bytes || pl->facts[v].dtype != pl->facts[out].dtype) continue;
        if (fact_bytes(&pl->facts[v]) == bytes && pl->facts[v].rank == pl->facts[out].rank &&
            memcmp(pl->facts[v].dims, pl->facts[out].dims,
                   (size_t)pl->facts[v].rank * sizeof(lmn_dim)) == 0)
            return r;
    }
    return 0;
}

static void place_output(planner *pl, const lmn_gnode *n, lmn_vid v)
{
    lmn_plan *p = pl->p;
    if (!v || pl->root[v] != v || pl->off_arena[v] || p->known[v]) return;
    size_t bytes = fact_bytes(&pl->facts[v]);
    if (!bytes) return;
    lmn_vid over = reusable(pl, n, v, bytes);
    if (over) {
        p->offset[v] = p->offset[over];
        p->bytes[v] = bytes;
        p->offset[over] = -2 - p->offset[over]; /* taken over: not given back */
        return;
    }
    p->offset[v] = (int64_t)take(pl, bytes);
    p->bytes[v] = bytes;
}

static lamina_status assign(planner *pl)
{
    const lmn_graph *g = pl->x->g;
    lmn_plan *p = pl->p;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (p->skip[i]) continue;
        for (int32_t k = 0; k < n->op.n_out; k++) place_output(pl, n, n->out[k]);
        for (int32_t k = 0; k < n->op.n_out; k++) { /* written and never read: free at once */
            lmn_vid v = n->out[k];
            if (v && pl->root[v] == v && p->offset[v] >= 0 && !pl->readers[v] &&
                !give(pl, (uint64_t)p->offset[v], p->bytes[v]))
                return LAMINA_E_NOMEM;
        }
        for (int32_t k = 0; k < n->op.n_in; k++) {
            lmn_vid r = pl->root[n->in[k]];
            if (!r || --pl->readers[r] || p->offset[r] < 0) continue;
            if (!give(pl, (uint64_t)p->offset[r], p->bytes[r])) return LAMINA_E_NOMEM;
        }
    }
    for (size_t v = 1; v < g->n_values; v++)
        if (p->offset[v] <= -2) p->offset[v] = -2 - p->offset[v];
    p->arena_bytes = pl->top;
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
        if (!lmn_dim_is_const(f->elems[i])) return LAMINA_OK;
    lamina_tensor *t;
    LMN_TRY(lamina_tensor_create(pl->x->g->engine, f->dtype, f->rank, dims, &t));
    for (int32_t i = 0; i < f->n_elems; i++) {
        int64_t e = lmn_dim_value(f->elems[i]);
        lmn_set_i64(t, i,
                    e >= LMN_DIM_MAX_CONST    ? INT64_MAX
                    : e <= -LMN_DIM_MAX_CONST ? INT64_MIN
                                              : e);
    }
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
    }
    return LAMINA_OK;
}

static void note_costs(planner *pl)
{
    const lmn_graph *g = pl->x->g;
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
}

static lamina_status build(planner *pl, lmn_dim_pool *dims, const lamina_tensor *const *in,
                           lmn_diags *diags)
{
    const lmn_graph *g = pl->x->g;
    const size_t nv = g->n_values;
    pl->facts = LMN_ARENA_ARRAY(pl->tmp, lmn_fact, nv);
    pl->root = LMN_ARENA_ARRAY(pl->tmp, lmn_vid, nv);
    pl->readers = LMN_ARENA_ARRAY(pl->tmp, uint32_t, nv);
    pl->off_arena = LMN_ARENA_ARRAY(pl->tmp, bool, nv);
    pl->p->offset = LMN_ARENA_ARRAY(&pl->p->mem, int64_t, nv);
    pl->p->bytes = LMN_ARENA_ARRAY(&pl->p->mem, size_t, nv);
    pl->p->known = LMN_ARENA_ARRAY(&pl->p->mem, lamina_tensor *, nv);
    pl->p->skip = LMN_ARENA_ARRAY(&pl->p->mem, bool, g->n_nodes + 1);
    if (pl->tmp->failed || pl->p->mem.failed) return LAMINA_E_NOMEM;
    for (size_t v = 0; v < nv; v++) pl->p->offset[v] = -1;
    for (size_t i = 0; i < g->n_inputs; i++) pl->facts[g->inputs[i]] = lmn_fact_of(in[i], NULL);
    LMN_TRY(lmn_graph_infer_facts(g, dims, pl->tmp, pl->facts, diags));
    for (size_t i = 0; i < g->n_inputs; i++) pl->off_arena[g->inputs[i]] = true;
    for (size_t v = 1; v < nv; v++)
        if (g->values[v].constant) pl->off_arena[v] = true;
    LMN_TRY(find_known(pl));
    find_roots(pl);
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
    lmn_free(a, pl.gaps, pl.cap_gaps * sizeof *pl.gaps, 16, "plan");
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
