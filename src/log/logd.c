/*
 * The collector: finds rings, merges their records by time, writes lines, gives the room back. What
 * is written and what is given back are one step (logstate.h): lines wait in a buffer until
 * lmn_logd_flush(). Nothing here trusts what stands in a ring.
 */
#include "log/logd_int.h"

#include "base/engine.h"
#include "base/os/os_dir.h"
#include "base/os/os_time.h"
#include "base/os/os_watch.h"

#include <string.h>

/* How often to look into the folder though nobody told of news. */
#define LOOK_EVERY (5 * LMN_SECOND)

/* Everything but the sleep. A folder that cannot be read or a ring that cannot be opened does not
 * keep the others waiting: the rest is done, then it is said. */
static lamina_status turn(lamina_logd *d, bool drain, lamina_error *err)
{
    const uint64_t now = lmn_now_ns(), now_wall = lmn_wall_ns();
    lamina_status looked = LAMINA_OK;
    LMN_TRY(lmn_logd_flush(d, err)); /* what an earlier turn could not write */
    const uint64_t every = d->watch < 0 ? LMN_LOGD_ASK_NS : LOOK_EVERY;
    if (drain || d->look || now - d->looked_ns > every) looked = lmn_logd_look(d, err);
    if (drain || now - d->asked_ns > LMN_LOGD_ASK_NS) lmn_logd_ask(d);
    LMN_TRY(lmn_logd_write_due(d, now_wall, drain, err));
    lmn_logd_remove_dead(d);
    if (d->opts.rotate_s && now_wall / LMN_SECOND >= d->file.at.began_s + d->opts.rotate_s)
        LMN_TRY(lmn_logd_rotate(d, err));
    if (d->opts.sync_ms && lmn_now_ns() - d->synced_ns >= d->opts.sync_ms * LMN_MS)
        LMN_TRY(lmn_logd_sync(d, err));
    return looked;
}

/* Is there a ring that the next turn empties? One that is less full holds what is younger than the
 * window, and to look again at once would find the same. */
static bool crowded(const lamina_logd *d)
{
    for (size_t i = 0; i < d->n_sources; i++) {
        const lmn_logsource *s = d->sources[i];
        if (!s->bad && lmn_logsource_crowded(s)) return true;
    }
    return false;
}

lamina_status lamina_logd_step(lamina_logd *d, uint32_t wait_ms, lamina_error *err)
{
    LMN_CHECK(d, LAMINA_E_INVALID);
    const uint64_t before = d->stats.records;
    const lamina_status st = turn(d, false, err);
    /* A millisecond when there is work, so that many records share a write; longer and longer when
       there is none. */
    if (d->stats.records != before)
        d->idle_ms = 1;
    else if (d->idle_ms < wait_ms)
        d->idle_ms *= 2;
    const uint32_t ms = st == LAMINA_OK && crowded(d)             ? 0
                        : st == LAMINA_OK && d->idle_ms < wait_ms ? d->idle_ms
                                                                  : wait_ms;
    if (lmn_watch_wait(d->watch, ms)) d->look = true;
    return st;
}

lamina_status lamina_logd_drain(lamina_logd *d, lamina_error *err)
{
    LMN_CHECK(d, LAMINA_E_INVALID);
    return turn(d, true, err);
}

lamina_status lamina_logd_reopen(lamina_logd *d, lamina_error *err)
{
    LMN_CHECK(d, LAMINA_E_INVALID);
    LMN_TRY(lmn_logd_flush(d, err));
    return lmn_logfile_reopen(&d->file, &d->state, err);
}

void lamina_logd_stats_get(const lamina_logd *d, lamina_logd_stats *out)
{
    if (!d || !out) return;
    lamina_logd_stats s = d->stats;
    const uint64_t now = lmn_wall_ns();
    for (size_t i = 0; i < d->n_sources; i++) {
        const lmn_logsource *r = d->sources[i];
        s.rings += !r->bad;
        s.stalled += !r->bad && r->stuck_ns && now - r->stuck_ns > LMN_SECOND;
    }
    const size_t n = out->size < sizeof s ? out->size : sizeof s;
    s.size = out->size;
    memcpy(out, &s, n);
}

void lamina_logd_close(lamina_logd *d)
{
    if (!d) return;
    while (d->n_sources) lmn_logd_forget(d, d->n_sources - 1);
    lmn_free(d->alloc, d->sources, d->cap_sources * sizeof *d->sources, 16, "logd");
    lmn_free(d->alloc, d->heap, d->cap_heap * sizeof *d->heap, 16, "logd");
    lmn_free(d->alloc, d->lines.p, d->lines.cap, 16, "logd");
    lmn_watch_close(d->watch);
    lmn_logfile_close(&d->file);
    lmn_logstate_close(&d->state);
    lmn_cfree(d->alloc, d, 1, sizeof *d, "logd");
}

static lamina_status check_opts(const lamina_logd_opts *o, lamina_error *err)
{
    if (!o->dir || !o->dir[0] || strlen(o->dir) >= LMN_LOGSTATE_PATH_BYTES - 64)
        return lmn_fail(err, LAMINA_E_INVALID, "a collector needs a folder of rings");
    if (o->out && (!o->out[0] || strlen(o->out) >= LMN_LOGSTATE_PATH_BYTES))
        return lmn_fail(err, LAMINA_E_INVALID, "the name of the file is empty or too long");
    if (o->format > LAMINA_LOG_LOGFMT || o->keep > 1000 || o->window_ms > 60000)
        return lmn_fail(
            err, LAMINA_E_INVALID,
            "an option is out of range: format, keep (up to 1000), window (up to 60 s)");
    if (lmn_os_path_kind(o->dir) != LMN_PATH_DIR)
        return lmn_fail(err, LAMINA_E_IO, "\"%.200s\" is no folder", o->dir);
    return LAMINA_OK;
}

static lamina_status open_files(lamina_logd *d, lamina_error *err)
{
    char path[LMN_LOGSTATE_PATH_BYTES + 16];
    (void)lmn_format(path, sizeof path, "%s/lamina.log", d->dir);
    LMN_TRY(lmn_logstate_open(d->dir, &d->state, err));
    LMN_TRY(
        lmn_logfile_open(&d->file, d->opts.out ? d->opts.out : path, d->opts.keep, &d->state, err));
    d->lines.cap = LMN_LOGD_FLUSH_BYTES + 4 * (size_t)LMN_LOGLINE_MAX;
    d->lines.p = lmn_alloc(d->alloc, d->lines.cap, 16, "logd");
    if (!d->lines.p) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for a collector");
    d->watch = lmn_watch_open(d->dir);
    return LAMINA_OK;
}

lamina_status lamina_logd_open(const lamina_logd_opts *opts, lamina_logd **out, lamina_error *err)
{
    lamina_logd_opts o;
    if (!opts || !out || lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "no options, or ones this version does not know");
    LMN_TRY(check_opts(&o, err));
    lamina_logd *d = lmn_calloc(&lmn_libc_allocator, 1, sizeof *d, "logd");
    if (!d) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for a collector");
    d->alloc = &lmn_libc_allocator;
    d->opts = o;
    if (!o.keep) d->opts.keep = 8;
    if (!o.window_ms) d->opts.window_ms = 10;
    (void)lmn_format(d->dir, sizeof d->dir, "%s", o.dir);
    d->lines.logfmt = o.format == LAMINA_LOG_LOGFMT;
    d->watch = d->file.file.fd = -1;
    d->look = true;
    d->idle_ms = 1;
    const lamina_status st = open_files(d, err);
    if (st != LAMINA_OK) {
        lamina_logd_close(d);
        return st;
    }
    if (o.mend_bus) lmn_shared_mend_bus();
    d->opts.out = d->opts.dir = NULL; /* were the caller's */
    *out = d;
    return LAMINA_OK;
}
