/*
 * The update step of the scatter family. NaN wins in max and min, as in numpy.
 */
#include "ops/scatter.h"

#include <math.h>
#include <string.h>

static lamina_status read_mode(lmn_eval *ec, lmn_scatter *s)
{
    static const char *const NAMES[] = {"none", "add", "mul", "max", "min"};
    const char *r = lmn_attr_s(ec->node, "reduction", "none");
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++)
        if (strcmp(r, NAMES[i]) == 0) {
            s->mode = (lmn_scatter_mode)i;
            return LAMINA_OK;
        }
    return lmn_eval_fail(ec, LAMINA_E_INVALID,
                         "reduction must be none, add, mul, max or min, it is something else");
}

/* Widen n elements of t into scratch: doubles (parts an element) or int64. */
static lamina_status widen(lmn_eval *ec, const lamina_tensor *t, lamina_dtype wide, void **out)
{
    const int64_t n = lmn_count(t);
    size_t bytes;
    if (!lmn_mul_size((size_t)n, wide == LAMINA_C128 ? 16 : 8, &bytes) ||
        !(*out = lmn_scratch(ec, bytes ? bytes : 1)))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory to accumulate %lld elements",
                             (long long)n);
    lmn_convert(wide, *out, t->dtype, t->data, n, false);
    return LAMINA_OK;
}

static lamina_status begin_reduction(lmn_eval *ec, const lamina_tensor *data,
                                     const lamina_tensor *upd, lmn_scatter *s)
{
    void *a = NULL, *b = NULL;
    const lmn_dclass c = lmn_dtype_class(data->dtype);
    const bool ordered = s->mode == LMN_SCATTER_MAX || s->mode == LMN_SCATTER_MIN;
    if (c == LMN_CLASS_STRING || (c == LMN_CLASS_COMPLEX && ordered))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "this reduction is not defined for %s",
                             lamina_dtype_name(data->dtype));
    const bool real = c == LMN_CLASS_FLOAT;
    const lamina_dtype wide = real ? LAMINA_F64 : c == LMN_CLASS_COMPLEX ? LAMINA_C128 : LAMINA_I64;
    LMN_TRY(widen(ec, data, wide, &a));
    LMN_TRY(widen(ec, upd, wide, &b));
    s->parts = wide == LAMINA_C128 ? 2 : 1;
    if (wide == LAMINA_I64) {
        s->sum = a;
        s->sum_u = b;
    } else {
        s->acc = a;
        s->acc_u = b;
    }
    return LAMINA_OK;
}

lamina_status lmn_scatter_begin(lmn_eval *ec, const lamina_tensor *data, const lamina_tensor *upd,
                                lmn_scatter *s, bool *go)
{
    lmn_plain in;
    *s = (lmn_scatter){.dtype = data->dtype, .parts = 1};
    LMN_TRY(read_mode(ec, s));
    if (upd->dtype != data->dtype)
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "updates are %s, data are %s",
                             lamina_dtype_name(upd->dtype), lamina_dtype_name(data->dtype));
    *go = lmn_out_wanted(ec, 0);
    if (!*go) return LAMINA_OK;
    LMN_TRY(lmn_plain_out(ec, 0, data->dtype, data->rank, data->dims, &s->out));
    if (s->mode != LMN_SCATTER_SET) return begin_reduction(ec, data, upd, s);
    LMN_TRY(lmn_plain_in(ec, data, &in));
    LMN_TRY(lmn_plain_in(ec, upd, &s->upd));
    if (in.n) memcpy(s->out.p, in.p, (size_t)in.n * in.eb);
    return LAMINA_OK;
}

static double join_real(lmn_scatter_mode mode, double a, double b)
{
    switch (mode) {
    case LMN_SCATTER_ADD: return a + b;
    case LMN_SCATTER_MUL: return a * b;
    case LMN_SCATTER_MAX: return isnan(a) || a > b ? a : b;
    default: return isnan(a) || a < b ? a : b;
    }
}

static int64_t join_int(const lmn_scatter *s, int64_t a, int64_t b)
{
    const uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    const bool less = s->dtype == LAMINA_U64 ? ua < ub : a < b;
    switch (s->mode) {
    case LMN_SCATTER_ADD: return (int64_t)(ua + ub);
    case LMN_SCATTER_MUL: return (int64_t)(ua * ub);
    case LMN_SCATTER_MAX: return less ? b : a;
    default: return less ? a : b;
    }
}

static void put_complex(const lmn_scatter *s, double *a, const double *b)
{
    const double re = a[0], im = a[1];
    a[0] = s->mode == LMN_SCATTER_ADD ? re + b[0] : re * b[0] - im * b[1];
    a[1] = s->mode == LMN_SCATTER_ADD ? im + b[1] : re * b[1] + im * b[0];
}

void lmn_scatter_put(const lmn_scatter *s, int64_t at, int64_t from, int64_t n)
{
    if (s->mode == LMN_SCATTER_SET) {
        memcpy(s->out.p + (size_t)at * s->out.eb, s->upd.p + (size_t)from * s->upd.eb,
               (size_t)n * s->out.eb);
        return;
    }
    for (int64_t i = 0; i < n; i++) {
        if (s->sum)
            s->sum[at + i] = join_int(s, s->sum[at + i], s->sum_u[from + i]);
        else if (s->parts == 2)
            put_complex(s, &s->acc[2 * (at + i)], &s->acc_u[2 * (from + i)]);
        else
            s->acc[at + i] = join_real(s->mode, s->acc[at + i], s->acc_u[from + i]);
    }
}

lamina_status lmn_scatter_end(lmn_eval *ec, const lmn_scatter *s)
{
    if (s->mode == LMN_SCATTER_SET) return lmn_plain_done(ec, &s->out);
    const lamina_dtype wide = s->sum ? LAMINA_I64 : s->parts == 2 ? LAMINA_C128 : LAMINA_F64;
    const void *from = s->sum ? (const void *)s->sum : (const void *)s->acc;
    lmn_convert(s->dtype, s->out.t->data, wide, from, s->out.n, false);
    return LAMINA_OK;
}
