/*
 * Cast on facts and tensors (cast.h). Chunks are a multiple of 8 elements, so that packed types
 * never share a byte between two of them.
 */
#include "ops/cast.h"

#include <string.h>

#define CHUNK 65536

typedef struct cast_job {
    const lamina_tensor *x;
    lamina_tensor *y;
    int64_t count;
    bool saturate;
    lmn_e8m0_round round;
} cast_job;

/* Address of element i, which is a multiple of 8. */
static uint8_t *at(const lamina_tensor *t, int64_t i)
{
    return (uint8_t *)t->data + (uint64_t)i / 8 * lamina_dtype_bits(t->dtype);
}

static void convert_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const cast_job *j = arg;
    const int64_t first = chunk * CHUNK, n = lmn_min_i64(CHUNK, j->count - first);
    lmn_convert(j->y->dtype, at(j->y, first), j->x->dtype, at(j->x, first), n, j->saturate);
}

static void to_e8m0_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const cast_job *j = arg;
    const int64_t end = lmn_min_i64(j->count, (chunk + 1) * CHUNK);
    uint8_t *y = j->y->data;
    for (int64_t i = chunk * CHUNK; i < end; i++)
        y[i] = lmn_f64_to_e8m0(lmn_get_f64(j->x, i), j->round, j->saturate);
}

static lamina_status to_strings(lmn_eval *ec, const lamina_tensor *x, lamina_tensor *y,
                                int64_t count)
{
    char text[LMN_CAST_TEXT_BYTES];
    for (int64_t i = 0; i < count; i++) {
        const size_t n = lmn_cast_to_text(x, i, text);
        const lamina_status st = lamina_tensor_set_string(y, i, text, n);
        if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for a string of %zu bytes", n);
    }
    return LAMINA_OK;
}

static lamina_status from_strings(lmn_eval *ec, const lamina_tensor *x, lamina_tensor *y,
                                  int64_t count)
{
    const lmn_str *s = x->data;
    for (int64_t i = 0; i < count; i++) {
        if (lmn_cast_from_text(y, i, s[i])) continue;
        char shown[64];
        (void)lmn_format_name(shown, sizeof shown, s[i].p ? s[i].p : "", s[i].n);
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "\"%s\" (element %lld) is no number", shown,
                             (long long)i);
    }
    return LAMINA_OK;
}

static bool complex_type(lamina_dtype dt)
{
    return lmn_dtype_class(dt) == LMN_CLASS_COMPLEX;
}

lamina_status lmn_cast_eval(lmn_eval *ec, const lamina_tensor *x, lamina_dtype to)
{
    if (!lmn_dtype_valid(to))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "there is no element type %d", to);
    if (complex_type(to) != complex_type(x->dtype))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "cannot cast %s to %s",
                             lamina_dtype_name(x->dtype), lamina_dtype_name(to));
    if (to == x->dtype) return lmn_out_alias(ec, 0, 0, x->rank, x->dims);
    cast_job j = {
        .x = x, .count = lmn_count(x), .saturate = lmn_attr_i(ec->node, "saturate", 1) != 0};
    j.round = lmn_attr_is(ec->node, "round_mode", "down", "up")      ? LMN_E8M0_DOWN
              : lmn_attr_is(ec->node, "round_mode", "nearest", "up") ? LMN_E8M0_NEAREST
                                                                     : LMN_E8M0_UP;
    LMN_TRY(lmn_out(ec, 0, to, x->rank, x->dims, &j.y));
    if (!j.y) return LAMINA_OK;
    if (to == LAMINA_STRING) return to_strings(ec, x, j.y, j.count);
    if (x->dtype == LAMINA_STRING) return from_strings(ec, x, j.y, j.count);
    lmn_par_for(ec->par, (j.count + CHUNK - 1) / CHUNK,
                to == LAMINA_F8E8M0 ? to_e8m0_chunk : convert_chunk, &j);
    return LAMINA_OK;
}

/* Does the type hold every value that the lattice carries for it? Narrow types would wrap. */
static bool wide(lamina_dtype dt)
{
    return dt == LAMINA_I64 || dt == LAMINA_I32;
}

static lmn_dim cast_elem(const lmn_infer *ic, lmn_dim d, lamina_dtype to)
{
    int64_t lo = INT64_MIN, hi = INT64_MAX;
    if (lmn_dim_is_const(d))
        lo = hi = lmn_dim_value(d);
    else if (ic->dims && lmn_dim_known(d))
        lmn_dim_range(ic->dims, d, &lo, &hi);
    if (to == LAMINA_BOOL)
        return lo > 0 || hi < 0     ? lmn_dim_c(1)
               : lo == 0 && hi == 0 ? lmn_dim_c(0)
                                    : LMN_DIM_UNKNOWN;
    if (to == LAMINA_I32 && lmn_dim_is_const(d) && (lo < INT32_MIN || lo > INT32_MAX))
        return LMN_DIM_UNKNOWN;
    return d;
}

lamina_status lmn_cast_infer(lmn_infer *ic, lamina_dtype to)
{
    lmn_infer_same(ic, 0, 0);
    ic->out[0].dtype = to;
    if (!lmn_infer_has(ic, 0) || (!wide(to) && to != LAMINA_BOOL)) return LAMINA_OK;
    const lamina_dtype from = ic->in[0]->dtype;
    if (!wide(from) && from != LAMINA_BOOL) return LAMINA_OK;
    const lmn_dim *e;
    const int32_t n = lmn_infer_elems(ic, 0, &e);
    lmn_dim *out = n >= 0 ? lmn_infer_set_elems(ic, 0, n) : NULL;
    for (int32_t k = 0; out && k < n; k++) out[k] = cast_elem(ic, e[k], to);
    return LAMINA_OK;
}
