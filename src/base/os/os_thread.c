/*
 * Thread start and futex waits.
 */
#include "base/os/os_thread.h"

#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

lamina_status lmn_thread_start(lmn_thread *t, void *(*fn)(void *), void *arg)
{
    return pthread_create(&t->t, NULL, fn, arg) == 0 ? LAMINA_OK : LAMINA_E_AGAIN;
}

void lmn_thread_join(lmn_thread *t)
{
    (void)pthread_join(t->t, NULL);
}

void lmn_thread_yield(void)
{
    (void)sched_yield();
}

uint32_t lmn_thread_id(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

/* The kernel's struct sched_attr, its first version: libc has none. */
typedef struct sched_attr_48 {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
} sched_attr_48;

void lmn_thread_slice(uint64_t slice_ns)
{
#if defined(SYS_sched_getattr) && defined(SYS_sched_setattr)
    sched_attr_48 a;
    if (syscall(SYS_sched_getattr, 0, &a, (unsigned)sizeof a, 0u) != 0) return;
    if (a.policy != 0 /* SCHED_OTHER */) return;
    a.runtime = slice_ns;
    (void)syscall(SYS_sched_setattr, 0, &a, 0u);
#else
    (void)slice_ns;
#endif
}

void lmn_futex_wait(lmn_atomic(uint32_t) * word, uint32_t expected, uint64_t timeout_ns)
{
    struct timespec ts = {(time_t)(timeout_ns / 1000000000u), (long)(timeout_ns % 1000000000u)};
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, expected, timeout_ns ? &ts : NULL, NULL, 0);
}

void lmn_futex_wake(lmn_atomic(uint32_t) * word, int32_t n_waiters)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n_waiters, NULL, NULL, 0);
}
