/*
 * Which requests run together, and when: a state machine without threads, clocks or memory of its
 * own beyond its queues; whoever owns it holds a lock and says what time it is. So the whole of it
 * is tested on a simulated clock (tests/serve/scenarios).
 *
 * Names and meanings are those of Triton's dynamic batcher. An instance that is free never waits
 * for company unless max_queue_delay says so.
 */
#ifndef LMN_SERVE_BATCHER_H
#define LMN_SERVE_BATCHER_H

#include "serve/infer.h"

#define LMN_BATCH_MAX_PREFERRED 16u
#define LMN_BATCH_MAX_LEVELS 32u

typedef enum lmn_batch_reason {
    LMN_BATCH_FULL,      /* max_batch_size rows */
    LMN_BATCH_PREFERRED, /* a preferred size, the largest that can be formed */
    LMN_BATCH_DELAY,     /* the oldest has waited max_queue_delay */
    LMN_BATCH_IDLE,      /* an instance is free and no delay is asked for */
    LMN_BATCH_DEADLINE,  /* somebody would be late */
    LMN_BATCH_SINGLE,    /* batching is off */
    LMN_BATCH_REASONS
} lmn_batch_reason;

/* What happens to a request whose time in the queue is over. */
typedef enum lmn_batch_timeout {
    LMN_BATCH_REJECT,
    LMN_BATCH_DEFER /* Triton: DELAY */
} lmn_batch_timeout;

typedef struct lmn_batch_level {
    uint32_t max_queue_size; /* requests; 0 = as the model's bound */
    lmn_batch_timeout action;
    uint64_t default_timeout_ns; /* 0 = none */
    bool allow_override;         /* a request may ask for a shorter one */
} lmn_batch_level;

typedef struct lmn_batch_config {
    bool dynamic;                               /* dynamic_batching {} */
    int64_t max_batch_size;                     /* rows; 0 = the model has no batch dimension */
    int64_t preferred[LMN_BATCH_MAX_PREFERRED]; /* ascending */
    uint32_t n_preferred;
    uint64_t delay_ns; /* max_queue_delay_microseconds */
    bool preserve_ordering;
    uint32_t n_levels, default_level; /* 1-based; n_levels 0 = one */
    lmn_batch_level level[LMN_BATCH_MAX_LEVELS];
    int64_t max_queue_rows; /* default max(64, 4 x max_batch_size) */
    size_t max_queue_bytes; /* default 256 MiB */
    uint32_t n_instances;   /* default 1 */
} lmn_batch_config;

#endif
