/*
 * lamina/gemm.h - matrix products for programs that want nothing else: one call, or a plan that is
 * run many times, weights packed beforehand, batches, an epilogue computed while the result is in
 * the cache. Needs no engine and no model.
 *
 *   C[i] = ops( alpha op(A[i]) op(B[i]) + beta C[i] )        for each item i of the batch
 *
 * Row-major. op(A) is m x k, op(B) is k x n, C is m x n. The bits of a result depend on the shape,
 * the flags and the processor's instruction set alone: not on threads, strides or alignment. BF16:
 * magnitudes below 2^-126 may count as 0, as the instructions for it have it. Products of 8-bit
 * integers stand at the end.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_GEMM_H
#define LAMINA_GEMM_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What products need: the kernels of this processor, threads, memory kept between calls. */
typedef struct lamina_gemm lamina_gemm;
/* How products of one shape are computed. */
typedef struct lamina_gemm_plan lamina_gemm_plan;
/* Weights in the order that the kernels read. */
typedef struct lamina_gemm_packed lamina_gemm_packed;

/* Options of lamina_gemm_create(). Set `size`, leave the rest zero: the defaults. */
typedef struct lamina_gemm_opts {
    size_t size;                       /* sizeof(lamina_gemm_opts) */
    const lamina_allocator *allocator; /* copied; NULL = the C library's */
    uint32_t n_threads;                /* most that work on one product, its caller among them; 0 =
                                          what affinity and the quota of the container allow */
    uint32_t reserved;                 /* must be 0 */
} lamina_gemm_opts;

/* Flags of a shape. */
enum {
    LAMINA_GEMM_TRANS_A = 1, /* a is [k][m] */
    LAMINA_GEMM_TRANS_B = 2  /* b is [n][k], as weights of linear layers are */
};

/* The shape of a product. Extents from 0 to 2^31 - 1. */
typedef struct lamina_gemm_shape {
    size_t size;        /* sizeof(lamina_gemm_shape) */
    lamina_dtype dtype; /* of A and B: LAMINA_F32, LAMINA_F64, LAMINA_BF16 (C and the sums: F32) */
    uint32_t flags;     /* LAMINA_GEMM_* */
    int64_t m, n, k;    /* extents */
    int64_t n_batch;    /* items; 0 = none */
} lamina_gemm_shape;

/* Operations of an epilogue. */
enum {
    LAMINA_GEMM_ADD = 0,     /* v + x */
    LAMINA_GEMM_MUL,         /* v x */
    LAMINA_GEMM_RELU,        /* max(0, v) */
    LAMINA_GEMM_CLIP,        /* min(p1, max(p0, v)) */
    LAMINA_GEMM_SIGMOID,     /* 1 / (1 + e^-v) */
    LAMINA_GEMM_TANH,        /* tanh v */
    LAMINA_GEMM_SILU,        /* v sigmoid(v) */
    LAMINA_GEMM_GELU,        /* v/2 (1 + erf(v / sqrt 2)) */
    LAMINA_GEMM_GELU_TANH,   /* the tanh form of gelu */
    LAMINA_GEMM_HARDSWISH,   /* v min(1, max(0, v/6 + 1/2)) */
    LAMINA_GEMM_HARDSIGMOID, /* min(1, max(0, p0 v + p1)) */
    LAMINA_GEMM_LEAKYRELU    /* v < 0 ? p0 v : v */
};
/* How the operand x of ADD and MUL lies over C. */
enum {
    LAMINA_GEMM_SCALAR = 0, /* p0 */
    LAMINA_GEMM_ROW,        /* x[row] */
    LAMINA_GEMM_COL,        /* x[column]: the bias of a linear layer */
    LAMINA_GEMM_FULL        /* x[row * ld + column]; not C itself */
};
typedef struct lamina_gemm_op {
    uint8_t kind, bcast;  /* LAMINA_GEMM_ADD ..., LAMINA_GEMM_SCALAR ... */
    uint16_t reserved[3]; /* must be 0 */
    float p0, p1;
    const float *x; /* borrowed */
    int64_t ld;     /* FULL: elements from row to row */
    int64_t batch;  /* elements from item to item; 0 = shared */
} lamina_gemm_op;
#define LAMINA_GEMM_OPS_MAX 4

/* The operands of a product. Distances in elements: ld from row to row, batch from item to item,
   0 = the same for all (not for C). */
typedef struct lamina_gemm_args {
    size_t size; /* sizeof(lamina_gemm_args) */
    const void *a, *b;
    void *c;                          /* overlaps neither a nor b nor an operand of ops */
    const lamina_gemm_packed *packed; /* B, of the same context; b, ldb and b_batch do not count, A
                                         may not be transposed. NULL = b */
    int64_t lda, ldb, ldc;
    int64_t a_batch, b_batch, c_batch;
    double alpha, beta;        /* alpha 0: A and B are not read; beta 0: C is not */
    const lamina_gemm_op *ops; /* applied in order */
    int32_t n_ops;             /* at most LAMINA_GEMM_OPS_MAX */
    uint32_t reserved;         /* must be 0 */
} lamina_gemm_args;

/**
 * Make what products need. Threads start when they are first needed.
 *
 * @param opts  borrowed until return; NULL = defaults.
 * @param out   on success owned, released by lamina_gemm_destroy(). On failure untouched.
 * @return LAMINA_OK; E_INVALID (out is NULL, an unknown option is set); E_NOMEM.
 *
 * Units:    threads.
 * Threads:  any; the result may then be used from all.
 * Memory:   a few kilobytes; the scratch of products is kept between them, 128 MiB at most.
 * Blocking: reads the limits of the container.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_gemm_create(const lamina_gemm_opts *opts,
                                                             lamina_gemm **out);

/**
 * Release it. Its plans and packed weights must have been released before; NULL does nothing.
 *
 * Threads: no other call on it may be running.   Blocking: joins its threads.   Since: 0.1
 */
LAMINA_API void lamina_gemm_destroy(lamina_gemm *g);

/**
 * Compute a product, planned on the spot: for shapes that come once, and for small ones, whose
 * plans cost little.
 *
 * @param g      borrowed.
 * @param shape  borrowed until return.
 * @param args   borrowed until return.
 * @return LAMINA_OK; E_INVALID (NULL, negative, an ld below the row's length, an unknown flag or
 *         operation); E_RANGE (an extent or a distance too large); E_UNSUPPORTED (the element
 *         type; packed with TRANS_A or other than F32; operations on F64); E_SHAPE (packed is of
 * another k or n); E_NOMEM. C is untouched then.
 *
 * Shapes:   see the top; m, n, k or n_batch may be 0: k = 0 gives ops(beta C).
 * Units:    elements.
 * Threads:  any; waits for none that has not begun to help.
 * Memory:   scratch, kept for the next call.   Blocking: none.   Since: 0.1
 */
LAMINA_API lamina_status lamina_gemm_once(lamina_gemm *g, const lamina_gemm_shape *shape,
                                          const lamina_gemm_args *args);

/**
 * Plan products of one shape.
 *
 * @param g      borrowed as long as the plan lives.
 * @param shape  borrowed until return.
 * @param out    on success owned, released by lamina_gemm_plan_destroy(). On failure untouched.
 * @return as lamina_gemm_once().
 *
 * Units: elements.   Threads: any.   Memory: one small block.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_gemm_plan_create(lamina_gemm *g,
                                                                  const lamina_gemm_shape *shape,
                                                                  lamina_gemm_plan **out);

/** Release a plan; NULL does nothing. Threads: no run of it is going on. Since: 0.1 */
LAMINA_API void lamina_gemm_plan_destroy(lamina_gemm_plan *plan);

/**
 * Compute a planned product: as lamina_gemm_once() with the plan's shape, to the same bits.
 *
 * Threads: any; many may run one plan at once.   Memory, blocking: as lamina_gemm_once().
 * Since: 0.1
 */
LAMINA_API lamina_status lamina_gemm_run(const lamina_gemm_plan *plan,
                                         const lamina_gemm_args *args);

/**
 * Pack weights once for many products: B of k x n, for any m.
 *
 * @param g      borrowed as long as the packed weights live.
 * @param shape  dtype, n, k and LAMINA_GEMM_TRANS_B count; n_batch must be 1.
 * @param b      borrowed until return.
 * @param ldb    elements from row to row.
 * @param out    on success owned, released by lamina_gemm_packed_destroy(). On failure untouched.
 * @return as lamina_gemm_once().
 *
 * Units: elements.   Threads: any.   Memory: k n elements and a little.   Blocking: none.
 * Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_gemm_pack(lamina_gemm *g,
                                                           const lamina_gemm_shape *shape,
                                                           const void *b, int64_t ldb,
                                                           lamina_gemm_packed **out);

/** Release packed weights; NULL does nothing. Threads: nobody uses them. Since: 0.1 */
LAMINA_API void lamina_gemm_packed_destroy(lamina_gemm_packed *packed);

/*
 * 8-bit integers. A and B are U8 or I8, each for itself; sums are exact modulo 2^32, so that a
 * result has the same bits on every processor, by every plan, packed or not.
 *
 *   S[i][j] = sum over k of (A[i][k] - a_zp) (op(B)[k][j] - b_zp) + bias[j]            int32
 *   C[i][j] = S,   or (float)S scale + bias_f32[j],   or saturate(round((float)S scale) + c_zp)
 *
 * round() is to the nearest, halves to the even one, of a NaN 0; each step of f32 is rounded.
 */
typedef struct lamina_gemm_int8_shape {
    size_t size;       /* sizeof(lamina_gemm_int8_shape) */
    lamina_dtype a, b; /* LAMINA_U8, LAMINA_I8 */
    lamina_dtype c;    /* LAMINA_I32, LAMINA_F32, LAMINA_U8, LAMINA_I8: the three forms of C */
    uint32_t flags;    /* 0, LAMINA_GEMM_TRANS_B */
    int64_t m, n, k;   /* extents, as in lamina_gemm_shape */
    int64_t n_batch;
} lamina_gemm_int8_shape;

/* Distances as in lamina_gemm_args. Arrays hold a value for each column, are borrowed, and count
   for every item; NULL = the one value beside them, of biases 0. */
typedef struct lamina_gemm_int8_args {
    size_t size; /* sizeof(lamina_gemm_int8_args) */
    const void *a, *b;
    void *c;                          /* overlaps neither a nor b nor an array */
    const lamina_gemm_packed *packed; /* B, by lamina_gemm_int8_pack() of the same context; b, ldb
                                         and b_batch do not count. NULL = b */
    int64_t lda, ldb, ldc;
    int64_t a_batch, b_batch, c_batch;
    int32_t a_zp, b_zp; /* values of A's and B's type */
    int32_t c_zp;       /* of C's; 0 where that has more than 8 bits */
    float scale;        /* I32: does not count */
    const int32_t *b_zps;
    const int32_t *bias;
    const float *scales;   /* not with I32 */
    const float *bias_f32; /* with F32 only */
    uint64_t reserved;     /* must be 0 */
} lamina_gemm_int8_args;

/**
 * Compute a product of 8-bit integers, planned on the spot.
 *
 * @param g      borrowed.
 * @param shape  borrowed until return.
 * @param args   borrowed until return.
 * @return LAMINA_OK; E_INVALID (as lamina_gemm_once(); an array or a c_zp that C's form has not;
 *         packed weights of another type); E_RANGE (an extent or a distance too large, a zero point
 *         that is no value of its type); E_UNSUPPORTED (an element type, TRANS_A); E_SHAPE (packed
 *         is of another k or n); E_NOMEM. C is untouched then.
 *
 * Shapes:   see above; m, n, k or n_batch may be 0: k = 0 gives the form of bias.
 * Units:    elements.
 * Threads:  any; waits for none that has not begun to help.
 * Memory:   scratch, kept for the next call.   Blocking: none.   Since: 0.1
 */
LAMINA_API lamina_status lamina_gemm_int8_once(lamina_gemm *g, const lamina_gemm_int8_shape *shape,
                                               const lamina_gemm_int8_args *args);

/**
 * Plan products of 8-bit integers of one shape, with packed weights and without.
 *
 * @param g      borrowed as long as the plan lives.
 * @param shape  borrowed until return.
 * @param out    on success owned, released by lamina_gemm_plan_destroy(). On failure untouched.
 * @return as lamina_gemm_int8_once().
 *
 * Units: elements.   Threads: any.   Memory: one small block.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_gemm_int8_plan_create(
    lamina_gemm *g, const lamina_gemm_int8_shape *shape, lamina_gemm_plan **out);

/**
 * Compute it: as lamina_gemm_int8_once() with the plan's shape. A plan is run by the function of
 * its kind; the other one returns E_INVALID.
 *
 * Threads: any; many may run one plan at once.   Memory, blocking: as lamina_gemm_int8_once().
 * Since: 0.1
 */
LAMINA_API lamina_status lamina_gemm_int8_run(const lamina_gemm_plan *plan,
                                              const lamina_gemm_int8_args *args);

/**
 * Pack weights of 8 bits once for many products: B of k x n, for any m, any A and any form of C.
 *
 * @param g      borrowed as long as the packed weights live.
 * @param shape  b, n, k and LAMINA_GEMM_TRANS_B count, the rest must be in order; n_batch must
 * be 1.
 * @param b      borrowed until return.
 * @param ldb    elements from row to row.
 * @param out    on success owned, released by lamina_gemm_packed_destroy(). On failure untouched.
 * @return as lamina_gemm_int8_once().
 *
 * Units: elements.   Threads: any.   Memory: k n bytes and a little; twice that where a processor
 * multiplies words.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_gemm_int8_pack(lamina_gemm *g,
                                                                const lamina_gemm_int8_shape *shape,
                                                                const void *b, int64_t ldb,
                                                                lamina_gemm_packed **out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_GEMM_H */
