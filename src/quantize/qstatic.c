/*
 * Static mode: a QuantizeLinear and a DequantizeLinear behind each quantised value, all readers
 * behind them; weights and biases as integers with a DequantizeLinear. The graph keeps its float
 * meaning, an engine may run each stretch from DequantizeLinear to QuantizeLinear on integers.
 *
 * A bias has the scale of input times weight, so that it adds to the integer sums. Where it would
 * not fit into 30 bits so, the scale of the channel's weights is raised until it does.
 */
#include "quantize/quantizer.h"

#include <math.h>
#include <string.h>

#define BIAS_MOST 1073741824.0 /* 2^30 */

/* Parameters of the values with one root. */
typedef struct params {
    lmn_qscale s;
    lmn_vid scale, zero;
} params;

typedef struct work {
    lamina_quantizer *q;
    lmn_qedit *ed;
    params *of; /* by root */
} work;

static params *params_of(work *w, lmn_vid v)
{
    return &w->of[w->q->root[v]];
}

static void make_params(work *w, lmn_vid v)
{
    const lamina_quantizer *q = w->q;
    const bool i8 = q->opts.int8_activations;
    const char *name = q->g->values[v].name;
    params *p = &w->of[v];
    float lo, hi;
    lmn_qrange_cut(&q->range[v], q->opts.percentile, &lo, &hi);
    p->s = lmn_qscale_of(lo, hi, i8);
    p->scale = lmn_qedit_f32(w->ed, name, "scale", 0, &p->s.scale);
    lamina_tensor *zero = lmn_qedit_tensor(w->ed, i8 ? LAMINA_I8 : LAMINA_U8, 0, NULL);
    if (zero) *(uint8_t *)zero->data = (uint8_t)p->s.zero;
    p->zero = lmn_qedit_const(w->ed, name, "zero_point", zero);
}

static void put_pair(work *w, lmn_vid v)
{
    if (!w->q->root[v]) return;
    const char *name = w->q->g->values[v].name;
    const params *p = params_of(w, v);
    const lmn_vid in[3] = {v, p->scale, p->zero};
    const lmn_vid mid = lmn_qedit_one(w->ed, "QuantizeLinear", name, in, 3);
    const lmn_vid back[3] = {mid, p->scale, p->zero};
    const lmn_vid out = lmn_qedit_one(w->ed, "DequantizeLinear", name, back, 3);
    if (w->ed->status == LAMINA_OK) w->ed->map[v] = out;
}

/* ---- weights ----------------------------------------------------------------------------------
 */

/* One node's weights on their way to integers. */
typedef struct packing {
    lmn_qtarget t;
    lmn_qweights w;
    int64_t axis;
    double x_scale;
    const float *scale; /* w.chans, after the weights are packed */
    const char *name;   /* of the weights */
} packing;

static void view_weights(const lamina_quantizer *q, packing *p)
{
    const lamina_tensor *t = p->t.w;
    p->axis = p->t.conv || p->t.transposed ? 0 : 1;
    p->w = (lmn_qweights){.p = t->data, .outer = 1, .chans = 1, .mul = p->t.alpha};
    p->w.inner = lmn_count(t);
    if (q->opts.per_tensor) return;
    p->w.chans = p->t.cols;
    p->w.outer = p->axis ? t->dims[0] : 1;
    p->w.inner = p->axis ? 1 : lmn_count(t) / p->t.cols;
}

/* Least scales that keep the bias within its bits. */
static bool floor_scales(work *w, packing *p)
{
    if (!p->t.bias) return true;
    double *least = LMN_ARENA_ARRAY(&w->ed->tmp, double, (size_t)p->w.chans);
    for (int64_t c = 0; least && c < p->t.cols; c++) {
        double *at = &least[p->w.chans > 1 ? c : 0];
        const double s = fabs(lmn_qtarget_bias(&p->t, c)) / (p->x_scale * BIAS_MOST);
        *at = isfinite(s) && s > *at ? s : *at;
    }
    p->w.floor = least;
    return least != NULL;
}

static void put_dequantize(work *w, const packing *p, const lmn_vid *in, int32_t n_in, int64_t axis,
                           const char *stem, lmn_vid *out)
{
    const lmn_attr attr = {.name = "axis", .type = LMN_ATTR_INT, .n = 1, .u.i = axis};
    *out = lmn_qedit_value(w->ed, stem, "dequantized");
    const lmn_qnode n = {"", "DequantizeLinear", stem, in, n_in, &attr, p->w.chans > 1, out, 1};
    lmn_qedit_node(w->ed, &n);
}

static lmn_vid put_weights(work *w, packing *p, lmn_qlayer *layer)
{
    lmn_qedit *ed = w->ed;
    const int32_t rank = p->w.chans > 1;
    lamina_tensor *q = lmn_qedit_tensor(ed, LAMINA_I8, p->t.w->rank, p->t.w->dims);
    lamina_tensor *zero = lmn_qedit_tensor(ed, LAMINA_I8, rank, &p->w.chans);
    float *scale = LMN_ARENA_ARRAY(&ed->tmp, float, (size_t)p->w.chans);
    if (zero) memset(zero->data, 0, zero->data_bytes);
    if (q && zero && scale) lmn_qweights_i8(&p->w, q->data, scale, &layer->weights);
    if (!scale && ed->status == LAMINA_OK) ed->status = LAMINA_E_NOMEM;
    p->scale = scale;
    const lmn_vid v = lmn_qedit_const(ed, p->name, "quantized", q);
    const lmn_vid z = lmn_qedit_const(ed, p->name, "zero_point", zero);
    if (ed->status != LAMINA_OK) return 0;
    const lmn_vid in[3] = {v, lmn_qedit_f32(ed, p->name, "scale", rank ? p->w.chans : 0, scale), z};
    lmn_vid out;
    put_dequantize(w, p, in, 3, p->axis, p->name, &out);
    return out;
}

static lmn_vid put_bias(work *w, const packing *p, const char *name)
{
    lmn_qedit *ed = w->ed;
    const bool each = p->w.chans > 1;
    lamina_tensor *q = lmn_qedit_tensor(ed, LAMINA_I32, 1, &p->t.cols);
    float *scale = LMN_ARENA_ARRAY(&ed->tmp, float, (size_t)p->w.chans);
    if (!scale && ed->status == LAMINA_OK) ed->status = LAMINA_E_NOMEM;
    for (int64_t c = 0; scale && c < p->w.chans; c++)
        scale[c] = (float)((double)p->scale[c] * p->x_scale);
    for (int64_t c = 0; q && scale && c < p->t.cols; c++)
        ((int32_t *)q->data)[c] =
            lmn_qbias(lmn_qtarget_bias(&p->t, c), (double)scale[each ? c : 0]);
    const lmn_vid v = lmn_qedit_const(ed, name, "quantized", q);
    if (ed->status != LAMINA_OK) return 0;
    const lmn_vid in[2] = {v, lmn_qedit_f32(ed, name, "scale", each ? p->w.chans : 0, scale)};
    lmn_vid out;
    put_dequantize(w, p, in, 2, 0, name, &out);
    return out;
}

/* alpha and beta are in the weights and the bias now. */
static void plain_gemm(lmn_qedit *ed, lmn_gnode *n)
{
    const lmn_attr *b = lmn_attr_find(&n->op, "transB");
    lmn_attr *one = b ? lmn_arena_dup(&ed->g->arena, b, sizeof *b) : NULL;
    if (b && !one) ed->status = LAMINA_E_NOMEM;
    n->op.attrs = one;
    n->op.n_attrs = one != NULL;
}

static void put_weighted(work *w, uint32_t i)
{
    const lamina_quantizer *q = w->q;
    const lmn_gnode *n = &q->g->nodes[i];
    lmn_qedit *ed = w->ed;
    packing p = {.name = q->g->values[n->in[1]].name};
    const bool ok = lmn_qtarget_of(q->g, n, LAMINA_QUANTIZE_STATIC, &p.t);
    lmn_qlayer *layer = lmn_qlayer_add(w->q, ed, n, lmn_qresult(q, n));
    lmn_assert(ok);
    if (!ok || !layer) return;
    p.x_scale = (double)params_of(w, n->in[0])->s.scale;
    view_weights(q, &p);
    if (!floor_scales(w, &p)) ed->status = LAMINA_E_NOMEM;
    const lmn_vid weights = put_weights(w, &p, layer);
    const lmn_vid bias =
        p.t.bias && ed->status == LAMINA_OK ? put_bias(w, &p, q->g->values[n->in[2]].name) : 0;
    lmn_qedit_keep(ed, i);
    if (ed->status != LAMINA_OK) return;
    lmn_gnode *made = &ed->g->nodes[i];
    made->in[1] = weights;
    if (bias) made->in[2] = bias;
    if (!p.t.conv && (p.t.alpha != 1.0F || p.t.beta != 1.0F)) plain_gemm(ed, made);
}

void lmn_qstatic(lamina_quantizer *q, lmn_qedit *ed)
{
    const lmn_graph *g = q->g;
    work w = {.q = q, .ed = ed, .of = LMN_ARENA_ARRAY(&ed->tmp, params, g->n_values)};
    if (!w.of) ed->status = LAMINA_E_NOMEM;
    for (size_t i = 0; i < q->n_roots && ed->status == LAMINA_OK; i++) make_params(&w, q->roots[i]);
    for (size_t i = 0; i < g->n_inputs && ed->status == LAMINA_OK; i++) put_pair(&w, g->inputs[i]);
    for (uint32_t i = 0; i < g->n_nodes && ed->status == LAMINA_OK; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (q->role[i] == LMN_Q_WEIGHTED)
            put_weighted(&w, i);
        else
            lmn_qedit_keep(ed, i);
        const bool own = q->role[i] == LMN_Q_OWN;
        if (own) (void)lmn_qlayer_add(q, ed, n, lmn_qresult(q, n));
        for (int32_t o = 0; o < n->op.n_out; o++) put_pair(&w, n->out[o]);
    }
    /* What readers see of a value is what is judged. */
    for (size_t i = 0; i < q->n_layers; i++)
        q->layers[i].got = lmn_qedit_read(ed, q->layers[i].want);
}
