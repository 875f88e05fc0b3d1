/*
 * Printing a graph (graph_text.h). Values get their numbers in the order in which they are written,
 * so dead values and gaps in the table leave no trace.
 */
#include "graph/graph_text.h"

#include "base/sha256.h"
#include "base/text.h"

#include <string.h>

#define INLINE_ELEMS 64 /* longest tensor written as values */

typedef struct printer {
    const lmn_graph *g;
    lmn_strbuf *out;
    uint32_t flags;
    uint32_t *number; /* per value; 0 = not written yet */
    uint32_t next;
} printer;

static lamina_status print_graph(const lmn_graph *g, uint32_t flags, lmn_strbuf *out);

/* ---- words -------------------------------------------------------------------------------------
 */

static void put_string(lmn_strbuf *b, const char *s, size_t n)
{
    lmn_strbuf_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        const uint8_t c = (uint8_t)s[i];
        if (c == '"' || c == '\\')
            lmn_strbuf_printf(b, "\\%c", c);
        else if (c < 32 || c > 126)
            lmn_strbuf_printf(b, "\\x%02x", c);
        else
            lmn_strbuf_char(b, (char)c);
    }
    lmn_strbuf_char(b, '"');
}

static void put_dim(const printer *p, lmn_dim d)
{
    char buf[4096];
    (void)lmn_dim_format_exact(p->g->dims, d, buf, sizeof buf);
    lmn_strbuf_str(p->out, buf);
}

static void put_fact(const printer *p, const lmn_fact *f)
{
    static const char *const OPEN[] = {"any(", "", "seq(", "optional(", ""};
    lmn_strbuf *b = p->out;
    if (f->kind == LMN_FACT_UNKNOWN && !f->dtype && f->rank < 0) {
        lmn_strbuf_char(b, '?');
        return;
    }
    const char *open = f->kind < LMN_COUNT(OPEN) ? OPEN[f->kind] : "";
    const char *dtype = f->dtype ? lamina_dtype_name(f->dtype) : "?";
    lmn_strbuf_printf(b, "%s%s", f->maybe ? "optional(" : "", open);
    if (f->key)
        lmn_strbuf_printf(b, "map(%s,%s)", lamina_dtype_name(f->key), dtype);
    else
        lmn_strbuf_printf(b, "%s[%s", dtype, f->rank < 0 ? "..." : "");
    for (int32_t i = 0; i < f->rank; i++) {
        if (i) lmn_strbuf_char(b, ',');
        put_dim(p, f->dims[i]);
    }
    lmn_strbuf_printf(b, "%s%s%s", f->key ? "" : "]", open[0] ? ")" : "", f->maybe ? ")" : "");
    if (f->n_elems < 0) return;
    lmn_strbuf_str(b, " elems [");
    for (int32_t i = 0; i < f->n_elems; i++) {
        if (i) lmn_strbuf_str(b, ", ");
        put_dim(p, f->elems[i]);
    }
    lmn_strbuf_char(b, ']');
}

/* ---- tensors -----------------------------------------------------------------------------------
 */

static bool has_nan(const lamina_tensor *t, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double v = lmn_get_f64(t, i);
        if (v != v) return true;
    }
    return false;
}

static bool by_value(const lamina_tensor *t)
{
    const int64_t n = lmn_count(t);
    const lmn_dclass c = lmn_dtype_class(t->dtype);
    if (c == LMN_CLASS_STRING) return true;
    if (n > INLINE_ELEMS) return false;
    if (t->dtype == LAMINA_F32 || t->dtype == LAMINA_F64) return !has_nan(t, n);
    return (c == LMN_CLASS_SINT || c == LMN_CLASS_UINT || c == LMN_CLASS_BOOL) &&
           lmn_dtype_bytes(t->dtype) > 0;
}

static void put_element(lmn_strbuf *b, const lamina_tensor *t, int64_t i)
{
    char buf[LMN_NUMBER_BYTES];
    if (t->dtype == LAMINA_STRING) {
        const lmn_str *s = (const lmn_str *)t->data + i;
        put_string(b, s->p ? s->p : "", s->n);
        return;
    }
    if (t->dtype == LAMINA_F64)
        (void)lmn_format_f64(buf, lmn_get_f64(t, i));
    else if (t->dtype == LAMINA_F32)
        (void)lmn_format_f32(buf, (float)lmn_get_f64(t, i));
    else if (lmn_dtype_class(t->dtype) == LMN_CLASS_SINT)
        (void)lmn_format(buf, sizeof buf, "%lld", (long long)lmn_get_i64(t, i));
    else
        (void)lmn_format(buf, sizeof buf, "%llu", (unsigned long long)lmn_get_u64(t, i));
    lmn_strbuf_str(b, buf);
}

static void put_bytes(const printer *p, const lamina_tensor *t)
{
    static const char HEX[] = "0123456789abcdef";
    const uint8_t *d = t->data;
    if (p->flags & LMN_TEXT_SUMMARY) {
        lmn_sha256 s;
        uint8_t digest[LMN_SHA256_BYTES];
        char hex[2 * LMN_SHA256_BYTES + 1];
        lmn_sha256_init(&s);
        lmn_sha256_add(&s, d, t->data_bytes);
        lmn_sha256_finish(&s, digest);
        lmn_sha256_hex(digest, hex);
        lmn_strbuf_printf(p->out, "sha256:%s", hex);
        return;
    }
    lmn_strbuf_str(p->out, "hex:");
    for (size_t i = 0; i < t->data_bytes && p->out->status == LAMINA_OK; i++) {
        const char two[2] = {HEX[d[i] >> 4], HEX[d[i] & 15]};
        lmn_strbuf_add(p->out, two, 2);
    }
}

static lamina_status put_tensor(const printer *p, const lamina_tensor *t)
{
    if (t->kind != LAMINA_KIND_TENSOR || t->strided) return LAMINA_E_UNSUPPORTED;
    lmn_strbuf *b = p->out;
    lmn_strbuf_printf(b, "%s[", lamina_dtype_name(t->dtype));
    for (int32_t i = 0; i < t->rank; i++)
        lmn_strbuf_printf(b, "%s%lld", i ? "," : "", (long long)t->dims[i]);
    lmn_strbuf_str(b, "] ");
    if (!by_value(t)) {
        put_bytes(p, t);
        return LAMINA_OK;
    }
    const int64_t n = lmn_count(t);
    lmn_strbuf_char(b, '[');
    for (int64_t i = 0; i < n && b->status == LAMINA_OK; i++) {
        if (i) lmn_strbuf_str(b, ", ");
        put_element(b, t, i);
    }
    lmn_strbuf_char(b, ']');
    return LAMINA_OK;
}

/* ---- values and nodes --------------------------------------------------------------------------
 */

static void put_ref(const printer *p, lmn_vid v)
{
    if (v)
        lmn_strbuf_printf(p->out, "%%%u", p->number[v]);
    else
        lmn_strbuf_char(p->out, '_');
}

/* %number "name" fact: where a value is defined. */
static void define(printer *p, lmn_vid v, bool with_fact)
{
    const lmn_value *x = &p->g->values[v];
    p->number[v] = p->next++;
    put_ref(p, v);
    lmn_strbuf_char(p->out, ' ');
    put_string(p->out, x->name, strlen(x->name));
    if (!with_fact) return;
    lmn_strbuf_char(p->out, ' ');
    put_fact(p, &x->fact);
}

static void put_ints(const printer *p, const lmn_attr *a)
{
    lmn_strbuf_str(p->out, "ints [");
    for (int32_t i = 0; i < a->n; i++)
        lmn_strbuf_printf(p->out, "%s%lld", i ? ", " : "", (long long)a->u.ints[i]);
    lmn_strbuf_char(p->out, ']');
}

/* A float, its bits where decimal text would lose a NaN. */
static void put_float(lmn_strbuf *b, float f)
{
    char buf[LMN_NUMBER_BYTES];
    if (f != f)
        lmn_strbuf_printf(b, "nan:%08x", lmn_f32_bits(f));
    else
        lmn_strbuf_add(b, buf, lmn_format_f32(buf, f));
}

static lamina_status put_attr(const printer *p, const lmn_attr *a)
{
    lmn_strbuf *b = p->out;
    put_string(b, a->name, strlen(a->name));
    lmn_strbuf_str(b, ": ");
    switch (a->type) {
    case LMN_ATTR_FLOAT:
        lmn_strbuf_str(b, "float ");
        put_float(b, a->u.f);
        return LAMINA_OK;
    case LMN_ATTR_INT: lmn_strbuf_printf(b, "int %lld", (long long)a->u.i); return LAMINA_OK;
    case LMN_ATTR_STRING:
        lmn_strbuf_str(b, "string ");
        put_string(b, a->u.s.p ? a->u.s.p : "", a->u.s.n);
        return LAMINA_OK;
    case LMN_ATTR_INTS: put_ints(p, a); return LAMINA_OK;
    case LMN_ATTR_FLOATS:
        lmn_strbuf_str(b, "floats [");
        for (int32_t i = 0; i < a->n; i++) {
            if (i) lmn_strbuf_str(b, ", ");
            put_float(b, a->u.floats[i]);
        }
        lmn_strbuf_char(b, ']');
        return LAMINA_OK;
    case LMN_ATTR_STRINGS:
        lmn_strbuf_str(b, "strings [");
        for (int32_t i = 0; i < a->n; i++) {
            if (i) lmn_strbuf_str(b, ", ");
            put_string(b, a->u.strings[i].p ? a->u.strings[i].p : "", a->u.strings[i].n);
        }
        lmn_strbuf_char(b, ']');
        return LAMINA_OK;
    case LMN_ATTR_TENSOR: lmn_strbuf_str(b, "tensor "); return put_tensor(p, a->u.t);
    case LMN_ATTR_TYPE:
        lmn_strbuf_str(b, "type ");
        put_fact(p, a->u.type_fact);
        return LAMINA_OK;
    case LMN_ATTR_GRAPH: return print_graph(a->u.g, p->flags, b);
    default: return LAMINA_E_UNSUPPORTED;
    }
}

static lamina_status put_node(printer *p, const lmn_gnode *n)
{
    lmn_strbuf *b = p->out;
    const char *domain = n->op.def->domain;
    lmn_strbuf_str(b, "node ");
    for (int32_t k = 0; k < n->op.n_out; k++) {
        if (k) lmn_strbuf_str(b, ", ");
        if (n->out[k])
            define(p, n->out[k], true);
        else
            lmn_strbuf_char(b, '_');
    }
    lmn_strbuf_printf(b, " = %s%s%s ", domain, *domain ? ":" : "", n->op.def->name);
    put_string(b, n->op.name, strlen(n->op.name));
    lmn_strbuf_printf(b, " opset %d id %u", n->op.opset, n->op.id);
    if (n->op.n_caps) lmn_strbuf_printf(b, " caps %d", n->op.n_caps);
    lmn_strbuf_str(b, " (");
    for (int32_t k = 0; k < n->op.n_in; k++) {
        if (k) lmn_strbuf_str(b, ", ");
        put_ref(p, n->in[k]);
    }
    lmn_strbuf_char(b, ')');
    if (n->op.n_attrs) {
        lmn_strbuf_str(b, " { ");
        for (int32_t k = 0; k < n->op.n_attrs; k++) {
            if (k) lmn_strbuf_str(b, ", ");
            LMN_TRY(put_attr(p, &n->op.attrs[k]));
        }
        lmn_strbuf_str(b, " }");
    }
    lmn_strbuf_char(b, '\n');
    return b->status;
}

/* Inputs, constants in use, and values that nothing defines: a broken graph must be printable. */
static lamina_status put_values(printer *p, const bool *used)
{
    const lmn_graph *g = p->g;
    for (size_t i = 0; i < g->n_inputs; i++) {
        lmn_strbuf_str(p->out, "input ");
        define(p, g->inputs[i], true);
        const lamina_tensor *t = g->values[g->inputs[i]].constant;
        if (t) lmn_strbuf_str(p->out, " = ");
        if (t) LMN_TRY(put_tensor(p, t));
        lmn_strbuf_char(p->out, '\n');
    }
    for (size_t v = 1; v < g->n_values; v++) {
        const lmn_value *x = &g->values[v];
        if (!used[v] || p->number[v] || x->producer != LMN_NO_NODE) continue;
        lmn_strbuf_str(p->out, x->constant ? "const " : "value ");
        define(p, (lmn_vid)v, !x->constant);
        if (x->constant) lmn_strbuf_char(p->out, ' ');
        if (x->constant) LMN_TRY(put_tensor(p, x->constant));
        lmn_strbuf_char(p->out, '\n');
    }
    return p->out->status;
}

static lamina_status print_body(printer *p, const bool *used)
{
    const lmn_graph *g = p->g;
    LMN_TRY(put_values(p, used));
    for (size_t i = 0; i < g->n_nodes; i++)
        if (!g->nodes[i].dead) LMN_TRY(put_node(p, &g->nodes[i]));
    for (size_t i = 0; i < g->n_outputs; i++) {
        lmn_strbuf_str(p->out, "output ");
        put_ref(p, g->outputs[i]);
        lmn_strbuf_char(p->out, ' ');
        put_string(p->out, g->output_names[i], strlen(g->output_names[i]));
        lmn_strbuf_char(p->out, '\n');
    }
    return p->out->status;
}

static void print_head(const lmn_graph *g, lmn_strbuf *out)
{
    lmn_strbuf_str(out, "graph ");
    put_string(out, g->name, strlen(g->name));
    if (g->parent) {
        lmn_strbuf_str(out, " {\n");
        return;
    }
    lmn_strbuf_printf(out, " ids %u {\n", g->next_node_id);
    const size_t n = lmn_dim_sym_count(g->dims);
    for (size_t i = 0; i < n; i++) {
        const char *name = lmn_dim_sym_name(g->dims, i);
        lmn_strbuf_str(out, i ? " " : "symbols ");
        put_string(out, name, strlen(name));
    }
    if (n) lmn_strbuf_char(out, '\n');
}

static lamina_status print_graph(const lmn_graph *g, uint32_t flags, lmn_strbuf *out)
{
    lmn_arena tmp;
    lmn_arena_init(&tmp, &g->engine->alloc, 0);
    printer p = {.g = g, .out = out, .flags = flags, .next = 1};
    p.number = LMN_ARENA_ARRAY(&tmp, uint32_t, g->n_values);
    bool *used = LMN_ARENA_ARRAY(&tmp, bool, g->n_values);
    lamina_status st = tmp.failed ? LAMINA_E_NOMEM : LAMINA_OK;
    if (st == LAMINA_OK) {
        for (size_t i = 0; i < g->n_nodes; i++)
            for (int32_t k = 0; !g->nodes[i].dead && k < g->nodes[i].op.n_in; k++)
                used[g->nodes[i].in[k]] = true;
        for (size_t i = 0; i < g->n_outputs; i++) used[g->outputs[i]] = true;
        print_head(g, out);
        st = print_body(&p, used);
        lmn_strbuf_char(out, '}');
    }
    lmn_arena_finish(&tmp);
    return st;
}

lamina_status lmn_graph_print(const lmn_graph *g, uint32_t flags, lmn_strbuf *out)
{
    lamina_status st = print_graph(g, flags, out);
    lmn_strbuf_char(out, '\n');
    return st == LAMINA_OK ? out->status : st;
}
