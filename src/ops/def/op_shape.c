/*
 * Shape (ai.onnx, since 1; start and end since 15): the extents as int64, from `start` to `end`,
 * both clamped to [0, rank] after counting from the back.
 */
#include "ops/shapes.h"

static void clamp_range(const lmn_opnode *n, int32_t rank, int32_t *from, int32_t *to)
{
    int64_t a = lmn_attr_i(n, "start", 0), b = lmn_attr_i(n, "end", rank);
    if (a < 0) a = lmn_max_i64(a, -(int64_t)rank) + rank;
    if (b < 0) b = lmn_max_i64(b, -(int64_t)rank) + rank;
    *from = (int32_t)lmn_min_i64(a, rank);
    *to = (int32_t)lmn_max_i64(*from, lmn_min_i64(b, rank));
}

static lamina_status infer_shape(lmn_infer *ic)
{
    const int32_t r = lmn_infer_rank(ic, 0);
    int32_t from, to;
    lmn_fact *f;
    LMN_TRY(lmn_infer_shape(ic, 0, 1, &f));
    if (r < 0) return LAMINA_OK;
    clamp_range(ic->node, r, &from, &to);
    f->dims[0] = lmn_dim_c(to - from);
    lmn_dim *e = lmn_infer_set_elems(ic, 0, to - from);
    for (int32_t k = from; e && k < to; k++) e[k - from] = ic->in[0]->dims[k];
    return LAMINA_OK;
}

static lamina_status eval_shape(lmn_eval *ec)
{
    const lamina_tensor *x;
    lamina_tensor *t;
    int32_t from, to;
    LMN_TRY(lmn_need(ec, 0, &x));
    clamp_range(ec->node, x->rank, &from, &to);
    const int64_t n = to - from;
    LMN_TRY(lmn_out(ec, 0, LAMINA_I64, 1, &n, &t));
    for (int64_t k = 0; t && k < n; k++) ((int64_t *)t->data)[k] = x->dims[from + k];
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"data", 0, 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {{"shape", 0, 0, LMN_DBIT(LAMINA_I64)}, {0}};
static const lmn_attr_schema ATTRS[] = {{"start", LMN_ATTR_INT, 0}, {"end", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_Shape = {
    .name = "Shape",
    .domain = "",
    .since = 1,
    .flags = LMN_OP_INT_LATTICE,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_shape,
    .eval = eval_shape,
};
