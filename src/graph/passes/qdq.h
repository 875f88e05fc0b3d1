/*
 * What the files of the QDQ pass share: a quantised side of a value (who quantised it and how), the
 * chain from an operator to its QuantizeLinear, weights and biases as integers, and putting the
 * integer operator in the chain's place.
 *
 * A side always has constant, finite, positive scales in f32 and a constant zero point; everything
 * else is left in floats.
 */
#ifndef LMN_GRAPH_PASSES_QDQ_H
#define LMN_GRAPH_PASSES_QDQ_H

#include "graph/passes/match.h"

typedef struct lmn_qside {
    lmn_vid data; /* the quantised value */
    lmn_vid scale_v, zp_v;
    const lamina_tensor *scale, *zp; /* zp NULL: 0 */
    lamina_dtype dtype;              /* of data */
    int64_t n;                       /* scales: 1, or one an extent of `axis` */
    int32_t axis;                    /* normalised; -1 per tensor */
    int64_t block;                   /* > 0: scales lie a block apart along `axis` */
} lmn_qside;

/* Is v the f32 result of a DequantizeLinear? */
bool lmn_qside_from(const lmn_match *m, lmn_vid v, lmn_qside *s);
/* Is n a QuantizeLinear of f32? */
bool lmn_qside_to(const lmn_match *m, const lmn_gnode *n, lmn_qside *s);
/* One scale, an integer type of 8 bits. */
bool lmn_qside_plain8(const lmn_qside *s);
bool lmn_qside_same(const lmn_qside *a, const lmn_qside *b); /* per tensor, equal in all */
double lmn_qside_scale(const lmn_qside *s, int64_t i);       /* i is ignored per tensor */
int64_t lmn_qside_zp(const lmn_qside *s, int64_t i);
/* The number that QuantizeLinear makes of v. */
int64_t lmn_qside_quantise(const lmn_qside *s, double v);
/* Its zero point as a value of the graph, 0 on exhaustion. */
lmn_vid lmn_qside_zero(lmn_match *m, const lmn_qside *s);
/* A constant of the graph; takes over the reference. 0 on exhaustion. */
lmn_vid lmn_qdq_constant(lmn_match *m, lamina_tensor *owned);
lmn_vid lmn_qdq_scalar(lmn_match *m, lamina_dtype dt, int64_t v);
/* Room for a constant of this many bytes, which is then taken? */
bool lmn_qdq_afford(lmn_match *m, size_t bytes);

/*
 * op -> Relu and Clip -> QuantizeLinear. QuantizeLinear is monotone, so
 * Q(clip(x, lo, hi)) == clip(Q(x), Q(lo), Q(hi)) for any zero point: the bounds are applied to the
 * integers, and where they are the ends of the type there is nothing to apply.
 */
typedef struct lmn_qchain {
    lmn_gnode *q, *act; /* act: the activation next to the operator, NULL if there is none */
    lmn_vid y;          /* what the activations bound; others may read it too */
    lmn_qside to;
    bool has_lo, has_hi; /* bounds inside the range of the type */
    int64_t lo, hi;
} lmn_qchain;
bool lmn_qchain_of(const lmn_match *m, lmn_gnode *q, lmn_qchain *c);
/* The chain becomes the integer operator `to` and, where bounds are left, a Clip. `base` names it.
 */
lamina_status lmn_qchain_become(lmn_match *m, const lmn_qchain *c, const lmn_gnode *base,
                                lmn_rewrite *to);

/* Constant weights as int8, whatever they were: 4 and 2 bits widened, unsigned ones shifted with
   their zero points. */
typedef struct lmn_qweights {
    lmn_vid w, scale, zp;
    const lmn_qside *side;
    const lamina_tensor *t; /* int8 */
    int64_t shift;          /* what was taken off elements and zero points */
} lmn_qweights;
/* `channel` is the axis that may have scales of its own; `swap` transposes a matrix. *ok false:
   they stay as they are. */
lamina_status lmn_qweights_make(lmn_match *m, const lmn_qside *s, int32_t channel, bool swap,
                                lmn_qweights *out, bool *ok);

/* A bias to be added to the integer sums of a product. */
typedef struct lmn_qbias {
    lmn_vid bias;          /* f32, constant or dequantised from a constant; [n] */
    const lmn_qweights *w; /* of whose scale the bias is in units, with x's */
    const lmn_qside *x;
    const lmn_qside *to; /* NULL: the result stays f32 */
    int64_t n, k;        /* channels, products summed up for each */
    bool columns;        /* a channel's weights are a column of w, else a row */
} lmn_qbias;
/* As int32 in units of x_scale * w_scale. *out 0: it cannot be done within half a step. */
lamina_status lmn_qbias_make(lmn_match *m, const lmn_qbias *b, lmn_vid *out);

/* Longest sum of 8-bit products that surely fits 32 bits with a bias. */
#define LMN_QDQ_MAX_K 32768

/* The operators before a chain; each leaves what it cannot do as it is. */
lamina_status lmn_qdq_conv(lmn_match *m, const lmn_qchain *c, lmn_gnode *conv);
lamina_status lmn_qdq_matmul(lmn_match *m, const lmn_qchain *c, lmn_gnode *n); /* and Gemm */
lamina_status lmn_qdq_matmul_add(lmn_match *m, const lmn_qchain *c, lmn_gnode *add, bool *done);
lamina_status lmn_qdq_add(lmn_match *m, const lmn_qchain *c, lmn_gnode *n);
lamina_status lmn_qdq_mul(lmn_match *m, const lmn_qchain *c, lmn_gnode *n);
lamina_status lmn_qdq_concat(lmn_match *m, const lmn_qchain *c, lmn_gnode *n);
lamina_status lmn_qdq_average(lmn_match *m, const lmn_qchain *c, lmn_gnode *n);
/* MatMul and Gemm whose result stays f32. */
lamina_status lmn_qdq_to_float(lmn_match *m, lmn_gnode *n);
/* MatMul of floats with weights of 4 or 2 bits. */
lamina_status lmn_qdq_nbits(lmn_match *m, lmn_gnode *n);
/* Mul and Add behind MatMulInteger. */
lamina_status lmn_qdq_written_out(lmn_match *m, lmn_gnode *n);
/* DequantizeLinear, what only moves elements or picks the largest, QuantizeLinear of the same scale
   and zero point: the same on the integers. */
lamina_status lmn_qdq_move(lmn_match *m, lmn_gnode *q);

#endif
