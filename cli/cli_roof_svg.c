/*
 * The roofline drawn: operations a second over operations a byte, both logarithmic. A slope a level
 * of memory, a ceiling a type that the model uses, a dot a node: its area is its time, its colour
 * the operator. The nodes that lose most are named where their names find room.
 */
#include "cli_roof.h"
#include "sys_bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTH 1120
#define HEIGHT 660
#define LEFT 76
#define RIGHT 290
#define TOP 76
#define BOTTOM 76
#define PLOT_W (WIDTH - LEFT - RIGHT)
#define PLOT_H (HEIGHT - TOP - BOTTOM)
#define MOST_NAMES 10
#define COLOURS 9

static const char *const COLOUR[COLOURS + 1] = {"#3b6ea8", "#d9772b", "#4b9b5f", "#b8433f",
                                                "#7d62a8", "#8a6a4f", "#c86fa6", "#6f8f2f",
                                                "#2f9aa0", "#9a9a9a"};

typedef struct box {
    double x, y, w, h;
} box;

typedef struct plot {
    const cli_roof_plot *p;
    FILE *f;
    double x0, x1, y0, y1; /* logarithms of ten */
    double top;            /* the highest ceiling, operations a second */
    double total_ns;
    box taken[MOST_NAMES + 16];
    int n_taken;
} plot;

static bool drawn(const cli_row *r)
{
    return r->flops > 0 && r->bytes > 0 && r->ns > 0;
}
static double intensity(const cli_row *r)
{
    return r->flops / r->bytes;
}
static double speed(const cli_row *r)
{
    return 1e9 * r->flops / r->ns;
}

static double at_x(const plot *g, double v)
{
    const double t = (log10(v) - g->x0) / (g->x1 - g->x0);
    return LEFT + PLOT_W * (t < 0 ? 0 : t > 1 ? 1 : t);
}
static double at_y(const plot *g, double v)
{
    const double t = (log10(v) - g->y0) / (g->y1 - g->y0);
    return TOP + PLOT_H * (1 - (t < 0 ? 0 : t > 1 ? 1 : t));
}

static void widen(double *lo, double *hi, double v)
{
    if (log10(v) < *lo) *lo = log10(v);
    if (log10(v) > *hi) *hi = log10(v);
}

static bool uses(const plot *g, int type)
{
    for (size_t i = 0; i < g->p->n_nodes; i++)
        if (drawn(&g->p->node[i]) && cli_roof_type(g->p->node[i].kernel) == type) return true;
    return type == CLI_F32;
}

/* The axes hold every dot and the ridges of memory. */
static void choose_axes(plot *g)
{
    const cli_machine *m = g->p->machine;
    g->top = 1;
    for (int t = 0; t < CLI_TYPES; t++)
        if (uses(g, t) && cli_machine_peak(m, t) > g->top) g->top = cli_machine_peak(m, t);
    const double slow = cli_level_rate(&m->levels[m->n_levels - 1]);
    g->x0 = -1, g->x1 = log10(4 * g->top / slow);
    g->y1 = log10(g->top), g->y0 = g->y1 - 1.6;
    for (size_t i = 0; i < g->p->n_nodes; i++) {
        const cli_row *r = &g->p->node[i];
        if (!drawn(r) || r->ns < 1e-4 * g->total_ns) continue;
        widen(&g->x0, &g->x1, intensity(r));
        widen(&g->y0, &g->y1, speed(r));
    }
    if (g->x0 < -3) g->x0 = -3;
    if (g->y0 < g->y1 - 6) g->y0 = g->y1 - 6;
    g->x0 -= 0.15, g->x1 += 0.15, g->y0 -= 0.2, g->y1 += 0.2;
}

static void draw_axes(const plot *g)
{
    char number[24];
    const double bottom = TOP + PLOT_H;
    for (double e = ceil(g->x0); e <= g->x1; e++) {
        const double x = at_x(g, pow(10, e));
        (void)fprintf(g->f, "<path d=\"M%.1f %dV%.1f\" class=\"grid\"/>\n", x, TOP, bottom);
        (void)snprintf(number, sizeof number, "%g", pow(10, e));
        sys_svg_text(g->f, x, bottom + 18, "tick", number);
    }
    for (double e = ceil(g->y0); e <= g->y1; e++) {
        const double y = at_y(g, pow(10, e));
        (void)fprintf(g->f, "<path d=\"M%d %.1fH%d\" class=\"grid\"/>\n", LEFT, y, LEFT + PLOT_W);
        (void)snprintf(number, sizeof number, "%g", pow(10, e - 9));
        sys_svg_text(g->f, LEFT - 8, y + 4, "left", number);
    }
    (void)fprintf(g->f, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"frame\"/>\n",
                  LEFT, TOP, PLOT_W, PLOT_H);
    sys_svg_text(g->f, LEFT + PLOT_W / 2.0, bottom + 42, "tick",
                 "operations for each byte read or written");
    sys_svg_text(g->f, LEFT, TOP - 10, "foot", "billion operations a second");
}

/* A slope runs from the frame's left or lower edge to the highest ceiling. */
static void draw_slope(plot *g, const cli_level *l, bool last)
{
    char line[64];
    const double rate = cli_level_rate(l);
    double xa = pow(10, g->x0);
    if (rate * xa < pow(10, g->y0)) xa = pow(10, g->y0) / rate;
    const double xb = g->top / rate;
    if (!(xb > xa)) return;
    const double ax = at_x(g, xa), ay = at_y(g, rate * xa), bx = at_x(g, xb), by = at_y(g, g->top);
    (void)fprintf(g->f, "<path d=\"M%.1f %.1fL%.1f %.1f\" class=\"%s\"/>\n", ax, ay, bx, by,
                  last ? "roof" : "cache");
    (void)snprintf(line, sizeof line, "%s %.0f GB/s", l->name, rate * 1e-9);
    /* A quarter up the slope: nearer levels higher, so that names do not meet. */
    const double tx = ax + (bx - ax) * 0.3, ty = ay + (by - ay) * 0.3;
    (void)fprintf(g->f, "<g transform=\"translate(%.1f %.1f) rotate(%.1f)\">", tx, ty,
                  atan2(by - ay, bx - ax) * 57.29577951308232);
    sys_svg_text(g->f, 0, -5, "line", line);
    (void)fputs("</g>\n", g->f);
}

static void draw_roof(plot *g)
{
    const cli_machine *m = g->p->machine;
    char line[64];
    for (int k = 0; k < m->n_levels; k++) draw_slope(g, &m->levels[k], k + 1 == m->n_levels);
    for (int t = 0; t < CLI_TYPES; t++) {
        const double peak = cli_machine_peak(m, t);
        if (!uses(g, t) || !(peak > 0)) continue;
        const double y = at_y(g, peak), x = at_x(g, peak / cli_level_rate(&m->levels[0]));
        (void)fprintf(g->f, "<path d=\"M%.1f %.1fH%d\" class=\"roof\"/>\n", x, y, LEFT + PLOT_W);
        (void)snprintf(line, sizeof line, "%s %.4g Gop/s", cli_type_name(t), peak * 1e-9);
        sys_svg_text(g->f, LEFT + PLOT_W - 6, y - 6, "end", line);
        if (g->n_taken < (int)(sizeof g->taken / sizeof *g->taken))
            g->taken[g->n_taken++] = (box){LEFT + PLOT_W - 120, y - 20, 120, 20};
    }
}

/* Which colour: operators in the order of their loss, the last colour for all others. */
static int colour_of(const plot *g, const char *op)
{
    int n = 0;
    for (size_t i = 0; i < g->p->n_kinds && n < COLOURS; i++) {
        const char *kind = g->p->kind[i].op;
        bool before = false;
        for (size_t j = 0; j < i && !before; j++) before = !strcmp(g->p->kind[j].op, kind);
        if (before) continue;
        if (!strcmp(kind, op)) return n;
        n++;
    }
    return COLOURS;
}

static double radius(const plot *g, const cli_row *r)
{
    const double x = 46 * sqrt(r->ns / g->total_ns);
    return x < 2.5 ? 2.5 : x > 30 ? 30 : x;
}

static void draw_dot(const plot *g, const cli_row *r)
{
    char line[256];
    (void)fprintf(g->f, "<g><circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\"/><title>",
                  at_x(g, intensity(r)), at_y(g, speed(r)), radius(g, r),
                  COLOUR[colour_of(g, r->op)]);
    (void)snprintf(line, sizeof line,
                   "%s %.120s: %.4g ms, %.1f Gop/s, %.0f %% of the roof (%s), %.4g ms lost", r->op,
                   r->name, r->ns * 1e-6 / g->p->runs, speed(r) * 1e-9, 100 * r->least_ns / r->ns,
                   r->bound, cli_roof_lost(r) * 1e-6 / g->p->runs);
    sys_svg_escape(g->f, line);
    (void)fputs("</title></g>\n", g->f);
}

static bool free_box(const plot *g, const box *b)
{
    if (b->x < LEFT || b->x + b->w > LEFT + PLOT_W || b->y < TOP || b->y + b->h > TOP + PLOT_H)
        return false;
    for (int i = 0; i < g->n_taken; i++) {
        const box *t = &g->taken[i];
        if (b->x < t->x + t->w && t->x < b->x + b->w && b->y < t->y + t->h && t->y < b->y + b->h)
            return false;
    }
    return true;
}

static void draw_name(plot *g, const cli_row *r)
{
    const double x = at_x(g, intensity(r)), y = at_y(g, speed(r)), d = radius(g, r) + 3;
    char name[32];
    (void)snprintf(name, sizeof name, "%.28s", *r->name ? r->name : r->op);
    const double w = 6.3 * (double)strlen(name), h = 13;
    const box places[] = {{x + d, y - h / 2, w, h},         {x - d - w, y - h / 2, w, h},
                          {x - w / 2, y - d - h, w, h},     {x - w / 2, y + d, w, h},
                          {x + d * 0.8, y + d * 0.8, w, h}, {x + d * 0.8, y - d * 0.8 - h, w, h}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (!free_box(g, &places[i])) continue;
        g->taken[g->n_taken++] = places[i];
        sys_svg_text(g->f, places[i].x, places[i].y + h - 3, "node", name);
        return;
    }
}

static void draw_legend(const plot *g)
{
    char line[96];
    const double x = LEFT + PLOT_W + 20;
    double y = TOP + 8;
    sys_svg_text(g->f, x, y, "head", "operator: time, lost of it");
    for (int c = 0; c <= COLOURS; c++) {
        double ns = 0, lost = 0;
        const char *name = "others";
        for (size_t i = 0; i < g->p->n_kinds; i++) {
            if (colour_of(g, g->p->kind[i].op) != c) continue;
            ns += g->p->kind[i].ns;
            lost += cli_roof_lost(&g->p->kind[i]);
            if (c < COLOURS) name = g->p->kind[i].op;
        }
        if (!(ns > 0)) continue;
        y += 22;
        (void)fprintf(g->f, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6\" fill=\"%s\"/>\n", x + 6, y - 4,
                      COLOUR[c]);
        (void)snprintf(line, sizeof line, "%.24s: %.3g ms, %.2g", name, ns * 1e-6 / g->p->runs,
                       lost * 1e-6 / g->p->runs);
        sys_svg_text(g->f, x + 20, y, "kind", line);
    }
}

static void begin(const plot *g)
{
    char line[200];
    const char *slash = strrchr(g->p->title, '/');
    (void)fprintf(
        g->f,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d "
        "%d\">\n<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold;font-size:16px}"
        ".tick{text-anchor:middle;fill:#555}.left,.end{text-anchor:end}.left{fill:#555}"
        ".foot{fill:#555}.line{fill:#555;font-size:11px}.end,.head{font-weight:bold}"
        ".node{font-size:11px;paint-order:stroke;stroke:#fff;stroke-width:3px}"
        ".grid{stroke:#eee}.frame{fill:none;stroke:#bbb}.roof{stroke:#222;stroke-width:2;"
        "fill:none}.cache{stroke:#999;stroke-dasharray:5 4;fill:none}"
        "circle{fill-opacity:.72;stroke:#fff;stroke-width:.8}</style>\n"
        "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT);
    (void)snprintf(line, sizeof line, "%.120s", slash ? slash + 1 : g->p->title);
    sys_svg_text(g->f, 16, 26, "title", line);
    (void)snprintf(line, sizeof line,
                   "%.4g ms a run in operators, %d thread%s; a dot is a node, its area its time",
                   g->total_ns * 1e-6 / g->p->runs, g->p->machine->threads,
                   g->p->machine->threads == 1 ? "" : "s");
    sys_svg_text(g->f, 16, 46, "foot", line);
}

static int by_size(const void *a, const void *b)
{
    const double x = ((const cli_row *)a)->ns, y = ((const cli_row *)b)->ns;
    return (x < y) - (x > y);
}

static void draw_nodes(plot *g)
{
    const size_t n = g->p->n_nodes;
    cli_row *large = malloc((n + 1) * sizeof *large);
    if (!large) return;
    memcpy(large, g->p->node, n * sizeof *large);
    qsort(large, n, sizeof *large, by_size); /* small dots on top */
    double moved = 0;
    for (size_t i = 0; i < n; i++) {
        if (drawn(&large[i]))
            draw_dot(g, &large[i]);
        else
            moved += large[i].ns;
    }
    free(large);
    int names = 0;
    for (size_t i = 0; i < n && names < MOST_NAMES; i++)
        if (drawn(&g->p->node[i])) draw_name(g, &g->p->node[i]), names++;
    char line[96];
    (void)snprintf(line, sizeof line, "%.3g %% of the time only moves data and has no dot",
                   100 * moved / g->total_ns);
    if (moved > 0) sys_svg_text(g->f, LEFT, HEIGHT - 14, "foot", line);
}

int cli_roof_svg(const cli_roof_plot *p, const char *path)
{
    plot g = {.p = p, .f = fopen(path, "w")};
    if (!g.f) return cli_fail("%s: %s", path, strerror(errno));
    for (size_t i = 0; i < p->n_nodes; i++) g.total_ns += p->node[i].ns;
    if (!(g.total_ns > 0)) g.total_ns = 1;
    begin(&g);
    choose_axes(&g);
    draw_axes(&g);
    draw_roof(&g);
    draw_nodes(&g);
    draw_legend(&g);
    (void)fputs("</svg>\n", g.f);
    const bool bad = ferror(g.f) != 0;
    if (fclose(g.f) != 0 || bad) return cli_fail("%s: %s", path, strerror(errno));
    return CLI_OK;
}
