/*
 * Joining and cutting along an axis. A tensor is [outer, axis, inner]; one move copies one part.
 */
#include "ops/join.h"

static lamina_status check_parts(lmn_eval *ec, lamina_tensor *const *x, int64_t n, int32_t axis,
                                 bool new_axis, int64_t *total)
{
    *total = 0;
    for (int64_t i = 0; i < n; i++) {
        if (!x[i] || x[i]->kind != LAMINA_KIND_TENSOR || x[i]->dtype != x[0]->dtype)
            return lmn_eval_fail(ec, LAMINA_E_DTYPE,
                                 "part %lld is no tensor of the first one's type", (long long)i);
        if (x[i]->rank != x[0]->rank)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "part %lld has rank %d, the first has rank %d",
                                 (long long)i, x[i]->rank, x[0]->rank);
        for (int32_t k = 0; k < x[0]->rank; k++)
            if ((new_axis || k != axis) && x[i]->dims[k] != x[0]->dims[k])
                return lmn_eval_fail(
                    ec, LAMINA_E_SHAPE, "axis %d of part %lld is %lld, of the first it is %lld", k,
                    (long long)i, (long long)x[i]->dims[k], (long long)x[0]->dims[k]);
        if (__builtin_add_overflow(*total, new_axis ? 1 : x[i]->dims[axis], total))
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "the joined extent overflows");
    }
    return LAMINA_OK;
}

lamina_status lmn_join(lmn_eval *ec, int32_t o, lamina_tensor *const *x, int64_t n, int64_t axis,
                       bool new_axis)
{
    int64_t dims[LMN_MAX_RANK + 1], total, at = 0;
    int32_t a;
    lmn_plain out, in;
    if (n < 1 || !x[0] || x[0]->kind != LAMINA_KIND_TENSOR)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "there is nothing to concatenate");
    const int32_t rank = x[0]->rank + (new_axis ? 1 : 0);
    if (rank == 0) return lmn_eval_fail(ec, LAMINA_E_SHAPE, "scalars cannot be concatenated");
    LMN_TRY(lmn_axis(ec, axis, rank, &a));
    LMN_TRY(check_parts(ec, x, n, a, new_axis, &total));
    for (int32_t k = 0, s = 0; k < rank; k++)
        dims[k] = new_axis && k == a ? total : k == a ? (s++, total) : x[0]->dims[s++];
    LMN_TRY(lmn_check_grown(ec, x[0]->dtype, rank, dims));
    LMN_TRY(lmn_plain_out(ec, o, x[0]->dtype, rank, dims, &out));
    if (!out.t) return LAMINA_OK;
    const int64_t outer = lmn_span_count(dims, 0, a), inner = lmn_span_count(dims, a + 1, rank);
    for (int64_t i = 0; i < n; i++) {
        const int64_t part = (new_axis ? 1 : x[i]->dims[a]) * inner;
        LMN_TRY(lmn_plain_in(ec, x[i], &in));
        lmn_move m = {.eb = in.eb,
                      .rank = 2,
                      .dims = {outer, part},
                      .dst_st = {total * inner, 1},
                      .src_st = {part, 1},
                      .dst = out.p + (size_t)at * in.eb,
                      .src = in.p};
        if (m.src != m.dst) lmn_move_run(ec->par, &m); /* else made in place (graph/planner.h) */
        at += part;
    }
    return lmn_plain_done(ec, &out);
}

void lmn_cut_copy(lmn_eval *ec, const lmn_plain *in, int32_t rank, const int64_t *dims, lmn_cut cut,
                  uint8_t *dst)
{
    const int64_t outer = lmn_span_count(dims, 0, cut.axis);
    const int64_t inner = lmn_span_count(dims, cut.axis + 1, rank);
    lmn_move m = {.eb = in->eb,
                  .rank = 2,
                  .dims = {outer, cut.count * inner},
                  .dst_st = {cut.count * inner, 1},
                  .src_st = {dims[cut.axis] * inner, 1},
                  .dst = dst,
                  .src = in->p + (size_t)(cut.first * inner) * in->eb};
    if (m.src != m.dst) lmn_move_run(ec->par, &m); /* else read in place (graph/planner.h) */
}

lamina_status lmn_cut_tensor(lmn_eval *ec, const lmn_cutter *c, lmn_cut cut, lamina_tensor **out)
{
    int64_t dims[LMN_MAX_RANK];
    int32_t rank = 0;
    lamina_tensor *t = NULL;
    for (int32_t k = 0; k < c->x->rank; k++)
        if (!c->squeeze || k != cut.axis) dims[rank++] = k == cut.axis ? cut.count : c->x->dims[k];
    lamina_status st = lamina_tensor_create(ec->engine, c->x->dtype, rank, dims, &t);
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "no memory for a part");
    lmn_plain part = {.p = t->data, .eb = c->in.eb, .n = lmn_count(t)};
    if (t->dtype == LAMINA_STRING || lmn_dtype_bytes(t->dtype) == 0)
        st = lmn_plain_temp(ec, t->dtype, part.n, &part);
    if (st == LAMINA_OK) {
        lmn_cut_copy(ec, &c->in, c->x->rank, c->x->dims, cut, part.p);
        st = lmn_plain_store(ec, &part, t);
    }
    if (st != LAMINA_OK) {
        lamina_tensor_unref(t);
        return st;
    }
    *out = t;
    return LAMINA_OK;
}
