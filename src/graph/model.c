/*
 * The model record: made by readers, released with its graph. Constants may point into `file`, but
 * hold their own references to it.
 */
#include "graph/model.h"

lamina_status lmn_model_create(lamina_engine *e, lamina_model **out)
{
    lamina_model *m = lmn_calloc(&e->alloc, 1, sizeof *m, "model");
    if (!m) return LAMINA_E_NOMEM;
    m->refs = 1;
    m->engine = e;
    m->producer_name = m->producer_version = m->domain = m->doc = m->graph_name = "";
    lmn_diags_init(&m->diags, &e->alloc);
    lamina_status st = lmn_graph_create(e, NULL, &m->graph);
    if (st == LAMINA_OK)
        *out = m;
    else
        lmn_model_destroy(m);
    return st;
}

/* Dense bytes of the weights that are read, nodes of g and its subgraphs. */
static void count_contents(lamina_model *m, const lmn_graph *g)
{
    for (size_t v = 1; v < g->n_values; v++)
        if (g->values[v].constant && !g->parent)
            m->weight_bytes += g->values[v].constant->data_bytes;
    for (size_t i = 0; i < g->n_nodes; i++) {
        const lmn_opnode *op = &g->nodes[i].op;
        if (g->nodes[i].dead) continue;
        m->n_file_nodes++;
        for (int32_t k = 0; k < op->n_attrs; k++)
            if (op->attrs[k].type == LMN_ATTR_GRAPH) count_contents(m, op->attrs[k].u.g);
    }
}

static bool copy_words(lamina_model *m, const lamina_model *from, lmn_arena *a)
{
    m->producer_name = lmn_arena_str(a, from->producer_name);
    m->producer_version = lmn_arena_str(a, from->producer_version);
    m->domain = lmn_arena_str(a, from->domain);
    m->doc = lmn_arena_str(a, from->doc);
    m->graph_name = lmn_arena_str(a, from->graph_name);
    m->graph_doc = lmn_arena_str(a, from->graph_doc ? from->graph_doc : "");
    m->meta = LMN_ARENA_ARRAY(a, lmn_meta, from->n_meta);
    m->imports = LMN_ARENA_ARRAY(a, lmn_import, from->n_imports);
    for (size_t i = 0; m->meta && i < from->n_meta; i++, m->n_meta++)
        m->meta[i] =
            (lmn_meta){lmn_arena_str(a, from->meta[i].key), lmn_arena_str(a, from->meta[i].value)};
    for (size_t i = 0; m->imports && i < from->n_imports; i++, m->n_imports++)
        m->imports[i] =
            (lmn_import){lmn_arena_str(a, from->imports[i].domain), from->imports[i].version};
    return !a->failed;
}

lamina_status lmn_model_derive(const lamina_model *from, lmn_graph *g, lamina_model **out)
{
    lamina_model *m;
    LMN_TRY(lmn_model_create(from->engine, &m));
    if (!copy_words(m, from, &g->arena)) {
        lmn_model_destroy(m);
        return LAMINA_E_NOMEM;
    }
    m->ir_version = from->ir_version;
    m->model_version = from->model_version;
    m->opset = from->opset;
    count_contents(m, g);
    lmn_graph_destroy(m->graph);
    m->graph = g;
    *out = m;
    return LAMINA_OK;
}

void lmn_model_destroy(lamina_model *m)
{
    if (!m) return;
    lamina_engine *e = m->engine;
    lmn_graph_destroy(m->graph);
    lmn_diags_finish(&m->diags);
    lmn_buffer_unref(m->file);
    lmn_cfree(&e->alloc, m, 1, sizeof *m, "model");
}
