/*
 * Size (ai.onnx, since 1): the number of elements as an int64 scalar.
 */
#include "ops/shapes.h"

static lamina_status infer_size(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_shape(ic, 0, 0, NULL));
    if (lmn_infer_rank(ic, 0) < 0) return LAMINA_OK;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, 1);
    if (e) *e = lmn_fact_count(ic->dims, ic->in[0]);
    return LAMINA_OK;
}

static lamina_status eval_size(lmn_eval *ec)
{
    const lamina_tensor *x;
    lamina_tensor *t;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_out(ec, 0, LAMINA_I64, 0, NULL, &t));
    if (t) *(int64_t *)t->data = lmn_count(x);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"data", 0, 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"size", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};

const lmn_op_def lmn_op_Size = {
    .name = "Size",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_size,
    .eval = eval_size,
};
