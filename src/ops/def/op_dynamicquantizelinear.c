/*
 * DynamicQuantizeLinear (ai.onnx, since 11): scale and zero point of uint8 from the range of the
 * data widened to hold 0, then quantisation. All steps are f32 operations as the standard writes
 * them. Data that are all 0 (or empty) have the scale 1/255.
 */
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_dynamicquantizelinear(lmn_infer *ic)
{
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    lmn_fact *y = x ? lmn_infer_ranked(ic, 0, x->rank) : NULL;
    for (int32_t d = 0; y && d < x->rank; d++) y->dims[d] = x->dims[d];
    (void)lmn_infer_ranked(ic, 1, 0);
    (void)lmn_infer_ranked(ic, 2, 0);
    return LAMINA_OK;
}

static float clamp_u8(float v)
{
    return v < 0.0f ? 0.0f : v > 255.0f ? 255.0f : v;
}

static lamina_status eval_dynamicquantizelinear(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *xt = lmn_in(ec, 0);
    lamina_tensor *y, *ys, *yz;
    LMN_TRY(lmn_out(ec, 0, LAMINA_U8, xt->rank, xt->dims, &y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, 0, NULL, &ys));
    LMN_TRY(lmn_out(ec, 2, LAMINA_U8, 0, NULL, &yz));
    const float *x = xt->data;
    const int64_t n = lmn_count(xt);
    float lo = 0.0f, hi = 0.0f;
    for (int64_t i = 0; i < n; i++) {
        lo = x[i] < lo ? x[i] : lo;
        hi = x[i] > hi ? x[i] : hi;
    }
    const float scale = (hi == lo ? 1.0f : hi - lo) / 255.0f;
    const float zp = rintf(clamp_u8(0.0f - lo / scale));
    if (ys) *(float *)ys->data = scale;
    if (yz) *(uint8_t *)yz->data = isnan(zp) ? 0 : (uint8_t)zp;
    for (int64_t i = 0; y && i < n; i++) {
        const float q = rintf(x[i] / scale) + zp;
        ((uint8_t *)y->data)[i] = isnan(q) ? 0 : (uint8_t)clamp_u8(q);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"x", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_port OUT[] = {{"y", 0, 0, LMN_DBIT(LAMINA_U8)},
                               {"y_scale", 0, 0, LMN_DBIT(LAMINA_F32)},
                               {"y_zero_point", 0, 0, LMN_DBIT(LAMINA_U8)},
                               {0}};

const lmn_op_def lmn_op_DynamicQuantizeLinear = {
    .name = "DynamicQuantizeLinear",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .infer = infer_dynamicquantizelinear,
    .eval = eval_dynamicquantizelinear,
};
