/*
 * Which rings there are: found in the folder, watched for the death of their writers, removed when
 * they have nothing more to say. What is no ring of ours is passed over and left where it is.
 */
#include "log/logd_int.h"

#include "base/os/os_dir.h"
#include "base/os/os_time.h"
#include "log/logger.h"

#include <string.h>

#define DEBRIS_S 60u /* a ring that is so long in the making will not be finished */

void lmn_logd_forget(lamina_logd *d, size_t i)
{
    lmn_logsource *s = d->sources[i];
    lmn_shared_close(&s->file);
    lmn_cfree(d->alloc, s, 1, sizeof *s, "logsource");
    d->sources[i] = d->sources[--d->n_sources];
}

static bool ends_in(const char *name, const char *end)
{
    const size_t n = strlen(name), k = strlen(end);
    return n > k && memcmp(name + n - k, end, k) == 0;
}

static lmn_logsource *known(const lamina_logd *d, const char *name)
{
    for (size_t i = 0; i < d->n_sources; i++)
        if (strcmp(d->sources[i]->name, name) == 0) return d->sources[i];
    return NULL;
}

static lamina_status add_ring(lamina_logd *d, const char *name, lamina_error *err)
{
    lmn_logsource *s = known(d, name);
    if (s) {
        s->present = true;
        return LAMINA_OK;
    }
    void *list = d->sources, *heap = d->heap;
    lamina_status st = lmn_grow(d->alloc, &list, &d->cap_sources, d->n_sources + 1, LMN_LOGD_RINGS,
                                sizeof *d->sources, "logd");
    d->sources = list;
    if (st == LAMINA_OK)
        st = lmn_grow(d->alloc, &heap, &d->cap_heap, d->n_sources + 1, LMN_LOGD_RINGS,
                      sizeof *d->heap, "logd");
    d->heap = heap;
    s = st == LAMINA_OK ? lmn_calloc(d->alloc, 1, sizeof *s, "logsource") : NULL;
    if (!s) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for another ring");
    (void)lmn_format(s->name, sizeof s->name, "%s", name);
    st = lmn_logsource_open(s, d->dir, name, &d->state, err);
    s->bad = st != LAMINA_OK;
    /* What may work later is tried again; what is no ring of ours stays in the list. */
    if (s->bad && st != LAMINA_E_CORRUPT && st != LAMINA_E_PERM) {
        lmn_cfree(d->alloc, s, 1, sizeof *s, "logsource");
        return st == LAMINA_E_STATE ? LAMINA_OK : st; /* gone already */
    }
    d->stats.corrupt += s->bad;
    s->present = true;
    d->sources[d->n_sources++] = s;
    return LAMINA_OK;
}

/* A ring whose process died while it made it. */
static void clear_debris(const lamina_logd *d, const char *name)
{
    char path[LMN_LOGSTATE_PATH_BYTES + LMN_LOGSOURCE_NAME_BYTES];
    lmn_shared f = {0};
    (void)lmn_format(path, sizeof path, "%s/%s", d->dir, name);
    if (lmn_shared_open(path, 1, SIZE_MAX >> 1, &f, NULL) != LAMINA_OK) return;
    if (lmn_shared_age_s(&f) > DEBRIS_S && lmn_shared_alone(&f))
        (void)lmn_os_file_remove(path, NULL);
    lmn_shared_close(&f);
}

lamina_status lmn_logd_look(lamina_logd *d, lamina_error *err)
{
    lmn_arena arena;
    char **names = NULL;
    size_t n = 0;
    lmn_arena_init(&arena, d->alloc, 64u << 20);
    lamina_status st = lmn_os_dir_list(&arena, d->dir, 4 * LMN_LOGD_RINGS, &names, &n, err);
    for (size_t i = 0; i < d->n_sources; i++) d->sources[i]->present = st != LAMINA_OK;
    for (size_t i = 0; i < n; i++) {
        if (!ends_in(names[i], LMN_LOG_SUFFIX) || strlen(names[i]) >= LMN_LOGSOURCE_NAME_BYTES)
            continue;
        if (names[i][0] == '.') {
            clear_debris(d, names[i]);
            continue;
        }
        lamina_error one;
        const lamina_status got = add_ring(d, names[i], &one);
        if (got != LAMINA_OK && st == LAMINA_OK) {
            st = got;
            if (err) *err = one;
        }
    }
    lmn_arena_finish(&arena);
    for (size_t i = d->n_sources; i-- > 0;)
        if (d->sources[i]->bad && !d->sources[i]->present) lmn_logd_forget(d, i);
    d->look = st != LAMINA_OK;
    d->looked_ns = lmn_now_ns();
    return st;
}

void lmn_logd_let_go(lamina_logd *d, lmn_logsource *s)
{
    const lmn_logorigin from = {s->from, s->pid};
    lmn_lines_note(&d->lines, &from, lmn_wall_ns(), "a ring is damaged and was let go", "cell",
                   s->ring.at);
    lmn_shared_close(&s->file);
    s->bad = true;
    s->n = 0;
    d->stats.corrupt++;
}

/* Who has died, and who was damaged? */
void lmn_logd_ask(lamina_logd *d)
{
    for (size_t i = 0; i < d->n_sources; i++) {
        lmn_logsource *s = d->sources[i];
        if (s->bad) continue;
        if (!lmn_shared_whole(&s->file))
            lmn_logd_let_go(d, s);
        else if (!s->dead)
            s->dead = lmn_shared_alone(&s->file);
    }
    d->asked_ns = lmn_now_ns();
}

/* Rings of the dead that have nothing more to say. Everything is flushed. */
void lmn_logd_remove_dead(lamina_logd *d)
{
    for (size_t i = d->n_sources; i-- > 0;) {
        lmn_logsource *s = d->sources[i];
        if (s->bad || !s->dead || s->n || s->touched || lmn_logsource_waiting(s)) continue;
        if (lmn_atomic_load(&s->ring.mem->dropped, relaxed) != s->dropped) continue;
        char path[LMN_LOGSTATE_PATH_BYTES + LMN_LOGSOURCE_NAME_BYTES];
        (void)lmn_format(path, sizeof path, "%s/%s", d->dir, s->name);
        if (lmn_os_file_remove(path, NULL) == LAMINA_OK) {
            d->stats.removed++;
            lmn_logd_forget(d, i);
        } else { /* somebody forbids it: do not come again */
            lmn_shared_close(&s->file);
            s->bad = true;
        }
    }
}
