/*
 * QLinearConv (ai.onnx, since 10): 8-bit convolution between quantised data, requantised on the
 * way out: y = saturate(round_half_even(acc * (x_scale * w_scale / y_scale)) + y_zero_point) with
 * int32 sums (modulo 2^32, the bias among them), multiplied in f32. Weight scale and zero point may
 * be one per output channel. Padding stands for the zero point.
 */
#include "ops/convcore.h"
#include "ops/quant.h"
#include "ops/wide.h"

static lamina_status infer_qlinearconv(lmn_infer *ic)
{
    return lmn_conv_infer(ic, 0, 3, 8, false);
}

/* Requantise plane by plane: one multiplier per output channel. */
static lamina_status requantise(lmn_eval *ec, const lmn_conv_job *job, lamina_tensor *y)
{
    const lamina_tensor *ws = lmn_in(ec, 4);
    double xs, ys, yz;
    LMN_TRY(lmn_quant_scalar(ec, 1, &xs));
    LMN_TRY(lmn_quant_scalar(ec, 6, &ys));
    LMN_TRY(lmn_quant_scalar(ec, 7, &yz));
    const int64_t n_ws = ws ? lmn_count(ws) : 0;
    if (n_ws != 1 && n_ws != job->m)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "w_scale must be a scalar or have one entry per "
                             "output channel");
    const int64_t plane = lmn_geom_count(job->g->rank, job->g->out);
    for (int64_t p = 0; p < job->n * job->m; p++) {
        const float w_scale = (float)lmn_get_f64(ws, n_ws == 1 ? 0 : p % job->m);
        const float mul = (float)xs * w_scale / (float)ys;
        lmn_quant_requant_sums(y->dtype, job->y + p * plane, plane, mul, yz);
    }
    lmn_wide_store(y, job->y);
    return LAMINA_OK;
}

static lamina_status eval_qlinearconv(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *w = lmn_in(ec, 3), *yz = lmn_in(ec, 7);
    lmn_conv_geom_t g;
    lmn_conv_job job;
    lamina_tensor *y;
    LMN_TRY(lmn_conv_begin(ec, x, w, false, yz->dtype, &g, &job, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_conv_bias(ec, lmn_in(ec, 8), job.m, &job.bias));
    LMN_TRY(lmn_quant_centred(ec, x, lmn_in(ec, 2), -1, &job.x));
    LMN_TRY(lmn_quant_centred(ec, w, lmn_in(ec, 5), 0, &job.w));
    LMN_TRY(lmn_wide_out(ec, y, &job.y));
    lmn_conv_f64(ec->par, &job);
    return requantise(ec, &job, y);
}

static void cost_qlinearconv(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                             lmn_cost *c)
{
    lmn_conv_cost(n, in, 3, &out[0], c);
}

#define INT8S (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_U8))
static const lmn_port IN[] = {{"x", 'A', 0, INT8S},
                              {"x_scale", 0, 0, LMN_DBIT(LAMINA_F32)},
                              {"x_zero_point", 'A', 0, INT8S},
                              {"w", 'B', 0, INT8S},
                              {"w_scale", 0, 0, LMN_DBIT(LAMINA_F32)},
                              {"w_zero_point", 'B', 0, INT8S},
                              {"y_scale", 0, 0, LMN_DBIT(LAMINA_F32)},
                              {"y_zero_point", 'C', 0, INT8S},
                              {"B", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I32)},
                              {0}};
static const lmn_port OUT[] = {{"y", 'C', 0, INT8S}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_CONV_ATTRS, {0}};

const lmn_op_def lmn_op_QLinearConv = {
    .name = "QLinearConv",
    .domain = "",
    .since = 10,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_qlinearconv,
    .eval = eval_qlinearconv,
    .cost = cost_qlinearconv,
};
