/*
 * A subject's result as text, JSON and SVG: the same rows, each with median and quartiles, beside
 * what is known about how sure they are.
 */
#include "sys_bench.h"

#include <math.h>
#include <string.h>

void sys_number(char buf[24], double v)
{
    const double a = fabs(v);
    if (a < 0.0005) {
        (void)snprintf(buf, 24, "%.2g", v); /* 0, and what four digits would make of it */
        return;
    }
    const int digits = a >= 99.95 ? 0 : a >= 9.995 ? 1 : a >= 0.9995 ? 2 : a >= 0.0995 ? 3 : 4;
    (void)snprintf(buf, 24, "%.*f", digits, v);
}

/* The case that the others are compared with: the first that could be measured. */
static const sys_case *base(const sys_run *r)
{
    for (int i = 0; i < r->n; i++)
        if (r->cases[i].n) return &r->cases[i];
    return NULL;
}

/* Half the distance of the quartiles, in percent of the median. */
static double spread(const sys_case *c)
{
    return c->median > 0 ? 50 * (c->q3 - c->q1) / c->median : 0;
}

static void print_wrapped(const char *head, const char *text)
{
    int column = printf("%s", head);
    while (*text) {
        const int n = (int)strcspn(text, " ");
        if (column + n + 1 > 100) column = printf("\n        ") - 1;
        column += printf("%s%.*s", column ? " " : "", n, text);
        text += n + strspn(text + n, " ");
    }
    printf("\n");
}

static void print_place(const sys_run *r)
{
    double worst = 0;
    const char *which = "";
    for (int i = 0; i < r->n; i++)
        if (r->cases[i].n && spread(&r->cases[i]) >= worst) {
            worst = spread(&r->cases[i]);
            which = r->cases[i].name;
        }
    printf("sure     medians of %d rounds by turns in %.1f s; quartiles within %.1f %% (%s)\n",
           r->rounds, r->seconds, worst, which);
    printf("machine  %d processor%s, load %.2f before and %.2f after", r->before.cpus,
           r->before.cpus == 1 ? "" : "s", r->before.load, r->after.load);
    if (r->before.trip_ns > 0)
        printf("; two of them %s (%.0f ns there and back), then %s (%.0f ns)", r->before.placement,
               r->before.trip_ns, r->after.placement, r->after.trip_ns);
    else if (r->before.placement)
        printf("; %s", r->before.placement);
    printf("\n");
    if (r->before.trip_ns > 0 && strcmp(r->before.placement, r->after.placement) != 0)
        printf("         the distance changed on the way: measure again before comparing runs\n");
    if (r->before.cpus > 0 && r->before.load > r->before.cpus)
        printf(
            "         more is running than there are processors: expect these figures to move\n");
}

void sys_print_text(const sys_run *r)
{
    const sys_case *b = base(r);
    print_wrapped("shows   ", r->subject->shows);
    print_place(r);
    printf("\n%-34s %10s %10s %10s %10s %8s\n", r->subject->unit, "median", "quartile", "quartile",
           r->subject->more_is_better ? "most" : "least", "ratio");
    for (int i = 0; i < r->n; i++) {
        const sys_case *c = &r->cases[i];
        char v[5][24];
        if (!c->n) {
            printf("%-34s not here: %s\n", c->name, c->why ? c->why : "refused");
            continue;
        }
        sys_number(v[0], c->median);
        sys_number(v[1], c->q1);
        sys_number(v[2], c->q3);
        sys_number(v[3], r->subject->more_is_better ? c->most : c->least);
        sys_number(v[4], b->median > 0 ? c->median / b->median : 0);
        printf("%-34s %10s %10s %10s %10s %7sx%s\n", c->name, v[0], v[1], v[2], v[3], v[4],
               c->overlaps ? " ~" : "");
    }
    printf("\nratio: median beside that of the first row; ~: not to be told from the best, their "
           "quartiles overlap\n");
}

static void json_place(const char *key, const sys_place *p)
{
    printf("\"%s\": {\"cpus\": %d", key, p->cpus);
    cli_json_number(stdout, ", \"load\": ", p->load);
    if (p->placement) printf(", \"placement\": \"%s\"", p->placement);
    if (p->trip_ns > 0) cli_json_number(stdout, ", \"trip_ns\": ", p->trip_ns);
    printf("}");
}

void sys_print_json(const sys_run *r)
{
    printf("{\"subject\": \"%s\", \"unit\": \"%s\", \"better\": \"%s\", \"rounds\": %d",
           r->subject->name, r->subject->unit, r->subject->more_is_better ? "more" : "less",
           r->rounds);
    cli_json_number(stdout, ", \"seconds\": ", r->seconds);
    printf(",\n \"shows\": ");
    cli_json_string(stdout, r->subject->shows);
    printf(",\n ");
    json_place("before", &r->before);
    printf(", ");
    json_place("after", &r->after);
    printf(",\n \"rows\": [");
    for (int i = 0; i < r->n; i++) {
        const sys_case *c = &r->cases[i];
        printf("%s\n  {\"name\": ", i ? "," : "");
        cli_json_string(stdout, c->name);
        printf(", \"n\": %d", c->n);
        if (c->n) {
            cli_json_number(stdout, ", \"median\": ", c->median);
            cli_json_number(stdout, ", \"q1\": ", c->q1);
            cli_json_number(stdout, ", \"q3\": ", c->q3);
            cli_json_number(stdout, ", \"least\": ", c->least);
            cli_json_number(stdout, ", \"most\": ", c->most);
            printf(", \"overlaps_best\": %s", c->overlaps ? "true" : "false");
        } else {
            printf(", \"why\": ");
            cli_json_string(stdout, c->why ? c->why : "refused");
        }
        printf("}");
    }
    printf("]}\n");
}
