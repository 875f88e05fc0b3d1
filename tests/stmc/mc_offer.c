/*
 * The offer of a loop under the model checker: every chunk runs once whoever takes it, worker
 * numbers differ and stay below the width, what chunks wrote is visible after close, a helper that
 * comes late joins nothing or the next loop, and sees that one's fields.
 */
#include "sync/offer.h"

#define MOST 4

static lmn_offer offer;
static uint32_t in[2], out[MOST], scratch[3]; /* input of a loop, a chunk's result, a worker's */
static bool stop;

static void chunk(void *arg, int64_t c, int32_t worker)
{
    const uint32_t *input = arg;
    stmc_check(c >= 0 && c < MOST && worker >= 0 && worker < 3);
    stmc_write(scratch[worker], 1);
    stmc_write(out[c], stmc_read(out[c]) + stmc_read(*input));
}

static bool stopped(void *ctx)
{
    return *(const bool *)ctx;
}

static void begin(void)
{
    lmn_offer_init(&offer);
    for (int i = 0; i < MOST; i++) out[i] = 0;
    stop = false;
}

/* The loop in place `which` adds its input to every chunk's result. */
static void run(int which, int64_t n_chunks, int32_t width)
{
    const lmn_loop loop = {n_chunks, chunk, &in[which], stopped, &stop, width};
    stmc_write(in[which], (uint32_t)which + 1);
    if (!lmn_offer_open(&offer, &loop)) return;
    lmn_offer_work(&offer, 0);
    lmn_offer_close(&offer);
    for (int64_t c = 0; c < n_chunks; c++)
        stmc_check(stmc_read(out[c]) == (which && n_chunks == 1 ? 3u : (uint32_t)which + 1));
}

static void caller_one(void)
{
    run(0, 1, 2);
}

static void caller_two(void)
{
    run(0, 2, 3);
}

static void caller_again(void)
{
    run(0, 1, 2);
    run(1, 1, 2);
}

static void other_caller(void)
{
    stmc_write(in[1], 2);
    const lmn_loop loop = {1, chunk, &in[1], NULL, NULL, 2};
    if (!lmn_offer_open(&offer, &loop)) return;
    lmn_offer_work(&offer, 0);
    lmn_offer_close(&offer);
}

static void one_caller(void)
{
    stmc_write(in[0], 1);
    const lmn_loop loop = {1, chunk, &in[0], NULL, NULL, 2};
    if (!lmn_offer_open(&offer, &loop)) return;
    lmn_offer_work(&offer, 0);
    lmn_offer_close(&offer);
}

static void stopping_caller(void)
{
    stop = true;
    const lmn_loop loop = {2, chunk, &in[0], stopped, &stop, 2};
    stmc_check(lmn_offer_open(&offer, &loop));
    lmn_offer_work(&offer, 0);
    lmn_offer_close(&offer);
    stmc_check(stmc_read(out[0]) == 0 && stmc_read(out[1]) == 0);
}

static void helper(void)
{
    const int32_t worker = lmn_offer_join(&offer, 2);
    if (worker == 0) return;
    lmn_offer_work(&offer, worker);
    lmn_offer_leave(&offer);
}

static void end(void)
{
    stmc_check(lmn_atomic_load(&offer.word, relaxed) == 0);
}

STMC_MAIN({"one helper", begin, {caller_one, helper}, end},
          {"stopped", begin, {stopping_caller, helper}, end},
          {"two callers", begin, {one_caller, other_caller}, end},
          {"again", begin, {caller_again, helper}, end},
          {"two chunks", begin, {caller_two, helper}, end},
          {"two helpers", begin, {caller_two, helper, helper}, end},
          {"two callers, a helper", begin, {one_caller, other_caller, helper}, end})
