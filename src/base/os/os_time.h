/*
 * Clocks, in nanoseconds.
 */
#ifndef LMN_BASE_OS_TIME_H
#define LMN_BASE_OS_TIME_H

#include "base/types.h"

uint64_t lmn_now_ns(void);         /* CLOCK_MONOTONIC */
uint64_t lmn_wall_ns(void);        /* CLOCK_REALTIME */
uint64_t lmn_process_cpu_ns(void); /* CPU time of all threads of the process */
uint64_t lmn_thread_cpu_ns(void);  /* CPU time of the calling thread */

#endif
