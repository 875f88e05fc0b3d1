/*
 * Joining and closing (offer.h).
 *
 * Linearisation: open at its release store, join at its compare-and-swap, close at the
 * fetch-and-and that takes OPEN away: who has not joined by then never does.
 */
#include "sync/offer.h"

#include "sync/wait.h"

#define NUMBERS 64 /* that are given by wish */
#define SPINS 2000 /* pauses before the caller sleeps: about what a wake-up costs */

void lmn_offer_init(lmn_offer *o)
{
    lmn_atomic_init(&o->word, 0);
    lmn_atomic_init(&o->numbers, 0);
    for (int i = 0; i < LMN_OFFER_RANGES; i++) lmn_atomic_init(&o->range[i].next, 0);
    o->loop = (lmn_loop){0};
}

static int32_t ranges(const lmn_loop *l)
{
    return l->width < LMN_OFFER_RANGES ? l->width : LMN_OFFER_RANGES;
}

/* The first chunk of range r of n; of range n the end. */
static int64_t range_begin(const lmn_loop *l, int32_t r, int32_t n)
{
    return l->n_chunks / n * r + lmn_min_i64(r, l->n_chunks % n);
}

bool lmn_offer_open(lmn_offer *o, const lmn_loop *loop)
{
    uint32_t unused = 0;
    if (lmn_atomic_load(&o->word, relaxed) != 0) return false;
    /* Acquire: the caller before is done with the fields. */
    if (!lmn_atomic_cas(&o->word, &unused, LMN_OFFER_OWNED, acquire)) return false;
    lmn_plain_write(&o->loop, sizeof o->loop);
    o->loop = *loop;
    const int32_t n = ranges(loop);
    for (int32_t r = 0; r < n; r++)
        lmn_atomic_store(&o->range[r].next, range_begin(loop, r, n), relaxed);
    lmn_atomic_store(&o->numbers, 1, relaxed);
    const uint32_t most = (uint32_t)loop->width << LMN_OFFER_MOST_SHIFT;
    const uint32_t given = (uint32_t)1 << LMN_OFFER_GIVEN_SHIFT;
    lmn_atomic_store(&o->word, LMN_OFFER_OWNED | LMN_OFFER_OPEN | most | given, release);
    return true;
}

/* The chunks that are left of a range; false: the loop was stopped. */
static bool work_on(lmn_offer_range *at, const lmn_loop *l, int64_t end, int32_t worker)
{
    while (lmn_atomic_load(&at->next, relaxed) < end) {
        if (l->stopped && l->stopped(l->stop_ctx)) return false;
        const int64_t c = lmn_atomic_add(&at->next, 1, relaxed);
        if (c >= end) break;
        l->fn(l->arg, c, worker);
    }
    return true;
}

void lmn_offer_work(lmn_offer *o, int32_t worker)
{
    lmn_plain_read(&o->loop, sizeof o->loop);
    const lmn_loop loop = o->loop;
    const int32_t n = ranges(&loop), own = worker % n;
    for (int32_t i = 0; i < n; i++) {
        const int32_t r = own + i < n ? own + i : own + i - n;
        if (!work_on(&o->range[r], &loop, range_begin(&loop, r + 1, n), worker)) return;
    }
}

/* A number for who has joined by `word`; there is one for each of the loop's width. */
static int32_t take_number(lmn_offer *o, int32_t wish, uint32_t word)
{
    const int32_t width = (int32_t)lmn_offer_most(word);
    if (width > NUMBERS) return (int32_t)lmn_offer_given(word);
    for (int32_t at = wish > 0 && wish < width ? wish : 1;; at = at + 1 < width ? at + 1 : 1) {
        const uint64_t bit = (uint64_t)1 << at;
        if (!(lmn_atomic_or(&o->numbers, bit, relaxed) & bit)) return at;
    }
}

int32_t lmn_offer_join(lmn_offer *o, int32_t wish)
{
    uint32_t word = lmn_atomic_load(&o->word, relaxed);
    while (lmn_offer_wanted(word))
        if (lmn_atomic_cas(&o->word, &word, word + ((uint32_t)1 << LMN_OFFER_GIVEN_SHIFT) + 1,
                           acquire))
            return take_number(o, wish, word);
    return 0;
}

void lmn_offer_leave(lmn_offer *o)
{
    /* Nobody else need look. */
    if (lmn_atomic_load(&o->word, relaxed) & LMN_OFFER_OPEN)
        (void)lmn_atomic_and(&o->word, ~LMN_OFFER_OPEN, relaxed);
    const uint32_t was = lmn_atomic_sub(&o->word, 1, release);
    if (was & LMN_OFFER_WAITED && lmn_offer_inside(was) == 1) lmn_word_wake(&o->word, 1);
}

void lmn_offer_close(lmn_offer *o)
{
    uint32_t word = lmn_atomic_and(&o->word, ~LMN_OFFER_OPEN, acquire) & ~LMN_OFFER_OPEN;
#ifndef LMN_MC
    for (int i = 0; i < SPINS && lmn_offer_inside(word); i++) {
        lmn_cpu_pause();
        word = lmn_atomic_load(&o->word, acquire);
    }
#endif
    if (lmn_offer_inside(word))
        word = lmn_atomic_or(&o->word, LMN_OFFER_WAITED, acquire) | LMN_OFFER_WAITED;
    while (lmn_offer_inside(word)) {
        (void)lmn_word_wait(&o->word, word, 0);
        word = lmn_atomic_load(&o->word, acquire);
    }
    lmn_atomic_store(&o->word, 0, release);
}
