/*
 * Facts: making, meeting and printing them. A fact may only grow more precise; what contradicts is
 * reported to the caller, who knows the sentence to say about it.
 */
#include "ops/fact.h"

#include "base/error.h"

lmn_fact lmn_fact_tensor(lamina_dtype dtype, int32_t rank)
{
    lmn_fact f = {.kind = LMN_FACT_TENSOR, .dtype = dtype, .rank = rank, .n_elems = -1};
    for (int32_t i = 0; i < LMN_MAX_RANK; i++) f.dims[i] = LMN_DIM_UNKNOWN;
    return f;
}

static void take_elems(lmn_fact *f, const lamina_tensor *t, lmn_arena *arena)
{
    const lmn_dclass c = lmn_dtype_class(t->dtype);
    if (c != LMN_CLASS_SINT && c != LMN_CLASS_UINT && c != LMN_CLASS_BOOL) return;
    const int64_t n = lmn_count(t);
    if (!arena || t->strided || n > LMN_FACT_MAX_ELEMS || (n > 0 && !t->data)) return;
    f->elems = LMN_ARENA_ARRAY(arena, lmn_dim, (size_t)n);
    if (!f->elems) return;
    for (int64_t i = 0; i < n; i++) {
        int64_t v = lmn_get_i64(t, i);
        /* An unsigned value past INT64_MAX must not come back as a negative number. */
        if (t->dtype == LAMINA_U64 && v < 0) v = INT64_MAX;
        f->elems[i] = lmn_dim_c(v);
    }
    f->n_elems = (int32_t)n;
}

static lmn_fact fact_of_sequence(const lamina_tensor *t)
{
    lmn_fact f = lmn_fact_tensor(t->dtype, -1);
    f.key = (uint8_t)lmn_map_key(t);
    for (int64_t i = 0; i < t->n_items; i++) {
        const lamina_tensor *item = t->items[i];
        if (item->kind != LAMINA_KIND_TENSOR) return (f.kind = LMN_FACT_SEQUENCE, f.rank = -1, f);
        if (i == 0) {
            f = lmn_fact_of(item, NULL);
        } else if (f.rank != item->rank) {
            f.rank = -1;
            break;
        }
        for (int32_t d = 0; d < item->rank; d++)
            if (f.dims[d] != lmn_dim_c(item->dims[d])) f.dims[d] = LMN_DIM_UNKNOWN;
    }
    f.kind = LMN_FACT_SEQUENCE;
    f.dtype = t->dtype;
    return f;
}

lmn_fact lmn_fact_of(const lamina_tensor *t, lmn_arena *arena)
{
    if (t->kind == LAMINA_KIND_SEQUENCE) return fact_of_sequence(t);
    lmn_fact f = lmn_fact_tensor(t->dtype, t->rank);
    if (t->kind == LAMINA_KIND_NONE) {
        f.kind = LMN_FACT_OPTIONAL;
        f.rank = -1;
        return f;
    }
    if (t->kind == LAMINA_KIND_MAP) {
        f.kind = LMN_FACT_MAP;
        f.key = (uint8_t)lmn_map_key(t);
        f.rank = -1;
        return f;
    }
    for (int32_t i = 0; i < t->rank; i++) f.dims[i] = lmn_dim_c(t->dims[i]);
    take_elems(&f, t, arena);
    return f;
}

lmn_dim lmn_fact_count(lmn_dim_pool *p, const lmn_fact *f)
{
    if (f->kind != LMN_FACT_TENSOR || f->rank < 0) return LMN_DIM_UNKNOWN;
    lmn_dim n = lmn_dim_c(1);
    for (int32_t i = 0; i < f->rank; i++) n = lmn_dim_mul(p, n, f->dims[i]);
    return n;
}

bool lmn_fact_static(const lmn_fact *f, int64_t *dims)
{
    if (f->kind != LMN_FACT_TENSOR || f->rank < 0) return false;
    for (int32_t i = 0; i < f->rank; i++)
        if (!lmn_dim_is_const(f->dims[i])) return false;
    for (int32_t i = 0; i < f->rank; i++) dims[i] = lmn_dim_value(f->dims[i]);
    return true;
}

static bool unify_elems(const lmn_dim_pool *p, lmn_fact *f, const lmn_fact *other)
{
    if (other->n_elems < 0) return true;
    if (f->n_elems < 0) {
        f->n_elems = other->n_elems;
        f->elems = other->elems;
        return true;
    }
    if (f->n_elems != other->n_elems) return false;
    /* Written only where something is learned: the array may be shared with another fact, and what
       holds for equal values holds for both. */
    for (int32_t i = 0; i < f->n_elems; i++) {
        lmn_dim d;
        if (!lmn_dim_unify(p, f->elems[i], other->elems[i], &d)) return false;
        if (d != f->elems[i]) f->elems[i] = d;
    }
    return true;
}

bool lmn_fact_unify(const lmn_dim_pool *p, lmn_fact *f, const lmn_fact *other)
{
    if (other->kind == LMN_FACT_UNKNOWN && other->dtype == LAMINA_DTYPE_NONE) return true;
    if (f->kind == LMN_FACT_UNKNOWN) {
        if (f->dtype && other->dtype && f->dtype != other->dtype) return false;
        const lamina_dtype dt = f->dtype ? f->dtype : other->dtype;
        *f = *other;
        f->dtype = dt;
        return true;
    }
    if (other->kind != LMN_FACT_UNKNOWN && f->kind != other->kind) return false;
    if (f->dtype && other->dtype && f->dtype != other->dtype) return false;
    if (f->key != other->key) return false;
    lmn_fact r = *f;
    r.maybe &= other->maybe;
    if (!r.dtype) r.dtype = other->dtype;
    if (r.rank < 0) {
        r.rank = other->rank;
        for (int32_t i = 0; i < other->rank; i++) r.dims[i] = other->dims[i];
    } else if (other->rank >= 0) {
        if (r.rank != other->rank) return false;
        for (int32_t i = 0; i < r.rank; i++)
            if (!lmn_dim_unify(p, r.dims[i], other->dims[i], &r.dims[i])) return false;
    }
    if (!unify_elems(p, &r, other)) return false;
    *f = r;
    return true;
}

size_t lmn_fact_format(const lmn_dim_pool *p, const lmn_fact *f, char *buf, size_t cap)
{
    if (f->kind == LMN_FACT_UNKNOWN && !f->dtype) return lmn_format(buf, cap, "?");
    const bool maybe = f->maybe || f->kind == LMN_FACT_OPTIONAL, seq = f->kind == LMN_FACT_SEQUENCE;
    const char *dtype = f->dtype ? lamina_dtype_name(f->dtype) : "?";
    size_t n = lmn_format(buf, cap, "%s%s", maybe ? "optional(" : "", seq ? "seq(" : "");
    if (f->key) {
        n += lmn_format(buf + n, cap - n, "map(%s,%s)", lamina_dtype_name(f->key), dtype);
    } else {
        n += lmn_format(buf + n, cap - n, "%s[%s", dtype, f->rank < 0 ? "..." : "");
        for (int32_t i = 0; i < f->rank; i++) {
            if (i) n += lmn_format(buf + n, cap - n, ",");
            n += lmn_dim_format(p, f->dims[i], buf + n, cap - n);
        }
        n += lmn_format(buf + n, cap - n, "]");
    }
    return n + lmn_format(buf + n, cap - n, "%s%s", maybe ? ")" : "", seq ? ")" : "");
}

double lmn_fact_size(const lmn_fact *f)
{
    double n = 1;
    if (f->kind == LMN_FACT_UNKNOWN || f->rank < 0) return n;
    for (int32_t i = 0; i < f->rank; i++)
        if (lmn_dim_is_const(f->dims[i])) n *= (double)lmn_dim_value(f->dims[i]);
    return n;
}

double lmn_fact_bytes(const lmn_fact *f)
{
    return lmn_fact_size(f) * (double)lamina_dtype_bits(f->dtype) / 8.0;
}
