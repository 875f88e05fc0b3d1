/*
 * A harness for stmc: one value is handed from a thread to another through a flag. Check it, then
 * see which orderings it stands on:
 *
 *     lamina-stmc handover.c
 *     lamina-stmc handover.c -- --mutate
 */
#include <lamina/stmc.h>

static int value, ready;

static void begin(void)
{
    stmc_init(&ready, 0);
}

static void giver(void)
{
    stmc_write(value, 42);
    stmc_store(&ready, 1, release);
    stmc_futex_wake(&ready, 1);
}

static void taker(void)
{
    while (!stmc_load(&ready, acquire)) stmc_futex_wait(&ready, 0);
    stmc_check(stmc_read(value) == 42);
}

STMC_MAIN({"handover", begin, {giver, taker}, NULL})
