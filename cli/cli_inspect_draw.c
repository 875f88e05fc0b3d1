/*
 * The picture of a view: boxes for inputs, nodes and outputs of every graph; a node with subgraphs
 * is a box around their drawings. Inner graphs have higher numbers than the node's own, so laying
 * out from the last to the first knows every inner size in time.
 */
#include "cli_inspect.h"
#include "cli_layout.h"

#include <stdlib.h>
#include <string.h>

#define HEAD 58.0  /* of a box with inner graphs: its own three lines */
#define PAD 16.0   /* around an inner drawing */
#define TITLE 20.0 /* of an inner drawing */

/* One graph: boxes are its inputs (n_in of them), nodes, outputs, in this order. */
typedef struct sheet {
    lamina_view_graph g;
    layout lay;
    int64_t *input; /* value of each drawn input */
    int n_in;
    int *source; /* per value of the graph: box that makes it, < 0 = a constant */
    int next;    /* next sheet inside the same node, -1 = last */
    int base;    /* number of its first box in the picture */
} sheet;

typedef struct picture {
    const look *k;
    FILE *f;
    sheet *sheet;
    int *inner; /* per node: its first inner sheet, -1 = none */
    int n, n_boxes;
    bool first;
} picture;

static double clamp(double x, double lo, double hi)
{
    return x < lo ? lo : x > hi ? hi : x;
}

static bool is_constant(const look *k, int64_t v)
{
    lamina_view_value x = {.size = sizeof x};
    return v < 0 || lamina_view_get_value(k->view, (size_t)v, &x) != LAMINA_OK || x.constant;
}

/* Width that the page's fonts need for the three lines of a box. */
static double text_width(const char *op, const char *name, const char *type)
{
    const double a = (double)strlen(op) * 8.2, b = (double)strlen(name) * 6.0,
                 c = (double)strlen(type) * 6.4 - 20;
    const double most = a > b ? a : b;
    return clamp((most > c ? most : c) + 26, 88, 236);
}

static lay_box pill_size(const look *k, int64_t v)
{
    lamina_view_value x = {.size = sizeof x};
    if (v < 0 || lamina_view_get_value(k->view, (size_t)v, &x) != LAMINA_OK)
        return (lay_box){.w = 60, .h = 36};
    return (lay_box){.w = text_width(x.name, "", x.type) + 14, .h = 36};
}

static lay_box node_size(const picture *p, size_t node)
{
    lamina_view_node n = {.size = sizeof n};
    lamina_view_value x = {.size = sizeof x};
    if (lamina_view_get_node(p->k->view, node, &n) != LAMINA_OK) return (lay_box){.w = 88, .h = 38};
    const int64_t v = look_output(p->k, node, &n);
    if (v < 0 || lamina_view_get_value(p->k->view, (size_t)v, &x) != LAMINA_OK) x.type[0] = 0;
    lay_box b = {.w = text_width(n.op, n.name, x.type), .h = *n.name ? 52 : 38};
    if (p->inner[node] < 0) return b;
    double w = PAD, h = 0;
    for (int s = p->inner[node]; s >= 0; s = p->sheet[s].next) {
        const layout *l = &p->sheet[s].lay;
        w += l->w + 3 * PAD;
        if (l->h > h) h = l->h;
    }
    return (lay_box){.w = w > b.w ? w : b.w, .h = HEAD + TITLE + h + 3 * PAD};
}

/* ---- building ---------------------------------------------------------------------------------
 */

enum { UNREAD = -1, READ = -2 };

/* Captured values that nothing inside reads (constants that were put in place) are not drawn. */
static void mark_read(const look *k, sheet *s, size_t number)
{
    lamina_view_node n = {.size = sizeof n};
    for (size_t v = 0; v < s->g.n_value; v++) s->source[v] = number ? UNREAD : READ;
    for (size_t i = 0; number && i < s->g.n_nodes; i++) {
        const size_t node = (size_t)s->g.first_node + i;
        if (lamina_view_get_node(k->view, node, &n) != LAMINA_OK) continue;
        for (size_t a = 0; a < n.n_inputs; a++) {
            const int64_t v = lamina_view_input(k->view, node, a);
            if (v >= 0) s->source[(uint64_t)v - s->g.first_value] = READ;
        }
    }
    for (size_t i = 0; i < s->g.n_outputs; i++) {
        const int64_t v = lamina_view_graph_output(k->view, number, i);
        if (v >= 0) s->source[(uint64_t)v - s->g.first_value] = READ;
    }
}

static bool make_boxes(picture *p, sheet *s, size_t number)
{
    const look *k = p->k;
    const size_t n_nodes = (size_t)s->g.n_nodes, n_out = (size_t)s->g.n_outputs;
    const size_t most = (size_t)s->g.n_inputs + n_nodes + n_out;
    s->lay.box = calloc(most + 1, sizeof *s->lay.box);
    s->input = calloc((size_t)s->g.n_inputs + 1, sizeof *s->input);
    s->source = malloc(((size_t)s->g.n_value + 1) * sizeof *s->source);
    if (!s->lay.box || !s->input || !s->source) return false;
    mark_read(k, s, number);
    for (size_t i = 0; i < s->g.n_inputs; i++) {
        const int64_t v = lamina_view_graph_input(k->view, number, i);
        if (is_constant(k, v) || s->source[(uint64_t)v - s->g.first_value] == UNREAD) continue;
        s->source[(uint64_t)v - s->g.first_value] = s->n_in;
        s->lay.box[s->n_in] = pill_size(k, v);
        s->input[s->n_in++] = v;
    }
    for (size_t i = 0; i < n_nodes; i++) {
        const size_t node = (size_t)s->g.first_node + i;
        lamina_view_node n = {.size = sizeof n};
        s->lay.box[(size_t)s->n_in + i] = node_size(p, node);
        if (lamina_view_get_node(k->view, node, &n) != LAMINA_OK) continue;
        for (size_t o = 0; o < n.n_outputs; o++) {
            const int64_t v = lamina_view_output(k->view, node, o);
            if (v >= 0) s->source[(uint64_t)v - s->g.first_value] = s->n_in + (int)i;
        }
    }
    for (size_t i = 0; i < n_out; i++)
        s->lay.box[(size_t)s->n_in + n_nodes + i] =
            pill_size(k, lamina_view_graph_output(k->view, number, i));
    s->lay.n = s->n_in + (int)(n_nodes + n_out);
    return true;
}

static void add_edge(sheet *s, int64_t v, int to)
{
    if (v < 0) return;
    const int key = (int)((uint64_t)v - s->g.first_value), from = s->source[key];
    if (from < 0 || from >= to) return;
    for (int e = s->lay.m - 1; e >= 0 && s->lay.edge[e].to == to; e--)
        if (s->lay.edge[e].key == key) return;
    s->lay.edge[s->lay.m++] = (lay_edge){.from = from, .to = to, .key = key};
}

static bool make_edges(const picture *p, sheet *s, size_t number)
{
    const look *k = p->k;
    size_t most = (size_t)s->g.n_outputs;
    lamina_view_node n = {.size = sizeof n};
    for (size_t i = 0; i < s->g.n_nodes; i++)
        if (lamina_view_get_node(k->view, (size_t)s->g.first_node + i, &n) == LAMINA_OK)
            most += n.n_inputs;
    s->lay.edge = calloc(most + 1, sizeof *s->lay.edge);
    if (!s->lay.edge) return false;
    for (size_t i = 0; i < s->g.n_nodes; i++) {
        const size_t node = (size_t)s->g.first_node + i;
        if (lamina_view_get_node(k->view, node, &n) != LAMINA_OK) continue;
        for (size_t a = 0; a < n.n_inputs; a++)
            add_edge(s, lamina_view_input(k->view, node, a), s->n_in + (int)i);
    }
    for (size_t i = 0; i < s->g.n_outputs; i++)
        add_edge(s, lamina_view_graph_output(k->view, number, i),
                 s->n_in + (int)(s->g.n_nodes + i));
    return true;
}

static bool build(picture *p)
{
    for (int i = p->n - 1; i >= 0; i--) {
        sheet *s = &p->sheet[i];
        s->g.size = sizeof s->g;
        if (lamina_view_get_graph(p->k->view, (size_t)i, &s->g) != LAMINA_OK) return false;
        if (!make_boxes(p, s, (size_t)i) || !make_edges(p, s, (size_t)i) || !layout_run(&s->lay))
            return false;
        s->next = -1;
        if (s->g.parent < 0) continue;
        s->next = p->inner[s->g.parent]; /* met from the last to the first: ends up in order */
        p->inner[s->g.parent] = i;
    }
    return true;
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* Kinds of boxes on the page. */
enum { BOX_NODE = 0, BOX_INPUT = 1, BOX_OUTPUT = 2 };

static void write_box(picture *p, const sheet *s, int number, int i, double ox, double oy)
{
    const lay_box *b = &s->lay.box[i];
    const int n_nodes = (int)s->g.n_nodes, local = i - s->n_in;
    int kind = BOX_NODE;
    int64_t ref = (int64_t)s->g.first_node + local;
    if (local < 0) {
        kind = BOX_INPUT;
        ref = s->input[i];
    } else if (local >= n_nodes) {
        kind = BOX_OUTPUT;
        ref = lamina_view_graph_output(p->k->view, (size_t)number, (size_t)(local - n_nodes));
    }
    (void)fprintf(p->f, "%s[%d,%lld,%.0f,%.0f,%.0f,%.0f,%d]", p->first ? "" : ",", kind,
                  (long long)ref, b->x + ox, b->y + oy, b->w, b->h,
                  kind == BOX_NODE && p->inner[ref] >= 0);
    p->first = false;
}

typedef void (*sheet_fn)(picture *p, int number, double ox, double oy);

static void write_boxes(picture *p, int number, double ox, double oy)
{
    sheet *s = &p->sheet[number];
    s->base = p->n_boxes;
    p->n_boxes += s->lay.n;
    for (int i = 0; i < s->lay.n; i++) write_box(p, s, number, i, ox, oy);
}

static void write_edges(picture *p, int number, double ox, double oy)
{
    const sheet *s = &p->sheet[number];
    for (int i = 0; i < s->lay.m; i++) {
        const lay_edge *e = &s->lay.edge[i];
        (void)fprintf(p->f, "%s[%d,%d,%lld", p->first ? "" : ",", s->base + e->from,
                      s->base + e->to, (long long)((int64_t)s->g.first_value + e->key));
        for (size_t q = 0; q < e->n; q++)
            (void)fprintf(p->f, ",%.0f,%.0f", s->lay.point[e->first + q].x + ox,
                          s->lay.point[e->first + q].y + oy);
        (void)fputc(']', p->f);
        p->first = false;
    }
}

static void write_panel(picture *p, int number, double ox, double oy)
{
    const sheet *s = &p->sheet[number];
    if (number == 0) return;
    (void)fprintf(p->f, "%s[%d,%.0f,%.0f,%.0f,%.0f]", p->first ? "" : ",", number, ox - PAD,
                  oy - PAD - TITLE, s->lay.w + 2 * PAD, s->lay.h + 2 * PAD + TITLE);
    p->first = false;
}

/* Do `fn` for a sheet and all inside it, each with the place of its left top corner. */
static void each_sheet(picture *p, int number, double ox, double oy, sheet_fn fn)
{
    const sheet *s = &p->sheet[number];
    fn(p, number, ox, oy);
    for (size_t i = 0; i < s->g.n_nodes; i++) {
        const lay_box *b = &s->lay.box[(size_t)s->n_in + i];
        double x = ox + b->x + 2 * PAD;
        for (int in = p->inner[s->g.first_node + i]; in >= 0; in = p->sheet[in].next) {
            each_sheet(p, in, x, oy + b->y + HEAD + TITLE + PAD, fn);
            x += p->sheet[in].lay.w + 3 * PAD;
        }
    }
}

static void write_list(picture *p, const char *name, sheet_fn fn)
{
    (void)fprintf(p->f, ",\n\"%s\": [", name);
    p->first = true;
    each_sheet(p, 0, 0, 0, fn);
    (void)fprintf(p->f, "]");
}

bool look_drawing(const look *k, FILE *f)
{
    picture p = {.k = k, .f = f, .n = (int)k->stats.n_graphs};
    p.sheet = calloc((size_t)p.n + 1, sizeof *p.sheet);
    p.inner = malloc(((size_t)k->stats.n_nodes + 1) * sizeof *p.inner);
    for (size_t i = 0; p.inner && i < k->stats.n_nodes; i++) p.inner[i] = -1;
    const bool ok = p.sheet && p.inner && build(&p);
    if (ok) {
        write_list(&p, "boxes", write_boxes);
        write_list(&p, "edges", write_edges);
        write_list(&p, "panels", write_panel);
        (void)fprintf(f, ",\n\"size\": [%.0f,%.0f]", p.sheet[0].lay.w, p.sheet[0].lay.h);
    }
    for (int i = 0; p.sheet && i < p.n; i++) {
        free(p.sheet[i].lay.box);
        free(p.sheet[i].lay.edge);
        free(p.sheet[i].input);
        free(p.sheet[i].source);
        layout_free(&p.sheet[i].lay);
    }
    free(p.sheet);
    free(p.inner);
    return ok;
}
