/*
 * lamina trace cat and export: events as text, JSON lines, Trace Event Format, CSV.
 *
 * In the Trace Event Format spans are complete ("X"), so that they balance whatever was lost; waits
 * may have begun in another thread and are asynchronous pairs; each thread is named once; an arrow
 * leads to what a thread did for a span of another.
 */
#include "cli_trace.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_US 50000
#define N_PARENTS 256u

static const char *kind_name(int32_t kind)
{
    static const char *const NAMES[] = {"?", "span", "wait", "mark", "value"};
    return kind > 0 && kind <= LAMINA_TRACE_VALUE ? NAMES[kind] : NAMES[0];
}

/* ---- cat --------------------------------------------------------------------------------------
 */

static void text_line(const lamina_trace_event *e)
{
    char took[24] = "";
    if (e->kind == LAMINA_TRACE_SPAN || e->kind == LAMINA_TRACE_WAIT)
        cli_trace_duration(took, (double)e->dur_ns);
    printf("%13.6f %-5s %11s  ", (double)e->time_ns * 1e-9, kind_name(e->kind), took);
    cli_trace_text(stdout, e->thread_name);
    printf("/%" PRIu64 "  ", e->tid);
    if (*e->category) {
        cli_trace_text(stdout, e->category);
        (void)fputc(':', stdout);
    }
    cli_trace_text(stdout, e->name);
    if (e->kind == LAMINA_TRACE_VALUE) printf(" = %g", e->value);
    for (uint32_t i = 0; i < e->n_args; i++) {
        (void)fputc(' ', stdout);
        cli_trace_text(stdout, e->args[i].name);
        (void)fputc('=', stdout);
        cli_trace_value(stdout, &e->args[i], false);
    }
    (void)fputc('\n', stdout);
}

static void json_args(FILE *f, const lamina_trace_event *e)
{
    (void)fputs("\"args\": {", f);
    for (uint32_t i = 0; i < e->n_args; i++) {
        if (i) (void)fputs(", ", f);
        cli_json_string(f, e->args[i].name);
        (void)fputs(": ", f);
        cli_trace_value(f, &e->args[i], true);
    }
    (void)fputc('}', f);
}

static void json_line(const lamina_trace_event *e)
{
    printf("{\"time_ns\": %" PRIu64 ", \"kind\": \"%s\"", e->time_ns, kind_name(e->kind));
    if (e->kind == LAMINA_TRACE_SPAN || e->kind == LAMINA_TRACE_WAIT)
        printf(", \"dur_ns\": %" PRIu64, e->dur_ns);
    if (e->kind == LAMINA_TRACE_VALUE) cli_json_number(stdout, ", \"value\": ", e->value);
    printf(", \"category\": ");
    cli_json_string(stdout, e->category);
    printf(", \"name\": ");
    cli_json_string(stdout, e->name);
    printf(", \"thread\": ");
    cli_json_string(stdout, e->thread_name);
    printf(", \"tid\": %" PRIu64 ", \"span\": %" PRIu32 ", \"parent\": %" PRIu32 ", ", e->tid,
           e->span, e->parent);
    json_args(stdout, e);
    printf("}\n");
}

int cli_trace_cat(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--follow", false}, {"--json", false}, {NULL, false}};
    const char *v, *path = NULL;
    bool follow = false, json = false;
    int i = 1, o;
    while ((o = cli_next("trace", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && path) return cli_usage("trace", "one file at a time, not also %s", v);
        if (o == 0) path = v;
        follow |= o == 1;
        json |= o == 2;
    }
    if (!path) return cli_usage("trace", "cat which file?");
    lamina_trace_reader *r;
    int rc = cli_trace_open(path, &r);
    if (rc != CLI_OK) return rc;
    for (;;) {
        lamina_trace_event e = {.size = sizeof e};
        const bool alive = cli_trace_about(r).state == LAMINA_TRACE_RUNNING;
        size_t n = 0;
        for (; lamina_trace_next(r, &e) == LAMINA_OK; n++) (json ? json_line : text_line)(&e);
        if (fflush(stdout) != 0) break; /* nobody reads */
        if (n == 0 && (!follow || !alive)) break;
        if (n == 0) (void)usleep(POLL_US);
        if ((rc = cli_trace_more(r)) != CLI_OK) break;
        if (!follow && alive) break; /* what was there at the time of the call */
    }
    if (rc == CLI_OK) cli_trace_remarks(r);
    lamina_trace_close(r);
    return rc;
}

/* ---- export -----------------------------------------------------------------------------------
 */

/* A span that others may name as their parent. */
typedef struct parent {
    uint32_t span, thread;
    uint64_t end_ns;
} parent;

typedef struct exporter {
    FILE *f;
    lamina_trace_info about;
    uint64_t n, n_pairs; /* events; waits and arrows */
    bool *named;         /* threads */
    parent parents[N_PARENTS];
} exporter;

static void micros(FILE *f, const char *key, uint64_t ns)
{
    (void)fprintf(f, ", \"%s\": %" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

static void perfetto_name(exporter *x, const char *what, uint64_t tid, const char *name,
                          uint64_t id)
{
    char text[256];
    (void)fprintf(x->f, "%s\n{\"ph\": \"M\", \"name\": \"%s\", \"pid\": %u, \"tid\": %" PRIu64,
                  x->n++ ? "," : "", what, x->about.pid, tid);
    (void)fputs(", \"args\": {\"name\": ", x->f);
    if (id)
        (void)snprintf(text, sizeof text, "%.200s (%" PRIu64 ")", name, id);
    else
        (void)snprintf(text, sizeof text, "%.200s", name);
    cli_json_string(x->f, text);
    (void)fputs("}}", x->f);
}

static void perfetto_part(exporter *x, const lamina_trace_event *e, const char *ph)
{
    (void)fprintf(x->f, "%s\n{\"ph\": \"%s\", \"name\": ", x->n++ ? "," : "", ph);
    cli_json_string(x->f, e->name);
    (void)fputs(", \"cat\": ", x->f);
    cli_json_string(x->f, *e->category ? e->category : kind_name(e->kind));
    (void)fprintf(x->f, ", \"pid\": %u, \"tid\": %u", x->about.pid, e->thread + 1);
}

/* Of those whose numbers fall together the last is known: spans last as long as runs. */
static parent *parent_at(exporter *x, uint32_t span)
{
    return &x->parents[(span ^ span >> 22) % N_PARENTS];
}

static void perfetto_arrow(exporter *x, const lamina_trace_event *e)
{
    const parent *p = parent_at(x, e->parent);
    if (!e->parent || p->span != e->parent || p->thread == e->thread || e->time_ns > p->end_ns)
        return;
    lamina_trace_event from = *e;
    from.thread = p->thread;
    x->n_pairs++;
    perfetto_part(x, &from, "s");
    micros(x->f, "ts", e->time_ns);
    (void)fprintf(x->f, ", \"id\": %" PRIu64 "}", x->n_pairs);
    perfetto_part(x, e, "f");
    micros(x->f, "ts", e->time_ns);
    (void)fprintf(x->f, ", \"bp\": \"e\", \"id\": %" PRIu64 "}", x->n_pairs);
}

static void perfetto_event(exporter *x, const lamina_trace_event *e)
{
    if (e->thread < x->about.n_threads && !x->named[e->thread]) {
        perfetto_name(x, "thread_name", e->thread + 1, e->thread_name, e->tid);
        x->named[e->thread] = true;
    }
    const bool wait = e->kind == LAMINA_TRACE_WAIT, value = e->kind == LAMINA_TRACE_VALUE;
    const char *ph = e->kind == LAMINA_TRACE_SPAN ? "X" : wait ? "b" : value ? "C" : "i";
    perfetto_part(x, e, ph);
    micros(x->f, "ts", e->time_ns);
    if (*ph == 'X') micros(x->f, "dur", e->dur_ns);
    if (*ph == 'i') (void)fputs(", \"s\": \"t\"", x->f);
    if (wait) (void)fprintf(x->f, ", \"id\": %" PRIu64, ++x->n_pairs);
    (void)fputs(", ", x->f);
    if (value) {
        cli_json_number(x->f, "\"args\": {\"value\": ", e->value);
        (void)fputc('}', x->f);
    } else {
        json_args(x->f, e);
    }
    (void)fputc('}', x->f);
    if (*ph == 'X') {
        if (e->span) *parent_at(x, e->span) = (parent){e->span, e->thread, e->time_ns + e->dur_ns};
        perfetto_arrow(x, e);
    }
    if (!wait) return;
    perfetto_part(x, e, "e");
    micros(x->f, "ts", e->time_ns + e->dur_ns);
    (void)fprintf(x->f, ", \"id\": %" PRIu64 "}", x->n_pairs);
}

static void perfetto_head(exporter *x)
{
    (void)fprintf(x->f,
                  "{\"displayTimeUnit\": \"ns\",\n\"otherData\": {\"producer\": \"lamina %s\", "
                  "\"start_unix_ns\": \"%" PRIu64 "\", \"emitted\": %" PRIu64 ", \"lost\": %" PRIu64
                  "},\n\"traceEvents\": [",
                  lamina_version(), x->about.start_wall_ns, x->about.n_emitted, x->about.n_lost);
    perfetto_name(x, "process_name", 0, x->about.program, 0);
}

static void csv_text(FILE *f, const char *s)
{
    (void)fputc('"', f);
    for (; *s; s++) {
        if (*s == '"') (void)fputc('"', f);
        (void)fputc(*s, f);
    }
    (void)fputc('"', f);
}

static void csv_event(exporter *x, const lamina_trace_event *e)
{
    (void)fprintf(x->f, "%" PRIu64 ",%" PRIu64 ",%s,", e->time_ns, e->dur_ns, kind_name(e->kind));
    csv_text(x->f, e->category);
    (void)fputc(',', x->f);
    csv_text(x->f, e->name);
    (void)fputc(',', x->f);
    csv_text(x->f, e->thread_name);
    (void)fprintf(x->f, ",%" PRIu64 ",%" PRIu32 ",%" PRIu32, e->tid, e->span, e->parent);
    if (e->kind == LAMINA_TRACE_VALUE) (void)fprintf(x->f, ",\"value\",%.17g", e->value);
    for (uint32_t i = 0; i < e->n_args && e->kind != LAMINA_TRACE_VALUE; i++) {
        (void)fputc(',', x->f);
        csv_text(x->f, e->args[i].name);
        (void)fputc(',', x->f);
        if (e->args[i].type == 's')
            csv_text(x->f, e->args[i].value.s);
        else
            cli_trace_value(x->f, &e->args[i], false);
    }
    (void)fputc('\n', x->f);
}

static void openmetrics(lamina_trace_reader *r, FILE *f)
{
    const size_t n = lamina_trace_openmetrics(r, NULL, 0);
    char *text = malloc(n + 1);
    if (!text) return;
    (void)lamina_trace_openmetrics(r, text, n + 1);
    (void)fputs(text, f);
    free(text);
}

static int write_export(exporter *x, lamina_trace_reader *r, int format, const char *out)
{
    lamina_trace_event e = {.size = sizeof e};
    x->about = cli_trace_about(r);
    x->named = calloc(x->about.n_threads + 1, sizeof *x->named);
    x->f = strcmp(out, "-") ? fopen(out, "w") : stdout;
    if (!x->named || !x->f) return cli_fail("cannot write %s: %s", out, strerror(errno));
    if (format == 3) {
        openmetrics(r, x->f);
    } else if (format == 2) {
        (void)fputs("time_ns,dur_ns,kind,category,name,thread,tid,span,parent,arg1,value1,arg2,"
                    "value2,arg3,value3,arg4,value4\n",
                    x->f);
        while (lamina_trace_next(r, &e) == LAMINA_OK) csv_event(x, &e);
    } else {
        perfetto_head(x);
        while (lamina_trace_next(r, &e) == LAMINA_OK) perfetto_event(x, &e);
        (void)fputs("\n]}\n", x->f);
    }
    const bool bad = fflush(x->f) != 0 || ferror(x->f);
    if (x->f != stdout && fclose(x->f) != 0) return cli_fail("cannot write %s", out);
    return bad ? cli_fail("cannot write %s", out) : CLI_OK;
}

int cli_trace_export(int argc, char **argv)
{
    static const cli_opt SPEC[] = {
        {"--perfetto", true}, {"--csv", true}, {"--openmetrics", true}, {NULL, false}};
    const char *v, *path = NULL, *out = NULL;
    int i = 1, o, format = 1;
    while ((o = cli_next("trace", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && path) return cli_usage("trace", "one file at a time, not also %s", v);
        if (o == 0) path = v;
        if (o > 0 && out) return cli_usage("trace", "one format at a time");
        if (o > 0) format = o, out = v;
    }
    if (!path) return cli_usage("trace", "export which file?");
    lamina_trace_reader *r;
    int rc = cli_trace_open(path, &r);
    if (rc != CLI_OK) return rc;
    exporter x = {0};
    rc = write_export(&x, r, format, out ? out : "-");
    free(x.named);
    if (rc == CLI_OK && format != 3) cli_trace_remarks(r);
    lamina_trace_close(r);
    return rc;
}
