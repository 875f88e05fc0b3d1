/*
 * Concat (ai.onnx, since 1): inputs joined along `axis` (default 1 before opset 4). Extents off the
 * axis must agree; empty parts are fine.
 */
#include "ops/join.h"

static int32_t first_rank(const lmn_infer *ic)
{
    for (int32_t i = 0; i < ic->node->n_in; i++)
        if (lmn_infer_rank(ic, i) >= 0) return lmn_infer_rank(ic, i);
    return -1;
}

/* The elements of every rank-1 input in a row; parts of known length but unknown data are "?". */
static void join_elems(lmn_infer *ic)
{
    int64_t total = 0;
    for (int32_t i = 0; i < ic->node->n_in; i++) {
        const int64_t n = lmn_infer_length(ic, i);
        if (n < 0 || n > LMN_FACT_MAX_ELEMS) return;
        total += n;
    }
    if (total > LMN_FACT_MAX_ELEMS) return;
    lmn_dim *e = lmn_infer_set_elems(ic, 0, (int32_t)total);
    for (int32_t i = 0; e && i < ic->node->n_in; i++) {
        const lmn_dim *src;
        const int32_t len = (int32_t)lmn_infer_length(ic, i), n = lmn_infer_elems(ic, i, &src);
        for (int32_t k = 0; k < len; k++) *e++ = n == len ? src[k] : LMN_DIM_UNKNOWN;
    }
}

static lamina_status infer_concat(lmn_infer *ic)
{
    const int32_t rank = first_rank(ic);
    int32_t axis = 0;
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, rank, &f));
    if (rank < 0) return LAMINA_OK;
    LMN_TRY(lmn_infer_axis(ic, lmn_attr_i(ic->node, "axis", 1), rank, &axis));
    f->dims[axis] = lmn_dim_c(0);
    for (int32_t i = 0; i < ic->node->n_in; i++) {
        const int32_t r = lmn_infer_rank(ic, i);
        if (r < 0) {
            f->dims[axis] = LMN_DIM_UNKNOWN;
            continue;
        }
        if (r != rank)
            return lmn_infer_fail(ic, LAMINA_E_SHAPE, "reshape the inputs to one rank",
                                  "input %d has rank %d, another has rank %d", i, r, rank);
        for (int32_t k = 0; k < rank; k++) {
            const lmn_dim d = ic->in[i]->dims[k];
            if (k == axis)
                f->dims[k] = lmn_dim_add(ic->dims, f->dims[k], d);
            else if (!lmn_dim_unify(ic->dims, f->dims[k], d, &f->dims[k]))
                return lmn_infer_fail(ic, LAMINA_E_SHAPE, "only the joined axis may differ",
                                      "axis %d of input %d differs from the inputs before it", k,
                                      i);
        }
    }
    const lamina_dtype dt = f->dtype;
    if (rank == 1 && (dt == LAMINA_I64 || dt == LAMINA_I32)) join_elems(ic);
    return LAMINA_OK;
}

static lamina_status eval_concat(lmn_eval *ec)
{
    return lmn_join(ec, 0, ec->in, ec->n_in, lmn_attr_i(ec->node, "axis", 1), false);
}

static lamina_status canon_concat(lmn_canon *c)
{
    if (c->opset < 4 && !lmn_attr_find(c->node, "axis") && !lmn_canon_set_i(c, "axis", 1))
        return LAMINA_E_NOMEM;
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"inputs", 'T', LMN_PORT_VARIADIC, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"concat_result", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_attr_schema ATTRS[] = {{"axis", LMN_ATTR_INT, LMN_ATTR_REQUIRED}, {0}};

const lmn_op_def lmn_op_Concat = {
    .name = "Concat",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_concat,
    .eval = eval_concat,
    .canon = canon_concat,
};
