/*
 * Inference, common part: a node is held against its definition (counts, types, attributes) before
 * the operator's own rule runs. Every refusal names the port, what came and what is allowed.
 *
 * Invariant: what is unknown is never an error.
 */
#include "ops/op.h"

#include <string.h>

#define TEXT_BYTES 256

lamina_status lmn_infer_fail(lmn_infer *ic, lamina_status status, const char *fix, const char *fmt,
                             ...)
{
    char what[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    return lmn_diag_add(ic->diags, LMN_DIAG_ERROR, status, ic->at, fix, "%s", what);
}

/* ---- counts and attributes ---------------------------------------------------------------------
 */

static int32_t port_count(const lmn_port *p)
{
    int32_t n = 0;
    while (p && p[n].name) n++;
    return n;
}

const lmn_port *lmn_port_at(const lmn_port *p, int32_t i)
{
    const int32_t n = port_count(p);
    if (i < n) return &p[i];
    return n > 0 && (p[n - 1].flags & LMN_PORT_VARIADIC) ? &p[n - 1] : NULL;
}

static lamina_status check_counts(lmn_infer *ic)
{
    const lmn_op_def *def = ic->node->def;
    const int32_t n_in = ic->node->n_in - ic->node->n_caps;
    if (n_in > 0 && !lmn_port_at(def->in, n_in - 1))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "has %d inputs, at most %d are defined",
                              n_in, port_count(def->in));
    if (ic->node->n_out > 0 && !lmn_port_at(def->out, ic->node->n_out - 1))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "has %d outputs, at most %d are defined",
                              ic->node->n_out, port_count(def->out));
    for (int32_t i = 0; def->in && def->in[i].name; i++) {
        if (def->in[i].flags & LMN_PORT_OPTIONAL) continue;
        if (i >= n_in || !ic->in[i])
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "connect it, it is not optional",
                                  "input %d \"%s\" is missing", i, def->in[i].name);
    }
    return LAMINA_OK;
}

static const char *attr_type_name(lmn_attr_type t)
{
    static const char *const NAMES[] = {
        "nothing", "a float", "an int",  "a string", "a tensor",        "a graph",        "floats",
        "ints",    "strings", "tensors", "graphs",   "a sparse tensor", "sparse tensors", "a type"};
    return (size_t)t < LMN_COUNT(NAMES) ? NAMES[t] : "of an unknown kind";
}

static const lmn_attr_schema *schema_of(const lmn_op_def *def, const char *name)
{
    for (const lmn_attr_schema *s = def->attrs; s && s->name; s++)
        if (!strcmp(s->name, name)) return s;
    return NULL;
}

/* To ignore what the operator does not have would be to compute something else in silence. */
static lamina_status fail_attr(lmn_infer *ic, const char *name)
{
    char fix[TEXT_BYTES];
    const lmn_attr_schema *near = NULL, *all = ic->node->def->attrs;
    size_t n = 0, least = strlen(name) / 3 + 2;
    for (const lmn_attr_schema *s = all; s && s->name; s++) {
        const size_t d = lmn_name_distance(s->name, name);
        if (d < least) near = s, least = d;
    }
    if (near) {
        (void)lmn_format(fix, sizeof fix, "did you mean \"%s\"?", near->name);
    } else {
        n = lmn_format(fix, sizeof fix, "drop it: %s",
                       all && all->name ? "there are" : "there is none");
        for (const lmn_attr_schema *s = all; s && s->name; s++)
            n += lmn_format(fix + n, sizeof fix - n, "%s %s", s == all ? "" : ",", s->name);
    }
    return lmn_infer_fail(ic, LAMINA_E_INVALID, fix,
                          "the operator has no attribute \"%.80s\" in its newest form", name);
}

static lamina_status fail_word(lmn_infer *ic, const lmn_attr *a, const char *words)
{
    char fix[TEXT_BYTES], got[80];
    (void)lmn_format_name(got, sizeof got, a->u.s.p, a->u.s.n);
    (void)lmn_format(fix, sizeof fix, "use one of: %s", words);
    return lmn_infer_fail(ic, LAMINA_E_INVALID, fix, "attribute \"%s\" is \"%s\"", a->name, got);
}

static lamina_status check_attrs(lmn_infer *ic)
{
    const lmn_attr_schema *s = ic->node->def->attrs;
    const char *words;
    for (int32_t i = 0; i < ic->node->n_attrs; i++) {
        const lmn_attr *a = &ic->node->attrs[i];
        if (!schema_of(ic->node->def, a->name)) return fail_attr(ic, a->name);
        if (!lmn_attr_word_fits(ic->node->def, a, &words)) return fail_word(ic, a, words);
    }
    for (int32_t i = 0; s && s[i].name; i++) {
        const lmn_attr *a = lmn_attr_find(ic->node, s[i].name);
        if (!a && (s[i].flags & LMN_ATTR_REQUIRED))
            return lmn_infer_fail(ic, LAMINA_E_INVALID, "set it, it has no default",
                                  "attribute \"%s\" (%s) is missing", s[i].name,
                                  attr_type_name(s[i].type));
        if (a && a->type != s[i].type)
            return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attribute \"%s\" is %s, must be %s",
                                  s[i].name, attr_type_name(a->type), attr_type_name(s[i].type));
    }
    return LAMINA_OK;
}

/* ---- types -------------------------------------------------------------------------------------
 */

static void format_set(lmn_dset set, char *buf, size_t cap)
{
    size_t n = 0;
    buf[0] = 0;
    for (int32_t dt = 1; dt < LAMINA_DTYPE_COUNT; dt++)
        if (set & LMN_DBIT(dt))
            n += lmn_format(buf + n, cap - n, "%s%s", n ? ", " : "", lamina_dtype_name(dt));
}

/* The type to cast to: of the same class if there is one, the commonest first. */
static lamina_dtype nearest_type(lamina_dtype got, lmn_dset allowed)
{
    static const lamina_dtype FLOATS[] = {LAMINA_F32, LAMINA_F64, LAMINA_F16, LAMINA_BF16,
                                          LAMINA_I64, LAMINA_I32, LAMINA_BOOL};
    static const lamina_dtype INTS[] = {LAMINA_I64, LAMINA_I32, LAMINA_U64, LAMINA_U8,
                                        LAMINA_I8,  LAMINA_F32, LAMINA_BOOL};
    const lmn_dclass c = lmn_dtype_class(got);
    if (c == LMN_CLASS_COMPLEX || c == LMN_CLASS_NONE) return LAMINA_DTYPE_NONE;
    const bool exact = c == LMN_CLASS_SINT || c == LMN_CLASS_UINT || c == LMN_CLASS_BOOL;
    const lamina_dtype *order = exact ? INTS : FLOATS;
    for (size_t i = 0; i < LMN_COUNT(INTS); i++)
        if (allowed & LMN_DBIT(order[i])) return order[i];
    return LAMINA_DTYPE_NONE;
}

static lamina_status fail_type(lmn_infer *ic, int32_t i, const lmn_port *p, lamina_dtype got)
{
    char allowed[TEXT_BYTES], fix[96] = "";
    format_set(p->types, allowed, sizeof allowed);
    const lamina_dtype to = nearest_type(got, p->types);
    if (to)
        (void)lmn_format(fix, sizeof fix, "insert a Cast to %s before it", lamina_dtype_name(to));
    return lmn_infer_fail(ic, LAMINA_E_DTYPE, fix, "input %d \"%s\" is %s, allowed: %s", i, p->name,
                          lamina_dtype_name(got), allowed);
}

typedef struct bindings {
    lamina_dtype type[128];
    int32_t from[128]; /* the input that bound it */
} bindings;

static lamina_status bind_type(lmn_infer *ic, int32_t i, const lmn_port *p, lamina_dtype dt,
                               bindings *b)
{
    const int v = p->var & 127;
    if (!v || (p->flags & LMN_PORT_HETERO)) return LAMINA_OK;
    if (!b->type[v]) {
        b->type[v] = dt;
        b->from[v] = i;
        return LAMINA_OK;
    }
    if (b->type[v] == dt) return LAMINA_OK;
    char fix[96];
    (void)lmn_format(fix, sizeof fix, "insert a Cast to %s before input %d",
                     lamina_dtype_name(b->type[v]), i);
    return lmn_infer_fail(ic, LAMINA_E_DTYPE, fix,
                          "input %d \"%s\" is %s but input %d is %s, and both must "
                          "have the same type",
                          i, p->name, lamina_dtype_name(dt), b->from[v],
                          lamina_dtype_name(b->type[v]));
}

static lamina_status check_types(lmn_infer *ic, bindings *b)
{
    const int32_t n_in = ic->node->n_in - ic->node->n_caps;
    for (int32_t i = 0; i < n_in; i++) {
        const lmn_fact *f = ic->in[i];
        const lmn_port *p = lmn_port_at(ic->node->def->in, i);
        if (!f) continue;
        static const char *const KIND[] = {NULL, NULL, "a sequence", "an optional", "a map"};
        if (!(p->flags & LMN_PORT_ANYKIND) && KIND[f->kind])
            return lmn_infer_fail(ic, LAMINA_E_DTYPE, NULL,
                                  "input %d \"%s\" is %s, must be a tensor", i, p->name,
                                  KIND[f->kind]);
        if (!f->dtype) continue;
        if (!(p->types & LMN_DBIT(f->dtype))) return fail_type(ic, i, p, f->dtype);
        LMN_TRY(bind_type(ic, i, p, f->dtype, b));
    }
    return LAMINA_OK;
}

static void preset_outputs(lmn_infer *ic, const bindings *b)
{
    for (int32_t i = 0; i < ic->node->n_out; i++) {
        const lmn_port *p = lmn_port_at(ic->node->def->out, i);
        lamina_dtype dt = p->flags & LMN_PORT_HETERO ? LAMINA_DTYPE_NONE : b->type[p->var & 127];
        if (!dt && p->types && (p->types & (p->types - 1)) == 0) /* one type only */
            while (!(p->types & LMN_DBIT(dt))) dt++;
        ic->out[i] = lmn_fact_tensor(dt, -1);
        if (p->flags & LMN_PORT_ANYKIND) ic->out[i].kind = LMN_FACT_UNKNOWN;
    }
}

static void infer_like_first(lmn_infer *ic)
{
    if (!lmn_infer_has(ic, 0)) return;
    for (int32_t o = 0; o < ic->node->n_out; o++) {
        const lamina_dtype dt = ic->out[o].dtype;
        lmn_infer_same(ic, o, 0);
        if (dt) ic->out[o].dtype = dt;
    }
}

/* Symbols that inference may make in one pool: the rest is for expressions. */
#define MADE_SYMBOLS 8192u

/* An extent that depends on data, or that no expression can say, is still the same one wherever the
   value goes: it gets a nameless symbol. */
static void name_unknowns(lmn_infer *ic)
{
    for (int32_t o = 0; ic->dims && o < ic->node->n_out; o++) {
        lmn_fact *f = &ic->out[o];
        if (f->kind != LMN_FACT_TENSOR) continue; /* the items of a sequence differ */
        for (int32_t k = 0; k < f->rank; k++)
            if (!lmn_dim_known(f->dims[k]) && lmn_dim_sym_count(ic->dims) < MADE_SYMBOLS)
                f->dims[k] = lmn_dim_sym(ic->dims, NULL);
    }
}

static lamina_status run_rule(lmn_infer *ic)
{
    const lmn_op_def *def = ic->node->def;
    if (def->infer) return def->infer(ic);
    if (def->flags & LMN_OP_SAME) {
        infer_like_first(ic);
    } else if ((def->flags & LMN_OP_ELEMENTWISE) && ic->node->n_out > 0) {
        return lmn_infer_broadcast(ic, 0, 0, ic->node->n_in - ic->node->n_caps - 1);
    }
    return LAMINA_OK;
}

lamina_status lmn_op_infer(lmn_infer *ic)
{
    bindings b = {0};
    LMN_TRY(check_counts(ic));
    LMN_TRY(check_attrs(ic));
    LMN_TRY(check_types(ic, &b));
    preset_outputs(ic, &b);
    LMN_TRY(run_rule(ic));
    name_unknowns(ic);
    return LAMINA_OK;
}
