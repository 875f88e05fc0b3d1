/*
 * ConstantOfShape (ai.onnx, since 9): a tensor of the given shape filled with `value` (default a
 * float32 zero). Sizes past the limit of one tensor are refused.
 */
#include "ops/move.h"
#include "ops/shapes.h"

static void fill_elems(lmn_infer *ic, const lamina_tensor *value)
{
    const lmn_fact *f = &ic->out[0];
    int64_t n = 1;
    if (f->rank > 1 || (f->dtype != LAMINA_I64 && f->dtype != LAMINA_I32)) return;
    if (f->rank == 1) {
        if (!lmn_dim_known(f->dims[0]) || !lmn_dim_is_const(f->dims[0])) return;
        n = lmn_dim_value(f->dims[0]);
    }
    if (n < 0 || n > LMN_FACT_MAX_ELEMS) return;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, (int32_t)n);
    for (int64_t k = 0; e && k < n; k++) e[k] = lmn_dim_c(lmn_get_i64(value, 0));
}

static lamina_status infer_constantofshape(lmn_infer *ic)
{
    const lamina_tensor *value = lmn_attr_t(ic->node, "value");
    const lmn_dim *e;
    const int32_t n = lmn_infer_elems(ic, 0, &e);
    const int64_t len = n >= 0 ? n : lmn_infer_length(ic, 0);
    lmn_fact *f;
    if (value && lmn_count(value) != 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "give value one element",
                              "value has %lld elements", (long long)lmn_count(value));
    const int32_t rank = len > LMN_MAX_RANK ? LMN_MAX_RANK + 1 : (int32_t)len;
    LMN_TRY(lmn_infer_typed(ic, 0, value ? value->dtype : LAMINA_F32, rank, &f));
    for (int32_t k = 0; k < n; k++) {
        if (lmn_dim_known(e[k]) && lmn_dim_is_const(e[k]) && lmn_dim_value(e[k]) < 0)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "use extents of 0 or more",
                                  "extent %d is negative", k);
        f->dims[k] = e[k];
    }
    if (value && f->rank >= 0) fill_elems(ic, value);
    return LAMINA_OK;
}

static lamina_status eval_constantofshape(lmn_eval *ec)
{
    const lamina_tensor *value = lmn_attr_t(ec->node, "value");
    const lamina_dtype dt = value ? value->dtype : LAMINA_F32;
    const uint8_t zero[16] = {0};
    int64_t dims[LMN_MAX_RANK];
    int32_t n;
    lmn_plain out, one = {.p = NULL};
    LMN_TRY(lmn_ints(ec, 0, dims, LMN_MAX_RANK, &n));
    if (value && lmn_count(value) != 1)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "value must have one element");
    LMN_TRY(lmn_check_grown(ec, dt, n, dims));
    LMN_TRY(lmn_plain_out(ec, 0, dt, n, dims, &out));
    if (!out.t) return LAMINA_OK;
    if (value) LMN_TRY(lmn_plain_in(ec, value, &one));
    lmn_move_fill(out.p, out.eb, out.n, value ? one.p : zero);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"input", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"value", LMN_ATTR_TENSOR, 0}, {0}};

const lmn_op_def lmn_op_ConstantOfShape = {
    .name = "ConstantOfShape",
    .domain = "",
    .since = 9,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_constantofshape,
    .eval = eval_constantofshape,
};
