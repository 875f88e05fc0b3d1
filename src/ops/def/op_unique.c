/*
 * Unique (ai.onnx, since 11): the different elements, or with `axis` the different slices, sorted
 * or (sorted=0) in order of first occurrence; with first indices, inverse and counts. All NaN are
 * one.
 */
#include "ops/move.h"
#include "ops/order.h"
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_unique(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0), n_out = ic->node->n_out;
    const bool by_axis = lmn_attr_find(ic->node, "axis") != NULL;
    int32_t axis = 0;
    lmn_fact *f;
    for (int32_t o = 1; o < n_out; o++) LMN_TRY(lmn_infer_typed(ic, o, LAMINA_I64, 1, NULL));
    LMN_TRY(lmn_infer_shape(ic, 0, by_axis ? r : 1, &f));
    if (r < 0) return LAMINA_OK;
    if (by_axis) {
        LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 0), r, &axis));
        for (int32_t k = 0; k < r; k++)
            if (k != axis) f->dims[k] = ic->in[0]->dims[k];
    }
    if (n_out > 2)
        ic->out[2].dims[0] = by_axis ? ic->in[0]->dims[axis] : lmn_fact_count(ic->dims, ic->in[0]);
    return LAMINA_OK;
}

/* The groups of equal items: arrays of `n` or `n_groups` int64. */
typedef struct groups {
    int64_t n, n_groups;
    int64_t *of;    /* item -> group */
    int64_t *first; /* group -> first item */
    int64_t *count; /* group -> items */
} groups;

static void number_sorted(const lmn_order *o, const int64_t *idx, groups *g)
{
    g->n_groups = 0;
    for (int64_t i = 0; i < g->n; i++) {
        const bool fresh = i == 0 || lmn_order_compare(o, idx[i - 1], idx[i]) != 0;
        if (fresh) {
            g->first[g->n_groups] = idx[i];
            g->count[g->n_groups++] = 0;
        }
        g->of[idx[i]] = g->n_groups - 1;
        g->count[g->n_groups - 1]++;
    }
}

/* Renumber the groups by their first item; `map` and `tmp` are scratch of n. */
static void number_by_sight(groups *g, int64_t *map, int64_t *tmp)
{
    int64_t next = 0;
    for (int64_t i = 0; i < g->n; i++)
        if (g->first[g->of[i]] == i) map[g->of[i]] = next++;
    for (int64_t i = 0; i < g->n; i++) g->of[i] = map[g->of[i]];
    for (int64_t k = 0; k < g->n_groups; k++) tmp[map[k]] = g->count[k];
    if (g->n_groups) memcpy(g->count, tmp, (size_t)g->n_groups * sizeof *tmp);
    for (int64_t k = 0; k < g->n_groups; k++) tmp[map[k]] = g->first[k];
    if (g->n_groups) memcpy(g->first, tmp, (size_t)g->n_groups * sizeof *tmp);
}

static lamina_status make_groups(lmn_eval *ec, const lmn_order *o, groups *g)
{
    size_t bytes;
    int64_t *mem = NULL;
    if (lmn_mul_size((size_t)g->n, 5 * sizeof(int64_t), &bytes)) mem = lmn_scratch(ec, bytes + 1);
    if (!mem) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld items", (long long)g->n);
    int64_t *idx = mem, *tmp = mem + g->n;
    g->of = mem + 2 * g->n;
    g->first = mem + 3 * g->n;
    g->count = mem + 4 * g->n;
    lmn_order_sort(o, idx, tmp, g->n);
    number_sorted(o, idx, g);
    if (lmn_attr_i(ec->node, "sorted", 1) == 0) number_by_sight(g, idx, tmp);
    return LAMINA_OK;
}

static lamina_status put_i64s(lmn_eval *ec, int32_t o, const int64_t *v, int64_t n)
{
    lamina_tensor *t;
    LMN_TRY(lmn_out(ec, o, LAMINA_I64, 1, &n, &t));
    if (t && n) memcpy(t->data, v, (size_t)n * sizeof *v);
    return LAMINA_OK;
}

static lamina_status eval_unique(lmn_eval *ec)
{
    const lamina_tensor *x;
    int64_t dims[LMN_MAX_RANK];
    int32_t axis = 0, rank = 1;
    lmn_order o;
    groups g;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_order_make(ec, x, &o));
    dims[0] = lmn_count(x);
    if (lmn_attr_find(ec->node, "axis")) {
        LMN_TRY(lmn_axis(ec, lmn_attr_i(ec->node, "axis", 0), x->rank, &axis));
        rank = x->rank;
        memcpy(dims, x->dims, sizeof dims);
    }
    o.outer = lmn_span_count(dims, 0, axis);
    o.extent = dims[axis];
    o.inner = lmn_span_count(dims, axis + 1, rank);
    g = (groups){.n = o.extent};
    LMN_TRY(make_groups(ec, &o, &g));
    LMN_TRY(put_i64s(ec, 1, g.first, g.n_groups));
    LMN_TRY(put_i64s(ec, 2, g.of, g.n));
    LMN_TRY(put_i64s(ec, 3, g.count, g.n_groups));
    dims[axis] = g.n_groups;
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, rank, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    const size_t row = (size_t)o.inner * in.eb;
    for (int64_t k = 0; k < o.outer; k++)
        for (int64_t i = 0; i < g.n_groups; i++)
            memcpy(out.p + (size_t)(k * g.n_groups + i) * row,
                   in.p + (size_t)(k * o.extent + g.first[i]) * row, row);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ALL},
                               {"indices", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                               {"inverse_indices", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                               {"counts", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                               {0}};
static const lmn_attr_schema ATTRS[] = {
    {"axis", LMN_ATTR_INT, 0}, {"sorted", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Unique = {
    .name = "Unique",
    .domain = "",
    .since = 11,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_unique,
    .eval = eval_unique,
};
