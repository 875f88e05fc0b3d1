/*
 * DictVectorizer (ai.onnx.ml, since 1): element i of the [1, n] output is what the map holds under
 * word i of the vocabulary: zero, or the empty string, where it holds nothing. Keys outside the
 * vocabulary are ignored.
 */
#include "ops/ml.h"
#include "ops/sequence.h"

#include <string.h>

static lmn_ml_list vocabulary_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "string_vocabulary", "int64_vocabulary", NULL, NULL);
}

static lamina_status infer_dict(lmn_infer *ic)
{
    const lmn_ml_list words = vocabulary_of(ic->node);
    const lmn_fact *x = ic->in[0];
    if (!words.dt)
        return lmn_infer_fail(ic, LAMINA_E_INVALID,
                              "set one of string_vocabulary and int64_vocabulary",
                              "has no vocabulary");
    LMN_TRY(lmn_infer_map(ic, 0));
    if (lmn_infer_has(ic, 0) && x->key != words.dt)
        return lmn_infer_fail(ic, LAMINA_E_DTYPE, "give keys and vocabulary one type",
                              "the keys are %s and the vocabulary is %s", lamina_dtype_name(x->key),
                              lamina_dtype_name(words.dt));
    lmn_fact *y;
    LMN_TRY(lmn_infer_shape(ic, 0, 2, &y));
    y->dims[0] = lmn_dim_c(1);
    y->dims[1] = lmn_dim_c(words.n);
    return LAMINA_OK;
}

static lamina_status index_keys(lmn_eval *ec, const lamina_tensor *keys, lmn_ml_index *index)
{
    const int64_t n = lmn_count(keys);
    size_t bytes;
    lmn_ml_key *k = NULL;
    if (lmn_mul_size((size_t)n + 1, sizeof *k, &bytes)) k = lmn_scratch(ec, bytes);
    if (!k) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld keys", (long long)n);
    for (int64_t i = 0; i < n; i++)
        k[i] = keys->dtype == LAMINA_STRING ? lmn_ml_key_str(((const lmn_str *)keys->data)[i])
                                            : lmn_ml_key_i64(((const int64_t *)keys->data)[i]);
    return lmn_ml_index_build(ec, k, n, index);
}

static lamina_status eval_dict(lmn_eval *ec)
{
    const lmn_ml_list words = vocabulary_of(ec->node);
    const lamina_tensor *keys, *values;
    const int64_t dims[] = {1, words.n};
    lmn_ml_index index;
    lamina_tensor *y;
    LMN_TRY(lmn_need_map(ec, 0, words.dt, &keys, &values));
    LMN_TRY(index_keys(ec, keys, &index));
    LMN_TRY(lmn_out(ec, 0, values->dtype, 2, dims, &y));
    if (!y) return LAMINA_OK;
    const bool text = y->dtype == LAMINA_STRING;
    const size_t size = lmn_dtype_bytes(y->dtype);
    if (!text && y->data_bytes) memset(y->data, 0, y->data_bytes);
    for (int64_t i = 0; i < words.n; i++) {
        const lmn_ml_key key = words.dt == LAMINA_STRING ? lmn_ml_key_str(lmn_ml_str(&words, i))
                                                         : lmn_ml_key_i64(lmn_ml_i64(&words, i));
        const int64_t at = lmn_ml_index_find(&index, key);
        if (at < 0) continue;
        if (!text) {
            memcpy((uint8_t *)y->data + (size_t)i * size,
                   (const uint8_t *)values->data + (size_t)at * size, size);
            continue;
        }
        const lmn_str *s = (const lmn_str *)values->data + at;
        const lamina_status st = lamina_tensor_set_string(y, i, s->p ? s->p : "", s->n);
        if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for a string");
    }
    return LAMINA_OK;
}

#define TYPES (LMN_DBIT(LAMINA_I64) | LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64) | LMN_D_STRING)
static const lmn_port IN[] = {{"X", 'T', LMN_PORT_ANYKIND, TYPES}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {
    {"int64_vocabulary", LMN_ATTR_INTS, 0}, {"string_vocabulary", LMN_ATTR_STRINGS, 0}, {0}};

const lmn_op_def lmn_op_DictVectorizer = {
    .name = "DictVectorizer",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_dict,
    .eval = eval_dict,
};
