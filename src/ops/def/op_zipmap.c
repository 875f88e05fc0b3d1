/*
 * ZipMap (ai.onnx.ml, since 1): each row of a matrix of scores becomes a map from the class labels
 * to its values; a vector is one row. The labels must be distinct and as many as the columns. No
 * rows give an empty sequence; NaN is a value like any other.
 */
#include "ops/ml.h"
#include "ops/sequence.h"
#include "ops/wide.h"

#include <string.h>

static lmn_ml_list labels_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "classlabels_strings", "classlabels_int64s", NULL, NULL);
}

static lamina_status infer_zipmap(lmn_infer *ic)
{
    const lmn_ml_list labels = labels_of(ic->node);
    const lmn_fact *x = ic->in[0];
    lmn_dim rows;
    if (!labels.dt)
        return lmn_infer_fail(ic, LAMINA_E_INVALID,
                              "set one of classlabels_int64s and classlabels_strings",
                              "has no class labels");
    LMN_TRY(lmn_ml_infer_rows(ic, &rows));
    const lmn_dim cols = x && x->rank > 0 ? x->dims[x->rank - 1] : LMN_DIM_UNKNOWN;
    if (lmn_dim_is_const(cols) && lmn_dim_value(cols) != labels.n)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give each column one label",
                              "has %lld class labels for %lld columns", (long long)labels.n,
                              (long long)lmn_dim_value(cols));
    lmn_fact row = lmn_fact_unknown();
    row.dtype = LAMINA_F32;
    lmn_infer_sequence(ic, 0, &row);
    ic->out[0].key = (uint8_t)labels.dt;
    return LAMINA_OK;
}

/* The labels as the keys that all rows share. */
static lamina_status make_keys(lmn_eval *ec, const lmn_ml_list *labels, lamina_tensor **out)
{
    lamina_tensor *keys;
    lamina_status st = lmn_tensor_new(ec->engine, labels->dt, 1, &labels->n, false, &keys);
    for (int64_t k = 0; st == LAMINA_OK && k < labels->n; k++) {
        if (labels->dt == LAMINA_STRING) {
            const lmn_str s = lmn_ml_str(labels, k);
            st = lamina_tensor_set_string(keys, k, s.p, s.n);
        } else {
            ((int64_t *)keys->data)[k] = lmn_ml_i64(labels, k);
        }
        if (st != LAMINA_OK) lamina_tensor_unref(keys);
    }
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for the class labels");
    st = lmn_map_check_keys(ec->engine, keys);
    if (st == LAMINA_OK) {
        *out = keys;
        return st;
    }
    lamina_tensor_unref(keys);
    return st == LAMINA_E_INVALID ? lmn_eval_fail(ec, st, "a class label is there twice")
                                  : lmn_eval_fail(ec, st, "no memory to compare the labels");
}

static lamina_status make_row(lmn_eval *ec, lamina_tensor *keys, const float *x,
                              lamina_tensor **out)
{
    lamina_tensor *values;
    lamina_status st = lmn_tensor_new(ec->engine, LAMINA_F32, 1, keys->dims, false, &values);
    if (st == LAMINA_OK) {
        if (values->data_bytes) memcpy(values->data, x, values->data_bytes);
        st = lmn_map_new(ec->engine, keys, values, out);
        lamina_tensor_unref(values);
    }
    return st == LAMINA_OK ? st : lmn_eval_fail(ec, st, "no memory for a map");
}

static lamina_status eval_zipmap(lmn_eval *ec)
{
    const lmn_ml_list labels = labels_of(ec->node);
    int64_t rows, cols;
    lamina_tensor *keys = NULL, **maps;
    LMN_TRY(lmn_eval_ready(ec));
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    const lamina_tensor *x = ec->in[0];
    if (x->dtype != LAMINA_F32)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the scores are %s, must be float32",
                             lamina_dtype_name(x->dtype));
    if (!labels.dt || labels.n != cols)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "has %lld class labels for %lld columns",
                             (long long)labels.n, (long long)cols);
    if (!lmn_out_wanted(ec, 0)) return LAMINA_OK;
    LMN_TRY(lmn_seq_items(ec, rows, &maps));
    LMN_TRY(make_keys(ec, &labels, &keys));
    lamina_status st = LAMINA_OK;
    for (int64_t r = 0; st == LAMINA_OK && r < rows; r++)
        st = make_row(ec, keys, (const float *)x->data + r * cols, &maps[r]);
    if (st == LAMINA_OK) st = lmn_out_sequence(ec, 0, LAMINA_F32, rows, maps);
    lmn_seq_unref(maps, rows);
    lamina_tensor_unref(keys);
    return st;
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_port OUT[] = {{"Z", 0, LMN_PORT_ANYKIND, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"classlabels_int64s", LMN_ATTR_INTS, 0}, {"classlabels_strings", LMN_ATTR_STRINGS, 0}, {0}};

const lmn_op_def lmn_op_ZipMap = {
    .name = "ZipMap",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_zipmap,
    .eval = eval_zipmap,
};
