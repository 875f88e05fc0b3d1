/*
 * Per-channel arithmetic behind a convolution folded into its weights: BatchNormalization at
 * inference with constant parameters, Mul and Add with a constant a channel or one for all. Conv
 * and ConvTranspose in f32 and f64, with constant weights and an output that only this node reads.
 * The last bits may change; what would not stay finite is left alone.
 */
#include "graph/passes/match.h"

#include <math.h>
#include <string.h>

/* y = mul[c] * conv + add[c]. */
typedef struct affine {
    int64_t n;
    double *mul, *add;
} affine;

typedef struct target {
    lmn_gnode *conv;
    const lamina_tensor *w, *bias; /* bias NULL: none */
    bool transposed;
    int64_t groups, channels; /* output channels */
} target;

/* The convolution whose output v is, if it can take over what follows. */
static bool find_target(const lmn_match *m, lmn_vid v, target *t)
{
    lmn_gnode *n = lmn_match_made_by(m, v, "Conv");
    *t = (target){.conv = n};
    if (!n) t->conv = n = lmn_match_made_by(m, v, "ConvTranspose");
    if (!n || !lmn_match_once(m, v) || n->op.n_in < 2) return false;
    t->transposed = lmn_match_op(n, "ConvTranspose");
    t->w = lmn_match_const(m, n->in[1]);
    const bool has_bias = n->op.n_in > 2 && n->in[2];
    t->bias = has_bias ? lmn_match_const(m, n->in[2]) : NULL;
    t->groups = lmn_attr_i(&n->op, "group", 1);
    if (!t->w || (has_bias && !t->bias) || t->w->rank < 3) return false;
    if (t->w->dtype != LAMINA_F32 && t->w->dtype != LAMINA_F64) return false;
    if (t->groups < 1 || t->groups > t->w->dims[0]) return false;
    if (t->transposed && !lmn_mul_i64(t->w->dims[1], t->groups, &t->channels)) return false;
    if (!t->transposed) t->channels = t->w->dims[0];
    return t->channels > 0 && (!t->bias || (t->bias->rank == 1 && t->bias->dtype == t->w->dtype &&
                                            t->bias->dims[0] == t->channels));
}

static bool affine_alloc(lmn_match *m, int64_t n, affine *a)
{
    a->n = n;
    a->mul = LMN_ARENA_ARRAY(&m->tmp, double, (size_t)n);
    a->add = LMN_ARENA_ARRAY(&m->tmp, double, (size_t)n);
    for (int64_t i = 0; a->mul && a->add && i < n; i++) a->mul[i] = 1;
    return a->mul && a->add;
}

static bool vector_of(const lmn_match *m, const lmn_gnode *n, int32_t k, int64_t channels,
                      const lamina_tensor **out)
{
    *out = k < n->op.n_in ? lmn_match_const(m, n->in[k]) : NULL;
    return *out && (*out)->rank == 1 && (*out)->dims[0] == channels &&
           ((*out)->dtype == LAMINA_F32 || (*out)->dtype == LAMINA_F64);
}

static bool from_batch_norm(lmn_match *m, const lmn_gnode *n, const target *t, affine *a)
{
    const lamina_tensor *p[4];
    for (int32_t k = 0; k < 4; k++)
        if (!vector_of(m, n, k + 1, t->channels, &p[k])) return false;
    for (int32_t k = 1; k < n->op.n_out; k++)
        if (n->out[k]) return false;
    if (lmn_attr_i(&n->op, "training_mode", 0) != 0 || !affine_alloc(m, t->channels, a))
        return false;
    const double eps = (double)lmn_attr_f(&n->op, "epsilon", 1e-5f);
    for (int64_t i = 0; i < a->n; i++) {
        a->mul[i] = lmn_get_f64(p[0], i) / sqrt(lmn_get_f64(p[3], i) + eps);
        a->add[i] = lmn_get_f64(p[1], i) - lmn_get_f64(p[2], i) * a->mul[i];
    }
    return true;
}

/* Constant with one value a channel of a result of this rank, or one for all. */
static bool per_channel(const lamina_tensor *c, int32_t rank, int64_t channels)
{
    if (c->rank > rank) return false;
    for (int32_t d = 0; d < c->rank; d++) {
        const bool channel_axis = rank - c->rank + d == 1;
        if (c->dims[d] != 1 && !(channel_axis && c->dims[d] == channels)) return false;
    }
    return true;
}

static bool from_binary(lmn_match *m, const lmn_gnode *n, const target *t, affine *a)
{
    const bool mul = lmn_match_op(n, "Mul");
    const lamina_tensor *c = lmn_match_const(m, lmn_match_other(n, t->conv->out[0]));
    if ((!mul && !lmn_match_op(n, "Add")) || !c || c->dtype != t->w->dtype) return false;
    if (!per_channel(c, t->w->rank, t->channels) || !affine_alloc(m, t->channels, a)) return false;
    const bool one = lmn_count(c) == 1;
    for (int64_t i = 0; i < a->n; i++)
        *(mul ? &a->mul[i] : &a->add[i]) = lmn_get_f64(c, one ? 0 : i);
    return true;
}

static bool scales(const affine *a)
{
    for (int64_t i = 0; i < a->n; i++)
        if (a->mul[i] != 1) return true;
    return false;
}

/* Elements [i, i + n) times k, rounded once; false if a finite one leaves the type's range. */
static bool scale_run(lamina_tensor *t, int64_t i, int64_t n, double k)
{
    bool finite = true;
    if (t->dtype == LAMINA_F32) {
        float *p = (float *)t->data + i;
        for (int64_t e = 0; e < n; e++) {
            const float v = (float)((double)p[e] * k);
            finite = finite && (isfinite(v) || !isfinite(p[e]));
            p[e] = v;
        }
        return finite;
    }
    for (; n > 0; i++, n--) {
        const double v = lmn_get_f64(t, i);
        lmn_set_f64(t, i, v * k);
        finite = finite && (isfinite(lmn_get_f64(t, i)) || !isfinite(v));
    }
    return finite;
}

/* New weights within the budget of constants; *out is the old tensor when nothing scales. */
static lamina_status fold_weights(lmn_match *m, const target *t, const affine *a, lmn_vid *out)
{
    const lamina_tensor *w = t->w;
    lamina_tensor *made;
    *out = t->conv->in[1];
    if (!scales(a)) return LAMINA_OK;
    lmn_pass_ctx *ctx = m->ctx;
    *out = 0;
    if (w->data_bytes > ctx->max_const_bytes ||
        ctx->folded_bytes + w->data_bytes > 4 * ctx->max_const_bytes)
        return LAMINA_OK;
    LMN_TRY(lamina_tensor_create(m->g->engine, w->dtype, w->rank, w->dims, &made));
    int64_t inner = 1; /* elements of one output channel of one input channel */
    for (int32_t d = t->transposed ? 2 : 1; d < w->rank; d++) inner *= w->dims[d];
    const int64_t count = lmn_count(w), in_group = t->transposed ? w->dims[0] / t->groups : 1;
    bool finite = true;
    memcpy(made->data, w->data, w->data_bytes); /* the file's weights may lie at an odd address */
    for (int64_t row = 0; inner > 0 && row < count / inner; row++) {
        const int64_t c =
            t->transposed ? row / w->dims[1] / in_group * w->dims[1] + row % w->dims[1] : row;
        finite = scale_run(made, row * inner, inner, a->mul[c]) && finite;
    }
    lamina_status st = LAMINA_OK;
    if (finite) {
        *out = lmn_graph_constant(m->g, m->g->values[t->conv->in[1]].name, made);
        if (!*out) st = LAMINA_E_NOMEM;
        ctx->folded_bytes += w->data_bytes;
    }
    lamina_tensor_unref(made);
    return st;
}

static lamina_status fold_bias(lmn_match *m, const target *t, const affine *a, lmn_vid *out)
{
    lamina_tensor *made;
    *out = 0;
    LMN_TRY(lamina_tensor_create(m->g->engine, t->w->dtype, 1, &t->channels, &made));
    bool finite = true;
    for (int64_t i = 0; i < t->channels; i++) {
        const double b = t->bias ? lmn_get_f64(t->bias, i) : 0;
        lmn_set_f64(made, i, b * a->mul[i] + a->add[i]);
        finite = finite && isfinite(lmn_get_f64(made, i));
    }
    lamina_status st = LAMINA_OK;
    if (finite && !(*out = lmn_graph_constant(m->g, "", made))) st = LAMINA_E_NOMEM;
    lamina_tensor_unref(made);
    return st;
}

static lamina_status try_fold(lmn_match *m, lmn_gnode *n)
{
    target t;
    affine a;
    bool ok = false;
    const bool bn = lmn_match_op(n, "BatchNormalization");
    if (!bn && !lmn_match_op(n, "Mul") && !lmn_match_op(n, "Add")) return LAMINA_OK;
    for (int32_t k = 0; !ok && k < (bn ? 1 : 2) && k < n->op.n_in; k++)
        ok = find_target(m, n->in[k], &t) &&
             (bn ? from_batch_norm(m, n, &t, &a) : from_binary(m, n, &t, &a));
    if (!ok) return m->tmp.failed ? LAMINA_E_NOMEM : LAMINA_OK;
    lmn_vid in[3] = {t.conv->in[0], 0, 0};
    LMN_TRY(fold_bias(m, &t, &a, &in[2]));
    if (in[2]) LMN_TRY(fold_weights(m, &t, &a, &in[1]));
    if (!in[1] || !in[2]) return LAMINA_OK;
    const lmn_opnode conv = t.conv->op;
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "",
                                           .op = conv.def->name,
                                           .name = lmn_match_trace(m, &conv, &n->op),
                                           .opset = conv.opset,
                                           .in = in,
                                           .n_in = 3,
                                           .attrs = conv.attrs,
                                           .n_attrs = conv.n_attrs,
                                           .takes = t.conv});
}

static lamina_status run(lmn_match *m)
{
    for (size_t i = 0; i < m->g->n_nodes; i++)
        if (!m->g->nodes[i].dead && m->g->nodes[i].out[0]) LMN_TRY(try_fold(m, &m->g->nodes[i]));
    return LAMINA_OK;
}

lamina_status lmn_pass_conv_bn(lmn_graph *g, lmn_pass_ctx *ctx);
lamina_status lmn_pass_conv_bn(lmn_graph *g, lmn_pass_ctx *ctx)
{
    lmn_match m;
    lamina_status st = lmn_match_begin(&m, g, ctx);
    if (st == LAMINA_OK) st = run(&m);
    lmn_match_finish(&m);
    return st;
}
