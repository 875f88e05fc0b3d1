/*
 * lamina check --ops: the operators of a model, each with domain, version and types, and what
 * serves it on this machine. The nodes are those of the file in canonical form; what serves one is
 * read off the session's graph, where a fused node carries the names of those it stands for.
 */
#include "cli_needs.h"

#include <stdlib.h>
#include <string.h>

/* A node of the session's graph, once for every name that it stands for. */
typedef struct placed {
    const char *name; /* of n bytes */
    size_t n;
    lamina_view_node node;
} placed;

typedef struct row {
    lamina_view_node node;
    char types[160];
    const char *served, *kernel, *reason; /* served: "kernel", "reference", "passes", "" */
    uint64_t nodes;
} row;

typedef struct needs {
    lamina_view *model, *session;
    placed *placed;
    size_t n_placed;
    row *rows;
    size_t n_rows;
} needs;

static uint64_t count_nodes(const lamina_view *v)
{
    lamina_view_graph g = {.size = sizeof g};
    uint64_t n = 0;
    for (size_t i = 0; lamina_view_get_graph(v, i, &g) == LAMINA_OK; i++) n += g.n_nodes;
    return n;
}

static int by_name(const void *a, const void *b)
{
    const placed *x = a, *y = b;
    const int d = memcmp(x->name, y->name, x->n < y->n ? x->n : y->n);
    return d ? d : x->n < y->n ? -1 : x->n > y->n;
}

/* "conv1+add3" stands for itself, conv1 and add3. */
static bool index_session(needs *k)
{
    const uint64_t n = count_nodes(k->session);
    size_t cap = 0;
    lamina_view_node x = {.size = sizeof x};
    for (size_t i = 0; i < n && lamina_view_get_node(k->session, i, &x) == LAMINA_OK; i++) {
        cap += 2;
        for (const char *p = x.name; *p; p++) cap += *p == '+';
    }
    k->placed = calloc(cap + 1, sizeof *k->placed);
    if (!k->placed) return false;
    for (size_t i = 0; i < n && lamina_view_get_node(k->session, i, &x) == LAMINA_OK; i++) {
        k->placed[k->n_placed++] = (placed){x.name, strlen(x.name), x};
        for (const char *p = x.name; strchr(x.name, '+') && *p;) {
            const size_t len = strcspn(p, "+");
            k->placed[k->n_placed++] = (placed){p, len, x};
            p += len + (p[len] == '+');
        }
    }
    qsort(k->placed, k->n_placed, sizeof *k->placed, by_name);
    return true;
}

/* The node of the session that stands for `x`: of the same operator if there are several. */
static const lamina_view_node *find_placed(const needs *k, const lamina_view_node *x)
{
    const placed key = {x->name, strlen(x->name), *x};
    const placed *at = bsearch(&key, k->placed, k->n_placed, sizeof *k->placed, by_name);
    if (!at) return NULL;
    while (at > k->placed && !by_name(at - 1, &key)) at--;
    const placed *first = at;
    for (; at < k->placed + k->n_placed && !by_name(at, &key); at++)
        if (!strcmp(at->node.op, x->op)) return &at->node;
    return &first->node;
}

static size_t add_type(char *buf, size_t cap, size_t o, size_t from, const char *type)
{
    /* Each type once a side: "float32 int64 -> float32". */
    const size_t n = strlen(type);
    for (const char *p = buf + from; (p = strstr(p, type)) != NULL; p += n)
        if ((p == buf + from || p[-1] == ' ') && (p[n] == ' ' || !p[n])) return o;
    const int w = snprintf(buf + o, cap - o, "%s%s", o > from ? " " : "", type);
    return w > 0 && o + (size_t)w < cap ? o + (size_t)w : cap - 1;
}

static const char *type_of(const lamina_view *v, int64_t value)
{
    lamina_view_value x = {.size = sizeof x};
    if (value < 0 || lamina_view_get_value(v, (size_t)value, &x) != LAMINA_OK) return NULL;
    return x.dtype ? lamina_dtype_name(x.dtype) : "?";
}

static void types_text(const lamina_view *v, size_t i, const lamina_view_node *x, char *buf,
                       size_t cap)
{
    size_t o = 0;
    buf[0] = 0;
    for (size_t k = 0; k < x->n_inputs; k++) {
        const char *t = type_of(v, lamina_view_input(v, i, k));
        if (t) o = add_type(buf, cap, o, 0, t);
    }
    const int w = snprintf(buf + o, cap - o, "%s-> ", o ? " " : "");
    o = w > 0 && o + (size_t)w < cap ? o + (size_t)w : cap - 1;
    const size_t from = o;
    for (size_t k = 0; k < x->n_outputs; k++) {
        const char *t = type_of(v, lamina_view_output(v, i, k));
        if (t) o = add_type(buf, cap, o, from, t);
    }
}

static void serve(const needs *k, row *r)
{
    r->served = r->kernel = r->reason = "";
    if (!k->session) return;
    const lamina_view_node *at = find_placed(k, &r->node);
    r->served = !at ? "passes" : strcmp(at->kernel, "reference") ? "kernel" : "reference";
    if (!at) return;
    r->reason = at->reason;
    r->kernel = at->kernel;
}

static bool same(const row *a, const row *b)
{
    return !strcmp(a->node.op, b->node.op) && !strcmp(a->node.domain, b->node.domain) &&
           a->node.opset == b->node.opset && !strcmp(a->types, b->types) &&
           !strcmp(a->served, b->served) && !strcmp(a->kernel, b->kernel) &&
           !strcmp(a->reason, b->reason);
}

static int by_operator(const void *a, const void *b)
{
    const row *x = a, *y = b;
    int d = strcmp(x->node.domain, y->node.domain);
    if (!d) d = strcmp(x->node.op, y->node.op);
    if (!d) d = strcmp(x->types, y->types);
    return d ? d : strcmp(x->kernel, y->kernel);
}

static bool sum_rows(needs *k)
{
    size_t cap = 0;
    row r = {.node = {.size = sizeof r.node}};
    for (size_t i = 0; lamina_view_get_node(k->model, i, &r.node) == LAMINA_OK; i++) {
        types_text(k->model, i, &r.node, r.types, sizeof r.types);
        serve(k, &r);
        size_t at = 0;
        while (at < k->n_rows && !same(&k->rows[at], &r)) at++;
        if (at == cap) {
            cap = cap ? 2 * cap : 64;
            row *more = realloc(k->rows, cap * sizeof *more);
            if (!more) return false;
            k->rows = more;
        }
        if (at == k->n_rows) {
            k->rows[k->n_rows] = r;
            k->rows[k->n_rows++].nodes = 0;
        }
        k->rows[at].nodes++;
    }
    if (k->n_rows) qsort(k->rows, k->n_rows, sizeof *k->rows, by_operator);
    return true;
}

static const char *domain_of(const row *r)
{
    return *r->node.domain ? r->node.domain : "ai.onnx";
}

static void print_text(const needs *k)
{
    printf("%-14s %-26s %5s %5s  %-36s %s\n", "domain", "operator", "opset", "nodes", "types",
           "served by");
    for (size_t i = 0; i < k->n_rows; i++) {
        const row *r = &k->rows[i];
        printf("%-14s %-26s %5d %5llu  %-36s ", domain_of(r), r->node.op, r->node.opset,
               (unsigned long long)r->nodes, r->types);
        if (!strcmp(r->served, "passes"))
            printf("nothing: fused or computed before the run\n");
        else if (!*r->served)
            printf("not known: the model has errors\n");
        else
            printf("%s%s%s\n", r->kernel, *r->reason ? ": " : "", r->reason);
    }
}

static void print_json(const needs *k)
{
    printf("\"operators\": [");
    for (size_t i = 0; i < k->n_rows; i++) {
        const row *r = &k->rows[i];
        const char *const field[][2] = {{"domain", domain_of(r)}, {"op", r->node.op},
                                        {"types", r->types},      {"served", r->served},
                                        {"kernel", r->kernel},    {"reason", r->reason}};
        printf("%s\n  {\"opset\": %d, \"nodes\": %llu", i ? "," : "", r->node.opset,
               (unsigned long long)r->nodes);
        for (size_t f = 0; f < sizeof field / sizeof *field; f++) {
            printf(", \"%s\": ", field[f][0]);
            cli_json_string(stdout, field[f][1]);
        }
        printf("}");
    }
    printf("%s], ", k->n_rows ? "\n" : "");
}

int cli_needs(lamina_model *m, const lamina_session *s, bool json)
{
    needs k = {0};
    lamina_error err = {.msg = "out of memory"};
    bool ok = lamina_view_model(m, NULL, &k.model, &err) == LAMINA_OK;
    if (ok && s) ok = lamina_view_session(s, NULL, &k.session, &err) == LAMINA_OK;
    if (ok && s) ok = index_session(&k);
    if (ok) ok = sum_rows(&k);
    if (ok) (json ? print_json : print_text)(&k);
    free(k.rows);
    free(k.placed);
    lamina_view_destroy(k.session);
    lamina_view_destroy(k.model);
    return ok ? CLI_OK : cli_fail("%s", err.msg);
}
