/*
 * SVMRegressor (ai.onnx.ml, since 1): sum of coefficients times kernels, plus rho, one score a row.
 * one_class makes it 1 above zero and -1 elsewhere (NaN too). Without support vectors it is linear.
 * post_transform is read and checked, and changes nothing: there is one score, and the runtimes
 * that exporters test against leave it alone.
 */
#include "ops/f64io.h"
#include "ops/svm.h"
#include "ops/wide.h"

static lamina_status infer_regressor(lmn_infer *ic)
{
    LMN_TRY(lmn_ml_infer_rows(ic, &ic->out[0].dims[0]));
    ic->out[0].rank = 2;
    ic->out[0].dims[1] = lmn_dim_c(1);
    return LAMINA_OK;
}

typedef struct job {
    const lmn_svm *v;
    double *scratch;
    lamina_tensor *y;
    bool linear, one_class;
} job;

static void score_rows(void *arg, int64_t chunk, int32_t worker)
{
    const job *j = arg;
    const lmn_svm *v = j->v;
    double *row = j->scratch + worker * (v->cols + v->n), *k = row + v->cols;
    const int64_t end = lmn_min_i64((chunk + 1) * LMN_SVM_BLOCK, v->rows);
    for (int64_t r = chunk * LMN_SVM_BLOCK; r < end; r++) {
        lmn_f64_load(v->x, r * v->cols, v->cols, row);
        lmn_svm_row(v, row, k);
        double s = (double)v->rho[0];
        for (int64_t i = 0; i < v->n; i++) s += j->linear ? k[i] : k[i] * (double)v->coef[i];
        if (j->one_class) s = s > 0.0 ? 1.0 : -1.0;
        lmn_f64_store(j->y, r, 1, &s);
    }
}

static lamina_status eval_regressor(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const int64_t n = lmn_attr_i(ec->node, "n_supports", 0);
    lmn_svm v;
    lmn_ml_post post;
    job j = {.v = &v, .linear = n == 0, .one_class = lmn_attr_i(ec->node, "one_class", 0) != 0};
    LMN_TRY(lmn_svm_read(ec, n, 1, &v));
    if (!lmn_ml_post_of(ec->node, &post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "post_transform is not known");
    if (n > 0 && v.n_coef < n)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "there are %lld coefficients for %lld vectors",
                             (long long)v.n_coef, (long long)n);
    const int64_t dims[2] = {v.rows, 1};
    LMN_TRY(lmn_out(ec, 0, LAMINA_F32, 2, dims, &j.y));
    LMN_TRY(lmn_svm_scratch(ec, v.cols + v.n, &j.scratch));
    if (j.y) lmn_par_for(ec->par, (v.rows + LMN_SVM_BLOCK - 1) / LMN_SVM_BLOCK, score_rows, &j);
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {
    LMN_SVM_ATTRS, {"n_supports", LMN_ATTR_INT, 0}, {"one_class", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_SVMRegressor = {
    .name = "SVMRegressor",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_regressor,
    .eval = eval_regressor,
};
