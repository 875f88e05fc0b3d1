/*
 * NonZero (ai.onnx, since 9): int64 indices [rank, count] of the elements that are not 0 (strings:
 * not empty), in row-major order. NaN is not 0. A scalar gives [0, count].
 */
#include "ops/move.h"
#include "ops/shapes.h"

static lamina_status infer_nonzero(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    LMN_TRY(lmn_infer_typed(ic, 0, LAMINA_I64, 2, &f));
    if (r >= 0) f->dims[0] = lmn_dim_c(r);
    return LAMINA_OK;
}

/* Which of n elements are not 0, one byte each. */
static lamina_status mark(lmn_eval *ec, const lamina_tensor *x, int64_t n, uint8_t **out)
{
    uint8_t *hot = lmn_scratch(ec, (size_t)n ? (size_t)n : 1);
    if (!hot) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld marks", (long long)n);
    *out = hot;
    if (x->dtype != LAMINA_STRING) {
        lmn_convert(LAMINA_BOOL, hot, x->dtype, x->data, n, false);
        return LAMINA_OK;
    }
    const lmn_str *s = x->data;
    for (int64_t i = 0; i < n; i++) hot[i] = s[i].n > 0;
    return LAMINA_OK;
}

static lamina_status eval_nonzero(lmn_eval *ec)
{
    const lamina_tensor *x;
    lamina_tensor *t;
    uint8_t *hot = NULL;
    int64_t count = 0, at[LMN_MAX_RANK] = {0}, o = 0;
    LMN_TRY(lmn_need(ec, 0, &x));
    const int64_t n = lmn_count(x);
    LMN_TRY(mark(ec, x, n, &hot));
    for (int64_t i = 0; i < n; i++) count += hot[i] != 0;
    const int64_t dims[2] = {x->rank, count};
    LMN_TRY(lmn_out(ec, 0, LAMINA_I64, 2, dims, &t));
    if (!t) return LAMINA_OK;
    int64_t *y = t->data;
    for (int64_t i = 0; i < n; i++) {
        if (hot[i]) {
            for (int32_t k = 0; k < x->rank; k++) y[k * count + o] = at[k];
            o++;
        }
        for (int32_t k = x->rank - 1; k >= 0 && ++at[k] == x->dims[k]; k--) at[k] = 0;
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};

const lmn_op_def lmn_op_NonZero = {
    .name = "NonZero",
    .domain = "",
    .since = 9,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .infer = infer_nonzero,
    .eval = eval_nonzero,
};
