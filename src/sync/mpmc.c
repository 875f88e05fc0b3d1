/*
 * The FAA-array queue (mpmc.h).
 *
 * Linearisation: a push at the fetch-and-add of the ticket whose cell it fills, or at the link of
 * the segment that carries its item; a pop at the fetch-and-add of the ticket whose cell it takes;
 * close at the compare-and-swap that sets CLOSED or links END. A segment's `filled` gets CLOSED
 * only while it has tickets left, so that CLOSED always means closed; a full last segment is closed
 * by END as its next.
 */
#include "sync/mpmc.h"

#include "base/alloc.h"
#include "base/os/os_thread.h"

#define N LMN_MPMC_CELLS
#define CLOSED ((uint64_t)1 << 63)
#define TAKEN ((void *)(uintptr_t)1)
#define END ((void *)(uintptr_t)1)
#define SPINS 64

struct lmn_mpmc_segment {
    lmn_retired retired; /* first: hazard pointers name the segment by it */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) taken;  /* tickets of consumers */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) filled; /* tickets of producers, and CLOSED */
    _Alignas(LMN_APART) lmn_atomic(void *) next;
    lmn_atomic(void *) cell[N];
};
typedef lmn_mpmc_segment segment;
_Static_assert(offsetof(segment, retired) == 0, "a hazard pointer names the retired part");

size_t lmn_mpmc_segment_bytes(void)
{
    return sizeof(segment);
}

static segment *segment_new(const lamina_allocator *a, void *first)
{
    segment *s = lmn_alloc(a, sizeof *s, LMN_APART, "queue segment");
    if (!s) return NULL;
    lmn_atomic_init(&s->taken, 0);
    lmn_atomic_init(&s->filled, first != NULL);
    lmn_atomic_init(&s->next, NULL);
    lmn_atomic_init(&s->cell[0], first);
    for (uint32_t i = 1; i < N; i++) lmn_atomic_init(&s->cell[i], NULL);
    return s;
}

static void segment_free(const lamina_allocator *a, segment *s)
{
    lmn_free(a, s, sizeof *s, LMN_APART, "queue segment");
}

static void segment_reclaim(lmn_retired *r, void *alloc)
{
    segment_free(alloc, (segment *)(void *)r);
}

lamina_status lmn_mpmc_init(lmn_mpmc *q, lmn_smr *domain)
{
    segment *s = segment_new(&domain->alloc, NULL);
    if (!s) return LAMINA_E_NOMEM;
    q->domain = domain;
    lmn_atomic_init(&q->head, (void *)s);
    lmn_atomic_init(&q->tail, (void *)s);
    return LAMINA_OK;
}

void lmn_mpmc_finish(lmn_mpmc *q)
{
    for (segment *s = lmn_atomic_load(&q->head, relaxed); s && s != END;) {
        segment *next = lmn_atomic_load(&s->next, relaxed);
        segment_free(&q->domain->alloc, s);
        s = next;
    }
}

/* The tail is full: append a segment with the item, or move on to the one that somebody did.
 * E_AGAIN: look again. */
static lamina_status push_segment(lmn_mpmc *q, segment *tail, void *item)
{
    void *next = lmn_atomic_load(&tail->next, acquire);
    if (next == END) return LAMINA_E_CLOSED;
    if (!next) {
        segment *s = segment_new(&q->domain->alloc, item);
        if (!s) return LAMINA_E_NOMEM;
        if (lmn_atomic_cas(&tail->next, &next, (void *)s, acq_rel)) {
            void *old = tail;
            (void)lmn_atomic_cas(&q->tail, &old, (void *)s, release);
            return LAMINA_OK;
        }
        segment_free(&q->domain->alloc, s);
        if (next == END) return LAMINA_E_CLOSED;
    }
    void *old = tail;
    (void)lmn_atomic_cas(&q->tail, &old, next, release);
    return LAMINA_E_AGAIN;
}

lamina_status lmn_mpmc_push(lmn_mpmc *q, lmn_hp *hp, void *item)
{
    lamina_status st = LAMINA_E_AGAIN;
    while (st == LAMINA_E_AGAIN) {
        segment *tail = lmn_hp_protect(hp, 0, &q->tail);
        const uint64_t ticket = lmn_atomic_add(&tail->filled, 1, relaxed);
        void *empty = NULL;
        if (ticket & CLOSED)
            st = LAMINA_E_CLOSED;
        else if (ticket >= N)
            st = push_segment(q, tail, item);
        else if (lmn_atomic_cas(&tail->cell[ticket], &empty, item, release))
            st = LAMINA_OK;
    }
    lmn_hp_clear(hp, 0);
    return st;
}

/* The cell of a ticket: a producer may be about to fill it, so look a while before spoiling it. */
static void *take(segment *s, uint64_t ticket)
{
#ifndef LMN_MC
    for (int i = 0; i < SPINS && !lmn_atomic_load(&s->cell[ticket], relaxed); i++) lmn_cpu_pause();
#endif
    return lmn_atomic_exchange(&s->cell[ticket], TAKEN, acquire);
}

/* The head is used up: go on to the next segment. */
static lamina_status pop_segment(lmn_mpmc *q, lmn_hp *hp, segment *head)
{
    void *next = lmn_atomic_load(&head->next, acquire), *old = head;
    if (!next) return LAMINA_OK; /* empty for now */
    if (next == END) return LAMINA_E_CLOSED;
    if (lmn_atomic_cas(&q->head, &old, next, release)) {
        /* A tail that lags must not lead anybody to what is about to go. */
        old = head;
        (void)lmn_atomic_cas(&q->tail, &old, next, release);
        lmn_hp_clear(hp, 0);
        lmn_smr_retire(hp, &head->retired, segment_reclaim, &q->domain->alloc);
    }
    return LAMINA_E_AGAIN;
}

/* OK: an item; E_AGAIN: look again; E_STATE: empty. */
static lamina_status pop_once(lmn_mpmc *q, lmn_hp *hp, void **item)
{
    segment *head = lmn_hp_protect(hp, 0, &q->head);
    const uint64_t taken = lmn_atomic_load(&head->taken, relaxed);
    const uint64_t filled = lmn_atomic_load(&head->filled, relaxed);
    if (taken >= (filled & ~CLOSED) && filled < N) return LAMINA_E_STATE;
    if (taken >= (filled & ~CLOSED) && filled & CLOSED) return LAMINA_E_CLOSED;
    const uint64_t ticket = taken < N ? lmn_atomic_add(&head->taken, 1, relaxed) : taken;
    if (ticket >= N) {
        const lamina_status st = pop_segment(q, hp, head);
        return st == LAMINA_OK ? LAMINA_E_STATE : st;
    }
    *item = take(head, ticket);
    return *item ? LAMINA_OK : LAMINA_E_AGAIN;
}

lamina_status lmn_mpmc_pop(lmn_mpmc *q, lmn_hp *hp, void **item)
{
    lamina_status st;
    do st = pop_once(q, hp, item);
    while (st == LAMINA_E_AGAIN);
    lmn_hp_clear(hp, 0);
    return st == LAMINA_E_STATE ? LAMINA_E_AGAIN : st;
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
