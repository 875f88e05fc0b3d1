/*
 * LinearRegressor (ai.onnx.ml, since 1): X coefficients' + intercepts, then the score transform.
 */
#include "ops/f64io.h"
#include "ops/ml.h"
#include "ops/wide.h"

static lamina_status infer_regressor(lmn_infer *ic)
{
    return lmn_ml_infer_scores(ic, "targets");
}

static lamina_status eval_regressor(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    const lmn_ml_list coef = lmn_ml_list_of(ec->node, NULL, NULL, "coefficients", NULL);
    const lmn_ml_list icpt = lmn_ml_list_of(ec->node, NULL, NULL, "intercepts", NULL);
    const int64_t targets = lmn_attr_i(ec->node, "targets", 1);
    int64_t rows, cols, need;
    double *w, *b, *row;
    lmn_ml_post post;
    lamina_tensor *y;
    LMN_TRY(lmn_ml_matrix(ec, 0, &rows, &cols));
    if (targets < 1 || !lmn_mul_i64(targets, cols, &need) || !lmn_ml_post_of(ec->node, &post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "targets or post_transform is not valid");
    LMN_TRY(lmn_ml_values(ec, &coef, need, 0.0, &w));
    LMN_TRY(lmn_ml_values(ec, &icpt, targets, 0.0, &b));
    LMN_TRY(lmn_f64_alloc(ec, cols + targets, &row));
    const int64_t dims[2] = {rows, targets};
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, 2, dims, &y));
    for (int64_t r = 0; y && r < rows; r++) {
        double *s = row + cols;
        lmn_f64_load(x, r * cols, cols, row);
        for (int64_t t = 0; t < targets; t++) {
            s[t] = b[t];
            for (int64_t c = 0; c < cols; c++) s[t] += row[c] * w[t * cols + c];
        }
        lmn_ml_post_apply(post, s, targets);
        lmn_f64_store(y, r * targets, targets, s);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"coefficients", LMN_ATTR_FLOATS, 0},
                                        {"intercepts", LMN_ATTR_FLOATS, 0},
                                        {"post_transform", LMN_ATTR_STRING, 0},
                                        {"targets", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_LinearRegressor = {
    .name = "LinearRegressor",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_regressor,
    .eval = eval_regressor,
};
