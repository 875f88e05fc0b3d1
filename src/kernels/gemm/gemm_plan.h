/*
 * The blocked GEMM driver: a plan cuts one (batched) product into chunks, any thread may run any
 * chunk. The grid of chunks depends on the shape alone and no chunk reads what another writes, so
 * the result has the same bits for every number of threads and every order.
 *
 *   C[b] (m x n, row-major)  =  epi( beta C[b]  +  op(A[b]) op(B[b]) ),      b < n_batch
 *
 * The order of sums is that of the kernel that the shape alone chooses (gemm.h): dot products where
 * op(B) is [n][k] and m <= 32 (unless it is tiny), or where n <= 12, k >= 192 and m > 32; one chain
 * over k everywhere else.
 *
 * B is used where it lies (weights straight from a mapped file): it is packed block by block into
 * the caller's scratch, or streamed without packing when m is small or B is.
 */
#ifndef LMN_KERNELS_GEMM_PLAN_H
#define LMN_KERNELS_GEMM_PLAN_H

#include "kernels/choice.h"
#include "kernels/gemm/gemm.h"

enum {
    LMN_GEMM_TRANS_A = 1,  /* a is [k][m] */
    LMN_GEMM_TRANS_B = 2,  /* b is [n][k] */
    LMN_GEMM_PACKED_B = 4, /* b lies in panels of all k, as the row's pack_nn or pack_nt makes them:
                              ceil(n / nr) * nr * k elements; ldb is not used. Always one chain */
    LMN_GEMM_CHAIN = 8     /* by the chain of gemm.h's block kernel, whatever the shape */
};

/* Where paths begin and end; the last three change the order of sums. */
enum {
    LMN_GEMM_TINY = 2 << 20,     /* no plan for so few multiply-adds, one thread's work ... */
    LMN_GEMM_TINY_KN = 24 << 10, /* ... and so little of B ... */
    LMN_GEMM_TINY_K = 2048,      /* ... and sums of so few bytes of a row */
    LMN_GEMM_IN_PLACE = 65536,   /* bytes of a row-major B that any rows read where it lies */
    LMN_GEMM_THIN_N = 12,        /* dot products for up to so many columns ... */
    LMN_GEMM_THIN_K = 192,       /* ... if the sums are that long ... */
    LMN_GEMM_THIN_M = 32         /* ... and the rows are more */
};

/* Extents >= 0, each below 2^31. */
typedef struct lmn_gemm_shape {
    int64_t m, n, k, n_batch;
    int32_t flags;
    int32_t threads; /* that will share the chunks, 0: one; changes no bits */
} lmn_gemm_shape;

#define GEMM_T(name) lmn_gemm_##name
#define GEMM_F(name) lmn_gemm_f32_##name
#define GEMM_REAL float
#include "kernels/gemm/gemm_plan_types.h"
#undef GEMM_T
#undef GEMM_F
#undef GEMM_REAL

/* As lmn_gemm_f32_plan, but read and cut as the choice says, with the same bits; false, and the
   rule's plan, where that is not possible. */
bool lmn_gemm_f32_plan_as(const lmn_gemm_row *row, const lmn_gemm_shape *shape,
                          const lmn_choice *choice, lmn_gemm_plan *out);
/* Choices worth measuring for this product, each with a plan of its own, none the rule's. */
void lmn_gemm_f32_choices(const lmn_gemm_row *row, const lmn_gemm_shape *shape, lmn_choices *out);

#endif
