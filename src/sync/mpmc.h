/*
 * lmn_mpmc: an unbounded queue of pointers between many producers and many consumers.
 *
 * Order: strict FIFO over all producers. Progress: lock-free; a thread that stalls in the middle
 * stops nobody. Memory: segments of LMN_MPMC_CELLS cells; at most one half-used segment at either
 * end beside the items, and what hazard pointers hold back (lmn_smr_bound segments). Who: any
 * thread with a record of the domain (its slot 0 is used). Closing: after lmn_mpmc_close a push is
 * refused; what was accepted before is still delivered, once; then pop says E_CLOSED.
 *
 * Segments are FAA arrays (Ramalhete and Correia 2016; Morrison and Afek 2013): a ticket from
 * fetch-and-add names a cell, a producer fills it by compare-and-swap, a consumer takes it by
 * exchange. A consumer that overtakes its producer spoils the cell, and the producer draws again.
 */
#ifndef LMN_SYNC_MPMC_H
#define LMN_SYNC_MPMC_H

#include "sync/smr.h"

#ifdef LMN_MC
#define LMN_MPMC_CELLS 2u
#else
#define LMN_MPMC_CELLS 1024u
#endif

typedef struct lmn_mpmc_segment lmn_mpmc_segment;

typedef struct lmn_mpmc {
    _Alignas(LMN_APART) lmn_atomic(void *) head; /* lmn_mpmc_segment */
    _Alignas(LMN_APART) lmn_atomic(void *) tail;
    _Alignas(LMN_APART) lmn_smr *domain; /* borrowed */
} lmn_mpmc;

/* Empty; E_NOMEM. The domain outlives the queue. */
lamina_status lmn_mpmc_init(lmn_mpmc *q, lmn_smr *domain);
/* Frees the segments; items that are left are the caller's. Nobody uses the queue. */
void lmn_mpmc_finish(lmn_mpmc *q);

/* Bytes of a segment. */
size_t lmn_mpmc_segment_bytes(void);

/* item is not NULL and at least 2-aligned. E_CLOSED; E_NOMEM (the item was not taken). */
lamina_status lmn_mpmc_push(lmn_mpmc *q, lmn_hp *hp, void *item);
/* E_AGAIN: empty; E_CLOSED: closed, and nothing can come any more. */
lamina_status lmn_mpmc_pop(lmn_mpmc *q, lmn_hp *hp, void **item);
/* Refuse pushes from here on; may be called by several. */
void lmn_mpmc_close(lmn_mpmc *q, lmn_hp *hp);

#endif
