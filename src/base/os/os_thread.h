/*
 * Threads and waits: the door to pthread and futex; the mutex is in os_mutex.h. Nothing here
 * allocates except thread creation.
 */
#ifndef LMN_BASE_OS_THREAD_H
#define LMN_BASE_OS_THREAD_H

#include "base/os/os_mutex.h"
#include "base/types.h"

#include <pthread.h>

/* Start a thread; E_AGAIN when the system refuses. Joined by lmn_thread_join. */
typedef struct lmn_thread {
    pthread_t t;
} lmn_thread;
lamina_status lmn_thread_start(lmn_thread *t, void *(*fn)(void *), void *arg);
void lmn_thread_join(lmn_thread *t);
/* Tells running threads apart; a later thread may have the key of one that has ended. */
static inline uintptr_t lmn_thread_key(void)
{
#ifdef LMN_MC
    return (uintptr_t)(stmc_self() + 2);
#else
    return (uintptr_t)pthread_self();
#endif
}

/* The kernel's number of the calling thread, as debuggers and /proc show it; a system call. */
uint32_t lmn_thread_id(void);

/* The calling thread asks the scheduler for turns of that length (0.1 to 100 ms). Who asks for
 * short ones runs at once when it wakes beside threads that have long ones, and then may finish its
 * turn. Its share and its rank stay what they are. Where the system has no such thing (Linux
 * before 6.12) nothing changes. */
void lmn_thread_slice(uint64_t slice_ns);

/* Sleep while *word == expected; wakes spuriously too. timeout_ns 0 = none. */
void lmn_futex_wait(lmn_atomic(uint32_t) * word, uint32_t expected, uint64_t timeout_ns);
void lmn_futex_wake(lmn_atomic(uint32_t) * word, int32_t n_waiters);

/* Others who could run on this CPU go first. */
void lmn_thread_yield(void);

static inline void lmn_cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
