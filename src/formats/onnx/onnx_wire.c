/*
 * ONNX messages from bytes (field numbers: onnx.proto, IR version 14). Two passes over each
 * message: one counts the repeated fields, one fills arrays of the right size.
 */
#include "formats/onnx/onnx_wire.h"

#include <string.h>

static bool fail(lmn_onnx_wire *w, lamina_status st, const char *what)
{
    if (w->status == LAMINA_OK) w->status = lmn_fail(w->err, st, "ONNX file: %s", what);
    return false;
}

static bool bad(lmn_onnx_wire *w, const char *message)
{
    if (w->status == LAMINA_OK)
        w->status = lmn_fail(w->err, LAMINA_E_CORRUPT,
                             "ONNX file: damaged or cut off inside a %s message", message);
    return false;
}

static bool charge(lmn_onnx_wire *w, uint64_t n)
{
    if (n > w->left)
        return fail(w, LAMINA_E_LIMIT, "more values and attributes than max_values allows");
    w->left -= n;
    return true;
}

/* Array for the fields `num` of `body`; NULL with *n 0 if there are none or after a failure. */
static void *array(lmn_onnx_wire *w, lmn_span body, uint32_t num, size_t elem_bytes, size_t *n)
{
    size_t count = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) count += f.num == num;
    *n = 0;
    if (c.bad) {
        (void)bad(w, "repeated");
        return NULL;
    }
    if (count == 0 || !charge(w, count)) return NULL;
    void *p = lmn_arena_array(w->arena, count, elem_bytes);
    if (!p) {
        (void)fail(w, LAMINA_E_NOMEM, "out of memory");
        return NULL;
    }
    *n = count;
    return p;
}

static bool spans(lmn_onnx_wire *w, lmn_span body, uint32_t num, lmn_onnx_spans *out)
{
    out->v = array(w, body, num, sizeof *out->v, &out->n);
    if (w->status != LAMINA_OK) return false;
    size_t at = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != num) continue;
        if (f.s.n > w->limits->max_string)
            return fail(w, LAMINA_E_LIMIT, "a name is longer than max_string");
        out->v[at++] = f.s;
    }
    return true;
}

static bool text(lmn_onnx_wire *w, const lmn_pb_field *f, lmn_span *out)
{
    if (f->wire != LMN_PB_BYTES) return bad(w, "string");
    if (f->s.n > w->limits->max_string)
        return fail(w, LAMINA_E_LIMIT, "a string is longer than max_string");
    *out = f->s;
    return true;
}

bool lmn_onnx_numbers(lmn_span body, uint32_t num, uint8_t wire, uint64_t *out, size_t cap,
                      size_t *n)
{
    size_t at = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != num) continue;
        if (f.wire == wire) {
            if (out && at >= cap) return false;
            if (out) out[at] = f.u;
            at++;
            at += lmn_pb_run(&c, &f, out ? out + at : NULL, out ? cap - at : SIZE_MAX);
            continue;
        }
        if (f.wire != LMN_PB_BYTES) return false;
        if (wire == LMN_PB_VARINT) {
            lmn_pb p = lmn_pb_of(f.s);
            for (uint64_t v; lmn_pb_varint(&p, &v); at++) {
                if (out && at >= cap) return false;
                if (out) out[at] = v;
            }
            if (p.bad) return false;
            continue;
        }
        const size_t w = wire == LMN_PB_FIXED32 ? 4 : 8, count = f.s.n / w;
        if (f.s.n % w || (out && count > cap - at)) return false;
        for (size_t i = 0; out && i < count; i++) {
            out[at + i] = 0;
            memcpy(&out[at + i], f.s.p + i * w, w); /* little-endian hosts only */
        }
        at += count;
    }
    *n = at;
    return !c.bad;
}

static bool dims(lmn_onnx_wire *w, lmn_span body, uint32_t num, const int64_t **out, size_t *n)
{
    if (!lmn_onnx_numbers(body, num, LMN_PB_VARINT, NULL, 0, n)) return bad(w, "TensorProto");
    if (*n == 0) return true;
    if (!charge(w, *n)) return false;
    uint64_t *v = LMN_ARENA_ARRAY(w->arena, uint64_t, *n);
    if (!v) return fail(w, LAMINA_E_NOMEM, "out of memory");
    *out = (const int64_t *)v;
    return lmn_onnx_numbers(body, num, LMN_PB_VARINT, v, *n, n);
}

static bool kvs(lmn_onnx_wire *w, lmn_span body, uint32_t num, lmn_onnx_kv **out, size_t *n)
{
    lmn_onnx_kv *v = array(w, body, num, sizeof *v, n);
    if (w->status != LAMINA_OK) return false;
    *out = v;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != num) continue;
        lmn_pb e = lmn_pb_of(f.s);
        for (lmn_pb_field g; lmn_pb_next(&e, &g);) {
            if (g.num == 1 && !text(w, &g, &v->key)) return false;
            if (g.num == 2 && !text(w, &g, &v->value)) return false;
        }
        if (e.bad) return bad(w, "StringStringEntryProto");
        v++;
    }
    return true;
}

static bool read_tensor(lmn_onnx_wire *w, lmn_span body, lmn_onnx_tensor *t)
{
    *t = (lmn_onnx_tensor){.body = body};
    lmn_onnx_kv *ext = NULL;
    if (!dims(w, body, 1, &t->dims, &t->n_dims) || !kvs(w, body, 13, &ext, &t->n_ext)) return false;
    t->ext = ext;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        switch (f.num) {
        case 2: t->dtype = (int32_t)f.u; break;
        case 3: t->segmented = true; break;
        case 8:
            if (!text(w, &f, &t->name)) return false;
            break;
        case 9:
            if (f.wire != LMN_PB_BYTES) return bad(w, "TensorProto");
            t->raw = f.s;
            t->has_raw = true;
            break;
        case 14: t->external = f.u == 1; break;
        default: break;
        }
    }
    return !c.bad || bad(w, "TensorProto");
}

static bool read_sparse(lmn_onnx_wire *w, lmn_span body, lmn_onnx_sparse *s)
{
    *s = (lmn_onnx_sparse){0};
    if (!dims(w, body, 3, &s->dims, &s->n_dims)) return false;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 1 && !read_tensor(w, f.s, &s->values)) return false;
        if (f.num == 2 && !read_tensor(w, f.s, &s->indices)) return false;
    }
    return !c.bad || bad(w, "SparseTensorProto");
}

static bool read_graph(lmn_onnx_wire *w, lmn_span body, lmn_onnx_graph **out, bool in_function);

/* Old files give no `type`: the field that is set says it. */
static int32_t attr_type_of_field(uint32_t num)
{
    static const uint8_t BY_FIELD[] = {
        [2] = 1, [3] = 2,  [4] = 3,   [5] = 4,   [6] = 5,   [7] = 6,   [8] = 7,
        [9] = 8, [10] = 9, [11] = 10, [14] = 13, [15] = 14, [22] = 11, [23] = 12};
    return num < sizeof BY_FIELD ? BY_FIELD[num] : 0;
}

static bool attr_field(lmn_onnx_wire *w, const lmn_pb_field *f, lmn_onnx_attr *a, bool in_function)
{
    switch (f->num) {
    case 1: return text(w, f, &a->name);
    case 21: return text(w, f, &a->ref);
    case 2: {
        uint32_t bits = (uint32_t)f->u;
        memcpy(&a->f, &bits, sizeof a->f);
        return f->wire == LMN_PB_FIXED32 || bad(w, "AttributeProto");
    }
    case 3: a->i = (int64_t)f->u; return f->wire == LMN_PB_VARINT || bad(w, "AttributeProto");
    case 4: return text(w, f, &a->s);
    case 5:
        a->t = LMN_ARENA_NEW(w->arena, lmn_onnx_tensor);
        if (!a->t) return fail(w, LAMINA_E_NOMEM, "out of memory");
        return charge(w, 1) && read_tensor(w, f->s, a->t);
    case 6: return read_graph(w, f->s, &a->g, in_function);
    case 14: a->type_proto = f->s; return true;
    case 22:
        a->sparse = LMN_ARENA_NEW(w->arena, lmn_onnx_sparse);
        if (!a->sparse) return fail(w, LAMINA_E_NOMEM, "out of memory");
        return charge(w, 1) && read_sparse(w, f->s, a->sparse);
    default: return true;
    }
}

static bool read_attr(lmn_onnx_wire *w, lmn_span body, lmn_onnx_attr *a, bool in_function)
{
    *a = (lmn_onnx_attr){.body = body};
    int32_t seen = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 20) a->type = (int32_t)f.u;
        if (attr_type_of_field(f.num)) seen = attr_type_of_field(f.num);
        if (f.num == 7 || f.num == 8) {
            a->packed |= f.wire == LMN_PB_BYTES;
            a->n_numbers += 1 + lmn_pb_run(&c, &f, NULL, SIZE_MAX);
        }
        if (f.num == 9) (void)lmn_pb_repeats(&c, &f);
        if (!attr_field(w, &f, a, in_function)) return false;
    }
    if (a->type == 0) a->type = seen;
    return !c.bad || bad(w, "AttributeProto");
}

static bool read_attrs(lmn_onnx_wire *w, lmn_span body, uint32_t num, lmn_onnx_attr **out,
                       size_t *n, bool in_function)
{
    lmn_onnx_attr *a = array(w, body, num, sizeof *a, n);
    if (w->status != LAMINA_OK) return false;
    *out = a;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);)
        if (f.num == num && !read_attr(w, f.s, a++, in_function)) return false;
    return true;
}

static bool read_node(lmn_onnx_wire *w, lmn_span body, lmn_onnx_node *n, bool in_function)
{
    *n = (lmn_onnx_node){0};
    if (!spans(w, body, 1, &n->in) || !spans(w, body, 2, &n->out)) return false;
    if (!read_attrs(w, body, 5, &n->attrs, &n->n_attrs, in_function)) return false;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        lmn_span *to = f.num == 3   ? &n->name
                       : f.num == 4 ? &n->op
                       : f.num == 7 ? &n->domain
                       : f.num == 8 ? &n->overload
                                    : NULL;
        if (to && !text(w, &f, to)) return false;
    }
    return !c.bad || bad(w, "NodeProto");
}

static bool read_nodes(lmn_onnx_wire *w, lmn_span body, uint32_t num, lmn_onnx_node **out,
                       size_t *n, bool in_function)
{
    lmn_onnx_node *v = array(w, body, num, sizeof *v, n);
    if (w->status != LAMINA_OK) return false;
    if (*n > w->nodes_left) return fail(w, LAMINA_E_LIMIT, "more nodes than max_nodes allows");
    if (!in_function) w->nodes_left -= *n;
    *out = v;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);)
        if (f.num == num && !read_node(w, f.s, v++, in_function)) return false;
    return true;
}

static bool read_infos(lmn_onnx_wire *w, lmn_span body, uint32_t num, lmn_onnx_value_info **out,
                       size_t *n)
{
    lmn_onnx_value_info *v = array(w, body, num, sizeof *v, n);
    if (w->status != LAMINA_OK) return false;
    *out = v;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != num) continue;
        lmn_pb e = lmn_pb_of(f.s);
        for (lmn_pb_field g; lmn_pb_next(&e, &g);) {
            if (g.num == 1 && !text(w, &g, &v->name)) return false;
            if (g.num == 2) v->type = g.s;
        }
        if (e.bad) return bad(w, "ValueInfoProto");
        v++;
    }
    return true;
}

static bool graph_lists(lmn_onnx_wire *w, lmn_span body, lmn_onnx_graph *g, bool in_function)
{
    if (!read_nodes(w, body, 1, &g->nodes, &g->n_nodes, in_function)) return false;
    if (!read_infos(w, body, 11, &g->in, &g->n_in) ||
        !read_infos(w, body, 12, &g->out, &g->n_out) ||
        !read_infos(w, body, 13, &g->info, &g->n_info))
        return false;
    g->inits = array(w, body, 5, sizeof *g->inits, &g->n_inits);
    g->sparse = array(w, body, 15, sizeof *g->sparse, &g->n_sparse);
    if (w->status != LAMINA_OK) return false;
    size_t at = 0, at_sparse = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num == 2 && !text(w, &f, &g->name)) return false;
        if (f.num == 10 && !text(w, &f, &g->doc)) return false;
        if (f.num == 5 && !read_tensor(w, f.s, &g->inits[at++])) return false;
        if (f.num == 15 && !read_sparse(w, f.s, &g->sparse[at_sparse++])) return false;
    }
    return !c.bad || bad(w, "GraphProto");
}

static bool read_graph(lmn_onnx_wire *w, lmn_span body, lmn_onnx_graph **out, bool in_function)
{
    if (w->depth >= w->limits->max_depth)
        return fail(w, LAMINA_E_LIMIT, "graphs are nested deeper than max_depth allows");
    lmn_onnx_graph *g = LMN_ARENA_NEW(w->arena, lmn_onnx_graph);
    if (!g) return fail(w, LAMINA_E_NOMEM, "out of memory");
    w->depth++;
    bool ok = charge(w, 1) && graph_lists(w, body, g, in_function);
    w->depth--;
    *out = g;
    return ok;
}

static bool read_opsets(lmn_onnx_wire *w, lmn_span body, uint32_t num, lmn_onnx_opsets *out)
{
    out->v = array(w, body, num, sizeof *out->v, &out->n);
    if (w->status != LAMINA_OK) return false;
    lmn_onnx_opset *v = out->v;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != num) continue;
        lmn_pb e = lmn_pb_of(f.s);
        for (lmn_pb_field g; lmn_pb_next(&e, &g);) {
            if (g.num == 1 && !text(w, &g, &v->domain)) return false;
            if (g.num == 2) v->version = (int64_t)g.u;
        }
        if (e.bad) return bad(w, "OperatorSetIdProto");
        v++;
    }
    return true;
}

static bool read_function(lmn_onnx_wire *w, lmn_span body, lmn_onnx_function *fn)
{
    *fn = (lmn_onnx_function){0};
    if (!spans(w, body, 4, &fn->in) || !spans(w, body, 5, &fn->out) ||
        !spans(w, body, 6, &fn->attr_names))
        return false;
    if (!read_attrs(w, body, 11, &fn->defaults, &fn->n_defaults, true) ||
        !read_nodes(w, body, 7, &fn->nodes, &fn->n_nodes, true) ||
        !read_opsets(w, body, 9, &fn->opsets))
        return false;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        lmn_span *to = f.num == 1    ? &fn->name
                       : f.num == 10 ? &fn->domain
                       : f.num == 13 ? &fn->overload
                                     : NULL;
        if (to && !text(w, &f, to)) return false;
    }
    return !c.bad || bad(w, "FunctionProto");
}

static bool model_field(lmn_onnx_wire *w, const lmn_pb_field *f, lmn_onnx_model *m,
                        size_t *n_functions)
{
    switch (f->num) {
    case 1: m->ir_version = (int64_t)f->u; return true;
    case 2: return text(w, f, &m->producer_name);
    case 3: return text(w, f, &m->producer_version);
    case 4: return text(w, f, &m->domain);
    case 5: m->model_version = (int64_t)f->u; return true;
    case 6: return text(w, f, &m->doc);
    case 7:
        return f->wire == LMN_PB_BYTES ? read_graph(w, f->s, &m->graph, false)
                                       : bad(w, "ModelProto");
    case 25: return read_function(w, f->s, &m->functions[(*n_functions)++]);
    default: return true;
    }
}

lamina_status lmn_onnx_wire_model(lmn_onnx_wire *w, lmn_span bytes, lmn_onnx_model *m)
{
    *m = (lmn_onnx_model){0};
    const uint64_t nodes = w->nodes_left;
    if (!read_opsets(w, bytes, 8, &m->opsets) || !kvs(w, bytes, 14, &m->meta, &m->n_meta))
        return w->status;
    m->functions = array(w, bytes, 25, sizeof *m->functions, &m->n_functions);
    if (w->status != LAMINA_OK) return w->status;
    size_t at = 0;
    lmn_pb c = lmn_pb_of(bytes);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);)
        if (!model_field(w, &f, m, &at)) return w->status;
    if (c.bad) (void)bad(w, "ModelProto");
    m->n_nodes = (size_t)(nodes - w->nodes_left);
    return w->status;
}

lamina_status lmn_onnx_wire_tensor(lmn_onnx_wire *w, lmn_span bytes, lmn_onnx_tensor *out)
{
    (void)read_tensor(w, bytes, out);
    return w->status;
}

lamina_status lmn_onnx_wire_sparse(lmn_onnx_wire *w, lmn_span bytes, lmn_onnx_sparse *out)
{
    (void)read_sparse(w, bytes, out);
    return w->status;
}
