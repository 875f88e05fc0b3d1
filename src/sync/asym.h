/*
 * The asymmetric barrier: two sides each store and then load what the other stores, and at least
 * one must see the other. The quick side runs often and pays nothing (a word to the compiler), the
 * slow side runs rarely and calls membarrier. Where the kernel has none, both pay for a fence.
 *
 *   quick: store mine; lmn_asym_light; load theirs      slow: store mine; lmn_asym_heavy; load
 * theirs
 *
 * It orders a store before a load and nothing else: data is published by release and acquired by
 * acquire, as anywhere (so TSan, which knows no fences, sees every edge that is relied on).
 */
#ifndef LMN_SYNC_ASYM_H
#define LMN_SYNC_ASYM_H

#include "base/os/os_barrier.h"
#include "base/atomic.h"

typedef enum lmn_asym { LMN_ASYM_FENCE, LMN_ASYM_MEMBARRIER } lmn_asym;

#ifdef LMN_MC

#define lmn_asym_light(mode) ((mode) == LMN_ASYM_FENCE ? stmc_fence(seq_cst) : (void)0)
#define lmn_asym_heavy(mode) ((mode) == LMN_ASYM_FENCE ? stmc_fence(seq_cst) : stmc_membarrier())

#else

static inline void lmn_asym_light(lmn_asym mode)
{
    if (LMN_LIKELY(mode == LMN_ASYM_MEMBARRIER))
        lmn_compiler_barrier();
    else
        lmn_full_barrier();
}

static inline void lmn_asym_heavy(lmn_asym mode)
{
    if (mode == LMN_ASYM_MEMBARRIER)
        lmn_membarrier();
    else
        lmn_full_barrier();
}

#endif

/* The better of what this process may use. */
static inline lmn_asym lmn_asym_detect(void)
{
    return lmn_membarrier_register() ? LMN_ASYM_MEMBARRIER : LMN_ASYM_FENCE;
}

#endif
