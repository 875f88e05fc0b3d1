/*
 * The collector's lines and batches: records in order of time into a buffer, the buffer into the
 * file, and then, in one step, the cells back to the writers (logstate.h). A write that fails
 * changes nothing; the buffer waits for the next turn.
 */
#include "log/logd_int.h"

#include "base/os/os_time.h"

#include <string.h>

#define RETRY (10 * LMN_SECOND) /* between attempts at a rotation that failed */

/* Heap: by key; equal keys in any order. */

static void sift_down(lmn_logsource **h, size_t n, size_t i)
{
    for (size_t k; (k = 2 * i + 1) < n; i = k) {
        if (k + 1 < n && h[k + 1]->key < h[k]->key) k++;
        if (h[i]->key <= h[k]->key) return;
        lmn_logsource *s = h[i];
        h[i] = h[k];
        h[k] = s;
    }
}

/* Writing. */

lamina_status lmn_logd_sync(lamina_logd *d, lamina_error *err)
{
    if (!d->unsynced) return LAMINA_OK;
    LMN_TRY(lmn_append_sync(&d->file.file, err));
    d->unsynced = 0;
    d->synced_ns = lmn_now_ns();
    d->stats.syncs++;
    return LAMINA_OK;
}

/* Write the first n bytes of the buffer, which hold `records`, and let it have happened for all
 * rings: the steps of logstate.h. */
static lamina_status flush_part(lamina_logd *d, size_t n, uint64_t records, lamina_error *err)
{
    bool any = n > 0;
    for (size_t i = 0; i < d->n_sources && !any; i++) any = d->sources[i]->touched;
    if (!any) return LAMINA_OK;
    const lmn_logfile_at before = d->file.at;
    if (n) LMN_TRY(lmn_logfile_write(&d->file, d->lines.p, n, err));
    d->unsynced += records;
    if (d->opts.sync_records && d->unsynced >= d->opts.sync_records) {
        const lamina_status st = lmn_logd_sync(d, err);
        if (st != LAMINA_OK) { /* not safe yet: write it again */
            d->file.at = before;
            d->unsynced -= records;
            return st;
        }
    }
    for (size_t i = 0; i < d->n_sources; i++) {
        const lmn_logsource *s = d->sources[i];
        if (s->touched && !s->bad)
            lmn_logstate_mark(&d->state, s->ring.mem, s->slot, s->ring.at, s->dropped,
                              s->unfinished);
    }
    lmn_logstate_commit(&d->state, &d->file.at);
    for (size_t i = 0; i < d->n_sources; i++) {
        lmn_logsource *s = d->sources[i];
        if (s->touched && !s->bad) {
            s->slot = !s->slot;
            lmn_logring_release(&s->ring, s->ring.at);
        }
        s->touched = false;
    }
    d->stats.records += records;
    d->stats.bytes += n;
    return LAMINA_OK;
}

lamina_status lmn_logd_flush(lamina_logd *d, lamina_error *err)
{
    LMN_TRY(flush_part(d, d->lines.n, d->buffered, err));
    d->lines.n = 0;
    d->buffered = 0;
    return LAMINA_OK;
}

/* A new file, if there is anything in this one. */
lamina_status lmn_logd_rotate(lamina_logd *d, lamina_error *err)
{
    const uint64_t now = lmn_now_ns();
    if (d->file.at.offset == 0 || (d->rotate_ns && now - d->rotate_ns < RETRY)) return LAMINA_OK;
    if (d->opts.sync_records || d->opts.sync_ms) LMN_TRY(lmn_logd_sync(d, err));
    const lamina_status st = lmn_logfile_rotate(&d->file, &d->state, err);
    d->rotate_ns = st == LAMINA_OK ? 0 : now;
    d->stats.rotations += st == LAMINA_OK;
    return st;
}

/* The line that begins at `from` in the buffer is the last; if the file would become too large with
 * it, all before it goes into this file, and it into the next. A rotation that fails keeps nothing
 * back: the file grows. */
static lamina_status bound_file(lamina_logd *d, size_t from, lamina_error *err)
{
    const uint64_t most = d->opts.rotate_bytes;
    if (!most || d->file.at.offset + from == 0 || d->file.at.offset + d->lines.n <= most)
        return LAMINA_OK;
    LMN_TRY(flush_part(d, from, d->buffered, err));
    d->buffered = 0;
    d->lines.n -= from;
    memmove(d->lines.p, d->lines.p + from, d->lines.n);
    return lmn_logd_rotate(d, err);
}

/* Tell what a ring lost: in the same batch as the count that says it is told. */
static void tell(lamina_logd *d, lmn_logsource *s, uint64_t now_wall)
{
    const lmn_logorigin from = {s->from, s->pid};
    const uint64_t dropped = lmn_atomic_load(&s->ring.mem->dropped, relaxed);
    if (dropped != s->dropped) {
        const uint64_t n = dropped - s->dropped;
        lmn_lines_note(&d->lines, &from, now_wall, "records dropped: the ring was full", "dropped",
                       n);
        d->stats.dropped += n;
        s->dropped = dropped;
        s->touched = true;
    }
    if (s->holes != s->unfinished) {
        lmn_lines_note(&d->lines, &from, now_wall, "a writer died in the middle of a record",
                       "cells", s->holes - s->unfinished);
        d->stats.unfinished += s->holes - s->unfinished;
        s->unfinished = s->holes;
        s->touched = true;
    }
    s->told_ns = now_wall;
}

/* Reading. */

/* The next record of s, if there is one now. The buffer has room for a line. */
static bool load(lamina_logd *d, lmn_logsource *s, uint64_t now_wall)
{
    if (s->bad) return false;
    if (lmn_logsource_load(s, now_wall) != LAMINA_OK) lmn_logd_let_go(d, s);
    if (!s->bad && s->holes != s->unfinished) tell(d, s, now_wall);
    return s->n > 0;
}

static lamina_status make_room(lamina_logd *d, lamina_error *err)
{
    return d->lines.n >= LMN_LOGD_FLUSH_BYTES ? lmn_logd_flush(d, err) : LAMINA_OK;
}

/* Put the first record of the heap into the buffer, and the next of its ring into the heap. */
static lamina_status emit(lamina_logd *d, uint64_t now_wall, lamina_error *err)
{
    lmn_logsource *s = d->heap[0];
    const lmn_logorigin from = {s->from, s->pid};
    const size_t line = d->lines.n;
    const bool whole = lmn_lines_record(
        &d->lines, &from, lmn_logrec_read(s->bytes, (size_t)s->n * LMN_LOGRING_CELL_BYTES));
    const size_t with = d->lines.n;
    const lamina_status st = bound_file(d, line, err);
    if (st != LAMINA_OK && d->lines.n == with) { /* nothing was written: this line is not due yet */
        d->lines.n = line;
        return st;
    }
    d->stats.malformed += !whole;
    d->buffered++;
    lmn_logsource_pass(s);
    if (!load(d, s, now_wall)) d->heap[0] = d->heap[--d->n_heap];
    sift_down(d->heap, d->n_heap, 0);
    return st != LAMINA_OK ? st : make_room(d, err);
}

/* Records up to here are due: older than the window, or all when a ring is more than half full. */
static uint64_t horizon(const lamina_logd *d, uint64_t now_wall, bool drain)
{
    for (size_t i = 0; i < d->n_sources; i++) {
        const lmn_logsource *s = d->sources[i];
        if (!s->bad && lmn_logsource_crowded(s)) drain = true;
    }
    return drain ? UINT64_MAX : now_wall - d->opts.window_ms * LMN_MS;
}

lamina_status lmn_logd_write_due(lamina_logd *d, uint64_t now_wall, bool drain, lamina_error *err)
{
    d->n_heap = 0;
    for (size_t i = 0; i < d->n_sources; i++) {
        lmn_logsource *s = d->sources[i];
        /* What came while the turn runs is for the next one: it ends. */
        if (!s->bad) s->limit = lmn_logsource_end(s);
        LMN_TRY(make_room(d, err));
        if (load(d, s, now_wall)) d->heap[d->n_heap++] = s;
    }
    for (size_t i = d->n_heap / 2; i-- > 0;) sift_down(d->heap, d->n_heap, i);
    const uint64_t until = horizon(d, now_wall, drain);
    while (d->n_heap && d->heap[0]->key <= until) LMN_TRY(emit(d, now_wall, err));
    for (size_t i = 0; i < d->n_sources; i++) {
        lmn_logsource *s = d->sources[i];
        if (s->bad || (!drain && !s->dead && now_wall - s->told_ns < LMN_LOGD_ASK_NS)) continue;
        LMN_TRY(make_room(d, err));
        tell(d, s, now_wall);
    }
    return lmn_logd_flush(d, err);
}
