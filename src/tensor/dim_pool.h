/*
 * Inside of the dim algebra: nodes of the pool and the polynomial in which all arithmetic happens.
 * Not for other rooms.
 */
#ifndef LMN_TENSOR_DIM_POOL_H
#define LMN_TENSOR_DIM_POOL_H

#include "base/map.h"
#include "tensor/dim.h"

enum { DIM_MAX_TERMS = 16, DIM_MAX_DEGREE = 8, DIM_MAX_WEIGHT = 1024 };

typedef enum dim_op { DIM_SYM, DIM_AFFINE, DIM_PROD, DIM_FLOOR, DIM_MIN, DIM_MAX } dim_op;

/* lo == INT64_MIN and hi == INT64_MAX are infinities. */
typedef struct dim_range {
    int64_t lo, hi;
} dim_range;

/*
 * DIM_SYM: k0 is the symbol's number. DIM_AFFINE: k0 + sum k[i] * arg[i], arg ascending and neither
 * constant nor affine, no k[i] zero. DIM_PROD: n >= 2 atoms, ascending. DIM_FLOOR: arg[0] / arg[1].
 * DIM_MIN, DIM_MAX: n >= 2, ascending, none of the same op.
 */
typedef struct dim_node {
    dim_op op;
    int32_t n;
    uint32_t weight; /* nodes of the expression written out as a tree: bounds eval and format */
    int64_t k0;
    const int64_t *k; /* DIM_AFFINE only */
    const lmn_dim *arg;
    dim_range range;
} dim_node;

struct lmn_dim_pool {
    const lamina_allocator *alloc;
    lmn_arena arena;
    lmn_map by_key, by_name;
    dim_node *nodes; /* [0] is unused: its word is LMN_DIM_UNKNOWN */
    size_t n_nodes, cap_nodes, max_nodes;
    struct dim_symbol {
        const char *name;
        lmn_dim word;
    } * syms;
    size_t n_syms, cap_syms;
};

/* A polynomial being computed. */
typedef struct dim_poly {
    int64_t k0;
    int32_t n;
    int64_t k[DIM_MAX_TERMS];
    lmn_dim m[DIM_MAX_TERMS]; /* ascending, distinct: atoms and DIM_PROD words */
} dim_poly;

static inline const dim_node *lmn_dim_node(const lmn_dim_pool *p, lmn_dim d)
{
    return &p->nodes[d >> 1];
}
/* A constant that stands for itself: not saturated. */
static inline bool lmn_dim_fits(int64_t v)
{
    return v > -LMN_DIM_MAX_CONST && v < LMN_DIM_MAX_CONST;
}
static inline int64_t lmn_floor_i64(int64_t a, int64_t b) /* b > 0 */
{
    return a / b - (a % b < 0);
}

/* The word of an expression, new or found; LMN_DIM_UNKNOWN past a limit. */
lmn_dim lmn_dim_intern(lmn_dim_pool *p, const dim_node *n);

/* d as a polynomial; false for unknown and saturated. */
bool lmn_poly_of(const lmn_dim_pool *p, lmn_dim d, dim_poly *out);
lmn_dim lmn_poly_word(lmn_dim_pool *p, const dim_poly *a);
/* a += k * b; false past a limit. */
bool lmn_poly_add(dim_poly *a, int64_t k, const dim_poly *b);
bool lmn_poly_add_term(dim_poly *a, int64_t k, lmn_dim m);
dim_range lmn_poly_range(const lmn_dim_pool *p, const dim_poly *a);

dim_range lmn_range_mul(dim_range a, dim_range b);
dim_range lmn_range_add(dim_range a, dim_range b);

/* Atoms of a monomial: count, pointer. */
int32_t lmn_dim_factors(const lmn_dim_pool *p, const lmn_dim *m, const lmn_dim **out);
/* Product of two monomials; false past the degree limit. */
bool lmn_dim_monomial(lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out);

#endif
