/*
 * The pool of the dim algebra: hash-consing, symbols, ranges, polynomials.
 *
 * Invariant: a node's arguments were interned before it, so words only point backwards, and its
 * range was computed once, when it was born.
 */
#include "tensor/dim_pool.h"

#include <string.h>

enum { DEFAULT_NODES = 65536, KEY_WORDS = 3 + 2 * DIM_MAX_TERMS };

lamina_status lmn_dim_pool_create(const lamina_allocator *alloc, size_t max_nodes,
                                  lmn_dim_pool **out)
{
    lmn_dim_pool *p = lmn_calloc(alloc, 1, sizeof *p, "dims");
    LMN_CHECK(p, LAMINA_E_NOMEM);
    p->alloc = alloc;
    p->max_nodes = max_nodes ? max_nodes : DEFAULT_NODES;
    p->n_nodes = 1;
    lmn_arena_init(&p->arena, alloc, 0);
    lmn_map_init(&p->by_key, alloc);
    lmn_map_init(&p->by_name, alloc);
    *out = p;
    return LAMINA_OK;
}

void lmn_dim_pool_destroy(lmn_dim_pool *p)
{
    if (!p) return;
    lmn_map_finish(&p->by_key);
    lmn_map_finish(&p->by_name);
    lmn_free(p->alloc, p->nodes, p->cap_nodes * sizeof *p->nodes, 16, "dims");
    lmn_free(p->alloc, p->syms, p->cap_syms * sizeof *p->syms, 16, "dims");
    lmn_arena_finish(&p->arena);
    lmn_cfree(p->alloc, p, 1, sizeof *p, "dims");
}

/* ---- ranges ---------------------------------------------------------------------------------- */

static int64_t bound_mul(int64_t a, int64_t b)
{
    int64_t r;
    if (a == 0 || b == 0) return 0;
    bool inf = a == INT64_MIN || a == INT64_MAX || b == INT64_MIN || b == INT64_MAX;
    if (inf || !lmn_mul_i64(a, b, &r)) return (a < 0) == (b < 0) ? INT64_MAX : INT64_MIN;
    return r;
}

dim_range lmn_range_mul(dim_range a, dim_range b)
{
    const int64_t c[4] = {bound_mul(a.lo, b.lo), bound_mul(a.lo, b.hi), bound_mul(a.hi, b.lo),
                          bound_mul(a.hi, b.hi)};
    dim_range r = {c[0], c[0]};
    for (int i = 1; i < 4; i++) {
        r.lo = lmn_min_i64(r.lo, c[i]);
        r.hi = lmn_max_i64(r.hi, c[i]);
    }
    return r;
}

dim_range lmn_range_add(dim_range a, dim_range b)
{
    dim_range r;
    if (a.lo == INT64_MIN || b.lo == INT64_MIN || __builtin_add_overflow(a.lo, b.lo, &r.lo))
        r.lo = INT64_MIN;
    if (a.hi == INT64_MAX || b.hi == INT64_MAX || __builtin_add_overflow(a.hi, b.hi, &r.hi))
        r.hi = INT64_MAX;
    return r;
}

void lmn_dim_range(const lmn_dim_pool *p, lmn_dim d, int64_t *lo, int64_t *hi)
{
    dim_range r = {INT64_MIN, INT64_MAX};
    if (lmn_dim_is_const(d))
        r = (dim_range){lmn_dim_value(d), lmn_dim_value(d)};
    else if (p && lmn_dim_known(d))
        r = lmn_dim_node(p, d)->range;
    *lo = r.lo;
    *hi = r.hi;
}

static dim_range range_of(const lmn_dim_pool *p, lmn_dim d)
{
    dim_range r;
    lmn_dim_range(p, d, &r.lo, &r.hi);
    return r;
}

static int64_t bound_floor(int64_t a, int64_t b) /* b > 0 */
{
    return a == INT64_MIN || a == INT64_MAX ? a : lmn_floor_i64(a, b);
}

/* Only positive divisors are followed; a symbol that may be 0 divides only where it is not. */
static dim_range range_floor(dim_range a, dim_range b)
{
    dim_range r = {INT64_MIN, INT64_MAX};
    if (b.lo < 0 || b.hi < 1) return r;
    b.lo = lmn_max_i64(b.lo, 1);
    r.lo = bound_floor(a.lo, a.lo < 0 ? b.lo : b.hi);
    r.hi = bound_floor(a.hi, a.hi < 0 ? b.hi : b.lo);
    return r;
}

static dim_range node_range(const lmn_dim_pool *p, const dim_node *n)
{
    if (n->op == DIM_SYM) return (dim_range){0, LMN_DIM_MAX_CONST - 1};
    dim_range r = n->op == DIM_AFFINE ? (dim_range){n->k0, n->k0} : range_of(p, n->arg[0]);
    for (int32_t i = 0; i < n->n; i++) {
        const dim_range x = range_of(p, n->arg[i]);
        if (n->op == DIM_AFFINE)
            r = lmn_range_add(r, lmn_range_mul((dim_range){n->k[i], n->k[i]}, x));
        else if (i == 0)
            continue;
        else if (n->op == DIM_PROD)
            r = lmn_range_mul(r, x);
        else if (n->op == DIM_FLOOR)
            r = range_floor(r, x);
        else if (n->op == DIM_MIN)
            r.lo = lmn_min_i64(r.lo, x.lo), r.hi = lmn_min_i64(r.hi, x.hi);
        else
            r.lo = lmn_max_i64(r.lo, x.lo), r.hi = lmn_max_i64(r.hi, x.hi);
    }
    return r;
}

/* ---- nodes ----------------------------------------------------------------------------------- */

lmn_dim lmn_dim_intern(lmn_dim_pool *p, const dim_node *n)
{
    int64_t key[KEY_WORDS] = {(int64_t)n->op, n->n, n->k0};
    int32_t len = 3;
    uint32_t weight = 1;
    for (int32_t i = 0; i < n->n; i++) {
        const lmn_dim a = n->arg[i];
        weight += lmn_dim_is_const(a) ? 1 : lmn_dim_node(p, a)->weight;
        if (n->op == DIM_AFFINE) key[len++] = n->k[i];
    }
    const int32_t at_args = len;
    for (int32_t i = 0; i < n->n; i++) key[len++] = n->arg[i];
    const size_t bytes = (size_t)len * sizeof *key;
    uint64_t found;
    if (lmn_map_get(&p->by_key, key, bytes, &found)) return (lmn_dim)found;
    if (weight > DIM_MAX_WEIGHT || p->n_nodes > p->max_nodes) return LMN_DIM_UNKNOWN;

    if (lmn_grow(p->alloc, (void **)&p->nodes, &p->cap_nodes, p->n_nodes + 1, p->max_nodes + 1,
                 sizeof *p->nodes, "dims") != LAMINA_OK)
        return LMN_DIM_UNKNOWN;
    const int64_t *kept = lmn_arena_dup(&p->arena, key, bytes);
    const lmn_dim word = (lmn_dim)(p->n_nodes << 1 | 1);
    if (!kept || !lmn_map_set(&p->by_key, kept, bytes, (uint64_t)word)) return LMN_DIM_UNKNOWN;
    dim_node *slot = &p->nodes[p->n_nodes++];
    *slot = *n;
    slot->weight = weight;
    slot->k = kept + 3;
    slot->arg = kept + at_args;
    slot->range = node_range(p, slot);
    return word;
}

lmn_dim lmn_dim_sym(lmn_dim_pool *p, const char *name)
{
    uint64_t found;
    if (!p) return LMN_DIM_UNKNOWN;
    const size_t len = name ? strlen(name) : 0;
    if (len && lmn_map_get(&p->by_name, name, len, &found)) return (lmn_dim)found;
    if (lmn_grow(p->alloc, (void **)&p->syms, &p->cap_syms, p->n_syms + 1, p->max_nodes,
                 sizeof *p->syms, "dims") != LAMINA_OK)
        return LMN_DIM_UNKNOWN;
    const char *kept = len ? lmn_arena_strn(&p->arena, name, len) : "";
    if (!kept) return LMN_DIM_UNKNOWN;
    const dim_node n = {.op = DIM_SYM, .k0 = (int64_t)p->n_syms};
    const lmn_dim word = lmn_dim_intern(p, &n);
    if (!lmn_dim_known(word)) return word;
    p->syms[p->n_syms++] = (struct dim_symbol){kept, word};
    /* Without memory for the name the symbol stays, but cannot be found again: still no lie. */
    if (len) (void)lmn_map_set(&p->by_name, kept, len, (uint64_t)word);
    return word;
}

size_t lmn_dim_sym_count(const lmn_dim_pool *p)
{
    return p ? p->n_syms : 0;
}

const char *lmn_dim_sym_name(const lmn_dim_pool *p, size_t sym)
{
    return p && sym < p->n_syms ? p->syms[sym].name : "";
}

lmn_dim lmn_dim_sym_at(const lmn_dim_pool *p, size_t sym)
{
    return p && sym < p->n_syms ? p->syms[sym].word : LMN_DIM_UNKNOWN;
}

int64_t lmn_dim_as_sym(const lmn_dim_pool *p, lmn_dim d)
{
    if (!p || lmn_dim_is_const(d) || !lmn_dim_known(d)) return -1;
    const dim_node *n = lmn_dim_node(p, d);
    return n->op == DIM_SYM ? n->k0 : -1;
}

/* ---- polynomials ----------------------------------------------------------------------------- */

bool lmn_poly_of(const lmn_dim_pool *p, lmn_dim d, dim_poly *out)
{
    out->k0 = 0;
    out->n = 0;
    if (lmn_dim_is_const(d)) {
        out->k0 = lmn_dim_value(d);
        return lmn_dim_fits(out->k0);
    }
    if (!p || !lmn_dim_known(d)) return false;
    const dim_node *n = lmn_dim_node(p, d);
    if (n->op != DIM_AFFINE) {
        out->n = 1;
        out->k[0] = 1;
        out->m[0] = d;
        return true;
    }
    out->k0 = n->k0;
    out->n = n->n;
    memcpy(out->k, n->k, (size_t)n->n * sizeof *n->k);
    memcpy(out->m, n->arg, (size_t)n->n * sizeof *n->arg);
    return true;
}

lmn_dim lmn_poly_word(lmn_dim_pool *p, const dim_poly *a)
{
    if (!lmn_dim_fits(a->k0)) return LMN_DIM_UNKNOWN;
    if (a->n == 0) return lmn_dim_c(a->k0);
    if (a->n == 1 && a->k[0] == 1 && a->k0 == 0) return a->m[0];
    const dim_node n = {.op = DIM_AFFINE, .n = a->n, .k0 = a->k0, .k = a->k, .arg = a->m};
    return lmn_dim_intern(p, &n);
}

bool lmn_poly_add_term(dim_poly *a, int64_t k, lmn_dim m)
{
    int32_t i = 0;
    while (i < a->n && a->m[i] < m) i++;
    if (i < a->n && a->m[i] == m) {
        if (__builtin_add_overflow(a->k[i], k, &a->k[i]) || !lmn_dim_fits(a->k[i])) return false;
        if (a->k[i]) return true;
        a->n--;
        memmove(a->k + i, a->k + i + 1, (size_t)(a->n - i) * sizeof *a->k);
        memmove(a->m + i, a->m + i + 1, (size_t)(a->n - i) * sizeof *a->m);
        return true;
    }
    if (k == 0) return true;
    if (a->n == DIM_MAX_TERMS || !lmn_dim_fits(k)) return false;
    memmove(a->k + i + 1, a->k + i, (size_t)(a->n - i) * sizeof *a->k);
    memmove(a->m + i + 1, a->m + i, (size_t)(a->n - i) * sizeof *a->m);
    a->k[i] = k;
    a->m[i] = m;
    a->n++;
    return true;
}

bool lmn_poly_add(dim_poly *a, int64_t k, const dim_poly *b)
{
    int64_t v;
    if (!lmn_mul_i64(k, b->k0, &v) || __builtin_add_overflow(a->k0, v, &a->k0)) return false;
    for (int32_t i = 0; i < b->n; i++)
        if (!lmn_mul_i64(k, b->k[i], &v) || !lmn_poly_add_term(a, v, b->m[i])) return false;
    return lmn_dim_fits(a->k0);
}

dim_range lmn_poly_range(const lmn_dim_pool *p, const dim_poly *a)
{
    const dim_node n = {.op = DIM_AFFINE, .n = a->n, .k0 = a->k0, .k = a->k, .arg = a->m};
    return node_range(p, &n);
}

int32_t lmn_dim_factors(const lmn_dim_pool *p, const lmn_dim *m, const lmn_dim **out)
{
    const dim_node *n = lmn_dim_node(p, *m);
    *out = n->op == DIM_PROD ? n->arg : m;
    return n->op == DIM_PROD ? n->n : 1;
}

bool lmn_dim_monomial(lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out)
{
    const lmn_dim *fa, *fb;
    const int32_t na = lmn_dim_factors(p, &a, &fa), nb = lmn_dim_factors(p, &b, &fb);
    lmn_dim f[DIM_MAX_DEGREE];
    if (na + nb > DIM_MAX_DEGREE) return false;
    for (int32_t i = 0, j = 0; i + j < na + nb;) {
        const bool left = j == nb || (i < na && fa[i] <= fb[j]);
        f[i + j] = left ? fa[i] : fb[j]; /* i + j grows by one a round */
        if (left)
            i++;
        else
            j++;
    }
    const dim_node n = {.op = DIM_PROD, .n = na + nb, .arg = f};
    *out = lmn_dim_intern(p, &n);
    return lmn_dim_known(*out);
}
