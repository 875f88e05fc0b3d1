/*
 * The plans a session keeps, most recently used first, and the frames that wait in them.
 *
 * Invariants, under the session's lock: idle_bytes is the arena memory of all idle frames of listed
 * plans and at most max_plan_bytes; n_plans <= max_plans; a plan's n_frames counts its frames, idle
 * and running, and a plan that is off the list goes with its last frame.
 */
#include "runtime/exec.h"

#include <string.h>

/* What to release once the lock is let go. */
typedef struct dead {
    lmn_plan *plans;
    lmn_frame *frames;
} dead;

static void bury(lamina_session *s, dead *d)
{
    while (d->frames) {
        lmn_frame *f = d->frames;
        d->frames = f->next;
        lmn_frame_destroy(f);
    }
    while (d->plans) {
        lmn_plan *p = d->plans;
        d->plans = p->next;
        lmn_plan_destroy(s->x, p);
    }
}

/* Unlink plans from the tail down to max_plans. Frames that run keep theirs until they leave. */
static void bound_plans(lamina_session *s, dead *d)
{
    while (s->n_plans > s->opts.max_plans) {
        lmn_plan **at = &s->plans;
        while ((*at)->next) at = &(*at)->next;
        lmn_plan *p = *at;
        *at = NULL;
        s->n_plans--;
        p->evicted = true;
        while (p->idle) {
            lmn_frame *f = p->idle;
            p->idle = f->next;
            p->n_frames--;
            s->idle_bytes -= p->arena_bytes;
            f->next = d->frames;
            d->frames = f;
        }
        if (p->n_frames) continue;
        p->next = d->plans;
        d->plans = p;
    }
}

/* Unlink idle frames that have memory, those of the least recently used plan first. */
static void bound_bytes(lamina_session *s, uint64_t keep_bytes, dead *d)
{
    while (s->idle_bytes > keep_bytes) {
        lmn_plan *last = NULL;
        for (lmn_plan *p = s->plans; p; p = p->next)
            if (p->idle && p->arena_bytes) last = p;
        lmn_frame *f = last->idle;
        last->idle = f->next;
        last->n_frames--;
        s->idle_bytes -= last->arena_bytes;
        f->next = d->frames;
        d->frames = f;
    }
}

/* The plan for this key, moved to the front. */
static lmn_plan *find(lamina_session *s, const int64_t *key, size_t n_key)
{
    for (lmn_plan **at = &s->plans; *at; at = &(*at)->next) {
        lmn_plan *p = *at;
        if (p->n_key != n_key || memcmp(p->key, key, n_key * sizeof *key)) continue;
        *at = p->next;
        p->next = s->plans;
        s->plans = p;
        return p;
    }
    return NULL;
}

static void list_run(lamina_session *s, lmn_run *run)
{
    run->next = s->runs;
    if (s->runs) s->runs->prev = run;
    s->runs = run;
    run->number = (uint32_t)++s->n_runs;
}

static void unlist_run(lamina_session *s, lmn_run *run)
{
    if (run->prev)
        run->prev->next = run->next;
    else
        s->runs = run->next;
    if (run->next) run->next->prev = run->prev;
}

/* A plan for shapes that the cache does not have; listed, with one frame promised. Two runs may
   make the same one at once: the second then lists its own, and the LRU drops one in time. */
static lamina_status make_plan(lamina_session *s, const int64_t *key, size_t n_key,
                               const lamina_tensor *const *in, lmn_run *run, lmn_plan **out)
{
    dead d = {NULL, NULL};
    lmn_plan *p;
    const uint64_t t0 = s->profile ? lmn_ticks_now(&s->profile->clock) : 0;
    const uint64_t start = run->spans.lane ? lmn_trace_now(s->spans.trace) : 0;
    LMN_TRY(lmn_plan_create(s->x, key, n_key, in, &p, run->err));
    if (run->spans.lane) lmn_spans_plan(run, start);
    lmn_mutex_lock(&s->lock);
    p->next = s->plans;
    p->n_frames = 1;
    s->plans = p;
    s->n_plans++;
    s->n_plans_made++;
    bound_plans(s, &d);
    if (s->profile)
        lmn_profile_span(s->profile, s->profile->row_plan, t0, lmn_ticks_now(&s->profile->clock),
                         run->number);
    lmn_mutex_unlock(&s->lock);
    bury(s, &d);
    *out = p;
    return LAMINA_OK;
}

/* The promise of a frame is not kept. */
static void drop_promise(lamina_session *s, lmn_plan *p)
{
    lmn_mutex_lock(&s->lock);
    const bool last = --p->n_frames == 0 && p->evicted;
    lmn_mutex_unlock(&s->lock);
    if (last) lmn_plan_destroy(s->x, p);
}

lamina_status lmn_plans_enter(lamina_session *s, const int64_t *key, size_t n_key,
                              const lamina_tensor *const *in, lmn_run *run, lmn_frame **out)
{
    lmn_frame *f = NULL;
    lmn_mutex_lock(&s->lock);
    list_run(s, run);
    lmn_plan *p = find(s, key, n_key);
    if (p) {
        s->n_plan_hits++;
        if ((f = p->idle) != NULL) {
            p->idle = f->next;
            s->idle_bytes -= p->arena_bytes;
        } else {
            p->n_frames++;
        }
    }
    lmn_mutex_unlock(&s->lock);
    lamina_status st = p ? LAMINA_OK : make_plan(s, key, n_key, in, run, &p);
    if (st == LAMINA_OK && !f && (st = lmn_frame_create(s->x, p, &f)) != LAMINA_OK) {
        st = lmn_fail(run->err, st, "out of memory for the activations of a run");
        drop_promise(s, p);
    }
    if (st != LAMINA_OK) {
        lmn_mutex_lock(&s->lock);
        unlist_run(s, run);
        lmn_mutex_unlock(&s->lock);
        return st;
    }
    *out = f;
    return LAMINA_OK;
}

void lmn_plans_leave(lamina_session *s, lmn_run *run, lmn_frame *f, size_t n_done)
{
    lmn_plan *p = f->plan;
    dead d = {NULL, NULL};
    lmn_frame_clear(f);
    lmn_mutex_lock(&s->lock);
    unlist_run(s, run);
    if (run->start) lmn_profile_commit(s->profile, f, n_done, run->number);
    if (s->profile) lmn_profile_end(s->profile, run->start, run->number);
    if (!p->evicted) {
        f->next = p->idle;
        p->idle = f;
        s->idle_bytes += p->arena_bytes;
        bound_bytes(s, s->opts.max_plan_bytes, &d);
    } else {
        f->next = NULL;
        d.frames = f;
        if (--p->n_frames == 0) {
            p->next = NULL;
            d.plans = p;
        }
    }
    lmn_mutex_unlock(&s->lock);
    bury(s, &d);
}

uint64_t lmn_plans_trim(lamina_session *s, uint64_t keep_bytes)
{
    dead d = {NULL, NULL};
    lmn_mutex_lock(&s->lock);
    const uint64_t before = s->idle_bytes;
    bound_bytes(s, keep_bytes, &d);
    const uint64_t freed = before - s->idle_bytes;
    lmn_mutex_unlock(&s->lock);
    bury(s, &d);
    return freed;
}

void lmn_plans_destroy(lamina_session *s)
{
    while (s->plans) {
        lmn_plan *p = s->plans;
        s->plans = p->next;
        lmn_plan_destroy(s->x, p);
    }
}
