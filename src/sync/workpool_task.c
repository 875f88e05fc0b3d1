/*
 * Tasks: finding them, running them, waiting for groups, sleeping (workpool.h).
 *
 * A worker looks into its own deque, then at loops, then steals from all others in turn. Before it
 * sleeps it announces itself and looks once more (parking.h), so whoever publishes work wakes it or
 * is seen. A waiter that was woken for work but leaves because its group is done wakes another.
 */
#include "sync/workpool_int.h"

#include "base/os/os_time.h"

#define MOVE_PART 32 /* of what a victim has, a thief moves one in so many to its own deque */
#define MOVE_MOST 32
#define TRIES 4          /* at one victim before the next: others are quicker here */
#define REST_MOST 20000u /* ns that a thief lets others alone */

void lmn_task_run_hooked(lmn_worker *w, lmn_deque_item *t)
{
    const lmn_pool_hooks *h = &w->pool->hooks;
    if (h->task_begin) h->task_begin(h->ctx, w);
    ((lmn_task_fn *)(uintptr_t)t->word[0])(w, &t->word[2]);
    if (h->task_end) h->task_end(h->ctx, w);
}

void lmn_task_drop(lmn_deque_item *t)
{
    if (t->word[1]) ((lmn_drop_fn *)(uintptr_t)t->word[1])(&t->word[2]);
}

/* A task of g that its owner has not run is done. The group may be gone after the count. */
void lmn_group_done_elsewhere(lmn_group *g)
{
    lmn_worker *owner = g->owner;
    (void)lmn_atomic_sub(&g->others, 1, release);
    lmn_park_notify_this(owner->lot, &owner->sleeper);
}

static bool ended(const lmn_worker *w, lmn_group *g)
{
    return g ? lmn_group_ended(g) : lmn_atomic_load(&w->pool->quit, relaxed) != 0;
}

/* A loop that wants more workers, joined, and the number it gave. */
static lmn_offer *join_loop(lmn_worker *w, int32_t *number)
{
    lmn_workpool *p = w->pool;
    const int32_t wish = w->guest ? 0 : (int32_t)(w - p->worker) + 1;
    for (int i = 0; i < LMN_POOL_OFFERS; i++)
        if ((*number = lmn_offer_join(&p->offer[i], wish)) > 0) return &p->offer[i];
    return NULL;
}

static void help(lmn_worker *w, lmn_offer *o, int32_t number)
{
    const lmn_pool_hooks *h = &w->pool->hooks;
    if (h->task_begin) h->task_begin(h->ctx, w);
    lmn_offer_work(o, number);
    if (h->task_end) h->task_end(h->ctx, w);
    lmn_offer_leave(o);
}

/* From a long deque more than one at a visit, so that owner and thief do not fight over every task;
 * a tree of forks is never that deep. */
static void move_more(lmn_worker *w, lmn_worker *victim)
{
    lmn_deque_item t;
    int64_t n = lmn_deque_length(&victim->deque) / MOVE_PART;
    for (n = lmn_min_i64(n, MOVE_MOST); n > 0; n--) {
        lmn_atomic(uint64_t) *word = lmn_deque_reserve(&w->deque);
        if (!word || lmn_deque_steal(&victim->deque, &t) != LAMINA_OK) return;
        for (int i = 0; i < LMN_DEQUE_WORDS; i++) lmn_atomic_store(&word[i], t.word[i], relaxed);
        lmn_deque_push(&w->deque);
    }
}

static bool steal_from(lmn_worker *w, lmn_worker *victim, lmn_deque_item *t)
{
    for (int i = 0; i < TRIES && !lmn_deque_seems_empty(&victim->deque); i++) {
        if (lmn_deque_steal(&victim->deque, t) != LAMINA_OK) continue;
        move_more(w, victim);
        return true;
    }
    return false;
}

/*
 * A steal costs its victim as well: the lines of its deque move from core to core. Who worked for a
 * shorter time on what it stole than stealing it took lets others alone, twice as long each time:
 * tasks that small are done sooner by whoever made them.
 */
static void rest(lmn_worker *w, lmn_group *g)
{
#ifndef LMN_MC
    uint64_t now = lmn_now_ns();
    if (w->stole_ns == 0) return;
    w->rest_ns = now - w->stole_at >= w->stole_ns ? 0 : 2 * w->rest_ns + w->stole_ns;
    if (w->rest_ns > REST_MOST) w->rest_ns = REST_MOST;
    for (const uint64_t until = now + w->rest_ns; now < until && !ended(w, g); now = lmn_now_ns())
        for (int i = 0; i < 16; i++) lmn_cpu_pause();
#else
    (void)w, (void)g;
#endif
}

static bool steal_any(lmn_worker *w, lmn_deque_item *t)
{
    const uint32_t n = lmn_pool_workers(w->pool);
    uint32_t at = (w->seed = w->seed * 1664525u + 1013904223u) >> 16;
    for (uint32_t k = 0; k < n; k++, at++) {
        lmn_worker *victim = lmn_pool_worker(w->pool, at % n);
        if (victim && victim != w && steal_from(w, victim, t)) return true;
    }
    return false;
}

static bool steal(lmn_worker *w, lmn_group *g, lmn_deque_item *t)
{
    rest(w, g);
    const uint64_t begun = lmn_now_ns();
    const bool got = steal_any(w, t);
    w->stole_at = lmn_now_ns();
    w->stole_ns = got ? w->stole_at - begun : 0;
    return got;
}

/* Is there something that work_once might find? */
static bool work_in_sight(lmn_workpool *p)
{
    for (int i = 0; i < LMN_POOL_OFFERS; i++)
        if (lmn_offer_wanted(lmn_atomic_load(&p->offer[i].word, relaxed))) return true;
    const uint32_t n = lmn_pool_workers(p);
    for (uint32_t i = 0; i < n; i++) {
        lmn_worker *w = lmn_pool_worker(p, i);
        if (w && !lmn_deque_seems_empty(&w->deque)) return true;
    }
    return false;
}

/* One piece of work; false: nothing was found. Who was woken for one and sees more wakes another:
 * those who made it leave that to us. */
static bool work_once(lmn_worker *w, lmn_group *g, bool claimed)
{
    lmn_deque_item t;
    int32_t number = 0;
    lmn_offer *o = NULL;
    if (!lmn_deque_take(&w->deque, &t) && !(o = join_loop(w, &number)) && !steal(w, g, &t))
        return false;
    if (claimed && work_in_sight(w->pool)) lmn_park_notify(w->lot, 1);
    if (o)
        help(w, o, number);
    else
        lmn_task_run(w, &t);
    return true;
}

/* Wait awake for a little while, a longer one where loops follow each other: ends of an operator
 * are uneven and some are serial, and who sleeps then is late for all that follow. True: there may
 * be something to do. */
static bool spin(lmn_worker *w, lmn_group *g)
{
#ifndef LMN_MC
    if (!w->guest && !g) lmn_pool_look_again(w->pool);
    lmn_workpool *p = w->pool;
    const uint64_t spin_ns = p->spin_ns, begun = lmn_now_ns();
    if (spin_ns == 0) return false;
    uint64_t waited = 0;
    do {
        if (waited >= spin_ns) lmn_thread_yield();   /* who has work goes first */
        for (int i = 0; i < 8; i++) lmn_cpu_pause(); /* 32 are 0.5 us */
        if (ended(w, g) || work_in_sight(p)) return true;
        waited = lmn_now_ns() - begun;
    } while (waited < spin_ns ||
             (waited < p->stay_ns && lmn_atomic_load(&p->expected, relaxed) > 0));
#else
    (void)w, (void)g;
#endif
    return false;
}

/* True: somebody has woken us for work. */
static bool sleep_until_woken(lmn_worker *w, lmn_group *g)
{
    const lmn_pool_hooks *h = &w->pool->hooks;
    lmn_park_prepare(w->lot, &w->sleeper);
    if (ended(w, g) || work_in_sight(w->pool)) return lmn_park_cancel(w->lot, &w->sleeper);
    if (w->hooked && h->park) h->park(h->ctx, w);
    const bool claimed = lmn_park_wait(w->lot, &w->sleeper);
    if (w->hooked && h->unpark) h->unpark(h->ctx, w);
    return claimed;
}

void lmn_worker_work(lmn_worker *w, lmn_group *g)
{
    bool claimed = false;
    while (!ended(w, g)) {
        const bool found = work_once(w, g, claimed);
        claimed = false;
        if (!found && !spin(w, g)) claimed = sleep_until_woken(w, g);
    }
    if (claimed) lmn_park_notify(w->lot, 1);
}

lamina_status lmn_group_wait_slowly(lmn_group *g)
{
    lmn_worker_work(g->owner, g);
    return lmn_group_cancelled(g) ? LAMINA_E_CANCELLED : LAMINA_OK;
}
