/*
 * numpy.matmul's shape rules, once for facts and once for values (see linalg.h).
 */
#include "ops/linalg.h"

#include <string.h>

static lamina_status fail_shapes(lmn_infer *ic, int32_t ia, int32_t ib, const char *what)
{
    char a[160], b[160];
    (void)lmn_fact_format(ic->dims, ic->in[ia], a, sizeof a);
    (void)lmn_fact_format(ic->dims, ic->in[ib], b, sizeof b);
    return lmn_infer_fail(ic, LAMINA_E_SHAPE, "check the operands' order or transpose one of them",
                          "cannot multiply %s by %s: %s", a, b, what);
}

lamina_status lmn_matmul_infer(lmn_infer *ic, int32_t ia, int32_t ib, bool ta, bool tb)
{
    const lmn_fact *a = ic->in[ia], *b = ic->in[ib];
    lmn_fact *o = &ic->out[0];
    if (!lmn_infer_has(ic, ia) || !lmn_infer_has(ic, ib)) return LAMINA_OK;
    if (a->rank == 0 || b->rank == 0) return fail_shapes(ic, ia, ib, "an operand is a scalar");
    if (a->rank < 0 || b->rank < 0) return LAMINA_OK;
    const int32_t na = a->rank, nb = b->rank;
    const lmn_dim ka = na == 1 ? a->dims[0] : a->dims[ta ? na - 2 : na - 1];
    const lmn_dim kb = nb == 1 ? b->dims[0] : b->dims[tb ? nb - 1 : nb - 2];
    lmn_dim k;
    if (!lmn_dim_unify(ic->dims, ka, kb, &k))
        return fail_shapes(ic, ia, ib, "the inner extents differ");
    const int32_t batch_a = na > 2 ? na - 2 : 0, batch_b = nb > 2 ? nb - 2 : 0;
    const int32_t batch = batch_a > batch_b ? batch_a : batch_b;
    for (int32_t i = 0; i < batch; i++) {
        const int32_t ja = i - (batch - batch_a), jb = i - (batch - batch_b);
        const lmn_dim da = ja >= 0 ? a->dims[ja] : lmn_dim_c(1),
                      db = jb >= 0 ? b->dims[jb] : lmn_dim_c(1);
        if (!lmn_dim_broadcast(ic->dims, da, db, &o->dims[i]))
            return fail_shapes(ic, ia, ib, "the leading extents do not broadcast");
    }
    o->rank = batch;
    if (na > 1) o->dims[o->rank++] = a->dims[ta ? na - 1 : na - 2];
    if (nb > 1) o->dims[o->rank++] = b->dims[tb ? nb - 2 : nb - 1];
    return LAMINA_OK;
}

static lamina_status bad_shapes(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "cannot multiply: %s", what);
}

/* Element offset of every batch entry of an operand whose leading dims broadcast to dims. */
static lamina_status batch_offsets(lmn_eval *ec, const lamina_tensor *t, int32_t batch_rank,
                                   const int64_t *dims, int64_t count, const int64_t **out)
{
    const int32_t own = t->rank > 2 ? t->rank - 2 : 0;
    int64_t stride[LMN_MAX_RANK] = {0}, at[LMN_MAX_RANK] = {0};
    *out = NULL;
    if (own == 0 || count == 0) return LAMINA_OK;
    int64_t step = t->dims[t->rank - 2] * t->dims[t->rank - 1];
    for (int32_t i = own - 1; i >= 0; i--) {
        if (t->dims[i] != 1) stride[batch_rank - own + i] = step;
        step *= t->dims[i];
    }
    int64_t *off = lmn_scratch(ec, (size_t)count * sizeof *off);
    if (!off)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld matrices", (long long)count);
    int64_t pos = 0;
    for (int64_t n = 0; n < count; n++) {
        off[n] = pos;
        for (int32_t i = batch_rank - 1; i >= 0; i--) {
            pos += stride[i];
            if (++at[i] < dims[i]) break;
            pos -= stride[i] * dims[i];
            at[i] = 0;
        }
    }
    *out = off;
    return LAMINA_OK;
}

lamina_status lmn_matmul_prepare(lmn_eval *ec, const lamina_tensor *a, const lamina_tensor *b,
                                 bool ta, bool tb, lmn_matmul_plan *p)
{
    memset(p, 0, sizeof *p);
    const int32_t na = a->rank, nb = b->rank;
    if (na < 1 || nb < 1) return bad_shapes(ec, "an operand is a scalar");
    const int64_t ar = na == 1 ? 1 : a->dims[na - 2], ac = a->dims[na - 1];
    const int64_t br = nb == 1 ? b->dims[0] : b->dims[nb - 2], bc = nb == 1 ? 1 : b->dims[nb - 1];
    ta = ta && na > 1;
    tb = tb && nb > 1;
    lmn_mm *mm = &p->mm;
    *mm = (lmn_mm){.m = ta ? ac : ar,
                   .k = ta ? ar : ac,
                   .n = tb ? br : bc,
                   .dt = a->dtype,
                   .a = a->data,
                   .b = b->data,
                   .a_rs = ta ? 1 : ac,
                   .a_cs = ta ? ac : 1,
                   .b_rs = tb ? 1 : bc,
                   .b_cs = tb ? bc : 1,
                   .alpha = 1.0,
                   .out_dt = a->dtype};
    if (mm->k != (tb ? bc : br)) return bad_shapes(ec, "the inner extents differ");
    const int32_t own_a = na > 2 ? na - 2 : 0, own_b = nb > 2 ? nb - 2 : 0;
    const int32_t batch = own_a > own_b ? own_a : own_b;
    for (int32_t i = 0; i < batch; i++) {
        const int32_t ja = i - (batch - own_a), jb = i - (batch - own_b);
        const int64_t da = ja >= 0 ? a->dims[ja] : 1, db = jb >= 0 ? b->dims[jb] : 1;
        if (da != db && da != 1 && db != 1)
            return bad_shapes(ec, "the leading extents do not broadcast");
        p->dims[i] = da == 1 ? db : da;
    }
    if (!lmn_dims_count(batch, p->dims, &mm->batch)) return bad_shapes(ec, "too many matrices");
    p->rank = batch;
    if (na > 1) p->dims[p->rank++] = mm->m;
    if (nb > 1) p->dims[p->rank++] = mm->n;
    LMN_TRY(batch_offsets(ec, a, batch, p->dims, mm->batch, &mm->a_off));
    return batch_offsets(ec, b, batch, p->dims, mm->batch, &mm->b_off);
}

double lmn_cost_count(const lmn_fact *f)
{
    double n = 1.0;
    for (int32_t i = 0; f && i < f->rank; i++) n *= lmn_cost_dim(f->dims[i]);
    return n;
}
