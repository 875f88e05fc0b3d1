/*
 * The figures of `lamina bench serve`: a table, JSON, and a plot of three panels: requests a second
 * by what became of them, latency by second, and the distribution with its tail stretched.
 */
#include "cli_load.h"
#include "sys_bench.h"

#include <errno.h>
#include <math.h>
#include <string.h>

static const struct {
    double share;
    const char *name;
} SHARES[] = {{0.5, "p50"},     {0.75, "p75"},      {0.9, "p90"}, {0.99, "p99"},
              {0.999, "p99.9"}, {0.9999, "p99.99"}, {1, "max"}};
#define N_SHARES (sizeof SHARES / sizeof SHARES[0])

static double ms(const cli_load *l, int32_t times, double share)
{
    return (double)lamina_loadgen_percentile(l->load, times, share) * 1e-6;
}

static void print_statuses(const cli_load *l)
{
    printf("status  ");
    for (uint32_t s = 100; s < 600; s++)
        if (lamina_loadgen_status(l->load, s))
            printf("  %u: %llu", s, (unsigned long long)lamina_loadgen_status(l->load, s));
    printf("\n");
}

void cli_load_text(const cli_load *l)
{
    const lamina_loadgen_stats *s = &l->stats;
    const double sec = s->seconds > 0 ? s->seconds : 1;
    printf("load      %s, %ld connections%s\n", l->target, l->connections,
           l->rate > 0 ? "" : ", closed loop: latency says little");
    if (l->rate > 0)
        printf("offered   %.1f requests/s wanted, %.1f due, %s distances\n", l->rate,
               (double)s->n_due / sec, l->steady ? "equal" : "Poisson's");
    printf("answered  %.1f requests/s: %llu ok, %llu refused, %llu other, in %.2f s\n",
           (double)(s->n_ok + s->n_refused + s->n_other) / sec, (unsigned long long)s->n_ok,
           (unsigned long long)s->n_refused, (unsigned long long)s->n_other, s->seconds);
    if (s->n_timeout + s->n_broken + s->n_unsent)
        printf("lost      %llu timed out, %llu broken connections, %llu never sent\n",
               (unsigned long long)s->n_timeout, (unsigned long long)s->n_broken,
               (unsigned long long)s->n_unsent);
    print_statuses(l);
    printf("bytes     %.3f MB/s out, %.3f MB/s in, %llu connections made\n",
           (double)s->bytes_out / sec * 1e-6, (double)s->bytes_in / sec * 1e-6,
           (unsigned long long)s->n_connects);
    printf("\n%-10s", "ms");
    for (size_t i = 0; i < N_SHARES; i++) printf("%10s", SHARES[i].name);
    static const char *const NAME[] = {"latency", "service", "refusal"};
    for (int32_t t = 0; t < 3; t++) {
        if (t == LAMINA_LOADGEN_REFUSAL ? !s->n_refused : !s->n_ok) continue;
        printf("\n%-10s", NAME[t]);
        for (size_t i = 0; i < N_SHARES; i++) printf("%10.3f", ms(l, t, SHARES[i].share));
    }
    printf("\n\nlatency counts from when a request was due, service from when it was sent\n");
    if (s->behind_ns > 1000000)
        printf("note: this program was up to %.1f ms late itself; its processor was taken\n",
               (double)s->behind_ns * 1e-6);
}

void cli_load_json(const cli_load *l)
{
    const lamina_loadgen_stats *s = &l->stats;
    static const char *const NAME[] = {"latency_ms", "service_ms", "refusal_ms"};
    printf("{\"url\": ");
    cli_json_string(stdout, l->url);
    printf(", \"target\": ");
    cli_json_string(stdout, l->target);
    printf(
        ", \"connections\": %ld, \"rate\": %.6g, \"seconds\": %.6f,\n \"due\": %llu, \"ok\": %llu, "
        "\"refused\": %llu, \"other\": %llu, \"timeout\": %llu, \"broken\": %llu, \"unsent\": "
        "%llu, \"connects\": %llu, \"bytes_out\": %llu, \"bytes_in\": %llu, \"behind_ms\": %.6f",
        l->connections, l->rate, s->seconds, (unsigned long long)s->n_due,
        (unsigned long long)s->n_ok, (unsigned long long)s->n_refused,
        (unsigned long long)s->n_other, (unsigned long long)s->n_timeout,
        (unsigned long long)s->n_broken, (unsigned long long)s->n_unsent,
        (unsigned long long)s->n_connects, (unsigned long long)s->bytes_out,
        (unsigned long long)s->bytes_in, (double)s->behind_ns * 1e-6);
    for (int32_t t = 0; t < 3; t++) {
        printf(",\n \"%s\": {", NAME[t]);
        for (size_t i = 0; i < N_SHARES; i++)
            printf("%s\"%s\": %.6f", i ? ", " : "", SHARES[i].name, ms(l, t, SHARES[i].share));
        printf("}");
    }
    printf(",\n \"status\": {");
    bool first = true;
    for (uint32_t c = 100; c < 600; c++) {
        const uint64_t n = lamina_loadgen_status(l->load, c);
        if (n) printf("%s\"%u\": %llu", first ? "" : ", ", c, (unsigned long long)n), first = false;
    }
    printf("},\n \"by_second\": [");
    lamina_loadgen_second sec;
    for (size_t i = 0; lamina_loadgen_get_second(l->load, i, &sec) == LAMINA_OK; i++)
        printf(
            "%s\n  {\"due\": %llu, \"ok\": %llu, \"refused\": %llu, \"failed\": %llu, \"p50_ms\": "
            "%.6f, \"p99_ms\": %.6f, \"max_ms\": %.6f}",
            i ? "," : "", (unsigned long long)sec.n_due, (unsigned long long)sec.n_ok,
            (unsigned long long)sec.n_refused, (unsigned long long)sec.n_failed,
            (double)sec.p50_ns * 1e-6, (double)sec.p99_ns * 1e-6, (double)sec.max_ns * 1e-6);
    printf("]}\n");
}

/* ---- the plot ----------------------------------------------------------------------------------
 */

#define WIDTH 900
#define LEFT 84
#define RIGHT 140
#define PLOT_W (WIDTH - LEFT - RIGHT)
#define PANEL 170
#define GAP 62
#define TOP 66

typedef struct panel {
    FILE *f;
    double top, lo, hi, x_hi; /* lo, hi: of y, logarithms of ten when `log` */
    bool log;
} panel;

static double at_y(const panel *p, double v)
{
    const double t = ((p->log ? log10(v > 0 ? v : 1e-9) : v) - p->lo) / (p->hi - p->lo);
    return p->top + PANEL * (1 - (t < 0 ? 0 : t > 1 ? 1 : t));
}
static double at_x(const panel *p, double v)
{
    return LEFT + PLOT_W * (p->x_hi > 0 ? v / p->x_hi : 0);
}

static void frame(const panel *p, const char *title)
{
    char number[24];
    sys_svg_text(p->f, LEFT, p->top - 10, "name", title);
    const double step = p->log ? 1 : (p->hi - p->lo) / 4;
    for (double v = p->log ? ceil(p->lo) : p->lo; v <= p->hi + 1e-9; v += step) {
        const double value = p->log ? pow(10, v) : v, y = at_y(p, value);
        (void)fprintf(p->f, "<path d=\"M%d %.1fh%d\" class=\"grid\"/>\n", LEFT, y, PLOT_W);
        sys_number(number, value);
        sys_svg_text(p->f, LEFT - 8, y + 4, "tick", number);
    }
}

typedef double value_fn(const lamina_loadgen_second *s);
static double v_due(const lamina_loadgen_second *s)
{
    return (double)s->n_due;
}
static double v_ok(const lamina_loadgen_second *s)
{
    return (double)s->n_ok;
}
static double v_refused(const lamina_loadgen_second *s)
{
    return (double)s->n_refused;
}
static double v_failed(const lamina_loadgen_second *s)
{
    return (double)s->n_failed;
}
static double v_p50(const lamina_loadgen_second *s)
{
    return (double)s->p50_ns * 1e-6;
}
static double v_p99(const lamina_loadgen_second *s)
{
    return (double)s->p99_ns * 1e-6;
}
static double v_max(const lamina_loadgen_second *s)
{
    return (double)s->max_ns * 1e-6;
}

/* A line over the seconds, and its name behind its end. */
static void line_of(const cli_load *l, const panel *p, value_fn *value, const char *name, int row,
                    const char *colour)
{
    lamina_loadgen_second s;
    (void)fprintf(p->f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" d=\"", colour);
    for (size_t i = 0;
         lamina_loadgen_get_second(l->load, i, &s) == LAMINA_OK && (double)i < p->x_hi; i++)
        (void)fprintf(p->f, "%c%.1f %.1f", i ? 'L' : 'M', at_x(p, (double)i + 0.5),
                      at_y(p, value(&s)));
    const double y = p->top + 14 + 17 * row;
    (void)fprintf(p->f, "\"/>\n<path d=\"M%d %.1fh14\" stroke=\"%s\" stroke-width=\"3\"/>\n",
                  LEFT + PLOT_W + 10, y - 4, colour);
    sys_svg_text(p->f, LEFT + PLOT_W + 30, y, "key", name);
}

static double most_of(const cli_load *l, value_fn *const *values, double least)
{
    lamina_loadgen_second s;
    double most = least;
    for (size_t i = 0; lamina_loadgen_get_second(l->load, i, &s) == LAMINA_OK; i++)
        for (int k = 0; values[k]; k++)
            if (values[k](&s) > most) most = values[k](&s);
    return most;
}

/* Latency over the share of requests that were slower, to one in 100,000. */
static void draw_tail(const cli_load *l, panel *p)
{
    static const char *const TICK[] = {"p0", "p90", "p99", "p99.9", "p99.99", "p99.999"};
    frame(p, "latency, ms, by the share of requests that were faster");
    p->x_hi = 5;
    for (int i = 0; i <= 5; i++) {
        (void)fprintf(p->f, "<path d=\"M%.1f %.1fv%d\" class=\"grid\"/>\n", at_x(p, i), p->top,
                      PANEL);
        sys_svg_text(p->f, at_x(p, i), p->top + PANEL + 16, "mid", TICK[i]);
    }
    static const char *const NAME[] = {"latency", "service"}, *const COLOUR[] = {"#b8433f",
                                                                                 "#3b6ea8"};
    for (int32_t t = 0; t < 2; t++) {
        (void)fprintf(p->f, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" d=\"",
                      COLOUR[t]);
        for (int i = 0; i <= 100; i++)
            (void)fprintf(p->f, "%c%.1f %.1f", i ? 'L' : 'M', at_x(p, i / 20.0),
                          at_y(p, ms(l, t, 1 - pow(10, -i / 20.0))));
        const double y = p->top + 14 + 17 * t;
        (void)fprintf(p->f, "\"/>\n<path d=\"M%d %.1fh14\" stroke=\"%s\" stroke-width=\"3\"/>\n",
                      LEFT + PLOT_W + 10, y - 4, COLOUR[t]);
        sys_svg_text(p->f, LEFT + PLOT_W + 30, y, "key", NAME[t]);
    }
}

static void log_range(panel *p, double least, double most)
{
    p->log = true;
    p->lo = floor(log10(least > 1e-4 ? least : 1e-4)),
    p->hi = ceil(log10(most > 1e-3 ? most : 1e-3));
    if (p->hi <= p->lo) p->hi = p->lo + 1;
}

/* Four round steps that hold `most`. */
static double round_up(double most)
{
    const double ten = pow(10, floor(log10(most / 4))), part = most / 4 / ten;
    return 4 * ten * (part <= 1 ? 1 : part <= 2 ? 2 : part <= 2.5 ? 2.5 : part <= 5 ? 5 : 10);
}

static void mark_seconds(const panel *p)
{
    char number[24];
    for (int i = 0; i <= 4; i++) {
        sys_number(number, p->x_hi * i / 4);
        sys_svg_text(p->f, at_x(p, p->x_hi * i / 4), p->top + PANEL + 16, "mid", number);
    }
}

static void draw(const cli_load *l, FILE *f)
{
    value_fn *const counts[] = {v_due, v_ok, v_refused, v_failed, NULL};
    value_fn *const times[] = {v_max, NULL};
    const double seconds = ceil(l->stats.seconds > 1 ? l->stats.seconds : 1);
    panel p = {.f = f, .top = TOP, .hi = round_up(most_of(l, counts, 1)), .x_hi = seconds};
    frame(&p, "requests a second, by second");
    mark_seconds(&p);
    line_of(l, &p, v_due, "due", 0, "#9a9a9a");
    line_of(l, &p, v_ok, "ok", 1, "#4b9b5f");
    line_of(l, &p, v_refused, "refused", 2, "#d9772b");
    line_of(l, &p, v_failed, "failed", 3, "#b8433f");
    p.top += PANEL + GAP;
    log_range(&p, ms(l, LAMINA_LOADGEN_SERVICE, 0.01), most_of(l, times, 1e-3));
    frame(&p, "latency of answers 2xx by second, ms");
    mark_seconds(&p);
    line_of(l, &p, v_p50, "p50", 0, "#3b6ea8");
    line_of(l, &p, v_p99, "p99", 1, "#7d62a8");
    line_of(l, &p, v_max, "max", 2, "#b8433f");
    p.top += PANEL + GAP;
    draw_tail(l, &p);
}

int cli_load_svg(const cli_load *l, const char *path)
{
    FILE *f = fopen(path, "w");
    if (!f) return cli_fail("%s: %s", path, strerror(errno));
    char line[256];
    const int height = TOP + 3 * PANEL + 2 * GAP + 44;
    (void)fprintf(f,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                  "viewBox=\"0 0 %d %d\">\n"
                  "<style>text{font:13px sans-serif;fill:#222}.title{font-weight:bold;font-size:"
                  "15px}.tick{text-anchor:end;fill:#666;font-size:11px}.mid{text-anchor:middle;"
                  "fill:#666;font-size:11px}.key{font-size:12px}.grid{stroke:#ddd}</style>\n"
                  "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
                  WIDTH, height, WIDTH, height);
    (void)snprintf(line, sizeof line, "%.100s: %.0f answers/s, p50 %.3g ms, p99 %.3g ms", l->target,
                   (double)(l->stats.n_ok + l->stats.n_refused + l->stats.n_other) /
                       (l->stats.seconds > 0 ? l->stats.seconds : 1),
                   ms(l, LAMINA_LOADGEN_LATENCY, 0.5), ms(l, LAMINA_LOADGEN_LATENCY, 0.99));
    sys_svg_text(f, 16, 26, "title", line);
    draw(l, f);
    (void)fputs("</svg>\n", f);
    const bool bad = ferror(f) != 0;
    if (fclose(f) != 0 || bad) return cli_fail("%s: %s", path, strerror(errno));
    return CLI_OK;
}
