/*
 * Inverse (com.microsoft, since 1): the inverse of every matrix of the last two axes, in f64 by
 * Gauss-Jordan elimination with row pivots. A singular matrix is an error.
 */
#include "ops/linalg.h"
#include "ops/wide.h"

#include <math.h>

static lamina_status infer_inverse(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 2, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    if (x)
        LMN_TRY(lmn_infer_equal(ic, x->dims[x->rank - 2], x->dims[x->rank - 1],
                                "the last two extents", NULL));
    lmn_infer_same(ic, 0, 0);
    return LAMINA_OK;
}

static void swap_rows(double *m, int64_t n, int64_t a, int64_t b)
{
    for (int64_t j = 0; a != b && j < n; j++) {
        const double t = m[a * n + j];
        m[a * n + j] = m[b * n + j];
        m[b * n + j] = t;
    }
}

/* row r -= f * row p, and row p /= d */
static void eliminate(double *m, int64_t n, int64_t p, const double *factor, double d)
{
    for (int64_t j = 0; j < n; j++) m[p * n + j] /= d;
    for (int64_t r = 0; r < n; r++)
        for (int64_t j = 0; r != p && j < n; j++) m[r * n + j] -= factor[r] * m[p * n + j];
}

/* x is destroyed, y receives the inverse; false if singular. */
static bool invert(double *x, double *y, int64_t n, double *factor)
{
    for (int64_t i = 0; i < n * n; i++) y[i] = i % (n + 1) == 0 ? 1.0 : 0.0;
    for (int64_t p = 0; p < n; p++) {
        int64_t best = p;
        for (int64_t r = p + 1; r < n; r++)
            if (fabs(x[r * n + p]) > fabs(x[best * n + p])) best = r;
        const double d = x[best * n + p];
        if (d == 0.0) return false;
        swap_rows(x, n, p, best);
        swap_rows(y, n, p, best);
        for (int64_t r = 0; r < n; r++) factor[r] = x[r * n + p];
        eliminate(x, n, p, factor, d);
        eliminate(y, n, p, factor, d);
    }
    return true;
}

static lamina_status eval_inverse(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0);
    if (x->rank < 2 || x->dims[x->rank - 1] != x->dims[x->rank - 2])
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the last two extents must be equal");
    const int64_t n = x->dims[x->rank - 1], size = n * n, total = lmn_count(x);
    lamina_tensor *y;
    double *in, *out;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, x->dims, &y));
    if (!y || total == 0) return LAMINA_OK;
    LMN_TRY(lmn_wide_copy(ec, x, &in));
    LMN_TRY(lmn_wide_out(ec, y, &out));
    double *factor = lmn_wide_scratch(ec, n, sizeof *factor);
    if (!factor) return LAMINA_E_NOMEM;
    for (int64_t b = 0; b < total / size; b++) {
        if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        if (!invert(in + b * size, out + b * size, n, factor))
            return lmn_eval_fail(ec, LAMINA_E_INVALID, "matrix %lld is singular", (long long)b);
    }
    lmn_wide_store(y, out);
    return LAMINA_OK;
}

static void cost_inverse(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                         lmn_cost *c)
{
    (void)n, (void)in;
    if (out[0].rank >= 2) c->flops *= 4.0 * lmn_cost_dim(out[0].dims[out[0].rank - 1]);
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, LMN_D_FLOAT}, {0}};

const lmn_op_def lmn_op_MsInverse = {
    .domain = "com.microsoft",
    .name = "Inverse",
    .since = 1,
    .in = IN,
    .out = OUT,
    .infer = infer_inverse,
    .eval = eval_inverse,
    .cost = cost_inverse,
};
