/*
 * What a served model counts, under its lock: answers, runs by their rows, instances that are busy
 * or take too long.
 */
#include "serve/ensemble_int.h"

#include <string.h>

#define OVERDUE_TIMES 10u
#define OVERDUE_NS ((uint64_t)1000000000)
#define UNKNOWN_NS ((uint64_t)30000000000) /* overdue, where nobody knows what a run costs */

void lmn_model_count(lmn_model *m, const lmn_infer *r)
{
    if (r->status == LAMINA_OK)
        m->n_ok++;
    else if (r->status == LAMINA_E_TIMEOUT)
        m->n_late++;
    else if (r->status == LAMINA_E_CANCELLED)
        m->n_cancelled++;
    else
        m->n_failed++;
    if (r->parent && m->steps) lmn_ensemble_count(m->steps, r);
}

/* Where runs of so many rows are counted: as lmn_model_pad rounds. */
static uint32_t size_index(int64_t rows)
{
    if (rows <= 16) return (uint32_t)lmn_max_i64(rows, 1) - 1;
    const uint32_t e = 60 - (uint32_t)__builtin_clzll((uint64_t)rows - 1);
    const uint64_t steps = ((uint64_t)rows + ((uint64_t)1 << e) - 1) >> e; /* 9 to 16 */
    const uint32_t i = 16 + (e - 1) * 8 + (uint32_t)steps - 9;
    return i < LMN_BATCH_SIZES ? i : LMN_BATCH_SIZES - 1;
}

/* Batches whose requests were run one by one are not counted: took_ns is 0. */
static void count_size(lmn_model *m, const lmn_runner *u, const lmn_batch *batch, int64_t rows,
                       uint64_t took_ns, uint64_t now)
{
    lmn_batch_size *s = &m->sizes[size_index(rows)];
    if (!took_ns) return;
    s->rows = rows;
    s->n++;
    s->input_ns += u->began_ns - batch->first->started_ns;
    s->run_ns += took_ns;
    s->output_ns += now - u->began_ns - took_ns;
}

void lmn_model_count_run(lmn_model *m, const lmn_runner *u, const lmn_batch *batch, int64_t rows,
                         uint64_t took_ns, uint64_t now)
{
    uint32_t k = 0;
    while (k < 32 && (int64_t)1 << k < batch->rows) k++;
    m->n_runs++;
    m->n_rows += (uint64_t)batch->rows;
    m->run_ns += took_ns;
    m->batch_rows[k]++;
    count_size(m, u, batch, rows, took_ns, now);
}

/* How long its runs of now take; lock held. */
static void watch_instances(const lmn_model *m, uint64_t now, lmn_model_stats *out)
{
    const lmn_batcher *b = &m->batcher;
    out->n_instances = b->config.n_instances;
    for (uint32_t i = 0; i < b->config.n_instances; i++) {
        const lmn_batch *batch = &m->runner[i].batch;
        if (!batch->n) continue;
        const uint64_t began = batch->first->started_ns, took = now > began ? now - began : 0;
        const uint64_t cost = lmn_batcher_cost(b, batch->rows), least = OVERDUE_NS / OVERDUE_TIMES;
        const uint64_t most = cost ? OVERDUE_TIMES * (cost > least ? cost : least) : UNKNOWN_NS;
        out->n_busy++;
        out->n_overdue += took > most;
        if (took > out->longest_ns) out->longest_ns = took;
    }
}

void lmn_model_get_stats(const lmn_model *cm, lmn_model_stats *out)
{
    lmn_model *m = (lmn_model *)(uintptr_t)cm;
    *out = (lmn_model_stats){.load_ns = m->load_ns};
    lmn_mutex_lock(&m->lock);
    const lmn_batcher *b = &m->batcher;
    out->n_queued = b->n_queued;
    out->queued_rows = (uint64_t)b->rows;
    out->most_rows = (uint64_t)b->room;
    out->whole_rows = b->config.dynamic ? (uint64_t)b->whole : 0;
    out->oldest_ns = b->oldest ? b->oldest->arrived_ns : 0;
    out->n_ok = m->n_ok;
    out->n_failed = m->n_failed;
    out->n_refused = m->n_refused + lmn_atomic_load(&m->n_away, relaxed);
    out->n_late = m->n_late;
    out->n_cancelled = m->n_cancelled;
    out->n_rows = m->n_rows;
    out->n_runs = m->n_runs;
    out->run_ns = m->run_ns;
    out->n_cache_hits = m->n_cache_hits;
    out->n_cache_misses = m->n_cache_misses;
    memcpy(out->dispatch, b->dispatch, sizeof out->dispatch);
    memcpy(out->batch_rows, m->batch_rows, sizeof out->batch_rows);
    const uint64_t now = lmn_now_ns();
    watch_instances(m, now, out);
    out->beat_ns = out->n_busy ? lmn_atomic_load(&m->beat_ns, relaxed) : now;
    lmn_mutex_unlock(&m->lock);
}

uint32_t lmn_model_get_sizes(const lmn_model *cm, lmn_batch_size out[LMN_BATCH_SIZES])
{
    lmn_model *m = (lmn_model *)(uintptr_t)cm;
    uint32_t n = 0;
    lmn_mutex_lock(&m->lock);
    for (uint32_t i = 0; i < LMN_BATCH_SIZES; i++)
        if (m->sizes[i].n) out[n++] = m->sizes[i];
    lmn_mutex_unlock(&m->lock);
    return n;
}
