/*
 * Shared parts of the random operators. Draws are f64, rounded once to the output's type.
 */
#include "ops/random.h"

#include <string.h>

#define POLL 4096 /* draws between two looks at whether the run shall end */

void lmn_random_begin(const lmn_eval *ec, lmn_rng *r)
{
    const lmn_attr *a = lmn_attr_find(ec->node, "seed");
    uint64_t seed = ec->seed;
    if (a && a->type == LMN_ATTR_FLOAT) {
        uint32_t bits;
        memcpy(&bits, &a->u.f, sizeof bits);
        seed = bits;
    } else if (a && a->type == LMN_ATTR_INT) {
        seed = (uint64_t)a->u.i;
    }
    lmn_rng_init(r, seed, ec->node->id);
}

static lamina_status begin_output(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims,
                                  lamina_tensor **t)
{
    if (!(LMN_DBIT(dt) & LMN_D_FLOAT))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "random numbers cannot be %s",
                             lamina_dtype_name(dt));
    LMN_TRY(lmn_check_grown(ec, dt, rank, dims));
    return lmn_out(ec, 0, dt, rank, dims, t);
}

lamina_status lmn_random_normal(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    const double mean = lmn_attr_f(ec->node, "mean", 0.0f);
    const double scale = lmn_attr_f(ec->node, "scale", 1.0f);
    lamina_tensor *t;
    lmn_rng r;
    LMN_TRY(begin_output(ec, dt, rank, dims, &t));
    lmn_random_begin(ec, &r);
    const int64_t n = t ? lmn_count(t) : 0;
    for (int64_t i = 0; i < n; i++) {
        if (i % POLL == 0 && lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        lmn_set_f64(t, i, mean + scale * lmn_rng_normal(&r));
    }
    return LAMINA_OK;
}

lamina_status lmn_random_uniform(lmn_eval *ec, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    const double low = lmn_attr_f(ec->node, "low", 0.0f);
    const double high = lmn_attr_f(ec->node, "high", 1.0f);
    lamina_tensor *t;
    lmn_rng r;
    LMN_TRY(begin_output(ec, dt, rank, dims, &t));
    lmn_random_begin(ec, &r);
    const int64_t n = t ? lmn_count(t) : 0;
    for (int64_t i = 0; i < n; i++) {
        if (i % POLL == 0 && lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        lmn_set_f64(t, i, low + (high - low) * lmn_rng_f64(&r));
        if (lmn_get_f64(t, i) >= high) lmn_set_f64(t, i, low); /* rounded up to the open end */
    }
    return LAMINA_OK;
}

lamina_status lmn_random_infer_shape(lmn_infer *ic)
{
    const int64_t *v;
    const int32_t n = lmn_attr_ints(ic->node, "shape", &v);
    lmn_fact *f;
    LMN_TRY(lmn_infer_typed(ic, 0, lmn_attr_dtype(ic->node, "dtype", LAMINA_F32), n, &f));
    for (int32_t k = 0; k < n; k++) {
        if (v[k] < 0)
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "use extents of 0 or more",
                                  "extent %d of the shape is %lld", k, (long long)v[k]);
        f->dims[k] = lmn_dim_c(v[k]);
    }
    return LAMINA_OK;
}

lamina_status lmn_random_shape(lmn_eval *ec, int32_t *rank, int64_t *dims)
{
    const int64_t *v;
    *rank = lmn_attr_ints(ec->node, "shape", &v);
    if (*rank > LMN_MAX_RANK)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "rank %d is more than %d", *rank, LMN_MAX_RANK);
    for (int32_t k = 0; k < *rank; k++) dims[k] = v[k];
    return LAMINA_OK;
}

lamina_dtype lmn_random_like_dtype(const lmn_opnode *n, lamina_dtype in)
{
    const bool real = in && (LMN_DBIT(in) & LMN_D_FLOAT);
    return lmn_attr_dtype(n, "dtype", real ? in : LAMINA_F32);
}

lamina_status lmn_random_infer_like(lmn_infer *ic)
{
    lmn_infer_same(ic, 0, 0);
    const lamina_dtype in = lmn_infer_has(ic, 0) ? ic->in[0]->dtype : LAMINA_DTYPE_NONE;
    /* An input of unknown type may be a float of any width. */
    ic->out[0].dtype = in ? lmn_random_like_dtype(ic->node, in)
                          : lmn_attr_dtype(ic->node, "dtype", LAMINA_DTYPE_NONE);
    return LAMINA_OK;
}
