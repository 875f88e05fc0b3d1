/*
 * The thread pool of an engine: an lmn_workpool (sync/workpool.h) that all its sessions share. The
 * caller of a loop claims chunks itself and never waits for a helper that has not started. Threads
 * start at the first parallel run, spin at most a short time after work, then sleep.
 *
 * Progress: blocking only on helpers that hold a chunk. The grid is the caller's, so results do not
 * depend on the width.
 */
#ifndef LMN_RUNTIME_WORKERS_H
#define LMN_RUNTIME_WORKERS_H

#include "base/engine.h"
#include "base/par.h"
#include "runtime/stop.h"
#include "sync/workpool.h"

/* The pool of the engine, made on first use (slot LMN_SLOT_POOL). */
lamina_status lmn_workers_get(lamina_engine *e, lmn_workpool **out);

/* What one run lends to lmn_par: filled by lmn_workers_par, used by a single thread at a time. */
typedef struct lmn_par_ctx {
    lmn_workpool *pool;
    int32_t width;
    lmn_stop *stop; /* a reason in it: skip the remaining chunks; NULL = never */
} lmn_par_ctx;
/* Make *par run on the pool with at most `width` workers, caller included. */
void lmn_workers_par(lmn_workpool *pool, int32_t width, lmn_stop *stop, lmn_par_ctx *ctx,
                     lmn_par *par);

#endif
