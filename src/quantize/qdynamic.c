/*
 * The two modes that need no calibration. Dynamic: DynamicQuantizeLinear (one for all that read a
 * value), MatMulInteger, Cast, Mul by both scales, Add of the bias. Int4: MatMulNBits with the
 * weights in blocks, Add of the bias. The last node makes the value that the old one made.
 */
#include "quantize/quantizer.h"

#include <string.h>

/* The activations of one value in 8 bits. */
typedef struct dynamic {
    lmn_vid q, scale, zero;
} dynamic;

static const dynamic *put_activation(lamina_quantizer *q, lmn_qedit *ed, dynamic *of, lmn_vid x)
{
    const char *name = q->g->values[x].name;
    if (of[x].q || ed->status != LAMINA_OK) return &of[x];
    of[x] = (dynamic){lmn_qedit_value(ed, name, "quantized"), lmn_qedit_value(ed, name, "scale"),
                      lmn_qedit_value(ed, name, "zero_point")};
    const lmn_vid in = x, out[3] = {of[x].q, of[x].scale, of[x].zero};
    const lmn_qnode n = {"", "DynamicQuantizeLinear", name, &in, 1, NULL, 0, out, 3};
    lmn_qedit_node(ed, &n);
    return &of[x];
}

/* "x + bias" into out, or x itself where there is none: then out is what makes x. */
static void put_bias(lmn_qedit *ed, const lmn_qtarget *t, lmn_vid x, lmn_vid out)
{
    lamina_tensor *b = lmn_qedit_tensor(ed, LAMINA_F32, 1, &t->cols);
    for (int64_t c = 0; b && c < t->cols; c++)
        ((float *)b->data)[c] = (float)lmn_qtarget_bias(t, c);
    const lmn_vid in[2] = {x, lmn_qedit_const(ed, t->n->op.name, "bias", b)};
    const lmn_qnode n = {"", "Add", t->n->op.name, in, 2, NULL, 0, &out, 1};
    lmn_qedit_node(ed, &n);
}

/* Weights [k, cols] in 8 bits and their scales. */
static void put_weights(const lamina_quantizer *q, lmn_qedit *ed, const lmn_qtarget *t,
                        lmn_qlayer *layer, lmn_vid out[2])
{
    const char *name = q->g->values[t->n->in[1]].name;
    const int64_t dims[2] = {t->k, t->cols}, chans = q->opts.per_tensor ? 1 : t->cols;
    lmn_qweights w = {.p = t->w->data, .outer = 1, .chans = chans, .inner = 1, .mul = t->alpha};
    if (chans == 1)
        w.inner = t->k * t->cols;
    else
        *(t->transposed ? &w.inner : &w.outer) = t->k;
    lamina_tensor *packed = lmn_qedit_tensor(ed, LAMINA_I8, 2, dims);
    lamina_tensor *turned = t->transposed ? lmn_qedit_tensor(ed, LAMINA_I8, 2, dims) : NULL;
    float *scale = LMN_ARENA_ARRAY(&ed->tmp, float, (size_t)chans);
    if (!scale && ed->status == LAMINA_OK) ed->status = LAMINA_E_NOMEM;
    if (ed->status == LAMINA_OK) {
        lmn_qweights_i8(&w, packed->data, scale, &layer->weights);
        const int8_t *from = packed->data;
        for (int64_t c = 0; turned && c < t->cols; c++)
            for (int64_t k = 0; k < t->k; k++)
                ((int8_t *)turned->data)[k * t->cols + c] = from[c * t->k + k];
    }
    if (turned) {
        lamina_tensor_unref(packed);
        packed = turned;
    }
    out[0] = lmn_qedit_const(ed, name, "quantized", packed);
    out[1] = ed->status == LAMINA_OK
                 ? lmn_qedit_f32(ed, name, "scale", chans > 1 ? chans : 0, scale)
                 : 0;
}

static void put_integer(lamina_quantizer *q, lmn_qedit *ed, dynamic *of, const lmn_qtarget *t,
                        lmn_qlayer *layer)
{
    const char *name = t->n->op.name;
    const lmn_attr f32 = {.name = "to", .type = LMN_ATTR_INT, .n = 1, .u.i = LAMINA_F32};
    const dynamic *x = put_activation(q, ed, of, t->n->in[0]);
    lmn_vid w[2];
    put_weights(q, ed, t, layer, w);
    const lmn_vid mm[3] = {x->q, w[0], x->zero}, scales[2] = {x->scale, w[1]};
    const lmn_vid sums = lmn_qedit_one(ed, "MatMulInteger", name, mm, 3);
    const lmn_vid wide = lmn_qedit_value(ed, name, "Cast");
    const lmn_qnode cast = {"", "Cast", name, &sums, 1, &f32, 1, &wide, 1};
    lmn_qedit_node(ed, &cast);
    const lmn_vid both = lmn_qedit_one(ed, "Mul", name, scales, 2);
    const lmn_vid out = t->bias ? lmn_qedit_value(ed, name, "scaled") : t->n->out[0];
    const lmn_vid product[2] = {wide, both};
    const lmn_qnode mul = {"", "Mul", name, product, 2, NULL, 0, &out, 1};
    lmn_qedit_node(ed, &mul);
    if (t->bias) put_bias(ed, t, out, t->n->out[0]);
}

static void put_nbits(lamina_quantizer *q, lmn_qedit *ed, const lmn_qtarget *t, lmn_qlayer *layer)
{
    const char *name = t->n->op.name, *stem = q->g->values[t->n->in[1]].name;
    const int64_t block = q->opts.block, blocks = lmn_qblocks(t->k, block);
    const int64_t dims[3] = {t->cols, blocks, block / 2}, n_scale = t->cols * blocks;
    const int64_t n_zero = t->cols * ((blocks + 1) / 2);
    const lmn_qmatrix w = {
        t->w->data, t->k, t->cols, t->transposed ? 1 : t->cols, t->transposed ? t->k : 1, t->alpha};
    lamina_tensor *packed = lmn_qedit_tensor(ed, LAMINA_U8, 3, dims);
    lamina_tensor *scale = lmn_qedit_tensor(ed, LAMINA_F32, 1, &n_scale);
    lamina_tensor *zero = q->opts.symmetric ? NULL : lmn_qedit_tensor(ed, LAMINA_U8, 1, &n_zero);
    if (ed->status == LAMINA_OK)
        lmn_qweights_i4(&w, block, packed->data, scale->data, zero ? zero->data : NULL,
                        &layer->weights);
    const lmn_vid in[4] = {t->n->in[0], lmn_qedit_const(ed, stem, "quantized", packed),
                           lmn_qedit_const(ed, stem, "scales", scale),
                           zero ? lmn_qedit_const(ed, stem, "zero_points", zero) : 0};
    /* 4: rows of the activations may be rounded to 8 bits a block, which is little beside weights
       of 4 bits. */
    const int32_t n_attrs = q->opts.f32_activations ? 4 : 5;
    const lmn_attr attrs[5] = {
        {.name = "K", .type = LMN_ATTR_INT, .n = 1, .u.i = t->k},
        {.name = "N", .type = LMN_ATTR_INT, .n = 1, .u.i = t->cols},
        {.name = "bits", .type = LMN_ATTR_INT, .n = 1, .u.i = 4},
        {.name = "block_size", .type = LMN_ATTR_INT, .n = 1, .u.i = block},
        {.name = "accuracy_level", .type = LMN_ATTR_INT, .n = 1, .u.i = 4},
    };
    const lmn_vid out = t->bias ? lmn_qedit_value(ed, name, "product") : t->n->out[0];
    const int32_t n_in = q->opts.symmetric ? 3 : 4;
    const lmn_qnode n = {"com.microsoft", "MatMulNBits", name, in, n_in, attrs, n_attrs, &out, 1};
    lmn_qedit_node(ed, &n);
    if (t->bias) put_bias(ed, t, out, t->n->out[0]);
}

/* The old node stays in the order, dead; what it reads is the caller's business. */
static void each_target(lamina_quantizer *q, lmn_qedit *ed, dynamic *of)
{
    const lmn_graph *g = q->g;
    for (uint32_t i = 0; i < g->n_nodes && ed->status == LAMINA_OK; i++) {
        const lmn_gnode *n = &g->nodes[i];
        lmn_qtarget t;
        lmn_qedit_keep(ed, i);
        if (q->role[i] != LMN_Q_WEIGHTED || !lmn_qtarget_of(g, n, q->opts.mode, &t)) continue;
        lmn_qlayer *layer = lmn_qlayer_add(q, ed, n, n->out[0]);
        if (!layer) return;
        ed->g->nodes[i].dead = true;
        if (of)
            put_integer(q, ed, of, &t, layer);
        else
            put_nbits(q, ed, &t, layer);
    }
}

void lmn_qdynamic(lamina_quantizer *q, lmn_qedit *ed)
{
    dynamic *of = LMN_ARENA_ARRAY(&ed->tmp, dynamic, q->g->n_values);
    if (of)
        each_target(q, ed, of);
    else
        ed->status = LAMINA_E_NOMEM;
}

void lmn_qint4(lamina_quantizer *q, lmn_qedit *ed)
{
    each_target(q, ed, NULL);
}
