/*
 * qgemm family, 8-bit integers: exact int32 sums of products, with zero points taken off and the
 * result requantised while a tile lies in the first cache.
 *
 *   S[i][j] = sum over k of A[i][k] * B[k][j]          A as u8, B as s8, sums modulo 2^32
 *   V[i][j] = S[i][j] + row_add[i] + col_add[j] - row_sum[i] * col_zp[j] - row_zp[i] * col_sum[j]
 *   C[i][j] = V[i][j]   or   F = (float)V[i][j] * mul + bias + plus[i][j]   or
 *             saturate(round_half_even(F / div) + zp)
 *
 * Every zero point is such a sum, so none costs more than another, and an operand of the other sign
 * is shifted by 128 while it is packed (flip = 0x80), but for A of rows that take it signed too.
 * With GROUP = 4 (k in fours), NR = 2, n = 3:
 *
 *   panel 0: B[0..3][0] B[0..3][1] | B[4..7][0] B[4..7][1] | ...    panel 1: B[0..3][2]  0 0 0 0
 * ...
 *
 * Rows of A: k in order, padded with 0 to whole groups; elements of a_bytes. A row with a_bytes 1
 * takes rows of u8 where they lie if k is whole groups, or any k with any_k.
 *
 * Class  exact: every row gives the same integers, and the same bits otherwise (a conversion, a
 *        product, a quotient, a sum in f32, each rounded; NaN counts as 0 in bytes).
 * Edges  any m, n and k. C outside m x n is not touched. Column arrays hold whole panels.
 */
#ifndef LMN_KERNELS_QGEMM_H
#define LMN_KERNELS_QGEMM_H

#include "kernels/conv/conv_geom.h"
#include "kernels/krow.h"

typedef enum lmn_qgemm_out { LMN_QGEMM_I32, LMN_QGEMM_BYTES, LMN_QGEMM_F32 } lmn_qgemm_out;

/* How sums leave. Pointers of rows and columns belong to the block's first row and column. */
typedef struct lmn_qgemm_end {
    const int32_t *row_add, *col_add;
    const int32_t *row_sum, *col_zp; /* both NULL = none */
    const int32_t *row_zp, *col_sum; /* both NULL = none */
    lmn_qgemm_out out;
    const float *row_mul, *col_mul; /* exactly one unless int32 */
    const float *col_bias;          /* f32 only; NULL = none */
    const float *plus;              /* not for int32; NULL = none; may be c */
    int64_t ld_plus;
    float div;          /* bytes; 1 = none */
    int32_t zp, lo, hi; /* bytes; lo and hi bound the result, inside its type */
    void *c;
    int64_t ldc; /* elements from row to row */
} lmn_qgemm_end;

typedef struct lmn_qgemm_block {
    const void *a;
    int64_t lda; /* bytes from row to row */
    const void *b;
    int64_t b_panel;   /* bytes from panel to panel */
    int64_t m, n, k;   /* k before padding */
    int32_t *part;     /* sums of the k before and for the k after; NULL = this k is all there is */
    int64_t ld_part;   /* part has m rows of whole panels, this many apart */
    bool first, last;  /* only with part: is there nothing in it yet; does the end apply */
    bool b_far;        /* panels come from beyond L2, worth fetching ahead: a hint */
    bool c_past;       /* C is not wanted in the caches: a hint */
    bool a_signed;     /* A is s8: only to rows that have `signs` */
    lmn_qgemm_end end; /* looked at where it applies */
} lmn_qgemm_block;

typedef void lmn_qgemm_block_fn(const lmn_qgemm_block *blk);

/* Rows or columns into packed form; sums[i] += the values as packed (sums may not be NULL). */
typedef struct lmn_qgemm_pack {
    void *dst;
    int64_t step; /* bytes from row to row (A) or panel to panel (B) */
    const uint8_t *src;
    int64_t ld;    /* from row to row of src */
    int64_t k, n;  /* n: rows of A, columns of B */
    uint8_t flip;  /* 0 or 0x80: xor of every byte */
    int32_t *sums; /* B: whole panels */
} lmn_qgemm_pack;

typedef void lmn_qgemm_pack_fn(const lmn_qgemm_pack *p);

/* Depthwise: a plane's outputs from its padded input,
     y[o][i] = end( add + sum over ky, kx of w[ky][kx] * x[o * row_step + ky * tap_step
                                                           + i * stride + kx] - w_zp * sum of x ) */
enum {
    LMN_QGEMM_TAPS = 128,    /* most of them */
    LMN_QGEMM_OVERREAD = 128 /* readable bytes behind the last one that an output needs */
};
typedef struct lmn_qgemm_taps {
    const uint8_t *x;
    int64_t row_step, tap_step, stride; /* bytes; stride is 1 or 2 */
    int64_t kh, kw;                     /* kw <= 16, kh * kw <= LMN_QGEMM_TAPS */
    int64_t rows, n;                    /* outputs, dense */
    int8_t w[LMN_QGEMM_TAPS + 4];       /* the last are for readers of four */
    int32_t add, w_zp;
    bool requant; /* bytes by mul, zp, lo, hi as in lmn_qgemm_end; else int32 */
    float mul;
    int32_t zp, lo, hi;
    void *y;
} lmn_qgemm_taps;

typedef void lmn_qgemm_taps_fn(const lmn_qgemm_taps *t);

/* Rows k0 .. k0 + k - 1 of the matrix that a convolution multiplies, row (c, kz, ky, kx) in that
   order, for output pixels col .. col + n - 1; padding is `pad`. Written are the k * n bytes and,
   on the way, up to LMN_QGEMM_SPILL behind them. */
enum { LMN_QGEMM_SPILL = 64 };
typedef struct lmn_qgemm_gather {
    const lmn_conv_geom *g;
    const uint8_t *x; /* planes of g->in, from channel 0 of the group on */
    int64_t k0, k, col, n;
    uint8_t pad;
    uint8_t *dst; /* row-major, n from row to row */
} lmn_qgemm_gather;

typedef void lmn_qgemm_gather_fn(const lmn_qgemm_gather *w);

/* Rows i .. i + m - 1 of the matrix that a convolution with its channels last multiplies, a row an
   output pixel, k bytes of each from k0 on, in the order (kz, ky, kx, c); padding is `pad`. They
   are written in order, and up to LMN_QGEMM_SPILL bytes behind one. */
typedef struct lmn_qgemm_windows {
    const lmn_conv_geom *g;
    const uint8_t *x; /* [n][g->in][c_in] */
    int64_t i, m, k0, k;
    uint8_t pad;
    uint8_t *dst;
    int64_t step; /* from row to row */
} lmn_qgemm_windows;

typedef void lmn_qgemm_windows_fn(const lmn_qgemm_windows *w);

/*
 * Rows of A that are windows of an image with its channels last, read where they lie: output x of
 * line l begins at a + l * line + x * step, and its k in groups at at[0], at[1] ... bytes from
 * there. lmn_conv_line_read() outputs of a line are read. C's rows are the outputs, line after
 * line; bytes by factors of columns, to which rows add nothing: end.row_add is zeros.
 */
typedef struct lmn_qgemm_lines {
    const uint8_t *a;
    int64_t line, step; /* bytes */
    int64_t width, n_lines;
    const int64_t *at;
    const void *b;
    int64_t b_panel; /* bytes from panel to panel */
    int64_t n, k;    /* k in whole groups */
    bool b_far, a_signed;
    lmn_qgemm_end end;
} lmn_qgemm_lines;

typedef void lmn_qgemm_lines_fn(const lmn_qgemm_lines *t);

/* Few rows: the sums of A and a B that is read once, and of B's columns. stream: B is [k][n], m at
   most LMN_QGEMM_STREAM_M, arrays of columns hold whole LMN_QGEMM_STREAM. dot: B is [n][k]. */
enum { LMN_QGEMM_STREAM = 64, LMN_QGEMM_STREAM_M = 4, LMN_QGEMM_DOT_M = 32 };
typedef struct lmn_qgemm_stream {
    const uint8_t *a; /* rows as pack_a leaves them; dot reads k of a row */
    int64_t a_step;
    const uint8_t *b;
    int64_t ldb;
    int64_t m, n, k;
    uint8_t flip;  /* of b */
    int32_t *part; /* m rows, ld_part apart */
    int64_t ld_part;
    int32_t *col_sum; /* dot: NULL = not wanted */
    void *room;       /* dot: k, up to a multiple of 64, times the row's dot_room bytes */
} lmn_qgemm_stream;

typedef void lmn_qgemm_stream_fn(const lmn_qgemm_stream *s);

typedef struct lmn_qgemm_row {
    lmn_krow head;
    int32_t mr, nr, group;    /* nr is a multiple of 16 */
    int32_t a_bytes, b_bytes; /* of a packed element */
    lmn_qgemm_block_fn *block;
    lmn_qgemm_pack_fn *pack_a, *pack_b;
    lmn_qgemm_taps_fn *taps;
    lmn_qgemm_gather_fn *gather;
    lmn_qgemm_windows_fn *windows;
    lmn_qgemm_stream_fn *stream; /* NULL = none */
    bool any_k;                  /* of A where it lies, nothing behind k is read */
    lmn_qgemm_stream_fn *dot;    /* NULL = none */
    int32_t dot_room;            /* see lmn_qgemm_stream */
    lmn_qgemm_pack_fn *pack_bt;  /* B transposed: src is [n][k]; NULL = none */
    lmn_qgemm_lines_fn *lines;   /* NULL = none */
    bool signs;                  /* block and lines take A as s8 too */
    int64_t bt_bytes;            /* of a transposed B: packed at once */
} lmn_qgemm_row;

extern const lmn_qgemm_row lmn_qgemm_i8_rows[];
extern const int32_t lmn_qgemm_i8_n_rows;

#endif
