/*
 * The plot: a bar for the median of each case, a whisker from quartile to quartile. The axis begins
 * at zero, or is logarithmic where the cases lie more than a factor of 50 apart, and says which.
 */
#include "sys_bench.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define WIDTH 820
#define LEFT 250
#define RIGHT 110
#define TOP 64
#define ROW 26
#define PLOT (WIDTH - LEFT - RIGHT)

typedef struct axis {
    double lo, hi; /* logarithms of ten when `log` */
    bool log;
} axis;

void sys_svg_escape(FILE *f, const char *s)
{
    for (; *s; s++) {
        if (*s == '<')
            (void)fputs("&lt;", f);
        else if (*s == '&')
            (void)fputs("&amp;", f);
        else
            (void)fputc((unsigned char)*s < 32 ? ' ' : *s, f);
    }
}

void sys_svg_text(FILE *f, double x, double y, const char *class, const char *s)
{
    (void)fprintf(f, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\">", x, y, class);
    sys_svg_escape(f, s);
    (void)fputs("</text>\n", f);
}

static axis axis_of(const sys_run *r)
{
    double least = INFINITY, most = 0;
    for (int i = 0; i < r->n; i++) {
        const sys_case *c = &r->cases[i];
        if (!c->n) continue;
        if (c->median < least) least = c->median;
        if (c->q3 > most) most = c->q3;
    }
    if (!(most > 0) || !isfinite(most)) return (axis){0, 1, false};
    if (least > 0 && most / least > 50)
        return (axis){floor(log10(least)) - 0.2, log10(most) + 0.05, true};
    return (axis){0, most * 1.05, false};
}

static double at(const axis *a, double v)
{
    const double t = a->log ? log10(v > 0 ? v : 1e-300) : v;
    const double x = (t - a->lo) / (a->hi - a->lo);
    return LEFT + PLOT * (x < 0 ? 0 : x > 1 ? 1 : x);
}

/* A round step that gives four to nine of them. */
static double step_of(double span)
{
    const double ten = pow(10, floor(log10(span)));
    const double part = span / ten;
    return part < 2 ? ten / 4 : part < 5 ? ten / 2 : ten;
}

static void tick(FILE *f, const axis *a, double v, double bottom)
{
    char number[24];
    const double x = at(a, v);
    (void)fprintf(f, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%.1f\" class=\"grid\"/>\n", x,
                  TOP - 6, x, bottom);
    (void)snprintf(number, sizeof number, "%.6g", v);
    sys_svg_text(f, x, bottom + 16, "tick", number);
}

static void draw_axis(FILE *f, const axis *a, double bottom)
{
    if (a->log) {
        for (double e = ceil(a->lo); e <= a->hi; e++) tick(f, a, pow(10, e), bottom);
        return;
    }
    const double step = step_of(a->hi);
    for (int i = 0; i * step <= a->hi; i++) tick(f, a, i * step, bottom);
}

static void draw_case(FILE *f, const axis *a, const sys_case *c, double y)
{
    char number[24];
    sys_svg_text(f, LEFT - 10, y + 15, "name", c->name);
    if (!c->n) {
        sys_svg_text(f, LEFT + 4, y + 15, "why", c->why ? c->why : "not here");
        return;
    }
    const double x = at(a, c->median), x1 = at(a, c->q1), x3 = at(a, c->q3);
    (void)fprintf(f, "<rect x=\"%d\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" class=\"bar\"/>\n",
                  LEFT, y + 3, x - LEFT, ROW - 8);
    (void)fprintf(f, "<path d=\"M%.1f %.1fH%.1fM%.1f %.1fv8M%.1f %.1fv8\" class=\"whisker\"/>\n",
                  x1, y + 12, x3, x1, y + 8, x3, y + 8);
    sys_number(number, c->median);
    sys_svg_text(f, (x3 > x ? x3 : x) + 6, y + 16, "value", number);
}

int sys_write_svg(const sys_run *r, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) return cli_fail("%s: %s", path, strerror(errno));
    const axis a = axis_of(r);
    const double bottom = TOP + ROW * r->n;
    char line[160];
    (void)fprintf(f,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
                  "viewBox=\"0 0 %d %.0f\">\n"
                  "<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold;font-size:"
                  "15px}.name{text-anchor:end}.tick{text-anchor:middle;fill:#666;font-size:11px}"
                  ".foot,.why{fill:#666;font-size:11px}.grid{stroke:#ddd}.bar{fill:#4878a8}"
                  ".whisker{stroke:#222;fill:none;stroke-width:1.5}</style>\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                  WIDTH, bottom + 56, WIDTH, bottom + 56);
    (void)snprintf(line, sizeof line, "%s: %s", r->subject->name, r->subject->summary);
    sys_svg_text(f, 16, 24, "title", line);
    (void)snprintf(line, sizeof line, "%s, %s is better%s", r->subject->unit,
                   r->subject->more_is_better ? "more" : "less", a.log ? "; logarithmic" : "");
    sys_svg_text(f, 16, 44, "foot", line);
    draw_axis(f, &a, bottom);
    for (int i = 0; i < r->n; i++) draw_case(f, &a, &r->cases[i], TOP + ROW * i);
    (void)snprintf(line, sizeof line,
                   "medians and quartiles of %d rounds by turns; %d processors, load %.2f%s%s",
                   r->rounds, r->before.cpus, r->before.load, r->before.placement ? ", " : "",
                   r->before.placement ? r->before.placement : "");
    sys_svg_text(f, 16, bottom + 40, "foot", line);
    (void)fputs("</svg>\n", f);
    const bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad) return cli_fail("%s: %s", path, strerror(errno));
    return CLI_OK;
}
