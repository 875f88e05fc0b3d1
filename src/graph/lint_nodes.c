/*
 * Lints about single nodes.
 *
 * qdq-zero-point: Relu or Clip at 0 before QuantizeLinear whose zero point is not the least value
 * of its type. Engines that fold the activation into the clamp of the quantised range can do so at
 * that zero point alone: at any other they run the operator before it in float.
 *
 * vector-for-scalar: a tensor of shape [1] where the standard has a scalar. We take both; others
 * refuse the model or miss their fusions.
 */
#include "graph/lint.h"

static bool least_of(lamina_dtype dt, int64_t *out)
{
    switch (dt) {
    case LAMINA_U8:
    case LAMINA_U16:
    case LAMINA_U4: *out = 0; return true;
    case LAMINA_I8: *out = INT8_MIN; return true;
    case LAMINA_I16: *out = INT16_MIN; return true;
    case LAMINA_I4: *out = -8; return true;
    default: return false;
    }
}

/* Relu, or Clip whose lower bound is the constant 0. */
static bool rectifies(const lmn_lint *l, const lmn_gnode *n)
{
    if (lmn_lint_is(n, "Relu")) return true;
    if (!lmn_lint_is(n, "Clip") || n->op.n_in < 2) return false;
    const lamina_tensor *lo = lmn_lint_const(l, n->in[1]);
    return lo && lo->kind == LAMINA_KIND_TENSOR && lmn_count(lo) == 1 &&
           lmn_dtype_class(lo->dtype) == LMN_CLASS_FLOAT && lmn_get_f64(lo, 0) == 0;
}

static void zero_point_of(lmn_lint *l, const lmn_gnode *relu, const lmn_gnode *q)
{
    const lamina_tensor *zp = q->op.n_in > 2 ? lmn_lint_const(l, q->in[2]) : NULL;
    const lamina_dtype dt = l->g->values[q->out[0]].fact.dtype;
    int64_t least;
    if (!least_of(dt, &least) || (q->op.n_in > 2 && q->in[2] && !zp)) return;
    if (zp && (!lmn_tensor_aligned(zp) || lmn_count(zp) < 1)) return;
    const int64_t at = zp ? lmn_get_i64(zp, 0) : 0;
    if (at == least) return;
    char fix[200];
    (void)lmn_format(fix, sizeof fix,
                     "quantise what comes out of %s with zero point %lld: its range begins at 0",
                     relu->op.def->name, (long long)least);
    lmn_lint_say(l, q, fix,
                 "zero point %lld of %s after %s \"%.80s\": engines that fold the activation only "
                 "at zero point %lld run what is before it in float",
                 (long long)at, lamina_dtype_name(dt), relu->op.def->name, relu->op.name,
                 (long long)least);
}

void lmn_lint_zero_point(lmn_lint *l)
{
    for (size_t i = 0; i < l->g->n_nodes; i++) {
        const lmn_gnode *n = &l->g->nodes[i];
        const uint32_t *readers;
        if (!rectifies(l, n) || n->op.n_out < 1 || !n->out[0]) continue;
        const uint32_t n_readers = lmn_lint_readers(l, n->out[0], &readers);
        for (uint32_t k = 0; k < n_readers; k++) {
            const lmn_gnode *q = &l->g->nodes[readers[k]];
            if (lmn_lint_is(q, "QuantizeLinear") && q->op.n_out > 0 && q->out[0])
                zero_point_of(l, n, q);
        }
    }
}

/* ---- vector-for-scalar ------------------------------------------------------------------------
 */

/* Inputs that the standard calls scalars, as bits of their positions. */
static const struct {
    const char *op;
    uint32_t inputs;
} SCALARS[] = {
    {"BlackmanWindow", 1},
    {"Clip", 6},
    {"CumProd", 2},
    {"CumSum", 2},
    {"DFT", 6},
    {"Dropout", 6},
    {"HammingWindow", 1},
    {"HannWindow", 1},
    {"Loop", 3},
    {"If", 1},
    {"MelWeightMatrix", 31},
    {"Pad", 4},
    {"Range", 7},
    {"STFT", 10},
    {"SequenceAt", 2},
    {"SequenceErase", 2},
    {"SequenceInsert", 4},
    {"Trilu", 2},
};

static uint32_t scalars_of(const lmn_gnode *n)
{
    for (size_t i = 0; i < LMN_COUNT(SCALARS); i++)
        if (lmn_lint_is(n, SCALARS[i].op)) return SCALARS[i].inputs;
    return 0;
}

/* A scale of one element quantises the whole tensor; a vector of one is per axis, which has to be
   one long. */
static uint32_t scalar_scale(const lmn_lint *l, const lmn_gnode *n)
{
    if (!lmn_lint_is(n, "QuantizeLinear") && !lmn_lint_is(n, "DequantizeLinear")) return 0;
    const lmn_fact *x = &l->g->values[n->in[0]].fact;
    int64_t axis = lmn_attr_i(&n->op, "axis", 1);
    if (axis < 0) axis += x->rank;
    if (x->rank < 0 || lmn_attr_i(&n->op, "block_size", 0)) return 0;
    if (axis < 0 || axis >= x->rank) return 2;
    return lmn_dim_is_const(x->dims[axis]) && lmn_dim_value(x->dims[axis]) == 1 ? 0 : 2;
}

void lmn_lint_scalar(lmn_lint *l)
{
    for (size_t i = 0; i < l->g->n_nodes; i++) {
        const lmn_gnode *n = &l->g->nodes[i];
        const uint32_t inputs = scalars_of(n) | scalar_scale(l, n);
        for (int32_t k = 0; inputs >> k && k < n->op.n_in - n->op.n_caps; k++) {
            const lmn_value *v = &l->g->values[n->in[k]];
            if (!(inputs >> k & 1) || !n->in[k] || v->fact.rank != 1) continue;
            if (!lmn_dim_is_const(v->fact.dims[0]) || lmn_dim_value(v->fact.dims[0]) != 1) continue;
            const lmn_port *p = lmn_gnode_port(n, k);
            lmn_lint_say(l, n, "give it the shape [] where the model is made",
                         "input \"%s\" (\"%.80s\") has shape [1] where the standard has a scalar: "
                         "stricter engines refuse it or miss a fusion",
                         p ? p->name : "?", v->name);
        }
    }
}
