/*
 * The plans a session keeps, most recently used first, the frames that wait in them, and the blocks
 * of memory that wait for a run: any frame's, so that many shapes need no more than the largest.
 *
 * Invariants, under the session's lock: idle_bytes is the memory of the waiting blocks and at most
 * max_plan_bytes; n_plans <= max_plans; a plan's n_frames counts its frames, idle and running, and
 * a plan that is off the list goes with its last frame.
 */
#include "runtime/exec.h"

#include "base/os/os_memory.h"

#include <string.h>

#define GROWTH 8u /* a block that replaces another is longer by an eighth at least */

/* What to release once the lock is let go. */
typedef struct dead {
    lmn_plan *plans;
    lmn_frame *frames;
    lmn_block *blocks;
} dead;

static void bury(lamina_session *s, dead *d)
{
    while (d->blocks) {
        lmn_block *b = d->blocks;
        d->blocks = b->next;
        lmn_free(&s->engine->alloc, b, sizeof *b + b->bytes, LMN_TENSOR_ALIGN, "activations");
    }
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

/* From the waiting blocks to *to. */
static lmn_block *unlink_block(lamina_session *s, lmn_block **at, lmn_block **to)
{
    lmn_block *b = *at;
    *at = b->next;
    s->idle_bytes -= b->bytes;
    b->next = *to;
    *to = b;
    return b;
}

/* Blocks longer than any listed plan needs, and a growing one may have, go. */
static void bound_blocks(lamina_session *s, dead *d)
{
    uint64_t most = 0;
    for (const lmn_plan *p = s->plans; p; p = p->next)
        if (p->arena_bytes > most) most = p->arena_bytes;
    for (lmn_block **at = &s->blocks; *at;)
        if ((*at)->bytes > most + most / GROWTH)
            (void)unlink_block(s, at, &d->blocks);
        else
            at = &(*at)->next;
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
            f->next = d->frames;
            d->frames = f;
        }
        if (p->n_frames) continue;
        p->next = d->plans;
        d->plans = p;
    }
    bound_blocks(s, d);
}

/* Unlink waiting blocks, the least recently used first. */
static void bound_bytes(lamina_session *s, uint64_t keep_bytes, dead *d)
{
    while (s->idle_bytes > keep_bytes) {
        lmn_block **at = &s->blocks;
        while ((*at)->next) at = &(*at)->next;
        (void)unlink_block(s, at, &d->blocks);
    }
}

/* What a run takes from the cache. */
typedef struct taking {
    lmn_plan *plan;
    lmn_frame *frame; /* or NULL: it may make one */
    lmn_block *block; /* or NULL: it may make one, of `least` bytes */
    uint64_t least;
    dead dead;
} taking;

/* The shortest block that is long enough. Where all are too short the longest makes way, and the
   new one is a little longer than needed, so that shapes which grow by and by seldom need one. */
static void take(lamina_session *s, lmn_plan *p, taking *t)
{
    lmn_block **fits = NULL, **longest = NULL;
    t->plan = p;
    t->least = p->arena_bytes;
    if ((t->frame = p->idle) != NULL)
        p->idle = t->frame->next;
    else
        p->n_frames++;
    for (lmn_block **at = &s->blocks; *at && p->arena_bytes; at = &(*at)->next) {
        if ((*at)->bytes >= p->arena_bytes && (!fits || (*at)->bytes < (*fits)->bytes)) fits = at;
        if (!longest || (*at)->bytes > (*longest)->bytes) longest = at;
    }
    if (!longest) return;
    const lmn_block *b = unlink_block(s, fits ? fits : longest, fits ? &t->block : &t->dead.blocks);
    if (t->least < b->bytes + b->bytes / GROWTH) t->least = b->bytes + b->bytes / GROWTH;
}

/* A frame (or NULL: a promise) is not needed any more. */
static void leave(lmn_plan *p, lmn_frame *f, dead *d)
{
    if (f && !p->evicted) {
        f->next = p->idle;
        p->idle = f;
        return;
    }
    if (f) {
        f->next = d->frames;
        d->frames = f;
    }
    if (--p->n_frames == 0 && p->evicted) {
        p->next = d->plans;
        d->plans = p;
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

/* A plan for shapes that the cache does not have; listed, and taken from. Two runs may make the
   same one at once: the second then lists its own, and the LRU drops one in time. */
static lamina_status make_plan(lamina_session *s, const int64_t *key, size_t n_key,
                               const lamina_tensor *const *in, lmn_run *run, taking *t)
{
    lmn_plan *p;
    const uint64_t t0 = s->profile ? lmn_ticks_now(&s->profile->clock) : 0;
    const uint64_t start = run->spans.lane ? lmn_trace_now(s->spans.trace) : 0;
    LMN_TRY(lmn_plan_create(s->x, key, n_key, in, &p, run->err));
    if (run->spans.lane) lmn_spans_plan(run, start);
    lmn_mutex_lock(&s->lock);
    p->next = s->plans;
    s->plans = p;
    s->n_plans++;
    s->n_plans_made++;
    bound_plans(s, &t->dead); /* not this one */
    take(s, p, t);
    if (s->profile)
        lmn_profile_span(s->profile, s->profile->row_plan, t0, lmn_ticks_now(&s->profile->clock),
                         run->number);
    lmn_mutex_unlock(&s->lock);
    return LAMINA_OK;
}

/* What waited for nobody is made, outside the lock. */
static lamina_status complete(lamina_session *s, taking *t)
{
    const lamina_allocator *a = &s->engine->alloc;
    if (!t->frame) LMN_TRY(lmn_frame_create(s->x, t->plan, &t->frame));
    if (!t->block && t->plan->arena_bytes) {
        t->block = lmn_alloc(a, sizeof *t->block + t->least, LMN_TENSOR_ALIGN, "activations");
        if (!t->block) return LAMINA_E_NOMEM;
        *t->block = (lmn_block){.bytes = t->least};
        lmn_advise_huge(t->block->data, t->least);
    }
    lmn_frame_place(t->frame, t->block);
    return LAMINA_OK;
}

lamina_status lmn_plans_enter(lamina_session *s, const int64_t *key, size_t n_key,
                              const lamina_tensor *const *in, lmn_run *run, lmn_frame **out)
{
    taking t = {.plan = NULL};
    lmn_mutex_lock(&s->lock);
    list_run(s, run);
    lmn_plan *p = find(s, key, n_key);
    if (p) {
        s->n_plan_hits++;
        take(s, p, &t);
    }
    lmn_mutex_unlock(&s->lock);
    lamina_status st = p ? LAMINA_OK : make_plan(s, key, n_key, in, run, &t);
    bury(s, &t.dead);
    if (st == LAMINA_OK && (st = complete(s, &t)) == LAMINA_OK) {
        *out = t.frame;
        return LAMINA_OK;
    }
    lmn_mutex_lock(&s->lock);
    unlist_run(s, run);
    if (t.plan) leave(t.plan, t.frame, &t.dead);
    lmn_mutex_unlock(&s->lock);
    t.dead.blocks = t.block;
    bury(s, &t.dead);
    return t.plan ? lmn_fail(run->err, st, "out of memory for the activations of a run") : st;
}

void lmn_plans_leave(lamina_session *s, lmn_run *run, lmn_frame *f, size_t n_done)
{
    dead d = {NULL, NULL, NULL};
    lmn_frame_clear(f);
    lmn_mutex_lock(&s->lock);
    unlist_run(s, run);
    if (run->start) lmn_profile_commit(s->profile, f, n_done, run->number);
    if (s->profile) lmn_profile_end(s->profile, run->start, run->number);
    if (f->block) {
        f->block->next = s->blocks;
        s->blocks = f->block;
        s->idle_bytes += f->block->bytes;
        if (f->plan->evicted || f->block->bytes > f->plan->arena_bytes) bound_blocks(s, &d);
        bound_bytes(s, s->opts.max_plan_bytes, &d);
    }
    leave(f->plan, f, &d);
    lmn_mutex_unlock(&s->lock);
    bury(s, &d);
}

uint64_t lmn_plans_trim(lamina_session *s, uint64_t keep_bytes)
{
    dead d = {NULL, NULL, NULL};
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
    dead d = {s->plans, NULL, s->blocks};
    s->plans = NULL;
    s->blocks = NULL;
    bury(s, &d);
}
