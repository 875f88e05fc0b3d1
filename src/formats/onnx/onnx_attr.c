/*
 * AttributeProto to lmn_attr, references to function attributes resolved, subgraphs imported.
 */
#include "formats/onnx/onnx_import.h"

#include <string.h>

const lmn_onnx_attr *lmn_onnx_attr_resolve(const lmn_onnx_scope *s, const lmn_onnx_attr *a)
{
    if (!a->ref.n) return a;
    for (size_t i = 0; i < s->env.n; i++)
        if (lmn_span_eq(s->env.v[i].name, a->ref)) return &s->env.v[i];
    return NULL;
}

void lmn_onnx_attrs_release(lmn_attr *attrs, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (attrs[i].type == LMN_ATTR_TENSOR) lamina_tensor_unref(attrs[i].u.t);
        if (attrs[i].type == LMN_ATTR_GRAPH) lmn_graph_destroy(attrs[i].u.g);
        attrs[i].type = LMN_ATTR_NONE;
    }
}

static bool is_text(lmn_str s, lmn_span text)
{
    return s.p && s.n == text.n && (s.n == 0 || memcmp(s.p, text.p, s.n) == 0);
}

static bool read_strings(lmn_arena *a, lmn_span body, lmn_attr *out)
{
    size_t n = 0;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);)
        if (f.num == 9) n += 1 + lmn_pb_repeats(&c, &f);
    lmn_str *v = lmn_arena_raw(a, n, sizeof *v);
    if (!v) return false;
    out->n = (int32_t)n;
    out->u.strings = v;
    /* One copy of what repeats: forests name the same few modes for each of their nodes. */
    lmn_str recent[4] = {{0}};
    uint32_t oldest = 0;
    c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != 9) continue;
        size_t k = 0;
        while (k < LMN_COUNT(recent) && !is_text(recent[k], f.s)) k++;
        if (k == LMN_COUNT(recent)) {
            k = oldest++ % LMN_COUNT(recent);
            recent[k] = (lmn_str){lmn_arena_strn(a, f.s.p, f.s.n), f.s.n};
            if (!recent[k].p) return false;
        }
        for (size_t same = 1 + lmn_pb_repeats(&c, &f); same > 0; same--) *v++ = recent[k];
    }
    return true;
}

/* Every entry of a list of floats, packed or not; at most cap. */
static bool take_floats(lmn_span body, float *out, size_t cap, size_t *n)
{
    uint64_t some[256];
    size_t at = 0, k;
    lmn_pb c = lmn_pb_of(body);
    for (lmn_pb_field f; lmn_pb_next(&c, &f);) {
        if (f.num != 7) continue;
        if (f.wire == LMN_PB_BYTES) {
            k = f.s.n / sizeof *out;
            if (f.s.n % sizeof *out || k > cap - at) return false;
            if (k) memcpy(out + at, f.s.p, f.s.n); /* little-endian hosts only */
            at += k;
            continue;
        }
        if (f.wire != LMN_PB_FIXED32) return false;
        for (some[0] = f.u, k = 1; k > 0; k = lmn_pb_run(&c, &f, some, LMN_COUNT(some)))
            for (size_t i = 0; i < k; i++) {
                const uint32_t bits = (uint32_t)some[i];
                if (at == cap) return false;
                memcpy(&out[at++], &bits, sizeof bits);
            }
    }
    *n = at;
    return !c.bad;
}

/* Lists of numbers, bounded by the entries that a graph may hold at all. */
static lamina_status read_numbers(lmn_onnx_import *x, lmn_arena *a, const lmn_onnx_attr *in,
                                  lmn_attr *out)
{
    const bool ints = in->type == LMN_ATTR_INTS;
    const uint32_t num = ints ? 8 : 7;
    const uint8_t wire = ints ? LMN_PB_VARINT : LMN_PB_FIXED32;
    size_t n = in->n_numbers; /* or more than there are: both kinds may be there */
    if (in->packed && !lmn_onnx_numbers(in->body, num, wire, NULL, 0, &n)) return LAMINA_E_CORRUPT;
    if (n > INT32_MAX || n > x->limits->max_values) return LAMINA_E_LIMIT;
    void *v = lmn_arena_raw(a, n, ints ? sizeof(int64_t) : sizeof(float));
    if (!v) return LAMINA_E_NOMEM;
    if (!(ints ? lmn_onnx_numbers(in->body, num, wire, v, n, &n) : take_floats(in->body, v, n, &n)))
        return LAMINA_E_CORRUPT;
    out->n = (int32_t)n;
    if (ints)
        out->u.ints = v;
    else
        out->u.floats = v;
    return LAMINA_OK;
}

/* What one attribute is read for. */
typedef struct reading {
    lmn_onnx_import *x;
    lmn_onnx_scope *s;
    const lmn_onnx_node *n;
    const lmn_onnx_names *caps;
    const lmn_vid *cap_vids;
} reading;

static lamina_status read_graph(const reading *r, const lmn_onnx_attr *in, lmn_attr *out)
{
    lmn_graph *g;
    if (!in->g) return LAMINA_E_CORRUPT;
    if (r->s->depth >= r->x->limits->max_depth)
        return lmn_onnx_report(r->x, r->s, r->n, LAMINA_E_LIMIT, NULL,
                               "subgraphs and functions are nested deeper than max_depth");
    if (lmn_graph_create(r->x->engine, r->s->g, &g) != LAMINA_OK) return LAMINA_E_NOMEM;
    out->u.g = g;
    out->type = LMN_ATTR_GRAPH;
    g->name = lmn_onnx_printable(&g->arena, in->g->name);
    lmn_onnx_scope inner;
    if (!lmn_onnx_scope_init(r->x, &inner, g, r->s)) return LAMINA_E_NOMEM;
    lmn_onnx_graph_import(r->x, &inner, in->g, r->s, r->caps, r->cap_vids);
    lmn_onnx_scope_finish(&inner);
    return LAMINA_OK;
}

static lamina_status read_tensor(const reading *r, const lmn_onnx_attr *in, lmn_attr *out)
{
    lamina_error why = {0};
    lamina_tensor *t = NULL;
    lamina_status st = LAMINA_E_CORRUPT;
    (void)lmn_format(why.msg, sizeof why.msg, "has no value");
    if (in->type == LMN_ATTR_TENSOR && in->t)
        st = lmn_onnx_tensor_make(&r->x->store, in->t, &t, &why);
    if (in->type == LMN_ATTR_SPARSE && in->sparse)
        st = lmn_onnx_sparse_make(&r->x->store, in->sparse, &t, &why);
    if (st != LAMINA_OK)
        return lmn_onnx_report(r->x, r->s, r->n, st, NULL, "attribute \"%s\": %s", out->name,
                               why.msg);
    out->type = LMN_ATTR_TENSOR; /* a sparse one is dense from here on */
    out->u.t = t;
    return LAMINA_OK;
}

static lamina_status read_type(const reading *r, const lmn_onnx_attr *in, lmn_attr *out)
{
    lmn_fact *f = LMN_ARENA_NEW(&r->s->g->arena, lmn_fact);
    const char *why = "";
    if (!f) return LAMINA_E_NOMEM;
    if (!lmn_onnx_fact(r->s->g->dims, in->type_proto, f, &why))
        return lmn_onnx_report(r->x, r->s, r->n, LAMINA_E_UNSUPPORTED, NULL,
                               "attribute \"%s\" names %s", out->name, why);
    out->u.type_fact = f;
    return LAMINA_OK;
}

/* Fill *out but its name. E_CORRUPT, E_LIMIT and E_NOMEM are reported by the caller. */
static lamina_status read_attr(const reading *r, const lmn_onnx_attr *in, lmn_attr *out)
{
    lmn_arena *a = &r->s->g->arena;
    out->n = 1;
    switch (in->type) {
    case LMN_ATTR_FLOAT: out->u.f = in->f; break;
    case LMN_ATTR_INT: out->u.i = in->i; break;
    case LMN_ATTR_STRING:
        out->u.s = (lmn_str){lmn_arena_strn(a, in->s.p, in->s.n), in->s.n};
        if (!out->u.s.p) return LAMINA_E_NOMEM;
        break;
    case LMN_ATTR_SPARSE:
    case LMN_ATTR_TENSOR: return read_tensor(r, in, out);
    case LMN_ATTR_GRAPH: return read_graph(r, in, out);
    case LMN_ATTR_FLOATS:
    case LMN_ATTR_INTS: LMN_TRY(read_numbers(r->x, a, in, out)); break;
    case LMN_ATTR_STRINGS:
        if (!read_strings(a, in->body, out)) return LAMINA_E_NOMEM;
        break;
    case LMN_ATTR_TYPE: LMN_TRY(read_type(r, in, out)); break;
    default:
        return lmn_onnx_report(r->x, r->s, r->n, LAMINA_E_UNSUPPORTED, NULL,
                               "attribute \"%s\" is of type %d, which no known operator uses",
                               out->name, (int)in->type);
    }
    out->type = (lmn_attr_type)in->type;
    return LAMINA_OK;
}

lamina_status lmn_onnx_attrs(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                             const lmn_onnx_names *caps, const lmn_vid *cap_vids, lmn_attr **attrs,
                             int32_t *n_attrs)
{
    const reading r = {x, s, n, caps, cap_vids};
    lmn_attr *v = LMN_ARENA_ARRAY(&s->g->arena, lmn_attr, n->n_attrs);
    *attrs = v;
    *n_attrs = 0;
    if (!v) return lmn_onnx_nomem(x);
    lamina_status first = LAMINA_OK;
    for (size_t i = 0; i < n->n_attrs && !x->stop; i++) {
        const lmn_onnx_attr *in = lmn_onnx_attr_resolve(s, &n->attrs[i]);
        if (!in) continue; /* the call does not give it: absent here too */
        lmn_attr *out = &v[*n_attrs];
        const size_t errors = x->m->diags.n_errors;
        out->name = lmn_onnx_printable(&s->g->arena, n->attrs[i].name);
        lamina_status st =
            in->g && in != &n->attrs[i] ? LAMINA_E_UNSUPPORTED : read_attr(&r, in, out);
        if (out->type == LMN_ATTR_GRAPH || st == LAMINA_OK) ++*n_attrs;
        if (st == LAMINA_OK) continue;
        if (x->m->diags.n_errors == errors)
            (void)lmn_onnx_report(x, s, n, st, NULL, "attribute \"%s\" cannot be read", out->name);
        if (first == LAMINA_OK) first = st;
    }
    return first;
}
