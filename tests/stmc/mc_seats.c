/*
 * Seats under the model checker, two for three threads: a record has one user at a time, who sees
 * all that the last one wrote; who finds every seat taken is told so.
 */
#include "sync/seats.h"

static lmn_seats seats;
static uint32_t tally[LMN_SEATS];
static uint32_t n_sat;

static void begin(void)
{
    lmn_seats_init(&seats);
    for (uint32_t i = 0; i < LMN_SEATS; i++) {
        tally[i] = 0;
        seats.seat[i].record = &tally[i];
    }
    stmc_init(&n_sat, 0);
}

static void sit(uintptr_t key)
{
    lmn_seat *s = lmn_seat_take(&seats, key);
    if (!s) return;
    uint32_t *t = s->record;
    stmc_write(*t, stmc_read(*t) + 1);
    lmn_seat_give(s);
    (void)stmc_add(&n_sat, 1, relaxed);
}

/* All of one key: they want the same seat. */
static void sit_once(void)
{
    sit(1);
}

static void sit_twice(void)
{
    sit(1);
    sit(1);
}

static void end(void)
{
    stmc_check(tally[0] + tally[1] == stmc_load(&n_sat, relaxed));
    stmc_check(stmc_load(&n_sat, relaxed) >= 2);
}

STMC_MAIN({"two", begin, {sit_twice, sit_twice}, end},
          {"three", begin, {sit_once, sit_once, sit_once}, end})
