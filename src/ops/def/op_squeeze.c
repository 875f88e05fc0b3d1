/*
 * Squeeze (ai.onnx, since 1, axes as input since 13): removes axes of extent 1, the named ones or,
 * without axes, all of them.
 */
#include "ops/shapes.h"

/* Without axes: which are 1? False if some extent is not known well enough. */
static bool unit_axes(const lmn_fact *x, uint32_t *mask)
{
    *mask = 0;
    for (int32_t k = 0; k < x->rank; k++) {
        if (!lmn_dim_known(x->dims[k]) || !lmn_dim_is_const(x->dims[k])) return false;
        if (lmn_dim_value(x->dims[k]) == 1) *mask |= 1u << k;
    }
    return true;
}

static lamina_status infer_squeeze(lmn_infer *ic)
{
    const int32_t rank = lmn_infer_rank(ic, 0);
    const bool named = ic->node->n_in > 1 && ic->in[1];
    uint32_t mask = 0;
    bool known = true;
    lmn_fact *f;
    if (rank < 0) return lmn_infer_shape(ic, 0, -1, NULL);
    const lmn_fact *x = ic->in[0];
    if (named)
        LMN_TRY(lmn_infer_axes(ic, 1, rank, &mask, &known));
    else
        known = unit_axes(x, &mask);
    if (!known) {
        const int64_t n = named ? lmn_infer_length(ic, 1) : -1;
        return lmn_infer_shape(ic, 0, n < 0 || n > rank ? -1 : rank - (int32_t)n, NULL);
    }
    LMN_TRY(lmn_infer_shape(ic, 0, rank - __builtin_popcount(mask), &f));
    for (int32_t k = 0, o = 0; k < rank; k++) {
        if (!(mask >> k & 1)) {
            f->dims[o++] = x->dims[k];
            continue;
        }
        lmn_dim one;
        if (!lmn_dim_unify(ic->dims, x->dims[k], lmn_dim_c(1), &one))
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "squeeze only axes of extent 1",
                                  "axis %d cannot be squeezed: its extent is not 1", k);
    }
    if (x->n_elems >= 0) {
        f->n_elems = x->n_elems;
        f->elems = x->elems;
    }
    return LAMINA_OK;
}

static lamina_status eval_squeeze(lmn_eval *ec)
{
    const lamina_tensor *x;
    uint32_t mask = 0;
    int64_t dims[LMN_MAX_RANK];
    int32_t r = 0;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_axes(ec, 1, x->rank, &mask));
    if (!lmn_in(ec, 1))
        for (int32_t k = 0; k < x->rank; k++) mask |= (uint32_t)(x->dims[k] == 1) << k;
    for (int32_t k = 0; k < x->rank; k++) {
        if (!(mask >> k & 1))
            dims[r++] = x->dims[k];
        else if (x->dims[k] != 1)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                                 "axis %d cannot be squeezed: its extent is %lld", k,
                                 (long long)x->dims[k]);
    }
    return lmn_out_alias(ec, 0, 0, r, dims);
}

static lamina_status canon_squeeze(lmn_canon *c)
{
    if (c->opset < 13 && !lmn_canon_attr_to_input(c, "axes", 1)) return LAMINA_E_NOMEM;
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL}, {"axes", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"squeezed", 'T', 0, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Squeeze = {
    .name = "Squeeze",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_VIEW | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_squeeze,
    .eval = eval_squeeze,
    .canon = canon_squeeze,
};
