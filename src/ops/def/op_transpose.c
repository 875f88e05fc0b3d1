/*
 * Transpose (ai.onnx, since 1): axes reordered by `perm`; reversed by default.
 */
#include "ops/move.h"
#include "ops/shapes.h"

/* perm checked against rank: true when it is a permutation. */
static bool read_perm(const lmn_opnode *n, int32_t rank, int32_t *perm)
{
    const int64_t *p;
    const int32_t len = lmn_attr_ints(n, "perm", &p);
    uint32_t seen = 0;
    for (int32_t k = 0; k < rank; k++) perm[k] = rank - 1 - k;
    if (len == 0) return true;
    if (len != rank) return false;
    for (int32_t k = 0; k < rank; k++) {
        if (p[k] < 0 || p[k] >= rank || (seen >> p[k] & 1)) return false;
        seen |= 1u << p[k];
        perm[k] = (int32_t)p[k];
    }
    return true;
}

/* Elements of a vector, or of a matrix turned: pads that exporters list back to front. */
static void transpose_elems(lmn_infer *ic, const int32_t *perm)
{
    const lmn_fact *x = ic->in[0];
    int64_t dims[LMN_MAX_RANK], count = 0;
    if (x->n_elems < 0 || x->rank > 2) return;
    if (x->rank < 2 || perm[0] == 0) {
        ic->out[0].n_elems = x->n_elems;
        ic->out[0].elems = x->elems;
    } else if (lmn_fact_static(x, dims) && lmn_dims_count(2, dims, &count) && count == x->n_elems) {
        lmn_dim *e = lmn_infer_set_elems(ic, 0, x->n_elems);
        for (int64_t i = 0; e && i < x->n_elems; i++)
            e[i] = x->elems[i % dims[0] * dims[1] + i / dims[0]];
    }
}

static lamina_status infer_transpose(lmn_infer *ic)
{
    const int64_t *p;
    const int32_t len = lmn_attr_ints(ic->node, "perm", &p);
    int32_t perm[LMN_MAX_RANK];
    const int32_t rank = lmn_infer_rank(ic, 0);
    lmn_fact *f;
    if (rank < 0) return lmn_infer_shape(ic, 0, len > 0 ? len : -1, NULL);
    if (!read_perm(ic->node, rank, perm))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, "list every axis once",
                              "perm is not a permutation of the %d axes", rank);
    LMN_TRY(lmn_infer_shape(ic, 0, rank, &f));
    for (int32_t k = 0; k < rank; k++) f->dims[k] = ic->in[0]->dims[perm[k]];
    transpose_elems(ic, perm);
    return LAMINA_OK;
}

static lamina_status eval_transpose(lmn_eval *ec)
{
    const lamina_tensor *x;
    lmn_plain in, out;
    int32_t perm[LMN_MAX_RANK];
    int64_t st[LMN_MAX_RANK], dims[LMN_MAX_RANK];
    LMN_TRY(lmn_need(ec, 0, &x));
    if (!read_perm(ec->node, x->rank, perm))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "perm is not a permutation of the %d axes",
                             x->rank);
    for (int32_t k = 0; k < x->rank; k++) dims[k] = x->dims[perm[k]];
    LMN_TRY(lmn_plain_out(ec, 0, x->dtype, x->rank, dims, &out));
    if (!out.t) return LAMINA_OK;
    LMN_TRY(lmn_plain_in(ec, x, &in));
    lmn_move m = {.eb = in.eb, .rank = x->rank, .dst = out.p, .src = in.p};
    lmn_dense_strides(x->rank, x->dims, st);
    lmn_dense_strides(x->rank, dims, m.dst_st);
    for (int32_t k = 0; k < x->rank; k++) {
        m.dims[k] = dims[k];
        m.src_st[k] = st[perm[k]];
    }
    lmn_move_run(ec->par, &m);
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"data", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"transposed", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"perm", LMN_ATTR_INTS, 0}, {0}};

const lmn_op_def lmn_op_Transpose = {
    .name = "Transpose",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_transpose,
    .eval = eval_transpose,
};
