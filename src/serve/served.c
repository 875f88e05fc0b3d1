/*
 * A served model at work: requests come in, batches form, run and are answered. An inline model
 * does all of it in lmn_model_turn; one with threads has a thread for each instance, and one more
 * (the keeper) that refuses what waited too long while all of them run, and stops a batch whose
 * clients have all left.
 */
#include "serve/ensemble_int.h"

#define ABORT_NS ((uint64_t)5000000)     /* between two looks at what is to end */
#define LOOK_NS ((uint64_t)100000000)    /* at what runs, though nobody was said to have left */
#define SLICE_NS ((uint64_t)100000000)   /* of an instance: loops that wake go before it */
#define LONG_RUN_NS ((uint64_t)10000000) /* runs shorter than this are not looked at */

/* ---- answers --------------------------------------------------------------------------------- */

/* Tell who asked. Ensembles go on once for all of their steps that were answered together. */
static void tell(lmn_infer *r)
{
    lmn_model *parent = NULL;
    for (lmn_infer *next; r; r = next) {
        lmn_model *of = r->parent;
        next = r->next;
        if (of && of != parent) {
            if (parent) lmn_ensemble_go_on(parent);
            lmn_ensemble_hold(of);
            parent = of;
        }
        r->done(r);
    }
    if (parent) lmn_ensemble_go_on(parent);
}

/* Give back what is done; lock held, let go while `done` is called (true: it was). With
 * preserve_ordering one thread does it at a time, and goes on while there are more. */
static bool answer(lmn_model *m)
{
    const bool ordered = m->config.batch.preserve_ordering;
    if (!m->batcher.answers || (ordered && m->answering)) return false;
    m->answering = true;
    for (lmn_infer *r; (r = lmn_batcher_answers(&m->batcher)) != NULL;) {
        for (const lmn_infer *k = r; k; k = k->next) lmn_model_count(m, k);
        lmn_mutex_unlock(&m->lock);
        tell(r);
        lmn_mutex_lock(&m->lock);
    }
    m->answering = false;
    return true;
}

/* How large are batches that a loop may run? Lock held. */
static void learn_quick(lmn_model *m, const lmn_batch *batch, uint64_t took_ns)
{
    uint64_t bytes = 0;
    for (const lmn_infer *r = batch->first; r; r = r->next) bytes += r->bytes;
    if (!took_ns || took_ns > LMN_MODEL_HERE_NS) {
        if (bytes <= m->quick_bytes) m->quick_bytes = 0;
    } else if (bytes > m->quick_bytes) {
        m->quick_bytes = bytes;
    }
}

/* Run a batch that was formed; lock held, let go meanwhile. */
static void run_batch(lmn_model *m, const lmn_batch *batch)
{
    lmn_runner *u = &m->runner[batch->instance];
    u->batch = *batch;
    lmn_atomic_store(&u->stop, m->aborted, relaxed);
    lmn_atomic_store(&m->beat_ns, batch->first->started_ns, relaxed);
    lmn_mutex_unlock(&m->lock);
    int64_t rows = batch->rows;
    const uint64_t took = lmn_runner_run(u, batch, &rows);
    const uint64_t now = lmn_now_ns();
    for (lmn_infer *r = batch->first; r; r = r->next) {
        r->computed_ns = now;
        if (m->cached && r->status == LAMINA_OK) lmn_respcache_keep(&m->cache, r);
    }
    lmn_atomic_store(&m->beat_ns, now, relaxed);
    lmn_mutex_lock(&m->lock);
    m->last.waited_ns = now - batch->first->arrived_ns;
    m->last.ran_ns = now - batch->first->started_ns;
    u->batch.n = 0;
    lmn_model_count_run(m, u, batch, rows, took, now);
    learn_quick(m, batch, took);
    lmn_batcher_done(&m->batcher, batch, rows, took, now);
}

/* The next batch, if there is one; lock held. */
static bool form(lmn_model *m, uint64_t now, lmn_batch *batch)
{
    const uint64_t away = lmn_atomic_load(&m->n_away, relaxed);
    lmn_batcher_turned(&m->batcher, away - m->n_away_seen);
    m->n_away_seen = away;
    const bool any = lmn_batcher_next(&m->batcher, now, batch);
    lmn_atomic_store(&m->full, 0, relaxed);
    lmn_atomic_store(&m->settled, any && lmn_batcher_settled(&m->batcher), relaxed);
    return any;
}

/* One batch, if there is one; lock held. False: nothing is there to do, and the lock was held all
 * the time, so who sleeps now misses nobody who came while others were answered. */
static bool step(lmn_model *m, uint64_t now)
{
    lmn_batch batch;
    const bool any = form(m, now, &batch);
    if (any) run_batch(m, &batch);
    return answer(m) || any;
}

/* ---- threads --------------------------------------------------------------------------------- */

static uint64_t until(uint64_t at, uint64_t now)
{
    if (at == UINT64_MAX) return 0; /* no limit */
    return at > now ? at - now : 1;
}

/* Is the next batch one that a loop may run? Lock held. */
static bool quick_next(const lmn_model *m)
{
    const uint64_t bytes = lmn_batcher_certain(&m->batcher);
    return bytes && bytes <= m->quick_bytes;
}

/* Are there answers to give, with which a loop wakes that may run the next batch? Lock held. */
static bool left_to_loop(const lmn_model *m)
{
    return m->batcher.answers && m->engine->topo.width == 1 && quick_next(m);
}

/* An instance: runs what there is, sleeps when there is nothing. What it runs next is taken off the
 * queue before those of the last run are answered: they come back at once, and find room. */
void *lmn_model_instance(void *arg)
{
    lmn_model *m = arg;
    lmn_thread_slice(SLICE_NS);
    lmn_mutex_lock(&m->lock);
    while (!m->ending) {
        const uint64_t now = lmn_now_ns();
        lmn_batch batch;
        const bool any = !left_to_loop(m) && form(m, now, &batch), told = answer(m);
        if (any) run_batch(m, &batch);
        if (any || told) continue;
        const uint32_t seen = lmn_atomic_load(&m->work, relaxed);
        const uint64_t at = lmn_batcher_look_again(&m->batcher);
        m->n_asleep++;
        m->asleep_until = at;
        lmn_mutex_unlock(&m->lock);
        lmn_futex_wait(&m->work, seen, until(at, now));
        lmn_mutex_lock(&m->lock);
        m->n_asleep--;
        m->asleep_until = UINT64_MAX; /* who still sleeps may do so for longer */
    }
    lmn_mutex_unlock(&m->lock);
    return NULL;
}

static bool all_gone(const lmn_batch *batch)
{
    for (const lmn_infer *r = batch->first; r; r = r->next)
        if (!r->gone || !lmn_atomic_load(r->gone, acquire)) return false;
    return true;
}

/* Are runs so long that somebody should look at them? */
static bool runs_long(const lmn_model *m)
{
    const uint64_t cost = lmn_batcher_cost(&m->batcher, m->batcher.whole);
    return !cost || cost > LONG_RUN_NS;
}

/* Stop batches that nobody waits for; true: look again. */
static bool watch_runs(lmn_model *m)
{
    bool any = false;
    for (uint32_t i = 0; i < m->batcher.config.n_instances; i++) {
        lmn_runner *u = &m->runner[i];
        if (!u->batch.n) continue;
        any = true;
        if (all_gone(&u->batch)) lmn_atomic_store(&u->stop, 1, release);
    }
    if (any && m->aborted) lamina_cancel(m->session); /* again: one may just have begun */
    return m->aborted ? any : (any || m->batcher.n_queued) && runs_long(m);
}

void *lmn_model_keeper(void *arg)
{
    lmn_model *m = arg;
    lmn_mutex_lock(&m->lock);
    while (!m->ending) {
        const uint64_t now = lmn_now_ns();
        lmn_batcher_expire(&m->batcher, now);
        lmn_atomic_store(&m->full, 0, relaxed);
        (void)answer(m);
        uint64_t at = m->batcher.free_mask ? UINT64_MAX : lmn_batcher_look_again(&m->batcher);
        const uint64_t again = now + (m->aborted ? ABORT_NS : LOOK_NS);
        if (watch_runs(m) && again < at) at = again;
        m->keeper_until = at;
        const uint32_t seen = lmn_atomic_load(&m->watch, relaxed);
        lmn_mutex_unlock(&m->lock);
        lmn_futex_wait(&m->watch, seen, until(at, now));
        lmn_mutex_lock(&m->lock);
    }
    lmn_mutex_unlock(&m->lock);
    return NULL;
}

/* Who sleeps has something to do; lock held. While the batcher holds what it has, only who would
   sleep past the end of that: clients that were answered together need not come again. The keeper
   only if it would sleep too long. */
static void order_wake(lmn_model *m, const lmn_infer *r, uint64_t now)
{
    const bool held = m->n_asleep && lmn_batcher_holds(&m->batcher, now);
    const uint64_t again = held ? lmn_batcher_look_again(&m->batcher) : 0;
    if (m->n_asleep && again < m->asleep_until) {
        if (held) m->asleep_until = again; /* one is enough */
        (void)lmn_atomic_add(&m->work, 1, relaxed);
        const uint64_t all = m->batcher.n_queued < m->n_asleep ? m->batcher.n_queued : m->n_asleep;
        const uint32_t n = held ? 1 : (uint32_t)all;
        if (lmn_atomic_load(&m->to_wake, relaxed) < n) lmn_atomic_store(&m->to_wake, n, relaxed);
    }
    const bool timed = !m->n_asleep && r->deadline_ns < m->keeper_until;
    if (!timed && !(m->keeper_until == UINT64_MAX && runs_long(m))) return;
    m->keeper_until = now;
    (void)lmn_atomic_add(&m->watch, 1, relaxed);
    lmn_futex_wake(&m->watch, 1);
}

/* ---- the contract ---------------------------------------------------------------------------- */

/* Its answer was kept: the next turn gives it. Lock held. */
static void take_hit(lmn_model *m, lmn_infer *r, uint64_t now)
{
    r->arrived_ns = r->queued_ns = r->started_ns = r->computed_ns = now;
    r->next = NULL;
    *(m->hits ? &m->hits_last->next : &m->hits) = r;
    m->hits_last = r;
    if (m->ensemble) (void)lmn_atomic_add(&m->ensemble->work, 1, release);
}

static void drop_hit(lmn_infer *r)
{
    for (uint32_t i = 0; i < r->n_result; i++) lamina_tensor_unref(r->result[i]);
    r->n_result = 0;
}

void lmn_model_answer_hits(lmn_model *m)
{
    lmn_mutex_lock(&m->lock);
    lmn_infer *r = m->hits;
    m->hits = m->hits_last = NULL;
    for (const lmn_infer *k = r; k; k = k->next) lmn_model_count(m, k);
    lmn_mutex_unlock(&m->lock);
    tell(r);
}

/* r was refused: would every other be? Lock held. */
static void note_full(lmn_model *m, const lmn_infer *r)
{
    if (lmn_batcher_full(&m->batcher) && !m->inlined && !m->cached)
        lmn_atomic_store(&m->full, r->retry_after_s, relaxed);
}

bool lmn_model_turns_away(lmn_model *m, uint32_t *retry_after_s)
{
    *retry_after_s = lmn_atomic_load(&m->full, relaxed);
    if (!*retry_after_s) return false;
    (void)lmn_atomic_add(&m->n_away, 1, relaxed);
    return true;
}

lamina_status lmn_model_submit(lmn_model *m, lmn_infer *r, uint64_t now)
{
    LMN_TRY(lmn_model_check(m, r));
    if (m->ensemble && !m->cached) return lmn_ensemble_submit(m, r, now);
    const bool hit = m->cached && lmn_respcache_find(&m->cache, r);
    lmn_mutex_lock(&m->lock);
    m->n_cache_hits += hit;
    m->n_cache_misses += m->cached && !hit;
    if (hit && m->closed) drop_hit(r);
    if (hit && !m->closed) {
        take_hit(m, r, now);
        lmn_mutex_unlock(&m->lock);
        return LAMINA_OK;
    }
    if (m->ensemble) {
        lmn_mutex_unlock(&m->lock);
        return lmn_ensemble_submit(m, r, now);
    }
    lamina_status st;
    for (;;) {
        if (m->closed) {
            r->retry_after_s = 1;
            st = r->status = lmn_fail(&r->error, LAMINA_E_CLOSED, "the model is being unloaded");
            break;
        }
        st = lmn_batcher_submit(&m->batcher, r, now);
        /* Rather than refuse, the thread that would refuse makes room; not for a step, which is
           submitted where others were answered, and might do so for ever deeper. */
        if (st != LAMINA_E_LIMIT || !m->inlined || r->parent || !step(m, now)) break;
    }
    if (st == LAMINA_E_LIMIT) note_full(m, r);
    if (st == LAMINA_OK) {
        if (!m->inlined) order_wake(m, r, now);
    } else {
        m->n_refused++;
        if (r->parent && m->steps) lmn_ensemble_count(m->steps, r);
    }
    lmn_mutex_unlock(&m->lock);
    return st;
}

uint64_t lmn_model_turn(lmn_model *m, uint64_t now)
{
    if (m->ensemble) return lmn_ensemble_turn(m, now);
    if (!m->inlined) {
        const uint32_t n = lmn_atomic_exchange(&m->to_wake, 0, acq_rel);
        if (n) lmn_futex_wake(&m->work, (int32_t)n);
        if (m->cached) lmn_model_answer_hits(m);
        return UINT64_MAX;
    }
    lmn_model_ref(m); /* an answer may let go of the last reference */
    if (m->cached) lmn_model_answer_hits(m);
    lmn_mutex_lock(&m->lock);
    while (step(m, now))
        if (m->batcher.n_queued) now = lmn_now_ns();
    const uint64_t at = lmn_batcher_look_again(&m->batcher);
    lmn_mutex_unlock(&m->lock);
    lmn_model_unref(m);
    return at;
}

uint64_t lmn_model_turn_idle(lmn_model *m, uint64_t now, lmn_model_here *here)
{
    here->more = false;
    if (m->inlined || m->ensemble || m->engine->topo.width > 1) return lmn_model_turn(m, now);
    lmn_model_ref(m);
    lmn_mutex_lock(&m->lock);
    const bool ran = quick_next(m) && step(m, now);
    if (ran && m->n_asleep &&
        m->batcher.n_queued) { /* told by the turn that does not run it here */
        (void)lmn_atomic_add(&m->work, 1, relaxed);
        if (!lmn_atomic_load(&m->to_wake, relaxed)) lmn_atomic_store(&m->to_wake, 1, relaxed);
    }
    *here = m->last;
    here->more = ran && quick_next(m);
    lmn_mutex_unlock(&m->lock);
    if (!ran) (void)lmn_model_turn(m, now);
    if (ran && m->cached) lmn_model_answer_hits(m);
    lmn_model_unref(m);
    return ran ? now : UINT64_MAX;
}

bool lmn_model_settled(const lmn_model *m)
{
    return lmn_atomic_load(&m->settled, relaxed) != 0;
}

void lmn_model_left(lmn_model *m)
{
    if (m->inlined || m->ensemble) return;
    lmn_mutex_lock(&m->lock);
    const bool look = m->keeper_until != UINT64_MAX && runs_long(m);
    if (look) (void)lmn_atomic_add(&m->watch, 1, relaxed);
    lmn_mutex_unlock(&m->lock);
    if (look) lmn_futex_wake(&m->watch, 1);
}

bool lmn_model_is_inline(const lmn_model *m)
{
    return m->inlined;
}

void lmn_model_close(lmn_model *m)
{
    lmn_mutex_lock(&m->lock);
    m->closed = true;
    lmn_mutex_unlock(&m->lock);
}

void lmn_model_abort(lmn_model *m)
{
    if (m->ensemble) {
        lmn_ensemble_abort(m);
        return;
    }
    lmn_model_ref(m);
    lmn_mutex_lock(&m->lock);
    m->closed = m->aborted = true;
    lmn_batcher_cancel_all(&m->batcher);
    lmn_atomic_store(&m->full, 0, relaxed);
    for (uint32_t i = 0; i < m->batcher.config.n_instances; i++)
        lmn_atomic_store(&m->runner[i].stop, 1, release);
    answer(m);
    (void)lmn_atomic_add(&m->watch, 1, relaxed);
    lmn_mutex_unlock(&m->lock);
    lamina_cancel(m->session);
    lmn_futex_wake(&m->watch, 1);
    lmn_model_unref(m);
}

lmn_model *lmn_model_ref(lmn_model *m)
{
    (void)lmn_atomic_add(&m->refs, 1, relaxed);
    return m;
}

void lmn_model_unref(lmn_model *m)
{
    if (!m || lmn_atomic_sub(&m->refs, 1, acq_rel) != 1) return;
    lmn_mutex_lock(&m->lock);
    m->closed = m->ending = true;
    (void)lmn_atomic_add(&m->work, 1, relaxed);
    (void)lmn_atomic_add(&m->watch, 1, relaxed);
    lmn_mutex_unlock(&m->lock);
    lmn_futex_wake(&m->work, INT32_MAX);
    lmn_futex_wake(&m->watch, INT32_MAX);
    for (uint32_t i = 0; i < m->n_started; i++) lmn_thread_join(&m->thread[i]);
    lmn_model_free(m);
}

void lmn_model_count_steps(lmn_model *m, struct lmn_version_shard *shard)
{
    m->steps = shard;
}

const lmn_signature *lmn_model_signature(const lmn_model *m)
{
    return &m->signature;
}

const lmn_model_config *lmn_model_get_config(const lmn_model *m)
{
    return &m->config;
}
