/*
 * LayerNormalization (ai.onnx, since 17; onnxruntime writes it into older models, so since 1): the
 * axes from `axis` on are made to mean 0 and variance 1, then scaled and shifted (both broadcast to
 * X). Mean and InvStdDev are in the stash type, kept as extents of 1. The statistics are f64
 * whatever stash_type says; each output is rounded once.
 */
#include "ops/normcore.h"
#include "ops/spread.h"
#include "ops/wide.h"

static lamina_dtype stash_type(const lmn_opnode *n)
{
    return lmn_attr_i(n, "stash_type", 1) == LAMINA_BF16 ? LAMINA_BF16 : LAMINA_F32;
}

static lamina_status infer_layernormalization(lmn_infer *ic)
{
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    for (int32_t o = 1; o < ic->node->n_out; o++) ic->out[o].dtype = stash_type(ic->node);
    if (!x) return LAMINA_OK;
    int32_t axis;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", -1), x->rank, &axis));
    for (int32_t o = 0; o < ic->node->n_out && o < 3; o++) {
        lmn_fact *y = lmn_infer_ranked(ic, o, x->rank);
        for (int32_t d = 0; y && d < x->rank; d++)
            y->dims[d] = o > 0 && d >= axis ? lmn_dim_c(1) : x->dims[d];
    }
    const lmn_fact *s = lmn_infer_shape_of(ic, 1);
    if (s && s->rank > x->rank)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "the scale of rank %d exceeds the data's %d", s->rank, x->rank);
    return LAMINA_OK;
}

/* Output o (1 = mean, 2 = inverse deviation): where to compute it, NULL if nobody wants it. */
static lamina_status stat(lmn_eval *ec, int32_t o, int32_t axis, lamina_tensor **t, double **w)
{
    const lamina_tensor *x = lmn_in(ec, 0);
    int64_t dims[LMN_MAX_RANK];
    for (int32_t d = 0; d < x->rank; d++) dims[d] = d < axis ? x->dims[d] : 1;
    *w = NULL;
    LMN_TRY(lmn_out(ec, o, stash_type(ec->node), x->rank, dims, t));
    return *t ? lmn_wide_out(ec, *t, w) : LAMINA_OK;
}

static lamina_status eval_layernormalization(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *bias = lmn_in(ec, 2);
    int64_t axis = lmn_attr_i(ec->node, "axis", -1);
    axis += axis < 0 ? x->rank : 0;
    if (axis < 0 || axis >= x->rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "the axis is outside rank %d", x->rank);
    lamina_tensor *y, *mean, *inv;
    lmn_norm_rows r = {.eps = (double)lmn_attr_f(ec->node, "epsilon", 1e-5f)};
    r.rows = lmn_norm_extent(x, 0, (int32_t)axis);
    r.n = lmn_norm_extent(x, (int32_t)axis, x->rank);
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    LMN_TRY(stat(ec, 1, (int32_t)axis, &mean, &r.mean));
    LMN_TRY(stat(ec, 2, (int32_t)axis, &inv, &r.inv));
    LMN_TRY(lmn_wide_in(ec, x, &r.x));
    r.y =
        y && y->dtype == LAMINA_F64 ? y->data : lmn_wide_scratch(ec, lmn_count(x), sizeof(double));
    if (!r.y && lmn_count(x) > 0) return LAMINA_E_NOMEM;
    lmn_norm_rows_run(ec->par, &r);
    if (mean) lmn_wide_store(mean, r.mean);
    if (inv) lmn_wide_store(inv, r.inv);
    if (!y) return LAMINA_OK;
    lmn_spread s;
    LMN_TRY(lmn_spread_right(ec, x->rank, x->dims, lmn_in(ec, 1), &s));
    LMN_TRY(lmn_spread_apply(ec, &s, lmn_in(ec, 1), '*', r.y));
    if (bias) {
        LMN_TRY(lmn_spread_right(ec, x->rank, x->dims, bias, &s));
        LMN_TRY(lmn_spread_apply(ec, &s, bias, '+', r.y));
    }
    lmn_wide_store(y, r.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"Scale", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
#define STASH (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_BF16))
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT},
                               {"Mean", 0, LMN_PORT_OPTIONAL, STASH},
                               {"InvStdDev", 0, LMN_PORT_OPTIONAL, STASH},
                               {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, 0},
                                        {"epsilon", LMN_ATTR_FLOAT, 0},
                                        {"stash_type", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_LayerNormalization = {
    .name = "LayerNormalization",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_layernormalization,
    .eval = eval_layernormalization,
    .cost = lmn_norm_cost,
};
