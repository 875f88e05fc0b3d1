/*
 * One node: its operator and version, inputs, captures and outputs, then into the graph.
 */
#include "formats/onnx/onnx_import.h"

#include <string.h>

#define NAME_BYTES 160u

int64_t lmn_onnx_opset_of(const lmn_onnx_scope *s, lmn_span domain)
{
    const bool onnx = domain.n == 0 || lmn_span_is(domain, "ai.onnx");
    for (size_t i = 0; i < s->opsets->n; i++) {
        const lmn_span d = s->opsets->v[i].domain;
        if (onnx ? d.n == 0 || lmn_span_is(d, "ai.onnx") : lmn_span_eq(d, domain))
            return s->opsets->v[i].version;
    }
    return 0;
}

/* Zero-terminated copy for look-ups; false if it cannot be the name of anything known. */
static bool plain(lmn_span s, char *buf)
{
    if (s.n >= NAME_BYTES || (s.n && memchr(s.p, 0, s.n))) return false;
    if (s.n) memcpy(buf, s.p, s.n);
    buf[s.n] = 0;
    return true;
}

static const lmn_op_def *find_op(const lmn_onnx_import *x, const lmn_onnx_node *n)
{
    char domain[NAME_BYTES], op[NAME_BYTES];
    return plain(n->domain, domain) && plain(n->op, op) ? lmn_op_find_in(x->engine, domain, op)
                                                        : NULL;
}

static void unknown_op(lmn_onnx_import *x, const lmn_onnx_scope *s, const lmn_onnx_node *n)
{
    char op[NAME_BYTES], domain[NAME_BYTES], fix[3 * NAME_BYTES] = "";
    (void)lmn_format_name(op, sizeof op, n->op.p, n->op.n);
    (void)lmn_format_name(domain, sizeof domain, n->domain.p, n->domain.n);
    /* A made-up domain holds operators of its own: a near name of the standard is no hint. */
    const bool standard =
        !n->domain.n || lmn_span_is(n->domain, "ai.onnx") || lmn_span_is(n->domain, "ai.onnx.ml");
    const char *near = lmn_op_nearest(op);
    if (near && !standard && strcmp(near, op) != 0) near = NULL;
    const bool ms = lmn_span_is(n->domain, "com.microsoft");
    if (lmn_op_subset() && (standard || ms)) {
        (void)lmn_format(fix, sizeof fix,
                         "this library was built of some operators: add %s%s to its LAMINA_OPS",
                         ms ? "com.microsoft:" : "", op);
    } else if (near && strcmp(near, op) == 0) {
        const lmn_op_def *const *d = lmn_op_all(NULL);
        while (*d && strcmp((*d)->name, op) != 0) d++;
        if (*d)
            (void)lmn_format(fix, sizeof fix, "domain \"%s\" has an operator of this name",
                             (*d)->domain[0] ? (*d)->domain : "ai.onnx");
    } else if (near) {
        (void)lmn_format(fix, sizeof fix, "did you mean \"%s\"?", near);
    } else if (standard && lmn_onnx_opset_of(s, n->domain) > LMN_ONNX_MAX_OPSET) {
        (void)lmn_format(fix, sizeof fix,
                         "operator sets up to %d are known: export for one of those, or load the "
                         "plug-in that has it",
                         LMN_ONNX_MAX_OPSET);
    } else {
        (void)lmn_format(fix, sizeof fix,
                         "export it as a model-local function or of standard operators, or load "
                         "the plug-in that has it");
    }
    (void)lmn_onnx_report(x, s, n, LAMINA_E_UNSUPPORTED, fix,
                          "operator \"%s\" of domain \"%s\" (opset %lld) is not known", op,
                          domain[0] ? domain : "ai.onnx",
                          (long long)lmn_onnx_opset_of(s, n->domain));
}

/* Does the operator exist in the version that the file imports? */
static bool version_fits(lmn_onnx_import *x, const lmn_onnx_scope *s, const lmn_onnx_node *n,
                         const lmn_op_def *def, int64_t opset)
{
    if (opset <= 0) {
        (void)lmn_onnx_report(x, s, n, LAMINA_E_VERSION, "add the domain to opset_import",
                              "the file imports no operator set of its domain");
        return false;
    }
    if (opset < def->since) {
        (void)lmn_onnx_report(x, s, n, LAMINA_E_VERSION, "import a newer operator set",
                              "the operator exists since opset %d, the file imports %lld",
                              def->since, (long long)opset);
        return false;
    }
    if (def->until && opset > def->until) {
        (void)lmn_onnx_report(x, s, n, LAMINA_E_VERSION, "export the model anew",
                              "the operator was removed after opset %d, the file imports %lld",
                              def->until, (long long)opset);
        return false;
    }
    return true;
}

/* Value of a name; an undefined one is reported once and then exists as an unknown. */
static lmn_vid lookup(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n, lmn_span name)
{
    uint64_t v;
    if (name.n == 0) return 0;
    if (lmn_map_get(&s->names, name.p, name.n, &v)) return (lmn_vid)v;
    const char *shown = lmn_onnx_printable(&s->g->arena, name);
    (void)lmn_onnx_report(
        x, s, n, LAMINA_E_CORRUPT, "connect it to one of these, or declare it as a graph input",
        "input \"%s\" is no graph input, no initialiser and no output of a node", shown);
    lmn_vid id = lmn_graph_value(s->g, shown, NULL);
    if (!id)
        (void)lmn_onnx_nomem(x);
    else
        lmn_onnx_bind(x, s, n, name, id);
    return id;
}

/*
 * What the file declares of a computed value: its type and rank help where inference knows nothing.
 * Extents do not: files say "1" and mean a batch.
 */
static lmn_fact hint(const lmn_onnx_scope *s, lmn_span name)
{
    uint64_t v;
    lmn_fact f = lmn_fact_unknown();
    const char *why;
    if (!lmn_map_get(&s->hints, name.p, name.n, &v)) return f;
    const lmn_onnx_value_info *info = (const lmn_onnx_value_info *)(uintptr_t)v;
    if (!lmn_onnx_fact(NULL, info->type, &f, &why)) return f;
    for (int32_t i = 0; i < f.rank; i++) f.dims[i] = LMN_DIM_UNKNOWN;
    return f;
}

static bool make_outputs(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                         lmn_vid *out)
{
    for (size_t i = 0; i < n->out.n; i++) {
        const lmn_span name = n->out.v[i];
        if (name.n == 0) continue;
        const lmn_fact f = hint(s, name);
        out[i] = lmn_graph_value(s->g, lmn_onnx_printable(&s->g->arena, name), &f);
        if (!out[i]) return lmn_onnx_nomem(x), false;
        lmn_onnx_bind(x, s, n, name, out[i]);
    }
    return !x->stop;
}

/* Is this attribute's content held by a node appended since `first`? */
static bool adopted(const lmn_graph *g, size_t first, const lmn_attr *a)
{
    for (size_t i = first; i < g->n_nodes; i++)
        for (int32_t k = 0; k < g->nodes[i].op.n_attrs; k++) {
            const lmn_attr *b = &g->nodes[i].op.attrs[k];
            if (a->type == b->type && a->type == LMN_ATTR_TENSOR && a->u.t == b->u.t) return true;
            if (a->type == b->type && a->type == LMN_ATTR_GRAPH && a->u.g == b->u.g) return true;
        }
    return false;
}

static void append(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                   const lmn_opnode *op, const lmn_vid *in, const lmn_vid *out)
{
    lmn_graph *g = s->g;
    const size_t first = g->n_nodes, errors = x->m->diags.n_errors;
    lamina_status st = lmn_graph_import_node(g, op, in, out, &x->m->diags);
    if (st != LAMINA_OK && x->m->diags.n_errors == errors)
        (void)lmn_onnx_report(x, s, n, st, NULL, "cannot be added to the graph");
    if (st == LAMINA_E_NOMEM) x->stop = true;
    /* What canonicalisation dropped has no owner in the graph. */
    for (int32_t i = 0; i < op->n_attrs; i++) {
        lmn_attr a = op->attrs[i];
        if (!adopted(g, first, &a)) lmn_onnx_attrs_release(&a, 1);
    }
}

static void import_known(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                         const lmn_op_def *def, int64_t opset)
{
    lmn_graph *g = s->g;
    lmn_onnx_names caps = {0};
    if (!lmn_onnx_free_names(x, n, &caps)) {
        (void)lmn_onnx_nomem(x);
        return;
    }
    size_t n_in = n->in.n;
    while (n_in && n->in.v[n_in - 1].n == 0) n_in--; /* trailing "" = absent, as if not listed */
    lmn_vid *in = LMN_ARENA_ARRAY(&g->arena, lmn_vid, n_in + caps.n);
    lmn_vid *out = LMN_ARENA_ARRAY(&g->arena, lmn_vid, n->out.n);
    char name[NAME_BYTES];
    size_t at = lmn_format(name, sizeof name, "%s", s->prefix);
    const lmn_span label = n->name.n || !n->out.n ? n->name : n->out.v[0];
    (void)lmn_format_name(name + at, sizeof name - at, label.p, label.n);
    const char *shown = lmn_arena_str(&g->arena, name);
    if (!in || !out || !shown) {
        (void)lmn_onnx_nomem(x);
        return;
    }
    for (size_t i = 0; i < n_in; i++) in[i] = lookup(x, s, n, n->in.v[i]);
    for (size_t i = 0; i < caps.n; i++) in[n_in + i] = lookup(x, s, n, caps.v[i]);
    lmn_attr *attrs = NULL;
    int32_t n_attrs = 0;
    if (x->stop) return;
    lamina_status st = lmn_onnx_attrs(x, s, n, &caps, in + n_in, &attrs, &n_attrs);
    if (x->stop || !make_outputs(x, s, n, out) || st != LAMINA_OK) {
        lmn_onnx_attrs_release(attrs, n_attrs);
        return;
    }
    const lmn_opnode op = {.def = def,
                           .name = shown,
                           .opset = (int32_t)opset,
                           .n_in = (int32_t)(n_in + caps.n),
                           .n_caps = (int32_t)caps.n,
                           .n_out = (int32_t)n->out.n,
                           .n_attrs = n_attrs,
                           .attrs = attrs};
    append(x, s, n, &op, in, out);
}

static void import_call(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n,
                        const lmn_onnx_function *fn)
{
    lmn_vid *in = LMN_ARENA_ARRAY(&x->arena, lmn_vid, n->in.n);
    if (!in) {
        (void)lmn_onnx_nomem(x);
        return;
    }
    for (size_t i = 0; i < n->in.n; i++) in[i] = lookup(x, s, n, n->in.v[i]);
    if (!x->stop) lmn_onnx_function_inline(x, s, n, fn, in, n->in.n);
}

void lmn_onnx_node_import(lmn_onnx_import *x, lmn_onnx_scope *s, const lmn_onnx_node *n)
{
    if (x->nodes_left == 0) {
        (void)lmn_onnx_report(
            x, s, n, LAMINA_E_LIMIT, "raise max_nodes if the model is trusted",
            "the model has more nodes than max_nodes allows once functions are inlined");
        return;
    }
    x->nodes_left--;
    if (n->in.n > INT32_MAX / 2 || n->out.n > INT32_MAX / 2 || n->n_attrs > INT32_MAX / 2) {
        (void)lmn_onnx_report(x, s, n, LAMINA_E_LIMIT, NULL, "it has too many inputs or outputs");
        return;
    }
    const lmn_op_def *def = find_op(x, n);
    const int64_t opset = lmn_onnx_opset_of(s, n->domain);
    /* A known operator goes before a function of its name: same meaning, better kernels. */
    if (def && version_fits(x, s, n, def, opset)) {
        import_known(x, s, n, def, opset);
        return;
    }
    const lmn_onnx_function *fn = def ? NULL : lmn_onnx_function_find(x, n);
    if (fn) {
        import_call(x, s, n, fn);
        return;
    }
    if (!def) unknown_op(x, s, n);
    lmn_vid *out = LMN_ARENA_ARRAY(&x->arena, lmn_vid, n->out.n);
    for (size_t i = 0; i < n->in.n; i++) (void)lookup(x, s, n, n->in.v[i]);
    if (out) (void)make_outputs(x, s, n, out);
}
