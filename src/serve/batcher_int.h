/*
 * Inside of the batcher: batcher.c queues requests and forms batches, batcher_admit.c says who
 * comes in, batcher_cost.c learns what runs cost, batcher_grow.c how large a whole batch is.
 */
#ifndef LMN_SERVE_BATCHER_INT_H
#define LMN_SERVE_BATCHER_INT_H

#include "serve/batcher.h"

/* t + ns, or never. */
static inline uint64_t lmn_batch_later(uint64_t t, uint64_t ns)
{
    return t > UINT64_MAX - ns ? UINT64_MAX : t + ns;
}

/* E_INVALID with a sentence when the configuration contradicts itself. */
lamina_status lmn_batch_check(const lmn_batch_config *c, lamina_error *err);
/* Fill in what was left open. */
void lmn_batch_defaults(lmn_batch_config *c);
/* May r come in? Sets its level and deadline, and status, error and retry_after_s if not. */
lamina_status lmn_batch_admit(lmn_batcher *b, lmn_infer *r, uint64_t now);
/* r does not come in: the queue is full of `what`. */
lamina_status lmn_batch_refuse(lmn_batcher *b, lmn_infer *r, uint64_t now, const char *what);
/* A batch was formed: are requests refused run after run? */
void lmn_batch_press(lmn_batcher *b, uint64_t now);
/* A run of `rows` took so long; 0: it tells nothing. A moving average, in which one run that was
 * held up weighs little. */
void lmn_batch_learn(lmn_batcher *b, int64_t rows, uint64_t took_ns);
/* A batch is about to be formed: may it be one of twice as many rows? */
void lmn_batch_try(lmn_batcher *b, uint64_t now);
/* It ran: does it tell how large a batch pays? */
void lmn_batch_grow(lmn_batcher *b, const lmn_batch *batch, uint64_t took_ns, uint64_t now);

/* Rows that the next batch takes if so many wait. */
static inline int64_t lmn_batch_most(const lmn_batcher *b)
{
    return b->grow.due && b->grow.runs[1] <= b->grow.runs[0] ? 2 * b->whole : b->whole;
}

#endif
