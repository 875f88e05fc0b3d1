/*
 * Waiting at the public queue under the model checker: who waits for an item, for room, or for the
 * end is always woken; a bound is never passed; what is accepted is delivered. The queue itself is
 * the business of mc_mpmc.c; here it is the credits and the two eventcounts around it.
 */
#include "syncapi/api_queue.c"

#include "mc_frame.h"

static lamina_queue *queue;
static uint32_t items[6];
static uint32_t n_in, n_out; /* by atomics */

static void begin(uint64_t capacity, uint32_t n)
{
    const lamina_queue_opts o = {sizeof o, &mc_memory, capacity};
    stmc_check(lamina_queue_create(&o, &queue) == LAMINA_OK);
    stmc_init(&n_in, n);
    stmc_init(&n_out, 0);
    for (uint32_t i = 0; i < n; i++) {
        stmc_write(items[5 - i], 1);
        stmc_check(lamina_queue_push(queue, &items[5 - i]) == LAMINA_OK);
    }
}

MC_PART(begin_empty, begin(0, 0))
MC_PART(begin_full, begin(1, 1))

static void count(lamina_status st, uint32_t *n)
{
    if (st == LAMINA_OK)
        (void)stmc_add(n, 1, relaxed);
    else
        stmc_check(st == LAMINA_E_CLOSED);
}

static void push(void)
{
    uint32_t *item = &items[stmc_self()];
    stmc_write(*item, 1);
    count(lamina_queue_push(queue, item), &n_in);
}

static void push_wait(void)
{
    uint32_t *item = &items[stmc_self()];
    stmc_write(*item, 1);
    count(lamina_queue_push_wait(queue, item, 0), &n_in);
}

static void pop_wait(void)
{
    void *item = NULL;
    const lamina_status st = lamina_queue_pop_wait(queue, &item, 0);
    if (st == LAMINA_OK) stmc_check(stmc_read(*(uint32_t *)item) == 1);
    count(st, &n_out);
}

static void close_it(void)
{
    stmc_check(lamina_queue_close(queue) == LAMINA_OK);
}

static void end(void)
{
    void *item;
    while (lamina_queue_pop(queue, &item) == LAMINA_OK) (void)stmc_add(&n_out, 1, relaxed);
    stmc_check(stmc_load(&n_in, relaxed) == stmc_load(&n_out, relaxed));
    lamina_queue_destroy(queue);
}

STMC_MAIN({"for an item", begin_empty, {pop_wait, push}, end},
          {"for room", begin_full, {push_wait, pop_wait}, end},
          {"for the end", begin_empty, {pop_wait, close_it}, end},
          {"for room, or the end", begin_full, {push_wait, close_it}, end})
