/*
 * LabelEncoder (ai.onnx.ml, since 1): maps each element by a list of keys to a list of values,
 * unknown ones to the default. NaN keys match NaN. The last of equal keys counts. Opset 1 had one
 * list, classes_strings: strings map to their positions and integers to the strings.
 */
#include "ops/ml.h"
#include "ops/wide.h"

#include <string.h>

#define TYPES (LMN_D_ML | LMN_DBIT(LAMINA_I16) | LMN_D_STRING)

static lmn_ml_list keys_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "keys_strings", "keys_int64s", "keys_floats", "keys_tensor");
}

static lmn_ml_list values_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "values_strings", "values_int64s", "values_floats", "values_tensor");
}

static lmn_ml_list classes_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "classes_strings", NULL, NULL, NULL);
}

static lamina_status infer_labels(lmn_infer *ic)
{
    const lmn_ml_list classes = classes_of(ic->node), keys = keys_of(ic->node),
                      values = values_of(ic->node);
    lmn_infer_same(ic, 0, 0);
    ic->out[0].kind = LMN_FACT_TENSOR;
    if (classes.dt) {
        const lamina_dtype in = ic->in[0]->dtype;
        ic->out[0].dtype = in == LAMINA_STRING ? LAMINA_I64
                           : in                ? LAMINA_STRING
                                               : LAMINA_DTYPE_NONE;
        return LAMINA_OK;
    }
    if (!keys.dt || !values.dt || keys.n != values.n)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set one of keys_* and one of values_*",
                              "has %lld keys and %lld values", (long long)keys.n,
                              (long long)values.n);
    if (!(TYPES & LMN_DBIT(values.dt)))
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, "give values of a plain type",
                              "the values are %s", lamina_dtype_name(values.dt));
    ic->out[0].dtype = values.dt;
    return LAMINA_OK;
}

/* Element i of y: value k of the list, or the default when k is -1. */
static lamina_status put(lmn_eval *ec, lamina_tensor *y, int64_t i, const lmn_ml_list *values,
                         int64_t k)
{
    const lamina_tensor *def = lmn_attr_t(ec->node, "default_tensor");
    if (def && (lmn_count(def) < 1 || (def->dtype == LAMINA_STRING) != (y->dtype == LAMINA_STRING)))
        def = NULL;
    if (y->dtype == LAMINA_STRING) {
        const char *text = lmn_attr_s(ec->node, "default_string", "_Unused");
        lmn_str s = {(char *)(uintptr_t)text, strlen(text)};
        if (k >= 0)
            s = lmn_ml_str(values, k);
        else if (def)
            s = *(const lmn_str *)def->data;
        const lamina_status st = lamina_tensor_set_string(y, i, s.p ? s.p : "", s.n);
        return st == LAMINA_OK ? st : lmn_eval_fail(ec, st, "no memory for a string");
    }
    const bool real = lmn_dtype_class(y->dtype) == LMN_CLASS_FLOAT;
    if (real) {
        const double d =
            def ? lmn_get_f64(def, 0) : (double)lmn_attr_f(ec->node, "default_float", -0.0F);
        lmn_set_f64(y, i, k >= 0 ? lmn_ml_f64(values, k) : d);
    } else {
        const int64_t d = def ? lmn_get_i64(def, 0) : lmn_attr_i(ec->node, "default_int64", -1);
        lmn_set_i64(y, i, k >= 0 ? lmn_ml_i64(values, k) : d);
    }
    return LAMINA_OK;
}

/* Opset 1: position of a string, or string at a position. */
static lamina_status eval_classes(lmn_eval *ec, const lmn_ml_list *classes)
{
    const lamina_tensor *x = ec->in[0];
    const bool to_int = x->dtype == LAMINA_STRING;
    lamina_tensor *y;
    lmn_ml_index index;
    lmn_ml_key key;
    LMN_TRY(lmn_ml_index_list(ec, classes, &index));
    LMN_TRY(lmn_out(ec, 0, to_int ? LAMINA_I64 : LAMINA_STRING, x->rank, x->dims, &y));
    for (int64_t i = 0; y && i < lmn_count(x); i++) {
        int64_t k = -1;
        if (to_int) {
            if (lmn_ml_key_of(classes, x, i, &key)) k = lmn_ml_index_find(&index, key);
            lmn_set_i64(y, i, k >= 0 ? k : lmn_attr_i(ec->node, "default_int64", -1));
            continue;
        }
        k = lmn_get_i64(x, i);
        LMN_TRY(put(ec, y, i, classes, k >= 0 && k < classes->n ? k : -1));
    }
    return LAMINA_OK;
}

static lamina_status eval_labels(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const lmn_ml_list classes = classes_of(ec->node), keys = keys_of(ec->node),
                      values = values_of(ec->node);
    lamina_tensor *y;
    lmn_ml_index index;
    if (classes.dt) return eval_classes(ec, &classes);
    if (!keys.dt || !values.dt || keys.n != values.n)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "the lists of keys and values differ in length");
    LMN_TRY(lmn_ml_index_list(ec, &keys, &index));
    LMN_TRY(lmn_out(ec, 0, values.dt, x->rank, x->dims, &y));
    for (int64_t i = 0; y && i < lmn_count(x); i++) {
        lmn_ml_key key;
        if (!lmn_ml_key_of(&keys, x, i, &key))
            return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the keys are %s but the input is %s",
                                 lamina_dtype_name(keys.dt), lamina_dtype_name(x->dtype));
        LMN_TRY(put(ec, y, i, &values, lmn_ml_index_find(&index, key)));
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, TYPES}, {0}};
static const lmn_port OUT[] = {{"Y", 'U', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"classes_strings", LMN_ATTR_STRINGS, 0}, {"default_float", LMN_ATTR_FLOAT, 0},
    {"default_int64", LMN_ATTR_INT, 0},       {"default_string", LMN_ATTR_STRING, 0},
    {"default_tensor", LMN_ATTR_TENSOR, 0},   {"keys_floats", LMN_ATTR_FLOATS, 0},
    {"keys_int64s", LMN_ATTR_INTS, 0},        {"keys_strings", LMN_ATTR_STRINGS, 0},
    {"keys_tensor", LMN_ATTR_TENSOR, 0},      {"values_floats", LMN_ATTR_FLOATS, 0},
    {"values_int64s", LMN_ATTR_INTS, 0},      {"values_strings", LMN_ATTR_STRINGS, 0},
    {"values_tensor", LMN_ATTR_TENSOR, 0},    {0}};

const lmn_op_def lmn_op_LabelEncoder = {
    .name = "LabelEncoder",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_labels,
    .eval = eval_labels,
};
