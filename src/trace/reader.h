/*
 * A trace that is looked at: copies of what its file held, made by read(2). Nothing of the file is
 * mapped, so that cutting it short cannot raise a signal, and every number in it is compared with
 * a bound before it is used.
 */
#ifndef LMN_TRACE_READER_H
#define LMN_TRACE_READER_H

#include "base/alloc.h"
#include "base/os/os_ticks.h"
#include "lamina/trace.h"
#include "trace/trace_file.h"
#include "trace/trace_watch.h"

/* "node(run:u,name:s)", taken apart. */
typedef struct lmn_trace_form {
    const char *category;
    uint32_t n;
    struct {
        const char *name;
        char type;
    } arg[LMN_TRACE_ARGS];
} lmn_trace_form;

typedef struct lmn_read_name {
    const char *text;
    uint32_t form;          /* number of a name */
    lmn_trace_form *parsed; /* of this name as a form, once asked for */
} lmn_read_name;

typedef struct lmn_raw_event {
    uint64_t w[LMN_EVENT_WORDS];
} lmn_raw_event;

struct lamina_trace_reader {
    lamina_allocator alloc;
    lmn_arena text; /* names and forms: lent until the end */
    int fd;
    lmn_trace_head head; /* static part as it was at the opening, the rest of the last poll */
    lmn_trace_layout at;
    double tick_ns;
    bool same_boot;
    lmn_lane_reader *lanes;
    lmn_lane_mem *lane_mem;
    lmn_read_name *names;
    lmn_trace_thread *threads;
    uint64_t *cells;
    lmn_trace_metric *metrics;
    lmn_trace_knob *knobs;
    uint32_t n_names, n_threads, n_metrics, n_knobs, n_cells;
    lmn_raw_event *events; /* of the last poll, by time */
    size_t n_events, cap_events, next;
};

#endif
