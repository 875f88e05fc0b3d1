/*
 * What rooms below trace/ tell through hooks, as events: waits for a mutex, readers that hold back
 * the freeing of objects. Rare by nature: names are looked up when it happens.
 */
#ifndef LMN_TRACE_TRACE_HOOK_H
#define LMN_TRACE_TRACE_HOOK_H

#include "base/os/os_mutex.h"
#include "sync/epoch.h"
#include "trace/trace.h"

/* A hook for lmn_mutex_init_as: a wait becomes "lock:NAME(owner, rank)". The trace outlives it. */
lmn_mutex_hook lmn_trace_mutex_hook(lamina_trace *t);
/* A hook for lmn_epochs_create: who is inside for longer becomes "epoch:stalled(thread, objects)".
 */
lmn_epoch_hook lmn_trace_epoch_hook(lamina_trace *t, uint64_t stall_ns);

#endif
