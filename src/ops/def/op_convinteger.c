/*
 * ConvInteger (ai.onnx, since 10): convolution of 8-bit integers into int32, exact. Zero points are
 * taken from data and weights first (the weights' may be one per output channel), so that padding
 * stands for the zero point. Sums wrap at 32 bits.
 */
#include "ops/convcore.h"
#include "ops/quant.h"
#include "ops/wide.h"

static lamina_status infer_convinteger(lmn_infer *ic)
{
    return lmn_conv_infer(ic, 0, 1, -1, false);
}

static lamina_status eval_convinteger(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 1);
    lmn_conv_geom_t g;
    lmn_conv_job job;
    lamina_tensor *y;
    LMN_TRY(lmn_conv_begin(ec, x, w, false, LAMINA_I32, &g, &job, &y));
    if (!y) return LAMINA_OK;
    double *acc;
    LMN_TRY(lmn_quant_centred(ec, x, lmn_in(ec, 2), -1, &job.x));
    LMN_TRY(lmn_quant_centred(ec, w, lmn_in(ec, 3), 0, &job.w));
    LMN_TRY(lmn_wide_out(ec, y, &acc));
    job.y = acc;
    lmn_conv_f64(ec->par, &job);
    lmn_quant_store_i32(y, acc);
    return LAMINA_OK;
}

static void cost_convinteger(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                             lmn_cost *c)
{
    lmn_conv_cost(n, in, 1, &out[0], c);
}

#define INT8S (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8))
static const lmn_port IN[] = {{"x", 'A', 0, INT8S},
                              {"w", 'B', 0, INT8S},
                              {"x_zero_point", 'A', LMN_PORT_OPTIONAL, INT8S},
                              {"w_zero_point", 'B', LMN_PORT_OPTIONAL, INT8S},
                              {0}};
static const lmn_port OUT[] = {{"y", 'C', 0, LMN_DBIT(LAMINA_I32)}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS, {0}};

const lmn_op_def lmn_op_ConvInteger = {
    .name = "ConvInteger",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_convinteger,
    .eval = eval_convinteger,
    .cost = cost_convinteger,
};
