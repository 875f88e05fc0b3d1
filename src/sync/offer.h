/*
 * lmn_offer: a loop whose chunks helpers may take while its caller works on it too. The caller
 * never waits for a helper that has not joined, only for those inside.
 *
 * One word holds the state: who owns the offer, whether it is open, how many worker numbers were
 * given out and how many helpers are inside; joining is one compare-and-swap. A helper touches the
 * fields of the job only between join and leave. The word may have come to the same value for a
 * newer job between a helper's look and its join: then it joins that one, and sees its fields.
 *
 * Chunks lie in as many ranges as there are workers (at most LMN_OFFER_RANGES): a worker begins
 * with its own, so that loop after loop the same worker meets the same part of the data in its
 * caches, and goes on with what others have left of theirs. A helper asks for the same number every
 * time: scratch, too, is then what it wrote itself.
 *
 * Order: chunks of a range are claimed in order. Progress: claim, join and leave are lock-free,
 * chunks are claimed by fetch-and-add; close waits for helpers that hold a chunk. Memory: the
 * object, which outlives its users. Who: any caller, any helper. Closing: see lmn_offer_close.
 */
#ifndef LMN_SYNC_OFFER_H
#define LMN_SYNC_OFFER_H

#include "base/par.h"
#include "base/atomic.h"

#define LMN_OFFER_WIDTH_MAX 256
#ifdef LMN_MC
#define LMN_OFFER_RANGES 2
#else
#define LMN_OFFER_RANGES 16
#endif

/* A parallel loop. The grid of chunks is the caller's (base/par.h). */
typedef struct lmn_loop {
    int64_t n_chunks;
    lmn_par_fn *fn;
    void *arg;
    bool (*stopped)(void *ctx); /* true: skip the chunks that are left; NULL: never */
    void *stop_ctx;
    int32_t width; /* most workers at once, the caller among them; 0: what the pool has */
} lmn_loop;

/* All of it in this thread, in order. */
static inline void lmn_loop_alone(const lmn_loop *l)
{
    for (int64_t i = 0; i < l->n_chunks; i++) {
        if (l->stopped && l->stopped(l->stop_ctx)) return;
        l->fn(l->arg, i, 0);
    }
}

typedef struct lmn_offer_range {
    _Alignas(LMN_APART) lmn_atomic(int64_t) next; /* chunk */
} lmn_offer_range;

typedef struct lmn_offer {
    _Alignas(LMN_APART) lmn_atomic(uint32_t) word;
    lmn_atomic(uint64_t) numbers; /* bit i: worker number i is somebody's */
    lmn_offer_range range[LMN_OFFER_RANGES];
    _Alignas(LMN_APART) lmn_loop loop; /* written while closed */
} lmn_offer;

/* inside 0..8, given 9..17, most 18..26 */
#define LMN_OFFER_FIELD 0x1ffu
#define LMN_OFFER_GIVEN_SHIFT 9
#define LMN_OFFER_MOST_SHIFT 18
#define LMN_OFFER_WAITED ((uint32_t)1 << 27) /* the caller sleeps on the word */
#define LMN_OFFER_OPEN ((uint32_t)1 << 28)
#define LMN_OFFER_OWNED ((uint32_t)1 << 29)

static inline uint32_t lmn_offer_inside(uint32_t word)
{
    return word & LMN_OFFER_FIELD;
}
static inline uint32_t lmn_offer_given(uint32_t word)
{
    return word >> LMN_OFFER_GIVEN_SHIFT & LMN_OFFER_FIELD;
}
static inline uint32_t lmn_offer_most(uint32_t word)
{
    return word >> LMN_OFFER_MOST_SHIFT & LMN_OFFER_FIELD;
}
/* May somebody join? */
static inline bool lmn_offer_wanted(uint32_t word)
{
    return word & LMN_OFFER_OPEN && lmn_offer_given(word) < lmn_offer_most(word);
}

void lmn_offer_init(lmn_offer *o);
/* The caller, worker 0: put the loop up; false: the offer is in use. 1 < width <= the maximum. */
bool lmn_offer_open(lmn_offer *o, const lmn_loop *loop);
/* Take chunks until there are none, as this worker. */
void lmn_offer_work(lmn_offer *o, int32_t worker);
/* The caller has found no more chunks: nobody joins any more, wait for those inside, free for the
 * next. All chunks that were taken are done and their effects visible. */
void lmn_offer_close(lmn_offer *o);
/* A helper: the worker number, or 0: not wanted. It is `wish` (from 1 on, or 0: any) where that is
 * below the loop's width and free; in loops of more than 64 workers they come in order. */
int32_t lmn_offer_join(lmn_offer *o, int32_t wish);
/* A helper that joined has found no more chunks. */
void lmn_offer_leave(lmn_offer *o);

#endif
