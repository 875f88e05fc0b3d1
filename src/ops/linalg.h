/*
 * The shapes of numpy.matmul, shared by MatMul and its relatives (quantised, fused): inference on
 * facts, the run-time plan with batch offsets, and the cost.
 */
#ifndef LMN_OPS_LINALG_H
#define LMN_OPS_LINALG_H

#include "ops/mm.h"

#define LMN_D_MATMUL                                                                    \
    (LMN_D_FLOAT | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64) | LMN_DBIT(LAMINA_U32) | \
     LMN_DBIT(LAMINA_U64))

/*
 * Shape of output 0 from inputs ia and ib (dtype untouched). ta/tb swap the last two dims of an
 * operand of rank >= 2. Rank 1 operands follow numpy: a row on the left, a column on the right.
 */
lamina_status lmn_matmul_infer(lmn_infer *ic, int32_t ia, int32_t ib, bool ta, bool tb);

typedef struct lmn_matmul_plan {
    int32_t rank; /* of the output */
    int64_t dims[LMN_MAX_RANK];
    lmn_mm mm; /* shape, strides, batch offsets, operands and their type; c, scale and out unset */
} lmn_matmul_plan;
/* Checks shapes at run time and fills *p; the offsets live in scratch. */
lamina_status lmn_matmul_prepare(lmn_eval *ec, const lamina_tensor *a, const lamina_tensor *b,
                                 bool ta, bool tb, lmn_matmul_plan *p);

/* Constant value of a dim for cost estimates, 1 if unknown. */
static inline double lmn_cost_dim(lmn_dim d)
{
    return lmn_dim_is_const(d) ? (double)lmn_dim_value(d) : 1.0;
}
/* Elements of a fact for cost estimates. */
double lmn_cost_count(const lmn_fact *f);

#endif
