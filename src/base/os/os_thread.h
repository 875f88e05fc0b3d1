/*
 * Threads, locks and waits: the door to pthread and futex. Nothing here allocates except thread
 * creation.
 */
#ifndef LMN_BASE_OS_THREAD_H
#define LMN_BASE_OS_THREAD_H

#include "base/atomic.h"
#include "base/types.h"

#include <pthread.h>

typedef struct lmn_mutex {
    pthread_mutex_t m;
} lmn_mutex;

static inline void lmn_mutex_init(lmn_mutex *m)
{
    (void)pthread_mutex_init(&m->m, NULL);
}
static inline void lmn_mutex_finish(lmn_mutex *m)
{
    (void)pthread_mutex_destroy(&m->m);
}
static inline void lmn_mutex_lock(lmn_mutex *m)
{
    (void)pthread_mutex_lock(&m->m);
}
static inline void lmn_mutex_unlock(lmn_mutex *m)
{
    (void)pthread_mutex_unlock(&m->m);
}

/* Start a thread; E_AGAIN when the system refuses. Joined by lmn_thread_join. */
typedef struct lmn_thread {
    pthread_t t;
} lmn_thread;
lamina_status lmn_thread_start(lmn_thread *t, void *(*fn)(void *), void *arg);
void lmn_thread_join(lmn_thread *t);
/* Tells running threads apart; a later thread may have the key of one that has ended. */
static inline uintptr_t lmn_thread_key(void)
{
    return (uintptr_t)pthread_self();
}

/* Sleep while *word == expected; wakes spuriously too. timeout_ns 0 = none. */
void lmn_futex_wait(lmn_atomic(uint32_t) * word, uint32_t expected, uint64_t timeout_ns);
void lmn_futex_wake(lmn_atomic(uint32_t) * word, int32_t n_waiters);

static inline void lmn_cpu_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
