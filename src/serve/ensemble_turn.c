/*
 * Turns of an ensemble: the models of its steps are run until none of them got anything new, by
 * whoever has answered steps, by a loop, or by the keeper, a thread of its own, when a model that
 * has none wants to be called later. Not here: what a request does on its way (ensemble.c).
 */
#include "serve/ensemble_int.h"

#define MORE_ROUNDS 4u /* of a turn, beyond those that its own requests need */

/* Is this thread in a turn of it already, further up? Else its place, or NULL when there is none.
 */
static bool enter(lmn_ensemble *e, lmn_atomic(uintptr_t) * *place)
{
    const uintptr_t key = lmn_thread_key();
    *place = NULL;
    for (uint32_t i = 0; i < LMN_ENSEMBLE_THREADS; i++)
        if (lmn_atomic_load(&e->inside[i], relaxed) == key) return false;
    for (uint32_t i = 0; i < LMN_ENSEMBLE_THREADS && !*place; i++) {
        uintptr_t none = 0;
        if (!lmn_atomic_load(&e->inside[i], relaxed) &&
            lmn_atomic_cas(&e->inside[i], &none, key, relaxed))
            *place = &e->inside[i];
    }
    return true;
}

/* A turn may answer steps of this very ensemble; those who do so inside it leave the rest to it.
   Others may submit all the while: after some rounds the caller is asked to come again at once, so
   that a loop gets back to its connections. */
uint64_t lmn_ensemble_turn(lmn_model *m, uint64_t now)
{
    lmn_ensemble *e = m->ensemble;
    lmn_atomic(uintptr_t) * place;
    uint64_t soonest;
    uint32_t seen, rounds = 0;
    if (!enter(e, &place)) return UINT64_MAX;
    do {
        seen = lmn_atomic_load(&e->work, acquire);
        if (m->cached) lmn_model_answer_hits(m);
        soonest = UINT64_MAX;
        for (uint32_t i = 0; i < e->n_members; i++) {
            const uint64_t at = lmn_model_turn(e->members[i].model, now);
            if (at < soonest) soonest = at;
        }
        now = lmn_now_ns();
        if (lmn_atomic_load(&e->work, acquire) == seen) break;
        if (++rounds > e->n_steps + MORE_ROUNDS) soonest = now;
    } while (rounds <= e->n_steps + MORE_ROUNDS);
    if (place) lmn_atomic_store(place, 0, relaxed);
    return soonest;
}

void lmn_ensemble_hold(lmn_model *m)
{
    m->ensemble->source.keep(m->ensemble->source.self);
}

/* Wake the keeper. */
static void ring(lmn_ensemble *e)
{
    (void)lmn_atomic_add(&e->bell, 1, release);
    lmn_futex_wake(&e->bell, 1);
}

/* The keeper shall turn it at that time. */
static void set_alarm(lmn_model *m, uint64_t at)
{
    lmn_ensemble *e = m->ensemble;
    lmn_mutex_lock(&m->lock);
    const bool sooner = at < e->alarm;
    if (sooner) e->alarm = at;
    lmn_mutex_unlock(&m->lock);
    if (sooner) ring(e);
}

void lmn_ensemble_go_on(lmn_model *m)
{
    const lmn_ensemble_source source = m->ensemble->source;
    uint64_t at;
    do at = lmn_ensemble_turn(m, lmn_now_ns());
    while (at <= lmn_now_ns());
    if (at != UINT64_MAX) set_alarm(m, at);
    source.drop(source.self);
}

/* Turns it when a model of it that has no thread wants to be called later. */
static void *keep(void *arg)
{
    lmn_model *m = arg;
    lmn_ensemble *e = m->ensemble;
    for (;;) {
        const uint32_t heard = lmn_atomic_load(&e->bell, acquire);
        const uint64_t now = lmn_now_ns();
        lmn_mutex_lock(&m->lock);
        const bool ending = e->ending, due = e->alarm <= now;
        const uint64_t at = e->alarm;
        if (due) e->alarm = UINT64_MAX;
        lmn_mutex_unlock(&m->lock);
        if (ending) return NULL;
        if (due) {
            const uint64_t again = lmn_ensemble_turn(m, now);
            if (again != UINT64_MAX) set_alarm(m, again);
        } else {
            lmn_futex_wait(&e->bell, heard, at == UINT64_MAX ? 0 : at - now);
        }
    }
}

lamina_status lmn_ensemble_start(lmn_model *m)
{
    lmn_ensemble *e = m->ensemble;
    e->alarm = UINT64_MAX;
    if (!e->timed) return LAMINA_OK;
    LMN_TRY(lmn_thread_start(&e->keeper, keep, m));
    e->started = true;
    return LAMINA_OK;
}

void lmn_ensemble_stop(lmn_model *m)
{
    lmn_ensemble *e = m->ensemble;
    if (!e->started) return;
    lmn_mutex_lock(&m->lock);
    e->ending = true;
    lmn_mutex_unlock(&m->lock);
    ring(e);
    lmn_thread_join(&e->keeper);
}
