/*
 * OneHotEncoder (ai.onnx.ml, since 1): appends an axis with a 1 at the element's category. Numbers
 * are compared as int64. An unknown category gives zeros, or an error when `zeros` is 0.
 */
#include "ops/ml.h"
#include "ops/wide.h"

#include <string.h>

static lmn_ml_list cats_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "cats_strings", "cats_int64s", NULL, NULL);
}

static lamina_status infer_onehot_ml(lmn_infer *ic)
{
    const lmn_ml_list cats = cats_of(ic->node);
    if (!cats.dt)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "set cats_strings or cats_int64s",
                              "there are no categories");
    if (!lmn_infer_has(ic, 0) || ic->in[0]->rank < 0) return LAMINA_OK;
    const int32_t rank = ic->in[0]->rank;
    if (rank >= LMN_MAX_RANK)
        return lmn_infer_fail(ic, LAMINA_E_UNSUPPORTED, NULL, "the output has rank %d", rank + 1);
    lmn_infer_same(ic, 0, 0);
    ic->out[0].dtype = LAMINA_F32;
    ic->out[0].rank = rank + 1;
    ic->out[0].dims[rank] = lmn_dim_c(cats.n);
    return LAMINA_OK;
}

static lamina_status eval_onehot_ml(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const lmn_ml_list cats = cats_of(ec->node);
    int64_t dims[LMN_MAX_RANK];
    lmn_ml_index index;
    lamina_tensor *y;
    if (!cats.dt || x->rank >= LMN_MAX_RANK)
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "there are no categories, or the rank is too high");
    for (int32_t i = 0; i < x->rank; i++) dims[i] = x->dims[i];
    dims[x->rank] = cats.n;
    LMN_TRY(lmn_ml_index_list(ec, &cats, &index));
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, x->rank + 1, dims, &y));
    if (y) memset(y->data, 0, y->data_bytes);
    for (int64_t i = 0; y && i < lmn_count(x); i++) {
        lmn_ml_key key;
        if (!lmn_ml_key_of(&cats, x, i, &key))
            return lmn_eval_fail(ec, LAMINA_E_DTYPE,
                                 "the categories and the input are not of one kind");
        const int64_t k = lmn_ml_index_find(&index, key);
        if (k >= 0)
            ((float *)y->data)[i * cats.n + k] = 1.0F;
        else if (!lmn_attr_i(ec->node, "zeros", 1))
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "element %lld has no category", (long long)i);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML | LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"cats_int64s", LMN_ATTR_INTS, 0},
                                        {"cats_strings", LMN_ATTR_STRINGS, 0},
                                        {"zeros", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_OneHotEncoder = {
    .name = "OneHotEncoder",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_onehot_ml,
    .eval = eval_onehot_ml,
};
