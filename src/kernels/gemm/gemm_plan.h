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

#include "kernels/gemm/gemm.h"

enum {
    LMN_GEMM_TRANS_A = 1, /* a is [k][m] */
    LMN_GEMM_TRANS_B = 2, /* b is [n][k] */
    LMN_GEMM_CHAIN = 4    /* by the chain of gemm.h's block kernel, whatever the shape */
};

typedef struct lmn_gemm_plan {
    const lmn_gemm_row *row;
    int64_t m, n, k, n_batch;
    int32_t flags, path; /* path: how B is read, see gemm_plan.c */
    bool b_far, c_past;  /* see gemm_plan.c and the block kernel's hints */
    int64_t mc, nc, kc;  /* block sizes */
    int64_t m_blocks, n_blocks;
    int64_t n_chunks;     /* 0 when C is empty */
    size_t scratch_bytes; /* one worker's; 64-byte aligned memory is best, none is required */
} lmn_gemm_plan;

/* Strides are in elements: ld from row to row, batch from item to item (0 = shared). */
typedef struct lmn_gemm_args {
    const float *a, *b;
    float *c; /* overlaps neither a nor b; the epilogue's FULL operand may be c itself */
    int64_t lda, ldb, ldc;
    int64_t a_batch, b_batch, c_batch;
    int32_t beta;       /* 0 or 1 */
    const lmn_epi *epi; /* NULL = none */
    int64_t item0;      /* number of the first item, for the epilogue's operands */
} lmn_gemm_args;

/* Extents >= 0, each below 2^31. */
typedef struct lmn_gemm_shape {
    int64_t m, n, k, n_batch;
    int32_t flags;
} lmn_gemm_shape;

void lmn_gemm_f32_plan(const lmn_gemm_row *row, const lmn_gemm_shape *shape, lmn_gemm_plan *out);
/* Run chunk `chunk` < n_chunks. `scratch` holds scratch_bytes, NULL if that is 0; contents are
   lost. */
void lmn_gemm_f32_chunk(const lmn_gemm_plan *plan, const lmn_gemm_args *args, int64_t chunk,
                        void *scratch);

/* A product small enough to need neither plan nor scratch: false, and nothing done, if it is not.
   The bits are those of the plan. Extents >= 0; a small product costs some 15 ns beside its work.
 */
bool lmn_gemm_f32_tiny(const lmn_gemm_row *row, const lmn_gemm_shape *shape,
                       const lmn_gemm_args *args);

#endif
