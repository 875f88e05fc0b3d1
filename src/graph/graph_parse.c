/*
 * Reading the text form of a graph (graph_text.h): recursive descent, bounded in depth and in the
 * length of lists.
 */
#include "graph/graph_text.h"
#include "graph/text_values.h"

#include <string.h>

#define MAX_LIST 65536 /* inputs, outputs, attributes of a node */
#define NAME_BYTES 160

static bool parse_graph(lmn_reader *p, lmn_graph *parent, lmn_graph **out);

/* ---- attributes --------------------------------------------------------------------------------
 */

static bool parse_float(lmn_reader *p, float *out)
{
    double v;
    if (lmn_lex_word(&p->x, "nan:")) {
        uint8_t b[4];
        if (!lmn_lex_hex(&p->x, b, sizeof b)) return false;
        *out = lmn_f32_of_bits((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 |
                               b[3]);
        return true;
    }
    if (!lmn_lex_f64(&p->x, &v)) return false;
    *out = (float)v;
    return true;
}

static bool parse_entry(lmn_reader *p, lmn_graph *g, lmn_attr_type type, void *at)
{
    if (type == LMN_ATTR_INTS) return lmn_lex_i64(&p->x, at);
    if (type == LMN_ATTR_FLOATS) return parse_float(p, at);
    lmn_str *s = at;
    return lmn_lex_string(&p->x, &g->arena, &s->p, &s->n);
}

/* [a, b, ...] of ints, floats or strings. */
static bool parse_list(lmn_reader *p, lmn_graph *g, lmn_attr *a)
{
    const size_t each = a->type == LMN_ATTR_INTS     ? sizeof(int64_t)
                        : a->type == LMN_ATTR_FLOATS ? sizeof(float)
                                                     : sizeof(lmn_str);
    uint8_t *v = NULL;
    size_t cap = 0, n = 0;
    bool ok = lmn_lex_need(&p->x, '[');
    while (ok && !lmn_lex_take(&p->x, ']')) {
        ok = !n || lmn_lex_need(&p->x, ',');
        if (ok && lmn_grow(&p->engine->alloc, (void **)&v, &cap, n + 1, INT32_MAX, each, "graph"))
            ok = lmn_read_nomem(p);
        ok = ok && parse_entry(p, g, a->type, v + n * each);
        n += ok;
    }
    const void *kept = ok ? lmn_arena_dup(&g->arena, v, n * each) : NULL;
    lmn_free(&p->engine->alloc, v, cap * each, 16, "graph");
    if (!ok) return false;
    if (!kept) return lmn_read_nomem(p);
    a->n = (int32_t)n;
    if (a->type == LMN_ATTR_INTS) a->u.ints = kept;
    if (a->type == LMN_ATTR_FLOATS) a->u.floats = kept;
    if (a->type == LMN_ATTR_STRINGS) a->u.strings = kept;
    return true;
}

static bool parse_attr_value(lmn_reader *p, lmn_graph *g, lmn_attr *a)
{
    static const struct {
        const char *word;
        lmn_attr_type type;
    } TYPES[] = {{"float", LMN_ATTR_FLOAT},   {"int", LMN_ATTR_INT},
                 {"string", LMN_ATTR_STRING}, {"ints", LMN_ATTR_INTS},
                 {"floats", LMN_ATTR_FLOATS}, {"strings", LMN_ATTR_STRINGS},
                 {"tensor", LMN_ATTR_TENSOR}, {"type", LMN_ATTR_TYPE}};
    lmn_attr_type type = LMN_ATTR_GRAPH;
    for (size_t i = 0; type == LMN_ATTR_GRAPH && i < LMN_COUNT(TYPES); i++)
        if (lmn_lex_word(&p->x, TYPES[i].word)) type = TYPES[i].type;
    *a = (lmn_attr){.name = a->name, .type = type, .n = 1};
    switch (type) {
    case LMN_ATTR_FLOAT: return parse_float(p, &a->u.f);
    case LMN_ATTR_INT: return lmn_lex_i64(&p->x, &a->u.i);
    case LMN_ATTR_STRING: return lmn_lex_string(&p->x, &g->arena, &a->u.s.p, &a->u.s.n);
    case LMN_ATTR_TENSOR: return lmn_read_tensor(p, &a->u.t);
    case LMN_ATTR_GRAPH: return parse_graph(p, g, &a->u.g);
    case LMN_ATTR_TYPE: {
        lmn_fact *f = LMN_ARENA_NEW(&g->arena, lmn_fact);
        a->u.type_fact = f;
        return f ? lmn_read_fact(p, g, f) : lmn_read_nomem(p);
    }
    default: return parse_list(p, g, a);
    }
}

static void release_attr(const lmn_attr *a)
{
    if (a->type == LMN_ATTR_TENSOR) lamina_tensor_unref(a->u.t);
    if (a->type == LMN_ATTR_GRAPH) lmn_graph_destroy(a->u.g);
}

/* name: value, with the name bare or quoted. On failure nothing is owned. */
static bool parse_attr(lmn_reader *p, lmn_graph *g, lmn_attr *a)
{
    char *name;
    size_t n;
    *a = (lmn_attr){0};
    (void)lmn_lex_at_end(&p->x);
    if (p->x.p < p->x.end && *p->x.p == '"') {
        if (!lmn_lex_string(&p->x, &g->arena, &name, &n)) return false;
    } else {
        const char *s = p->x.p;
        size_t len = 0;
        while (s + len < p->x.end && s[len] != ':' && s[len] != '\n') len++;
        name = lmn_arena_strn(&g->arena, s, len);
        if (!name) return lmn_read_nomem(p);
        p->x.p += len;
    }
    a->name = name;
    if (!lmn_lex_need(&p->x, ':')) return false;
    return parse_attr_value(p, g, a);
}

/* ---- values and nodes --------------------------------------------------------------------------
 */

/* %k of a defined value, or _. */
static bool parse_ref(lmn_reader *p, const lmn_graph *g, lmn_vid *out)
{
    int64_t k;
    *out = 0;
    if (lmn_lex_take(&p->x, '_')) return true;
    if (!lmn_lex_need(&p->x, '%') || !lmn_lex_i64(&p->x, &k)) return false;
    if (k < 1 || (uint64_t)k >= g->n_values)
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "value %%%lld is not defined here",
                            (long long)k);
    *out = (lmn_vid)k;
    return true;
}

/* %k "name", k being the next number; the name may be missing. */
static bool parse_name(lmn_reader *p, lmn_graph *g, char **name)
{
    int64_t k;
    size_t n;
    *name = "";
    if (!lmn_lex_need(&p->x, '%') || !lmn_lex_i64(&p->x, &k)) return false;
    if (k != (int64_t)g->n_values)
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "the next value is %%%zu, not %%%lld",
                            g->n_values, (long long)k);
    (void)lmn_lex_at_end(&p->x);
    if (p->x.p == p->x.end || *p->x.p != '"') return true;
    return lmn_lex_string(&p->x, &g->arena, name, &n);
}

/* A value and its fact; `must`: the fact is not optional. */
static bool parse_def(lmn_reader *p, lmn_graph *g, bool must, lmn_vid *out)
{
    char *name;
    lmn_fact f = lmn_fact_unknown();
    if (!parse_name(p, g, &name)) return false;
    (void)lmn_lex_at_end(&p->x);
    const char c = p->x.p < p->x.end ? *p->x.p : '=';
    if ((must || (c != '=' && c != ',')) && !lmn_read_fact(p, g, &f)) return false;
    *out = lmn_graph_value(g, name, &f);
    return *out || lmn_read_nomem(p);
}

static bool parse_outs(lmn_reader *p, lmn_graph *g, lmn_vid *out, int32_t *n)
{
    *n = 0;
    do {
        if (*n == MAX_LIST) return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "too many outputs");
        out[*n] = 0;
        if (!lmn_lex_take(&p->x, '_') && !parse_def(p, g, false, &out[*n])) return false;
        (*n)++;
    } while (lmn_lex_take(&p->x, ','));
    return lmn_lex_need(&p->x, '=');
}

static bool parse_op(lmn_reader *p, lmn_graph *g, lmn_opnode *op)
{
    char name[NAME_BYTES], *shown = "";
    size_t n;
    int64_t k;
    if (!lmn_lex_name(&p->x, name, sizeof name)) return false;
    char *colon = strchr(name, ':');
    if (colon) *colon = 0;
    op->def = lmn_op_find_in(p->engine, colon ? name : "", colon ? colon + 1 : name);
    if (!op->def)
        return lmn_lex_fail(&p->x, LAMINA_E_UNSUPPORTED, "there is no operator \"%s%s%s\"", name,
                            colon ? ":" : "", colon ? colon + 1 : "");
    (void)lmn_lex_at_end(&p->x);
    if (p->x.p < p->x.end && *p->x.p == '"' && !lmn_lex_string(&p->x, &g->arena, &shown, &n))
        return false;
    op->name = shown;
    op->id = UINT32_MAX;
    if (lmn_lex_word(&p->x, "opset")) {
        if (!lmn_lex_i64(&p->x, &k)) return false;
        op->opset = (int32_t)lmn_max_i64(0, lmn_min_i64(k, INT32_MAX));
    }
    if (lmn_lex_word(&p->x, "id")) {
        if (!lmn_lex_i64(&p->x, &k)) return false;
        op->id = (uint32_t)k;
    }
    if (!lmn_lex_word(&p->x, "caps")) return true;
    if (!lmn_lex_i64(&p->x, &k)) return false;
    if (k < 0 || k > MAX_LIST)
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "no such capture count");
    op->n_caps = (int32_t)k;
    return true;
}

static bool parse_ins(lmn_reader *p, const lmn_graph *g, lmn_vid *in, int32_t *n)
{
    *n = 0;
    if (!lmn_lex_need(&p->x, '(')) return false;
    while (!lmn_lex_take(&p->x, ')')) {
        if (*n == MAX_LIST) return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "too many inputs");
        if (*n && !lmn_lex_need(&p->x, ',')) return false;
        if (!parse_ref(p, g, &in[(*n)++])) return false;
    }
    return true;
}

static bool parse_attrs(lmn_reader *p, lmn_graph *g, lmn_attr **attrs, size_t *cap, int32_t *n)
{
    if (!lmn_lex_take(&p->x, '{')) return p->x.status == LAMINA_OK;
    while (!lmn_lex_take(&p->x, '}')) {
        if (*n && !lmn_lex_need(&p->x, ',')) return false;
        if (lmn_grow(&p->engine->alloc, (void **)attrs, cap, (size_t)*n + 1, MAX_LIST,
                     sizeof **attrs, "graph"))
            return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "too many attributes");
        if (!parse_attr(p, g, &(*attrs)[*n])) return false;
        (*n)++;
    }
    return true;
}

static bool parse_node(lmn_reader *p, lmn_graph *g, lmn_vid *in, lmn_vid *out)
{
    lmn_opnode op = {0};
    lmn_attr *attrs = NULL;
    size_t cap = 0;
    bool ok = parse_outs(p, g, out, &op.n_out) && parse_op(p, g, &op) &&
              parse_ins(p, g, in, &op.n_in) && parse_attrs(p, g, &attrs, &cap, &op.n_attrs);
    op.attrs = attrs;
    lmn_gnode *n = ok ? lmn_graph_node(g, &op, in, out) : NULL;
    if (ok && !n) ok = lmn_read_nomem(p);
    if (n && op.id != UINT32_MAX) n->op.id = op.id;
    for (int32_t i = 0; !n && i < op.n_attrs; i++) release_attr(&attrs[i]);
    lmn_free(&p->engine->alloc, attrs, cap * sizeof *attrs, 16, "graph");
    return ok;
}

static bool give_constant(lmn_reader *p, lmn_graph *g, lmn_vid v, bool with_fact)
{
    lamina_tensor *t;
    if (!lmn_read_tensor(p, &t)) return false;
    if (with_fact) g->values[v].fact = lmn_fact_of(t, &g->arena);
    g->values[v].constant = t;
    return true;
}

static bool parse_const(lmn_reader *p, lmn_graph *g)
{
    char *name;
    if (!parse_name(p, g, &name)) return false;
    const lmn_vid v = lmn_graph_value(g, name, NULL);
    return v ? give_constant(p, g, v, true) : lmn_read_nomem(p);
}

static bool parse_statement(lmn_reader *p, lmn_graph *g, lmn_vid *in, lmn_vid *out)
{
    lmn_vid v;
    char *name;
    size_t n;
    if (lmn_lex_word(&p->x, "node")) return parse_node(p, g, in, out);
    if (lmn_lex_word(&p->x, "const")) return parse_const(p, g);
    if (lmn_lex_word(&p->x, "value")) return parse_def(p, g, true, &v);
    if (lmn_lex_word(&p->x, "input")) {
        if (!parse_def(p, g, true, &v)) return false;
        if (!lmn_graph_add_input(g, v)) return lmn_read_nomem(p);
        return !lmn_lex_take(&p->x, '=') || give_constant(p, g, v, false);
    }
    if (lmn_lex_word(&p->x, "output")) {
        if (!parse_ref(p, g, &v) || !lmn_lex_string(&p->x, &g->arena, &name, &n)) return false;
        return lmn_graph_add_output(g, v, name) || lmn_read_nomem(p);
    }
    return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "expected node, const, value, input or output");
}

static bool parse_symbols(lmn_reader *p, lmn_graph *g)
{
    char *name;
    size_t n;
    for (;;) {
        (void)lmn_lex_at_end(&p->x);
        if (p->x.p == p->x.end || *p->x.p != '"') return p->x.status == LAMINA_OK;
        if (!lmn_lex_string(&p->x, &g->arena, &name, &n)) return false;
        if (!lmn_dim_known(lmn_dim_sym(g->dims, n ? name : NULL)))
            return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "too many symbols");
    }
}

static bool parse_body(lmn_reader *p, lmn_graph *g)
{
    char *name;
    size_t n;
    int64_t ids = -1;
    if (!lmn_lex_word(&p->x, "graph"))
        return lmn_lex_fail(&p->x, LAMINA_E_CORRUPT, "expected a graph");
    if (!lmn_lex_string(&p->x, &g->arena, &name, &n)) return false;
    g->name = name;
    if (lmn_lex_word(&p->x, "ids") && !lmn_lex_i64(&p->x, &ids)) return false;
    if (!lmn_lex_need(&p->x, '{')) return false;
    if (!g->parent && lmn_lex_word(&p->x, "symbols") && !parse_symbols(p, g)) return false;
    lmn_arena tmp;
    lmn_arena_init(&tmp, &p->engine->alloc, 0);
    lmn_vid *in = LMN_ARENA_ARRAY(&tmp, lmn_vid, MAX_LIST);
    lmn_vid *out = LMN_ARENA_ARRAY(&tmp, lmn_vid, MAX_LIST);
    bool ok = in && out ? true : lmn_read_nomem(p);
    while (ok && !lmn_lex_take(&p->x, '}')) ok = parse_statement(p, g, in, out);
    lmn_arena_finish(&tmp);
    if (ok && ids >= 0) g->next_node_id = (uint32_t)ids;
    return ok;
}

static bool parse_graph(lmn_reader *p, lmn_graph *parent, lmn_graph **out)
{
    lmn_graph *g = NULL;
    *out = NULL;
    if (++p->depth > LMN_TEXT_MAX_DEPTH)
        return lmn_lex_fail(&p->x, LAMINA_E_LIMIT, "nested deeper than %d", LMN_TEXT_MAX_DEPTH);
    if (lmn_graph_create(p->engine, parent, &g) != LAMINA_OK) return lmn_read_nomem(p);
    if (!parse_body(p, g)) {
        lmn_graph_destroy(g);
        return false;
    }
    p->depth--;
    *out = g;
    return true;
}

lamina_status lmn_graph_parse(lamina_engine *e, const char *text, size_t n, lmn_graph **out,
                              lamina_error *err)
{
    lmn_reader p = {.x = {text, text, text + n, err, LAMINA_OK}, .engine = e};
    lmn_graph *g;
    if (!parse_graph(&p, NULL, &g)) return p.x.status;
    if (!lmn_lex_at_end(&p.x)) {
        (void)lmn_lex_fail(&p.x, LAMINA_E_CORRUPT, "there is more behind the graph");
        lmn_graph_destroy(g);
        return p.x.status;
    }
    *out = g;
    return LAMINA_OK;
}
