/*
 * The blocked driver of qgemm: a plan cuts one (batched) product of 8-bit integers into chunks, any
 * thread may run any chunk; see gemm_plan.h. Operands are used where they lie and packed block by
 * block into the caller's scratch.
 *
 *   C[b][i][j] = end( bias + sum over k of (A[b][i][k] - a_zp) * (B[b][k][j] - b_zp) )
 *
 * Sums are exact modulo 2^32, whatever the signs of A and B and whatever the zero points, so the
 * result does not depend on row, blocks or threads.
 */
#ifndef LMN_KERNELS_QGEMM_PLAN_H
#define LMN_KERNELS_QGEMM_PLAN_H

#include "kernels/choice.h"
#include "kernels/qgemm/qgemm.h"

typedef struct lmn_qgemm_plan {
    const lmn_qgemm_row *row;
    int64_t m, n, k, n_batch;
    bool bring;         /* B comes from args->bring */
    bool rows;          /* A comes from args->rows */
    bool trans_b;       /* b is [n][k] */
    bool packed;        /* b is what lmn_qgemm_prepack() made */
    bool stream;        /* few rows: B is read once and not packed */
    bool c_past;        /* C, if it is bytes, is too large for the caches and written once */
    int32_t threads;    /* that will share the chunks */
    int64_t mc, nc, kc; /* block sizes */
    int64_t m_blocks, n_blocks;
    int64_t n_chunks;     /* 0 when C is empty */
    size_t scratch_bytes; /* one worker's */
} lmn_qgemm_plan;

typedef struct lmn_qgemm_slab {
    int64_t item, k0, k, col, n; /* k rows of n columns of B of this item */
    uint8_t *dst; /* row-major, n from row to row; LMN_QGEMM_SPILL more may be written */
} lmn_qgemm_slab;
typedef void lmn_qgemm_bring_fn(const void *ctx, const lmn_qgemm_slab *slab);

typedef struct lmn_qgemm_strip {
    int64_t item, i, m, k0, k; /* k bytes from k0 on of m rows of A of this item */
    uint8_t *dst;
    int64_t step; /* from row to row of dst, in order: 64 bytes behind one may be written */
} lmn_qgemm_strip;
typedef void lmn_qgemm_rows_fn(const void *ctx, const lmn_qgemm_strip *strip);

/* Strides are in elements: ld from row to row, batch from item to item (0 = shared). */
typedef struct lmn_qgemm_args {
    const uint8_t *a, *b; /* of either sign */
    bool a_signed, b_signed;
    int64_t lda, ldb, a_batch, b_batch;
    lmn_qgemm_bring_fn *bring; /* with plan.bring: writes blocks of B instead of b */
    const void *bring_ctx;
    lmn_qgemm_rows_fn *rows; /* with plan.rows: writes rows of A instead of a */
    const void *rows_ctx;
    int32_t a_zp, b_zp;
    const int32_t *a_zps, *b_zps;       /* one a row, a column; NULL = a_zp, b_zp */
    const int32_t *row_bias, *col_bias; /* NULL = none */
    lmn_qgemm_out out;
    float mul, div;                 /* not for int32; div for bytes, 1 = none */
    const float *row_mul, *col_mul; /* at most one of them: instead of mul */
    const float *col_bias_f32;      /* f32 only; NULL = none */
    const float *plus;              /* f32 to add, of one item; not for int32; NULL = none */
    int64_t ld_plus;
    int32_t zp, lo, hi; /* see lmn_qgemm_end */
    void *c;
    int64_t ldc, c_batch;
} lmn_qgemm_args;

/* Extents >= 0, each below 2^31. */
typedef struct lmn_qgemm_shape {
    int64_t m, n, k, n_batch;
    bool bring, trans_b, packed; /* as in the plan; at most one of them */
    bool rows;                   /* as in the plan */
    int32_t threads;             /* that will share the chunks, 0: one; changes no bits */
} lmn_qgemm_shape;

/* A whole B of one item as the panels of a row, then the sums of their columns. Of either sign; the
   products' args say the same sign, and b_batch is bytes from item to item. */
int64_t lmn_qgemm_packed_bytes(const lmn_qgemm_row *row, int64_t k, int64_t n);
/* b: [k][n], or with trans_b [n][k]. `packed` is aligned to 64 bytes. */
void lmn_qgemm_prepack(const lmn_qgemm_row *row, bool trans_b, bool b_signed, const uint8_t *b,
                       int64_t ldb, int64_t k, int64_t n, void *packed);

void lmn_qgemm_plan_make(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, lmn_qgemm_plan *out);
/* As lmn_qgemm_plan_make, but with the blocks of the choice; false, and the rule's plan, where that
   is not possible, as with trans_b and packed. */
bool lmn_qgemm_plan_as(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, const lmn_choice *choice,
                       lmn_qgemm_plan *out);
/* Choices worth measuring for this product, each with a plan of its own, none the rule's. */
void lmn_qgemm_choices(const lmn_qgemm_row *row, const lmn_qgemm_shape *s, lmn_choices *out);
/* Run chunk `chunk` < n_chunks; `scratch` (64-byte aligned) holds scratch_bytes, contents are lost.
 */
void lmn_qgemm_chunk(const lmn_qgemm_plan *plan, const lmn_qgemm_args *args, int64_t chunk,
                     void *scratch);

#endif
