/*
 * Matrix products of quantised tensors (qmatmul.h). A vector on the left is one row, on the right
 * one column; the extent it lends is dropped from the output.
 */
#include "ops/qmatmul.h"
#include "ops/wide.h"

#include <string.h>

static lamina_status batch_axes(lmn_eval *ec, const lamina_tensor *a, const lamina_tensor *b,
                                lmn_qmatmul *q)
{
    const int32_t ra = a->rank > 2 ? a->rank - 2 : 0, rb = b->rank > 2 ? b->rank - 2 : 0;
    q->batch_rank = ra > rb ? ra : rb;
    q->n_batch = 1;
    int64_t sa = q->m * q->k, sb = q->k * q->n;
    for (int32_t d = q->batch_rank - 1; d >= 0; d--) {
        const int32_t da = d - (q->batch_rank - ra), db = d - (q->batch_rank - rb);
        const int64_t ea = da >= 0 ? a->dims[da] : 1, eb = db >= 0 ? b->dims[db] : 1;
        if (ea != eb && ea != 1 && eb != 1)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "batch extents %lld and %lld do not broadcast",
                                 (long long)ea, (long long)eb);
        q->batch[d] = ea == 1 ? eb : ea;
        q->a_step[d] = ea == 1 ? 0 : sa;
        q->b_step[d] = eb == 1 ? 0 : sb;
        sa *= ea;
        sb *= eb;
        q->n_batch *= q->batch[d];
    }
    return LAMINA_OK;
}

lamina_status lmn_qmatmul_setup(lmn_eval *ec, const lamina_tensor *a, const lamina_tensor *b,
                                lmn_qmatmul *q)
{
    memset(q, 0, sizeof *q);
    if (a->rank < 1 || b->rank < 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "a matrix product needs at least vectors");
    q->m = a->rank == 1 ? 1 : a->dims[a->rank - 2];
    q->k = a->dims[a->rank - 1];
    q->n = b->rank == 1 ? 1 : b->dims[b->rank - 1];
    const int64_t kb = b->rank == 1 ? b->dims[0] : b->dims[b->rank - 2];
    if (q->k != kb)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "inner extents %lld and %lld differ",
                             (long long)q->k, (long long)kb);
    LMN_TRY(batch_axes(ec, a, b, q));
    memcpy(q->dims, q->batch, sizeof q->batch);
    q->rank = q->batch_rank;
    if (a->rank > 1) q->dims[q->rank++] = q->m;
    if (b->rank > 1) q->dims[q->rank++] = q->n;
    return LAMINA_OK;
}

/* One row of one product. */
static void row_chunk(void *arg, int64_t chunk, int32_t worker)
{
    (void)worker;
    const lmn_qmatmul *q = arg;
    int64_t batch = chunk / q->m, row = chunk % q->m, a0 = 0, b0 = 0;
    double *y = q->y + chunk * q->n;
    for (int32_t d = q->batch_rank - 1; d >= 0; d--) {
        const int64_t i = batch % q->batch[d];
        batch /= q->batch[d];
        a0 += i * q->a_step[d];
        b0 += i * q->b_step[d];
    }
    for (int64_t j = 0; j < q->n; j++) y[j] = 0.0;
    for (int64_t p = 0; p < q->k; p++) {
        const double v = q->a[a0 + row * q->k + p], *b = q->b + b0 + p * q->n;
        for (int64_t j = 0; j < q->n; j++) y[j] += v * b[j];
    }
}

void lmn_qmatmul_run(const lmn_par *par, const lmn_qmatmul *q)
{
    lmn_par_for(par, q->n_batch * q->m, row_chunk, (void *)(uintptr_t)q);
}

static lamina_status infer_batch(lmn_infer *ic, const lmn_fact *a, const lmn_fact *b, lmn_fact *y)
{
    const int32_t ra = a->rank > 2 ? a->rank - 2 : 0, rb = b->rank > 2 ? b->rank - 2 : 0;
    const int32_t r = ra > rb ? ra : rb;
    const lmn_dim one = lmn_dim_c(1);
    for (int32_t d = 0; d < r; d++) {
        const lmn_dim ea = d - (r - ra) >= 0 ? a->dims[d - (r - ra)] : one;
        const lmn_dim eb = d - (r - rb) >= 0 ? b->dims[d - (r - rb)] : one;
        y->dims[d] = LMN_DIM_UNKNOWN;
        if (ea == one || eb == one)
            y->dims[d] = ea == one ? eb : ea;
        else if (lmn_dim_is_const(ea) && lmn_dim_is_const(eb))
            LMN_TRY(lmn_infer_equal(ic, ea, eb, "batch extents", &y->dims[d]));
        else if (ea == eb || lmn_dim_is_const(ea))
            y->dims[d] = ea;
        else if (lmn_dim_is_const(eb))
            y->dims[d] = eb;
    }
    return LAMINA_OK;
}

lamina_status lmn_qmatmul_infer(lmn_infer *ic, int32_t ia, int32_t ib)
{
    LMN_TRY(lmn_infer_rank_in(ic, ia, 1, LMN_MAX_RANK));
    LMN_TRY(lmn_infer_rank_in(ic, ib, 1, LMN_MAX_RANK));
    const lmn_fact *a = lmn_infer_shape_of(ic, ia), *b = lmn_infer_shape_of(ic, ib);
    if (!a || !b) return LAMINA_OK;
    LMN_TRY(lmn_infer_equal(ic, a->dims[a->rank - 1], b->dims[b->rank == 1 ? 0 : b->rank - 2],
                            "inner extents", NULL));
    const int32_t ra = a->rank > 2 ? a->rank - 2 : 0, rb = b->rank > 2 ? b->rank - 2 : 0;
    int32_t rank = ra > rb ? ra : rb;
    lmn_fact *y = lmn_infer_ranked(ic, 0, rank + (a->rank > 1) + (b->rank > 1));
    if (!y) return LAMINA_OK;
    LMN_TRY(infer_batch(ic, a, b, y));
    if (a->rank > 1) y->dims[rank++] = a->dims[a->rank - 2];
    if (b->rank > 1) y->dims[rank++] = b->dims[b->rank - 1];
    return LAMINA_OK;
}

void lmn_qmatmul_cost(const lmn_fact *a, const lmn_fact *out, lmn_cost *c)
{
    if (!a || a->rank < 1 || out->rank < 0) return;
    const lmn_dim k = a->dims[a->rank - 1];
    double flops = 2.0 * (lmn_dim_is_const(k) ? (double)lmn_dim_value(k) : 1.0);
    for (int32_t d = 0; d < out->rank; d++)
        flops *= lmn_dim_is_const(out->dims[d]) ? (double)lmn_dim_value(out->dims[d]) : 1.0;
    c->flops = flops;
}
