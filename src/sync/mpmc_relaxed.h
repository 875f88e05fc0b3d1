/*
 * lmn_mpmc_relaxed: an unbounded queue of pointers between many producers and many consumers, each
 * producer with a lane of its own.
 *
 * Order: FIFO for each producer, none between producers. Progress: push wait-free but for growing,
 * pop lock-free; a thread that stalls stops nobody and holds no item. Memory: a lane for each
 * producer there ever was at once, a ring a lane that doubles when it is full and halves when it
 * stays below an eighth, and the old rings that hazard pointers hold: one a consumer at most. Who:
 * a thread with a handle made by lmn_relaxed_produce or _consume, which it alone uses. Closing:
 * after lmn_relaxed_close a push is refused; what was accepted before is still delivered, once;
 * then pop says E_CLOSED.
 *
 * A lane is a ring with one writer (Chase and Lev 2005, from the stealing end): a consumer reads
 * the cell at head and then moves head by compare-and-swap, so a cell is free when head has passed
 * it and nothing is kept per item. A consumer stays with a lane while it finds items, and moves on
 * after LMN_RELAXED_STAY of them, so that no lane waits for ever.
 */
#ifndef LMN_SYNC_MPMC_RELAXED_H
#define LMN_SYNC_MPMC_RELAXED_H

#include "sync/smr.h"

#ifdef LMN_MC
#define LMN_RELAXED_CELLS 2u
#define LMN_RELAXED_STAY 2u
#else
#define LMN_RELAXED_CELLS 32u /* of the smallest ring */
#define LMN_RELAXED_STAY 256u
#endif

/* Cells of a lane; replaced as a whole. */
typedef struct lmn_relaxed_ring {
    lmn_retired retired; /* first: hazard pointers name the ring by it */
    uint64_t mask;
    _Alignas(LMN_APART) lmn_atomic(void *) cell[];
} lmn_relaxed_ring;

typedef struct lmn_relaxed_lane {
    _Alignas(LMN_APART) lmn_atomic(uint64_t) head; /* consumers */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) tail; /* the producer, as all from here on */
    lmn_atomic(uint64_t) announced;                /* tail, or what a push under way makes it */
    lmn_atomic(void *) ring;                       /* lmn_relaxed_ring */
    lmn_atomic(uint32_t) taken;                    /* has a producer */
    struct lmn_relaxed_lane *next;                 /* set before the lane is seen */
} lmn_relaxed_lane;

typedef struct lmn_mpmc_relaxed {
    _Alignas(LMN_APART) lmn_atomic(void *) lanes; /* lmn_relaxed_lane, newest first */
    lmn_atomic(uint32_t) closed;                  /* 0: open */
    lmn_atomic(uint32_t) n_lanes, n_consumers;    /* who begins where */
    lmn_smr *domain;                              /* borrowed */
} lmn_mpmc_relaxed;

typedef struct lmn_relaxed_producer {
    lmn_mpmc_relaxed *queue;
    lmn_relaxed_lane *lane;
    lmn_relaxed_ring *ring; /* the lane's */
    uint64_t tail, mask;    /* the lane's, the ring's */
    uint64_t limit;         /* pushes up to here need not look at head */
    uint64_t calm;          /* pushes since the ring was last filled by more than an eighth */
    lmn_hp *hp;
} lmn_relaxed_producer;

typedef struct lmn_relaxed_consumer {
    lmn_mpmc_relaxed *queue;
    lmn_relaxed_lane *lane; /* NULL before the first look */
    lmn_relaxed_ring *ring; /* the lane's, protected by slot 0 */
    uint64_t tail, mask;    /* the lane's as last seen, the ring's */
    uint32_t left;          /* items to take before moving on */
    uint32_t start;         /* lanes to skip at first */
    lmn_hp *hp;
} lmn_relaxed_consumer;

/* Empty. The domain outlives the queue. */
void lmn_relaxed_init(lmn_mpmc_relaxed *q, lmn_smr *domain);
/* Frees the lanes; items that are left are the caller's. Nobody has a handle. */
void lmn_relaxed_finish(lmn_mpmc_relaxed *q);

/* A handle that pushes. E_NOMEM; E_CLOSED. */
lamina_status lmn_relaxed_produce(lmn_mpmc_relaxed *q, lmn_relaxed_producer *out);
/* The handle is used no more; the lane, with what is in it, waits for another producer. */
void lmn_relaxed_stop_producing(lmn_relaxed_producer *p);
/* A handle that pops. E_NOMEM. */
lamina_status lmn_relaxed_consume(lmn_mpmc_relaxed *q, lmn_relaxed_consumer *out);
void lmn_relaxed_stop_consuming(lmn_relaxed_consumer *c);

/* All n items or none; any pointer will do. E_CLOSED; E_NOMEM. Who sleeps on an eventcount until
 * the queue is closed is to be notified after a refused push too. */
lamina_status lmn_relaxed_push_bulk(lmn_relaxed_producer *p, void *const *items, size_t n);
/* Refuse pushes from here on; may be called by several. */
void lmn_relaxed_close(lmn_mpmc_relaxed *q);

/* The push under way may still be refused: it is announced, and either it sees that the queue is
 * being closed, or who closed it sees the announcement. */
static inline bool lmn_relaxed_may_push(lmn_relaxed_producer *p, uint64_t n)
{
    lmn_atomic_store(&p->lane->announced, p->tail + n, relaxed);
    lmn_asym_light(p->hp->asym);
    if (LMN_LIKELY(lmn_atomic_load(&p->queue->closed, relaxed) == 0)) return true;
    lmn_atomic_store(&p->lane->announced, p->tail, relaxed);
    return false;
}

/* One item; as lmn_relaxed_push_bulk. */
static inline lamina_status lmn_relaxed_push(lmn_relaxed_producer *p, void *item)
{
    if (LMN_UNLIKELY(p->tail >= p->limit)) return lmn_relaxed_push_bulk(p, &item, 1);
    if (LMN_UNLIKELY(!lmn_relaxed_may_push(p, 1))) return LAMINA_E_CLOSED;
    lmn_atomic_store(&p->ring->cell[p->tail & p->mask], item, relaxed);
    lmn_atomic_store(&p->lane->tail, ++p->tail, release);
    return LAMINA_OK;
}

/* A lane with items for the consumer, when the one it is at has none or it has been there long
 * enough. E_AGAIN, E_CLOSED as lmn_relaxed_pop_bulk. */
lamina_status lmn_relaxed_seek(lmn_relaxed_consumer *c);

/* Up to n > 0 items of one producer, in order; *got says how many, at least one. E_AGAIN: each lane
 * was empty when it was looked at; E_CLOSED: closed, and nothing can come any more. */
static inline lamina_status lmn_relaxed_pop_bulk(lmn_relaxed_consumer *c, void **items, size_t n,
                                                 size_t *got)
{
    for (;;) {
        uint64_t head = c->left ? lmn_atomic_load(&c->lane->head, relaxed) : 0;
        if (LMN_LIKELY(head < c->tail && c->left)) {
            const size_t there = (size_t)(c->tail - head), k = there < n ? there : n;
            for (size_t i = 0; i < k; i++)
                items[i] = lmn_atomic_load(&c->ring->cell[(head + i) & c->mask], relaxed);
            /* Release: the cells are read before the producer may fill them again. */
            if (LMN_LIKELY(lmn_atomic_cas(&c->lane->head, &head, head + k, release))) {
                for (size_t i = 0; i < k; i++)
                    lmn_atomic_keep(&c->ring->cell[(head + i) & c->mask]);
                c->left -= k < c->left ? (uint32_t)k : c->left;
                *got = k;
                return LAMINA_OK;
            }
            c->left = 0; /* somebody else is here */
        }
        LMN_TRY(lmn_relaxed_seek(c));
    }
}

static inline lamina_status lmn_relaxed_pop(lmn_relaxed_consumer *c, void **item)
{
    size_t got;
    return lmn_relaxed_pop_bulk(c, item, 1, &got);
}

#endif
