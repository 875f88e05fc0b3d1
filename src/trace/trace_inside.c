/*
 * What the calling thread is in the middle of, as the lanes that it holds say. For handlers of
 * signals: loads alone.
 */
#include "trace/trace.h"
#include "trace/trace_watch.h"

void lmn_trace_inside_of(const lamina_trace *t, uint64_t out[LMN_LANE_OPEN])
{
    const uintptr_t key = lmn_thread_key();
    const uint32_t n = lmn_atomic_load(&t->n_threads, acquire);
    for (uint32_t i = 0; i < t->counts.lanes; i++) {
        lmn_lane_mem *m = t->lanes[i].mem;
        if (!lmn_atomic_load(&t->lanes[i].held, relaxed)) continue;
        const uint32_t thread = lmn_atomic_load(&m->thread, relaxed); /* foreign: the file's */
        if (thread >= n || lmn_atomic_load(&t->threads[thread].key, relaxed) != key) continue;
        for (int k = 0; k < LMN_LANE_OPEN; k++) out[k] = lmn_atomic_load(&m->open[k], relaxed);
        if (out[0]) return; /* a lane taken for something else says nothing */
    }
}
