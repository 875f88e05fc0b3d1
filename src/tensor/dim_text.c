/*
 * What a symbolic dimension is worth once its symbols have values, and how it reads. Both walk the
 * expression as a tree; DIM_MAX_WEIGHT bounds the walk.
 */
#include "base/error.h"
#include "tensor/dim_pool.h"

#include <string.h>

static bool floor_checked(int64_t a, int64_t b, int64_t *out)
{
    if (b == 0 || (a == INT64_MIN && b == -1)) return false;
    *out = a / b - (a % b != 0 && (a < 0) != (b < 0));
    return true;
}

static bool eval_node(const lmn_dim_pool *p, const dim_node *n, const int64_t *values, int64_t *out)
{
    if (n->op == DIM_SYM) {
        *out = values[n->k0];
        return *out >= 0 && *out < LMN_DIM_MAX_CONST;
    }
    int64_t acc = n->op == DIM_AFFINE ? n->k0 : 0;
    for (int32_t i = 0; i < n->n; i++) {
        int64_t v;
        if (!lmn_dim_eval(p, n->arg[i], values, &v)) return false;
        if (n->op == DIM_AFFINE) {
            if (!lmn_mul_i64(n->k[i], v, &v) || __builtin_add_overflow(acc, v, &acc)) return false;
        } else if (i == 0) {
            acc = v;
        } else if (n->op == DIM_PROD) {
            if (!lmn_mul_i64(acc, v, &acc)) return false;
        } else if (n->op == DIM_FLOOR) {
            if (!floor_checked(acc, v, &acc)) return false;
        } else {
            acc = n->op == DIM_MIN ? lmn_min_i64(acc, v) : lmn_max_i64(acc, v);
        }
    }
    *out = acc;
    return true;
}

bool lmn_dim_eval(const lmn_dim_pool *p, lmn_dim d, const int64_t *sym_values, int64_t *out)
{
    if (lmn_dim_is_const(d)) {
        *out = lmn_dim_value(d);
        return true;
    }
    int64_t v;
    if (!p || !lmn_dim_known(d) || !eval_node(p, lmn_dim_node(p, d), sym_values, &v)) return false;
    *out = v;
    return true;
}

/* Text that grows at the end of a fixed buffer. */
typedef struct text {
    const lmn_dim_pool *p;
    bool exact; /* a name that is no identifier is written as $number */
    char *buf;
    size_t cap, n;
} text;

static void put(text *t, const char *s)
{
    t->n += lmn_format(t->buf + t->n, t->cap - t->n, "%s", s);
}

static void put_int(text *t, int64_t v)
{
    t->n += lmn_format(t->buf + t->n, t->cap - t->n, "%lld", (long long)v);
}

static bool is_identifier(const char *s)
{
    static const char *const TAKEN[] = {"min", "max", "floor"};
    for (size_t i = 0; i < LMN_COUNT(TAKEN); i++)
        if (strcmp(s, TAKEN[i]) == 0) return false;
    for (size_t i = 0; s[i]; i++) {
        const bool letter = (s[i] >= 'a' && s[i] <= 'z') || (s[i] >= 'A' && s[i] <= 'Z');
        if (!letter && s[i] != '_' && !(i > 0 && s[i] >= '0' && s[i] <= '9')) return false;
    }
    return s[0] != 0;
}

static void put_symbol(text *t, int64_t sym)
{
    const char *name = t->p->syms[sym].name;
    if (t->exact && !is_identifier(name)) {
        put(t, "$");
        put_int(t, sym);
        return;
    }
    put(t, name[0] ? "" : "?");
    if (!name[0]) put_int(t, sym);
    t->n += lmn_format_name(t->buf + t->n, t->cap - t->n, name, strlen(name));
}

static void put_dim(text *t, lmn_dim d, bool parens);

static void put_affine(text *t, const dim_node *n)
{
    for (int32_t i = 0; i < n->n; i++) {
        const int64_t k = n->k[i];
        put(t, i == 0 ? (k < 0 ? "-" : "") : k < 0 ? " - " : " + ");
        if (k != 1 && k != -1) {
            put_int(t, k < 0 ? -k : k);
            put(t, "*");
        }
        put_dim(t, n->arg[i], false);
    }
    if (n->k0) {
        put(t, n->k0 < 0 ? " - " : " + ");
        put_int(t, n->k0 < 0 ? -n->k0 : n->k0);
    }
}

static void put_list(text *t, const dim_node *n, const char *open, const char *between,
                     const char *close)
{
    const bool parens = n->op == DIM_FLOOR;
    put(t, open);
    for (int32_t i = 0; i < n->n; i++) {
        if (i) put(t, between);
        put_dim(t, n->arg[i], parens);
    }
    put(t, close);
}

static void put_dim(text *t, lmn_dim d, bool parens)
{
    if (lmn_dim_is_const(d)) {
        put_int(t, lmn_dim_value(d));
        return;
    }
    if (!t->p || !lmn_dim_known(d)) {
        put(t, "?");
        return;
    }
    const dim_node *n = lmn_dim_node(t->p, d);
    /* A divisor "2*N" needs parentheses as well as a sum does. */
    parens = parens && (n->op == DIM_AFFINE || n->op == DIM_PROD);
    if (parens) put(t, "(");
    switch (n->op) {
    case DIM_SYM: put_symbol(t, n->k0); break;
    case DIM_AFFINE: put_affine(t, n); break;
    case DIM_PROD: put_list(t, n, "", "*", ""); break;
    case DIM_FLOOR: put_list(t, n, "floor(", "/", ")"); break;
    case DIM_MIN: put_list(t, n, "min(", ", ", ")"); break;
    case DIM_MAX: put_list(t, n, "max(", ", ", ")"); break;
    }
    if (parens) put(t, ")");
}

size_t lmn_dim_format(const lmn_dim_pool *p, lmn_dim d, char *buf, size_t cap)
{
    text t = {p, false, buf, cap, 0};
    if (cap == 0) return 0;
    buf[0] = 0;
    put_dim(&t, d, false);
    return t.n;
}

size_t lmn_dim_format_exact(const lmn_dim_pool *p, lmn_dim d, char *buf, size_t cap)
{
    text t = {p, true, buf, cap, 0};
    if (cap == 0) return 0;
    buf[0] = 0;
    put_dim(&t, d, false);
    return t.n;
}
