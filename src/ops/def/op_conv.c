/*
 * Conv (ai.onnx, since 1): cross-correlation in any spatial rank, with groups, dilations, strides,
 * pads or auto_pad, and an optional bias. Accumulates in f64 and rounds once. An empty input gives
 * an empty output where the formula allows; NaN and inf follow IEEE, padding counts as zero and
 * takes no part in products (in fast kernels it does: an infinite weight gives NaN at the border).
 */
#include "ops/convcore.h"
#include "ops/wide.h"

static lamina_status infer_conv(lmn_infer *ic)
{
    return lmn_conv_infer(ic, 0, 1, 2, false);
}

static lamina_status eval_conv(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1);
    lmn_conv_geom_t g;
    lmn_conv_job job;
    LMN_TRY(lmn_conv_setup(ec, x, w, false, &g, &job));
    int64_t dims[LMN_MAX_RANK];
    const int32_t rank = lmn_conv_out_dims(&job, dims);
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, rank, dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_conv_bias(ec, lmn_in(ec, 2), job.m, &job.bias));
    LMN_TRY(lmn_wide_in(ec, x, &job.x));
    LMN_TRY(lmn_wide_in(ec, w, &job.w));
    LMN_TRY(lmn_wide_out(ec, y, &job.y));
    lmn_conv_f64(ec->par, &job);
    lmn_wide_store(y, job.y);
    return LAMINA_OK;
}

static void cost_conv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                      lmn_cost *c)
{
    lmn_conv_cost(n, in, 1, &out[0], c);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"W", 'T', LMN_PORT_FAR, LMN_D_FLOAT},
                              {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"auto_pad", LMN_ATTR_STRING, 0},
                                        {"dilations", LMN_ATTR_INTS, 0},
                                        {"group", LMN_ATTR_INT, 0},
                                        {"kernel_shape", LMN_ATTR_INTS, 0},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_Conv = {
    .name = "Conv",
    .domain = "",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_conv,
    .eval = eval_conv,
    .cost = cost_conv,
};
