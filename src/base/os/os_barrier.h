/*
 * membarrier(2): one thread makes every other running thread of the process pass a full barrier, so
 * that the others need none of their own.
 */
#ifndef LMN_BASE_OS_BARRIER_H
#define LMN_BASE_OS_BARRIER_H

#include "base/types.h"

/* May this process use it? Registers with the kernel; cheap to ask again. */
bool lmn_membarrier_register(void);
/* Every thread of the process has passed a full memory barrier between call and return. Only after
 * lmn_membarrier_register said yes. */
void lmn_membarrier(void);

/* The calling thread alone. An instruction and no atomic_thread_fence: TSan refuses to compile what
 * it cannot follow, and it need not follow this (asym.h). */
static inline void lmn_full_barrier(void)
{
#if defined(__x86_64__)
    __asm__ volatile("lock orq $0, (%%rsp)" ::: "memory", "cc");
#elif defined(__aarch64__)
    __asm__ volatile("dmb ish" ::: "memory");
#else
    __sync_synchronize(); /* the one place outside atomic.h, for processors not named above */
#endif
}

/* The compiler moves no access to memory across this; the processor may. */
static inline void lmn_compiler_barrier(void)
{
    __asm__ volatile("" ::: "memory");
}

#endif
