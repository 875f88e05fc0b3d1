/*
 * Announcing, claiming, waking (parking.h).
 *
 * No wake-up is lost: the sleeper writes its state and the count, passes the heavy barrier and
 * looks for work; the notifier publishes work, passes the light one and looks at the count and the
 * states: one sees the other. A notifier that leaves the work to a sleeper on its way has seen that
 * one CLAIMED; the sleeper ends this state, passes the heavy barrier and looks. Whoever turns a
 * state away from ASLEEP takes one off the count. The count may be too low for a moment, by one for
 * each sleeper that has not passed its barrier and so will see the work itself: good enough to wake
 * one, not to wake all.
 */
#include "sync/parking.h"

#include "sync/wait.h"

void lmn_parking_init(lmn_parking *lot, lmn_asym asym)
{
    lmn_atomic_init(&lot->asleep, 0);
    lot->asym = asym;
    lmn_atomic_init(&lot->claimed, NULL);
    lmn_atomic_init(&lot->n, 0);
    for (uint32_t i = 0; i < LMN_PARK_MAX; i++) lmn_atomic_init(&lot->sleeper[i], NULL);
}

bool lmn_park_register(lmn_parking *lot, lmn_sleeper *s)
{
    lmn_atomic_init(&s->state, LMN_PARK_AWAKE);
    uint32_t n = lmn_atomic_load(&lot->n, relaxed);
    do
        if (n == LMN_PARK_MAX) return false;
    while (!lmn_atomic_cas(&lot->n, &n, n + 1, relaxed));
    lmn_atomic_store(&lot->sleeper[n], (void *)s, release);
    return true;
}

void lmn_park_prepare(lmn_parking *lot, lmn_sleeper *s)
{
    (void)lmn_atomic_add(&lot->asleep, 1, relaxed);
    lmn_atomic_store(&s->state, LMN_PARK_ASLEEP, relaxed);
    lmn_asym_heavy(lot->asym);
}

bool lmn_park_cancel(lmn_parking *lot, lmn_sleeper *s)
{
    const uint32_t was = lmn_atomic_exchange(&s->state, LMN_PARK_AWAKE, relaxed);
    if (was == LMN_PARK_ASLEEP) (void)lmn_atomic_sub(&lot->asleep, 1, relaxed);
    if (was != LMN_PARK_CLAIMED) return false;
    lmn_asym_heavy(lot->asym);
    return true;
}

bool lmn_park_wait(lmn_parking *lot, lmn_sleeper *s)
{
    while (lmn_atomic_load(&s->state, relaxed) == LMN_PARK_ASLEEP)
        (void)lmn_word_wait(&s->state, LMN_PARK_ASLEEP, 0);
    return lmn_park_cancel(lot, s);
}

static bool wake_as(lmn_parking *lot, lmn_sleeper *s, uint32_t state)
{
    uint32_t asleep = LMN_PARK_ASLEEP;
    if (!lmn_atomic_cas(&s->state, &asleep, state, relaxed)) return false;
    (void)lmn_atomic_sub(&lot->asleep, 1, relaxed);
    if (state == LMN_PARK_CLAIMED) lmn_atomic_store(&lot->claimed, (void *)s, release);
    lmn_word_wake(&s->state, 1);
    return true;
}

static bool on_its_way(lmn_parking *lot)
{
    lmn_sleeper *s = lmn_atomic_load(&lot->claimed, acquire);
    return s && lmn_atomic_load(&s->state, relaxed) == LMN_PARK_CLAIMED;
}

void lmn_park_wake(lmn_parking *lot, uint32_t n)
{
    if (n == 1 && on_its_way(lot)) return;
    const uint32_t most = lmn_atomic_load(&lot->n, relaxed);
    for (uint32_t i = 0; i < most && n > 0; i++) {
        lmn_sleeper *s = lmn_atomic_load(&lot->sleeper[i], acquire);
        if (!s || lmn_atomic_load(&s->state, relaxed) != LMN_PARK_ASLEEP) continue;
        n -= wake_as(lot, s, LMN_PARK_CLAIMED);
    }
}

void lmn_park_wake_this(lmn_parking *lot, lmn_sleeper *s)
{
    (void)wake_as(lot, s, LMN_PARK_AWAKE);
}
