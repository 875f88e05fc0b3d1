/*
 * Lanes, their rings, and the slow halves of push and pop (mpmc_relaxed.h).
 *
 * Linearisation: a push at the release store of tail; a pop at the compare-and-swap of head; close
 * at the barrier between its two steps. Cells are written and read relaxed: a consumer reads only
 * cells below a tail that it acquired, and a cell read too late is thrown away, because head has
 * moved and the compare-and-swap fails.
 */
#include "sync/mpmc_relaxed.h"

#include "base/alloc.h"

#define TAG "queue lane"
/* A queue's `closed`: CLOSED when no push can begin that will be accepted, DRAINED when none is
 * under way and nothing is left. */
enum { OPEN, CLOSING, CLOSED, DRAINED };
/* Pushes through a ring that is too large before it is halved: what that costs is to be spread. */
#ifdef LMN_MC
#define CALM 1u
#else
#define CALM 16384u
#endif
#define MOST_CELLS ((uint64_t)1 << 48)

typedef lmn_relaxed_lane lane;
typedef lmn_relaxed_ring ring;
_Static_assert(offsetof(ring, retired) == 0, "a hazard pointer names the retired part");

/* ---- rings -------------------------------------------------------------------------------- */

static size_t ring_bytes(uint64_t cells)
{
    return sizeof(ring) + (size_t)cells * sizeof(void *);
}

static ring *ring_new(const lamina_allocator *a, uint64_t cells)
{
    ring *r = lmn_alloc(a, ring_bytes(cells), LMN_APART, TAG);
    if (!r) return NULL;
    lmn_plain_write(&r->mask, sizeof r->mask);
    r->mask = cells - 1;
    for (uint64_t i = 0; i < cells; i++) lmn_atomic_init(&r->cell[i], NULL);
    return r;
}

static void ring_free(const lamina_allocator *a, ring *r)
{
    lmn_free(a, r, ring_bytes(r->mask + 1), LMN_APART, TAG);
}

static void ring_reclaim(lmn_retired *r, void *alloc)
{
    ring_free(alloc, (ring *)(void *)r);
}

/* Where the producer has to look at head again: the ring is full, or it is time to ask whether it
 * is too large. */
static void limit_set(lmn_relaxed_producer *p, uint64_t head)
{
    const uint64_t full = head + p->mask + 1, round = (p->tail | p->mask) + 1;
    p->limit = full < round ? full : round;
}

/* A ring of another size with what is in the lane; the old one goes when no consumer is in it. */
static lamina_status ring_replace(lmn_relaxed_producer *p, uint64_t head, uint64_t cells)
{
    const lamina_allocator *a = &p->queue->domain->alloc;
    ring *old = p->ring, *r = ring_new(a, cells);
    if (!r) return LAMINA_E_NOMEM;
    for (uint64_t i = head; i != p->tail; i++) {
        void *item = lmn_atomic_load(&old->cell[i & old->mask], relaxed);
        lmn_atomic_store(&r->cell[i & r->mask], item, relaxed);
    }
    lmn_atomic_store(&p->lane->ring, (void *)r, release);
    p->ring = r;
    p->mask = cells - 1;
    lmn_smr_retire(p->hp, &old->retired, ring_reclaim, (void *)(uintptr_t)a);
    lmn_smr_scan(p->hp); /* rings are large, and this is rare */
    return LAMINA_OK;
}

/* How far consumers are. Acquire: they have read the cells that the producer may now fill again. */
static uint64_t head_of(const lane *l)
{
    return lmn_atomic_load(&l->head, acquire);
}

/* Room for n items. */
static lamina_status ring_fit(lmn_relaxed_producer *p, uint64_t n)
{
    const uint64_t head = head_of(p->lane);
    const uint64_t cells = p->mask + 1, need = p->tail - head + n;
    lamina_status st = LAMINA_OK;
    if (need > cells) {
        uint64_t more = cells;
        while (more < need && more < MOST_CELLS) more *= 2;
        st = more < need ? LAMINA_E_NOMEM : ring_replace(p, head, more);
        p->calm = 0;
    } else if (cells > LMN_RELAXED_CELLS && need <= cells / 8) {
        p->calm += cells;
        if (p->calm >= CALM && p->calm >= 4 * cells) {
            p->calm = 0;
            (void)ring_replace(p, head, cells / 2); /* without memory it stays as it is */
        }
    } else {
        p->calm = 0;
    }
    limit_set(p, head);
    return st;
}

/* ---- lanes -------------------------------------------------------------------------------- */

void lmn_relaxed_init(lmn_mpmc_relaxed *q, lmn_smr *domain)
{
    lmn_atomic_init(&q->lanes, NULL);
    lmn_atomic_init(&q->closed, OPEN);
    lmn_atomic_init(&q->n_lanes, 0);
    lmn_atomic_init(&q->n_consumers, 0);
    q->domain = domain;
}

void lmn_relaxed_finish(lmn_mpmc_relaxed *q)
{
    const lamina_allocator *a = &q->domain->alloc;
    for (lane *l = lmn_atomic_load(&q->lanes, relaxed); l;) {
        lane *next = l->next;
        ring_free(a, lmn_atomic_load(&l->ring, relaxed));
        lmn_free(a, l, sizeof *l, LMN_APART, TAG);
        l = next;
    }
    lmn_atomic_store(&q->lanes, NULL, relaxed);
}

static lane *lane_new(lmn_mpmc_relaxed *q)
{
    const lamina_allocator *a = &q->domain->alloc;
    lane *l = lmn_alloc(a, sizeof *l, LMN_APART, TAG);
    ring *r = l ? ring_new(a, LMN_RELAXED_CELLS) : NULL;
    if (!r) {
        lmn_free(a, l, sizeof *l, LMN_APART, TAG);
        return NULL;
    }
    lmn_atomic_init(&l->head, 0);
    lmn_atomic_init(&l->tail, 0);
    lmn_atomic_init(&l->announced, 0);
    lmn_atomic_init(&l->ring, (void *)r);
    lmn_atomic_init(&l->taken, 1);
    void *first = lmn_atomic_load(&q->lanes, relaxed);
    do {
        lmn_plain_write(&l->next, sizeof l->next);
        l->next = first;
    } while (!lmn_atomic_cas(&q->lanes, &first, (void *)l, release));
    (void)lmn_atomic_add(&q->n_lanes, 1, relaxed);
    return l;
}

static lane *lane_next(const lane *l)
{
    lmn_plain_read(&l->next, sizeof l->next);
    return l->next;
}

/* One that a producer left behind, or a new one. */
static lane *lane_take_over(lmn_mpmc_relaxed *q)
{
    for (lane *l = lmn_atomic_load(&q->lanes, acquire); l; l = lane_next(l)) {
        uint32_t is_free = 0;
        if (lmn_atomic_load(&l->taken, relaxed) == 0 &&
            lmn_atomic_cas(&l->taken, &is_free, 1, acquire))
            return l;
    }
    return lane_new(q);
}

lamina_status lmn_relaxed_produce(lmn_mpmc_relaxed *q, lmn_relaxed_producer *out)
{
    LMN_CHECK(lmn_atomic_load(&q->closed, relaxed) == OPEN, LAMINA_E_CLOSED);
    lmn_hp *hp = lmn_smr_join(q->domain);
    LMN_CHECK(hp, LAMINA_E_NOMEM);
    lane *l = lane_take_over(q);
    if (!l) {
        lmn_smr_leave(hp);
        return LAMINA_E_NOMEM;
    }
    *out = (lmn_relaxed_producer){.queue = q, .lane = l, .hp = hp};
    out->ring = lmn_atomic_load(&l->ring, relaxed);
    out->mask = out->ring->mask;
    out->tail = lmn_atomic_load(&l->tail, relaxed);
    limit_set(out, head_of(l));
    return LAMINA_OK;
}

void lmn_relaxed_stop_producing(lmn_relaxed_producer *p)
{
    const uint64_t head = head_of(p->lane);
    if (head == p->tail && p->mask + 1 > LMN_RELAXED_CELLS)
        (void)ring_replace(p, head, LMN_RELAXED_CELLS);
    lmn_atomic_store(&p->lane->taken, 0, release);
    lmn_smr_leave(p->hp);
}

lamina_status lmn_relaxed_push_bulk(lmn_relaxed_producer *p, void *const *items, size_t n)
{
    if (p->tail + n > p->limit) LMN_TRY(ring_fit(p, n));
    if (!lmn_relaxed_may_push(p, n)) return LAMINA_E_CLOSED;
    for (size_t i = 0; i < n; i++)
        lmn_atomic_store(&p->ring->cell[(p->tail + i) & p->mask], items[i], relaxed);
    p->tail += n;
    lmn_atomic_store(&p->lane->tail, p->tail, release);
    return LAMINA_OK;
}

void lmn_relaxed_close(lmn_mpmc_relaxed *q)
{
    uint32_t open = OPEN, closing = CLOSING;
    (void)lmn_atomic_cas(&q->closed, &open, CLOSING, relaxed);
    /* Who reads CLOSED sees the pushes that were announced before; the barrier releases them. */
    lmn_asym_heavy(q->domain->asym);
    (void)lmn_atomic_cas(&q->closed, &closing, CLOSED, relaxed);
}

/* ---- consumers ---------------------------------------------------------------------------- */

lamina_status lmn_relaxed_consume(lmn_mpmc_relaxed *q, lmn_relaxed_consumer *out)
{
    lmn_hp *hp = lmn_smr_join(q->domain);
    LMN_CHECK(hp, LAMINA_E_NOMEM);
    *out = (lmn_relaxed_consumer){.queue = q, .hp = hp};
    out->start = lmn_atomic_add(&q->n_consumers, 1, relaxed);
    return LAMINA_OK;
}

void lmn_relaxed_stop_consuming(lmn_relaxed_consumer *c)
{
    lmn_smr_leave(c->hp);
}

/* How far the lane is filled; the ring is at least as new as that. */
static void look(lmn_relaxed_consumer *c)
{
    c->tail = lmn_atomic_load(&c->lane->tail, acquire);
    if (lmn_atomic_load(&c->lane->ring, relaxed) == (void *)c->ring) return;
    c->ring = lmn_hp_protect(c->hp, 0, &c->lane->ring);
    lmn_plain_read(&c->ring->mask, sizeof c->ring->mask);
    c->mask = c->ring->mask;
}

/* On to the next lane, from the last to the first; the first time, to one's own. */
static void move_on(lmn_relaxed_consumer *c, lane *first)
{
    lane *l = c->lane ? lane_next(c->lane) : first;
    if (!c->lane) {
        const uint32_t n = lmn_atomic_load(&c->queue->n_lanes, relaxed);
        for (uint32_t i = n ? c->start % n : 0; i > 0 && l; i--) l = lane_next(l);
    }
    c->lane = l ? l : first;
    c->left = LMN_RELAXED_STAY;
    c->tail = 0; /* nothing of this lane was seen */
}

lamina_status lmn_relaxed_seek(lmn_relaxed_consumer *c)
{
    const uint32_t closed = lmn_atomic_load(&c->queue->closed, acquire);
    bool quiet = closed >= CLOSED; /* and no push under way in what was looked at */
    lane *first = lmn_atomic_load(&c->queue->lanes, acquire);
    if (closed == DRAINED || (quiet && !first)) return LAMINA_E_CLOSED;
    if (!first) return LAMINA_E_AGAIN;
    if (!c->left) move_on(c, first);
    lane *const began = c->lane;
    do {
        look(c);
        if (lmn_atomic_load(&c->lane->head, relaxed) < c->tail) return LAMINA_OK;
        if (quiet) quiet = lmn_atomic_load(&c->lane->announced, relaxed) == c->tail;
        move_on(c, first);
    } while (c->lane != began);
    if (!quiet) return LAMINA_E_AGAIN;
    lmn_atomic_store(&c->queue->closed, DRAINED, relaxed);
    return LAMINA_E_CLOSED;
}
