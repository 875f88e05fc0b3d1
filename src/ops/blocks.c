/*
 * Depth to space and back. The depth axis is (block row, block column, channel) in mode DCR and
 * (channel, block row, block column) in mode CRD.
 */
#include "ops/blocks.h"
#include "ops/move.h"
#include "ops/shapes.h"

lamina_status lmn_blocks_infer(lmn_infer *ic, bool to_space)
{
    const int64_t b = lmn_attr_i(ic->node, "blocksize", 0);
    const int32_t r = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    if (b < 1 || b > INT32_MAX)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "use a blocksize of 1 or more",
                              "blocksize is %lld", (long long)b);
    if (r >= 0 && r != 4)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, "shape the input [N,C,H,W]",
                              "the input has rank %d, must have 4", r);
    LMN_TRY(lmn_infer_shape(ic, 0, 4, &f));
    if (r < 0) return LAMINA_OK;
    const lmn_dim *d = ic->in[0]->dims, one = lmn_dim_c(b), two = lmn_dim_c(b * b);
    f->dims[0] = d[0];
    for (int32_t k = 1; k < 4; k++) {
        const lmn_dim by = k == 1 ? two : one;
        const bool grows = (k > 1) == to_space;
        if (!grows && lmn_dim_known(d[k]) && lmn_dim_is_const(d[k]) &&
            lmn_dim_value(d[k]) % lmn_dim_value(by) != 0)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "use a blocksize that divides the input",
                                  "axis %d of %lld does not divide by %lld", k,
                                  (long long)lmn_dim_value(d[k]), (long long)lmn_dim_value(by));
        f->dims[k] = grows ? lmn_dim_mul(ic->dims, d[k], by) : lmn_dim_floordiv(ic->dims, d[k], by);
    }
    return LAMINA_OK;
}

/* Strides of (n, channel, block row, row, block column, column) in the two layouts. */
static void strides(lmn_move *m, const int64_t *deep, int64_t b, bool crd, bool to_space)
{
    const int64_t c = deep[1], h = deep[2], w = deep[3]; /* of the deep side: c already / b^2 */
    const int64_t plane = h * w, depth = c * b * b;
    int64_t *d = to_space ? m->src_st : m->dst_st, *s = to_space ? m->dst_st : m->src_st;
    const int64_t extents[6] = {deep[0], c, h, b, w, b};
    for (int32_t k = 0; k < 6; k++) m->dims[k] = extents[k];
    d[0] = depth * plane;
    d[1] = (crd ? b * b : 1) * plane;
    d[2] = w;
    d[3] = (crd ? b : b * c) * plane;
    d[4] = 1;
    d[5] = (crd ? 1 : c) * plane;
    s[0] = depth * plane;
    s[1] = b * b * plane;
    s[2] = b * w * b;
    s[3] = b * w;
    s[4] = b;
    s[5] = 1;
    m->rank = 6;
}

lamina_status lmn_blocks_eval(lmn_eval *ec, bool to_space)
{
    const int64_t b = lmn_attr_i(ec->node, "blocksize", 0);
    const bool crd = lmn_attr_is(ec->node, "mode", "CRD", "DCR");
    const lamina_tensor *x;
    lmn_plain in, out;
    LMN_TRY(lmn_need(ec, 0, &x));
    if (b < 1 || b > INT32_MAX || x->rank != 4)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "needs rank 4 and a blocksize, got rank %d and %lld", x->rank,
                             (long long)b);
    const int64_t *d = x->dims;
    if (to_space ? d[1] % (b * b) != 0 : d[2] % b != 0 || d[3] % b != 0)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "blocksize %lld does not divide the input",
                             (long long)b);
    int64_t deep[4] = {d[0], to_space ? d[1] / (b * b) : d[1], to_space ? d[2] : d[2] / b,
                       to_space ? d[3] : d[3] / b};
    int64_t dims[4] = {d[0], deep[1], d[2], d[3]};
    bool ok = true;
    for (int32_t k = 1; k < 4; k++) {
        if (k > 1) dims[k] = deep[k];
        if (to_space == (k > 1)) ok = ok && lmn_mul_i64(dims[k], k == 1 ? b * b : b, &dims[k]);
    }
    if (!ok) return lmn_eval_fail(ec, LAMINA_E_RANGE, "the output extents overflow");
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, 4, dims, &out));
    if (!out.t || out.n == 0) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    lmn_move m = {.eb = in.eb, .dst = out.p, .src = in.p};
    strides(&m, deep, b, crd, to_space);
    lmn_move_run(ec->par, &m);
    return lmn_plain_done(ec, &out);
}
