/*
 * A version of a model, loaded and able to run: session, batcher, instances. A small model runs in
 * the thread of the loop that read the request, at the end of its turn, so that no other thread has
 * to wake up (inline); a large one has a thread for each instance. Which of both is decided by what
 * its warm-up cost, or by the configuration.
 */
#ifndef LMN_SERVE_SERVED_H
#define LMN_SERVE_SERVED_H

#include "lamina/session.h"
#include "serve/batcher.h"
#include "serve/signature.h"

typedef enum lmn_run_where { LMN_RUN_CHOOSE, LMN_RUN_INLINE, LMN_RUN_THREADS } lmn_run_where;

/* How to load: from config.json, config.pbtxt or the command line. */
typedef struct lmn_model_config {
    lmn_batch_config batch;
    lmn_run_where where;
    uint32_t n_threads;  /* a run may use; 0 = the engine's width */
    uint32_t precision;  /* lamina_precision */
    uint64_t max_run_ns; /* hard bound of one run; 0 = 300 s */
    const char *coupled; /* why rows of a batch are not independent ("declared", or found: per-
                            tensor dynamic quantisation); NULL: they are. Such a model is run
                            request by request */
    size_t cache_bytes;  /* answers that are kept (serve/respcache.h); 0 = none */
    bool warm_up;        /* run every power of two of rows before it is ready */
} lmn_model_config;

/* Counters of a model; read by any thread, each exact at some moment. */
typedef struct lmn_model_stats {
    uint64_t n_queued, queued_rows, oldest_ns; /* now; oldest: arrival of the oldest, 0 = none */
    /* That may wait, and that run together; 0: of an ensemble, which has no queue, or no batches.
     */
    uint64_t most_rows, whole_rows;
    uint64_t n_ok, n_failed, n_refused, n_late, n_cancelled; /* requests since load */
    uint64_t n_rows, n_runs, run_ns;
    uint64_t n_cache_hits, n_cache_misses;
    uint64_t dispatch[LMN_BATCH_REASONS];
    uint64_t batch_rows[33]; /* runs by rows: [i]: at most 2^i */
    uint64_t load_ns;        /* how long loading and warm-up took */
    uint64_t beat_ns; /* monotonic: when an instance last began or ended a run, or was idle */
    /* Instances: all, those that run, those whose run takes ten times what it should and more than
     * a second (30 s where that is not known), and the longest run of now. */
    uint64_t n_instances, n_busy, n_overdue, longest_ns;
} lmn_model_stats;

/* Runs by how many rows they were of: exactly up to 16, then in steps of an eighth at most. */
#define LMN_BATCH_SIZES 144u
typedef struct lmn_batch_size {
    int64_t rows;                            /* of the last such run */
    uint64_t n, input_ns, run_ns, output_ns; /* gathering rows, running, handing them out */
} lmn_batch_size;

/*
 * Load `path` and warm up. The file is untrusted. On success one reference, owned by the caller.
 * Blocking: reads, optimises, runs. Never called by a loop's thread.
 */
lamina_status lmn_model_open(lamina_engine *engine, const char *path, const char *name,
                             const char *version, const lmn_model_config *config, lmn_model **out,
                             lamina_error *err);
lmn_model *lmn_model_ref(lmn_model *m);
/* The last one frees: nothing is queued then, since requests hold references. Any thread but one of
 * the model's own; of an inline model any. */
void lmn_model_unref(lmn_model *m);
/* Count here those requests that are steps of ensembles; before the first request. */
struct lmn_version_shard; /* serve/metrics.h */
void lmn_model_count_steps(lmn_model *m, struct lmn_version_shard *shard);
const lmn_signature *lmn_model_signature(const lmn_model *m);
const lmn_model_config *lmn_model_get_config(const lmn_model *m); /* as decided */
void lmn_model_get_stats(const lmn_model *m, lmn_model_stats *out);
/* Those that there were, by rows; returns how many. */
uint32_t lmn_model_get_sizes(const lmn_model *m, lmn_batch_size out[LMN_BATCH_SIZES]);

/*
 * Take a request in. LAMINA_OK: r belongs to the model until r->done, which is not called before
 * this returns. Else it was refused, r->error says why, done is not called: E_LIMIT the queue is
 * full (503), E_TIMEOUT its deadline cannot be met (503), E_CLOSED the model is being unloaded
 * (503), E_INVALID or E_SHAPE it does not fit the model (400). retry_after_s is set with the 503s.
 * Any thread; `now` is lmn_now_ns().
 */
lamina_status lmn_model_submit(lmn_model *m, lmn_infer *r, uint64_t now);
/* Is its queue so full that it refuses whatever comes now? That is counted as a refusal. Takes no
 * lock; what it lets by may be refused all the same. Any thread. */
bool lmn_model_turns_away(lmn_model *m, uint32_t *retry_after_s);
/* To be called after requests were submitted, once for all that came together. An inline model runs
 * what has gathered, in this thread, and returns the instant at which to be called again at the
 * latest; UINT64_MAX: nothing waits. A model with threads wakes those it needs and returns that. */
uint64_t lmn_model_turn(lmn_model *m, uint64_t now);
/* The same by a loop that has nothing else to do and may take LMN_MODEL_HERE_NS for it. Where the
 * process has one CPU and it is settled what runs next, the loop runs a batch of a model with
 * threads itself: two switches of threads less. Returns `now` then, to be called again at once. */
#define LMN_MODEL_HERE_NS ((uint64_t)4000000)
typedef struct lmn_model_here {
    bool more;                  /* the next such turn runs a batch too */
    uint64_t waited_ns, ran_ns; /* the first request of this one until its answer; the run */
} lmn_model_here;
uint64_t lmn_model_turn_idle(lmn_model *m, uint64_t now, lmn_model_here *here);
/* Is it settled what its instances run next, so that requests that come meanwhile need not be
 * looked at before one of them has answered? Takes no lock. Any thread. */
bool lmn_model_settled(const lmn_model *m);
/* Clients have left: perhaps nobody waits for what runs. Any thread. */
void lmn_model_left(lmn_model *m);
bool lmn_model_is_inline(const lmn_model *m);
/* Take no more requests (E_CLOSED); what is queued is still run. */
void lmn_model_close(lmn_model *m);
/* Answer everything that is queued with E_CANCELLED and stop what runs. */
void lmn_model_abort(lmn_model *m);

#endif
