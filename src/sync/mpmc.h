/*
 * lmn_mpmc: an unbounded queue of pointers between many producers and many consumers.
 *
 * Order: strict FIFO over all producers. Progress: lock-free; a thread that stalls in the middle
 * stops nobody. Memory: segments of LMN_MPMC_CELLS cells; at most one half-used segment at either
 * end beside the items, LMN_MPMC_SPARE that wait to be used again, and what hazard pointers hold
 * back (lmn_smr_bound segments). Who: any thread with a record of the domain (its slot 0 is used).
 * Closing: after lmn_mpmc_close a push is refused; what was accepted before is still delivered,
 * once; then pop says E_CLOSED.
 *
 * Segments are FAA arrays (Ramalhete and Correia 2016; Morrison and Afek 2013): a ticket from
 * fetch-and-add names a cell, a producer fills it by compare-and-swap, a consumer reads it. A
 * consumer that overtakes its producer spoils the cell by an exchange, and the producer uses a
 * later ticket. A segment that is used up comes back through the domain, as a new one.
 */
#ifndef LMN_SYNC_MPMC_H
#define LMN_SYNC_MPMC_H

#include "sync/smr.h"

#ifdef LMN_MC
#define LMN_MPMC_CELLS 2u
#else
#define LMN_MPMC_CELLS 1024u
#endif

#define LMN_MPMC_SPARE 8u

typedef struct lmn_mpmc_segment lmn_mpmc_segment;

/* Segments to use again; outlives the queue until the last of them is back. */
typedef struct lmn_mpmc_pool {
    lamina_allocator alloc;
    lmn_atomic(uint32_t) users; /* the queue, and each segment in use */
    uint32_t n_spare;           /* of these */
    lmn_atomic(void *) spare[LMN_MPMC_SPARE];
} lmn_mpmc_pool;

typedef struct lmn_mpmc {
    _Alignas(LMN_APART) lmn_atomic(void *) head; /* lmn_mpmc_segment */
    _Alignas(LMN_APART) lmn_atomic(void *) tail;
    _Alignas(LMN_APART) lmn_smr *domain; /* borrowed */
    lmn_mpmc_pool *pool;
    uint64_t capacity;                             /* 0: none */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) used; /* with a capacity: items and pushes under way */
} lmn_mpmc;

/* Empty; E_NOMEM. The domain outlives the queue. */
lamina_status lmn_mpmc_init(lmn_mpmc *q, lmn_smr *domain);
/* Frees the segments; items that are left are the caller's. Nobody uses the queue. */
void lmn_mpmc_finish(lmn_mpmc *q);

/* Bytes of a segment. */
size_t lmn_mpmc_segment_bytes(void);

/* From now on at most n items; before anybody uses the queue. Costs a counter that all share. */
void lmn_mpmc_limit(lmn_mpmc *q, uint64_t n);

/* item is not NULL. E_CLOSED; E_NOMEM; E_AGAIN: as many items and pushes under way as the capacity
 * allows (the item was not taken in any of these). */
lamina_status lmn_mpmc_push(lmn_mpmc *q, lmn_hp *hp, void *item);
/* E_AGAIN: empty; E_CLOSED: closed, and nothing can come any more. */
lamina_status lmn_mpmc_pop(lmn_mpmc *q, lmn_hp *hp, void **item);
/* n items in order, by one fetch-and-add for all that fit a segment; others' may come between them.
 * The first *done were taken: all of them, or the status says why not. */
lamina_status lmn_mpmc_push_bulk(lmn_mpmc *q, lmn_hp *hp, void *const *items, size_t n,
                                 size_t *done);
/* Up to n > 0 items in order; *got, at least one when OK. */
lamina_status lmn_mpmc_pop_bulk(lmn_mpmc *q, lmn_hp *hp, void **items, size_t n, size_t *got);
/* Refuse pushes from here on; may be called by several. */
void lmn_mpmc_close(lmn_mpmc *q, lmn_hp *hp);

#endif
