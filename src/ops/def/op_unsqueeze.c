/*
 * Unsqueeze (ai.onnx, since 1, axes as input since 13): inserts axes of extent 1. The axes name
 * places in the output, in any order, each once.
 */
#include "ops/shapes.h"

static lamina_status infer_unsqueeze(lmn_infer *ic)
{
    const int32_t rank = lmn_infer_rank(ic, 0);
    const lmn_dim *e;
    const int32_t named = lmn_infer_elems(ic, 1, &e);
    const int64_t n = named >= 0 ? named : lmn_infer_length(ic, 1);
    uint32_t mask;
    bool known;
    lmn_fact *f;
    if (rank < 0 || n < 0) return lmn_infer_shape(ic, 0, -1, NULL);
    if (n > LMN_MAX_RANK)
        return lmn_infer_fail(ic, LAMINA_E_LIMIT, NULL, "%lld axes are too many", (long long)n);
    LMN_TRY(lmn_infer_shape(ic, 0, rank + (int32_t)n, &f));
    LMN_TRY(lmn_infer_axes(ic, 1, f->rank, &mask, &known));
    if (!known) return LAMINA_OK;
    for (int32_t k = 0, i = 0; k < f->rank; k++)
        f->dims[k] = mask >> k & 1 ? lmn_dim_c(1) : ic->in[0]->dims[i++];
    if (ic->in[0]->n_elems >= 0) {
        f->n_elems = ic->in[0]->n_elems;
        f->elems = ic->in[0]->elems;
    }
    return LAMINA_OK;
}

static lamina_status eval_unsqueeze(lmn_eval *ec)
{
    const lamina_tensor *x;
    int64_t v[LMN_MAX_RANK], dims[LMN_MAX_RANK];
    int32_t n;
    uint32_t mask;
    LMN_TRY(lmn_need(ec, 0, &x));
    LMN_TRY(lmn_ints(ec, 1, v, LMN_MAX_RANK, &n));
    const int32_t rank = x->rank + n;
    if (rank > LMN_MAX_RANK)
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the output would have rank %d, at most %d", rank,
                             LMN_MAX_RANK);
    LMN_TRY(lmn_axes(ec, 1, rank, &mask));
    for (int32_t k = 0, i = 0; k < rank; k++) dims[k] = mask >> k & 1 ? 1 : x->dims[i++];
    return lmn_out_alias(ec, 0, 0, rank, dims);
}

static lamina_status canon_unsqueeze(lmn_canon *c)
{
    if (c->opset < 13 && !lmn_canon_attr_to_input(c, "axes", 1)) return LAMINA_E_NOMEM;
    return LAMINA_OK;
}

static const lmn_port IN[] = {
    {"data", 'T', 0, LMN_D_ALL}, {"axes", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_port OUT[] = {{"expanded", 'T', 0, LMN_D_ALL}, {0}};

const lmn_op_def lmn_op_Unsqueeze = {
    .name = "Unsqueeze",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_VIEW | LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .infer = infer_unsqueeze,
    .eval = eval_unsqueeze,
    .canon = canon_unsqueeze,
};
