/*
 * InstanceNormalization (ai.onnx, since 1): every channel of every image is made to mean 0 and
 * variance 1 over its spatial positions, then scaled and shifted per channel. f64 inside.
 */
#include "ops/normcore.h"
#include "ops/wide.h"

static lamina_status infer_instancenormalization(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    lmn_fact *y = x ? lmn_infer_ranked(ic, 0, x->rank) : NULL;
    for (int32_t d = 0; y && d < x->rank; d++) y->dims[d] = x->dims[d];
    for (int32_t i = 1; y && i < 3; i++) {
        const lmn_fact *p = lmn_infer_shape_of(ic, i);
        if (!p) continue;
        LMN_TRY(lmn_infer_rank_in(ic, i, 1, 1));
        LMN_TRY(
            lmn_infer_equal(ic, y->dims[1], p->dims[0], "channels and parameters", &y->dims[1]));
    }
    return LAMINA_OK;
}

static lamina_status eval_instancenormalization(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->rank < 2)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "data of rank %d, must be at least 2", x->rank);
    const int64_t channels = x->dims[1];
    const double *scale, *bias;
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_norm_vector(ec, 1, channels, &scale));
    LMN_TRY(lmn_norm_vector(ec, 2, channels, &bias));
    lmn_norm_rows r = {.eps = (double)lmn_attr_f(ec->node, "epsilon", 1e-5f)};
    r.rows = x->dims[0] * channels;
    r.n = lmn_norm_extent(x, 2, x->rank);
    LMN_TRY(lmn_wide_in(ec, x, &r.x));
    LMN_TRY(lmn_wide_out(ec, y, &r.y));
    lmn_norm_rows_run(ec->par, &r);
    lmn_norm_affine(r.y, x->dims[0], channels, r.n, scale, bias);
    lmn_wide_store(y, r.y);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 'T', 0, LMN_D_FLOAT},
                              {"scale", 'T', 0, LMN_D_FLOAT},
                              {"B", 'T', 0, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"epsilon", LMN_ATTR_FLOAT, 0}, {0}};

const lmn_op_def lmn_op_InstanceNormalization = {
    .name = "InstanceNormalization",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_instancenormalization,
    .eval = eval_instancenormalization,
    .cost = lmn_norm_cost,
};
