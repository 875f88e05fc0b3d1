/*
 * Facts and tensors of the text form (text_values.h). Sizes are compared with what the text can
 * hold before they cost memory.
 */
#include "graph/text_values.h"

#include <string.h>

#define NAME_BYTES 160

bool lmn_read_nomem(lmn_reader *p)
{
    return lmn_lex_fail(&p->x, LAMINA_E_NOMEM, "out of memory");
}

/* ---- dims and facts ----------------------------------------------------------------------------
 */

static bool parse_sum(lmn_reader *p, lmn_graph *g, lmn_dim *out);

static bool parse_call(lmn_reader *p, lmn_graph *g, char kind, lmn_dim *out)
{
    lmn_dim b;
    if (!lmn_lex_need(&p->x, '(') || !parse_sum(p, g, out)) return false;
    while (lmn_lex_take(&p->x, kind == 'f' ? '/' : ',')) {
        if (!parse_sum(p, g, &b)) return false;
        *out = kind == 'f'   ? lmn_dim_floordiv(g->dims, *out, b)
               : kind == 'm' ? lmn_dim_min(g->dims, *out, b)
                             : lmn_dim_max(g->dims, *out, b);
    }
    return lmn_lex_need(&p->x, ')');
}

static bool parse_symbol(lmn_reader *p, lmn_graph *g, lmn_dim *out)
{
    char name[NAME_BYTES];
    size_t n = 0;
    int64_t k;
    if (lmn_lex_take(&p->x, '$')) {
        if (!lmn_lex_i64(&p->x, &k)) return false;
        if (k < 0 || (size_t)k >= lmn_dim_sym_count(g->dims))
            return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "there is no symbol $%lld", (long long)k);
        *out = lmn_dim_sym_at(g->dims, (size_t)k);
        return true;
    }
    const char *s = p->x.p;
    while (s + n < p->x.end && n + 1 < sizeof name &&
           ((s[n] >= 'a' && s[n] <= 'z') || (s[n] >= 'A' && s[n] <= 'Z') || s[n] == '_' ||
            (s[n] >= '0' && s[n] <= '9')))
        n++;
    if (n == 0) return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "expected a dimension");
    memcpy(name, s, n);
    name[n] = 0;
    p->x.p += n;
    *out = lmn_dim_sym(g->dims, name);
    return true;
}

static bool parse_atom(lmn_reader *p, lmn_graph *g, lmn_dim *out)
{
    int64_t k;
    if (lmn_lex_take(&p->x, '?')) return *out = LMN_DIM_UNKNOWN, true;
    if (lmn_lex_take(&p->x, '(')) return parse_sum(p, g, out) && lmn_lex_need(&p->x, ')');
    if (lmn_lex_word(&p->x, "floor")) return parse_call(p, g, 'f', out);
    if (lmn_lex_word(&p->x, "min")) return parse_call(p, g, 'm', out);
    if (lmn_lex_word(&p->x, "max")) return parse_call(p, g, 'M', out);
    if (p->x.p < p->x.end && (*p->x.p == '-' || (*p->x.p >= '0' && *p->x.p <= '9'))) {
        if (*p->x.p == '-' && p->x.end - p->x.p > 1 && (p->x.p[1] < '0' || p->x.p[1] > '9')) {
            p->x.p++;
            if (!parse_atom(p, g, out)) return false;
            *out = lmn_dim_mul(g->dims, lmn_dim_c(-1), *out);
            return true;
        }
        if (!lmn_lex_i64(&p->x, &k)) return false;
        *out = lmn_dim_c(k);
        return true;
    }
    return parse_symbol(p, g, out);
}

static bool parse_product(lmn_reader *p, lmn_graph *g, lmn_dim *out)
{
    lmn_dim b;
    if (!parse_atom(p, g, out)) return false;
    while (lmn_lex_take(&p->x, '*')) {
        if (!parse_atom(p, g, &b)) return false;
        *out = lmn_dim_mul(g->dims, *out, b);
    }
    return true;
}

static bool parse_sum(lmn_reader *p, lmn_graph *g, lmn_dim *out)
{
    lmn_dim b;
    if (++p->depth > LMN_TEXT_MAX_DEPTH)
        return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "nested deeper than %d", LMN_TEXT_MAX_DEPTH);
    bool ok = parse_product(p, g, out);
    while (ok) {
        const bool plus = lmn_lex_take(&p->x, '+');
        if (!plus && !lmn_lex_take(&p->x, '-')) break;
        ok = parse_product(p, g, &b);
        if (ok) *out = plus ? lmn_dim_add(g->dims, *out, b) : lmn_dim_sub(g->dims, *out, b);
    }
    p->depth--;
    return ok;
}

static bool parse_dtype(lmn_reader *p, lamina_dtype *out)
{
    char name[NAME_BYTES];
    *out = LAMINA_DTYPE_NONE;
    if (lmn_lex_take(&p->x, '?')) return true;
    if (!lmn_lex_name(&p->x, name, sizeof name)) return false;
    *out = lmn_dtype_from_name(name);
    return *out || lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "\"%s\" is no element type", name);
}

static bool parse_elems(lmn_reader *p, lmn_graph *g, lmn_fact *f)
{
    lmn_dim e[LMN_FACT_MAX_ELEMS];
    int32_t n = 0;
    if (!lmn_lex_need(&p->x, '[')) return false;
    while (!lmn_lex_take(&p->x, ']')) {
        if (n && !lmn_lex_need(&p->x, ',')) return false;
        if (n == LMN_FACT_MAX_ELEMS)
            return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "more than %d elements", n);
        if (!parse_sum(p, g, &e[n++])) return false;
    }
    f->n_elems = n;
    f->elems = lmn_arena_dup(&g->arena, e, (size_t)n * sizeof *e);
    return f->elems || lmn_read_nomem(p);
}

/* "[...]" or "[1,N]" behind the type. */
static bool parse_dims(lmn_reader *p, lmn_graph *g, lmn_fact *f)
{
    if (lmn_lex_word(&p->x, "...")) return lmn_lex_need(&p->x, ']');
    f->rank = 0;
    while (!lmn_lex_take(&p->x, ']')) {
        if (f->rank == LMN_MAX_RANK)
            return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "the rank is above %d", LMN_MAX_RANK);
        if (f->rank && !lmn_lex_need(&p->x, ',')) return false;
        if (!parse_sum(p, g, &f->dims[f->rank++])) return false;
    }
    return true;
}

/* "(int64,float32)" behind "map". */
static bool parse_map(lmn_reader *p, lmn_fact *f)
{
    lamina_dtype key;
    if (!lmn_lex_need(&p->x, '(') || !parse_dtype(p, &key) || !lmn_lex_need(&p->x, ','))
        return false;
    if (key != LAMINA_I64 && key != LAMINA_STRING)
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "the keys of a map are int64 or string");
    f->key = (uint8_t)key;
    if (f->kind == LMN_FACT_TENSOR) f->kind = LMN_FACT_MAP;
    return parse_dtype(p, &f->dtype) && lmn_lex_need(&p->x, ')');
}

/* What one stands in: any(), seq(), optional(), optional(seq()); returns how many to close. */
static int parse_wraps(lmn_reader *p, lmn_fact *f)
{
    if (lmn_lex_word(&p->x, "any")) f->kind = LMN_FACT_UNKNOWN;
    if (f->kind == LMN_FACT_UNKNOWN) return lmn_lex_need(&p->x, '(') ? 1 : -1;
    const bool optional = lmn_lex_word(&p->x, "optional");
    if (optional && !lmn_lex_need(&p->x, '(')) return -1;
    if (lmn_lex_word(&p->x, "seq")) {
        f->kind = LMN_FACT_SEQUENCE;
        f->maybe = optional;
        return lmn_lex_need(&p->x, '(') ? 1 + optional : -1;
    }
    if (optional) f->kind = LMN_FACT_OPTIONAL;
    return optional;
}

bool lmn_read_fact(lmn_reader *p, lmn_graph *g, lmn_fact *f)
{
    *f = lmn_fact_tensor(LAMINA_DTYPE_NONE, -1);
    const int wraps = parse_wraps(p, f);
    if (wraps < 0) return false;
    if (lmn_lex_word(&p->x, "map")) {
        if (f->kind == LMN_FACT_OPTIONAL) *f = (lmn_fact){.kind = LMN_FACT_TENSOR, .maybe = true};
        f->rank = f->n_elems = -1;
        if (!parse_map(p, f)) return false;
    } else {
        if (!parse_dtype(p, &f->dtype)) return false;
        if (!lmn_lex_take(&p->x, '[')) {
            if (f->dtype || wraps) return lmn_lex_need(&p->x, '[');
            *f = lmn_fact_unknown();
            return true;
        }
        if (!parse_dims(p, g, f)) return false;
    }
    for (int i = 0; i < wraps; i++)
        if (!lmn_lex_need(&p->x, ')')) return false;
    return !lmn_lex_word(&p->x, "elems") || parse_elems(p, g, f);
}

/* ---- tensors -----------------------------------------------------------------------------------
 */

static bool parse_element(lmn_reader *p, lmn_arena *tmp, lamina_tensor *t, int64_t i)
{
    const lmn_dclass c = lmn_dtype_class(t->dtype);
    if (c == LMN_CLASS_STRING) {
        char *s;
        size_t n;
        if (!lmn_lex_string(&p->x, tmp, &s, &n)) return false;
        return lamina_tensor_set_string(t, i, s, n) == LAMINA_OK || lmn_read_nomem(p);
    }
    double f;
    int64_t k;
    if (c == LMN_CLASS_FLOAT) {
        if (!lmn_lex_f64(&p->x, &f)) return false;
        lmn_set_f64(t, i, f);
        return true;
    }
    if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT && c != LMN_CLASS_BOOL)
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "this type is written as hex:");
    if (t->dtype == LAMINA_U64) {
        uint64_t u;
        if (!lmn_lex_u64(&p->x, &u)) return false;
        k = (int64_t)u;
    } else if (!lmn_lex_i64(&p->x, &k)) {
        return false;
    }
    lmn_set_i64(t, i, k);
    return true;
}

/* Does the text that is left have room for n values? The tightest is hex: of 2-bit types. */
static bool room_for(const lmn_reader *p, int64_t n)
{
    return n >= 0 && (uint64_t)n / 4 <= (uint64_t)(p->x.end - p->x.p);
}

static bool fill_tensor(lmn_reader *p, lamina_tensor *t)
{
    const int64_t n = lmn_count(t);
    if (lmn_lex_word(&p->x, "hex:")) {
        if (t->dtype == LAMINA_STRING)
            return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "strings are written as a list");
        return t->data_bytes == 0 || lmn_lex_hex(&p->x, t->data, t->data_bytes);
    }
    if (lmn_lex_word(&p->x, "sha256:"))
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT,
                            "the text is a summary, its tensors cannot be read back");
    if (!lmn_lex_need(&p->x, '[')) return false;
    lmn_arena tmp;
    lmn_arena_init(&tmp, &p->engine->alloc, 0);
    bool ok = true;
    for (int64_t i = 0; ok && i < n; i++) {
        if (i) ok = lmn_lex_need(&p->x, ',');
        (void)lmn_lex_at_end(&p->x);
        ok = ok && parse_element(p, &tmp, t, i);
    }
    lmn_arena_finish(&tmp);
    return ok && lmn_lex_need(&p->x, ']');
}

bool lmn_read_tensor(lmn_reader *p, lamina_tensor **out)
{
    lamina_dtype dt;
    int64_t dims[LMN_MAX_RANK], count;
    size_t bytes;
    int32_t rank = 0;
    *out = NULL;
    if (!parse_dtype(p, &dt) || !lmn_lex_need(&p->x, '[')) return false;
    while (!lmn_lex_take(&p->x, ']')) {
        if (rank == LMN_MAX_RANK)
            return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "the rank is above %d", LMN_MAX_RANK);
        if (rank && !lmn_lex_need(&p->x, ',')) return false;
        if (!lmn_lex_i64(&p->x, &dims[rank++])) return false;
    }
    if (!dt || !lmn_dims_count(rank, dims, &count) || !lmn_dense_bytes(dt, count, &bytes) ||
        !room_for(p, count))
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "the text is too short for this tensor");
    const lamina_status st = lamina_tensor_create(p->engine, dt, rank, dims, out);
    if (st != LAMINA_OK) return lmn_lex_fail(&p->x, st, "no tensor of this size");
    if (fill_tensor(p, *out)) return true;
    lamina_tensor_unref(*out);
    *out = NULL;
    return false;
}
