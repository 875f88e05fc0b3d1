/*
 * lamina trace top: what a program spends its time on, as a table that renews itself. Rows are the
 * names of spans and waits with their category; quantiles are those of the last interval, within
 * 1/32 (buckets of a sixteenth of a power of two).
 */
#include "cli_trace.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_ROWS 512
#define BUCKETS 1024 /* 16 a power of two */

typedef struct row {
    char name[64];
    uint64_t n, ns;
    uint32_t bucket[BUCKETS];
} row;

typedef struct top {
    row *rows;
    size_t n_rows;
    double seconds; /* since the last picture */
} top;

static void note(top *t, const lamina_trace_event *e)
{
    char name[64];
    if (e->kind != LAMINA_TRACE_SPAN && e->kind != LAMINA_TRACE_WAIT) return;
    (void)snprintf(name, sizeof name, "%.20s%s%.40s", e->category, *e->category ? ":" : "",
                   e->name);
    size_t i = 0;
    while (i < t->n_rows && strcmp(t->rows[i].name, name) != 0) i++;
    if (i == MAX_ROWS) return;
    row *r = &t->rows[i];
    if (i == t->n_rows) {
        t->n_rows++;
        (void)snprintf(r->name, sizeof r->name, "%s", name);
    }
    const int b = e->dur_ns ? (int)(16 * log2((double)e->dur_ns)) : 0;
    r->bucket[b < BUCKETS ? b : BUCKETS - 1]++;
    r->n++;
    r->ns += e->dur_ns;
}

static double quantile(const row *r, double q)
{
    const double want = q * (double)r->n;
    double seen = 0;
    for (int b = 0; b < BUCKETS; b++) {
        seen += r->bucket[b];
        if (seen >= want && r->bucket[b]) return exp2((b + 0.5) / 16);
    }
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const uint64_t x = ((const row *)a)->ns, y = ((const row *)b)->ns;
    return x > y ? -1 : x < y;
}

static void print_rows(const top *t)
{
    printf("%-40s %10s %10s %11s %11s %7s\n", "span", "calls", "calls/s", "p50", "p99", "busy");
    for (size_t i = 0; i < t->n_rows && i < 20; i++) {
        const row *r = &t->rows[i];
        char p50[24], p99[24];
        if (!r->n) continue;
        cli_trace_duration(p50, quantile(r, 0.5));
        cli_trace_duration(p99, quantile(r, 0.99));
        cli_trace_text(stdout, r->name);
        printf("%*s %10" PRIu64 " %10.1f %11s %11s %6.1f%%\n",
               (int)(strlen(r->name) < 40 ? 40 - strlen(r->name) : 0), "", r->n,
               (double)r->n / t->seconds, p50, p99, (double)r->ns * 1e-7 / t->seconds);
    }
}

static void print_metrics(lamina_trace_reader *r, const lamina_trace_info *about)
{
    for (size_t i = 0; i < about->n_metrics; i++) {
        lamina_trace_metric_info m = {.size = sizeof m};
        if (lamina_trace_get_metric(r, i, &m) != LAMINA_OK) continue;
        cli_trace_text(stdout, m.name);
        if (m.kind == LAMINA_TRACE_HISTOGRAM)
            printf(": %" PRIu64 " of p50 %.4g, p90 %.4g, p99 %.4g, most %.4g ", m.count, m.p50,
                   m.p90, m.p99, m.most);
        else
            printf(": %.10g ", m.value);
        cli_trace_text(stdout, m.unit);
        (void)fputc('\n', stdout);
    }
}

static void print_lanes(lamina_trace_reader *r, const lamina_trace_info *about)
{
    for (size_t i = 0; i < about->n_lanes; i++) {
        lamina_trace_lane_info l = {.size = sizeof l};
        if (lamina_trace_get_lane(r, i, &l) != LAMINA_OK || !l.n_emitted) continue;
        cli_trace_text(stdout, l.thread_name);
        printf("/%" PRIu64 ": %" PRIu64 " events", l.tid, l.n_emitted);
        for (uint32_t d = 0; d < l.n_inside; d++) {
            printf(d ? " > " : ", in ");
            cli_trace_text(stdout, l.inside[d]);
            (void)fputc(' ', stdout);
            cli_trace_text(stdout, l.inside_of[d]);
        }
        (void)fputc('\n', stdout);
    }
}

static void picture(top *t, lamina_trace_reader *r, bool clear)
{
    static const char *const STATE[] = {"running", "ended", "killed"};
    const lamina_trace_info a = cli_trace_about(r);
    qsort(t->rows, t->n_rows, sizeof *t->rows, by_time);
    if (clear) (void)fputs("\033[H\033[2J", stdout);
    cli_trace_text(stdout, a.program);
    printf(" (%u), %s: %" PRIu64 " events, %" PRIu64 " read, %" PRIu64 " lost\n\n", a.pid,
           STATE[a.state], a.n_emitted, a.n_read, a.n_lost);
    print_rows(t);
    (void)fputc('\n', stdout);
    print_metrics(r, &a);
    (void)fputc('\n', stdout);
    print_lanes(r, &a);
    (void)fflush(stdout);
    for (size_t i = 0; i < t->n_rows; i++) {
        t->rows[i].n = t->rows[i].ns = 0;
        memset(t->rows[i].bucket, 0, sizeof t->rows[i].bucket);
    }
}

/* Events of the last poll; from the first to the end of the last, in seconds. */
static double take(top *t, lamina_trace_reader *r)
{
    lamina_trace_event e = {.size = sizeof e};
    uint64_t from = UINT64_MAX, to = 0;
    while (lamina_trace_next(r, &e) == LAMINA_OK) {
        note(t, &e);
        if (e.time_ns < from) from = e.time_ns;
        if (e.time_ns + e.dur_ns > to) to = e.time_ns + e.dur_ns;
    }
    return to > from ? (double)(to - from) * 1e-9 : 1e-9;
}

static int watch(top *t, lamina_trace_reader *r, double interval, bool once)
{
    const bool clear = isatty(STDOUT_FILENO) && !once;
    t->seconds = take(t, r);
    picture(t, r, clear);
    int rc = CLI_OK;
    while (!once && rc == CLI_OK && cli_trace_about(r).state == LAMINA_TRACE_RUNNING) {
        const double start = cli_now_s();
        while (rc == CLI_OK && cli_now_s() - start < interval) {
            (void)usleep(20000);
            rc = cli_trace_more(r);
            (void)take(t, r);
        }
        t->seconds = cli_now_s() - start;
        if (rc == CLI_OK) picture(t, r, clear);
    }
    return rc;
}

int cli_trace_top(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--interval", true}, {"--once", false}, {NULL, false}};
    const char *v, *path = NULL;
    double interval = 1;
    bool once = false;
    int i = 1, o;
    while ((o = cli_next("trace", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && path) return cli_usage("trace", "one file at a time, not also %s", v);
        if (o == 0) path = v;
        if (o == 1 && !cli_real("trace", "--interval", v, &interval)) return CLI_USAGE;
        once |= o == 2;
    }
    if (!path) return cli_usage("trace", "watch which file?");
    lamina_trace_reader *r;
    int rc = cli_trace_open(path, &r);
    if (rc != CLI_OK) return rc;
    top t = {.rows = calloc(MAX_ROWS, sizeof *t.rows)};
    rc = t.rows ? watch(&t, r, interval < 0.05 ? 0.05 : interval, once) : cli_fail("out of memory");
    free(t.rows);
    lamina_trace_close(r);
    return rc;
}
