/*
 * Fuzz target: the file of a trace. Whatever its bytes, opening and reading end with a status, and
 * the account of a lane is that of its reader.
 */
#include "base/error.h"
#include "trace/reader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(bool ok)
{
    if (!ok) abort();
}

static size_t read_events(lamina_trace_reader *r)
{
    size_t n = 0;
    lamina_trace_event e = {.size = sizeof e};
    while (lamina_trace_next(r, &e) == LAMINA_OK) {
        n += strlen(e.name) + strlen(e.category) + strlen(e.thread_name);
        check(e.n_args <= 4);
        for (uint32_t k = 0; k < e.n_args; k++)
            n += strlen(e.args[k].name) + (e.args[k].type == 's' ? strlen(e.args[k].value.s) : 0);
    }
    return n;
}

static void read_trace(lamina_trace_reader *r)
{
    static char text[4096];
    lamina_trace_info i = {.size = sizeof i};
    lamina_trace_metric_info m = {.size = sizeof m};
    lamina_trace_knob_info k = {.size = sizeof k};
    lamina_trace_lane_info l = {.size = sizeof l};
    check(lamina_trace_get_info(r, &i) == LAMINA_OK && strlen(i.program) < 64);
    for (size_t n = 0; n < i.n_lanes; n++) {
        check(lamina_trace_get_lane(r, n, &l) == LAMINA_OK && l.n_inside <= 4);
        check(r->lanes[n].at == l.n_read + l.n_lost);
    }
    for (size_t n = 0; n < i.n_metrics; n++)
        check(lamina_trace_get_metric(r, n, &m) == LAMINA_OK && strlen(m.name) < 2000);
    for (size_t n = 0; n < i.n_knobs; n++) check(lamina_trace_get_knob(r, n, &k) == LAMINA_OK);
    const size_t all = lamina_trace_openmetrics(r, text, sizeof text);
    check(strlen(text) <= all && all >= 6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    const int fd = memfd_create("fuzz", 0);
    if (fd < 0) return 0;
    (void)lmn_format(path, sizeof path, "/proc/self/fd/%d", fd);
    lamina_trace_reader *r = NULL;
    if (write(fd, data, size) == (ssize_t)size &&
        lamina_trace_open(path, NULL, &r, NULL) == LAMINA_OK) {
        for (int turn = 0; turn < 2; turn++)
            if (lamina_trace_poll(r, NULL) == LAMINA_OK) {
                (void)read_events(r);
                read_trace(r);
            }
        lamina_trace_close(r);
    }
    (void)close(fd);
    return 0;
}
