/*
 * Shared parts of the quantisation operators (quant.h).
 */
#include "ops/quant.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

lamina_status lmn_quant_centred(lmn_eval *ec, const lamina_tensor *t, const lamina_tensor *zp,
                                int32_t axis, const double **out)
{
    double *v;
    LMN_TRY(lmn_wide_copy(ec, t, &v));
    *out = v;
    if (!zp) return LAMINA_OK;
    lmn_spread s;
    LMN_TRY(lmn_spread_init(ec, t->rank, t->dims, zp, axis, &s));
    return lmn_spread_apply(ec, &s, zp, '-', v);
}

lamina_status lmn_quant_scalar(lmn_eval *ec, int32_t i, double *out)
{
    const lamina_tensor *t = lmn_in(ec, i);
    if (!t || lmn_count(t) != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d must have one element", i);
    *out = lmn_get_f64(t, 0);
    return LAMINA_OK;
}

void lmn_quant_requant(lamina_dtype dt, double *v, int64_t n, double mul, double zp)
{
    int64_t lo, hi;
    const bool ints = lmn_int_range(dt, &lo, &hi);
    for (int64_t i = 0; i < n; i++) {
        if (!ints) {
            v[i] = v[i] * mul + zp;
            continue;
        }
        const double r = rint(v[i] * mul);
        const double q = (isnan(r) ? 0.0 : r) + zp;
        v[i] = q < (double)lo ? (double)lo : q > (double)hi ? (double)hi : q;
    }
}

/* Sums are whole and far below 2^62, but for what a run that was stopped never wrote. */
static int32_t wrapped(double sum)
{
    if (!(fabs(sum) < 0x1p62)) return 0;
    return (int32_t)(uint32_t)(uint64_t)(int64_t)sum;
}

void lmn_quant_requant_sums(lamina_dtype dt, double *v, int64_t n, float mul, double zp)
{
    int64_t lo, hi;
    (void)lmn_int_range(dt, &lo, &hi);
    for (int64_t i = 0; i < n; i++) {
        const float x = (float)wrapped(v[i]) * mul;
        const double q = (isnan(x) ? 0.0 : rint((double)x)) + zp;
        v[i] = q < (double)lo ? (double)lo : q > (double)hi ? (double)hi : q;
    }
}

void lmn_quant_store_i32(lamina_tensor *y, const double *acc)
{
    int32_t *out = y->data;
    const int64_t n = lmn_count(y);
    for (int64_t i = 0; i < n; i++) out[i] = wrapped(acc[i]);
}

/* ---- scale positions --------------------------------------------------------------------------
 */

static lamina_status blocked(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *scale,
                             int32_t axis, lmn_quant_map *m)
{
    bool fits = scale->rank == x->rank;
    for (int32_t d = 0; fits && d < x->rank; d++)
        fits = scale->dims[d] ==
               (d == axis ? x->dims[d] / m->block + (x->dims[d] % m->block != 0) : x->dims[d]);
    if (!fits)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "the scale does not fit blocks of %lld along axis %d",
                             (long long)m->block, axis);
    m->mode = 2;
    return LAMINA_OK;
}

lamina_status lmn_quant_map_init(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *scale,
                                 lmn_quant_map *m)
{
    const int64_t n = lmn_count(x);
    const int64_t block = lmn_attr_i(ec->node, "block_size", 0);
    *m = (lmn_quant_map){.outer = 1, .dim = 1, .inner = n, .block = block};
    if (block < 0)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "attribute \"block_size\" is negative");
    if (lmn_count(scale) == 1 && (scale->rank <= 1 || block == 0)) return LAMINA_OK;
    int64_t axis = lmn_attr_i(ec->node, "axis", 1);
    if (axis < -x->rank || axis >= x->rank)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "axis %lld is outside rank %d", (long long)axis,
                             x->rank);
    axis += axis < 0 ? x->rank : 0;
    m->dim = x->dims[axis];
    m->inner = 1;
    for (int32_t d = 0; d < x->rank; d++) {
        if (d < axis) m->outer *= x->dims[d];
        if (d > axis) m->inner *= x->dims[d];
    }
    if (block > 0) return blocked(ec, x, scale, (int32_t)axis, m);
    if (scale->rank != 1 || scale->dims[0] != m->dim)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "the scale must be a scalar or have %lld entries, as axis %lld has",
                             (long long)m->dim, (long long)axis);
    m->mode = 1;
    return LAMINA_OK;
}

/* A scale of rank 2 and more without blocks: one number in any rank, else refused. */
static lamina_status infer_deep_scale(lmn_infer *ic, const lmn_fact *x, const lmn_fact *s)
{
    bool many = false;
    int32_t axis = 0;
    for (int32_t i = 0; i < s->rank; i++)
        many = many || (lmn_dim_is_const(s->dims[i]) && lmn_dim_value(s->dims[i]) != 1);
    if (!many) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 1), x->rank, &axis));
    return lmn_infer_fail(ic, LAMINA_E_SHAPE, "give the scale rank 0 or 1, or set block_size",
                          "the scale has rank %d, but there is no block_size", s->rank);
}

static lamina_status infer_scale(lmn_infer *ic, const lmn_fact *x, const lmn_fact *s)
{
    const int64_t block = lmn_attr_i(ic->node, "block_size", 0);
    if (block < 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"block_size\" is %lld",
                              (long long)block);
    if (s->rank == 0 || (s->rank == 1 && s->dims[0] == lmn_dim_c(1))) return LAMINA_OK;
    int32_t axis = 0;
    if (s->rank == 1 && block == 0) {
        LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 1), x->rank, &axis));
        return lmn_infer_equal(ic, x->dims[axis], s->dims[0],
                               "the extent of the axis and the number of scales", NULL);
    }
    if (block > 0 && s->rank != x->rank)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "blocked scales need rank %d like the data, got %d", x->rank,
                              s->rank);
    return block > 0 ? LAMINA_OK : infer_deep_scale(ic, x, s);
}

lamina_status lmn_quant_infer_shape(lmn_infer *ic)
{
    const lmn_fact *x = lmn_infer_shape_of(ic, 0), *s = lmn_infer_shape_of(ic, 1);
    if (!x) return LAMINA_OK;
    if (s) LMN_TRY(infer_scale(ic, x, s));
    lmn_fact *y = lmn_infer_ranked(ic, 0, x->rank);
    if (y) memcpy(y->dims, x->dims, sizeof y->dims);
    return LAMINA_OK;
}
