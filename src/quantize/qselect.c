/*
 * What is quantised. Nodes with constant float32 weights that the mode knows, unless they are
 * excluded; in static mode then, front to back, what lies between: a node all of whose data are
 * quantised already, kept if what it computes reaches another quantised node.
 *
 * Static mode quantises a value if a node with weights reads it, a Conv makes it, or a kept node
 * between makes it. The last Gemm or MatMul before an output so stays in float32, which costs
 * nothing: its integer sums are scaled once either way.
 */
#include "quantize/quantizer.h"

#include <string.h>

static bool is_op(const lmn_gnode *n, const char *op)
{
    return !*n->op.def->domain && !strcmp(n->op.def->name, op);
}

/* A float32 constant that nobody can override. */
static const lamina_tensor *weight_of(const lmn_graph *g, lmn_vid v)
{
    const lmn_value *x = &g->values[v];
    const lamina_tensor *t = v && x->constant && !x->is_input ? x->constant : NULL;
    return t && t->kind == LAMINA_KIND_TENSOR && t->dtype == LAMINA_F32 && !t->strided &&
                   lmn_count(t) > 0
               ? t
               : NULL;
}

static bool is_data(const lmn_graph *g, lmn_vid v)
{
    const lmn_value *x = &g->values[v];
    return v && !x->constant && x->fact.kind == LMN_FACT_TENSOR && x->fact.dtype == LAMINA_F32;
}

static bool bias_fits(const lmn_graph *g, const lmn_gnode *n, lmn_qtarget *t)
{
    if (n->op.n_in < 3 || !n->in[2]) return true;
    t->bias = weight_of(g, n->in[2]);
    if (!t->bias) return false;
    const lamina_tensor *b = t->bias;
    const int64_t count = lmn_count(b);
    if (t->conv) return b->rank == 1 && count == t->cols;
    return b->rank <= 2 && (count == 1 || (count == t->cols && b->dims[b->rank - 1] == t->cols));
}

bool lmn_qtarget_of(const lmn_graph *g, const lmn_gnode *n, uint32_t mode, lmn_qtarget *t)
{
    const bool gemm = is_op(n, "Gemm");
    *t = (lmn_qtarget){.n = n, .conv = is_op(n, "Conv"), .alpha = 1.0F, .beta = 1.0F};
    if (!gemm && !t->conv && !is_op(n, "MatMul")) return false;
    if (t->conv && mode != LAMINA_QUANTIZE_STATIC) return false;
    if (n->op.n_in < 2 || n->op.n_out != 1 || !n->out[0] || !is_data(g, n->in[0])) return false;
    if (!(t->w = weight_of(g, n->in[1]))) return false;
    if (t->conv) {
        t->cols = t->w->dims[0];
        return t->w->rank >= 3 && bias_fits(g, n, t);
    }
    if (t->w->rank != 2 || g->values[n->in[0]].fact.rank < 2) return false;
    t->transposed = gemm && lmn_attr_i(&n->op, "transB", 0) != 0;
    t->k = t->w->dims[t->transposed ? 1 : 0];
    t->cols = t->w->dims[t->transposed ? 0 : 1];
    if (!gemm) return true;
    t->alpha = lmn_attr_f(&n->op, "alpha", 1.0F);
    t->beta = lmn_attr_f(&n->op, "beta", 1.0F);
    return lmn_attr_i(&n->op, "transA", 0) == 0 && bias_fits(g, n, t);
}

double lmn_qtarget_bias(const lmn_qtarget *t, int64_t i)
{
    float b;
    const int64_t at = lmn_count(t->bias) == 1 ? 0 : i;
    memcpy(&b, (const uint8_t *)t->bias->data + (size_t)at * sizeof b, sizeof b);
    return (double)b * (double)t->beta;
}

/* ---- what the caller wants --------------------------------------------------------------------
 */

static bool listed(const char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] && !strcmp(list[i], name)) return true;
    return false;
}

static lamina_status check_lists(const lamina_quantizer *q, const lamina_quantize_opts *o,
                                 lamina_error *err)
{
    const bool fixed = o->mode == LAMINA_QUANTIZE_STATIC;
    for (size_t i = 0; i < o->n_ops; i++) {
        const char *op = o->ops[i] ? o->ops[i] : "";
        if (!strcmp(op, "Gemm") || !strcmp(op, "MatMul") || (fixed && !strcmp(op, "Conv")))
            continue;
        return lmn_fail(err, LAMINA_E_INVALID,
                        "\"%.100s\" is no operator that this mode quantises; use %s", op,
                        fixed ? "Conv, Gemm, MatMul" : "Gemm, MatMul, or static mode for Conv");
    }
    for (size_t i = 0; i < o->n_exclude; i++) {
        const char *name = o->exclude[i] ? o->exclude[i] : "";
        size_t k = 0;
        while (k < q->g->n_nodes && strcmp(q->g->nodes[k].op.name, name) != 0) k++;
        if (k == q->g->n_nodes)
            return lmn_fail(err, LAMINA_E_INVALID,
                            "there is no node \"%.100s\" to exclude; lamina inspect lists them",
                            name);
    }
    return LAMINA_OK;
}

/* Are there nodes whose weights a caller may replace? */
static bool has_open_weights(const lmn_graph *g)
{
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        const bool known = is_op(n, "Conv") || is_op(n, "Gemm") || is_op(n, "MatMul");
        const lmn_value *w = known && n->op.n_in > 1 ? &g->values[n->in[1]] : NULL;
        if (w && w->constant && w->is_input) return true;
    }
    return false;
}

static lamina_status nothing(const lamina_quantizer *q, const lamina_quantize_opts *o, size_t left,
                             lamina_error *err)
{
    const bool fixed = o->mode == LAMINA_QUANTIZE_STATIC;
    const char *what = fixed ? "Conv, Gemm or MatMul" : "Gemm or MatMul";
    if (left)
        return lmn_fail(err, LAMINA_E_UNSUPPORTED,
                        "nothing is left to quantise: all %zu nodes are excluded", left);
    if (has_open_weights(q->g))
        return lmn_fail(
            err, LAMINA_E_UNSUPPORTED,
            "the weights are inputs with defaults, which a caller may replace; export the "
            "model with weights that are no inputs");
    for (size_t i = 0; !fixed && i < q->g->n_nodes; i++)
        if (is_op(&q->g->nodes[i], "Conv"))
            return lmn_fail(
                err, LAMINA_E_UNSUPPORTED,
                "the model has no %s with constant float32 weights; its Conv nodes need "
                "static mode",
                what);
    return lmn_fail(
        err, LAMINA_E_UNSUPPORTED,
        "the model has no %s with constant float32 weights: there is nothing to quantise", what);
}

/* ---- what lies between ------------------------------------------------------------------------
 */

static bool among(const lmn_gnode *n, const char *const *names)
{
    for (; !*n->op.def->domain && *names; names++)
        if (!strcmp(n->op.def->name, *names)) return true;
    return false;
}

/* Role that a node may have if its data are quantised. Moving ones have data in input 0 alone. */
static lmn_qrole role_between(const lmn_gnode *n)
{
    static const char *const MOVE[] = {"DepthToSpace", "Flatten",      "MaxPool", "Reshape",
                                       "Slice",        "SpaceToDepth", "Split",   "Squeeze",
                                       "Transpose",    "Unsqueeze",    NULL};
    static const char *const COMPUTE[] = {
        "Add",       "AveragePool", "Clip", "Concat", "GlobalAveragePool",
        "LeakyRelu", "Mul",         "Relu", NULL};
    if (among(n, MOVE)) return LMN_Q_PASS;
    if (is_op(n, "Resize") && lmn_attr_is(&n->op, "mode", "nearest", "nearest") &&
        !lmn_attr_is(&n->op, "coordinate_transformation_mode", "tf_crop_and_resize", "half_pixel"))
        return LMN_Q_PASS; /* that one fills in a value of its own */
    return among(n, COMPUTE) ? LMN_Q_OWN : LMN_Q_NONE;
}

static int32_t data_inputs(const lmn_gnode *n)
{
    return is_op(n, "Add") || is_op(n, "Mul") ? 2 : is_op(n, "Concat") ? n->op.n_in : 1;
}

/* The Relu or Clip with constant bounds that alone reads v; n_nodes if there is none. */
static size_t activation_of(const lamina_quantizer *q, lmn_vid v)
{
    const lmn_graph *g = q->g;
    if (q->uses[v] != 1 || g->values[v].is_output) return g->n_nodes;
    const size_t i = q->reader[v];
    const lmn_gnode *n = &g->nodes[i];
    bool fixed = n->in[0] == v && (is_op(n, "Relu") || is_op(n, "Clip"));
    for (int32_t b = 1; fixed && b < n->op.n_in; b++) fixed = !n->in[b] || weight_of(g, n->in[b]);
    return fixed ? i : g->n_nodes;
}

lmn_vid lmn_qresult(const lamina_quantizer *q, const lmn_gnode *n)
{
    const size_t i = activation_of(q, n->out[0]);
    return i < q->g->n_nodes && q->role[i] == LMN_Q_FUSED ? q->g->nodes[i].out[0] : n->out[0];
}

static void fuse(lamina_quantizer *q, size_t i)
{
    const size_t act = activation_of(q, q->g->nodes[i].out[0]);
    if (act < q->g->n_nodes && q->role[act] == LMN_Q_NONE) q->role[act] = LMN_Q_FUSED;
}

static void quantise_value(lamina_quantizer *q, lmn_vid v, lmn_vid root)
{
    if (!q->root[v] && is_data(q->g, v)) q->root[v] = root;
}

static void spread(lamina_quantizer *q, size_t i)
{
    const lmn_gnode *n = &q->g->nodes[i];
    const lmn_qrole role = role_between(n);
    if (role == LMN_Q_NONE || n->op.n_in < 1) return;
    const int32_t n_data = data_inputs(n);
    for (int32_t k = 0; k < n_data; k++)
        if (k >= n->op.n_in || !q->root[n->in[k]]) return;
    for (int32_t k = n_data; role == LMN_Q_OWN && k < n->op.n_in; k++)
        if (n->in[k] && !weight_of(q->g, n->in[k])) return; /* bounds that are computed */
    for (int32_t o = 0; o < n->op.n_out; o++)
        if (n->out[o] && !is_data(q->g, n->out[o])) return; /* the indices of a MaxPool */
    q->role[i] = (uint8_t)role;
    if (role == LMN_Q_OWN && !is_op(n, "Relu") && !is_op(n, "Clip")) fuse(q, i);
    if (role == LMN_Q_OWN) {
        const lmn_vid v = lmn_qresult(q, n);
        quantise_value(q, v, v);
    }
    for (int32_t o = 0; role == LMN_Q_PASS && o < n->op.n_out; o++)
        if (n->out[o]) quantise_value(q, n->out[o], q->root[n->in[0]]);
}

/* Front to back: values are quantised, and the nodes between that could work on them. */
static void spread_all(lamina_quantizer *q)
{
    const lmn_graph *g = q->g;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *n = &g->nodes[i];
        if (q->role[i] == LMN_Q_NONE) spread(q, i);
        if (q->role[i] != LMN_Q_WEIGHTED) continue;
        quantise_value(q, n->in[0], n->in[0]);
        if (!is_op(n, "Conv")) continue;
        const lmn_vid v = lmn_qresult(q, n);
        quantise_value(q, v, v);
    }
}

static bool is_needed(const bool *needed, const lamina_quantizer *q, const lmn_gnode *n)
{
    bool any = needed[lmn_qresult(q, n)];
    for (int32_t o = 0; o < n->op.n_out; o++) any = any || needed[n->out[o]];
    return any;
}

/* Back to front: a node between whose result no quantised node reads goes back to float32. */
static lamina_status prune(lamina_quantizer *q)
{
    const lmn_graph *g = q->g;
    bool *needed = LMN_ARENA_ARRAY(&q->arena, bool, g->n_values);
    if (!needed) return LAMINA_E_NOMEM;
    for (size_t i = g->n_nodes; i-- > 0;) {
        const lmn_gnode *n = &g->nodes[i];
        const bool between = q->role[i] == LMN_Q_PASS || q->role[i] == LMN_Q_OWN;
        if (between && is_needed(needed, q, n)) {
            for (int32_t k = 0; k < data_inputs(n); k++) needed[n->in[k]] = true;
        } else if (between) {
            const lmn_vid v = lmn_qresult(q, n);
            q->root[v] = 0;
            for (int32_t o = 0; o < n->op.n_out; o++) q->root[n->out[o]] = 0;
            q->role[i] = LMN_Q_NONE;
        } else if (q->role[i] == LMN_Q_WEIGHTED) {
            needed[n->in[0]] = true;
        }
    }
    return LAMINA_OK;
}

static lamina_status list_roots(lamina_quantizer *q)
{
    const lmn_graph *g = q->g;
    q->roots = LMN_ARENA_ARRAY(&q->arena, lmn_vid, g->n_values);
    q->range = LMN_ARENA_ARRAY(&q->arena, lmn_qrange, g->n_values);
    if (!q->roots || !q->range) return LAMINA_E_NOMEM;
    for (lmn_vid v = 1; v < g->n_values; v++) {
        if (q->root[v] != v) continue;
        q->roots[q->n_roots++] = v;
        if (q->opts.percentile > 0 &&
            !(q->range[v].bins = LMN_ARENA_ARRAY(&q->arena, uint64_t, LMN_QRANGE_BINS)))
            return LAMINA_E_NOMEM;
    }
    return LAMINA_OK;
}

lamina_status lmn_qselect(lamina_quantizer *q, const lamina_quantize_opts *o, lamina_error *err)
{
    const lmn_graph *g = q->g;
    size_t n = 0, left = 0;
    LMN_TRY(check_lists(q, o, err));
    q->role = LMN_ARENA_ARRAY(&q->arena, uint8_t, g->n_nodes);
    q->root = LMN_ARENA_ARRAY(&q->arena, lmn_vid, g->n_values);
    q->uses = lmn_graph_uses(g, &q->arena);
    q->reader = LMN_ARENA_ARRAY(&q->arena, uint32_t, g->n_values);
    if (q->arena.failed || !q->uses) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    for (size_t i = 0; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_in; k++)
            q->reader[g->nodes[i].in[k]] = (uint32_t)i;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_gnode *x = &g->nodes[i];
        lmn_qtarget t;
        if (!lmn_qtarget_of(g, x, o->mode, &t)) continue;
        if (listed(o->exclude, o->n_exclude, x->op.name) ||
            (o->n_ops && !listed(o->ops, o->n_ops, x->op.def->name))) {
            left++;
            continue;
        }
        q->role[i] = LMN_Q_WEIGHTED;
        n++;
    }
    if (!n) return nothing(q, o, left, err);
    if (o->mode != LAMINA_QUANTIZE_STATIC) return LAMINA_OK;
    for (size_t i = 0; i < g->n_nodes; i++)
        if (q->role[i] == LMN_Q_WEIGHTED) fuse(q, i);
    spread_all(q);
    lamina_status st = prune(q);
    if (st == LAMINA_OK) st = list_roots(q);
    return st == LAMINA_OK ? st : lmn_fail(err, st, "out of memory");
}
