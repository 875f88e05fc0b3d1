/*
 * Imputer (ai.onnx.ml, since 1): replaces elements equal to replaced_value (NaN matches NaN) by one
 * value for all or one a feature. Integer inputs use the int64 attributes, floats the float ones.
 */
#include "ops/ml.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status eval_imputer(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const bool real = lmn_dtype_class(x->dtype) == LMN_CLASS_FLOAT;
    const lmn_ml_list values =
        real ? lmn_ml_list_of(ec->node, NULL, NULL, "imputed_value_floats", NULL)
             : lmn_ml_list_of(ec->node, NULL, "imputed_value_int64s", NULL, NULL);
    const double old_f = lmn_attr_f(ec->node, "replaced_value_float", 0.0F);
    const int64_t old_i = lmn_attr_i(ec->node, "replaced_value_int64", 0),
                  width = x->rank > 0 ? x->dims[x->rank - 1] : 1;
    lamina_tensor *y;
    if (!values.dt || (values.n != 1 && values.n != width))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "the imputed values of this type must be 1 or one a feature, got %lld",
                             (long long)values.n);
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    for (int64_t i = 0; y && i < lmn_count(x); i++) {
        const int64_t k = values.n == 1 ? 0 : i % width;
        if (real) {
            const double v = lmn_get_f64(x, i);
            lmn_set_f64(y, i,
                        v == old_f || (isnan(v) && isnan(old_f)) ? lmn_ml_f64(&values, k) : v);
        } else {
            const int64_t v = lmn_get_i64(x, i);
            lmn_set_i64(y, i, v == old_i ? lmn_ml_i64(&values, k) : v);
        }
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_ML}, {0}};
static const lmn_attr_schema ATTRS[] = {{"imputed_value_floats", LMN_ATTR_FLOATS, 0},
                                        {"imputed_value_int64s", LMN_ATTR_INTS, 0},
                                        {"replaced_value_float", LMN_ATTR_FLOAT, 0},
                                        {"replaced_value_int64", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_Imputer = {
    .name = "Imputer",
    .domain = "ai.onnx.ml",
    .since = 1,
    .flags = LMN_OP_SAME,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .eval = eval_imputer,
};
