/*
 * Tasks for the scenes of groups: each marks its result, or is counted when it is dropped.
 */
#ifndef LMN_TESTS_STMC_MC_TASKS_H
#define LMN_TESTS_STMC_MC_TASKS_H

#include "sync/workpool_int.h"

#include "mc_frame.h"

#define MOST 3

static lmn_group group;
static uint32_t result[MOST];
static int n_run, n_dropped;

static void begin_tasks(void)
{
    n_run = n_dropped = 0;
    for (int i = 0; i < MOST; i++) result[i] = 0;
}

static void task(lmn_worker *w, void *payload)
{
    const uint64_t i = *(const uint64_t *)payload;
    (void)w;
    stmc_check(i < MOST && stmc_read(result[i]) == 0);
    stmc_write(result[i], 7);
    n_run++;
}

static void drop(void *payload)
{
    stmc_check(*(const uint64_t *)payload < MOST);
    n_dropped++;
}

#endif
