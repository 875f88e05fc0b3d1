/*
 * References to a model, and the public look at its ports, facts, metadata and diagnostics.
 */
#include "graph/model.h"

#include <string.h>

lamina_model *lamina_model_ref(lamina_model *m)
{
    if (m) lmn_atomic_add(&m->refs, 1, relaxed);
    return m;
}

void lamina_model_unref(lamina_model *m)
{
    if (!m || lmn_atomic_sub(&m->refs, 1, acq_rel) != 1) return;
    lmn_model_destroy(m);
}

size_t lamina_model_input_count(const lamina_model *m)
{
    return m ? m->graph->n_inputs : 0;
}
size_t lamina_model_output_count(const lamina_model *m)
{
    return m ? m->graph->n_outputs : 0;
}

/* Sized out structs: the caller may know fewer fields than we do, never more. */
static bool size_ok(size_t size, size_t ours)
{
    return size >= sizeof(size_t) && size <= ours;
}

static lamina_status port(const lamina_model *m, lmn_vid v, const char *name, lamina_port *out)
{
    LMN_CHECK(size_ok(out->size, sizeof *out), LAMINA_E_INVALID);
    const lmn_value *x = &m->graph->values[v];
    const lmn_fact *f = &x->fact;
    lamina_port p = {.size = out->size,
                     .name = name,
                     .dtype = f->dtype,
                     .rank = f->rank,
                     .optional =
                         (x->is_input && x->constant) || f->kind == LMN_FACT_OPTIONAL || f->maybe,
                     .has_default = x->is_input && x->constant,
                     .kind = f->kind == LMN_FACT_SEQUENCE ? LAMINA_KIND_SEQUENCE
                             : f->kind == LMN_FACT_MAP    ? LAMINA_KIND_MAP
                                                          : LAMINA_KIND_TENSOR,
                     .key = f->key};
    for (int32_t i = 0; i < LAMINA_MAX_RANK; i++) p.dim_names[i] = "";
    for (int32_t i = 0; i < f->rank; i++) {
        p.dims[i] = lmn_dim_is_const(f->dims[i]) ? lmn_dim_value(f->dims[i]) : -1;
        int64_t sym =
            lmn_dim_is_const(f->dims[i]) ? -1 : lmn_dim_as_sym(m->graph->dims, f->dims[i]);
        if (sym >= 0) p.dim_names[i] = lmn_dim_sym_name(m->graph->dims, (size_t)sym);
    }
    memcpy(out, &p, out->size);
    return LAMINA_OK;
}

lamina_status lamina_model_input(const lamina_model *m, size_t i, lamina_port *out)
{
    LMN_CHECK(m && out && i < m->graph->n_inputs, LAMINA_E_RANGE);
    lmn_vid v = m->graph->inputs[i];
    return port(m, v, m->graph->values[v].name, out);
}

lamina_status lamina_model_output(const lamina_model *m, size_t i, lamina_port *out)
{
    LMN_CHECK(m && out && i < m->graph->n_outputs, LAMINA_E_RANGE);
    return port(m, m->graph->outputs[i], m->graph->output_names[i], out);
}

static const char *text(const char *s)
{
    return s ? s : "";
}

lamina_status lamina_model_get_info(const lamina_model *m, lamina_model_info *out)
{
    LMN_CHECK(m && out && size_ok(out->size, sizeof *out), LAMINA_E_INVALID);
    const lamina_model_info info = {
        .size = out->size,
        .producer_name = text(m->producer_name),
        .producer_version = text(m->producer_version),
        .domain = text(m->domain),
        .doc = text(m->doc),
        .graph_name = text(m->graph_name),
        .ir_version = m->ir_version,
        .model_version = m->model_version,
        .opset = m->opset,
        .n_nodes = m->n_file_nodes,
        .weight_bytes = m->weight_bytes,
        .n_meta = m->n_meta,
        .graph_doc = text(m->graph_doc),
    };
    memcpy(out, &info, out->size);
    return LAMINA_OK;
}

lamina_status lamina_model_meta(const lamina_model *m, size_t i, const char **key,
                                const char **value)
{
    LMN_CHECK(m && key && value && i < m->n_meta, LAMINA_E_RANGE);
    *key = m->meta[i].key;
    *value = m->meta[i].value;
    return LAMINA_OK;
}

size_t lamina_model_diag_count(const lamina_model *m)
{
    return m ? m->diags.n : 0;
}

lamina_status lamina_model_diag(const lamina_model *m, size_t i, lamina_diag *out)
{
    LMN_CHECK(m && out && i < m->diags.n && size_ok(out->size, sizeof *out), LAMINA_E_RANGE);
    const lmn_diag *d = &m->diags.items[i];
    const lamina_diag pub = {.size = out->size,
                             .error = d->severity == LMN_DIAG_ERROR,
                             .status = d->status,
                             .node = d->node,
                             .op = d->op,
                             .opset = d->opset,
                             .what = d->what,
                             .fix = d->fix,
                             .lint = d->lint};
    memcpy(out, &pub, out->size);
    return LAMINA_OK;
}
