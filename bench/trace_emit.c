/*
 * bench_trace_emit: nanoseconds of CPU time for one event and its kin, the median of many short
 * blocks; one line of JSON. Uses the library from inside: the inline path is what the runtime pays.
 */
#include "trace/trace.h"

#include <stdio.h>
#include <stdlib.h>

#define BLOCKS 201
#define OPS 20000

typedef struct scene {
    lamina_trace *trace;
    lamina_trace_lane *lane;
    lamina_trace_metric *metric;
    uint32_t name;
    uint64_t sum;
} scene;

static void emit_given(scene *s)
{
    for (uint64_t i = 0; i < OPS; i++) {
        const lmn_trace_put e = {.time = i,
                                 .value = i,
                                 .kind = LAMINA_TRACE_SPAN,
                                 .name = s->name,
                                 .args = {i, i + 1, i + 2}};
        lmn_trace_emit(s->lane, &e);
    }
}

static void emit_clock(scene *s)
{
    for (uint64_t i = 0; i < OPS; i++) {
        const lmn_trace_put e = {.time = lmn_trace_now(s->trace),
                                 .kind = LAMINA_TRACE_MARK,
                                 .name = s->name,
                                 .args = {i, i + 1, i + 2}};
        lmn_trace_emit(s->lane, &e);
    }
}

static void clock_alone(scene *s)
{
    for (uint64_t i = 0; i < OPS; i++) s->sum += lmn_trace_now(s->trace);
}

static void emit_public(scene *s)
{
    const uint64_t args[3] = {1, 2, 3};
    for (uint64_t i = 0; i < OPS; i++)
        lamina_trace_emit(s->lane, LAMINA_TRACE_MARK, s->name, 0, args, 3);
}

static void switched_off(scene *s)
{
    for (uint64_t i = 0; i < OPS; i++) s->sum += lmn_trace_on(s->trace, LAMINA_TRACE_LEVEL_CHUNKS);
}

static void take_give(scene *s)
{
    for (uint64_t i = 0; i < OPS; i++) lmn_trace_give(lmn_trace_take(s->trace, NULL));
}

static void histogram(scene *s)
{
    for (uint64_t i = 0; i < OPS; i++) lmn_metric_add(s->metric, i);
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_ns(scene *s, void (*fn)(scene *s))
{
    static double t[BLOCKS];
    for (int i = 0; i < BLOCKS; i++) {
        const uint64_t start = lmn_thread_cpu_ns();
        fn(s);
        t[i] = (double)(lmn_thread_cpu_ns() - start) / OPS;
    }
    qsort(t, BLOCKS, sizeof *t, by_value);
    return t[BLOCKS / 2];
}

int main(void)
{
    static const struct {
        const char *name;
        void (*fn)(scene *s);
    } CASES[] = {{"emit", emit_given},    {"emit_and_clock", emit_clock},
                 {"clock", clock_alone},  {"emit_public", emit_public},
                 {"off", switched_off},   {"take_and_give", take_give},
                 {"histogram", histogram}};
    scene s = {0};
    lamina_error err = {0};
    if (lamina_trace_create(NULL, NULL, &s.trace, &err) != LAMINA_OK)
        return fprintf(stderr, "%s\n", err.msg), 1;
    s.lane = lamina_trace_take(s.trace, "bench");
    s.name = lamina_trace_name(s.trace, "event", "bench(a:u,b:u,c:u)");
    s.metric =
        lamina_trace_metric_get(s.trace, LAMINA_TRACE_HISTOGRAM, "took", "seconds", 1e-9, "");
    emit_given(&s); /* touch the pages */
    printf("{");
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        printf("%s\"%s\": %.3f", i ? ", " : "", CASES[i].name, median_ns(&s, CASES[i].fn));
    printf(", \"counter\": %s}\n", s.trace->clock.counter ? "true" : "false");
    lamina_trace_give(s.lane);
    lamina_trace_destroy(s.trace);
    return s.sum == 1;
}
