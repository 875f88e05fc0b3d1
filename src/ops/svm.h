/*
 * What the support vector machines of ai.onnx.ml share: the kernel function and the support
 * vectors of a node, checked against the features once a run. Without support vectors the
 * coefficients themselves are the vectors and the kernel is linear, whatever kernel_type says.
 */
#ifndef LMN_OPS_SVM_H
#define LMN_OPS_SVM_H

#include "ops/ml.h"

#define LMN_SVM_BLOCK 16 /* rows of one chunk of work */

typedef struct lmn_svm {
    int kernel;
    double gamma, coef0, degree;
    int64_t rows, cols, n; /* n vectors of `cols` values */
    const float *vectors, *coef, *rho;
    int64_t n_coef, n_rho;
    const lamina_tensor *x;
} lmn_svm;

/* Reads input 0 and the attributes. n > 0 support vectors, or n == 0: then `linear` vectors of
 * coefficients, and *v is left with n = linear. */
lamina_status lmn_svm_read(lmn_eval *ec, int64_t n, int64_t linear, lmn_svm *v);
/* out[i] = kernel(row, vector i). */
void lmn_svm_row(const lmn_svm *v, const double *row, double *out);
/* Scratch of `per_worker` values for each worker. */
lamina_status lmn_svm_scratch(lmn_eval *ec, int64_t per_worker, double **out);

#define LMN_SVM_ATTRS                                                                            \
    {"coefficients", LMN_ATTR_FLOATS, LMN_ATTR_REQUIRED}, {"kernel_params", LMN_ATTR_FLOATS, 0}, \
        {"kernel_type", LMN_ATTR_STRING, 0}, {"post_transform", LMN_ATTR_STRING, 0},             \
        {"rho", LMN_ATTR_FLOATS, LMN_ATTR_REQUIRED},                                             \
    {                                                                                            \
        "support_vectors", LMN_ATTR_FLOATS, 0                                                    \
    }

#endif
