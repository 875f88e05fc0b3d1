/*
 * The editor under the three rewrites. Names of what it makes are for people; the writer makes them
 * distinct. An output of the graph keeps its name: what was called so gets another.
 */
#include "quantize/qedit.h"

#include <string.h>

#define NEWEST_QDQ 13 /* the operator set in which QuantizeLinear knows channels */

static void fail(lmn_qedit *ed, lamina_status st)
{
    if (ed->status == LAMINA_OK) ed->status = st;
}

void lmn_qedit_begin(lmn_qedit *ed, lmn_graph *g)
{
    *ed = (lmn_qedit){.g = g, .n_map = g->n_values};
    lmn_arena_init(&ed->tmp, &g->engine->alloc, 0);
    ed->map = LMN_ARENA_ARRAY(&ed->tmp, lmn_vid, g->n_values);
    if (!ed->map) fail(ed, LAMINA_E_NOMEM);
}

static bool place(lmn_qedit *ed, uint32_t i)
{
    if (ed->status == LAMINA_OK)
        fail(ed, lmn_grow(&ed->g->engine->alloc, (void **)&ed->order, &ed->cap_order,
                          ed->n_order + 1, LMN_GRAPH_MAX_NODES, sizeof *ed->order, "graph"));
    if (ed->status != LAMINA_OK) return false;
    ed->order[ed->n_order++] = i;
    return true;
}

lmn_vid lmn_qedit_read(const lmn_qedit *ed, lmn_vid v)
{
    return ed->status == LAMINA_OK && v < ed->n_map && ed->map[v] ? ed->map[v] : v;
}

void lmn_qedit_keep(lmn_qedit *ed, uint32_t i)
{
    if (!place(ed, i)) return;
    lmn_gnode *n = &ed->g->nodes[i];
    for (int32_t k = 0; k < n->op.n_in; k++) n->in[k] = lmn_qedit_read(ed, n->in[k]);
}

static const char *joined(lmn_qedit *ed, const char *stem, const char *suffix)
{
    const size_t cap = strlen(stem) + strlen(suffix) + 2;
    char *s = lmn_arena_alloc(&ed->tmp, cap, 1);
    if (!s) return fail(ed, LAMINA_E_NOMEM), "";
    (void)lmn_format(s, cap, "%s%s%s", stem, *stem ? "_" : "", suffix);
    return s;
}

lamina_tensor *lmn_qedit_tensor(lmn_qedit *ed, lamina_dtype dtype, int32_t rank,
                                const int64_t *dims)
{
    lamina_tensor *t = NULL;
    if (ed->status == LAMINA_OK)
        fail(ed, lmn_tensor_new(ed->g->engine, dtype, rank, dims, false, &t));
    return t;
}

lmn_vid lmn_qedit_const(lmn_qedit *ed, const char *stem, const char *suffix, lamina_tensor *t)
{
    const char *name = joined(ed, stem, suffix);
    const lmn_vid v = t && ed->status == LAMINA_OK ? lmn_graph_constant(ed->g, name, t) : 0;
    if (t && !v) fail(ed, LAMINA_E_NOMEM);
    lamina_tensor_unref(t);
    return v;
}

lmn_vid lmn_qedit_f32(lmn_qedit *ed, const char *stem, const char *suffix, int64_t n,
                      const float *v)
{
    lamina_tensor *t = lmn_qedit_tensor(ed, LAMINA_F32, n > 0, &n);
    if (t) memcpy(t->data, v, t->data_bytes);
    return lmn_qedit_const(ed, stem, suffix, t);
}

lmn_vid lmn_qedit_value(lmn_qedit *ed, const char *stem, const char *suffix)
{
    if (ed->status != LAMINA_OK) return 0;
    const lmn_vid v = lmn_graph_value(ed->g, joined(ed, stem, suffix), NULL);
    if (!v) fail(ed, LAMINA_E_NOMEM);
    return v;
}

void lmn_qedit_node(lmn_qedit *ed, const lmn_qnode *n)
{
    if (ed->status != LAMINA_OK) return;
    const lmn_op_def *def = lmn_op_find(n->domain, n->op);
    lmn_assert(def);
    const int32_t opset = *n->domain ? def->since : NEWEST_QDQ;
    const lmn_opnode op = {.def = def,
                           .name = joined(ed, n->stem, n->op),
                           .opset = opset > def->since ? opset : def->since,
                           .n_in = n->n_in,
                           .n_out = n->n_out,
                           .n_attrs = n->n_attrs,
                           .attrs = n->attrs};
    if (ed->status == LAMINA_OK && !lmn_graph_node(ed->g, &op, n->in, n->out))
        fail(ed, LAMINA_E_NOMEM);
    (void)place(ed, (uint32_t)ed->g->n_nodes - 1);
}

lmn_vid lmn_qedit_one(lmn_qedit *ed, const char *op, const char *stem, const lmn_vid *in,
                      int32_t n_in)
{
    const lmn_vid out = lmn_qedit_value(ed, stem, op);
    const lmn_qnode n = {"", op, stem, in, n_in, NULL, 0, &out, 1};
    lmn_qedit_node(ed, &n);
    return out;
}

static void reorder(lmn_qedit *ed)
{
    lmn_graph *g = ed->g;
    lmn_assert(ed->n_order == g->n_nodes);
    lmn_gnode *old = lmn_arena_dup(&ed->tmp, g->nodes, g->n_nodes * sizeof *g->nodes);
    if (!old) {
        fail(ed, LAMINA_E_NOMEM);
        return;
    }
    for (size_t i = 0; i < g->n_nodes; i++) g->nodes[i] = old[ed->order[i]];
}

static void map_outputs(lmn_qedit *ed)
{
    lmn_graph *g = ed->g;
    for (size_t i = 0; i < g->n_outputs; i++) {
        const lmn_vid was = g->outputs[i], is = lmn_qedit_read(ed, was);
        if (is == was || g->values[was].is_input) continue; /* an input passed through stays */
        g->outputs[i] = is;
        if (!g->values[was].is_output) continue; /* renamed for an output before */
        g->values[was].is_output = false;
        g->values[is].name = g->values[was].name;
        g->values[was].name = lmn_arena_str(&g->arena, joined(ed, g->values[is].name, "float"));
        if (!g->values[was].name) {
            g->values[was].name = "";
            fail(ed, LAMINA_E_NOMEM);
        }
    }
    for (size_t i = 0; i < g->n_outputs; i++) g->values[g->outputs[i]].is_output = true;
}

lamina_status lmn_qedit_finish(lmn_qedit *ed, lamina_error *err)
{
    const lamina_allocator *a = &ed->g->engine->alloc;
    lmn_diags diags;
    lmn_diags_init(&diags, a);
    if (ed->status == LAMINA_OK) reorder(ed);
    if (ed->status == LAMINA_OK) map_outputs(ed);
    lamina_status st = ed->status;
    if (st == LAMINA_OK) {
        lmn_graph_compact(ed->g);
        st = lmn_graph_infer(ed->g, &diags);
        if (st == LAMINA_OK) st = lmn_graph_verify(ed->g, &diags);
        if (st != LAMINA_OK && lmn_diags_to_error(&diags, err) == LAMINA_OK)
            st = lmn_fail(err, st, "the quantised graph does not hold");
    } else {
        st = lmn_fail(err, st, "out of memory rewriting the graph");
    }
    lmn_diags_finish(&diags);
    lmn_free(a, ed->order, ed->cap_order * sizeof *ed->order, 16, "graph");
    lmn_arena_finish(&ed->tmp);
    return st;
}
