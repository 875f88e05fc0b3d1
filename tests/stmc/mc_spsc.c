/*
 * The SPSC ring (src/sync/spsc.h) under the model checker: items arrive once and in order, no slot
 * is read before it is written or overwritten while it is read. Capacity 2 makes both sides wait.
 */
#include "sync/spsc.h"

#define ITEMS 4

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_spsc_mem) + 2 * sizeof(uint32_t)];
static lmn_spsc in, out;
static uint32_t got;

static void begin(void)
{
    stmc_check(lmn_spsc_init(memory, sizeof memory, sizeof(uint32_t), 2) == LAMINA_OK);
    stmc_check(lmn_spsc_producer(memory, sizeof memory, &in) == LAMINA_OK);
    stmc_check(lmn_spsc_consumer(memory, sizeof memory, &out) == LAMINA_OK);
    got = 0;
}

static void produce(void)
{
    for (uint32_t i = 1; i <= ITEMS; i++)
        while (!lmn_spsc_push(&in, &i)) stmc_yield();
}

static void consume(void)
{
    for (uint32_t i = 1; i <= ITEMS; i++) {
        uint32_t item = 0;
        while (!lmn_spsc_pop(&out, &item)) stmc_yield();
        stmc_check(item == i);
        got++;
    }
}

static void produce_some(void)
{
    uint32_t item = 1;
    for (int i = 0; i < 4; i++) item += lmn_spsc_push(&in, &item);
}

static void consume_some(void)
{
    uint32_t item = 0;
    for (uint32_t i = 1; i <= 4; i++)
        if (lmn_spsc_pop(&out, &item)) stmc_check(item == ++got);
}

static void all_arrived(void)
{
    stmc_check(got == ITEMS);
}

/* Pairs of slots at once, published one call late. */
static void produce_pairs(void)
{
    in.lazy = 2;
    for (uint32_t i = 1; i <= ITEMS;) {
        lmn_slots s[2];
        const size_t n = lmn_spsc_reserve(&in, 2, s);
        for (size_t k = 0; k < n; k++) {
            uint8_t *p = k < s[0].n ? s[0].p + 4 * k : s[1].p + 4 * (k - s[0].n);
            lmn_plain_write(p, 4);
            memcpy(p, &i, 4);
            i++;
        }
        lmn_spsc_commit(&in, n);
        if (n == 0) {
            lmn_spsc_flush(&in);
            stmc_yield();
        }
    }
    lmn_spsc_flush(&in);
}

/* Ends that are taken while the other side works. */
static void begin_full(void)
{
    begin();
    for (uint32_t i = 1; i <= 2; i++) stmc_check(lmn_spsc_push(&in, &i));
}

static void produce_late(void)
{
    const uint32_t item = 3;
    lmn_spsc late;
    stmc_check(lmn_spsc_producer(memory, sizeof memory, &late) == LAMINA_OK);
    (void)lmn_spsc_push(&late, &item);
}

static void consume_late(void)
{
    uint32_t item = 0;
    lmn_spsc late;
    stmc_check(lmn_spsc_consumer(memory, sizeof memory, &late) == LAMINA_OK);
    for (int i = 0; i < 3; i++)
        if (lmn_spsc_pop(&late, &item)) stmc_check(item == ++got);
}

STMC_MAIN({"one at a time", begin, {produce, consume}, all_arrived},
          {"nobody waits", begin, {produce_some, consume_some}, NULL},
          {"pairs, published late", begin, {produce_pairs, consume}, all_arrived},
          {"the producer comes late", begin_full, {produce_late, consume_some}, NULL},
          {"the consumer comes late", begin, {produce_some, consume_late}, NULL})
