/*
 * The memory planner (planner.h). Time order: walk the steps, best fit among the gaps. Size order:
 * the largest first, each into the smallest gap between the placed ones it meets in time; this
 * comes within a few per cent of the lower bound where many sizes mix.
 */
#include "graph/planner.h"

#include <string.h>

#define ALIGN 64u
#define LOOK_MAX 4096 /* storages looked at for one place */
#define MAX_PARTS 64  /* of a Concat that are made in place */
#define MOST_KEPT 4   /* times its own bytes that a part of Split may keep */

/* Are there operators that join or cut? Not in every library of some operators alone
   (cmake/subset.cmake). */
#ifdef LMN_NO_PARTS
enum { HAS_PARTS = 0 };
#else
enum { HAS_PARTS = 1 };
#endif

/* ---- placement ---------------------------------------------------------------------------------
 */

static bool meet(const lmn_storage *a, const lmn_storage *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Lowest end of the smallest gap that holds s among `placed`, which is sorted by `at`. */
static bool find_gap(const lmn_storage *all, const uint32_t *placed, size_t n, lmn_storage *s)
{
    uint64_t end = 0, best = UINT64_MAX, size = UINT64_MAX;
    for (size_t i = 0; i < n; i++) {
        const lmn_storage *o = &all[placed[i]];
        if (!meet(o, s)) continue;
        if (o->at >= end && o->at - end >= s->bytes && o->at - end < size) {
            best = end;
            size = o->at - end;
        }
        if (o->at + o->bytes > end) end = o->at + o->bytes;
    }
    s->at = best != UINT64_MAX ? best : end;
    return s->bytes <= INT64_MAX - s->at;
}

static void insert(const lmn_storage *all, uint32_t *placed, size_t n, uint32_t id)
{
    size_t i = n;
    for (; i > 0 && all[placed[i - 1]].at > all[id].at; i--) placed[i] = placed[i - 1];
    placed[i] = id;
}

/* Place all in the given order; false past 63 bits. */
static bool place_in_order(lmn_storage *s, const uint32_t *order, size_t n, uint32_t *placed,
                           uint64_t *total)
{
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        lmn_storage *x = &s[order[i]];
        if (!find_gap(s, placed, i, x)) return false;
        insert(s, placed, i, order[i]);
        if (x->at + x->bytes > *total) *total = x->at + x->bytes;
    }
    return true;
}

/* Is a to be placed before b: larger, then earlier. */
static bool before(const lmn_storage *s, uint32_t a, uint32_t b)
{
    if (s[a].bytes != s[b].bytes) return s[a].bytes > s[b].bytes;
    return s[a].first != s[b].first ? s[a].first < s[b].first : a < b;
}

static void sift(const lmn_storage *s, uint32_t *heap, size_t i, size_t n)
{
    for (;;) {
        size_t k = 2 * i + 1;
        if (k >= n) return;
        if (k + 1 < n && before(s, heap[k], heap[k + 1])) k++;
        if (!before(s, heap[i], heap[k])) return;
        const uint32_t t = heap[i];
        heap[i] = heap[k], heap[k] = t;
        i = k;
    }
}

/* Heap sort: in place and never worse than n log n. */
static void sort_by_size(const lmn_storage *s, uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++) order[i] = (uint32_t)i;
    for (size_t i = n / 2; i-- > 0;) sift(s, order, i, n);
    for (size_t end = n; end > 1;) {
        const uint32_t t = order[0];
        order[0] = order[--end], order[end] = t;
        sift(s, order, 0, end);
    }
}

/* In order of `first`, looking at the storages still alive; where very many are, behind all. */
static bool place_by_time(lmn_storage *s, size_t n, uint32_t *alive, uint64_t *total)
{
    size_t n_alive = 0, tidy_at = 0;
    *total = 0;
    for (size_t i = 0; i < n; i++) {
        size_t kept = 0;
        for (size_t k = 0; n_alive >= tidy_at && k < n_alive; k++)
            if (s[alive[k]].last >= s[i].first) alive[kept++] = alive[k];
        if (n_alive >= tidy_at) {
            n_alive = kept;
            tidy_at = kept > LOOK_MAX ? 2 * kept : 0; /* seldom, so that all of it stays linear */
        }
        if (n_alive > LOOK_MAX) {
            s[i].at = *total;
            if (s[i].bytes > INT64_MAX - *total) return false;
            alive[n_alive++] = (uint32_t)i;
        } else {
            if (!find_gap(s, alive, n_alive, &s[i])) return false;
            insert(s, alive, n_alive++, (uint32_t)i);
        }
        if (s[i].at + s[i].bytes > *total) *total = s[i].at + s[i].bytes;
    }
    return true;
}

lamina_status lmn_planner_place(lmn_storage *s, size_t n, lmn_arena *tmp, uint64_t *total)
{
    uint32_t *a = LMN_ARENA_ARRAY(tmp, uint32_t, n), *b = LMN_ARENA_ARRAY(tmp, uint32_t, n);
    uint64_t *at = LMN_ARENA_ARRAY(tmp, uint64_t, n), by_size;
    if (!a || !b || !at) return LAMINA_E_NOMEM;
    const bool timed = place_by_time(s, n, a, total);
    if (n > LMN_PLANNER_SORTED) return timed ? LAMINA_OK : LAMINA_E_NOMEM;
    for (size_t i = 0; i < n; i++) at[i] = s[i].at;
    sort_by_size(s, a, n);
    if (place_in_order(s, a, n, b, &by_size) && (!timed || by_size < *total)) {
        *total = by_size;
        return LAMINA_OK;
    }
    for (size_t i = 0; i < n; i++) s[i].at = at[i];
    return timed ? LAMINA_OK : LAMINA_E_NOMEM;
}

/* ---- lifetimes ---------------------------------------------------------------------------------
 */

typedef struct walk {
    const lmn_lifetimes_in *in;
    lmn_lifetimes *out;
    lmn_vid *root;          /* of the storage a value lives in */
    uint64_t *within;       /* and where in it */
    uint32_t *readers;      /* of a root: reads left */
    bool *off;              /* of a root: never in the arena */
    const lmn_slice *slice; /* that the step at hand is in, or NULL */
} walk;

/* Bytes of a value; 0: unknown, or nothing that can lie in the arena. */
static uint64_t dense_bytes(const lmn_fact *f)
{
    int64_t dims[LMN_MAX_RANK], count;
    size_t bytes;
    if (f->kind != LMN_FACT_TENSOR || f->dtype == LAMINA_STRING || f->dtype == LAMINA_DTYPE_NONE)
        return 0;
    if (!lmn_fact_static(f, dims) || !lmn_dims_count(f->rank, dims, &count)) return 0;
    if (!lmn_dense_bytes(f->dtype, count, &bytes) || bytes > SIZE_MAX / 2) return 0;
    return bytes;
}
static uint64_t arena_bytes(const lmn_fact *f)
{
    return lmn_align_up(dense_bytes(f), ALIGN);
}

static bool is_view(const lmn_gnode *n)
{
    return (n->op.def->flags & LMN_OP_VIEW) && n->op.n_in && n->in[0] && n->out[0];
}

static void find_roots(walk *w)
{
    const lmn_graph *g = w->in->g;
    for (size_t v = 0; v < g->n_values; v++) {
        w->root[v] = (lmn_vid)v;
        w->off[v] = w->in->off_arena[v];
        w->out->of[v] = -1;
    }
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (!w->in->skip[i] && is_view(n)) w->root[n->out[0]] = w->root[n->in[0]];
    }
    for (size_t i = 0; i < g->n_outputs; i++) w->off[w->root[g->outputs[i]]] = true;
    w->off[0] = true;
}

/* ---- parts -------------------------------------------------------------------------------------
 *
 * Where all axes before the one that Concat or Split works on are 1, parts are runs of bytes of the
 * whole. A part then has the root of the whole, and its place within: producers write there, and
 * readers of what was cut read there. Concat and Split still run, and copy what lies elsewhere.
 */

/* Bytes of a part if it is one run of whole bytes, else 0. */
static uint64_t run_bytes(const walk *w, const lmn_opnode *op, lmn_vid v)
{
    const lmn_fact *f = &w->in->facts[v];
    const uint64_t bytes = v ? dense_bytes(f) : 0;
    int64_t dims[LMN_MAX_RANK], axis = lmn_attr_i(op, "axis", 0);
    if (!bytes || !lmn_dtype_bytes(f->dtype) || !lmn_fact_static(f, dims)) return 0;
    if (axis < 0) axis += f->rank;
    for (int64_t k = 0; k < axis; k++)
        if (dims[k] != 1) return 0;
    return bytes;
}

/* Parts that Split cuts from v lie where they are. Nodes come in order: v's root is final. A part
 * that is read late keeps the whole, so none is much smaller than that. */
static void cut_parts(walk *w, const lmn_gnode *n)
{
    const lmn_vid r = w->root[n->in[0]];
    uint64_t at = w->within[n->in[0]];
    if (w->off[r] || !run_bytes(w, &n->op, n->in[0])) return;
    for (int32_t k = 0; k < n->op.n_out; k++) {
        const lmn_vid v = n->out[k];
        const uint64_t bytes = run_bytes(w, &n->op, v);
        if (!bytes) return;
        const bool large = bytes >= dense_bytes(&w->in->facts[r]) / MOST_KEPT;
        if (!w->off[v] && large && at % ALIGN == 0) w->root[v] = r, w->within[v] = at;
        at += bytes;
    }
}

typedef struct parts {
    const lmn_vid *in;
    int32_t n;
    uint64_t at[MAX_PARTS + 1]; /* of each, and their end */
} parts;

/* May root r lie at `at` of the whole: is every part that it would cover a part of it there? */
static bool fits(const walk *w, const parts *p, lmn_vid r, uint64_t at)
{
    const uint64_t end = at + dense_bytes(&w->in->facts[r]);
    if (w->off[r] || w->root[r] != r || at % ALIGN || end == at || end > p->at[p->n]) return false;
    for (int32_t k = 0; k < p->n; k++)
        if (p->at[k] < end && p->at[k + 1] > at &&
            (w->root[p->in[k]] != r || p->at[k] != at + w->within[p->in[k]]))
            return false;
    return true;
}

/* Parts that Concat joins are made in the whole, whose root is final: nodes come last one first. */
static void join_parts(walk *w, const lmn_gnode *n)
{
    const lmn_vid y = n->out[0], whole = w->root[y];
    parts p = {.in = n->in, .n = n->op.n_in};
    if (w->off[whole] || p.n > MAX_PARTS || !run_bytes(w, &n->op, y)) return;
    for (int32_t k = 0; k < p.n; k++) {
        const uint64_t bytes = run_bytes(w, &n->op, n->in[k]);
        if (!bytes) return;
        p.at[k + 1] = p.at[k] + bytes;
    }
    for (int32_t k = 0; k < p.n; k++) {
        const lmn_vid r = w->root[p.in[k]];
        const uint64_t within = w->within[p.in[k]];
        if (p.at[k] < within || !fits(w, &p, r, p.at[k] - within)) continue;
        w->root[r] = whole, w->within[r] = w->within[y] + p.at[k] - within;
    }
}

/* Values whose root became a part follow it. */
static void follow(walk *w)
{
    for (size_t v = 1; v < w->in->g->n_values; v++)
        for (lmn_vid r = w->root[v]; w->root[r] != r; r = w->root[v]) {
            w->within[v] += w->within[r];
            w->root[v] = w->root[r];
        }
}

static bool is_op(const lmn_gnode *n, const char *name)
{
    return n->op.def->domain[0] == 0 && strcmp(n->op.def->name, name) == 0;
}

static void find_parts(walk *w)
{
    const lmn_graph *g = w->in->g;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (w->in->skip[i]) continue;
        if (is_view(n)) {
            w->root[n->out[0]] = w->root[n->in[0]];
            w->within[n->out[0]] = w->within[n->in[0]];
        }
        if (is_op(n, "Split")) cut_parts(w, n);
    }
    for (size_t i = g->n_nodes; i-- > 0;)
        if (!w->in->skip[i] && is_op(&g->nodes[i], "Concat")) join_parts(w, &g->nodes[i]);
    follow(w);
}

/* ---- the walk ----------------------------------------------------------------------------------
 */

static void count_readers(walk *w)
{
    const lmn_graph *g = w->in->g;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        for (int32_t k = 0; !w->in->skip[i] && k < n->op.n_in; k++) w->readers[w->root[n->in[k]]]++;
    }
}

static bool same_dims(const lmn_fact *a, const lmn_fact *b)
{
    return a->dtype == b->dtype && a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof(lmn_dim)) == 0;
}

/* An input that this step reads last, of the same size and type, that the output may overwrite. */
static lmn_vid taken_over(const walk *w, const lmn_gnode *n, lmn_vid out, uint64_t bytes)
{
    const uint32_t flags = n->op.def->flags & (LMN_OP_INPLACE | LMN_OP_INPLACE_LAST);
    if (!flags || n->out[0] != out) return 0;
    for (int32_t k = flags & LMN_OP_INPLACE ? 0 : n->op.n_in - 1; k < n->op.n_in; k++) {
        const lmn_vid v = n->in[k], r = w->root[v];
        if (!v || w->off[r] || w->out->of[r] < 0 || w->readers[r] != 1) continue;
        const lmn_storage *s = &w->out->storages[w->out->of[r]];
        if (w->slice && s->first < w->slice->first) continue; /* the next images read it, too */
        if (s->bytes == bytes && arena_bytes(&w->in->facts[v]) == bytes &&
            same_dims(&w->in->facts[v], &w->in->facts[out]))
            return r;
    }
    return 0;
}

static void begin_storage(walk *w, lmn_vid r, uint32_t step)
{
    const uint64_t bytes = arena_bytes(&w->in->facts[r]);
    w->out->of[r] = (int64_t)w->out->n;
    w->out->storages[w->out->n++] = (lmn_storage){.bytes = bytes, .first = step, .last = step};
}

static void begin_value(walk *w, const lmn_gnode *n, uint32_t step, lmn_vid v)
{
    const lmn_vid r = w->root[v];
    if (w->off[r] || (is_view(n) && v == n->out[0])) return;
    const uint64_t bytes = arena_bytes(&w->in->facts[r]);
    if (!bytes) return;
    w->out->bytes[v] = r == v ? bytes : dense_bytes(&w->in->facts[v]);
    if (w->out->of[r] < 0) { /* else a part has begun it */
        const lmn_vid over = r == v ? taken_over(w, n, v, bytes) : 0;
        if (over) {
            w->out->of[v] = w->out->of[over];
            w->readers[over] = 0; /* gone: nobody else takes it */
            return;
        }
        begin_storage(w, r, step);
    }
    w->out->of[v] = w->out->of[r];
}

/* What a stretch leaves to others is there while any of its images is made. */
static void begin_slice(walk *w)
{
    for (uint32_t k = 0; k < w->slice->n_out; k++) {
        const lmn_vid r = w->root[w->slice->out[k].v];
        if (!w->off[r] && w->out->of[r] < 0) begin_storage(w, r, w->slice->first);
        if (!w->off[r]) w->out->storages[w->out->of[r]].last = w->slice->last;
    }
}

/* What was there before is read again for the next images. */
static uint32_t last_read(const walk *w, const lmn_storage *s, uint32_t step)
{
    const bool again = w->slice && s->first < w->slice->first;
    const uint32_t last = again ? w->slice->last : step;
    return last > s->last ? last : s->last;
}

static void run_walk(walk *w)
{
    const lmn_graph *g = w->in->g;
    const lmn_slice *next = w->in->slices ? w->in->slices->all : NULL;
    const lmn_slice *end = next ? next + w->in->slices->n : NULL;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (w->slice && w->slice->last < i) w->slice = NULL;
        if (next != end && next->first == i) {
            w->slice = next++;
            begin_slice(w);
        }
        if (w->in->skip[i]) continue;
        for (int32_t k = 0; k < n->op.n_out; k++) begin_value(w, n, (uint32_t)i, n->out[k]);
        for (int32_t k = 0; k < n->op.n_in; k++) {
            const lmn_vid r = w->root[n->in[k]];
            if (w->readers[r]) w->readers[r]--;
            if (w->out->of[r] < 0) continue;
            lmn_storage *s = &w->out->storages[w->out->of[r]];
            s->last = last_read(w, s, (uint32_t)i);
        }
    }
}

lamina_status lmn_planner_lifetimes(const lmn_lifetimes_in *in, lmn_arena *tmp, lmn_lifetimes *out)
{
    const size_t nv = in->g->n_values;
    walk w = {.in = in, .out = out};
    *out = (lmn_lifetimes){0};
    out->storages = LMN_ARENA_ARRAY(tmp, lmn_storage, nv);
    out->of = LMN_ARENA_ARRAY(tmp, int64_t, nv);
    out->within = w.within = LMN_ARENA_ARRAY(tmp, uint64_t, nv);
    out->bytes = LMN_ARENA_ARRAY(tmp, uint64_t, nv);
    w.root = LMN_ARENA_ARRAY(tmp, lmn_vid, nv);
    w.readers = LMN_ARENA_ARRAY(tmp, uint32_t, nv);
    w.off = LMN_ARENA_ARRAY(tmp, bool, nv);
    if (tmp->failed) return LAMINA_E_NOMEM;
    find_roots(&w);
    if (HAS_PARTS) find_parts(&w);
    count_readers(&w);
    run_walk(&w);
    return LAMINA_OK;
}
