/*
 * The mutex under the model checker: one holder at a time, who sees what the last one wrote; nobody
 * sleeps on while it is free; with three threads, and with one that only tries.
 */
#include "base/os/os_mutex.h"

#include "mc_frame.h"

static lmn_mutex m;
static int n_done, n_expected;

static void begin(int n)
{
    lmn_mutex_init(&m);
    n_done = 0;
    n_expected = n;
}

MC_PART(begin_one_each, begin(2))
MC_PART(begin_four, begin(4))
MC_PART(begin_three, begin(3))
MC_PART(begin_any, begin(-1))
static void count(void)
{
    stmc_write(n_done, stmc_read(n_done) + 1);
}

static void once(void)
{
    lmn_mutex_lock(&m);
    count();
    lmn_mutex_unlock(&m);
}

static void twice(void)
{
    once();
    once();
}

static void try_once(void)
{
    if (!lmn_mutex_trylock(&m)) return;
    count();
    lmn_mutex_unlock(&m);
}

static void end(void)
{
    stmc_check(n_expected < 0 ? n_done >= 1 : n_done == n_expected);
    stmc_check(lmn_mutex_trylock(&m));
}

STMC_MAIN({"two", begin_one_each, {once, once}, end},
          {"two, twice", begin_four, {twice, twice}, end},
          {"three", begin_three, {once, once, once}, end},
          {"one tries", begin_any, {once, try_once}, end},
          {"two try", begin_any, {try_once, try_once}, end})
