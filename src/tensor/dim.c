/*
 * Arithmetic of symbolic dimensions: every operation turns its operands into polynomials, works on
 * those, and interns the result. Soundness before strength: a rule that does not apply leaves an
 * unsimplified atom, a limit that is hit gives LMN_DIM_UNKNOWN.
 */
#include "tensor/dim_pool.h"

#include <string.h>

/* a + k * b */
static lmn_dim add_scaled(lmn_dim_pool *p, lmn_dim a, int64_t k, lmn_dim b)
{
    dim_poly x, y;
    if (!lmn_poly_of(p, a, &x) || !lmn_poly_of(p, b, &y)) return LMN_DIM_UNKNOWN;
    return lmn_poly_add(&x, k, &y) ? lmn_poly_word(p, &x) : LMN_DIM_UNKNOWN;
}

lmn_dim lmn_dim_add(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    if (a == lmn_dim_c(0)) return b;
    return b == lmn_dim_c(0) ? a : add_scaled(p, a, 1, b);
}

lmn_dim lmn_dim_sub(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    return b == lmn_dim_c(0) ? a : add_scaled(p, a, -1, b);
}

static bool poly_mul(lmn_dim_pool *p, const dim_poly *a, const dim_poly *b, dim_poly *out)
{
    int64_t v;
    *out = (dim_poly){0};
    if (!lmn_poly_add(out, a->k0, b)) return false;
    for (int32_t i = 0; i < a->n; i++) {
        if (!lmn_mul_i64(a->k[i], b->k0, &v) || !lmn_poly_add_term(out, v, a->m[i])) return false;
        for (int32_t j = 0; j < b->n; j++) {
            lmn_dim m;
            if (!lmn_mul_i64(a->k[i], b->k[j], &v)) return false;
            if (!lmn_dim_monomial(p, a->m[i], b->m[j], &m)) return false;
            if (!lmn_poly_add_term(out, v, m)) return false;
        }
    }
    return true;
}

lmn_dim lmn_dim_mul(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    dim_poly x, y, xy;
    const lmn_dim zero = lmn_dim_c(0), one = lmn_dim_c(1);
    if (a == zero || b == zero) return zero;
    if (a == one) return b;
    if (b == one) return a;
    if (!lmn_poly_of(p, a, &x) || !lmn_poly_of(p, b, &y)) return LMN_DIM_UNKNOWN;
    return poly_mul(p, &x, &y, &xy) ? lmn_poly_word(p, &xy) : LMN_DIM_UNKNOWN;
}

/* ---- division -------------------------------------------------------------------------------- */

static int64_t gcd(int64_t a, int64_t b)
{
    a = a < 0 ? -a : a;
    while (b) {
        int64_t r = a % b;
        a = b < 0 ? -b : b;
        b = r < 0 ? -r : r;
    }
    return a;
}

static lmn_dim floor_atom(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    const lmn_dim arg[2] = {a, b};
    const dim_node n = {.op = DIM_FLOOR, .n = 2, .arg = arg};
    return lmn_dim_known(a) && lmn_dim_known(b) ? lmn_dim_intern(p, &n) : LMN_DIM_UNKNOWN;
}

/*
 * floor(r / c) with 0 <= r->k0 < c and no coefficient a multiple of c. Divides out what r and c
 * share (then the rest of k0 cannot matter), and merges floor((floor(x / y) + k) / c) into floor((x
 * + k*y) / (y*c)).
 */
static lmn_dim floor_reduced(lmn_dim_pool *p, dim_poly *r, int64_t c)
{
    int64_t g = c;
    for (int32_t i = 0; i < r->n; i++) g = gcd(g, r->k[i]);
    for (int32_t i = 0; i < r->n; i++) r->k[i] /= g;
    r->k0 /= g;
    c /= g;
    const dim_range range = lmn_poly_range(p, r);
    if (range.lo != INT64_MIN && range.hi != INT64_MAX &&
        lmn_floor_i64(range.lo, c) == lmn_floor_i64(range.hi, c))
        return lmn_dim_c(lmn_floor_i64(range.lo, c));
    const dim_node *f = r->n == 1 && r->k[0] == 1 ? lmn_dim_node(p, r->m[0]) : NULL;
    if (f && f->op == DIM_FLOOR && lmn_dim_is_const(f->arg[1]) && lmn_dim_value(f->arg[1]) > 0) {
        const int64_t y = lmn_dim_value(f->arg[1]);
        int64_t yc, ky;
        if (lmn_mul_i64(y, c, &yc) && lmn_dim_fits(yc) && lmn_mul_i64(r->k0, y, &ky) &&
            lmn_dim_fits(ky))
            return lmn_dim_floordiv(p, lmn_dim_add(p, f->arg[0], lmn_dim_c(ky)), lmn_dim_c(yc));
    }
    return floor_atom(p, lmn_poly_word(p, r), lmn_dim_c(c));
}

/* a / c for a constant c > 0: whole multiples of c leave the floor. */
static lmn_dim floor_by_const(lmn_dim_pool *p, const dim_poly *a, int64_t c)
{
    dim_poly whole = {.k0 = lmn_floor_i64(a->k0, c)}, rest = {.k0 = a->k0 - whole.k0 * c};
    for (int32_t i = 0; i < a->n; i++) {
        const bool divides = a->k[i] % c == 0;
        if (!lmn_poly_add_term(divides ? &whole : &rest, divides ? a->k[i] / c : a->k[i], a->m[i]))
            return LMN_DIM_UNKNOWN;
    }
    const lmn_dim w = lmn_poly_word(p, &whole);
    return rest.n == 0 ? w : lmn_dim_add(p, w, floor_reduced(p, &rest, c));
}

/* Monomial `m` without the atoms of `by`; false if it lacks one. *out is constant 1 if nothing
 * stays. */
static bool monomial_div(lmn_dim_pool *p, lmn_dim m, lmn_dim by, lmn_dim *out)
{
    const lmn_dim *fm, *fb;
    const int32_t nm = lmn_dim_factors(p, &m, &fm), nb = lmn_dim_factors(p, &by, &fb);
    lmn_dim left[DIM_MAX_DEGREE];
    int32_t n = 0, j = 0;
    for (int32_t i = 0; i < nm; i++) {
        if (j < nb && fb[j] == fm[i])
            j++;
        else
            left[n++] = fm[i];
    }
    if (j < nb) return false;
    const dim_node node = {.op = DIM_PROD, .n = n, .arg = left};
    *out = n == 0 ? lmn_dim_c(1) : n == 1 ? left[0] : lmn_dim_intern(p, &node);
    return lmn_dim_known(*out);
}

static bool add_quotient_term(dim_poly *q, int64_t k, lmn_dim m)
{
    if (!lmn_dim_is_const(m)) return lmn_poly_add_term(q, k, m);
    return !__builtin_add_overflow(q->k0, k, &q->k0) && lmn_dim_fits(q->k0);
}

/* The term of b whose monomial has most atoms: what long division looks for. */
static int32_t leading(const lmn_dim_pool *p, const dim_poly *b)
{
    int32_t best = 0, degree = 0;
    for (int32_t i = 0; i < b->n; i++) {
        const lmn_dim *f;
        const int32_t d = lmn_dim_factors(p, &b->m[i], &f);
        if (d > degree) degree = d, best = i;
    }
    return best;
}

/* Long division of polynomials: a = q*b + r, in at most 16 steps. False past a limit. */
static bool poly_div(lmn_dim_pool *p, const dim_poly *a, const dim_poly *b, dim_poly *q,
                     dim_poly *r)
{
    const int32_t lead = leading(p, b);
    *q = (dim_poly){0};
    *r = *a;
    for (int step = 0; step < DIM_MAX_TERMS; step++) {
        dim_poly t = {0}, tb;
        for (int32_t i = 0; i < r->n && t.n == 0 && t.k0 == 0; i++) {
            lmn_dim m;
            if (r->k[i] % b->k[lead] || !monomial_div(p, r->m[i], b->m[lead], &m)) continue;
            if (!add_quotient_term(&t, r->k[i] / b->k[lead], m)) return false;
        }
        if (t.n == 0 && t.k0 == 0) return true;
        if (!poly_mul(p, &t, b, &tb) || !lmn_poly_add(r, -1, &tb) || !lmn_poly_add(q, 1, &t))
            return false;
    }
    return true;
}

/* Strike the single monomial of b from every term of a, if all have it: (m*A) / (k*m) is A / k. */
static bool strike_monomial(lmn_dim_pool *p, const dim_poly *a, const dim_poly *b, dim_poly *out)
{
    if (b->n != 1 || b->k0 != 0 || a->k0 != 0) return false;
    *out = (dim_poly){0};
    for (int32_t i = 0; i < a->n; i++) {
        lmn_dim m;
        if (!monomial_div(p, a->m[i], b->m[0], &m)) return false;
        if (!add_quotient_term(out, a->k[i], m)) return false;
    }
    return true;
}

static lmn_dim floor_by_poly(lmn_dim_pool *p, const dim_poly *a, const dim_poly *b)
{
    dim_poly q, r;
    if (strike_monomial(p, a, b, &q))
        return lmn_dim_floordiv(p, lmn_poly_word(p, &q), lmn_dim_c(b->k[0]));
    /* q + floor(r / b) is exact for any q, but only helps if r is gone or a part of a. */
    if (!poly_div(p, a, b, &q, &r) || ((r.n > 0 || r.k0 != 0) && (b->n > 1 || b->k0 != 0)))
        q = (dim_poly){0}, r = *a;
    const lmn_dim whole = lmn_poly_word(p, &q);
    if (r.n == 0 && r.k0 == 0) return whole;
    const dim_range top = lmn_poly_range(p, &r);
    dim_poly gap = *b; /* b - r - 1 >= 0 and r >= 0: the floor is 0 */
    if (top.lo >= 0 && lmn_poly_add(&gap, -1, &r) && lmn_poly_range(p, &gap).lo >= 1) return whole;
    return lmn_dim_add(p, whole, floor_atom(p, lmn_poly_word(p, &r), lmn_poly_word(p, b)));
}

lmn_dim lmn_dim_floordiv(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    dim_poly x, y;
    if (b == lmn_dim_c(0)) return LMN_DIM_UNKNOWN;
    if (b == lmn_dim_c(1)) return a;
    if (!lmn_poly_of(p, a, &x) || !lmn_poly_of(p, b, &y)) return LMN_DIM_UNKNOWN;
    if (y.n > 0) return x.n == 0 && x.k0 == 0 ? a : floor_by_poly(p, &x, &y);
    if (y.k0 > 0) return floor_by_const(p, &x, y.k0);
    dim_poly minus = {0};
    return lmn_poly_add(&minus, -1, &x) ? floor_by_const(p, &minus, -y.k0) : LMN_DIM_UNKNOWN;
}

lmn_dim lmn_dim_ceildiv(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    if (b == lmn_dim_c(1)) return a;
    if (lmn_dim_is_const(b) && lmn_dim_value(b) > 0)
        return lmn_dim_floordiv(p, lmn_dim_add(p, a, lmn_dim_c(lmn_dim_value(b) - 1)), b);
    const lmn_dim zero = lmn_dim_c(0);
    return lmn_dim_sub(p, zero, lmn_dim_floordiv(p, lmn_dim_sub(p, zero, a), b));
}

/* ---- min and max ----------------------------------------------------------------------------- */

/* Is a <= b for all values of the symbols? A saturated constant lies beyond everything. */
static bool proven_le(const lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    int64_t lo_a, hi_a, lo_b, hi_b;
    if (b == lmn_dim_c(INT64_MAX) || a == lmn_dim_c(INT64_MIN)) return true;
    lmn_dim_range(p, a, &lo_a, &hi_a);
    lmn_dim_range(p, b, &lo_b, &hi_b);
    if (hi_a <= lo_b && hi_a != INT64_MAX) return true;
    dim_poly x, y;
    if (!lmn_poly_of(p, a, &x) || !lmn_poly_of(p, b, &y)) return false;
    return lmn_poly_add(&y, -1, &x) && lmn_poly_range(p, &y).lo >= 0;
}

/* Add d to the arguments, unless one makes it needless; drop those it makes needless. */
static bool extreme_add(const lmn_dim_pool *p, dim_op op, lmn_dim *arg, int32_t *n, lmn_dim d)
{
    int32_t kept = 0;
    for (int32_t i = 0; i < *n; i++) {
        const lmn_dim small = op == DIM_MIN ? arg[i] : d, big = op == DIM_MIN ? d : arg[i];
        if (proven_le(p, small, big)) return true;
    }
    for (int32_t i = 0; i < *n; i++) {
        const lmn_dim small = op == DIM_MIN ? d : arg[i], big = op == DIM_MIN ? arg[i] : d;
        if (!proven_le(p, small, big)) arg[kept++] = arg[i];
    }
    if (kept == DIM_MAX_DEGREE) return false;
    int32_t at = kept;
    for (; at > 0 && arg[at - 1] > d; at--) arg[at] = arg[at - 1];
    arg[at] = d;
    *n = kept + 1;
    return true;
}

static lmn_dim extreme(lmn_dim_pool *p, dim_op op, lmn_dim a, lmn_dim b)
{
    lmn_dim arg[DIM_MAX_DEGREE];
    int32_t n = 0;
    if (a == b) return a;
    if (!lmn_dim_known(a) || !lmn_dim_known(b)) return LMN_DIM_UNKNOWN;
    const lmn_dim both[2] = {a, b};
    for (int s = 0; s < 2; s++) {
        const dim_node *f = p && !lmn_dim_is_const(both[s]) ? lmn_dim_node(p, both[s]) : NULL;
        const bool flat = f && f->op == op;
        for (int32_t i = 0; i < (flat ? f->n : 1); i++)
            if (!extreme_add(p, op, arg, &n, flat ? f->arg[i] : both[s])) return LMN_DIM_UNKNOWN;
    }
    if (n == 1) return arg[0];
    const dim_node node = {.op = op, .n = n, .arg = arg};
    return p ? lmn_dim_intern(p, &node) : LMN_DIM_UNKNOWN;
}

lmn_dim lmn_dim_min(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    return extreme(p, DIM_MIN, a, b);
}

lmn_dim lmn_dim_max(lmn_dim_pool *p, lmn_dim a, lmn_dim b)
{
    return extreme(p, DIM_MAX, a, b);
}

/* ---- agreement ------------------------------------------------------------------------------- */

/* How much a dim tells: constant, named symbol, expression, nameless symbol, nothing. */
static int knowledge(const lmn_dim_pool *p, lmn_dim d)
{
    if (lmn_dim_is_const(d)) return 4;
    if (!lmn_dim_known(d)) return 0;
    const int64_t sym = lmn_dim_as_sym(p, d);
    if (sym < 0) return 2;
    return lmn_dim_sym_name(p, (size_t)sym)[0] ? 3 : 1;
}

bool lmn_dim_unify(const lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out)
{
    const int know_a = knowledge(p, a), know_b = knowledge(p, b);
    if (know_a && know_b && a != b) {
        int64_t lo_a, hi_a, lo_b, hi_b;
        lmn_dim_range(p, a, &lo_a, &hi_a);
        lmn_dim_range(p, b, &lo_b, &hi_b);
        if (hi_a < lo_b || hi_b < lo_a) return false;
        dim_poly x, y;
        if (lmn_poly_of(p, a, &x) && lmn_poly_of(p, b, &y) && lmn_poly_add(&x, -1, &y)) {
            const dim_range gap = lmn_poly_range(p, &x);
            if (gap.lo > 0 || gap.hi < 0) return false;
        }
    }
    *out = know_b > know_a ? b : a;
    return true;
}

bool lmn_dim_is_capped(const lmn_dim_pool *p, lmn_dim m, lmn_dim d)
{
    if (!p || lmn_dim_is_const(m) || !lmn_dim_known(m) || !lmn_dim_known(d)) return false;
    const dim_node *n = lmn_dim_node(p, m);
    bool found = false;
    for (int32_t i = 0; n->op == DIM_MIN && i < n->n; i++) {
        if (n->arg[i] == d)
            found = true;
        else if (!lmn_dim_is_const(n->arg[i]) || lmn_dim_value(n->arg[i]) < 2)
            return false;
    }
    return found;
}
