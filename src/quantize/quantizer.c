/*
 * The public face: create, calibrate, finish, compare. A quantizer is used by one thread at a time;
 * models and sessions it makes are ordinary ones.
 */
#include "quantize/quantizer.h"

#include "graph/passes/pass.h"
#include "ops/op.h"

#include <math.h>
#include <string.h>

#define FOLD_BYTES ((uint64_t)64 << 20)

static lamina_status check_opts(const lamina_quantize_opts *o, lamina_error *err)
{
    const bool fixed = o->mode == LAMINA_QUANTIZE_STATIC, int4 = o->mode == LAMINA_QUANTIZE_INT4;
    if (!fixed && !int4 && o->mode != LAMINA_QUANTIZE_DYNAMIC)
        return lmn_fail(err, LAMINA_E_INVALID, "a quantizer is static, dynamic or int4");
    if ((o->n_exclude && !o->exclude) || (o->n_ops && !o->ops))
        return lmn_fail(err, LAMINA_E_INVALID, "a list of nodes or operators is NULL");
    if (o->block && (!int4 || o->block < 16 || o->block > 256 || (o->block & (o->block - 1))))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "blocks are of int4 and have 16, 32, 64, 128 or 256 weights, not %u",
                        o->block);
    if (o->percentile != 0 && (!fixed || !(o->percentile > 50 && o->percentile <= 100)))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a percentile is of static mode and above 50, at most 100");
    if (o->symmetric && !int4)
        return lmn_fail(err, LAMINA_E_INVALID, "symmetric is of int4: 8-bit weights always are");
    if (o->per_tensor && int4)
        return lmn_fail(err, LAMINA_E_INVALID, "int4 has a scale for each block, not for a tensor");
    if (o->int8_activations && !fixed)
        return lmn_fail(err, LAMINA_E_INVALID, "the type of activations is of static mode");
    if (o->f32_activations && !int4)
        return lmn_fail(err, LAMINA_E_INVALID, "only int4 may leave activations in float32");
    return LAMINA_OK;
}

/* A copy of the graph as it will be quantised. */
static lamina_status prepare(lamina_quantizer *q, const lamina_model *m, lamina_error *err)
{
    static const char *const PASSES[] = {"infer", "fold", "cse", "dce", "conv_bn", "dce", "infer"};
    lmn_pass_ctx ctx = {.max_const_bytes = FOLD_BYTES};
    lmn_graph *g;
    if (lmn_graph_clone(m->graph, NULL, &g) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory copying the graph");
    lamina_status st = LAMINA_OK;
    for (size_t i = 0; st == LAMINA_OK && i < LMN_COUNT(PASSES); i++) {
        if (q->opts.mode != LAMINA_QUANTIZE_STATIC && !strcmp(PASSES[i], "conv_bn")) continue;
        st = lmn_pass_run(g, PASSES[i], &ctx);
    }
    lmn_graph_compact(g);
    if (st == LAMINA_OK) st = lmn_model_derive(m, g, &q->base);
    if (st != LAMINA_OK) {
        lmn_graph_destroy(g);
        return lmn_fail(err, st, "the graph cannot be prepared: %s", lamina_status_text(st));
    }
    q->g = g;
    return LAMINA_OK;
}

lamina_status lamina_quantizer_create(const lamina_model *model, const lamina_quantize_opts *opts,
                                      lamina_quantizer **out, lamina_error *err)
{
    lamina_quantize_opts o;
    if (!model || !opts || !out)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a quantizer needs a model, options and a place to go");
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "the options hold a field that this version does not know");
    LMN_TRY(check_opts(&o, err));
    if (model->diags.n_errors)
        return lmn_fail(err, LAMINA_E_STATE,
                        "a model that was loaded with errors is not quantised");
    lamina_quantizer *q = lmn_calloc(&model->engine->alloc, 1, sizeof *q, "quantizer");
    if (!q) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    if (!o.block) o.block = 32;
    q->engine = model->engine;
    q->opts = o;
    q->opts.exclude = q->opts.ops = NULL;
    q->opts.n_exclude = q->opts.n_ops = 0;
    lmn_arena_init(&q->arena, &q->engine->alloc, 0);
    lamina_status st = prepare(q, model, err);
    if (st == LAMINA_OK) st = lmn_qselect(q, &o, err);
    if (st == LAMINA_OK)
        *out = q;
    else
        lamina_quantizer_destroy(q);
    return st;
}

void lamina_quantizer_destroy(lamina_quantizer *q)
{
    if (!q) return;
    lamina_engine *e = q->engine;
    lmn_qtap_close(e, &q->seen);
    lmn_qtap_close(e, &q->want);
    lmn_qtap_close(e, &q->got);
    lamina_model_unref(q->made);
    lamina_model_unref(q->base);
    lmn_free(&e->alloc, q->layers, q->cap_layers * sizeof *q->layers, 16, "quantizer");
    lmn_arena_finish(&q->arena);
    lmn_cfree(&e->alloc, q, 1, sizeof *q, "quantizer");
}

/* ---- ranges -----------------------------------------------------------------------------------
 */

lamina_status lamina_quantizer_calibrate(lamina_quantizer *q, const lamina_tensor *const *inputs,
                                         size_t n_inputs, lamina_error *err)
{
    if (!q || (n_inputs && !inputs))
        return lmn_fail(err, LAMINA_E_INVALID, "calibration needs a quantizer and inputs");
    if (q->opts.mode != LAMINA_QUANTIZE_STATIC || q->made)
        return lmn_fail(err, LAMINA_E_STATE,
                        q->made ? "the quantizer is finished" : "only static mode is calibrated");
    if (!q->seen.s) LMN_TRY(lmn_qtap_open(q->base, q->roots, q->n_roots, &q->seen, err));
    LMN_TRY(lmn_qtap_run(&q->seen, inputs, n_inputs, err));
    for (size_t i = 0; i < q->n_roots; i++)
        lmn_qrange_add(&q->range[q->roots[i]], q->seen.v[i]->data, lmn_count(q->seen.v[i]));
    q->n_fed++;
    return LAMINA_OK;
}

/* ---- the model --------------------------------------------------------------------------------
 */

lmn_qlayer *lmn_qlayer_add(lamina_quantizer *q, lmn_qedit *ed, const lmn_gnode *n, lmn_vid want)
{
    if (ed->status == LAMINA_OK)
        ed->status = lmn_grow(&q->engine->alloc, (void **)&q->layers, &q->cap_layers,
                              q->n_layers + 1, LMN_GRAPH_MAX_NODES, sizeof *q->layers, "quantizer");
    if (ed->status != LAMINA_OK) return NULL;
    const char *name = n && *n->op.name ? n->op.name : q->g->values[want].name;
    lmn_qlayer *l = &q->layers[q->n_layers++];
    *l = (lmn_qlayer){.name = name, .op = n ? n->op.def->name : "", .want = want, .got = want};
    return l;
}

static void add_outputs(lamina_quantizer *q, lmn_qedit *ed)
{
    for (size_t i = 0; i < q->g->n_outputs; i++) {
        const lmn_vid v = q->g->outputs[i];
        lmn_qlayer *l = lmn_qlayer_add(q, ed, NULL, v);
        if (!l) return;
        l->name = q->g->output_names[i];
        l->output = true;
        l->got = q->g->values[v].is_input ? v : lmn_qedit_read(ed, v);
    }
}

lamina_status lamina_quantizer_finish(lamina_quantizer *q, lamina_model **out, lamina_error *err)
{
    if (!q || !out) return lmn_fail(err, LAMINA_E_INVALID, "finishing needs a quantizer");
    if (q->made) return lmn_fail(err, LAMINA_E_STATE, "the quantizer is finished");
    if (q->opts.mode == LAMINA_QUANTIZE_STATIC && !q->n_fed)
        return lmn_fail(err, LAMINA_E_STATE,
                        "static mode needs the ranges of the activations: calibrate first");
    lmn_graph *g;
    lmn_qedit ed;
    if (lmn_graph_clone(q->g, NULL, &g) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_NOMEM, "out of memory copying the graph");
    q->n_layers = 0;
    lmn_qedit_begin(&ed, g);
    if (ed.status == LAMINA_OK) {
        if (q->opts.mode == LAMINA_QUANTIZE_STATIC) lmn_qstatic(q, &ed);
        if (q->opts.mode == LAMINA_QUANTIZE_DYNAMIC) lmn_qdynamic(q, &ed);
        if (q->opts.mode == LAMINA_QUANTIZE_INT4) lmn_qint4(q, &ed);
    }
    add_outputs(q, &ed);
    lamina_status st = lmn_qedit_finish(&ed, err);
    if (st == LAMINA_OK) {
        st = lmn_model_derive(q->base, g, &q->made);
        if (st != LAMINA_OK) (void)lmn_fail(err, st, "out of memory");
    }
    if (st != LAMINA_OK) {
        lmn_graph_destroy(g);
        q->n_layers = 0;
        return st;
    }
    lmn_qtap_close(q->engine, &q->seen);
    *out = lamina_model_ref(q->made);
    return LAMINA_OK;
}

/* ---- errors -----------------------------------------------------------------------------------
 */

static double element(const lamina_tensor *t, int64_t i)
{
    return t->dtype == LAMINA_F32 ? (double)((const float *)t->data)[i] : lmn_get_f64(t, i);
}

static int64_t greatest(const lamina_tensor *t, int64_t row, int64_t n)
{
    int64_t best = 0;
    for (int64_t i = 1; i < n; i++)
        if (element(t, row * n + i) > element(t, row * n + best)) best = i;
    return best;
}

static lamina_status judge(lmn_qlayer *l, const lamina_tensor *want, const lamina_tensor *got,
                           lamina_error *err)
{
    if (!want || !got || want->kind != LAMINA_KIND_TENSOR || got->kind != LAMINA_KIND_TENSOR ||
        want->dtype == LAMINA_STRING)
        return LAMINA_OK; /* no numbers */
    if (!lmn_dims_equal(want->rank, want->dims, got->rank, got->dims))
        return lmn_fail(err, LAMINA_E_SHAPE,
                        "\"%.100s\" has another shape in the quantised model: its shape depends on "
                        "values; exclude the nodes before it",
                        l->name);
    const int64_t n = lmn_count(want);
    for (int64_t i = 0; i < n; i++) {
        const double a = element(want, i), b = element(got, i), e = a == b ? 0 : fabs(b - a);
        l->max_abs = e > l->max_abs || isnan(e) ? e : l->max_abs;
        l->err2 += e * e;
        l->want2 += a * a;
        l->got2 += b * b;
        l->dot += a * b;
    }
    l->n_values += (uint64_t)n;
    const int64_t classes = l->output && want->rank == 2 ? want->dims[1] : 0;
    for (int64_t r = 0; classes > 1 && r < want->dims[0]; r++, l->n_rows++)
        l->n_top1 += greatest(want, r, classes) == greatest(got, r, classes);
    return LAMINA_OK;
}

static lamina_status open_taps(lamina_quantizer *q, lamina_error *err)
{
    lmn_vid *ids = lmn_calloc(&q->engine->alloc, q->n_layers, sizeof *ids, "quantizer");
    if (!ids) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    for (size_t i = 0; i < q->n_layers; i++) ids[i] = q->layers[i].want;
    lamina_status st = LAMINA_OK;
    if (!q->want.s) st = lmn_qtap_open(q->base, ids, q->n_layers, &q->want, err);
    for (size_t i = 0; i < q->n_layers; i++) ids[i] = q->layers[i].got;
    if (st == LAMINA_OK && !q->got.s) st = lmn_qtap_open(q->made, ids, q->n_layers, &q->got, err);
    lmn_cfree(&q->engine->alloc, ids, q->n_layers, sizeof *ids, "quantizer");
    return st;
}

lamina_status lamina_quantizer_compare(lamina_quantizer *q, const lamina_tensor *const *inputs,
                                       size_t n_inputs, lamina_error *err)
{
    if (!q || (n_inputs && !inputs))
        return lmn_fail(err, LAMINA_E_INVALID, "a comparison needs a quantizer and inputs");
    if (!q->made) return lmn_fail(err, LAMINA_E_STATE, "there is nothing to compare: finish first");
    LMN_TRY(open_taps(q, err));
    LMN_TRY(lmn_qtap_run(&q->want, inputs, n_inputs, err));
    LMN_TRY(lmn_qtap_run(&q->got, inputs, n_inputs, err));
    for (size_t i = 0; i < q->n_layers; i++)
        LMN_TRY(judge(&q->layers[i], q->want.v[i], q->got.v[i], err));
    return LAMINA_OK;
}

size_t lamina_quantizer_layer_count(const lamina_quantizer *q)
{
    return q ? q->n_layers : 0;
}

lamina_status lamina_quantizer_layer(const lamina_quantizer *q, size_t i,
                                     lamina_quantize_layer *out)
{
    if (!q || !out || out->size < sizeof(size_t) || out->size > sizeof *out)
        return LAMINA_E_INVALID;
    if (i >= q->n_layers) return LAMINA_E_RANGE;
    const lmn_qlayer *l = &q->layers[i];
    lamina_quantize_layer r = {.size = out->size,
                               .name = l->name,
                               .op = l->op,
                               .n_values = l->n_values,
                               .max_abs = l->max_abs,
                               .n_rows = l->n_rows,
                               .n_top1 = l->n_top1};
    if (l->weights.ref2 > 0) r.weight_rel_l2 = sqrt(l->weights.err2 / l->weights.ref2);
    if (l->n_values) {
        const double norms = sqrt(l->want2) * sqrt(l->got2);
        r.rel_l2 = l->err2 > 0 ? sqrt(l->err2 / l->want2) : 0;
        r.sqnr_db = -20 * log10(r.rel_l2);
        r.cosine = norms > 0 ? l->dot / norms : l->err2 > 0 ? 0 : 1;
    }
    memcpy(out, &r, out->size);
    return LAMINA_OK;
}
