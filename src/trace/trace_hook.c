/*
 * Hooks of locks, epochs and pools.
 */
#include "trace/trace_hook.h"

#define SHORT_NS 2000 /* what a loop's caller waits at its end is told from here on */

/* A wait of `ns` that is just over. */
static void emit_wait(lamina_trace *t, uint32_t name, uint64_t ns, uint64_t a, uint64_t b)
{
    lamina_trace_lane *lane = lmn_trace_take(t, NULL);
    if (!lane) return;
    const uint64_t ticks = (uint64_t)((double)ns / t->tick_ns), now = lmn_trace_now(t);
    const lmn_trace_put e = {.time = now > ticks ? now - ticks : 0,
                             .value = ticks,
                             .kind = LAMINA_TRACE_WAIT,
                             .name = name,
                             .args = {a, b}};
    lmn_trace_emit(lane, &e);
    lmn_trace_give(lane);
}

static void waited(void *ctx, const lmn_mutex_waited *w)
{
    lamina_trace *t = ctx;
    if (!lmn_trace_on(t, LAMINA_TRACE_LEVEL_RUNS)) return;
    const uint32_t name = lamina_trace_name(t, w->name ? w->name : "mutex", "lock(owner:u,rank:u)");
    emit_wait(t, name, w->end_ns - w->start_ns, w->owner, w->rank);
}

lmn_mutex_hook lmn_trace_mutex_hook(lamina_trace *t)
{
    return (lmn_mutex_hook){.ctx = t, .waited = waited};
}

static void stalled(void *ctx, const lmn_epoch_stall *s)
{
    lamina_trace *t = ctx;
    if (!lmn_trace_on(t, LAMINA_TRACE_LEVEL_RUNS)) return;
    const uint32_t name = lamina_trace_name(t, "stalled", "epoch(thread:u,objects:u)");
    emit_wait(t, name, s->inside_ns, s->thread, s->n_waiting);
}

lmn_epoch_hook lmn_trace_epoch_hook(lamina_trace *t, uint64_t stall_ns)
{
    return (lmn_epoch_hook){.ctx = t, .stall_ns = stall_ns, .stalled = stalled};
}

/* ---- pools ------------------------------------------------------------------------------------
 */

/* The record of w, found or taken; NULL when there are too many workers. */
static lmn_trace_worker *record_of(lamina_trace *t, const lmn_worker *w)
{
    const uintptr_t key = (uintptr_t)w;
    const uint32_t from = (uint32_t)((key >> 7) * 0x9e3779b1u >> 16);
    for (uint32_t i = 0; i < LMN_TRACE_WORKERS; i++) {
        lmn_trace_worker *r = &t->workers[(from + i) % LMN_TRACE_WORKERS];
        uintptr_t who = lmn_atomic_load(&r->who, relaxed);
        if (who == 0 && lmn_atomic_cas(&r->who, &who, key, relaxed)) return r;
        if (who == key) return r;
    }
    return NULL;
}

/* Since `start`; 0: the level was lower then. */
static void emit_since(lamina_trace *t, int32_t kind, uint32_t name, uint64_t start)
{
    if (!start) return;
    lamina_trace_lane *lane = lmn_trace_take(t, NULL);
    lamina_trace_emit(lane, kind, name, start, NULL, 0);
    lmn_trace_give(lane);
}

static uint64_t now_if_on(const lamina_trace *t, uint32_t level)
{
    return lmn_trace_on(t, level) ? lmn_trace_now(t) : 0;
}

static void task_begin(void *ctx, lmn_worker *w)
{
    lmn_trace_worker *r = record_of(ctx, w);
    if (r && r->depth++ == 0) r->began = now_if_on(ctx, LAMINA_TRACE_LEVEL_CHUNKS);
}

static void task_end(void *ctx, lmn_worker *w)
{
    lamina_trace *t = ctx;
    lmn_trace_worker *r = record_of(t, w);
    if (r && --r->depth == 0) emit_since(t, LAMINA_TRACE_SPAN, t->name_task, r->began);
}

static void park(void *ctx, lmn_worker *w)
{
    lmn_trace_worker *r = record_of(ctx, w);
    if (r) r->parked = now_if_on(ctx, LAMINA_TRACE_LEVEL_NODES);
}

static void unpark(void *ctx, lmn_worker *w)
{
    lamina_trace *t = ctx;
    const lmn_trace_worker *r = record_of(t, w);
    if (r) emit_since(t, LAMINA_TRACE_WAIT, t->name_parked, r->parked);
}

static uint64_t join(void *ctx)
{
    return now_if_on(ctx, LAMINA_TRACE_LEVEL_NODES);
}

static void joined(void *ctx, uint64_t began)
{
    lamina_trace *t = ctx;
    if (began && lmn_trace_ticks_ns(t, lmn_trace_now(t) - began) >= SHORT_NS)
        emit_since(t, LAMINA_TRACE_WAIT, t->name_join, began);
}

lmn_pool_hooks lmn_trace_pool_hooks(lamina_trace *t)
{
    t->name_parked = lamina_trace_name(t, "parked", "pool");
    t->name_task = lamina_trace_name(t, "task", "pool");
    t->name_join = lamina_trace_name(t, "join", "pool");
    return (lmn_pool_hooks){task_begin, task_end, park, unpark, join, joined, t};
}
