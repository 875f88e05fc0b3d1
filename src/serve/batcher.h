/*
 * Which requests run together, and when: a state machine without threads, clocks or memory of its
 * own beyond its queues; whoever owns it holds a lock and says what time it is. So the whole of it
 * is tested on a simulated clock (tests/serve/scenarios).
 *
 * Names and meanings are those of Triton's dynamic batcher. An instance that is free never waits
 * for company unless max_queue_delay says so. A timeout is about the time in the queue, as there.
 *
 * Order: a request's score is min(arrival + 1 s, deadline) + 10 s a level (+ 5 s once it was
 * deferred); the least score goes first. So inside a level the earliest deadline does, level 1
 * before level 2, and nobody starves: a request of level l is overtaken by none that arrives more
 * than 1 s + (l - 1) x 10 s after it (deferred: 5 s more).
 */
#ifndef LMN_SERVE_BATCHER_H
#define LMN_SERVE_BATCHER_H

#include "base/objpool.h"
#include "serve/infer.h"

#define LMN_BATCH_MAX_PREFERRED 16u
#define LMN_BATCH_MAX_LEVELS 32u
#define LMN_BATCH_MAX_INSTANCES 64u
#define LMN_BATCH_MAX_ROWS ((int64_t)1 << 20)
#define LMN_BATCH_HORIZON_NS ((uint64_t)1000000000)
#define LMN_BATCH_LEVEL_NS ((uint64_t)10000000000)
#define LMN_BATCH_DEFER_NS ((uint64_t)5000000000)
#define LMN_BATCH_REJOIN_NS ((uint64_t)2000000)
#define LMN_BATCH_PRESS_RUNS 8u                    /* one after the other: no burst any more */
#define LMN_BATCH_PRESS_NS ((uint64_t)15000000000) /* how long it stays as that was found */
#define LMN_BATCH_MARGIN_NS                                              \
    ((uint64_t)100000) /* a batch leaves so long before it would be late \
                        */

typedef enum lmn_batch_reason {
    LMN_BATCH_FULL,      /* max_batch_size rows, or no more fit, or more than any preferred size */
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
    bool dynamic;           /* dynamic_batching {} */
    int64_t max_batch_size; /* rows; 0 = the model has no batch dimension; -1 (lmn_model_open): find
                               out, and batch dynamically if rows are independent */
    int64_t max_request_rows; /* default max_batch_size, which then refuses; a request of more rows
                                 than a batch goes alone */
    int64_t preferred[LMN_BATCH_MAX_PREFERRED]; /* ascending */
    uint32_t n_preferred;
    uint64_t delay_ns; /* max_queue_delay_microseconds */
    bool preserve_ordering;
    /* Clients that are answered together come back together: after a batch of several, an instance
     * waits for as many as were answered, a full batch, or a sixteenth of the time that it ran (at
     * most rejoin_ns), whatever comes first. Without it the first that are back would run alone.
     * Not with a delay. */
    bool rejoin;
    uint64_t rejoin_ns;               /* default 2 ms */
    uint32_t n_levels, default_level; /* 1-based; n_levels 0 = one, level[0] */
    lmn_batch_level level[LMN_BATCH_MAX_LEVELS];
    int64_t max_queue_rows; /* default max(64, 4 x max_batch_size); a request of more rows than a
                               batch counts as one batch */
    /* While requests are refused run after run, one batch may wait for each instance, and not
     * max_queue_rows: instances have their next batch anyway, so more would only wait longer. Not
     * where that makes more come: then they come from clients that are refused and come again at
     * once, for whom there had better be room. */
    bool press;
    /* max_batch_size is a guess: a whole batch may double up to this while that pays, and a
     * max_queue_rows that was not given with it, so that two may wait (batcher_grow.c); 0: no. */
    int64_t grow_rows;
    size_t max_queue_bytes; /* default 256 MiB; one request always fits an empty queue */
    uint32_t n_instances;   /* default 1 */
} lmn_batch_config;

/* Requests that run together, chained by `next`, in order. */
typedef struct lmn_batch {
    lmn_infer *first;
    uint32_t n, instance; /* which runs it, from 0 */
    int64_t rows;
    lmn_batch_reason reason;
} lmn_batch;

typedef struct lmn_batch_group lmn_batch_group;

typedef struct lmn_batcher {
    lmn_batch_config config; /* defaults filled in; read-only */
    uint64_t n_queued;       /* read-only, as all that follows */
    int64_t rows, load;      /* load: with none of a request beyond max_batch_size */
    int64_t whole, room;     /* rows of a whole batch, and that may wait: as configured, or grown */
    size_t bytes;
    uint64_t dispatch[LMN_BATCH_REASONS], n_late, n_cancelled;

    struct {
        uint32_t n, n_due; /* due: those that have a deadline */
        int64_t rows, rows_due;
    } at_level[LMN_BATCH_MAX_LEVELS];
    lmn_infer *oldest, *newest;  /* of all that wait */
    lmn_ordset ripe, raw;        /* groups: may run now, by score; may not yet, by age */
    lmn_ordset due;              /* requests by deadline */
    lmn_batch_group **bucket;    /* groups by key */
    lmn_batch_group *last_group; /* found last */
    size_t n_buckets;
    lmn_objpool groups;
    const lamina_allocator *alloc;
    uint64_t seed, sequence;
    uint64_t free_mask; /* instances that are free */
    uint64_t until[LMN_BATCH_MAX_INSTANCES];
    uint64_t back_n, back_until; /* who may come back, and until when it is waited for them */
    /* Of `press`: until when it stays as it is, runs since that began, when the last batch was
     * formed, refusals since; and in how long how many came before it was pressed, and then. */
    bool pressed;
    uint32_t press_runs;
    uint64_t press_until, formed_ns, turned;
    struct {
        uint64_t n, ns;
    } before, since;
    /* Of `grow_rows`: may a batch of twice as many be tried now, runs of as many and of twice as
     * many so far and those between that told nothing, the least nanoseconds a row of each, when
     * the last was, and not before when. */
    struct {
        bool due, room_too;
        uint32_t runs[2], blank;
        uint64_t least_ns[2], last_ns, again_ns;
    } grow;
    uint64_t cost_ns[33]; /* of a run of at most 2^i rows; 0: not known */
    lmn_infer *answers, *answers_last;
    lmn_infer *line, *line_last;
} lmn_batcher;

/* How much of a queue a request of so many rows takes: a batch at most. */
int64_t lmn_batch_load(const lmn_batch_config *c, int64_t rows);
/* Has a request more rows than a request may have? E_INVALID with a sentence. */
lamina_status lmn_batch_fits(const lmn_batch_config *c, lmn_infer *r);
/* E_INVALID with a sentence when the configuration contradicts itself. */
lamina_status lmn_batcher_init(lmn_batcher *b, const lamina_allocator *alloc,
                               const lmn_batch_config *config, lamina_error *err);
/* Nothing is queued. A zeroed one is fine. */
void lmn_batcher_finish(lmn_batcher *b);

/*
 * Take r in; its rows, bytes and key are set. E_INVALID: more rows than max_request_rows; E_LIMIT:
 * the queue is full; E_TIMEOUT: by what runs cost, it would wait longer than it may: r->error,
 * r->retry_after_s.
 */
lamina_status lmn_batcher_submit(lmn_batcher *b, lmn_infer *r, uint64_t now);
/* Does it refuse whatever comes, until a batch goes or somebody who waits? */
bool lmn_batcher_full(const lmn_batcher *b);
/* So many were refused for it meanwhile by who was told so. */
void lmn_batcher_turned(lmn_batcher *b, uint64_t n);
/* The next batch, if an instance is free and one may go; the instance is busy from now on. */
bool lmn_batcher_next(lmn_batcher *b, uint64_t now, lmn_batch *out);
/* It ran, `took_ns` for `rows` (0: learn nothing from it); the status of each request is set. */
void lmn_batcher_done(lmn_batcher *b, const lmn_batch *batch, int64_t rows, uint64_t took_ns,
                      uint64_t now);
/* Is it waited for clients to come back, so that nothing goes before look_again? */
bool lmn_batcher_holds(const lmn_batcher *b, uint64_t now);
/* Do all instances run, and is it settled what each runs next, whoever comes meanwhile without a
 * deadline? (Of several keys or levels that is never said.) */
bool lmn_batcher_settled(const lmn_batcher *b);
/* Is an instance free, and will it be settled what runs next once all have a batch? So many bytes,
 * about, has the batch that goes first; else 0. */
uint64_t lmn_batcher_certain(const lmn_batcher *b);
/* Requests to be answered now, chained by `next`: done, late, cancelled or gone; with
 * preserve_ordering in the order of arrival. */
lmn_infer *lmn_batcher_answers(lmn_batcher *b);
/* Drop what waits longer than it may (next does so too). */
void lmn_batcher_expire(lmn_batcher *b, uint64_t now);
/* Take r out; false: it does not wait any more. */
bool lmn_batcher_cancel(lmn_batcher *b, lmn_infer *r);
/* Take all out. */
void lmn_batcher_cancel_all(lmn_batcher *b);
/* When next or expire will have something to do without a submit or done; UINT64_MAX: never. */
uint64_t lmn_batcher_look_again(const lmn_batcher *b);
/* What a run of so many rows costs; 0: not known. */
uint64_t lmn_batcher_cost(const lmn_batcher *b, int64_t rows);
/* From warm-up: what it cost. */
void lmn_batcher_seed(lmn_batcher *b, int64_t rows, uint64_t took_ns);
/* How long a request of that level (from 0) would wait now. */
uint64_t lmn_batcher_wait(const lmn_batcher *b, uint32_t level, bool has_deadline, uint64_t now);

#endif
