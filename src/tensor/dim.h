/*
 * Symbolic dimensions. A lmn_dim is a 64-bit word: a constant lives in the word itself, an
 * expression is an id in a hash-consed pool, so that equal expressions have equal words and
 * comparing is ==.
 *
 * Forms kept canonical: constant; symbol; affine k0 + sum k_i * term_i; product; floor and ceiling
 * division; min; max. What does not fit (limits below) becomes LMN_DIM_UNKNOWN, never a wrong
 * answer. Every expression carries a proven range [lo, hi]; symbols of shapes start with [0, 2^62).
 */
#ifndef LMN_TENSOR_DIM_H
#define LMN_TENSOR_DIM_H

#include "base/alloc.h"

typedef int64_t lmn_dim;
#define LMN_DIM_UNKNOWN ((lmn_dim)1)
#define LMN_DIM_MAX_CONST ((int64_t)1 << 61)

/* A constant; beyond +-2^61 it saturates (ONNX uses INT64_MAX for "to the end"). */
static inline lmn_dim lmn_dim_c(int64_t v)
{
    v = v > LMN_DIM_MAX_CONST ? LMN_DIM_MAX_CONST : v < -LMN_DIM_MAX_CONST ? -LMN_DIM_MAX_CONST : v;
    return (lmn_dim)((uint64_t)v << 1);
}
static inline bool lmn_dim_is_const(lmn_dim d)
{
    return (d & 1) == 0;
}
static inline int64_t lmn_dim_value(lmn_dim d)
{
    return d >> 1;
} /* of a constant only */
static inline bool lmn_dim_known(lmn_dim d)
{
    return d != LMN_DIM_UNKNOWN;
}

typedef struct lmn_dim_pool lmn_dim_pool;

/* At most max_nodes expressions (0 = default 65536); past it results are LMN_DIM_UNKNOWN. */
lamina_status lmn_dim_pool_create(const lamina_allocator *alloc, size_t max_nodes,
                                  lmn_dim_pool **out);
void lmn_dim_pool_destroy(lmn_dim_pool *p);

/* Symbol by name (dim_param); the same name gives the same symbol. name NULL: a fresh anonymous
 * one. */
lmn_dim lmn_dim_sym(lmn_dim_pool *p, const char *name);
/* p may be NULL in all of these: then only constant results are known. */
lmn_dim lmn_dim_add(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_sub(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_mul(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_floordiv(lmn_dim_pool *p, lmn_dim a, lmn_dim b); /* toward -inf; b == 0: unknown */
lmn_dim lmn_dim_ceildiv(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_min(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_max(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
/* Proven bounds of d. */
void lmn_dim_range(const lmn_dim_pool *p, lmn_dim d, int64_t *lo, int64_t *hi);
/*
 * Do two dims that must be equal agree? Gives the better known of both in *out; false when they are
 * provably different. Unknown agrees with anything; a constant wins over a symbol.
 */
bool lmn_dim_unify(const lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out);
/* Symbols: count, name ("" if anonymous), and evaluation with one value per symbol (LMN_DIM_UNKNOWN
   slots allowed as -1): false if an unbound symbol or unknown is met. */
size_t lmn_dim_sym_count(const lmn_dim_pool *p);
const char *lmn_dim_sym_name(const lmn_dim_pool *p, size_t sym);
/* Index of d's symbol if d is a bare symbol, else -1. */
int64_t lmn_dim_as_sym(const lmn_dim_pool *p, lmn_dim d);
bool lmn_dim_eval(const lmn_dim_pool *p, lmn_dim d, const int64_t *sym_values, int64_t *out);
/* Text such as "N", "2*N + 1", "floor((H - 1)/2) + 1", "?". Always terminates; returns length. */
size_t lmn_dim_format(const lmn_dim_pool *p, lmn_dim d, char *buf, size_t cap);

#endif
