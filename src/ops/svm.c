/*
 * Kernel functions and attributes of support vector machines (see svm.h). Sums are f64.
 */
#include "ops/svm.h"
#include "ops/f64io.h"

#include <math.h>

enum { LINEAR, POLY, RBF, SIGMOID, N_KERNELS };

static lamina_status read_kernel(lmn_eval *ec, lmn_svm *v)
{
    static const char *const NAMES[] = {"LINEAR", "POLY", "RBF", "SIGMOID"};
    const float *p;
    const int32_t n = lmn_attr_floats(ec->node, "kernel_params", &p);
    v->kernel = 0;
    while (v->kernel < N_KERNELS &&
           !lmn_attr_is(ec->node, "kernel_type", NAMES[v->kernel], "LINEAR"))
        v->kernel++;
    if (v->kernel == N_KERNELS || (n != 0 && n != 3))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "kernel_type is not known, or kernel_params has %d values, not 3", n);
    if (n == 3) v->gamma = (double)p[0], v->coef0 = (double)p[1], v->degree = (double)p[2];
    return LAMINA_OK;
}

lamina_status lmn_svm_read(lmn_eval *ec, int64_t n, int64_t linear, lmn_svm *v)
{
    const float *sv;
    int64_t need;
    *v = (lmn_svm){.n = n, .x = ec->in[0]};
    LMN_TRY(lmn_ml_matrix(ec, 0, &v->rows, &v->cols));
    LMN_TRY(read_kernel(ec, v));
    const int64_t n_sv = lmn_attr_floats(ec->node, "support_vectors", &sv);
    v->n_coef = lmn_attr_floats(ec->node, "coefficients", &v->coef);
    v->n_rho = lmn_attr_floats(ec->node, "rho", &v->rho);
    if (n < 0 || v->n_coef < 1 || v->n_rho < 1)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "there are no coefficients or no rho");
    v->vectors = n > 0 ? sv : v->coef;
    if (n == 0) v->n = linear, v->kernel = LINEAR;
    if (!lmn_mul_i64(v->n, v->cols, &need) || need != (n > 0 ? n_sv : v->n_coef))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%lld vectors do not fit %lld features",
                             (long long)v->n, (long long)v->cols);
    return LAMINA_OK;
}

static double dot(const double *x, const float *w, int64_t n)
{
    double s = 0.0;
    for (int64_t i = 0; i < n; i++) s += x[i] * (double)w[i];
    return s;
}

static double distance(const double *x, const float *w, int64_t n)
{
    double s = 0.0;
    for (int64_t i = 0; i < n; i++) s += (x[i] - (double)w[i]) * (x[i] - (double)w[i]);
    return s;
}

void lmn_svm_row(const lmn_svm *v, const double *row, double *out)
{
    for (int64_t i = 0; i < v->n; i++) {
        const float *w = v->vectors + i * v->cols;
        if (v->kernel == RBF) {
            out[i] = exp(-v->gamma * distance(row, w, v->cols));
            continue;
        }
        out[i] = dot(row, w, v->cols);
        if (v->kernel == POLY) out[i] = pow(v->gamma * out[i] + v->coef0, v->degree);
        if (v->kernel == SIGMOID) out[i] = tanh(v->gamma * out[i] + v->coef0);
    }
}

lamina_status lmn_svm_scratch(lmn_eval *ec, int64_t per_worker, double **out)
{
    int64_t all;
    if (!lmn_mul_i64(per_worker, lmn_par_width(ec->par), &all))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "too many vectors");
    return lmn_f64_alloc(ec, all, out);
}
