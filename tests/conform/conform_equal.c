/*
 * Whether a value is the expected one: kind, type, shape and, if asked, data. Integers, strings and
 * complex numbers must be equal; floats within rtol 1e-3 and atol 1e-5 scaled by the largest
 * expected magnitude, small floats within 5e-3, bf16 within two units of its last place (2^-6) as
 * the ONNX project's own runner has it.
 */
#include "conform.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensor/tensor.h"

static bool is_small_float(lamina_dtype dt)
{
    return dt == LAMINA_F16 || dt == LAMINA_BF16 ||
           (dt >= LAMINA_F8E4M3FN && dt <= LAMINA_F8E5M2FNUZ);
}

static double magnitude(const lamina_tensor *t, int64_t n)
{
    double m = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(lmn_get_f64(t, i));
        if (isfinite(v) && v > m) m = v;
    }
    return m;
}

static bool floats_equal(const lamina_tensor *got, const lamina_tensor *want, int64_t n, char *why,
                         size_t cap)
{
    const bool small = is_small_float(want->dtype);
    const double rtol = want->dtype == LAMINA_BF16 ? 1.0 / 64
                        : small                    ? 5e-3
                                                   : 1e-3,
                 atol = (small ? 1e-3 : 1e-5) * fmax(1.0, magnitude(want, n));
    for (int64_t i = 0; i < n; i++) {
        double g = lmn_get_f64(got, i), w = lmn_get_f64(want, i);
        if (isnan(g) && isnan(w)) continue;
        if (g == w) continue;
        if (!isfinite(g) || !isfinite(w) || fabs(g - w) > atol + rtol * fabs(w)) {
            (void)snprintf(why, cap, "element %lld is %.9g, expected %.9g", (long long)i, g, w);
            return false;
        }
    }
    return true;
}

static bool values_equal(const lamina_tensor *got, const lamina_tensor *want, char *why, size_t cap)
{
    const int64_t n = lamina_tensor_count(want);
    lmn_dclass c = lmn_dtype_class(want->dtype);
    if (c == LMN_CLASS_STRING) {
        for (int64_t i = 0; i < n; i++) {
            size_t a, b;
            const char *x = lamina_tensor_string(got, i, &a),
                       *y = lamina_tensor_string(want, i, &b);
            if (a == b && memcmp(x, y, a) == 0) continue;
            (void)snprintf(why, cap, "string %lld is \"%.40s\", expected \"%.40s\"", (long long)i,
                           x, y);
            return false;
        }
        return true;
    }
    if (c == LMN_CLASS_FLOAT) return floats_equal(got, want, n, why, cap);
    if (c == LMN_CLASS_COMPLEX) {
        if (memcmp(got->data, want->data, want->data_bytes) == 0) return true;
        (void)snprintf(why, cap, "complex values differ");
        return false;
    }
    for (int64_t i = 0; i < n; i++)
        if (lmn_get_i64(got, i) != lmn_get_i64(want, i)) {
            (void)snprintf(why, cap, "element %lld is %lld, expected %lld", (long long)i,
                           (long long)lmn_get_i64(got, i), (long long)lmn_get_i64(want, i));
            return false;
        }
    return true;
}

static bool same_element(const lamina_tensor *a, int64_t i, const lamina_tensor *b, int64_t j)
{
    if (a->dtype != LAMINA_STRING) return lmn_get_i64(a, i) == lmn_get_i64(b, j);
    size_t n, m;
    const char *x = lamina_tensor_string(a, i, &n), *y = lamina_tensor_string(b, j, &m);
    return n == m && memcmp(x, y, n) == 0;
}

/* Entry by entry: the value of each key, the order has no meaning. */
static bool maps_equal(const lamina_tensor *got, const lamina_tensor *want, bool values, char *why,
                       size_t cap)
{
    const lamina_tensor *keys = lamina_map_keys(want), *got_keys = lamina_map_keys(got);
    const int64_t n = lamina_tensor_count(want);
    if (lamina_tensor_count(got) != n || keys->dtype != got_keys->dtype)
        return (void)snprintf(why, cap, "the map's size or key type differs"), false;
    lamina_tensor a = *lamina_map_values(got), b = *lamina_map_values(want);
    const size_t size = a.dtype == LAMINA_STRING ? sizeof(lmn_str) : lmn_dtype_bytes(a.dtype);
    a.rank = b.rank = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        while (at < n && !same_element(got_keys, at, keys, i)) at++;
        if (at == n) return (void)snprintf(why, cap, "a key is missing"), false;
        a.data = (uint8_t *)lamina_map_values(got)->data + (size_t)at * size;
        b.data = (uint8_t *)lamina_map_values(want)->data + (size_t)i * size;
        if (!conform_equal(&a, &b, values, why, cap)) return false;
    }
    return true;
}

bool conform_equal(const lamina_tensor *got, const lamina_tensor *want, bool values, char *why,
                   size_t cap)
{
    if (got->kind != want->kind) return (void)snprintf(why, cap, "kind differs"), false;
    if (want->kind == LAMINA_KIND_NONE) return true;
    if (want->kind == LAMINA_KIND_SEQUENCE) {
        if (got->n_items != want->n_items)
            return (void)snprintf(why, cap, "sequence length differs"), false;
        for (int64_t i = 0; i < want->n_items; i++)
            if (!conform_equal(got->items[i], want->items[i], values, why, cap)) return false;
        return true;
    }
    if (want->kind == LAMINA_KIND_MAP && got->dtype == want->dtype)
        return maps_equal(got, want, values, why, cap);
    if (got->dtype != want->dtype)
        return (void)snprintf(why, cap, "type is %s, expected %s", lamina_dtype_name(got->dtype),
                              lamina_dtype_name(want->dtype)),
               false;
    if (!lmn_dims_equal(got->rank, got->dims, want->rank, want->dims)) {
        int o = snprintf(why, cap, "shape is [");
        for (int32_t i = 0; i < got->rank; i++)
            o += snprintf(why + o, cap - (size_t)o, "%lld ", (long long)got->dims[i]);
        o += snprintf(why + o, cap - (size_t)o, "], expected [");
        for (int32_t i = 0; i < want->rank; i++)
            o += snprintf(why + o, cap - (size_t)o, "%lld ", (long long)want->dims[i]);
        (void)snprintf(why + o, cap - (size_t)o, "]");
        return false;
    }
    return !values || values_equal(got, want, why, cap);
}
