/*
 * The FAA-array queue (mpmc.h).
 *
 * Linearisation: a push at the fetch-and-add of the ticket whose cell it fills, or at the link of
 * the segment that carries its item; a pop at the fetch-and-add of the ticket whose cell it takes;
 * close at the compare-and-swap that sets CLOSED or links END. A segment's `filled` gets CLOSED
 * only while it has tickets left, so that CLOSED always means closed; a full last segment is closed
 * by END as its next. A bulk push fills its tickets from the lowest: an item whose cell is spoilt
 * goes to the next one, and so do all after it, which keeps a producer's order.
 */
#include "sync/mpmc.h"

#include "base/alloc.h"
#include "base/os/os_thread.h"

#define N LMN_MPMC_CELLS
#define CLOSED ((uint64_t)1 << 63)
#define TAKEN ((void *)(uintptr_t)1)
#define END ((void *)(uintptr_t)1)
#define SPINS 64
#define TAG "queue segment"
#define POOL_TAG "queue pool"

struct lmn_mpmc_segment {
    lmn_retired retired; /* first: hazard pointers name the segment by it */
    lmn_mpmc_pool *pool;
    _Alignas(LMN_APART) lmn_atomic(uint64_t) taken;  /* tickets of consumers */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) filled; /* tickets of producers, and CLOSED */
    _Alignas(LMN_APART) lmn_atomic(void *) next;
    lmn_atomic(void *) cell[N];
};
typedef lmn_mpmc_segment segment;
typedef lmn_mpmc_pool pool;
_Static_assert(offsetof(segment, retired) == 0, "a hazard pointer names the retired part");

size_t lmn_mpmc_segment_bytes(void)
{
    return sizeof(segment);
}

/* ---- segments ----------------------------------------------------------------------------- */

static void segment_free(const lamina_allocator *a, segment *s)
{
    lmn_free(a, s, sizeof *s, LMN_APART, TAG);
}

/* One segment less, or the queue itself: the last user takes the pool away. */
static void pool_release(pool *p)
{
    if (lmn_atomic_sub(&p->users, 1, acq_rel) != 1) return;
    const lamina_allocator a = p->alloc;
    for (uint32_t i = 0; i < p->n_spare; i++)
        segment_free(&a, lmn_atomic_load(&p->spare[i], relaxed));
    lmn_free(&a, p, sizeof *p, LMN_APART, POOL_TAG);
}

/* A segment with up to N items. */
static segment *segment_new(pool *p, void *const *items, uint64_t n)
{
    segment *s = NULL;
    for (uint32_t i = 0; i < p->n_spare && !s; i++)
        if (lmn_atomic_load(&p->spare[i], relaxed))
            s = lmn_atomic_exchange(&p->spare[i], NULL, acquire);
    if (!s) s = lmn_alloc(&p->alloc, sizeof *s, LMN_APART, TAG);
    if (!s) return NULL;
    (void)lmn_atomic_add(&p->users, 1, relaxed);
    lmn_plain_write(&s->pool, sizeof s->pool);
    s->pool = p;
    lmn_atomic_init(&s->taken, 0);
    lmn_atomic_init(&s->filled, n);
    lmn_atomic_init(&s->next, NULL);
    for (uint64_t i = 0; i < N; i++) lmn_atomic_init(&s->cell[i], i < n ? items[i] : NULL);
    return s;
}

/* Nobody can reach the segment: among the spare ones, or away. */
static void segment_drop(segment *s)
{
    lmn_plain_read(&s->pool, sizeof s->pool);
    pool *p = s->pool;
    for (uint32_t i = 0; i < p->n_spare && s; i++) {
        void *none = NULL;
        if (lmn_atomic_load(&p->spare[i], relaxed)) continue;
        if (lmn_atomic_cas(&p->spare[i], &none, (void *)s, release)) s = NULL;
    }
    if (s) segment_free(&p->alloc, s);
    pool_release(p);
}

static void segment_reclaim(lmn_retired *r, void *ctx)
{
    (void)ctx;
    segment_drop((segment *)(void *)r);
}

lamina_status lmn_mpmc_init(lmn_mpmc *q, lmn_smr *domain)
{
    pool *p = lmn_alloc(&domain->alloc, sizeof *p, LMN_APART, POOL_TAG);
    if (!p) return LAMINA_E_NOMEM;
    p->alloc = domain->alloc;
    p->n_spare = LMN_MPMC_SPARE;
    lmn_atomic_init(&p->users, 1);
    for (uint32_t i = 0; i < LMN_MPMC_SPARE; i++) lmn_atomic_init(&p->spare[i], NULL);
    segment *s = segment_new(p, NULL, 0);
    if (!s) {
        pool_release(p);
        return LAMINA_E_NOMEM;
    }
    q->domain = domain;
    q->pool = p;
    q->capacity = 0;
    lmn_atomic_init(&q->used, 0);
    lmn_atomic_init(&q->head, (void *)s);
    lmn_atomic_init(&q->tail, (void *)s);
    return LAMINA_OK;
}

void lmn_mpmc_finish(lmn_mpmc *q)
{
    for (segment *s = lmn_atomic_load(&q->head, relaxed); s && s != END;) {
        segment *next = lmn_atomic_load(&s->next, relaxed);
        segment_drop(s);
        s = next;
    }
    pool_release(q->pool);
}

/* ---- capacity ----------------------------------------------------------------------------- */

void lmn_mpmc_limit(lmn_mpmc *q, uint64_t n)
{
    q->capacity = n;
}

/* Leave for up to n pushes. Not by a fetch-and-add that is taken back: for a moment that looks like
 * items to others, who would wait for somebody to take them. */
static size_t credit_take(lmn_mpmc *q, size_t n)
{
    uint64_t used = lmn_atomic_load(&q->used, relaxed), k;
    do {
        const uint64_t room = used < q->capacity ? q->capacity - used : 0;
        k = room < n ? room : n;
    } while (k && !lmn_atomic_cas(&q->used, &used, used + k, relaxed));
    return (size_t)k;
}

static void credit_give(lmn_mpmc *q, size_t n)
{
    if (q->capacity && n) (void)lmn_atomic_sub(&q->used, n, relaxed);
}

/* ---- push --------------------------------------------------------------------------------- */

/* The tail is full: append a segment with items, or move on to the one that somebody did. E_AGAIN:
 * look again. */
static lamina_status push_segment(lmn_mpmc *q, segment *tail, void *const *items, size_t n,
                                  size_t *done)
{
    void *next = lmn_atomic_load(&tail->next, acquire);
    if (next == END) return LAMINA_E_CLOSED;
    if (!next) {
        const size_t k = n < N ? n : N;
        segment *s = segment_new(q->pool, items, k);
        if (!s) return LAMINA_E_NOMEM;
        if (lmn_atomic_cas(&tail->next, &next, (void *)s, acq_rel)) {
            void *old = tail;
            (void)lmn_atomic_cas(&q->tail, &old, (void *)s, release);
            *done += k;
            return LAMINA_OK;
        }
        segment_drop(s);
        if (next == END) return LAMINA_E_CLOSED;
    }
    void *old = tail;
    (void)lmn_atomic_cas(&q->tail, &old, next, release);
    return LAMINA_E_AGAIN;
}

/* As many as go into the tickets of one fetch-and-add; E_AGAIN: look again. */
static lamina_status push_some(lmn_mpmc *q, lmn_hp *hp, void *const *items, size_t n, size_t *done)
{
    segment *tail = lmn_hp_protect(hp, 0, &q->tail);
    const uint64_t draw = n < N ? n : N;
    const uint64_t ticket = lmn_atomic_add(&tail->filled, draw, relaxed);
    if (ticket & CLOSED) return LAMINA_E_CLOSED;
    if (ticket >= N) return push_segment(q, tail, items, n, done);
    size_t k = 0;
    for (uint64_t i = ticket; i < ticket + draw && i < N; i++) {
        void *empty = NULL;
        k += lmn_atomic_cas(&tail->cell[i], &empty, items[k], release);
    }
    *done += k;
    return k ? LAMINA_OK : LAMINA_E_AGAIN;
}

static lamina_status push_all(lmn_mpmc *q, lmn_hp *hp, void *const *items, size_t n, size_t *done)
{
    lamina_status st = LAMINA_OK;
    while (*done < n && (st == LAMINA_OK || st == LAMINA_E_AGAIN))
        st = push_some(q, hp, items + *done, n - *done, done);
    lmn_hp_clear(hp, 0);
    return st;
}

lamina_status lmn_mpmc_push_bulk(lmn_mpmc *q, lmn_hp *hp, void *const *items, size_t n,
                                 size_t *done)
{
    *done = 0;
    const size_t may = q->capacity ? credit_take(q, n) : n;
    const lamina_status st = push_all(q, hp, items, may, done);
    credit_give(q, may - *done);
    return st == LAMINA_OK && may < n ? LAMINA_E_AGAIN : st;
}

lamina_status lmn_mpmc_push(lmn_mpmc *q, lmn_hp *hp, void *item)
{
    size_t done;
    if (LMN_UNLIKELY(q->capacity)) return lmn_mpmc_push_bulk(q, hp, &item, 1, &done);
    segment *tail = lmn_hp_protect(hp, 0, &q->tail);
    const uint64_t ticket = lmn_atomic_add(&tail->filled, 1, relaxed);
    void *empty = NULL;
    if (LMN_LIKELY(ticket < N && lmn_atomic_cas(&tail->cell[ticket], &empty, item, release))) {
        lmn_hp_clear(hp, 0);
        return LAMINA_OK;
    }
    return lmn_mpmc_push_bulk(q, hp, &item, 1, &done);
}

/* ---- pop ---------------------------------------------------------------------------------- */

/* The cell of a ticket, which nobody else takes: a producer may be about to fill it, so look a
 * while before spoiling it; not for long in all, since a producer of many may have stopped. NULL:
 * spoilt. */
static void *take(segment *s, uint64_t ticket, int *spins)
{
    void *item = lmn_atomic_load(&s->cell[ticket], acquire);
#ifndef LMN_MC
    for (; *spins > 0 && !item; --*spins) {
        lmn_cpu_pause();
        item = lmn_atomic_load(&s->cell[ticket], acquire);
    }
#else
    (void)spins;
#endif
    return item ? item : lmn_atomic_exchange(&s->cell[ticket], TAKEN, acquire);
}

/* The head is used up: go on to the next segment. E_STATE: empty. */
static lamina_status pop_segment(lmn_mpmc *q, lmn_hp *hp, segment *head)
{
    void *next = lmn_atomic_load(&head->next, acquire), *old = head;
    if (!next) return LAMINA_E_STATE;
    if (next == END) return LAMINA_E_CLOSED;
    if (lmn_atomic_cas(&q->head, &old, next, release)) {
        /* A tail that lags must not lead anybody to what is about to go. */
        old = head;
        (void)lmn_atomic_cas(&q->tail, &old, next, release);
        lmn_hp_clear(hp, 0);
        lmn_smr_retire(hp, &head->retired, segment_reclaim, NULL);
    }
    return LAMINA_E_AGAIN;
}

/* OK: items; E_AGAIN: look again; E_STATE: empty. */
static lamina_status pop_some(lmn_mpmc *q, lmn_hp *hp, void **items, size_t n, size_t *got,
                              int *spins)
{
    segment *head = lmn_hp_protect(hp, 0, &q->head);
    const uint64_t taken = lmn_atomic_load(&head->taken, relaxed);
    if (taken >= N) {
        const bool closed = lmn_atomic_load(&head->filled, relaxed) & CLOSED;
        return closed ? LAMINA_E_CLOSED : pop_segment(q, hp, head);
    }
    uint64_t draw = 1;
    if (n > 1 || !lmn_atomic_load(&head->cell[taken], relaxed)) {
        const uint64_t filled = lmn_atomic_load(&head->filled, relaxed), end = filled & ~CLOSED;
        if (taken >= end) return filled & CLOSED ? LAMINA_E_CLOSED : LAMINA_E_STATE;
        draw = end - taken < n ? end - taken : n;
    }
    const uint64_t ticket = lmn_atomic_add(&head->taken, draw, relaxed);
    size_t k = 0;
    for (uint64_t i = ticket; i < ticket + draw && i < N; i++) {
        items[k] = take(head, i, spins);
        k += items[k] != NULL;
    }
    *got = k;
    return k ? LAMINA_OK : LAMINA_E_AGAIN;
}

lamina_status lmn_mpmc_pop_bulk(lmn_mpmc *q, lmn_hp *hp, void **items, size_t n, size_t *got)
{
    lamina_status st;
    int spins = SPINS;
    *got = 0;
    do st = pop_some(q, hp, items, n, got, &spins);
    while (st == LAMINA_E_AGAIN);
    lmn_hp_clear(hp, 0);
    credit_give(q, *got);
    return st == LAMINA_E_STATE ? LAMINA_E_AGAIN : st;
}

lamina_status lmn_mpmc_pop(lmn_mpmc *q, lmn_hp *hp, void **item)
{
    size_t got;
    return lmn_mpmc_pop_bulk(q, hp, item, 1, &got);
}

void lmn_mpmc_close(lmn_mpmc *q, lmn_hp *hp)
{
    for (bool done = false; !done;) {
        segment *tail = lmn_hp_protect(hp, 0, &q->tail);
        uint64_t filled = lmn_atomic_load(&tail->filled, relaxed);
        while (!done && filled < N)
            done = lmn_atomic_cas(&tail->filled, &filled, filled | CLOSED, relaxed);
        if (done || filled & CLOSED) break;
        void *next = NULL, *old = tail;
        done = lmn_atomic_cas(&tail->next, &next, END, acquire) || next == END;
        if (!done) (void)lmn_atomic_cas(&q->tail, &old, next, release);
    }
    lmn_hp_clear(hp, 0);
}
