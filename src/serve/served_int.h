/*
 * Inside of a served model: what its files share. served.c queues and answers, served_check.c
 * looks at requests, served_stats.c counts, served_open.c loads, served_warm.c runs it for the
 * first time and decides, served_run.c runs a batch.
 *
 * Invariants: `lock` guards the batcher and the counters, is held for no longer than a batch takes
 * to form, and never while a session runs or `done` is called. A runner belongs to whoever holds a
 * batch of its instance.
 */
#ifndef LMN_SERVE_SERVED_INT_H
#define LMN_SERVE_SERVED_INT_H

#include "base/engine.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "serve/respcache.h"
#include "serve/served.h"

#define LMN_MODEL_FOUND_ROWS ((int64_t)1024) /* the largest batch that is found out */

/* What one run needs and is kept between runs. */
typedef struct lmn_runner {
    lmn_model *model;
    struct {
        uint8_t *p; /* rows of an input, one request behind the other */
        size_t bytes;
    } gather[LMN_INFER_MAX_PORTS];
    lmn_atomic(uint32_t) stop; /* of the run in flight */
    uint64_t began_ns;         /* when the session did last */
    lmn_batch batch;           /* that runs, n 0: none; guarded by the model's lock */
} lmn_runner;

/* What running it for the first time told. */
typedef struct lmn_warm {
    uint64_t cost_ns[33]; /* of 2^i rows; 0: not known */
    bool ran;             /* it runs at all, on inputs that were made up */
} lmn_warm;

struct lmn_model {
    lmn_atomic(uint32_t) refs;
    lamina_engine *engine;
    lamina_model *file;
    lamina_session *session;
    lmn_model_config config;
    lmn_signature signature;
    struct lmn_ensemble *ensemble; /* serve/ensemble.h: of steps instead of a session; or NULL */
    struct lmn_version_shard
        *steps;      /* where requests are counted that are steps of ensembles; or NULL */
    lmn_arena arena; /* of names and ports */
    bool fixed;      /* every dimension but the first is, no input is optional: one key */
    bool find_out;   /* max_batch_size was not given */
    bool inlined;
    uint64_t load_ns;

    lmn_mutex lock;
    lmn_batcher batcher;
    bool closed, aborted, answering;
    uint64_t n_ok, n_failed, n_refused, n_late, n_cancelled;
    uint64_t n_rows, n_runs, run_ns, batch_rows[33];
    lmn_batch_size sizes[LMN_BATCH_SIZES];
    uint64_t n_cache_hits, n_cache_misses;
    lmn_infer *hits, *hits_last; /* to be answered by the next turn */
    lmn_atomic(uint64_t) beat_ns;
    lmn_atomic(uint32_t) full;    /* set by a refusal, until the queue moves: when to come again */
    lmn_atomic(uint64_t) n_away;  /* refused by it */
    uint64_t n_away_seen;         /* by the batcher */
    lmn_atomic(uint32_t) settled; /* what runs next is, while this batch runs */

    bool cached;
    lmn_respcache cache;
    lmn_runner *runner; /* one an instance */
    /* With threads: */
    lmn_thread *thread; /* n_instances, and the keeper behind them */
    uint32_t n_started;
    bool ending;
    lmn_atomic(uint32_t) work, watch; /* what instances and the keeper sleep on */
    lmn_atomic(uint32_t) to_wake;     /* instances that the next turn has to wake */
    uint32_t n_asleep;
    uint64_t asleep_until; /* when one of them looks again by itself, at the latest */
    uint64_t quick_bytes;  /* of the largest batch lately that ran within LMN_MODEL_HERE_NS */
    uint64_t keeper_until;
    lmn_model_here last; /* batch that was run */
};

/* Count an answer by its status; lock held. */
void lmn_model_count(lmn_model *m, const lmn_infer *r);
/* Count a run that took so long, 0: one by one, and was of `rows` with its padding; lock held. */
void lmn_model_count_run(lmn_model *m, const lmn_runner *u, const lmn_batch *batch, int64_t rows,
                         uint64_t took_ns, uint64_t now);
/* Give the answers that were kept. */
void lmn_model_answer_hits(lmn_model *m);
/* Its response cache, where the configuration has one. */
lamina_status lmn_model_make_cache(lmn_model *m, lamina_error *err);
/* Does a request fit the model? Sets its rows, bytes and key; the sentence goes to r->error. */
lamina_status lmn_model_check(const lmn_model *m, lmn_infer *r);
/* Rows with which so many are run: few different numbers, since each has a plan of its own. */
int64_t lmn_model_pad(const lmn_model *m, int64_t rows);

/* Run a batch: sets status and results of each request. Returns the nanoseconds of the run, 0: not
 * a run that tells what one costs; *rows those that were run. */
uint64_t lmn_runner_run(lmn_runner *u, const lmn_batch *batch, int64_t *rows);
void lmn_runner_finish(lmn_runner *u);

/* Threads of an instance and of the keeper; the argument is the model. */
void *lmn_model_instance(void *arg);
void *lmn_model_keeper(void *arg);
/* Release everything; its threads have ended. NULL fields are fine. */
void lmn_model_free(lmn_model *m);

/* Make the session and find out what the configuration left open: batch size, coupling, cost, where
 * to run. m->signature and m->config are there. */
lamina_status lmn_model_warm(lmn_model *m, lmn_warm *out, lamina_error *err);
/* A session for the model as configured; `n_threads` 0: the engine's width. */
lamina_status lmn_model_session(lmn_model *m, uint32_t n_threads, lamina_error *err);

#endif
