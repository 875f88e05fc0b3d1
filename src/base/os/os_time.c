/*
 * Clocks by clock_gettime.
 */
#include "base/os/os_time.h"

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t lmn_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
uint64_t lmn_wall_ns(void)
{
    return read_clock(CLOCK_REALTIME);
}
uint64_t lmn_process_cpu_ns(void)
{
    return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}
uint64_t lmn_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}
