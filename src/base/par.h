/*
 * The parallel-for vtable: how lower rooms ask for threads without knowing the pool. The runtime
 * fills it. Results are bit-identical for any number of threads: the grid of chunks depends on the
 * problem alone, or, where no cut changes a chain of operations, on the width too.
 */
#ifndef LMN_BASE_PAR_H
#define LMN_BASE_PAR_H

#include "base/types.h"

/* Work on chunk `chunk`. `worker` < width tells which scratch to use; it is not a thread id. */
typedef void lmn_par_fn(void *arg, int64_t chunk, int32_t worker);

typedef struct lmn_par {
    void *ctx;
    int32_t width; /* most workers that may run at once, >= 1 */
    /* Run fn for chunk 0..n_chunks-1, the caller included; returns when all are done or when the
       run was cancelled (then the remaining chunks are skipped, and the caller of the run sees it).
     */
    void (*run)(void *ctx, int64_t n_chunks, lmn_par_fn *fn, void *arg);
} lmn_par;

/* NULL par, width 1 or a single chunk: runs in the caller, in order. */
static inline void lmn_par_for(const lmn_par *par, int64_t n_chunks, lmn_par_fn *fn, void *arg)
{
    if (par && par->run) {
        par->run(par->ctx, n_chunks, fn, arg);
        return;
    }
    for (int64_t i = 0; i < n_chunks; i++) fn(arg, i, 0);
}
static inline int32_t lmn_par_width(const lmn_par *par)
{
    return par ? par->width : 1;
}

#endif
