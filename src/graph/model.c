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

void lmn_model_destroy(lamina_model *m)
{
    if (!m) return;
    lamina_engine *e = m->engine;
    lmn_graph_destroy(m->graph);
    lmn_diags_finish(&m->diags);
    lmn_buffer_unref(m->file);
    lmn_cfree(&e->alloc, m, 1, sizeof *m, "model");
}
