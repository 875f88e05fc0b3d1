/*
 * Det (ai.onnx, since 11): determinant of every [M, M] matrix of the input, by LU with partial
 * pivoting in f64. The determinant of an empty matrix is 1; NaN in the matrix gives NaN.
 */
#include "ops/f64io.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_det(lmn_infer *ic)
{
    if (!lmn_infer_has(ic, 0) || ic->in[0]->rank < 0) return LAMINA_OK;
    const lmn_fact *x = ic->in[0];
    lmn_dim both;
    if (x->rank < 2 ||
        !lmn_dim_unify(ic->dims, x->dims[x->rank - 2], x->dims[x->rank - 1], &both)) {
        char text[160];
        (void)lmn_fact_format(ic->dims, x, text, sizeof text);
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "the input %s does not end in square matrices", text);
    }
    ic->out[0].rank = x->rank - 2;
    for (int32_t i = 0; i + 2 < x->rank; i++) ic->out[0].dims[i] = x->dims[i];
    return LAMINA_OK;
}

/* Destroys a. */
static double lu_det(double *a, int64_t m)
{
    double det = 1.0;
    for (int64_t k = 0; k < m; k++) {
        int64_t best = k;
        for (int64_t i = k; i < m; i++) {
            if (isnan(a[i * m + k])) return NAN;
            if (fabs(a[i * m + k]) > fabs(a[best * m + k])) best = i;
        }
        if (best != k) {
            det = -det;
            for (int64_t j = k; j < m; j++) {
                double t = a[k * m + j];
                a[k * m + j] = a[best * m + j];
                a[best * m + j] = t;
            }
        }
        double pivot = a[k * m + k];
        det *= pivot;
        if (pivot == 0.0) return isnan(det) ? det : 0.0;
        for (int64_t i = k + 1; i < m; i++) {
            double f = a[i * m + k] / pivot;
            for (int64_t j = k + 1; f != 0.0 && j < m; j++) a[i * m + j] -= f * a[k * m + j];
        }
    }
    return det;
}

static lamina_status eval_det(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0];
    lamina_tensor *y;
    double *work;
    if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the input does not end in square matrices");
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank - 2, x->dims, &y));
    if (!y) return LAMINA_OK;
    const int64_t m = x->dims[x->rank - 1], n = lmn_count(y);
    if (n == 0) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, m * m, &work));
    for (int64_t i = 0; i < n; i++) {
        if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        lmn_f64_load(x, i * m * m, m * m, work);
        double det = lu_det(work, m);
        lmn_f64_store(y, i, 1, &det);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};

const lmn_op_def lmn_op_Det = {
    .name = "Det",
    .domain = "",
    .since = 11,
    .in = IN,
    .out = OUT,
    .infer = infer_det,
    .eval = eval_det,
};
