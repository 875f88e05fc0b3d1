/*
 * Matching and rewriting (match.h).
 */
#include "graph/passes/match.h"

#include <math.h>
#include <string.h>

#define MAX_DEPTH 6
#define MAX_NAME 200
#define NEAR 1e-4 /* as far as people round what they type */

lamina_status lmn_match_begin(lmn_match *m, lmn_graph *g, lmn_pass_ctx *ctx)
{
    *m = (lmn_match){.g = g, .ctx = ctx, .near = NEAR};
    lmn_arena_init(&m->tmp, &g->engine->alloc, 0);
    m->uses = lmn_graph_uses(g, &m->tmp);
    m->n_uses = g->n_values;
    return m->uses ? LAMINA_OK : LAMINA_E_NOMEM;
}

void lmn_match_finish(lmn_match *m)
{
    lmn_arena_finish(&m->tmp);
}

/* ---- looking -----------------------------------------------------------------------------------
 */

bool lmn_match_op(const lmn_gnode *n, const char *op)
{
    return n && !n->op.def->domain[0] && !n->op.n_caps && strcmp(n->op.def->name, op) == 0;
}

lmn_gnode *lmn_match_maker(const lmn_match *m, lmn_vid v)
{
    const lmn_value *x = &m->g->values[v];
    if (!v || x->producer == LMN_NO_NODE) return NULL;
    lmn_gnode *n = &m->g->nodes[x->producer];
    return n->dead ? NULL : n;
}

lmn_gnode *lmn_match_made_by(const lmn_match *m, lmn_vid v, const char *op)
{
    lmn_gnode *n = lmn_match_maker(m, v);
    return lmn_match_op(n, op) && n->out[0] == v ? n : NULL;
}

bool lmn_match_once(const lmn_match *m, lmn_vid v)
{
    return v < m->n_uses && m->uses[v] == 1 && !m->g->values[v].is_output;
}

const lamina_tensor *lmn_match_const(const lmn_match *m, lmn_vid v)
{
    const lmn_value *x = &m->g->values[v];
    const lamina_tensor *t = x->is_input ? NULL : x->constant;
    return t && t->kind == LAMINA_KIND_TENSOR && !t->strided ? t : NULL;
}

bool lmn_match_scalar(const lmn_match *m, lmn_vid v, double *out)
{
    const lamina_tensor *t = lmn_match_const(m, v);
    if (!t || lmn_count(t) != 1 || lmn_dtype_class(t->dtype) != LMN_CLASS_FLOAT) return false;
    *out = lmn_get_f64(t, 0);
    return true;
}

bool lmn_match_near(const lmn_match *m, double v, double want)
{
    return fabs(v - want) <= m->near * fabs(want);
}

bool lmn_match_is_f32(const lmn_match *m, lmn_vid v)
{
    const lmn_fact *f = &m->g->values[v].fact;
    return v && f->kind == LMN_FACT_TENSOR && f->dtype == LAMINA_F32 && f->rank >= 0;
}

lamina_dtype lmn_match_float(lmn_match *m, lmn_vid v)
{
    const lmn_fact *f = &m->g->values[v].fact;
    if (!v || f->kind != LMN_FACT_TENSOR || f->rank < 0) return LAMINA_DTYPE_NONE;
    switch (f->dtype) {
    case LAMINA_F32: m->near = NEAR; return LAMINA_F32;
    case LAMINA_F16: m->near = 0x1p-10; return LAMINA_F16; /* several rounded constants */
    case LAMINA_BF16: m->near = 0x1p-7; return LAMINA_BF16;
    default: return LAMINA_DTYPE_NONE;
    }
}

lmn_vid lmn_match_narrow(const lmn_match *m, lmn_vid v)
{
    const lmn_gnode *n = lmn_match_made_by(m, v, "Cast");
    if (!n || !lmn_match_is_f32(m, v)) return v;
    const lmn_fact *f = &m->g->values[n->in[0]].fact;
    const bool half = f->dtype == LAMINA_F16 || f->dtype == LAMINA_BF16;
    return f->kind == LMN_FACT_TENSOR && half ? n->in[0] : v;
}

bool lmn_match_same_shape(const lmn_match *m, lmn_vid a, lmn_vid b)
{
    const lmn_fact *f = &m->g->values[a].fact, *h = &m->g->values[b].fact;
    if (f->kind != LMN_FACT_TENSOR || h->kind != LMN_FACT_TENSOR || f->rank < 0 ||
        f->rank != h->rank)
        return false;
    for (int32_t i = 0; i < f->rank; i++)
        if (!lmn_dim_known(f->dims[i]) || f->dims[i] != h->dims[i]) return false;
    return true;
}

int32_t lmn_match_perm(const lmn_match *m, const lmn_gnode *n, int64_t perm[LMN_MAX_RANK])
{
    const int64_t *p;
    const int32_t rank = m->g->values[n->in[0]].fact.rank;
    const int32_t len = lmn_attr_ints(&n->op, "perm", &p);
    if (rank < 0 || rank > LMN_MAX_RANK || (len && len != rank)) return -1;
    for (int32_t i = 0; i < rank; i++) {
        perm[i] = len ? p[i] : rank - 1 - i;
        if (perm[i] < 0 || perm[i] >= rank) return -1;
    }
    return rank;
}

lmn_vid lmn_match_other(const lmn_gnode *n, lmn_vid v)
{
    if (n->op.n_in != 2 || n->in[0] == n->in[1]) return 0;
    return n->in[0] == v ? n->in[1] : n->in[1] == v ? n->in[0] : 0;
}

/* ---- products ----------------------------------------------------------------------------------
 */

static bool push_leaf(lmn_product *p, lmn_vid v, int32_t times)
{
    for (; times > 0; times--) {
        if (p->n == LMN_PRODUCT_MAX) return false;
        p->leaf[p->n++] = v;
    }
    return true;
}

static bool expand(const lmn_match *m, lmn_vid v, const lmn_vid *stop, int32_t n_stop,
                   int32_t depth, lmn_product *p)
{
    double k;
    for (int32_t i = 0; i < n_stop; i++)
        if (v == stop[i]) return push_leaf(p, v, 1);
    if (lmn_match_scalar(m, v, &k)) return p->scale *= k, true;
    const lmn_gnode *n = depth < MAX_DEPTH ? lmn_match_maker(m, v) : NULL;
    if (lmn_match_op(n, "Mul"))
        return expand(m, n->in[0], stop, n_stop, depth + 1, p) &&
               expand(m, n->in[1], stop, n_stop, depth + 1, p);
    if (lmn_match_op(n, "Div") && lmn_match_scalar(m, n->in[1], &k)) {
        p->scale /= k;
        return expand(m, n->in[0], stop, n_stop, depth + 1, p);
    }
    if (lmn_match_op(n, "Pow") && lmn_match_scalar(m, n->in[1], &k) && (k == 2 || k == 3)) {
        for (int32_t i = 0; i < (int32_t)k; i++)
            if (!expand(m, n->in[0], stop, n_stop, depth + 1, p)) return false;
        return true;
    }
    return push_leaf(p, v, 1);
}

bool lmn_match_product(const lmn_match *m, lmn_vid v, const lmn_vid *stop, int32_t n_stop,
                       lmn_product *p)
{
    *p = (lmn_product){.scale = 1};
    return expand(m, v, stop, n_stop, 0, p);
}

bool lmn_product_is(const lmn_match *m, const lmn_product *p, double scale, lmn_vid x,
                    int32_t times, lmn_vid other)
{
    int32_t n_x = 0, n_other = 0;
    for (int32_t i = 0; i < p->n; i++) {
        n_x += p->leaf[i] == x;
        n_other += other && p->leaf[i] == other;
    }
    return lmn_match_near(m, p->scale, scale) && n_x == times && n_other == (other != 0) &&
           p->n == n_x + n_other;
}

/* ---- rewriting ---------------------------------------------------------------------------------
 */

/* One reader of v less. Makers that nobody reads die, and so on upwards: a list, not recursion,
   because a chain may be as long as the graph. */
static bool drop_use(lmn_match *m, lmn_vid v, lmn_vid **todo, size_t *n, size_t *cap)
{
    if (!v || v >= m->n_uses || --m->uses[v]) return true;
    if (lmn_grow(&m->g->engine->alloc, (void **)todo, cap, *n + 1, LMN_GRAPH_MAX_VALUES,
                 sizeof **todo, "pass") != LAMINA_OK)
        return false; /* what stays is found by dce */
    (*todo)[(*n)++] = v;
    return true;
}

static bool unread(const lmn_match *m, const lmn_gnode *n)
{
    for (int32_t k = 0; k < n->op.n_out; k++)
        if (n->out[k] && (n->out[k] >= m->n_uses || m->uses[n->out[k]])) return false;
    return true;
}

static void drop_uses(lmn_match *m, const lmn_vid *in, int32_t n_in)
{
    lmn_vid *todo = NULL;
    size_t n = 0, cap = 0;
    bool ok = true;
    for (int32_t k = 0; ok && k < n_in; k++) ok = drop_use(m, in[k], &todo, &n, &cap);
    while (ok && n) {
        lmn_gnode *maker = lmn_match_maker(m, todo[--n]);
        if (!maker || !unread(m, maker)) continue;
        maker->dead = true;
        for (int32_t k = 0; ok && k < maker->op.n_in; k++)
            ok = drop_use(m, maker->in[k], &todo, &n, &cap);
    }
    lmn_free(&m->g->engine->alloc, todo, cap * sizeof *todo, 16, "pass");
}

lamina_status lmn_match_become(lmn_match *m, lmn_gnode *n, const lmn_rewrite *to)
{
    lmn_arena *a = &m->g->arena;
    const lmn_op_def *def = lmn_op_find(to->domain, to->op);
    if (!def) return LAMINA_OK; /* a library of some operators: the node stays what it is */
    lmn_vid *in = lmn_arena_dup(a, to->in, (size_t)to->n_in * sizeof *in);
    lmn_attr *attrs = lmn_arena_dup(a, to->attrs, (size_t)to->n_attrs * sizeof *attrs);
    if (!in || !attrs || !to->name) return LAMINA_E_NOMEM;
    if (to->takes) { /* its attributes are in the new list */
        to->takes->op.n_attrs = 0;
        to->takes->dead = true;
    }
    const lmn_vid *old = n->in;
    const int32_t n_old = n->op.n_in;
    for (int32_t i = 0; to->attrs != n->op.attrs && i < n->op.n_attrs; i++) {
        if (n->op.attrs[i].type == LMN_ATTR_TENSOR) lamina_tensor_unref(n->op.attrs[i].u.t);
        if (n->op.attrs[i].type == LMN_ATTR_GRAPH) lmn_graph_destroy(n->op.attrs[i].u.g);
    }
    for (int32_t k = 0; k < to->n_in; k++)
        if (to->in[k] && to->in[k] < m->n_uses) m->uses[to->in[k]]++;
    n->in = in;
    n->op.def = def;
    n->op.name = to->name;
    n->op.opset = to->opset;
    n->op.n_in = to->n_in;
    n->op.attrs = attrs;
    n->op.n_attrs = to->n_attrs;
    drop_uses(m, old, n_old);
    if (to->takes) drop_uses(m, to->takes->in, to->takes->op.n_in);
    m->ctx->n_changed++;
    return LAMINA_OK;
}

const char *lmn_match_trace(lmn_match *m, const lmn_opnode *base, const lmn_opnode *absorbed)
{
    char buf[MAX_NAME + 1];
    const char *add = absorbed->name[0] ? absorbed->name : absorbed->def->name;
    const char *from = base->name[0] ? base->name : base->def->name;
    if (strlen(from) + 1 + strlen(add) > MAX_NAME) return base->name;
    (void)lmn_format(buf, sizeof buf, "%s+%s", from, add);
    return lmn_arena_str(&m->g->arena, buf);
}
