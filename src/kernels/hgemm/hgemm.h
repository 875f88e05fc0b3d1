/*
 * hgemm family, bf16 and f16: products of 16-bit floats with sums in f32.
 *
 *   C[i][j] = beta * C[i][j]  +  sum over k < K of  A[i][k] * B[k][j]        C in f32
 *
 * A row either multiplies pairs of bf16 (group 2 or 32, elem 2 bytes) or widens both operands to
 * f32 (group 1, elem 4 bytes). Packed B lies in panels NR columns wide; k in pairs where elem is 2:
 *
 *   elem 2, NR = 3, k = 0..3:  B[0][0] B[1][0]  B[0][1] B[1][1]  B[0][2] B[1][2] | B[2][0] B[3][0]
 * ... elem 4:                    B[0][0] B[0][1] B[0][2] | B[1][0] B[1][1] B[1][2] | ...
 *
 * Rows of A: k in order, padded with +0 to whole groups. A row of elem 2 takes rows of bf16 where
 * they lie if k is whole groups, and one of group 2 whatever k is (see `odd`).
 *
 * Edges      any m and n. C outside m x n is neither read nor written. Operands of 16 bits at any
 *            address; of A and B nothing past an extent is read.
 * Order      block: one chain over k in pairs (elem 2) or one by one (elem 4), the same for any
 *            split of K into whole groups, any tile, any thread. elem 4: avx2 == avx512 bit for
 *            bit, for it is the chain of gemm.h. small_nn: as block. small_nt: a partial sum a
 *            lane, then a fixed tree; on AMX as block, but for lmn_hgemm_dots(). Both depend on
 *            the row, m and k, not on n. ref: f64, rounded once.
 * Error      elem 4 and ref: class dot(K + 1) of gemm.h on the widened operands, which are
 *            exact. elem 2: dot(2 K + 2), and magnitudes below 2^-126, of operands, products and
 *            sums, may count as 0: the instructions flush them.
 * Sources    bf16 rows that have rows_f32 also take operands of f32, rounded to bf16 (to nearest,
 *            ties to even; NaN stays NaN; denormals become 0) by every row alike.
 */
#ifndef LMN_KERNELS_HGEMM_H
#define LMN_KERNELS_HGEMM_H

#include "kernels/conv/conv_geom.h"
#include "kernels/gemm/epi.h"
#include "kernels/krow.h"

/*
 * The head of an epilogue, at the corner of a block: bias of a row or a column, a residual, a clip.
 * A row that has `heads` applies it in registers, with the bits of its epi.
 */
typedef struct lmn_hgemm_head {
    const float *row, *col, *full; /* NULL = none */
    int64_t full_ld;
    float lo, hi; /* -inf, +inf = no clip, NaN included */
    int32_t act;  /* behind the bias, only with `out`: 0, LMN_EPI_SILU within 2^-13 of itself, or,
                     where the row has `gelus`, LMN_EPI_GELU, LMN_EPI_GELU_TANH with its bits */
    /* Where the result leaves as 16 bits, as by `narrow`, with a residual of 16 bits in front of
       the clip; row and full are NULL then, and C is lost. out NULL = it stays in C, add NULL =
       none. */
    uint16_t *out;
    const uint16_t *add;
    int64_t out_ld; /* of both */
} lmn_hgemm_head;

/* k of a step: a group, or where k is not whole groups as much less as makes steps equal and even,
   if that takes but a quarter more of them, or one. */
static inline int64_t lmn_hgemm_step(int64_t k, int64_t group)
{
    const int64_t least = lmn_ceil_div_i64(k, group), most = least + lmn_max_i64(1, least / 4);
    for (int64_t n = least; k % group && n <= most; n++)
        if (k % (2 * n) == 0) return k / n;
    return group;
}

typedef struct lmn_hgemm_block {
    const void *a;
    int64_t lda; /* elements from row to row */
    const void *b;
    int64_t b_panel; /* elements from panel to panel */
    float *c;
    int64_t ldc;
    int64_t m, n, k; /* k in whole groups, or see short_k */
    bool odd;        /* rows of A end one before k: only to rows of pairs (group 2) */
    int32_t beta;    /* 0 (C is not read) or 1 */
    bool c_past;     /* C is not wanted in the caches: a hint */
    bool side;       /* up to four rows meet panels side by side: only to rows of pairs */
    bool b_far;      /* panels come from beyond L2, worth fetching ahead: a hint */
    bool c_far;      /* and so does C */
    const lmn_hgemm_head *head; /* NULL = none; only to rows that have `heads` */
    const void *b_next;         /* panels of n_next columns that are wanted next: a hint */
    int64_t n_next;
    const void *a_next; /* and as many rows of A, `lda` apart; NULL = none: a hint */
} lmn_hgemm_block;

typedef void lmn_hgemm_block_fn(const lmn_hgemm_block *t);

/* Few rows: B of 16 bits is read once, where it lies. A as `rows` leaves it, k padded to an even
   number. small_nn: b is [k][n], small_nt: [n][k]. C = A B. */
typedef struct lmn_hgemm_small {
    const void *a;
    int64_t lda;
    const uint16_t *b;
    int64_t ldb;
    float *c;
    int64_t ldc;
    int64_t m, n, k; /* k before padding */
    bool b_far;      /* B comes from memory: a hint */
    void *room;      /* small_nt: lmn_hgemm_room(); NULL = there is none, as for n that are rows of
                        another product */
} lmn_hgemm_small;

typedef void lmn_hgemm_small_fn(const lmn_hgemm_small *t);

/*
 * Rows of A that are windows of an image with its channels last, read where they lie: output x of
 * line l begins at a + l * line + x * step, and its k in runs at at[0], at[1] ... elements from
 * there. Rows of groups beyond pairs have runs of a group, and read lmn_conv_line_read() outputs
 * of a line; others take any run and read what there is. The result leaves by head, whose rows are
 * the outputs, line after line.
 */
typedef struct lmn_hgemm_lines {
    const uint16_t *a;
    int64_t line, step; /* elements */
    int64_t width, n_lines;
    const int64_t *at;
    int64_t run; /* elements; of the k / run runs */
    const uint16_t *b;
    int64_t b_panel;
    int64_t n, k;
    bool b_far;
    const lmn_hgemm_head *head; /* with out */
} lmn_hgemm_lines;

typedef void lmn_hgemm_lines_fn(const lmn_hgemm_lines *t);

/* B, k x n, into panels; ceil(k / 2) * 2 rows are written where elem is 2, columns past n as +0. */
typedef struct lmn_hgemm_pack {
    void *dst;
    int64_t panel; /* elements from panel to panel */
    const void *src;
    int64_t ld; /* elements from row to row of src */
    int64_t k, n;
} lmn_hgemm_pack;

typedef void lmn_hgemm_pack_fn(const lmn_hgemm_pack *p);

/* m rows of k into elements; columns k .. padded - 1 become +0. */
typedef struct lmn_hgemm_rows {
    void *dst;
    int64_t ld_dst;
    const void *src;
    int64_t ld;
    int64_t m, k, padded;
} lmn_hgemm_rows;

typedef void lmn_hgemm_rows_fn(const lmn_hgemm_rows *r);

/* f32 to 16 bits, rounded to nearest, ties to even; NaN stays a quiet NaN of its sign. */
typedef void lmn_hgemm_narrow_fn(uint16_t *dst, int64_t ld_dst, const float *src, int64_t ld,
                                 int64_t m, int64_t n);

typedef struct lmn_hgemm_row {
    lmn_krow head;
    int32_t mr, nr, group, elem; /* register tile; k at once; bytes of a packed element */
    int32_t strip;               /* rows of A worth packing at once */
    int32_t small_m;             /* most rows of small_nn */
    int32_t small_nt_m, nt_room; /* and of small_nt; see lmn_hgemm_room */
    int32_t line_m;              /* and that meet packed panels side by side, all k at once */
    bool heads;                  /* block applies the head of an epilogue */
    bool gelus;                  /* with these too */
    bool short_k;                /* and takes a k of lmn_hgemm_step(), not whole groups */
    lmn_hgemm_block_fn *block;
    lmn_hgemm_lines_fn *lines; /* NULL = none */
    lmn_hgemm_small_fn *small_nn, *small_nt;
    lmn_hgemm_pack_fn *pack_nn, *pack_nt; /* b of 16 bits, [k][n] and [n][k] */
    lmn_hgemm_rows_fn *rows;
    lmn_hgemm_pack_fn *pack_nn_f32, *pack_nt_f32; /* NULL = takes no f32, as rows_f32 */
    lmn_hgemm_rows_fn *rows_f32;
    lmn_hgemm_rows_fn *widen; /* 16 bits to f32, whatever elem is */
    lmn_hgemm_narrow_fn *narrow;
    lmn_epi_fn *epi;
} lmn_hgemm_row;

/* Bytes of sums that wait in a room of rows of pairs. */
enum { LMN_HGEMM_NT_SUMS = 64 << 10 };

/* Does small_nt only read B, by dot products? On tiles one and two rows do, and up to four of long
   k, whose rows of B tiles read by lines far apart. */
static inline bool lmn_hgemm_dots(int64_t group, int64_t m, int64_t k)
{
    enum { LINE_M = 2, LONG_M = 4, LONG_K = 3072 };
    return group <= 2 || m <= LINE_M || (m <= LONG_M && k >= LONG_K);
}

/* Bytes that small_nt of a row wants for m rows: of a copy, k and m up to multiples of 32, nt_room
   each, and of sums. 0 = none. */
static inline int64_t lmn_hgemm_room(const lmn_hgemm_row *row, int64_t m, int64_t k)
{
    if (!row->nt_room || k == 0) return 0;
    return lmn_round_up_i64(k, 32) * lmn_round_up_i64(m, 32) * row->nt_room +
           (row->group == 2 ? LMN_HGEMM_NT_SUMS : 0);
}

extern const lmn_hgemm_row lmn_hgemm_bf16_rows[], lmn_hgemm_f16_rows[];
extern const int32_t lmn_hgemm_bf16_n_rows, lmn_hgemm_f16_n_rows;

#endif
