/*
 * Comparing a value with what it should be, down to the first element that differs.
 */
#include "cli_value.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool exact(lamina_dtype dt)
{
    switch (dt) {
    case LAMINA_F32:
    case LAMINA_F64:
    case LAMINA_C64:
    case LAMINA_C128:
    case LAMINA_F16:
    case LAMINA_BF16:
    case LAMINA_F8E4M3FN:
    case LAMINA_F8E4M3FNUZ:
    case LAMINA_F8E5M2:
    case LAMINA_F8E5M2FNUZ: return false;
    default: return true;
    }
}

/* One step of the type: results one rounding apart are the same answer. */
static double type_step(lamina_dtype dt)
{
    switch (dt) {
    case LAMINA_BF16: return 0x1p-7;
    case LAMINA_F8E4M3FN:
    case LAMINA_F8E4M3FNUZ: return 0x1p-3;
    case LAMINA_F8E5M2:
    case LAMINA_F8E5M2FNUZ: return 0x1p-2;
    default: return 1e-3;
    }
}

static void place(const lamina_tensor *t, int64_t i, char *buf, size_t cap)
{
    int64_t at[LAMINA_MAX_RANK];
    const int32_t rank = lamina_tensor_rank(t);
    for (int32_t k = rank - 1; k >= 0; k--) {
        const int64_t d = lamina_tensor_dims(t)[k];
        at[k] = i % d;
        i /= d;
    }
    size_t n = strlen(buf);
    n += (size_t)snprintf(buf + n, cap - n, "[");
    for (int32_t k = 0; k < rank && n < cap; k++)
        n += (size_t)snprintf(buf + n, cap - n, "%s%" PRId64, k ? "," : "", at[k]);
    if (n < cap) (void)snprintf(buf + n, cap - n, "]");
}

/* Difference of two numbers; infinite when only one of them is finite or a NaN. */
static double apart(double a, double b)
{
    if (a == b || (isnan(a) && isnan(b))) return 0;
    const double d = fabs(a - b);
    return isnan(d) ? (double)INFINITY : d;
}

typedef struct limits {
    double rtol, atol;
} limits;

static limits limits_of(const lamina_tensor *want, const cli_tolerance *tol)
{
    const lamina_dtype dt = lamina_tensor_dtype(want);
    limits l = {tol->rtol, tol->atol};
    if (exact(dt)) return (limits){0, 0};
    if (l.rtol < 0) l.rtol = type_step(dt);
    if (l.atol >= 0) return l;
    double scale = 1;
    for (int64_t i = 0; i < lamina_tensor_count(want); i++) {
        double im;
        const double x = hypot(cli_element(want, i, &im), im);
        if (isfinite(x) && x > scale) scale = x;
    }
    l.atol = 1e-5 * scale;
    return l;
}

static bool strings_equal(const lamina_tensor *a, int64_t i, const lamina_tensor *b, int64_t j)
{
    size_t n, m;
    const char *x = lamina_tensor_string(a, i, &n), *y = lamina_tensor_string(b, j, &m);
    return x && y && n == m && memcmp(x, y, n) == 0;
}

/* 64-bit integers do not fit a double: they compare as bytes. */
static bool words_equal(const lamina_tensor *a, int64_t i, const lamina_tensor *b, int64_t j)
{
    const uint64_t *x = lamina_tensor_data(a), *y = lamina_tensor_data(b);
    return x[i] == y[j];
}

/* Element `at` of got beside element i of want. */
static bool element_fits(const lamina_tensor *got, int64_t at, const lamina_tensor *want, int64_t i,
                         const limits *l, cli_difference *out)
{
    const lamina_dtype dt = lamina_tensor_dtype(want);
    if (dt == LAMINA_STRING) return strings_equal(got, at, want, i);
    if ((dt == LAMINA_I64 || dt == LAMINA_U64) && words_equal(got, at, want, i)) return true;
    double a_im, b_im;
    const double a = cli_element(got, at, &a_im), b = cli_element(want, i, &b_im);
    const double d = hypot(apart(a, b), apart(a_im, b_im)), size = hypot(b, b_im);
    if (d > out->max_abs) out->max_abs = d;
    if (d > 0 && size > 0 && d / size > out->max_rel) out->max_rel = d / size;
    if (exact(dt)) return d <= 0 && dt != LAMINA_I64 && dt != LAMINA_U64;
    return d <= 0 || (isfinite(size) && d <= l->atol + l->rtol * size);
}

static void compare_tensors(const lamina_tensor *got, const lamina_tensor *want,
                            const cli_tolerance *tol, const char *prefix, cli_difference *out)
{
    const int32_t rank = lamina_tensor_rank(want);
    char a[128], b[128];
    cli_value_type(got, a, sizeof a);
    cli_value_type(want, b, sizeof b);
    if (lamina_tensor_dtype(got) != lamina_tensor_dtype(want) || lamina_tensor_rank(got) != rank ||
        (rank > 0 && memcmp(lamina_tensor_dims(got), lamina_tensor_dims(want),
                            (size_t)rank * sizeof(int64_t)) != 0)) {
        (void)snprintf(out->why, sizeof out->why, "%.20sgot %.100s, want %.100s", prefix, a, b);
        out->equal = false;
        return;
    }
    const limits l = limits_of(want, tol);
    for (int64_t i = 0; i < lamina_tensor_count(want); i++) {
        out->n++;
        if (element_fits(got, i, want, i, &l, out)) continue;
        out->equal = false;
        if (out->n_differ++) continue;
        (void)snprintf(out->where, sizeof out->where, "%s", prefix);
        place(want, i, out->where, sizeof out->where);
        cli_element_text(got, i, out->got, sizeof out->got);
        cli_element_text(want, i, out->want, sizeof out->want);
    }
}

/* Where keys, of the type of want, has key i of want; -1: nowhere. Mostly it is the same place. */
static int64_t find_key(const lamina_tensor *keys, const lamina_tensor *want, int64_t i)
{
    const int64_t n = lamina_tensor_count(keys);
    const bool text = lamina_tensor_dtype(want) == LAMINA_STRING;
    for (int64_t k = 0; k < n; k++) {
        const int64_t at = (i + k) % n;
        if (text ? strings_equal(keys, at, want, i) : words_equal(keys, at, want, i)) return at;
    }
    return -1;
}

/* Values under equal keys; the order has no meaning. */
static void compare_maps(const lamina_tensor *got, const lamina_tensor *want,
                         const cli_tolerance *tol, const char *prefix, cli_difference *out)
{
    const lamina_tensor *a = lamina_map_values(got), *b = lamina_map_values(want);
    const lamina_tensor *got_keys = lamina_map_keys(got), *keys = lamina_map_keys(want);
    char text[128] = "", other[128];
    const limits l = limits_of(b, tol);
    bool same = a && lamina_tensor_count(a) == lamina_tensor_count(b) &&
                lamina_tensor_dtype(a) == lamina_tensor_dtype(b) &&
                lamina_tensor_dtype(got_keys) == lamina_tensor_dtype(keys);
    for (int64_t i = 0; same && i < lamina_tensor_count(keys); i++) {
        const int64_t at = find_key(got_keys, keys, i);
        cli_element_text(keys, i, text, sizeof text);
        same = at >= 0;
        out->n++;
        if (!same || element_fits(a, at, b, i, &l, out)) continue;
        out->equal = false;
        if (out->n_differ++) continue;
        (void)snprintf(out->where, sizeof out->where, "%skey %.20s", prefix, text);
        cli_element_text(a, at, out->got, sizeof out->got);
        cli_element_text(b, i, out->want, sizeof out->want);
    }
    if (same) return;
    cli_value_type(got, other, sizeof other);
    (void)snprintf(out->why, sizeof out->why, "%.20sgot %.60s without key %.40s or of another type",
                   prefix, other, text);
    out->equal = false;
}

void cli_compare(const lamina_tensor *got, const lamina_tensor *want, const cli_tolerance *tol,
                 cli_difference *out)
{
    *out = (cli_difference){.equal = true};
    const lamina_kind kind = lamina_tensor_kind(want);
    char a[128], b[128], prefix[32];
    cli_value_type(got, a, sizeof a);
    cli_value_type(want, b, sizeof b);
    if (lamina_tensor_kind(got) != kind ||
        (kind == LAMINA_KIND_SEQUENCE && lamina_tensor_count(got) != lamina_tensor_count(want))) {
        (void)snprintf(out->why, sizeof out->why, "got %.100s, want %.100s", a, b);
        out->equal = false;
        return;
    }
    if (kind == LAMINA_KIND_TENSOR) compare_tensors(got, want, tol, "", out);
    if (kind == LAMINA_KIND_MAP) compare_maps(got, want, tol, "", out);
    for (int64_t i = 0; kind == LAMINA_KIND_SEQUENCE && i < lamina_tensor_count(want); i++) {
        (void)snprintf(prefix, sizeof prefix, "item %" PRId64 " ", i);
        const lamina_tensor *a_item = lamina_sequence_item(got, i),
                            *b_item = lamina_sequence_item(want, i);
        if (lamina_map_keys(b_item))
            compare_maps(a_item, b_item, tol, prefix, out);
        else
            compare_tensors(a_item, b_item, tol, prefix, out);
    }
}
