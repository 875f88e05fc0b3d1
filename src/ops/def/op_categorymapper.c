/*
 * CategoryMapper (ai.onnx.ml, since 1): strings to the integers at the same place of the two lists,
 * or integers to strings; what is not listed becomes the default. The last of equal keys counts.
 */
#include "ops/ml.h"
#include "ops/wide.h"

#include <string.h>

static lamina_status infer_categories(lmn_infer *ic)
{
    lmn_infer_same(ic, 0, 0);
    const lamina_dtype in = ic->in[0] ? ic->in[0]->dtype : LAMINA_DTYPE_NONE;
    ic->out[0].kind = LMN_FACT_TENSOR;
    ic->out[0].dtype = in == LAMINA_STRING ? LAMINA_I64 : in ? LAMINA_STRING : LAMINA_DTYPE_NONE;
    return LAMINA_OK;
}

static lamina_status eval_categories(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const lmn_ml_list texts = lmn_ml_list_of(ec->node, "cats_strings", NULL, NULL, NULL);
    const lmn_ml_list ints = lmn_ml_list_of(ec->node, NULL, "cats_int64s", NULL, NULL);
    const bool to_int = x->dtype == LAMINA_STRING;
    const int64_t absent = lmn_attr_i(ec->node, "default_int64", -1);
    const char *def = lmn_attr_s(ec->node, "default_string", "_Unused");
    lamina_tensor *y;
    lmn_ml_index index;
    if (!texts.dt || texts.n != ints.n)
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "cats_strings has %lld entries and cats_int64s %lld",
                             (long long)texts.n, (long long)ints.n);
    LMN_TRY(lmn_ml_index_list(ec, to_int ? &texts : &ints, &index));
    LMN_TRY(lmn_out(ec, 0, to_int ? LAMINA_I64 : LAMINA_STRING, x->rank, x->dims, &y));
    for (int64_t i = 0; y && i < lmn_count(x); i++) {
        lmn_ml_key key;
        if (!lmn_ml_key_of(to_int ? &texts : &ints, x, i, &key)) continue;
        const int64_t k = lmn_ml_index_find(&index, key);
        if (to_int) {
            ((int64_t *)y->data)[i] = k >= 0 ? lmn_ml_i64(&ints, k) : absent;
            continue;
        }
        lmn_str s = {(char *)(uintptr_t)def, strlen(def)};
        if (k >= 0) s = lmn_ml_str(&texts, k);
        const lamina_status st = lamina_tensor_set_string(y, i, s.p, s.n);
        if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for a string");
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_LABEL}, {0}};
static const lmn_port OUT[] = {{"Y", 'U', 0, LMN_D_LABEL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"cats_int64s", LMN_ATTR_INTS, 0},
                                        {"cats_strings", LMN_ATTR_STRINGS, 0},
                                        {"default_int64", LMN_ATTR_INT, 0},
                                        {"default_string", LMN_ATTR_STRING, 0},
                                        {0}};

const lmn_op_def lmn_op_CategoryMapper = {
    .name = "CategoryMapper",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_categories,
    .eval = eval_categories,
};
