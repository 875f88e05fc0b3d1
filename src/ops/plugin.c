/*
 * The tables of plug-ins: held against the ABI, turned into definitions, found by name.
 *
 * Invariants: a definition never changes and lives as long as the engine; its names are copies, its
 * callbacks the library's. No two operators of an engine have the same domain and name.
 */
#include "ops/plugin.h"

#include "base/atomic.h"

#include <string.h>

#define TAG "plug-in"
#define NAME_CAP 128u
#define MAX_OPS 1024u
#define MAX_PORTS 64u
#define MAX_BYTES ((size_t)16 << 20)

typedef struct plugin {
    struct plugin *next;
    lmn_arena arena;
    const char *name;
    lmn_plugin_op *ops;
    size_t n_ops;
    void *lib;
    void (*close)(void *lib);
} plugin;

typedef struct plugins {
    lmn_atomic(plugin *) head;
} plugins;

static void plugin_free(lamina_engine *e, plugin *p)
{
    lmn_arena_finish(&p->arena);
    if (p->close) p->close(p->lib);
    lmn_cfree(&e->alloc, p, 1, sizeof *p, TAG);
}

static void finish(lamina_engine *e, void *ptr)
{
    plugins *all = ptr;
    for (plugin *p = lmn_atomic_load(&all->head, seq_cst); p;) {
        plugin *next = p->next;
        plugin_free(e, p);
        p = next;
    }
    lmn_cfree(&e->alloc, all, 1, sizeof *all, TAG);
}

lamina_status lmn_plugins_open(lamina_engine *e)
{
    plugins *all = lmn_calloc(&e->alloc, 1, sizeof *all, TAG);
    if (!all) return LAMINA_E_NOMEM;
    lmn_atomic_init(&all->head, NULL);
    e->slot[LMN_SLOT_PLUGINS].ptr = all;
    e->slot[LMN_SLOT_PLUGINS].finish = finish;
    return LAMINA_OK;
}

static const plugin *first(const lamina_engine *e)
{
    plugins *all = e->slot[LMN_SLOT_PLUGINS].ptr;
    return all ? lmn_atomic_load(&all->head, seq_cst) : NULL;
}

bool lmn_plugins_have(const lamina_engine *e, const void *lib)
{
    for (const plugin *p = first(e); p; p = p->next)
        if (p->lib == lib) return true;
    return false;
}

static const lmn_op_def *find_row(const plugin *p, size_t n, const char *domain, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(p->ops[i].def.name, name) && !strcmp(p->ops[i].def.domain, domain))
            return &p->ops[i].def;
    return NULL;
}

const lmn_op_def *lmn_op_find_in(const lamina_engine *e, const char *domain, const char *name)
{
    const lmn_op_def *def = lmn_op_find(domain, name);
    for (const plugin *p = first(e); !def && p; p = p->next)
        def = find_row(p, p->n_ops, domain, name);
    return def;
}

/* The k-th in the order of loading, NULL past the end. The list has the last one first. */
static const plugin *at(const lamina_engine *e, size_t k)
{
    const plugin *const last = first(e), *p = last;
    size_t n = 0;
    for (; p; p = p->next) n++;
    if (k >= n) return NULL;
    for (p = last; --n > k;) p = p->next;
    return p;
}

const char *lmn_plugins_at(const lamina_engine *e, size_t k, size_t *n_ops)
{
    const plugin *p = at(e, k);
    *n_ops = p ? p->n_ops : 0;
    return p ? p->name : NULL;
}

const lmn_op_def *lmn_plugins_op(const lamina_engine *e, size_t k, size_t i)
{
    const plugin *p = at(e, k);
    return p && i < p->n_ops ? &p->ops[i].def : NULL;
}

/* ---- reading a table ---------------------------------------------------------------------------
 */

/* Operator `name` of the table, or its i-th before that is known. */
typedef struct reader {
    lamina_engine *e;
    plugin *p;
    lamina_error *err;
    const char *name;
    size_t i;
} reader;

LMN_PRINTF(3, 4)
static lamina_status refuse(reader *r, lamina_status st, const char *fmt, ...)
{
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(text, sizeof text, fmt, ap);
    va_end(ap);
    if (r->name) return lmn_fail(r->err, st, "operator \"%s\" %s", r->name, text);
    return lmn_fail(r->err, st, "operator %zu of its table %s", r->i, text);
}

/* A name of 1 to 127 printable ASCII bytes, copied; NULL if it is none. */
static char *copy_name(reader *r, const char *s)
{
    const size_t n = s ? strnlen(s, NAME_CAP) : 0;
    if (n == 0 || n == NAME_CAP) return NULL;
    for (size_t i = 0; i < n; i++)
        if (s[i] <= ' ' || s[i] > '~' || s[i] == '"' || s[i] == '\\' || s[i] == ':') return NULL;
    return lmn_arena_strn(&r->p->arena, s, n);
}

static lamina_status read_port(reader *r, const lamina_op_port *src, const char *what, size_t i,
                               lmn_port *dst)
{
    if (!(dst->name = copy_name(r, src->name)))
        return refuse(r, LAMINA_E_INVALID,
                      "has %s %zu with a name that is not printable or too "
                      "long",
                      what, i);
    if (!src->types || (src->types & ~LMN_D_ALL))
        return refuse(r, LAMINA_E_INVALID, "has %s \"%.40s\" with no or unknown element types",
                      what, dst->name);
    if (src->flags & ~(uint32_t)(LAMINA_PORT_OPTIONAL | LAMINA_PORT_VARIADIC))
        return refuse(r, LAMINA_E_VERSION, "has %s \"%.40s\" with unknown flags 0x%x", what,
                      dst->name, (unsigned)src->flags);
    if (src->var && (src->var < 'A' || src->var > 'Z'))
        return refuse(r, LAMINA_E_INVALID,
                      "has %s \"%.40s\" whose type variable is no letter A to Z", what, dst->name);
    if ((src->flags & LAMINA_PORT_VARIADIC) && src[1].name)
        return refuse(r, LAMINA_E_INVALID,
                      "has a variadic %s \"%.40s\" that is not the last: move it to the end", what,
                      dst->name);
    dst->types = src->types;
    dst->var = src->var;
    dst->flags = (uint8_t)((src->flags & LAMINA_PORT_OPTIONAL ? LMN_PORT_OPTIONAL : 0) |
                           (src->flags & LAMINA_PORT_VARIADIC ? LMN_PORT_VARIADIC : 0));
    return LAMINA_OK;
}

static lamina_status read_ports(reader *r, const lamina_op_port *src, const char *what,
                                const lmn_port **out)
{
    size_t n = 0;
    while (src && src[n].name && n <= MAX_PORTS) n++;
    if (n > MAX_PORTS)
        return refuse(r, LAMINA_E_LIMIT, "has more than %u %ss: end the list with a NULL name",
                      MAX_PORTS, what);
    lmn_port *ports = LMN_ARENA_ARRAY(&r->p->arena, lmn_port, n + 1);
    if (!ports) return refuse(r, LAMINA_E_NOMEM, "does not fit in memory");
    for (size_t i = 0; i < n; i++) LMN_TRY(read_port(r, &src[i], what, i, &ports[i]));
    *out = ports;
    return LAMINA_OK;
}

static lamina_status read_attrs(reader *r, const lamina_op_attr *src, const lmn_attr_schema **out)
{
    size_t n = 0;
    while (src && src[n].name && n <= MAX_PORTS) n++;
    if (n > MAX_PORTS)
        return refuse(r, LAMINA_E_LIMIT,
                      "has more than %u attributes: end the list with a NULL name", MAX_PORTS);
    lmn_attr_schema *attrs = LMN_ARENA_ARRAY(&r->p->arena, lmn_attr_schema, n + 1);
    if (!attrs) return refuse(r, LAMINA_E_NOMEM, "does not fit in memory");
    for (size_t i = 0; i < n; i++) {
        const int32_t t = src[i].type;
        if (!(attrs[i].name = copy_name(r, src[i].name)))
            return refuse(r, LAMINA_E_INVALID, "has attribute %zu without a printable name", i);
        if (t != LAMINA_ATTR_FLOAT && t != LAMINA_ATTR_INT && t != LAMINA_ATTR_STRING &&
            t != LAMINA_ATTR_INTS)
            return refuse(r, LAMINA_E_UNSUPPORTED,
                          "has attribute \"%.40s\" of type %d: float, int, string and ints are "
                          "possible",
                          attrs[i].name, t);
        attrs[i].type = (lmn_attr_type)t;
        attrs[i].flags = src[i].required ? LMN_ATTR_REQUIRED : 0;
    }
    *out = attrs;
    return LAMINA_OK;
}

static lamina_status read_names(reader *r, lmn_plugin_op *op)
{
    const char *name = copy_name(r, op->row.name);
    if (!name)
        return refuse(r, LAMINA_E_INVALID, "has no name of 1 to 127 printable ASCII letters");
    r->name = name;
    const char *domain = copy_name(r, op->row.domain);
    if (!domain || !strcmp(domain, "ai.onnx") || !strcmp(domain, "lamina"))
        return refuse(r, LAMINA_E_INVALID,
                      "needs a domain of its own, which \"\", \"ai.onnx\" and \"lamina\" are not");
    if (lmn_op_find(domain, name))
        return refuse(r, LAMINA_E_STATE,
                      "of domain \"%s\" is built in and cannot be replaced: use another domain",
                      domain);
    if (lmn_op_find_in(r->e, domain, name) || find_row(r->p, r->i, domain, name))
        return refuse(r, LAMINA_E_STATE, "of domain \"%s\" is there already", domain);
    op->def.name = name;
    op->def.domain = domain;
    return LAMINA_OK;
}

static lamina_status read_op(reader *r, const lamina_op_v1 *src, lmn_plugin_op *op)
{
    if (!src) return refuse(r, LAMINA_E_INVALID, "is NULL");
    if (src->size < sizeof *src || lmn_opts_read(&op->row, sizeof op->row, src) != LAMINA_OK)
        return refuse(r, LAMINA_E_VERSION,
                      "has a struct of %zu bytes, this version knows %zu: set size to "
                      "sizeof(lamina_op_v1) and build against these headers",
                      src->size, sizeof *src);
    LMN_TRY(read_names(r, op));
    const lamina_op_v1 *row = &op->row;
    if (!row->eval) return refuse(r, LAMINA_E_INVALID, "has no eval: nothing could run it");
    if (row->since < 1) return refuse(r, LAMINA_E_INVALID, "exists since 0: versions begin at 1");
    if (row->flags & ~(uint32_t)LAMINA_OP_IMPURE)
        return refuse(r, LAMINA_E_VERSION, "has unknown flags 0x%x", (unsigned)row->flags);
    if (!row->outputs || !row->outputs[0].name)
        return refuse(r, LAMINA_E_INVALID, "declares no output");
    LMN_TRY(read_ports(r, row->inputs, "input", &op->def.in));
    LMN_TRY(read_ports(r, row->outputs, "output", &op->def.out));
    LMN_TRY(read_attrs(r, row->attrs, &op->def.attrs));
    op->def.since = row->since;
    op->def.flags = row->flags & LAMINA_OP_IMPURE ? LMN_OP_RANDOM : 0;
    op->def.infer = lmn_plugin_infer;
    op->def.eval = lmn_plugin_eval;
    return LAMINA_OK;
}

static lamina_status read_table(reader *r, const lamina_plugin *t)
{
    if (t->abi != LAMINA_OP_ABI)
        return lmn_fail(r->err, LAMINA_E_VERSION,
                        "is built for operator ABI %u, this library has %u: build it against "
                        "these headers",
                        (unsigned)t->abi, LAMINA_OP_ABI);
    if (!t->name || strnlen(t->name, NAME_CAP) == NAME_CAP || !t->ops || !t->n_ops)
        return lmn_fail(r->err, LAMINA_E_INVALID, "exports a table without a name or operators");
    if (t->n_ops > MAX_OPS)
        return lmn_fail(r->err, LAMINA_E_LIMIT, "has %zu operators, at most %u are possible",
                        t->n_ops, MAX_OPS);
    r->p->ops = LMN_ARENA_ARRAY(&r->p->arena, lmn_plugin_op, t->n_ops);
    char shown[4 * NAME_CAP];
    const size_t n = lmn_format_name(shown, sizeof shown, t->name, strlen(t->name));
    r->p->name = lmn_arena_strn(&r->p->arena, shown, n);
    if (!r->p->ops || !r->p->name)
        return lmn_fail(r->err, LAMINA_E_NOMEM, "does not fit in memory");
    for (r->i = 0; r->i < t->n_ops; r->i++) {
        r->name = NULL;
        LMN_TRY(read_op(r, t->ops[r->i], &r->p->ops[r->i]));
    }
    r->p->n_ops = t->n_ops;
    return LAMINA_OK;
}

lamina_status lmn_plugins_add(lamina_engine *e, const lamina_plugin *table, void *lib,
                              void (*close)(void *lib), lamina_error *err)
{
    plugins *all = e->slot[LMN_SLOT_PLUGINS].ptr;
    plugin *p = all ? lmn_calloc(&e->alloc, 1, sizeof *p, TAG) : NULL;
    if (!p) return lmn_fail(err, LAMINA_E_NOMEM, "does not fit in memory");
    lmn_arena_init(&p->arena, &e->alloc, MAX_BYTES);
    reader r = {.e = e, .p = p, .err = err};
    lamina_status st = read_table(&r, table);
    if (st != LAMINA_OK) {
        const bool full = p->arena.failed;
        plugin_free(e, p);
        return full ? lmn_fail(err, LAMINA_E_NOMEM, "does not fit in memory") : st;
    }
    p->lib = lib;
    p->close = close;
    p->next = lmn_atomic_load(&all->head, seq_cst);
    lmn_atomic_store(&all->head, p, seq_cst);
    return LAMINA_OK;
}
