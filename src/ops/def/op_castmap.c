/*
 * CastMap (ai.onnx.ml, since 1): the values of a map from integers, as a [1, n] tensor of the type
 * that cast_to names. DENSE: all values, by ascending key. SPARSE: element k is the value of key k,
 * for k below max_map; keys from there on are left out, negative ones refused, and what is missing
 * is zero, which in strings onnxruntime writes "0.f". Floats become text with six decimals.
 */
#include "ops/cast.h"
#include "ops/order.h"
#include "ops/sequence.h"

#include <math.h>
#include <string.h>

static lamina_dtype target(const lmn_opnode *n)
{
    if (lmn_attr_is(n, "cast_to", "TO_STRING", "TO_FLOAT")) return LAMINA_STRING;
    if (lmn_attr_is(n, "cast_to", "TO_INT64", "TO_FLOAT")) return LAMINA_I64;
    return lmn_attr_is(n, "cast_to", "TO_FLOAT", "TO_FLOAT") ? LAMINA_F32 : LAMINA_DTYPE_NONE;
}

static bool is_sparse(const lmn_opnode *n)
{
    return lmn_attr_is(n, "map_form", "SPARSE", "DENSE");
}

static lamina_status infer_castmap(lmn_infer *ic)
{
    const lmn_fact *x = ic->in[0];
    const int64_t max_map = lmn_attr_i(ic->node, "max_map", 1);
    const bool sparse = is_sparse(ic->node);
    LMN_TRY(lmn_infer_map(ic, 0));
    if (lmn_infer_has(ic, 0) && x->key != LAMINA_I64)
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, NULL, "the keys are %s, must be int64",
                              lamina_dtype_name(x->key));
    if (!target(ic->node) || (!sparse && !lmn_attr_is(ic->node, "map_form", "DENSE", "DENSE")))
        return lmn_infer_fail(
            ic, LAMINA_E_INVALID,
            "cast_to is TO_FLOAT, TO_INT64 or TO_STRING, map_form DENSE or SPARSE",
            "has an attribute it does not know the value of");
    if (sparse && max_map < 1)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set max_map to at least 1", "max_map is %lld",
                              (long long)max_map);
    lmn_fact *y;
    LMN_TRY(lmn_infer_shape(ic, 0, 2, &y));
    y->dims[0] = lmn_dim_c(1);
    if (sparse) y->dims[1] = lmn_dim_c(max_map);
    y->dtype = target(ic->node);
    return LAMINA_OK;
}

/* As C writes %f, without the locale's point. Below 1e9 the product by 1e6 is exact in f64; floats
   above 2^23 are whole. */
static size_t decimals(double v, char *buf, size_t cap)
{
    if (!isfinite(v)) return lmn_format(buf, cap, "%f", v);
    if (fabs(v) >= 1e9) return lmn_format(buf, cap, "%.0f.000000", v);
    const int64_t m = (int64_t)rint(fabs(v) * 1e6);
    return lmn_format(buf, cap, "%s%lld.%06lld", signbit(v) ? "-" : "", (long long)(m / 1000000),
                      (long long)(m % 1000000));
}

/* Element i of y is value `at`; -1: what stands for a missing one. */
static lamina_status put(lmn_eval *ec, lamina_tensor *y, int64_t i, const lamina_tensor *values,
                         int64_t at)
{
    char text[64] = "0.f";
    lmn_str s = {text, 3};
    if (at >= 0 && values->dtype == LAMINA_STRING)
        s = ((const lmn_str *)values->data)[at];
    else if (at >= 0)
        s.n = decimals((double)((const float *)values->data)[at], text, sizeof text);
    if (y->dtype == LAMINA_STRING) {
        const lamina_status st = lamina_tensor_set_string(y, i, s.p ? s.p : "", s.n);
        return st == LAMINA_OK ? st : lmn_eval_fail(ec, st, "no memory for a string");
    }
    if (at < 0) {
        lmn_set_i64(y, i, 0);
    } else if (values->dtype != LAMINA_STRING) {
        lmn_set_f64(y, i, (double)((const float *)values->data)[at]);
    } else if (!lmn_cast_from_text(y, i, s)) {
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "value %lld, \"%.40s\", is no number",
                             (long long)at, s.p ? s.p : "");
    }
    return LAMINA_OK;
}

static lamina_status sort_keys(lmn_eval *ec, const lamina_tensor *keys, int64_t **out)
{
    const int64_t n = lmn_count(keys);
    size_t bytes;
    int64_t *idx = NULL;
    lmn_order order;
    LMN_TRY(lmn_order_make(ec, keys, &order));
    order.outer = order.inner = 1;
    order.extent = n;
    if (lmn_mul_size(2 * (size_t)n + 1, sizeof *idx, &bytes)) idx = lmn_scratch(ec, bytes);
    if (!idx) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld keys", (long long)n);
    lmn_order_sort(&order, idx, idx + n, n);
    *out = idx;
    return LAMINA_OK;
}

static lamina_status eval_castmap(lmn_eval *ec)
{
    const lamina_tensor *keys, *values;
    int64_t *idx = NULL, at = 0, dims[] = {1, 0};
    lamina_tensor *y;
    LMN_TRY(lmn_need_map(ec, 0, LAMINA_I64, &keys, &values));
    const int64_t n = lmn_count(keys), *key = keys->data;
    const bool sparse = is_sparse(ec->node);
    if (values->dtype != LAMINA_F32 && values->dtype != LAMINA_STRING)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the values are %s, must be float32 or string",
                             lamina_dtype_name(values->dtype));
    LMN_TRY(sort_keys(ec, keys, &idx));
    if (sparse && n > 0 && key[idx[0]] < 0)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "key %lld of a sparse map is negative",
                             (long long)key[idx[0]]);
    dims[1] = sparse ? lmn_attr_i(ec->node, "max_map", 1) : n;
    LMN_TRY(lmn_out(ec, 0, target(ec->node), 2, dims, &y));
    for (int64_t i = 0; y && i < dims[1]; i++) {
        const bool there = !sparse || (at < n && key[idx[at]] == i);
        LMN_TRY(put(ec, y, i, values, there ? idx[at++] : -1));
    }
    return LAMINA_OK;
}

#define TEXT_OR_F32 (LMN_DBIT(LAMINA_F32) | LMN_D_STRING)
static const lmn_port IN[] = {{"X", 0, LMN_PORT_ANYKIND, TEXT_OR_F32}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, TEXT_OR_F32 | LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"cast_to", LMN_ATTR_STRING, 0},
                                        {"map_form", LMN_ATTR_STRING, 0},
                                        {"max_map", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_CastMap = {
    .name = "CastMap",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_castmap,
    .eval = eval_castmap,
};
