/*
 * Shared parts of the normalisations (normcore.h).
 */
#include "ops/normcore.h"
#include "ops/wide.h"

#include <math.h>

static void row_chunk(void *arg, int64_t row, int32_t worker)
{
    (void)worker;
    const lmn_norm_rows *r = arg;
    const double *x = r->x + row * r->n;
    double *y = r->y + row * r->n;
    double sum = 0.0, square = 0.0;
    for (int64_t i = 0; !r->rms && i < r->n; i++) sum += x[i];
    const double mean = r->rms ? 0.0 : sum / (double)r->n;
    for (int64_t i = 0; i < r->n; i++) square += (x[i] - mean) * (x[i] - mean);
    const double inv = 1.0 / sqrt(square / (double)r->n + r->eps);
    for (int64_t i = 0; i < r->n; i++) y[i] = (x[i] - mean) * inv;
    if (r->mean) r->mean[row] = mean;
    if (r->inv) r->inv[row] = inv;
}

void lmn_norm_rows_run(const lmn_par *par, const lmn_norm_rows *r)
{
    lmn_par_for(par, r->rows, row_chunk, (void *)(uintptr_t)r);
}

void lmn_norm_affine(double *y, int64_t images, int64_t channels, int64_t inner,
                     const double *scale, const double *bias)
{
    for (int64_t p = 0; p < images * channels; p++) {
        const double s = scale[p % channels], b = bias ? bias[p % channels] : 0.0;
        double *row = y + p * inner;
        for (int64_t i = 0; i < inner; i++) row[i] = row[i] * s + b;
    }
}

lamina_status lmn_norm_vector(lmn_eval *ec, int32_t i, int64_t n, const double **out)
{
    const lamina_tensor *t = lmn_in(ec, i);
    if (t->rank != 1 || t->dims[0] != n)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d \"%s\" must have shape [%lld]", i,
                             ec->node->def->in[i].name, (long long)n);
    return lmn_wide_in(ec, t, out);
}

int64_t lmn_norm_extent(const lamina_tensor *t, int32_t from, int32_t to)
{
    int64_t n = 1;
    for (int32_t d = from; d < to; d++) n *= t->dims[d];
    return n;
}

void lmn_norm_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c)
{
    (void)n;
    (void)in;
    if (out[0].rank >= 0) c->flops *= 8.0;
}
