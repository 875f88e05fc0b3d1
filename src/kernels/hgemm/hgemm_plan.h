/*
 * The blocked driver of hgemm: a plan cuts one (batched) product into chunks, any thread may run
 * any chunk; see gemm_plan.h. Operands are used where they lie and packed block by block.
 *
 *   C[b]  =  epi( op(A[b]) op(B[b]) )        in f32, rounded once where C is of 16 bits
 *
 * Each operand is of 16 bits (the row's type) or of f32; f32 ones are rounded to bf16 in passing by
 * rows that have rows_f32. The epilogue's operands are f32.
 *
 * Order   the row's block, or its small_nn and small_nt; and small_nt for the last n % NR columns
 *         of f32 [k][n], where they are at most 8 of a row of pairs that takes A in place, and m
 * >= 16, n > NR, k >= 64.
 */
#ifndef LMN_KERNELS_HGEMM_PLAN_H
#define LMN_KERNELS_HGEMM_PLAN_H

#include "kernels/hgemm/hgemm.h"

enum {
    LMN_HGEMM_TRANS_A = 1, /* a is [k][m] */
    LMN_HGEMM_TRANS_B = 2, /* b is [n][k] */
    LMN_HGEMM_A_F32 = 4,
    LMN_HGEMM_B_F32 = 8,
    LMN_HGEMM_C_F32 = 16,
    LMN_HGEMM_BRING = 32,  /* B comes from args->bring */
    LMN_HGEMM_PACKED = 64, /* b is what lmn_hgemm_prepack() made, b_batch elements between items */
    LMN_HGEMM_ROWS = 128,  /* A, of 16 bits, comes from args->rows; with PACKED */
    LMN_HGEMM_ADD = 256    /* args->add; with PACKED, C of 16 bits */
};

/* Extents >= 0, each below 2^31. */
typedef struct lmn_hgemm_shape {
    int64_t m, n, k, n_batch;
    int32_t flags;
    int64_t k_unit;  /* with BRING: k is cut at multiples of this; else 0 */
    int32_t threads; /* that will share the chunks, 0: one; changes no bits */
} lmn_hgemm_shape;

typedef struct lmn_hgemm_plan {
    const lmn_hgemm_row *row;
    int64_t m, n, k, n_batch; /* n without the thin columns */
    int64_t thin;             /* last columns, as dot products (small_nt) */
    int32_t flags, threads;
    bool small;               /* few rows: B is read once and not packed */
    bool c_past;              /* C is too large for the caches and written once */
    int64_t mc, nc, kc, slab; /* block sizes; k of what is brought at once */
    int64_t m_blocks, n_blocks;
    int64_t n_chunks;     /* 0 when C is empty */
    size_t scratch_bytes; /* one worker's; 64-byte aligned memory is best, none is required */
} lmn_hgemm_plan;

/* Rows k0 .. k0 + k - 1 of columns col .. col + n - 1 of B as panels of f32, row->nr wide:
   element (r, j) at dst[j / nr * k * nr + r * nr + j % nr]. Columns past n are never used. */
typedef struct lmn_hgemm_slab {
    int64_t item, k0, k, col, n, nr;
    float *dst;
} lmn_hgemm_slab;
typedef void lmn_hgemm_bring_fn(const void *ctx, const lmn_hgemm_slab *slab);

/* Rows i .. i + m - 1 of A, columns k0 .. k0 + k - 1, of 16 bits, ld_dst apart. */
typedef struct lmn_hgemm_strip {
    int64_t item, i, m, k0, k;
    uint16_t *dst;
    int64_t ld_dst;
} lmn_hgemm_strip;
typedef void lmn_hgemm_strip_fn(const void *ctx, const lmn_hgemm_strip *strip);

/* Strides are in elements: ld from row to row, batch from item to item (0 = shared). */
typedef struct lmn_hgemm_args {
    const void *a, *b;
    void *c; /* overlaps neither; of f32, it may be the epilogue's FULL operand */
    int64_t lda, ldb, ldc;
    int64_t a_batch, b_batch, c_batch;
    lmn_hgemm_bring_fn *bring;
    const void *bring_ctx;
    lmn_hgemm_strip_fn *rows;
    const void *rows_ctx;
    const lmn_epi *epi; /* NULL = none */
    /* Where C is of 16 bits, behind epi: a residual as C lies, and a clip. NULL = none. */
    const uint16_t *add;
    const lmn_epi *clip; /* RELU or CLIP alone */
    int64_t item0;       /* number of the first item, for the epilogue's operands */
    int64_t row0;        /* and of the first row */
} lmn_hgemm_args;

/* A whole B as panels of the row, k padded to whole groups: elements of row->elem bytes. */
static inline int64_t lmn_hgemm_panel_elems(const lmn_hgemm_row *row, int64_t k)
{
    return lmn_round_up_i64(k, lmn_max_i64(2, row->group)) * row->nr;
}
static inline int64_t lmn_hgemm_packed_elems(const lmn_hgemm_row *row, int64_t k, int64_t n)
{
    return lmn_ceil_div_i64(n, row->nr) * lmn_hgemm_panel_elems(row, k);
}
/* b: the operand as args->b would have it, with LMN_HGEMM_TRANS_B and LMN_HGEMM_B_F32 of `flags`.
 */
void lmn_hgemm_prepack(const lmn_hgemm_row *row, int32_t flags, const void *b, int64_t ldb,
                       int64_t k, int64_t n, void *packed);

void lmn_hgemm_plan_make(const lmn_hgemm_row *row, const lmn_hgemm_shape *s, lmn_hgemm_plan *out);
/* Run chunk `chunk` < n_chunks; `scratch` holds scratch_bytes, contents are lost. */
void lmn_hgemm_chunk(const lmn_hgemm_plan *plan, const lmn_hgemm_args *args, int64_t chunk,
                     void *scratch);

#endif
