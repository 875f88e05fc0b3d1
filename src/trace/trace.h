/*
 * Writing a trace, from inside the library: what include/lamina/trace.h offers, inline where it is
 * quick. Nothing here allocates or takes a lock but the making of names, metrics, knobs and
 * threads.
 *
 * Off means one load and a branch: lmn_trace_on. The word that says so is zero in a forked child,
 * which shares the file with its parent and must not write.
 */
#ifndef LMN_TRACE_TRACE_H
#define LMN_TRACE_TRACE_H

#include "base/alloc.h"
#include "base/os/os_publish.h"
#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "base/os/os_ticks.h"
#include "lamina/trace.h"
#include "trace/histogram.h"
#include "trace/trace_file.h"

#include <string.h>

typedef struct lamina_trace_metric {
    lmn_atomic(uint64_t) * cells;
    uint32_t kind;
    const lamina_trace *trace;
} lmn_metric;

typedef struct lmn_knob {
    double lo, hi;
    bool whole;
} lmn_knob;

/* What the table of names knows of each, so that nothing is believed that others may overwrite. */
typedef struct lmn_name_entry {
    uint32_t hash, offset, n, form;
} lmn_name_entry;

/* A key is looked for without the lock, in signal handlers too. */
typedef struct lmn_thread_entry {
    lmn_atomic(uintptr_t) key;
    uint32_t name;
} lmn_thread_entry;

/* Since when a worker of a pool does what it does; of its own thread but for `who`, set once. */
typedef struct lmn_trace_worker {
    lmn_atomic(uintptr_t) who;
    uint64_t parked, began;
    uint32_t depth; /* of tasks */
} lmn_trace_worker;

#define LMN_TRACE_WORKERS 256 /* of all pools that are watched; others go unseen */

struct lamina_trace {
    lamina_allocator alloc;
    lmn_os_pub file;
    lmn_trace_counts counts;
    lmn_trace_layout at;
    lmn_trace_head *head;
    const lmn_atomic(uint32_t) * on; /* 0 in a forked child */
    lmn_ticks clock;
    double tick_ns;                 /* as measured at the start, good to a thousandth */
    lmn_atomic(uint64_t) next_rate; /* tick from which the rate is measured again */
    lmn_atomic(uint64_t) * level;   /* value of the knob "trace.level" */
    lmn_lane *lanes;
    uint32_t name_parked, name_task, name_join; /* trace_hook.h */
    lmn_trace_worker workers[LMN_TRACE_WORKERS];

    lmn_atomic(uint32_t) n_threads;
    lmn_mutex lock; /* guards what follows */
    uint32_t n_names, n_name_bytes, n_metrics, n_cells, n_knobs;
    uint32_t *name_table; /* open addressing, numbers of names */
    lmn_name_entry *names;
    lmn_thread_entry *threads;
    lmn_metric metrics[LMN_TRACE_N_METRICS];
    uint32_t metric_names[LMN_TRACE_N_METRICS];
    lmn_knob knobs[LMN_TRACE_N_KNOBS];
    uint32_t knob_names[LMN_TRACE_N_KNOBS];
};

/* Is this level written? NULL: no. */
static inline bool lmn_trace_on(const lamina_trace *t, uint32_t level)
{
    if (!t || !lmn_atomic_load(t->on, relaxed)) return false;
    const uint64_t bits = lmn_atomic_load(t->level, relaxed);
    double v; /* NaN and nonsense read as off or as all: both are fine */
    memcpy(&v, &bits, sizeof v);
    return v >= (double)level;
}

static inline uint64_t lmn_trace_now(const lamina_trace *t)
{
    return lmn_ticks_now(&t->clock);
}

/* A lane for the calling thread, NULL if there is none; `name` of the thread, NULL as the system
   has it. */
lamina_trace_lane *lmn_trace_take(lamina_trace *t, const char *name);

/* Does the calling thread hold it? */
static inline bool lmn_trace_holds(const lamina_trace_lane *lane)
{
    return ((const lmn_lane *)lane)->key == lmn_thread_key();
}

static inline void lmn_trace_give(lamina_trace_lane *lane)
{
    if (lane) lmn_lane_give((lmn_lane *)lane);
}

/* Number for a span that begins: unique among the spans that are kept. */
static inline uint32_t lmn_trace_span_id(lamina_trace_lane *lane)
{
    lmn_lane *l = (lmn_lane *)lane;
    return l->index << 22 | (++l->n_ids & 0x3fffff);
}

/* What the lane's holder is in the middle of; name 0: no longer. */
static inline void lmn_trace_inside(lamina_trace_lane *lane, int depth, uint32_t name, uint32_t arg)
{
    lmn_lane *l = (lmn_lane *)lane;
    lmn_atomic_store(&l->mem->open[depth], (uint64_t)arg << 32 | name, relaxed);
}

/* An event as its words: who writes has the lane. */
typedef struct lmn_trace_put {
    uint64_t time, value; /* value: ticks of a span or wait, the number of a value */
    uint32_t kind, name, span, parent;
    uint64_t args[LMN_TRACE_ARGS];
} lmn_trace_put;

static inline void lmn_trace_emit(lamina_trace_lane *lane, const lmn_trace_put *e)
{
    lmn_lane *l = (lmn_lane *)lane;
    const uint64_t w[LMN_EVENT_WORDS] = {
        e->time,
        (uint64_t)e->name << 32 | (uint64_t)(uint16_t)l->thread << 16 | (uint16_t)e->kind,
        (uint64_t)e->parent << 32 | e->span,
        e->value,
        e->args[0],
        e->args[1],
        e->args[2],
        e->args[3]};
    lmn_lane_put(l, w);
}

/* `times` times the same; NULL is fine. */
static inline void lmn_metric_add_many(lmn_metric *m, uint64_t v, uint64_t times)
{
    if (!m || !lmn_atomic_load(m->trace->on, relaxed)) return;
    if (m->kind == LAMINA_TRACE_GAUGE) {
        lmn_atomic_store(&m->cells[0], v, relaxed);
        return;
    }
    (void)lmn_atomic_add(&m->cells[0], v * times, relaxed);
    if (m->kind == LAMINA_TRACE_HISTOGRAM)
        (void)lmn_atomic_add(&m->cells[1 + lmn_hist_bucket(v)], times, relaxed);
}
static inline void lmn_metric_add(lmn_metric *m, uint64_t v)
{
    lmn_metric_add_many(m, v, 1);
}

/* Ticks as nanoseconds, by the rate as it was measured last. */
static inline uint64_t lmn_trace_ticks_ns(const lamina_trace *t, uint64_t ticks)
{
    return (uint64_t)((double)ticks * t->tick_ns);
}

/* A span of something rare, which finds its lane and its names itself: begin gives 0 when nothing
   is written, and end then does nothing. `what` is the only argument of the form. */
static inline uint64_t lmn_trace_phase_begin(const lamina_trace *t)
{
    return lmn_trace_on(t, LAMINA_TRACE_LEVEL_RUNS) ? lmn_trace_now(t) : 0;
}
void lmn_trace_phase_end(lamina_trace *t, uint64_t start, const char *name, const char *form,
                         const char *what);

/* Rooms of trace/: under the lock, a name's number. */
uint32_t lmn_trace_name_locked(lamina_trace *t, const char *name, size_t n, uint32_t form);

#endif
