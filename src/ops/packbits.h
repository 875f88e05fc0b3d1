/*
 * Weights packed into 2, 4 or 8 bits, a row of `cols` values at a time: value = (q - zero point) *
 * scale, with a scale and zero point a block of columns. And the product with such weights.
 *
 * Values lie bit by bit along the row, the low bits of a byte first; rows start at whole bytes.
 */
#ifndef LMN_OPS_PACKBITS_H
#define LMN_OPS_PACKBITS_H

#include "ops/op.h"

typedef struct lmn_packbits {
    const uint8_t *q;
    int64_t rows, cols, block; /* block divides nothing: the last one may be short */
    int64_t row_bytes, n_blocks;
    int32_t bits;
    const float *scales;  /* [rows, n_blocks] */
    const float *zp_f32;  /* [rows, n_blocks], or NULL */
    const uint8_t *zp;    /* packed like the weights, rows at zp_bytes; NULL = none */
    int64_t zp_bytes;     /* 0: the zero points of all rows are one packed run, one a row */
    const int32_t *group; /* [cols]: block of a column, or NULL = in order */
} lmn_packbits;

/* Row `row` as f32, into cols values. */
void lmn_packbits_row(const lmn_packbits *w, int64_t row, float *dst);
/* The zero points of a row's blocks. */
void lmn_packbits_zero_points(const lmn_packbits *w, int64_t row, float *dst);
/* The weights of a MatMulNBits node, checked against the shapes; reports on ec. */
lamina_status lmn_packbits_read(lmn_eval *ec, lmn_packbits *w);

/* One row of weights as f32. */
typedef void lmn_weight_row_fn(const void *ctx, int64_t row, float *dst);
/* Output 0 = input 0 [..., k] times n rows of k weights, transposed, plus the bias (may be NULL).
 */
lamina_status lmn_weights_matmul(lmn_eval *ec, lmn_weight_row_fn *row, const void *ctx, int64_t n,
                                 int64_t k, const lamina_tensor *bias);
/* f32 elements of t: its own, or a converted copy in scratch. */
lamina_status lmn_f32_in(lmn_eval *ec, const lamina_tensor *t, const float **out);
/* Shape of output 0: input 0 with the last extent n; input 0 must end in k. */
lamina_status lmn_weights_infer(lmn_infer *ic, int64_t n, int64_t k);

#endif
