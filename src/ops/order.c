/*
 * Comparison of slices and a bottom-up merge sort of their indices.
 */
#include "ops/order.h"

#include <math.h>
#include <string.h>

lamina_status lmn_order_make(lmn_eval *ec, const lamina_tensor *x, lmn_order *o)
{
    const int64_t n = lmn_count(x);
    const lmn_dclass c = lmn_dtype_class(x->dtype);
    *o = (lmn_order){.parts = c == LMN_CLASS_COMPLEX ? 2 : 1,
                     .outer = 1,
                     .extent = n,
                     .inner = 1,
                     .is_unsigned = x->dtype == LAMINA_U64};
    if (c == LMN_CLASS_STRING) {
        o->str = x->data;
        return LAMINA_OK;
    }
    size_t bytes = 0;
    void *keys =
        lmn_mul_size((size_t)n, 8 * (size_t)o->parts, &bytes) ? lmn_scratch(ec, bytes + 1) : NULL;
    if (!keys) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld keys", (long long)n);
    const bool real = c == LMN_CLASS_FLOAT || c == LMN_CLASS_COMPLEX;
    const lamina_dtype wide = !real ? LAMINA_I64 : o->parts == 2 ? LAMINA_C128 : LAMINA_F64;
    lmn_convert(wide, keys, x->dtype, x->data, n, false);
    if (real)
        o->real = keys;
    else
        o->ints = keys;
    return LAMINA_OK;
}

static int compare_real(double a, double b)
{
    if (isnan(a) || isnan(b)) return (isnan(a) ? 1 : 0) - (isnan(b) ? 1 : 0);
    return (a > b) - (a < b);
}

static int compare_str(const lmn_str *a, const lmn_str *b)
{
    const size_t n = a->n < b->n ? a->n : b->n;
    const int c = n ? memcmp(a->p, b->p, n) : 0;
    return c ? c : (a->n > b->n) - (a->n < b->n);
}

static int compare_at(const lmn_order *o, int64_t a, int64_t b)
{
    if (o->str) return compare_str(&o->str[a], &o->str[b]);
    if (o->real) {
        int c = 0;
        for (int32_t k = 0; k < o->parts && c == 0; k++)
            c = compare_real(o->real[a * o->parts + k], o->real[b * o->parts + k]);
        return c;
    }
    if (o->is_unsigned) {
        const uint64_t x = (uint64_t)o->ints[a], y = (uint64_t)o->ints[b];
        return (x > y) - (x < y);
    }
    return (o->ints[a] > o->ints[b]) - (o->ints[a] < o->ints[b]);
}

int lmn_order_compare(const lmn_order *o, int64_t a, int64_t b)
{
    for (int64_t i = 0; i < o->outer; i++)
        for (int64_t k = 0; k < o->inner; k++) {
            const int c = compare_at(o, (i * o->extent + a) * o->inner + k,
                                     (i * o->extent + b) * o->inner + k);
            if (c) return c;
        }
    return 0;
}

void lmn_order_sort(const lmn_order *o, int64_t *idx, int64_t *tmp, int64_t n)
{
    int64_t *from = idx, *to = tmp;
    for (int64_t i = 0; i < n; i++) idx[i] = i;
    for (int64_t width = 1; width < n; width *= 2) {
        for (int64_t lo = 0; lo < n; lo += 2 * width) {
            const int64_t mid = lmn_min_i64(lo + width, n), hi = lmn_min_i64(lo + 2 * width, n);
            int64_t a = lo, b = mid;
            for (int64_t k = lo; k < hi; k++) {
                const bool left =
                    a < mid && (b >= hi || lmn_order_compare(o, from[a], from[b]) <= 0);
                to[k] = left ? from[a++] : from[b++];
            }
        }
        int64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != idx && n > 0) memcpy(idx, from, (size_t)n * sizeof *idx);
}
