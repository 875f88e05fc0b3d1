/*
 * Integer products that a file writes out, as dynamic quantisation does: MatMulInteger, Cast to
 * f32, Mul with the product of both scales, Add of a bias become one MatMulIntegerToFloat. The same
 * operations in the same order: the bits stay.
 */
#include "graph/passes/qdq.h"

#include <string.h>

static bool is_scalar(const lmn_match *m, lmn_vid v)
{
    const lmn_fact *f = &m->g->values[v].fact;
    return lmn_match_is_f32(m, v) && (f->rank == 0 || (f->rank == 1 && f->dims[0] == lmn_dim_c(1)));
}

/* One number for all, or one a column of y. */
static bool fits_columns(const lmn_match *m, lmn_vid v, lmn_vid y)
{
    const lmn_fact *f = &m->g->values[v].fact, *fy = &m->g->values[y].fact;
    if (is_scalar(m, v)) return true;
    return lmn_match_is_f32(m, v) && f->rank == 1 && fy->rank >= 1 && lmn_dim_known(f->dims[0]) &&
           f->dims[0] == fy->dims[fy->rank - 1];
}

/* The MatMulInteger whose sums v are as f32, read by nobody else. */
static lmn_gnode *sums_under(const lmn_match *m, lmn_vid v)
{
    const lmn_gnode *cast = lmn_match_made_by(m, v, "Cast");
    if (!cast || !lmn_match_once(m, v) || lmn_attr_i(&cast->op, "to", 0) != LAMINA_F32) return NULL;
    lmn_gnode *n = lmn_match_made_by(m, cast->in[0], "MatMulInteger");
    return n && lmn_match_once(m, cast->in[0]) ? n : NULL;
}

/* scale = a's times b's; what is no product is one of them, and the other is 1. */
static lamina_status split_scale(lmn_match *m, lmn_vid scale, lmn_vid y, lmn_vid *a, lmn_vid *b)
{
    const lmn_gnode *mul = lmn_match_made_by(m, scale, "Mul");
    *a = *b = 0;
    for (int32_t k = 0; mul && k < 2; k++) {
        if (!is_scalar(m, mul->in[k]) || !fits_columns(m, mul->in[1 - k], y)) continue;
        *a = mul->in[k];
        *b = mul->in[1 - k];
        return LAMINA_OK;
    }
    if (!fits_columns(m, scale, y)) return LAMINA_OK;
    lamina_tensor *one;
    LMN_TRY(lamina_tensor_create(m->g->engine, LAMINA_F32, 0, NULL, &one));
    lmn_set_f64(one, 0, 1);
    const lmn_vid none = lmn_qdq_constant(m, one);
    *a = is_scalar(m, scale) ? scale : none;
    *b = is_scalar(m, scale) ? none : scale;
    return none ? LAMINA_OK : LAMINA_E_NOMEM;
}

static lamina_status scale_sums(lmn_match *m, lmn_gnode *mul)
{
    for (int32_t k = 0; k < 2; k++) {
        const lmn_gnode *sums = sums_under(m, mul->in[k]);
        lmn_vid a, b;
        if (!sums || mul->in[1 - k] == mul->in[k]) continue;
        LMN_TRY(split_scale(m, mul->in[1 - k], mul->out[0], &a, &b));
        if (!a) return LAMINA_OK;
        const int32_t n_in = sums->op.n_in;
        const lmn_vid in[6] = {
            sums->in[0], sums->in[1], a, b, n_in > 2 ? sums->in[2] : 0, n_in > 3 ? sums->in[3] : 0};
        const lmn_rewrite to = {.domain = "com.microsoft",
                                .op = "MatMulIntegerToFloat",
                                .name = sums->op.name,
                                .opset = sums->op.opset,
                                .in = in,
                                .n_in = 6};
        return lmn_match_become(m, mul, &to);
    }
    return LAMINA_OK;
}

static lamina_status add_bias(lmn_match *m, lmn_gnode *add)
{
    for (int32_t k = 0; k < 2; k++) {
        const lmn_vid y = add->in[k], bias = add->in[1 - k];
        lmn_gnode *n = lmn_match_maker(m, y);
        if (!n || strcmp(n->op.def->name, "MatMulIntegerToFloat") || n->op.n_in != 6 ||
            !lmn_match_once(m, y) || is_scalar(m, bias) || !fits_columns(m, bias, y))
            continue;
        lmn_vid in[7];
        memcpy(in, n->in, 6 * sizeof *in);
        in[6] = bias;
        const char *name = lmn_match_trace(m, &n->op, &add->op);
        if (!name) return LAMINA_E_NOMEM;
        return lmn_match_become(m, add,
                                &(lmn_rewrite){.domain = "com.microsoft",
                                               .op = "MatMulIntegerToFloat",
                                               .name = name,
                                               .opset = n->op.opset,
                                               .in = in,
                                               .n_in = 7});
    }
    return LAMINA_OK;
}

lamina_status lmn_qdq_written_out(lmn_match *m, lmn_gnode *n)
{
    if (n->op.n_in != 2 || !lmn_match_is_f32(m, n->out[0])) return LAMINA_OK;
    if (lmn_match_op(n, "Mul")) return scale_sums(m, n);
    return lmn_match_op(n, "Add") ? add_bias(m, n) : LAMINA_OK;
}
