/*
 * lmn_mpmc_bounded: a bounded queue of fixed-size messages between many producers and many
 * consumers, in memory of the caller, which several processes may share.
 *
 * Order: strict FIFO over all producers. Progress: lock-free; who stalls in the middle stops nobody
 * (it keeps the one slot it holds). Memory: what lmn_mpmc_bounded_bytes says, nothing later; no
 * reclamation. Who: anybody with a handle, which threads may share. Closing: after
 * lmn_mpmc_bounded_close a push is refused; what was accepted before is still delivered, once; then
 * pop says E_CLOSED.
 *
 * It is SCQ (Nikolaev, DISC 2019): two rings of slot numbers, those with an item and those without.
 * Tickets by fetch-and-add name an entry of a ring, an entry carries the round it was written in,
 * and a threshold ends a race of tickets that nobody wins. A slot belongs to whoever took its
 * number out of a ring, so that full means: every slot holds an item or is in somebody's hands. A
 * peer that scribbles can spoil items and counts, never an address; a process that dies in the
 * middle of an operation takes its slot with it.
 */
#ifndef LMN_SYNC_MPMC_BOUNDED_H
#define LMN_SYNC_MPMC_BOUNDED_H

#include "base/atomic.h"

#define LMN_BOUNDED_MAGIC 0x31514353u /* "SCQ1" */

/* What a ring of slot numbers moves, each a pair of lines apart. */
typedef struct lmn_scq_control {
    _Alignas(LMN_APART) lmn_atomic(uint64_t) head;
    _Alignas(LMN_APART) lmn_atomic(uint64_t) tail; /* bit 63: closed */
    _Alignas(LMN_APART) lmn_atomic(int64_t) threshold;
} lmn_scq_control;

/* The shared part; entries of both rings and the slots follow. */
typedef struct lmn_mpmc_bounded_mem {
    _Alignas(LMN_APART) uint32_t magic;
    uint32_t version, elem_bytes, capacity; /* immutable after init */
    _Alignas(LMN_APART) lmn_atomic(uint32_t) closed;
    lmn_scq_control items, spare;
} lmn_mpmc_bounded_mem;

/* A ring as a handle sees it. */
typedef struct lmn_scq {
    lmn_scq_control *control;
    lmn_atomic(uint64_t) * entry; /* 2 << bits of capacity */
    uint32_t bits;                /* entries: 1 << bits */
    int64_t limit;                /* of the threshold */
} lmn_scq;

/* A handle: read-only after init or attach, good for any number of threads. */
typedef struct lmn_mpmc_bounded {
    lmn_mpmc_bounded_mem *mem;
    lmn_scq items, spare;
    uint8_t *slots;
    size_t elem_bytes, stride;
} lmn_mpmc_bounded;

/* Bytes of a queue; 0 when elem_bytes is 0, capacity is no power of two in [1, 2^24], or the size
 * does not fit. */
size_t lmn_mpmc_bounded_bytes(uint32_t elem_bytes, uint32_t capacity);
/* Make an empty queue in mem (aligned to 128). E_INVALID: misaligned, too small, bad geometry. */
lamina_status lmn_mpmc_bounded_init(lmn_mpmc_bounded *q, void *mem, size_t bytes,
                                    uint32_t elem_bytes, uint32_t capacity);
/* A handle on the queue at mem, which may come from another process; E_CORRUPT when the header is
 * wrong. */
lamina_status lmn_mpmc_bounded_attach(lmn_mpmc_bounded *q, void *mem, size_t bytes);

/* Copies elem_bytes in. E_AGAIN: full; E_CLOSED; E_CORRUPT: somebody scribbled. */
lamina_status lmn_mpmc_bounded_push(const lmn_mpmc_bounded *q, const void *item);
/* Copies elem_bytes out. E_AGAIN: empty; E_CLOSED: closed, and nothing can come any more. */
lamina_status lmn_mpmc_bounded_pop(const lmn_mpmc_bounded *q, void *item);
/* Refuse pushes from here on; may be called by several. */
void lmn_mpmc_bounded_close(const lmn_mpmc_bounded *q);

#endif
