/*
 * ArrayFeatureExtractor (ai.onnx.ml, since 1): picks elements of the last axis by index. A vector
 * gives one row: [1, number of indices].
 */
#include "ops/ml.h"
#include "ops/wide.h"

static lamina_status infer_extract(lmn_infer *ic)
{
    const lmn_fact *x = ic->in[0];
    if (!lmn_infer_has(ic, 0) || x->rank < 0) return LAMINA_OK;
    if (x->rank == 0)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "the input is a scalar, it has no axis to pick from");
    lmn_fact *y = &ic->out[0];
    y->rank = x->rank == 1 ? 2 : x->rank;
    y->dims[0] = lmn_dim_c(1);
    for (int32_t i = 0; i + 1 < x->rank; i++) y->dims[i] = x->dims[i];
    y->dims[y->rank - 1] = lmn_infer_has(ic, 1) && ic->in[1]->rank >= 0
                               ? lmn_fact_count(ic->dims, ic->in[1])
                               : LMN_DIM_UNKNOWN;
    return LAMINA_OK;
}

static lamina_status copy_element(lmn_eval *ec, lamina_tensor *y, int64_t to,
                                  const lamina_tensor *x, int64_t from)
{
    if (x->dtype != LAMINA_STRING) {
        const size_t es = lmn_dtype_bytes(x->dtype);
        lmn_convert(y->dtype, (uint8_t *)y->data + (size_t)to * es, x->dtype,
                    (const uint8_t *)x->data + (size_t)from * es, 1, false);
        return LAMINA_OK;
    }
    const lmn_str s = ((const lmn_str *)x->data)[from];
    const lamina_status st = lamina_tensor_set_string(y, to, s.p ? s.p : "", s.n);
    return st == LAMINA_OK ? st : lmn_eval_fail(ec, st, "no memory for a string");
}

static lamina_status eval_extract(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0], *idx = ec->in[1];
    lamina_tensor *y;
    if (x->rank < 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "the input is a scalar, it has no axis to pick from");
    const int64_t n = lmn_count(idx), width = x->dims[x->rank - 1];
    int64_t dims[LMN_MAX_RANK] = {1}, rows = 1;
    const int32_t rank = x->rank == 1 ? 2 : x->rank;
    for (int32_t i = 0; i + 1 < x->rank; i++) rows *= dims[i] = x->dims[i];
    dims[rank - 1] = n;
    for (int64_t j = 0; j < n; j++)
        if (lmn_get_i64(idx, j) < 0 || lmn_get_i64(idx, j) >= width)
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "index %lld is outside [0, %lld)",
                                 (long long)lmn_get_i64(idx, j), (long long)width);
    LMN_TRY(lmn_out(ec, 0, x->dtype, rank, dims, &y));
    for (int64_t r = 0; y && r < rows; r++)
        for (int64_t j = 0; j < n; j++)
            LMN_TRY(copy_element(ec, y, r * n + j, x, r * width + lmn_get_i64(idx, j)));
    return LAMINA_OK;
}

#define TYPES (LMN_D_ML | LMN_D_STRING)
static const lmn_port IN[] = {{"X", 'T', 0, TYPES}, {"Y", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"Z", 'T', 0, TYPES}, {0}};

const lmn_op_def lmn_op_ArrayFeatureExtractor = {
    .name = "ArrayFeatureExtractor",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .infer = infer_extract,
    .eval = eval_extract,
};
