/*
 * Reading a view: numbers to graphs, nodes, values, and attributes as text.
 */
#include "api/api_view.h"

#include "base/text.h"

#include <string.h>

static bool size_ok(size_t size, size_t ours)
{
    return size >= sizeof(size_t) && size <= ours;
}

const view_graph *lmn_view_of_node(const lamina_view *v, size_t i, size_t *local)
{
    for (size_t k = 0; k < v->n_graphs; k++) {
        const view_graph *vg = &v->graphs[k];
        if (i - vg->first_node < vg->g->n_nodes) {
            *local = i - vg->first_node;
            return vg;
        }
    }
    return NULL;
}

const view_graph *lmn_view_of_value(const lamina_view *v, size_t i, lmn_vid *local)
{
    for (size_t k = 0; k < v->n_graphs; k++) {
        const view_graph *vg = &v->graphs[k];
        if (i - vg->first_value < vg->g->n_values - 1) {
            *local = (lmn_vid)(i - vg->first_value + 1);
            return vg;
        }
    }
    return NULL;
}

static int64_t number(const view_graph *vg, lmn_vid v)
{
    return v ? (int64_t)(vg->first_value + v - 1) : -1;
}

lamina_status lamina_view_get_stats(const lamina_view *v, lamina_view_stats *out)
{
    LMN_CHECK(v && out && size_ok(out->size, sizeof *out), LAMINA_E_INVALID);
    lamina_view_stats s = v->stats;
    s.size = out->size;
    memcpy(out, &s, out->size);
    return LAMINA_OK;
}

const char *lamina_view_symbol(const lamina_view *v, size_t i, int64_t *value)
{
    if (!v || i >= v->n_symbols) return NULL;
    if (value) *value = v->symbols[i].value;
    return v->symbols[i].name;
}

const char *lamina_view_opset(const lamina_view *v, size_t i, int64_t *version)
{
    if (!v || i >= v->model->n_imports) return NULL;
    if (version) *version = v->model->imports[i].version;
    return v->model->imports[i].domain;
}

lamina_status lamina_view_get_graph(const lamina_view *v, size_t i, lamina_view_graph *out)
{
    LMN_CHECK(v && out && i < v->n_graphs && size_ok(out->size, sizeof *out), LAMINA_E_RANGE);
    const view_graph *vg = &v->graphs[i];
    const lamina_view_graph r = {.size = out->size,
                                 .name = vg->g->name ? vg->g->name : "",
                                 .parent = vg->parent,
                                 .attr = vg->attr,
                                 .first_node = vg->first_node,
                                 .n_nodes = vg->g->n_nodes,
                                 .n_inputs = vg->g->n_inputs,
                                 .n_outputs = vg->g->n_outputs,
                                 .n_captures = (uint64_t)vg->n_caps,
                                 .first_value = vg->first_value,
                                 .n_value = vg->g->n_values - 1};
    memcpy(out, &r, out->size);
    return LAMINA_OK;
}

int64_t lamina_view_graph_input(const lamina_view *v, size_t i, size_t k)
{
    if (!v || i >= v->n_graphs || k >= v->graphs[i].g->n_inputs) return -1;
    return number(&v->graphs[i], v->graphs[i].g->inputs[k]);
}

int64_t lamina_view_graph_output(const lamina_view *v, size_t i, size_t k)
{
    if (!v || i >= v->n_graphs || k >= v->graphs[i].g->n_outputs) return -1;
    return number(&v->graphs[i], v->graphs[i].g->outputs[k]);
}

lamina_status lamina_view_get_node(const lamina_view *v, size_t i, lamina_view_node *out)
{
    size_t at;
    const view_graph *vg = v ? lmn_view_of_node(v, i, &at) : NULL;
    LMN_CHECK(vg && out && size_ok(out->size, sizeof *out), LAMINA_E_RANGE);
    const lmn_gnode *n = &vg->g->nodes[at];
    const lmn_step *t = vg->x ? &vg->x->steps[at] : NULL;
    lmn_cost c;
    const bool exact = lmn_view_cost(vg, n, &c);
    const lamina_view_node r = {.size = out->size,
                                .name = n->op.name,
                                .op = n->op.def->name,
                                .domain = n->op.def->domain,
                                .opset = n->op.opset,
                                .graph = (uint32_t)(vg - v->graphs),
                                .n_inputs = (uint32_t)n->op.n_in,
                                .n_outputs = (uint32_t)n->op.n_out,
                                .n_attrs = (uint32_t)n->op.n_attrs,
                                .flops = c.flops,
                                .bytes = c.bytes,
                                .exact = exact,
                                .device = !t          ? ""
                                          : t->kernel ? t->vt->name
                                                      : "cpu",
                                .kernel = !t          ? ""
                                          : t->kernel ? t->kernel_name
                                                      : "reference",
                                .reason = t ? t->reason : ""};
    memcpy(out, &r, out->size);
    return LAMINA_OK;
}

int64_t lamina_view_input(const lamina_view *v, size_t i, size_t k)
{
    size_t at;
    const view_graph *vg = v ? lmn_view_of_node(v, i, &at) : NULL;
    if (!vg || k >= (size_t)vg->g->nodes[at].op.n_in) return -1;
    return number(vg, vg->g->nodes[at].in[k]);
}

int64_t lamina_view_output(const lamina_view *v, size_t i, size_t k)
{
    size_t at;
    const view_graph *vg = v ? lmn_view_of_node(v, i, &at) : NULL;
    if (!vg || k >= (size_t)vg->g->nodes[at].op.n_out) return -1;
    return number(vg, vg->g->nodes[at].out[k]);
}

lamina_status lamina_view_get_value(const lamina_view *v, size_t i, lamina_view_value *out)
{
    lmn_vid at;
    const view_graph *vg = v ? lmn_view_of_value(v, i, &at) : NULL;
    LMN_CHECK(vg && out && size_ok(out->size, sizeof *out), LAMINA_E_RANGE);
    const lmn_value *x = &vg->g->values[at];
    const lmn_fact *f = &vg->facts[at];
    const bool made = x->producer != LMN_NO_NODE && !x->constant;
    lamina_view_value r = {.size = out->size,
                           .name = x->name,
                           .dtype = f->dtype,
                           .rank = f->rank,
                           .constant = x->constant != NULL,
                           .producer = made ? (int64_t)(vg->first_node + x->producer) : -1,
                           .bytes = lmn_view_bytes(f)};
    for (int32_t k = 0; k < f->rank; k++)
        r.dims[k] = lmn_dim_is_const(f->dims[k]) ? lmn_dim_value(f->dims[k]) : -1;
    (void)lmn_fact_format(vg->dims, f, r.type, sizeof r.type);
    memcpy(out, &r, out->size);
    return LAMINA_OK;
}

/* ---- attributes -------------------------------------------------------------------------------
 */

typedef struct text {
    char *p;
    size_t cap, n;
} text;

static void put(text *t, const char *s)
{
    t->n += lmn_format(t->p + t->n, t->cap - t->n, "%s", s);
}

static void put_float(text *t, float f)
{
    char num[LMN_NUMBER_BYTES];
    (void)lmn_format_f32(num, f);
    put(t, num);
}

static void put_int(text *t, int64_t i)
{
    t->n += lmn_format(t->p + t->n, t->cap - t->n, "%lld", (long long)i);
}

static void put_string(text *t, lmn_str s)
{
    put(t, "\"");
    t->n += lmn_format_name(t->p + t->n, t->cap - t->n, s.p ? s.p : "", s.n);
    put(t, "\"");
}

static void put_list(text *t, const lmn_attr *a)
{
    put(t, "[");
    for (int32_t i = 0; i < a->n && t->n + 8 < t->cap; i++) {
        if (i) put(t, ",");
        if (a->type == LMN_ATTR_INTS) put_int(t, a->u.ints[i]);
        if (a->type == LMN_ATTR_FLOATS) put_float(t, a->u.floats[i]);
        if (a->type == LMN_ATTR_STRINGS) put_string(t, a->u.strings[i]);
        if (i + 1 < a->n && t->n + 8 >= t->cap) put(t, "...");
    }
    put(t, "]");
}

static void put_fact(text *t, const lmn_dim_pool *dims, const lmn_fact *f)
{
    t->n += lmn_fact_format(dims, f, t->p + t->n, t->cap - t->n);
}

static void put_attr(text *t, const view_graph *vg, const lmn_attr *a)
{
    switch (a->type) {
    case LMN_ATTR_FLOAT: put_float(t, a->u.f); break;
    case LMN_ATTR_INT: put_int(t, a->u.i); break;
    case LMN_ATTR_STRING: put_string(t, a->u.s); break;
    case LMN_ATTR_FLOATS:
    case LMN_ATTR_INTS:
    case LMN_ATTR_STRINGS: put_list(t, a); break;
    case LMN_ATTR_TENSOR: {
        const lmn_fact f = lmn_fact_of(a->u.t, NULL);
        put_fact(t, vg->dims, &f);
        break;
    }
    case LMN_ATTR_TYPE: put_fact(t, vg->dims, a->u.type_fact); break;
    case LMN_ATTR_GRAPH: put(t, "graph"); break;
    default: put(t, "?"); break;
    }
}

const char *lamina_view_attr(const lamina_view *v, size_t i, size_t k, char *buf, size_t cap)
{
    size_t at;
    const view_graph *vg = v ? lmn_view_of_node(v, i, &at) : NULL;
    if (!vg || k >= (size_t)vg->g->nodes[at].op.n_attrs || !buf || !cap) return NULL;
    const lmn_attr *a = &vg->g->nodes[at].op.attrs[k];
    text t = {buf, cap, 0};
    buf[0] = 0;
    put_attr(&t, vg, a);
    return a->name;
}
