/*
 * EyeLike (ai.onnx, since 9): a matrix of the input's shape with ones on diagonal k (default 0).
 * Type: attribute dtype, else that of the input.
 */
#include "ops/shapes.h"

#include <string.h>

static lamina_status infer_eyelike(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    if (r >= 0 && r != 2)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give it a matrix", "the input has rank %d", r);
    const lamina_dtype in = lmn_infer_has(ic, 0) ? ic->in[0]->dtype : LAMINA_DTYPE_NONE;
    lmn_infer_same(ic, 0, 0);
    ic->out[0].dtype = lmn_attr_dtype(ic->node, "dtype", in);
    return LAMINA_OK;
}

static lamina_status eval_eyelike(lmn_eval *ec)
{
    const lamina_tensor *x;
    lamina_tensor *t;
    LMN_TRY(lmn_need(ec, 0, &x));
    const lamina_dtype dt = lmn_attr_dtype(ec->node, "dtype", x->dtype);
    if (x->rank != 2 || !(LMN_DBIT(dt) & (LMN_D_NUM | LMN_D_BOOL)))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "needs a matrix and a number type, got rank %d, %s", x->rank,
                             lamina_dtype_name(dt));
    LMN_TRY(lmn_out(ec, 0, dt, 2, x->dims, &t));
    if (!t || !t->data_bytes) return LAMINA_OK;
    memset(t->data, 0, t->data_bytes);
    const int64_t rows = x->dims[0], cols = x->dims[1];
    const int64_t k = lmn_max_i64(-rows, lmn_min_i64(lmn_attr_i(ec->node, "k", 0), cols));
    for (int64_t r = lmn_max_i64(0, -k); r < rows && r + k < cols; r++)
        lmn_set_i64(t, r * cols + r + k, 1);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_D_NUM | LMN_D_BOOL}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_NUM | LMN_D_BOOL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"dtype", LMN_ATTR_INT, 0}, {"k", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_EyeLike = {
    .name = "EyeLike",
    .domain = "",
    .since = 9,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_eyelike,
    .eval = eval_eyelike,
};
