/*
 * The batcher. Waiting requests hang in groups, one a key: only requests of one group may share a
 * batch. A group is ripe when something of it may run (always, without max_queue_delay) and raw
 * otherwise; of the ripe ones the group goes first whose first request has the least score.
 *
 * Invariants: a request that waits is on its group's list by arrival and in its set by score, on
 * the list of all, and, if it has a deadline, in `due`. A group that holds nothing does not exist.
 * Every operation is O(log n) in what waits, or O(1) where things come in order; a group is looked
 * at over the length of one batch.
 */
#include "serve/batcher_int.h"

#include "base/hash.h"

#include <string.h>

enum { STAGE_NONE = 0, STAGE_QUEUED, STAGE_RUNS, STAGE_ANSWERED };

struct lmn_batch_group {
    lmn_batch_group *chain; /* of its bucket */
    uint64_t key;
    lmn_ordset order;           /* by score */
    lmn_infer *oldest, *newest; /* by arrival: prev, next */
    lmn_ordnode place;          /* in ripe or raw */
    int64_t rows;
    bool ripe;
    bool aged; /* ripe because of its age or of a deadline, whatever its rows */
};

static lmn_infer *by_order(lmn_ordnode *n)
{
    return n ? (lmn_infer *)(void *)((uint8_t *)n - offsetof(lmn_infer, order)) : NULL;
}
static lmn_infer *by_due(lmn_ordnode *n)
{
    return n ? (lmn_infer *)(void *)((uint8_t *)n - offsetof(lmn_infer, due)) : NULL;
}
static lmn_batch_group *by_place(lmn_ordnode *n)
{
    return n ? (lmn_batch_group *)(void *)((uint8_t *)n - offsetof(lmn_batch_group, place)) : NULL;
}

lamina_status lmn_batcher_init(lmn_batcher *b, const lamina_allocator *alloc,
                               const lmn_batch_config *config, lamina_error *err)
{
    memset(b, 0, sizeof *b);
    LMN_TRY(lmn_batch_check(config, err));
    b->config = *config;
    b->alloc = alloc;
    lmn_batch_config *c = &b->config;
    lmn_batch_defaults(c);
    b->whole = c->max_batch_size;
    b->room = c->max_queue_rows;
    b->grow.room_too = config->max_queue_rows <= 0;
    const int64_t most = lmn_max_i64(b->room, b->grow.room_too ? 2 * c->grow_rows : 0);
    b->n_buckets = 16;
    while (b->n_buckets < 16384 && (int64_t)b->n_buckets < b->room) b->n_buckets *= 2;
    b->seed = lmn_hash_seed(b);
    b->ripe.seed = b->raw.seed = b->due.seed = b->seed;
    b->free_mask = c->n_instances == 64 ? UINT64_MAX : ((uint64_t)1 << c->n_instances) - 1;
    lmn_objpool_init(&b->groups, alloc, sizeof(lmn_batch_group), (size_t)most);
    b->bucket = lmn_calloc(alloc, b->n_buckets, sizeof *b->bucket, "batcher");
    if (!b->bucket) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for a queue");
    return LAMINA_OK;
}

void lmn_batcher_finish(lmn_batcher *b)
{
    if (!b->alloc) return;
    lmn_assert(!b->n_queued);
    lmn_objpool_finish(&b->groups);
    lmn_cfree(b->alloc, b->bucket, b->n_buckets, sizeof *b->bucket, "batcher");
    memset(b, 0, sizeof *b);
}

/* ---- groups ---------------------------------------------------------------------------------- */

static lmn_batch_group **bucket_for(lmn_batcher *b, uint64_t key)
{
    return &b->bucket[lmn_hash_mix(key ^ b->seed, 0x9e3779b97f4a7c15u) & (b->n_buckets - 1)];
}

static lmn_batch_group *group_for(lmn_batcher *b, uint64_t key)
{
    if (b->last_group && b->last_group->key == key) return b->last_group;
    lmn_batch_group **at = bucket_for(b, key), *g = *at;
    while (g && g->key != key) g = g->chain;
    if (!g) {
        g = lmn_objpool_take(&b->groups);
        if (!g) return NULL;
        *g = (lmn_batch_group){.key = key, .chain = *at, .order = {.seed = b->seed}};
        *at = g;
    }
    b->last_group = g;
    return g;
}

static void group_end(lmn_batcher *b, lmn_batch_group *g)
{
    lmn_batch_group **at = bucket_for(b, g->key);
    while (*at != g) at = &(*at)->chain;
    *at = g->chain;
    if (b->last_group == g) b->last_group = NULL;
    lmn_objpool_give(&b->groups, g);
}

/* Has it the rows for which nothing has to be waited? */
static bool has_rows(const lmn_batcher *b, const lmn_batch_group *g)
{
    const lmn_batch_config *c = &b->config;
    if (!c->delay_ns || !c->dynamic) return true;
    return g->rows >= (c->n_preferred ? c->preferred[0] : b->whole);
}

/* Put g where it belongs now; it goes when it is empty. */
static void place(lmn_batcher *b, lmn_batch_group *g, bool ripe)
{
    lmn_ordset_remove(g->ripe ? &b->ripe : &b->raw, &g->place);
    if (!g->oldest) {
        group_end(b, g);
        return;
    }
    const lmn_infer *first = by_order(lmn_ordset_least(&g->order));
    g->ripe = ripe;
    g->place.key = ripe ? first->order.key : g->oldest->arrived_ns;
    g->place.tie = ripe ? first->order.tie : g->oldest->sequence;
    lmn_ordset_add(ripe ? &b->ripe : &b->raw, &g->place);
}

/* The same after a request came or went, if anything has changed by it. */
static void placed(lmn_batcher *b, lmn_batch_group *g)
{
    if (!g->oldest) g->aged = false;
    const bool ripe = g->aged || has_rows(b, g);
    if (g->oldest && g->place.where != LMN_ORD_OUT && g->ripe == ripe) {
        const lmn_infer *first = ripe ? by_order(lmn_ordset_least(&g->order)) : g->oldest;
        if (g->place.tie == first->sequence &&
            g->place.key == (ripe ? first->order.key : first->arrived_ns))
            return;
    }
    place(b, g, ripe);
}

/* ---- requests -------------------------------------------------------------------------------- */

static void answer(lmn_batcher *b, lmn_infer *r)
{
    r->stage = STAGE_ANSWERED;
    for (;;) {
        if (b->config.preserve_ordering) {
            r = b->line;
            if (!r || r->stage != STAGE_ANSWERED) return;
            b->line = r->line;
        }
        r->next = NULL;
        if (b->answers)
            b->answers_last->next = r;
        else
            b->answers = r;
        b->answers_last = r;
        if (!b->config.preserve_ordering) return;
    }
}

lmn_infer *lmn_batcher_answers(lmn_batcher *b)
{
    lmn_infer *r = b->answers;
    b->answers = b->answers_last = NULL;
    return r;
}

/* Take r off everything but its group's set by score; the group is placed by the caller. */
static void unlink_request(lmn_batcher *b, lmn_infer *r)
{
    lmn_batch_group *g = r->group;
    *(r->prev ? &r->prev->next : &g->oldest) = r->next;
    *(r->next ? &r->next->prev : &g->newest) = r->prev;
    *(r->older ? &r->older->newer : &b->oldest) = r->newer;
    *(r->newer ? &r->newer->older : &b->newest) = r->older;
    if (r->deadline_ns != UINT64_MAX) {
        b->at_level[r->level].rows_due -= r->rows;
        b->at_level[r->level].n_due--;
    }
    lmn_ordset_remove(&b->due, &r->due);
    g->rows -= r->rows;
    b->rows -= r->rows;
    b->load -= lmn_batch_load(&b->config, r->rows);
    b->bytes -= r->bytes;
    b->n_queued--;
    b->at_level[r->level].n--;
    b->at_level[r->level].rows -= r->rows;
}

static void drop(lmn_batcher *b, lmn_infer *r, lamina_status st, const char *why)
{
    r->status = lmn_fail(&r->error, st, "%s", why);
    answer(b, r);
}

static uint64_t score(const lmn_infer *r)
{
    const uint64_t own = lmn_batch_later(r->arrived_ns, LMN_BATCH_HORIZON_NS);
    return lmn_batch_later(r->deadline_ns < own ? r->deadline_ns : own,
                           r->level * LMN_BATCH_LEVEL_NS);
}

lamina_status lmn_batcher_submit(lmn_batcher *b, lmn_infer *r, uint64_t now)
{
    LMN_TRY(lmn_batch_admit(b, r, now));
    lmn_batch_group *g = group_for(b, r->key);
    if (!g) return lmn_batch_refuse(b, r, now, "memory");
    r->sequence = ++b->sequence;
    r->arrived_ns = r->queued_ns = now;
    r->status = LAMINA_OK;
    r->stage = STAGE_QUEUED;
    r->group = g;
    r->order = (lmn_ordnode){.key = score(r), .tie = r->sequence};
    r->due = (lmn_ordnode){.key = r->deadline_ns, .tie = r->sequence};
    lmn_ordset_add(&g->order, &r->order);
    r->next = NULL;
    r->prev = g->newest;
    *(g->newest ? &g->newest->next : &g->oldest) = r;
    g->newest = r;
    r->newer = NULL;
    r->older = b->newest;
    *(b->newest ? &b->newest->newer : &b->oldest) = r;
    b->newest = r;
    if (b->config.preserve_ordering) {
        r->line = NULL;
        *(b->line ? &b->line_last->line : &b->line) = r;
        b->line_last = r;
    }
    if (r->deadline_ns != UINT64_MAX) {
        lmn_ordset_add(&b->due, &r->due);
        b->at_level[r->level].rows_due += r->rows;
        b->at_level[r->level].n_due++;
    }
    g->rows += r->rows;
    b->rows += r->rows;
    b->load += lmn_batch_load(&b->config, r->rows);
    b->bytes += r->bytes;
    b->n_queued++;
    b->at_level[r->level].n++;
    b->at_level[r->level].rows += r->rows;
    if (b->back_n) b->back_n--;
    placed(b, g);
    return LAMINA_OK;
}

bool lmn_batcher_cancel(lmn_batcher *b, lmn_infer *r)
{
    if (r->stage != STAGE_QUEUED) return false;
    lmn_batch_group *g = r->group;
    lmn_ordset_remove(&g->order, &r->order);
    unlink_request(b, r);
    placed(b, g);
    b->n_cancelled++;
    drop(b, r, LAMINA_E_CANCELLED, "the request was cancelled");
    return true;
}

void lmn_batcher_cancel_all(lmn_batcher *b)
{
    while (b->oldest) (void)lmn_batcher_cancel(b, b->oldest);
}

void lmn_batcher_expire(lmn_batcher *b, uint64_t now)
{
    for (lmn_infer *r; (r = by_due(lmn_ordset_least(&b->due))) && r->deadline_ns < now;) {
        lmn_batch_group *g = r->group;
        lmn_ordset_remove(&g->order, &r->order);
        if (b->config.level[r->level].action == LMN_BATCH_DEFER) {
            lmn_ordset_remove(&b->due, &r->due);
            r->order.key = lmn_batch_later(r->order.key, LMN_BATCH_DEFER_NS);
            lmn_ordset_add(&g->order, &r->order);
            placed(b, g);
            continue;
        }
        unlink_request(b, r);
        placed(b, g);
        b->n_late++;
        drop(b, r, LAMINA_E_TIMEOUT, "the request waited longer than it may");
    }
}

/* ---- batches --------------------------------------------------------------------------------- */

/* Groups whose oldest has waited enough, or of which somebody would be late, are ripe. */
static void ripen(lmn_batcher *b, uint64_t now)
{
    lmn_batch_group *g;
    while ((g = by_place(lmn_ordset_least(&b->raw))) &&
           lmn_batch_later(g->oldest->arrived_ns, b->config.delay_ns) <= now) {
        g->aged = true;
        place(b, g, true);
    }
    const lmn_infer *r = by_due(lmn_ordset_least(&b->due));
    if (!r || r->group->ripe) return;
    const uint64_t soon = lmn_batch_later(lmn_batcher_cost(b, r->group->rows), LMN_BATCH_MARGIN_NS);
    if (r->deadline_ns > lmn_batch_later(now, soon)) return;
    r->group->aged = true;
    place(b, r->group, true);
}

/* What was taken off the front of a group: out of its set by score, chained by order.b. */
typedef struct walk {
    lmn_infer *taken[2]; /* first and last */
    uint32_t n, n_preferred;
    int64_t rows, preferred;
    bool closed; /* full, or the next does not fit */
} walk;

/* Take requests off the front while they fit; those whose clients have left are dropped. */
static void gather(lmn_batcher *b, lmn_batch_group *g, walk *w)
{
    const lmn_batch_config *c = &b->config;
    const bool single = !c->dynamic || c->max_batch_size <= 0;
    const int64_t most = lmn_batch_most(b);
    const int64_t max = single ? 0 : g->rows < most ? b->whole : most;
    uint32_t k = 0;
    for (lmn_infer *r; (r = by_order(lmn_ordset_least(&g->order)));) {
        if (r->gone && lmn_atomic_load(r->gone, acquire)) {
            lmn_ordset_remove(&g->order, &r->order);
            unlink_request(b, r);
            b->n_cancelled++;
            drop(b, r, LAMINA_E_CANCELLED, "the client has left");
            continue;
        }
        if (w->n && (single || r->rows > max - w->rows)) {
            w->closed = true;
            return;
        }
        lmn_ordset_remove(&g->order, &r->order);
        r->order.b = NULL;
        if (w->n)
            w->taken[1]->order.b = &r->order;
        else
            w->taken[0] = r;
        w->taken[1] = r;
        w->n++;
        w->rows += r->rows;
        while (k < c->n_preferred && c->preferred[k] < w->rows) k++;
        if (k < c->n_preferred && c->preferred[k] == w->rows) {
            w->preferred = w->rows;
            w->n_preferred = w->n;
        }
    }
    w->closed = w->rows >= max;
}

/* May what was gathered go, why, and how many of its requests? */
static uint32_t judge(const lmn_batcher *b, const lmn_batch_group *g, const walk *w, uint64_t now,
                      lmn_batch_reason *why)
{
    const lmn_batch_config *c = &b->config;
    const bool over = c->n_preferred && w->rows >= c->preferred[c->n_preferred - 1];
    *why = LMN_BATCH_FULL;
    if (!c->dynamic || c->max_batch_size <= 0)
        *why = LMN_BATCH_SINGLE;
    else if (w->preferred && w->preferred < c->max_batch_size)
        *why = LMN_BATCH_PREFERRED;
    else if (w->closed || over)
        *why = LMN_BATCH_FULL;
    else if (!c->delay_ns)
        *why = LMN_BATCH_IDLE;
    else if (now >= lmn_batch_later(g->oldest->arrived_ns, c->delay_ns))
        *why = LMN_BATCH_DELAY;
    else if (g->aged)
        *why = LMN_BATCH_DEADLINE;
    else
        return 0;
    return w->preferred ? w->n_preferred : w->n;
}

/* Form a batch of g. False: nothing of it may go after all; it is placed where it belongs. */
static bool form(lmn_batcher *b, lmn_batch_group *g, uint64_t now, lmn_batch *out)
{
    walk w = {.n = 0};
    gather(b, g, &w);
    lmn_batch_reason why = LMN_BATCH_IDLE;
    const uint32_t n = w.n ? judge(b, g, &w, now, &why) : 0;
    *out = (lmn_batch){.n = n, .reason = why};
    lmn_infer *last = NULL, *rest = NULL, *r = w.taken[0];
    for (uint32_t i = 0; i < w.n; i++) {
        lmn_infer *after = by_order(r->order.b);
        if (i < n) {
            unlink_request(b, r);
            r->stage = STAGE_RUNS;
            r->started_ns = now;
            out->rows += r->rows;
            *(last ? &last->next : &out->first) = r;
            r->next = NULL;
            last = r;
        } else { /* turned around, to be put back in front one by one */
            r->order.b = rest ? &rest->order : NULL;
            rest = r;
        }
        r = after;
    }
    while (rest) {
        lmn_infer *after = by_order(rest->order.b);
        lmn_ordset_add(&g->order, &rest->order);
        rest = after;
    }
    g->aged = false;
    if (n || !g->oldest) {
        placed(b, g);
        return n > 0;
    }
    place(b, g, false); /* raw until more comes or time passes, although it has the rows */
    return false;
}

bool lmn_batcher_holds(const lmn_batcher *b, uint64_t now)
{
    return b->back_n && now < b->back_until && b->rows < b->whole;
}

/* Do so many whole batches wait, and nothing that may go before them? */
static bool whole_wait(const lmn_batcher *b, int64_t n)
{
    const lmn_batch_config *c = &b->config;
    const lmn_batch_group *g = b->last_group;
    const bool together = c->dynamic && c->max_batch_size > 0;
    const int64_t whole = together ? lmn_batch_most(b) : 1;
    const int64_t there = together ? b->load : (int64_t)b->n_queued;
    if (c->n_levels > 1 || c->n_preferred) return false;
    return g && g->rows == b->rows && there >= whole * n;
}

bool lmn_batcher_settled(const lmn_batcher *b)
{
    return !b->free_mask && whole_wait(b, (int64_t)b->config.n_instances);
}

uint64_t lmn_batcher_certain(const lmn_batcher *b)
{
    const lmn_batch_config *c = &b->config;
    const int64_t n_free = __builtin_popcountll(b->free_mask);
    if (!n_free || !whole_wait(b, (int64_t)c->n_instances + n_free)) return 0;
    const lmn_infer *first = by_order(lmn_ordset_least(&b->last_group->order));
    if (c->dynamic && c->max_batch_size > 0 && first->rows <= b->whole)
        return b->bytes / (uint64_t)b->rows * (uint64_t)lmn_batch_most(b);
    return first->bytes;
}

bool lmn_batcher_next(lmn_batcher *b, uint64_t now, lmn_batch *out)
{
    lmn_batch_group *g;
    if (b->due.first || b->due.root) lmn_batcher_expire(b, now);
    if (!b->free_mask || !b->n_queued || lmn_batcher_holds(b, now)) return false;
    if (b->config.delay_ns) ripen(b, now);
    lmn_batch_try(b, now);
    while ((g = by_place(lmn_ordset_least(&b->ripe))) != NULL) {
        if (!form(b, g, now, out)) continue;
        out->instance = (uint32_t)__builtin_ctzll(b->free_mask);
        b->free_mask &= b->free_mask - 1;
        b->until[out->instance] = lmn_batch_later(now, lmn_batcher_cost(b, out->rows));
        b->dispatch[out->reason]++;
        lmn_batch_press(b, now);
        return true;
    }
    return false;
}

void lmn_batcher_done(lmn_batcher *b, const lmn_batch *batch, int64_t rows, uint64_t took_ns,
                      uint64_t now)
{
    lmn_batch_learn(b, rows, took_ns);
    lmn_batch_grow(b, batch, took_ns, now);
    if (b->config.rejoin) {
        const uint64_t wait = took_ns / 16;
        b->back_n = batch->n > 1 ? batch->n : 0;
        b->back_until =
            lmn_batch_later(now, wait < b->config.rejoin_ns ? wait : b->config.rejoin_ns);
    }
    b->free_mask |= (uint64_t)1 << batch->instance;
    for (lmn_infer *r = batch->first, *next; r; r = next) {
        next = r->next;
        answer(b, r);
    }
}

uint64_t lmn_batcher_look_again(const lmn_batcher *b)
{
    uint64_t at = UINT64_MAX;
    const lmn_infer *r = by_due(lmn_ordset_least(&b->due));
    if (r) {
        at = lmn_batch_later(r->deadline_ns, 1);
        const uint64_t soon =
            lmn_batch_later(lmn_batcher_cost(b, r->group->rows), LMN_BATCH_MARGIN_NS);
        if (b->free_mask && !r->group->ripe) at = r->deadline_ns > soon ? r->deadline_ns - soon : 0;
    }
    if (b->free_mask && b->n_queued && b->back_n && b->back_until < at) at = b->back_until;
    const lmn_batch_group *g = b->free_mask ? by_place(lmn_ordset_least(&b->raw)) : NULL;
    if (g && lmn_batch_later(g->oldest->arrived_ns, b->config.delay_ns) < at)
        at = lmn_batch_later(g->oldest->arrived_ns, b->config.delay_ns);
    return at;
}
