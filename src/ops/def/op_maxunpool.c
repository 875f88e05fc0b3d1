/*
 * MaxUnpool (ai.onnx, since 9): the partial inverse of MaxPool: every value goes to the flat
 * position that Indices name in the natural output, the rest is 0. A larger output_shape holds that
 * natural output at its origin. An index outside it is an error; of equal indices the last wins.
 */
#include "ops/convgeom.h"
#include "ops/wide.h"

#include <string.h>

static lamina_status infer_maxunpool(lmn_infer *ic)
{
    LMN_TRY(lmn_infer_rank_in(ic, 0, 3, LMN_MAX_RANK));
    const lmn_fact *x = lmn_infer_shape_of(ic, 0);
    const lmn_dim *shape;
    const int32_t n = lmn_infer_elems(ic, 2, &shape);
    if (n > LMN_MAX_RANK || (n >= 0 && x && n != x->rank))
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "output_shape has %d entries", n);
    if (!x && n < 0) return LAMINA_OK;
    lmn_fact *y = lmn_infer_ranked(ic, 0, x ? x->rank : n);
    if (!y) return LAMINA_OK;
    if (n >= 0) {
        memcpy(y->dims, shape, (size_t)n * sizeof shape[0]);
        return LAMINA_OK;
    }
    if (ic->node->n_in > 2 && ic->in[2]) return LAMINA_OK;
    y->dims[0] = x->dims[0];
    y->dims[1] = x->dims[1];
    return lmn_deconv_geom_infer(ic, x->rank - 2, x->dims + 2, NULL, y->dims + 2);
}

/* Position in the natural output to position in the output; -1 if it lies outside. */
static int64_t place(int64_t at, int32_t rank, const int64_t *natural, const int64_t *dims)
{
    int64_t flat = 0, step = 1;
    for (int32_t d = rank - 1; d >= 0; d--) {
        const int64_t i = natural[d] ? at % natural[d] : 0;
        at = natural[d] ? at / natural[d] : 0;
        if (i >= dims[d]) return -1;
        flat += i * step;
        step *= dims[d];
    }
    return at == 0 ? flat : -1;
}

static lamina_status output_dims(lmn_eval *ec, const int64_t *natural, int64_t *dims)
{
    const lamina_tensor *x = lmn_in(ec, 0), *shape = lmn_in(ec, 2);
    for (int32_t d = 0; d < x->rank; d++) dims[d] = natural[d];
    if (!shape) return LAMINA_OK;
    if (shape->rank != 1 || shape->dims[0] != x->rank)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "output_shape must have %d entries", x->rank);
    for (int32_t d = 0; d < x->rank; d++) dims[d] = lmn_get_i64(shape, d);
    return LAMINA_OK;
}

static lamina_status eval_maxunpool(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = lmn_in(ec, 0), *index = lmn_in(ec, 1);
    if (x->rank < 3 || !lmn_dims_equal(x->rank, x->dims, index->rank, index->dims))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "values and indices must have one shape of rank 3 "
                             "or more");
    lmn_conv_geom_t g;
    const lamina_status st = lmn_deconv_geom(ec->node, x->rank - 2, x->dims + 2, NULL, &g);
    if (st != LAMINA_OK) return lmn_eval_fail(ec, st, "%s", g.why);
    int64_t natural[LMN_MAX_RANK] = {x->dims[0], x->dims[1]}, dims[LMN_MAX_RANK], total;
    memcpy(natural + 2, g.out, sizeof g.out);
    LMN_TRY(output_dims(ec, natural, dims));
    if (!lmn_dims_count(x->rank, natural, &total))
        return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the natural output is too large");
    lamina_tensor *y;
    LMN_TRY(lmn_out(ec, 0, x->dtype, x->rank, dims, &y));
    if (!y) return LAMINA_OK;
    const size_t bytes = lmn_dtype_bytes(x->dtype);
    if (y->data_bytes) memset(y->data, 0, y->data_bytes);
    const int64_t n = lmn_count(x), *at = index->data;
    for (int64_t i = 0; i < n; i++) {
        const int64_t to = at[i] >= 0 && at[i] < total ? place(at[i], x->rank, natural, dims) : -1;
        if (to < 0)
            return lmn_eval_fail(ec, LAMINA_E_RANGE, "index %lld is outside the output",
                                 (long long)at[i]);
        memcpy((uint8_t *)y->data + (size_t)to * bytes,
               (const uint8_t *)x->data + (size_t)i * bytes, bytes);
    }
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_FLOAT},
                              {"I", 0, 0, LMN_DBIT(LAMINA_I64)},
                              {"output_shape", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I64)},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"kernel_shape", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"pads", LMN_ATTR_INTS, 0},
                                        {"strides", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_MaxUnpool = {
    .name = "MaxUnpool",
    .domain = "",
    .since = 9,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_maxunpool,
    .eval = eval_maxunpool,
};
