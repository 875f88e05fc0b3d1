/*
 * Einsum (ai.onnx, since 12): Einstein summation with ellipsis, repeated labels (diagonals) and
 * implicit outputs. Evaluated as a chain of pairwise products from left to right, each one a
 * batched matrix product, so that the cost is that of the pairs and not of all labels at once.
 * Extents of 1 broadcast. Floats are held in f64 between the pairs and rounded once, integers wrap.
 */
#include "ops/einsum.h"
#include "ops/linalg.h"
#include "ops/move.h"
#include "ops/wide.h"

#include <string.h>

/* ---- inference ----------------------------------------------------------------------------------
 */

static lamina_status meet_label(lmn_infer *ic, lmn_dim *have, bool *seen, int32_t label, lmn_dim d)
{
    lmn_dim both;
    if (!seen[label]) {
        seen[label] = true;
        have[label] = d;
    } else if (have[label] == lmn_dim_c(1) || d == lmn_dim_c(1)) {
        have[label] = d == lmn_dim_c(1) ? have[label] : d;
    } else if (lmn_dim_unify(ic->dims, have[label], d, &both)) {
        have[label] = both;
    } else {
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "two dims under one label of \"%s\" differ",
                              lmn_attr_s(ic->node, "equation", ""));
    }
    return LAMINA_OK;
}

/* Dims under the ellipsis of a term of this rank; -1 when the rank contradicts the term. */
static int32_t dots_of(const lmn_ein_term *t, int32_t rank)
{
    if (t->dots < 0) return rank == t->n ? 0 : -1;
    return rank >= t->n ? rank - t->n : -1;
}

static lamina_status infer_einsum(lmn_infer *ic)
{
    lmn_ein e;
    const char *eq = lmn_attr_s(ic->node, "equation", "");
    const char *bad = lmn_ein_parse(&e, eq, ic->node->n_in);
    if (bad)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "equation \"%.200s\" has %s", eq, bad);
    lmn_dim have[LMN_EIN_LABELS];
    bool seen[LMN_EIN_LABELS] = {0};
    int32_t dots = e.out.dots < 0 ? 0 : -1;
    for (int32_t i = 0; i < e.n_terms; i++) {
        uint8_t lab[LMN_MAX_RANK];
        const lmn_fact *f = ic->in[i];
        if (!lmn_infer_has(ic, i) || f->rank < 0) continue;
        const int32_t d = dots_of(&e.term[i], f->rank);
        if (d < 0)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                                  "input %d has rank %d, its term in \"%.200s\" another", i,
                                  f->rank, eq);
        const int32_t n = lmn_ein_expand(&e.term[i], d, lab, LMN_MAX_RANK);
        if (e.term[i].dots >= 0 && d > dots && e.out.dots >= 0) dots = d;
        for (int32_t k = 0; k < n; k++) LMN_TRY(meet_label(ic, have, seen, lab[k], f->dims[k]));
    }
    if (dots < 0) return LAMINA_OK;
    uint8_t out[LMN_MAX_RANK];
    const int32_t rank = lmn_ein_expand(&e.out, dots, out, LMN_MAX_RANK);
    if (rank < 0)
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, NULL,
                              "the output of \"%.200s\" has more than %d dims", eq, LMN_MAX_RANK);
    ic->out[0].rank = rank;
    for (int32_t k = 0; k < rank; k++)
        ic->out[0].dims[k] = seen[out[k]] ? have[out[k]] : LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

/* ---- evaluation ---------------------------------------------------------------------------------
 */

/* An operand between two steps: wide elements, one extent and stride a label (0 stride: absent). */
typedef struct operand {
    const void *data;
    bool narrow; /* the elements are numbers of f32 */
    bool has[LMN_EIN_LABELS];
    int64_t dim[LMN_EIN_LABELS], stride[LMN_EIN_LABELS];
} operand;

typedef struct labels {
    int32_t n;
    uint8_t lab[LMN_EIN_LABELS];
} labels;

typedef struct chain {
    lmn_eval *ec;
    lamina_dtype wide; /* F64, I64 or U64 */
    const lmn_ein *eq;
    int32_t dots;
} chain;

static lamina_status fail_size(lmn_eval *ec)
{
    return lmn_eval_fail(ec, LAMINA_E_NOMEM, "an intermediate result of the equation is too large");
}

static lamina_status load_operand(chain *c, int32_t i, operand *o)
{
    const lamina_tensor *t = c->ec->in[i];
    uint8_t lab[LMN_MAX_RANK];
    const int64_t count = lmn_count(t);
    memset(o, 0, sizeof *o);
    const int32_t d = dots_of(&c->eq->term[i], t->rank);
    if (d < 0)
        return lmn_eval_fail(c->ec, LAMINA_E_SHAPE, "input %d has another rank than its term", i);
    const int32_t n = lmn_ein_expand(&c->eq->term[i], d, lab, LMN_MAX_RANK);
    void *data = lmn_scratch(c->ec, (size_t)(count > 0 ? count : 1) * 8);
    if (!data) return fail_size(c->ec);
    lmn_convert(c->wide, data, t->dtype, t->data, count, false);
    o->data = data;
    o->narrow = t->dtype == LAMINA_F32 || t->dtype == LAMINA_F16 || t->dtype == LAMINA_BF16;
    int64_t step = 1;
    for (int32_t k = n - 1; k >= 0; k--) {
        const int32_t l = lab[k];
        if (o->has[l] && o->dim[l] != t->dims[k] && o->dim[l] != 1 && t->dims[k] != 1)
            return lmn_eval_fail(c->ec, LAMINA_E_SHAPE, "input %d: two dims under one label differ",
                                 i);
        if (t->dims[k] != 1) o->stride[l] += step;
        if (!o->has[l] || o->dim[l] == 1) o->dim[l] = t->dims[k];
        o->has[l] = true;
        step *= t->dims[k];
    }
    return LAMINA_OK;
}

/* Walk `keep` in order (dense output) and sum over `sum`. */
static void gather(const chain *c, const operand *o, const labels *keep, const labels *sum,
                   int64_t n_out, void *dst)
{
    int64_t at[LMN_EIN_LABELS] = {0}, pos = 0, n_sum = 1;
    const double *fs = o->data;
    const uint64_t *us = o->data;
    for (int32_t k = 0; k < sum->n; k++) n_sum *= o->dim[sum->lab[k]];
    for (int64_t i = 0; i < n_out; i++) {
        double facc = 0.0;
        uint64_t uacc = 0;
        for (int64_t s = 0; s < n_sum; s++) {
            if (c->wide == LAMINA_F64)
                facc = sum->n ? facc + fs[pos] : fs[pos];
            else
                uacc += us[pos];
            for (int32_t k = sum->n - 1; k >= 0; k--) {
                const int32_t l = sum->lab[k];
                pos += o->stride[l];
                if (++at[l] < o->dim[l]) break;
                pos -= o->stride[l] * o->dim[l];
                at[l] = 0;
            }
        }
        if (c->wide == LAMINA_F64)
            ((double *)dst)[i] = facc;
        else
            ((uint64_t *)dst)[i] = uacc;
        for (int32_t k = keep->n - 1; k >= 0; k--) {
            const int32_t l = keep->lab[k];
            pos += o->stride[l];
            if (++at[l] < o->dim[l]) break;
            pos -= o->stride[l] * o->dim[l];
            at[l] = 0;
        }
    }
}

static bool labels_count(const operand *o, const labels *l, int64_t *out)
{
    int64_t n = 1;
    for (int32_t k = 0; k < l->n; k++)
        if (!lmn_mul_i64(n, o->dim[l->lab[k]], &n)) return false;
    *out = n;
    return true;
}

static void push(labels *l, int32_t label)
{
    l->lab[l->n++] = (uint8_t)label;
}

/* Does o lie dense over these labels, all it has, in this order? */
static bool is_dense(const operand *o, const labels *keep)
{
    int64_t step = 1;
    int32_t n = 0;
    for (int32_t k = keep->n - 1; k >= 0; k--) {
        const int32_t l = keep->lab[k];
        if (!o->has[l] || (o->dim[l] != 1 && o->stride[l] != step)) return false;
        step *= o->dim[l];
    }
    for (int32_t l = 0; l < LMN_EIN_LABELS; l++) n += o->has[l];
    return n == keep->n;
}

/* The same by a move, where nothing is summed. */
static void permute(const chain *c, const operand *o, const labels *keep, void *dst)
{
    lmn_move m = {.eb = 8, .rank = keep->n, .dst = dst, .src = o->data};
    int64_t step = 1;
    for (int32_t k = keep->n - 1; k >= 0; k--) {
        m.dims[k] = o->dim[keep->lab[k]];
        m.src_st[k] = o->stride[keep->lab[k]];
        m.dst_st[k] = step;
        step *= m.dims[k];
    }
    lmn_move_run(c->ec->par, &m);
}

/* o becomes dense over `keep` in order; the rest of its labels is summed away. */
static lamina_status reorder(chain *c, operand *o, const labels *keep, int64_t *count)
{
    labels sum = {0};
    bool kept[LMN_EIN_LABELS] = {0};
    size_t bytes;
    for (int32_t k = 0; k < keep->n; k++) kept[keep->lab[k]] = true;
    for (int32_t l = 0; l < LMN_EIN_LABELS; l++)
        if (o->has[l] && !kept[l]) push(&sum, l);
    if (!labels_count(o, keep, count) || !lmn_mul_size((size_t)*count, 8, &bytes))
        return fail_size(c->ec);
    if (is_dense(o, keep)) return LAMINA_OK;
    void *dst = lmn_scratch(c->ec, bytes ? bytes : 8);
    if (!dst) return fail_size(c->ec);
    if (sum.n || keep->n > LMN_MOVE_RANK)
        gather(c, o, keep, &sum, *count, dst);
    else
        permute(c, o, keep, dst);
    operand r = {.data = dst, .narrow = o->narrow && !sum.n};
    int64_t step = 1;
    for (int32_t k = keep->n - 1; k >= 0; k--) {
        const int32_t l = keep->lab[k];
        r.has[l] = true;
        r.dim[l] = o->dim[l];
        r.stride[l] = step;
        step *= r.dim[l];
    }
    *o = r;
    return LAMINA_OK;
}

/* a becomes a * b, with only the labels marked in `later` left. */
static lamina_status contract(chain *c, operand *a, operand *b, const bool *later)
{
    labels batch = {0}, m = {0}, n = {0}, k = {0};
    for (int32_t l = 0; l < LMN_EIN_LABELS; l++) {
        if (a->has[l] && b->has[l] && a->dim[l] != b->dim[l]) { /* an extent of 1 broadcasts */
            if (a->dim[l] != 1 && b->dim[l] != 1)
                return lmn_eval_fail(c->ec, LAMINA_E_SHAPE, "extents %lld and %lld under one label",
                                     (long long)a->dim[l], (long long)b->dim[l]);
            if (a->dim[l] == 1)
                a->has[l] = false;
            else
                b->has[l] = false;
        }
        if (a->has[l] && b->has[l])
            push(later[l] ? &batch : &k, l);
        else if (a->has[l] && later[l])
            push(&m, l);
        else if (b->has[l] && later[l])
            push(&n, l);
    }
    labels la = batch, lb = batch, lo = batch, b_turned = batch;
    for (int32_t i = 0; i < m.n; i++) push(&la, m.lab[i]), push(&lo, m.lab[i]);
    for (int32_t i = 0; i < n.n; i++) push(&b_turned, n.lab[i]);
    for (int32_t i = 0; i < k.n; i++)
        push(&la, k.lab[i]), push(&lb, k.lab[i]), push(&b_turned, k.lab[i]);
    for (int32_t i = 0; i < n.n; i++) push(&lb, n.lab[i]), push(&lo, n.lab[i]);
    int64_t count, nb, nm, nk, nn;
    const bool turned = is_dense(b, &b_turned);
    LMN_TRY(reorder(c, a, &la, &count));
    if (!turned) LMN_TRY(reorder(c, b, &lb, &count));
    operand r = {0};
    size_t bytes;
    for (int32_t i = 0; i < lo.n; i++) {
        r.has[lo.lab[i]] = true;
        r.dim[lo.lab[i]] = a->has[lo.lab[i]] ? a->dim[lo.lab[i]] : b->dim[lo.lab[i]];
    }
    if (!labels_count(&r, &lo, &count) || !lmn_mul_size((size_t)count, 8, &bytes) ||
        !labels_count(a, &batch, &nb) || !labels_count(a, &m, &nm) || !labels_count(a, &k, &nk) ||
        !labels_count(b, &n, &nn))
        return fail_size(c->ec);
    int64_t step = 1;
    for (int32_t i = lo.n - 1; i >= 0; i--) {
        r.stride[lo.lab[i]] = step;
        step *= r.dim[lo.lab[i]];
    }
    int64_t *off = lmn_scratch(c->ec, (size_t)(count > 0 ? nb : 1) * 2 * sizeof *off);
    void *out = lmn_scratch(c->ec, bytes ? bytes : 8);
    if (!off || !out) return fail_size(c->ec);
    for (int64_t i = 0; count > 0 && i < nb; i++) off[i] = i * nm * nk, off[nb + i] = i * nk * nn;
    lmn_mm mm = {.batch = count > 0 ? nb : 0,
                 .m = nm,
                 .n = nn,
                 .k = nk,
                 .dt = c->wide,
                 .a = a->data,
                 .b = b->data,
                 .a_rs = nk,
                 .a_cs = 1,
                 .b_rs = turned ? 1 : nn,
                 .b_cs = turned ? nk : 1,
                 .narrow = a->narrow && b->narrow,
                 .a_off = off,
                 .b_off = off + (count > 0 ? nb : 0),
                 .alpha = 1.0,
                 .out_dt = c->wide,
                 .out = out};
    LMN_TRY(lmn_mm_run(c->ec, &mm));
    r.data = out;
    *a = r;
    return LAMINA_OK;
}

/* Labels that the output or a term after i still needs. */
static void needed_after(const chain *c, int32_t i, const labels *out, bool *need)
{
    memset(need, 0, LMN_EIN_LABELS * sizeof *need);
    for (int32_t k = 0; k < out->n; k++) need[out->lab[k]] = true;
    for (int32_t t = i + 1; t < c->eq->n_terms; t++) {
        const lmn_ein_term *term = &c->eq->term[t];
        for (int32_t k = 0; k < term->n; k++) need[term->lab[k]] = true;
        for (int32_t k = 0; term->dots >= 0 && k < LMN_MAX_RANK; k++)
            need[LMN_EIN_ELLIPSIS + k] = true;
    }
}

static lamina_status eval_einsum(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    lmn_ein e;
    operand acc, next;
    const char *bad = lmn_ein_parse(&e, lmn_attr_s(ec->node, "equation", ""), ec->n_in);
    if (bad) return lmn_eval_fail(ec, LAMINA_E_INVALID, "the equation has %s", bad);
    const lamina_dtype dt = ec->in[0]->dtype;
    const lmn_dclass cls = lmn_dtype_class(dt);
    chain c = {.ec = ec,
               .eq = &e,
               .wide = cls == LMN_CLASS_FLOAT  ? LAMINA_F64
                       : cls == LMN_CLASS_UINT ? LAMINA_U64
                                               : LAMINA_I64};
    for (int32_t i = 0; i < e.n_terms; i++) {
        const int32_t d = e.term[i].dots >= 0 ? ec->in[i]->rank - e.term[i].n : 0;
        if (d > c.dots) c.dots = d;
    }
    labels out = {0};
    out.n = lmn_ein_expand(&e.out, c.dots, out.lab, LMN_MAX_RANK);
    if (out.n < 0)
        return lmn_eval_fail(ec, LAMINA_E_UNSUPPORTED, "the output has more than %d dims",
                             LMN_MAX_RANK);
    LMN_TRY(load_operand(&c, 0, &acc));
    for (int32_t i = 1; i < e.n_terms; i++) {
        bool need[LMN_EIN_LABELS];
        if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        needed_after(&c, i, &out, need);
        LMN_TRY(load_operand(&c, i, &next));
        LMN_TRY(contract(&c, &acc, &next, need));
    }
    int64_t dims[LMN_MAX_RANK], count;
    for (int32_t k = 0; k < out.n; k++) {
        if (!acc.has[out.lab[k]]) acc.has[out.lab[k]] = true, acc.dim[out.lab[k]] = 1;
        dims[k] = acc.dim[out.lab[k]];
    }
    LMN_TRY(reorder(&c, &acc, &out, &count));
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, dt, out.n, dims, &y));
    if (y) lmn_convert(dt, y->data, c.wide, acc.data, count, false);
    return LAMINA_OK;
}

static void cost_einsum(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                        lmn_cost *c)
{
    double sum = lmn_cost_count(out);
    for (int32_t i = 0; i < n->n_in; i++)
        sum *= in[i] && lmn_cost_count(in[i]) > 1 ? lmn_cost_count(in[i]) : 1.0;
    /* Of a two-operand product m*k, k*n, m*n this is (m*n*k)^2: its root is the number of products.
     */
    c->flops = 2.0 * (n->n_in > 1 ? __builtin_sqrt(sum) : lmn_cost_count(in[0]));
}

#define TYPES (LMN_D_FLOAT | LMN_D_INT)
static const lmn_port IN[] = {{"Inputs", 'T', LMN_PORT_VARIADIC, TYPES}, {0}};
static const lmn_port OUT[] = {{"Output", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"equation", LMN_ATTR_STRING, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_Einsum = {
    .name = "Einsum",
    .domain = "",
    .since = 12,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_einsum,
    .eval = eval_einsum,
    .cost = cost_einsum,
};
