/*
 * Matrix products of quantised tensors in f64 (exact for 8-bit integers): numpy matmul shapes,
 * shared by MatMulInteger and QLinearMatMul.
 */
#ifndef LMN_OPS_QMATMUL_H
#define LMN_OPS_QMATMUL_H

#include "ops/op.h"

typedef struct lmn_qmatmul {
    int32_t rank;               /* of the output */
    int64_t dims[LMN_MAX_RANK]; /* of the output */
    int64_t m, k, n, n_batch;
    int32_t batch_rank;
    int64_t batch[LMN_MAX_RANK];  /* broadcast batch extents */
    int64_t a_step[LMN_MAX_RANK]; /* elements; 0 where broadcast */
    int64_t b_step[LMN_MAX_RANK];
    const double *a, *b;
    double *y;
} lmn_qmatmul;

/* Shapes of a and b to *q; reports on ec. */
lamina_status lmn_qmatmul_setup(lmn_eval *ec, const lamina_tensor *a, const lamina_tensor *b,
                                lmn_qmatmul *q);
void lmn_qmatmul_run(const lmn_par *par, const lmn_qmatmul *q);
/* Shape of output 0 from inputs ia and ib. */
lamina_status lmn_qmatmul_infer(lmn_infer *ic, int32_t ia, int32_t ib);
void lmn_qmatmul_cost(const lmn_fact *a, const lmn_fact *out, lmn_cost *c);

#endif
