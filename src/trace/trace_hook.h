/*
 * What rooms below trace/ tell through hooks, as events: waits for a mutex, readers that hold back
 * the freeing of objects, what the workers of a pool do. Waits are rare: names are looked up then.
 */
#ifndef LMN_TRACE_TRACE_HOOK_H
#define LMN_TRACE_TRACE_HOOK_H

#include "sync/epoch.h"
#include "sync/workpool.h"
#include "trace/trace.h"

/* A hook for lmn_mutex_init_as: a wait becomes "lock:NAME(owner, rank)". The trace outlives it. */
lmn_mutex_hook lmn_trace_mutex_hook(lamina_trace *t);
/* A hook for lmn_epochs_create: who is inside for longer becomes "epoch:stalled(thread, objects)".
 */
lmn_epoch_hook lmn_trace_epoch_hook(lamina_trace *t, uint64_t stall_ns);

/* Hooks for lmn_workpool_create: at the level of nodes sleep becomes waits "pool:parked", and what
   the caller of a loop waits for its helpers at the end "pool:join" (from 2 us); at that of chunks
   tasks (a helper's part of a loop is one) become spans "pool:task". The trace outlives the pool.
 */
lmn_pool_hooks lmn_trace_pool_hooks(lamina_trace *t);

#endif
