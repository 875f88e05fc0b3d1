/*
 * The event lane (src/trace/lane.h) under the model checker: what a reader accepts is whole and in
 * order, what it does not is counted as lost, and a lane changes hands without losing anything.
 */
#include "trace/lane.h"

#define SLOTS 2
#define MOST 3

static lmn_lane_slot slots[SLOTS];
static lmn_lane_mem mem;
static lmn_lane lane;
static lmn_lane_reader reader;
static uint32_t put_by[2];

static void begin(void)
{
    for (int i = 0; i < SLOTS; i++)
        for (int k = 0; k < LMN_EVENT_WORDS; k++) lmn_atomic_init(&slots[i].w[k], 0);
    lmn_atomic_init(&mem.head, 0);
    lmn_atomic_init(&lane.held, 0);
    lane.mem = &mem;
    lane.slots = slots;
    lane.mask = SLOTS - 1;
    lane.n = 0;
    reader = (lmn_lane_reader){0, 0, 0};
    put_by[0] = put_by[1] = 0;
}

/* Event n holds n + 1 in every word. */
static void put(void)
{
    const uint64_t w[LMN_EVENT_WORDS] = {lane.n + 1, lane.n + 1};
    lmn_lane_put(&lane, w);
}

static void write_three(void)
{
    for (int i = 0; i < 3; i++) put();
}

static void begin_full(void)
{
    begin();
    put();
    put();
}

static void write_two(void)
{
    put();
    put();
}

static void read_some(uint64_t most)
{
    uint64_t out[MOST][LMN_EVENT_WORDS], first;
    const uint64_t n = lmn_lane_read(&reader, &mem, slots, SLOTS, most, out, &first);
    for (uint64_t i = first; i < n; i++)
        for (int k = 0; k < LMN_EVENT_WORDS; k++) stmc_check(out[i][k] == reader.at - n + i + 1);
    stmc_check(reader.at == reader.n_read + reader.n_lost);
}

static void read_twice(void)
{
    read_some(1);
    read_some(2);
}

static void read_all(void)
{
    read_some(2);
}

/* After the writers: what is left is read, and the account closes. */
static void account(void)
{
    read_some(2);
    const uint64_t emitted = lmn_atomic_load(&mem.head, relaxed) >> 1;
    stmc_check(reader.at == emitted && reader.n_read + reader.n_lost == emitted);
}

static void account_three(void)
{
    account();
    stmc_check(reader.at == 3);
}

static void hold(int who)
{
    for (int i = 0; i < 2; i++) {
        if (!lmn_lane_take(&lane)) continue;
        put();
        put_by[who]++;
        lmn_lane_give(&lane);
    }
}

static void hold_0(void)
{
    hold(0);
}
static void hold_1(void)
{
    hold(1);
}

static void account_holders(void)
{
    account();
    stmc_check(reader.at == put_by[0] + put_by[1]);
}

STMC_MAIN({"a reader behind the writer", begin, {write_three, read_twice}, account_three},
          {"overwritten while it is read", begin_full, {write_two, read_all}, account},
          {"two holders", begin, {hold_0, hold_1}, account_holders})
