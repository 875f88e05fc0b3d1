/*
 * When the loading thread of a polled repository looks: at once when the system tells that a file
 * was written to its end, moved or deleted; at the latest by the clock, since not every file system
 * tells everything, and a folder may be one too many to be watched. Whatever made it look, what is
 * loaded is decided by comparing, and never while files still change.
 */
#include "serve/repo_int.h"

#include "base/os/os_dir.h"
#include "base/os/os_poll.h"
#include "base/os/os_time.h"
#include "base/os/os_watch.h"

#include <string.h>

#define MAX_NAMES 100000u

void lmn_repo_watch_open(lmn_repo *r)
{
    r->poll = r->wake = r->watch = -1;
    if (r->mode != LMN_REPO_POLL) return;
    if (lmn_poll_open(&r->poll, NULL) != LAMINA_OK || lmn_wake_open(&r->wake, NULL) != LAMINA_OK ||
        lmn_poll_add(r->poll, r->wake, LMN_POLL_IN, &r->wake, NULL) != LAMINA_OK) {
        lmn_repo_watch_close(r);
        return;
    }
    r->watch = lmn_watch_open_many();
    if (r->watch >= 0 &&
        lmn_poll_add(r->poll, r->watch, LMN_POLL_IN, &r->watch, NULL) != LAMINA_OK) {
        lmn_watch_close(r->watch);
        r->watch = -1;
    }
}

void lmn_repo_watch_close(lmn_repo *r)
{
    lmn_watch_close(r->watch);
    lmn_poll_close(r->wake);
    lmn_poll_close(r->poll);
    r->poll = r->wake = r->watch = -1;
}

void lmn_repo_watch_model(const lmn_repo *r, const char *name)
{
    lmn_arena arena;
    char dir[LMN_REPO_PATH], **names = NULL;
    size_t n = 0;
    (void)lmn_format(dir, sizeof dir, "%s/%s", r->path, name);
    if (!lmn_watch_add(r->watch, dir)) return;
    lmn_arena_init(&arena, r->alloc, (size_t)64 << 20);
    if (lmn_os_dir_list(&arena, dir, MAX_NAMES, &names, &n, NULL) != LAMINA_OK) n = 0;
    for (size_t i = 0; i < n; i++) {
        if (names[i][0] < '1' || names[i][0] > '9') continue; /* no version */
        (void)lmn_format(dir, sizeof dir, "%s/%s/%s", r->path, name, names[i]);
        (void)lmn_watch_add(r->watch, dir);
    }
    lmn_arena_finish(&arena);
}

void lmn_repo_watch_all(lmn_repo *r)
{
    if (r->watch < 0 || !lmn_watch_add(r->watch, r->path)) return;
    for (uint32_t i = 0; i < r->n_models; i++)
        if (r->models[i]->wanted) lmn_repo_watch_model(r, r->models[i]->name);
}

uint32_t lmn_repo_rest(lmn_repo *r, uint32_t heard, uint64_t at)
{
    const uint64_t now = lmn_now_ns(), left = at > now ? at - now : 1;
    lmn_poll_event events[2];
    if (r->poll < 0) {
        if (lmn_atomic_load(&r->bell, acquire) == heard)
            lmn_futex_wait(&r->bell, heard, at == UINT64_MAX ? 0 : left);
        return 0;
    }
    uint32_t n = 0, news = 0;
    if (lmn_atomic_load(&r->bell, acquire) == heard)
        n = lmn_poll_wait(r->poll, events, LMN_COUNT(events), left);
    for (uint32_t i = 0; i < n; i++) {
        if (events[i].who == &r->wake) lmn_wake_clear(r->wake);
        if (events[i].who == &r->watch) news = lmn_watch_news(r->watch);
    }
    return news;
}

bool lmn_repo_is_quiet(lmn_repo *r, lmn_repo_model *m, uint64_t print, uint64_t quiet_ns)
{
    const uint64_t now = lmn_now_ns();
    if (m->print != print || !m->print_ns) {
        m->print = print;
        m->print_ns = now;
    }
    const uint64_t at = m->print_ns + quiet_ns;
    if (now >= at) return true;
    if (at < r->pending_at) r->pending_at = at;
    return false;
}
