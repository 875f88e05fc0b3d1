/*
 * Symbolic dimensions. A lmn_dim is a 64-bit word: a constant lives in the word itself, an
 * expression is an id in a hash-consed pool, so that equal expressions have equal words and
 * comparing is ==.
 *
 * Canonical form: a polynomial k0 + sum k_i * m_i, fully expanded, each m_i a product of atoms; an
 * atom is a symbol, a floor division, a min or a max. Ceiling division is rewritten to floor. What
 * does not fit (16 terms, degree 8, 1024 parts in all) becomes LMN_DIM_UNKNOWN, never a wrong
 * answer.
 *
 * Every expression carries a proven range [lo, hi]; symbols have [0, 2^61). Simplification assumes
 * that no divisor is 0 (N*M/N is M), so a result may be known where N = 0 would have had none.
 * A saturated constant stands for "at least this big": it takes part in min and max only.
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
/* Of a constant only. */
static inline int64_t lmn_dim_value(lmn_dim d)
{
    return d >> 1;
}
/* Is it the number itself, not a constant that saturated? */
static inline bool lmn_dim_is_exact(lmn_dim d)
{
    return lmn_dim_is_const(d) && lmn_dim_value(d) < LMN_DIM_MAX_CONST &&
           lmn_dim_value(d) > -LMN_DIM_MAX_CONST;
}
static inline bool lmn_dim_known(lmn_dim d)
{
    return d != LMN_DIM_UNKNOWN;
}

typedef struct lmn_dim_pool lmn_dim_pool;

/* At most max_nodes expressions (0 = default 65536); past it results are LMN_DIM_UNKNOWN. */
lamina_status lmn_dim_pool_create(const lamina_allocator *alloc, size_t max_nodes,
                                  lmn_dim_pool **out);
void lmn_dim_pool_destroy(lmn_dim_pool *p);

/* Symbol by name (dim_param): equal names, equal symbols. NULL or "": a fresh anonymous one. */
lmn_dim lmn_dim_sym(lmn_dim_pool *p, const char *name);
/* p may be NULL in all of these: then only constant results are known. */
lmn_dim lmn_dim_add(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_sub(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_mul(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_floordiv(lmn_dim_pool *p, lmn_dim a, lmn_dim b); /* toward -inf; b == 0: unknown */
lmn_dim lmn_dim_ceildiv(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_min(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
lmn_dim lmn_dim_max(lmn_dim_pool *p, lmn_dim a, lmn_dim b);
/* Proven bounds of d; INT64_MIN and INT64_MAX mean unbounded. */
void lmn_dim_range(const lmn_dim_pool *p, lmn_dim d, int64_t *lo, int64_t *hi);
/*
 * Do two dims that must be equal agree? Gives the better known of both in *out; false when they are
 * provably different. Unknown agrees with anything; a constant wins over a symbol.
 */
bool lmn_dim_unify(const lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out);
/* Is m the least of d and constants above 1, as a slice of d from a table of fixed length is? */
bool lmn_dim_is_capped(const lmn_dim_pool *p, lmn_dim m, lmn_dim d);
/* Symbols are numbered from 0 in order of birth. */
size_t lmn_dim_sym_count(const lmn_dim_pool *p);
const char *lmn_dim_sym_name(const lmn_dim_pool *p, size_t sym); /* "" if anonymous */
lmn_dim lmn_dim_sym_at(const lmn_dim_pool *p, size_t sym);       /* the symbol as a dim */
/* Index of d's symbol if d is a bare symbol, else -1. */
int64_t lmn_dim_as_sym(const lmn_dim_pool *p, lmn_dim d);
/*
 * Value of d with one value a symbol (lmn_dim_sym_count of them; -1 = not bound). False if d needs
 * an unbound symbol, is unknown, divides by 0 or leaves int64; *out is untouched then.
 */
bool lmn_dim_eval(const lmn_dim_pool *p, lmn_dim d, const int64_t *sym_values, int64_t *out);
/* Text such as "N", "2*N + 1", "floor((H + 1)/2)", "?". Always terminates; returns length. */
size_t lmn_dim_format(const lmn_dim_pool *p, lmn_dim d, char *buf, size_t cap);
/* The same for reading back: a symbol whose name is no identifier (or min, max, floor) is written
   as "$" and its number. */
size_t lmn_dim_format_exact(const lmn_dim_pool *p, lmn_dim d, char *buf, size_t cap);

#endif
