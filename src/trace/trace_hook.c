/*
 * Hooks of locks and epochs.
 */
#include "trace/trace_hook.h"

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
