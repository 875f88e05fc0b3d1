/*
 * A plug-in with two operators of the domain "example":
 *   Swish(X) -> Y     y = x / (1 + exp(-beta * x)), any shape; attribute beta (float, 1)
 *   Pairs(X) -> Y     means of neighbours: [..., n] becomes [..., n / 2], n even
 * It needs the headers of Lamina and nothing else. Build: make. Use: lamina run --plugin ...
 */
#include "lamina/plugin.h"

#include <math.h>

/* ---- Swish: no shape rule, so outputs have input 0's shape ---- */

static lamina_status swish(const lamina_op_host *h, const lamina_node *node, lamina_call *call)
{
    const lamina_tensor *x = h->call_input(call, 0);
    lamina_tensor *y;
    lamina_status st = h->call_output(call, 0, LAMINA_F32, h->rank(x), h->dims(x), &y);
    if (st != LAMINA_OK || !y) return st;
    const float beta = h->attr_float(node, "beta", 1.0f), *in = h->data(x);
    float *out = h->mutable_data(y);
    for (int64_t i = 0; i < h->count(x); i++) out[i] = in[i] / (1.0f + expf(-beta * in[i]));
    return LAMINA_OK;
}

/* ---- Pairs: the last extent is halved, be it a number or a symbol ---- */

static lamina_status pairs_shape(const lamina_op_host *h, const lamina_node *node, lamina_shapes *s)
{
    lamina_dim dims[LAMINA_MAX_RANK];
    const int32_t rank = h->input_dims(s, 0, dims);
    (void)node;
    if (rank < 0) return LAMINA_OK; /* nothing is known yet */
    if (rank == 0) return h->refuse(s, LAMINA_E_SHAPE, "X is a scalar, which has no pairs");
    if (dims[rank - 1] >= 0 && dims[rank - 1] % 2)
        return h->refuse(s, LAMINA_E_SHAPE, "the last extent of X is odd: pad it by one");
    dims[rank - 1] = h->dim_div(s, dims[rank - 1], 2);
    return h->output(s, 0, LAMINA_DTYPE_NONE, rank, dims);
}

static lamina_status pairs(const lamina_op_host *h, const lamina_node *node, lamina_call *call)
{
    const lamina_tensor *x = h->call_input(call, 0);
    const int32_t rank = h->rank(x);
    int64_t dims[LAMINA_MAX_RANK];
    lamina_tensor *y;
    (void)node;
    for (int32_t i = 0; i < rank; i++) dims[i] = h->dims(x)[i];
    dims[rank - 1] /= 2;
    lamina_status st = h->call_output(call, 0, LAMINA_F32, rank, dims, &y);
    if (st != LAMINA_OK || !y) return st;
    const float *in = h->data(x);
    float *out = h->mutable_data(y);
    for (int64_t i = 0; i < h->count(y); i++) out[i] = 0.5f * (in[2 * i] + in[2 * i + 1]);
    return LAMINA_OK;
}

/* ---- the table ---- */

static const lamina_op_port X[] = {{"X", LAMINA_TYPE(LAMINA_F32), 0, 'T'}, {0}};
static const lamina_op_port Y[] = {{"Y", LAMINA_TYPE(LAMINA_F32), 0, 'T'}, {0}};
static const lamina_op_attr SWISH_ATTRS[] = {{"beta", LAMINA_ATTR_FLOAT, 0}, {0}};

static const lamina_op_v1 SWISH = {sizeof SWISH, "example", "Swish", 1, 0, X, Y,
                                   SWISH_ATTRS,  NULL,      swish};
static const lamina_op_v1 PAIRS = {sizeof PAIRS, "example",   "Pairs", 1, 0, X, Y,
                                   NULL,         pairs_shape, pairs};
static const lamina_op_v1 *const OPS[] = {&SWISH, &PAIRS};

LAMINA_API const lamina_plugin lamina_plugin_v1 = {LAMINA_OP_ABI, "custom_op", 2, OPS};
