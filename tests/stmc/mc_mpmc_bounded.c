/*
 * The bounded queue under the model checker, with one and with two slots: every accepted item comes
 * out once, in order, with its contents; a slot is never read and written at once; nothing is left
 * behind a consumer that said empty; closing loses and invents nothing.
 */
#include "sync/mpmc_bounded.h"

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_mpmc_bounded_mem) + 2 * 40];
static lmn_mpmc_bounded queue;
static uint32_t n_in, n_out; /* plain: fibres switch at atomics only */
static uint32_t taken_mask;

static void begin_with(uint32_t capacity)
{
    stmc_check(lmn_mpmc_bounded_init(&queue, memory, sizeof memory, 8, capacity) == LAMINA_OK);
    n_in = n_out = taken_mask = 0;
}

static lamina_status push(uint64_t i)
{
    const lamina_status st = lmn_mpmc_bounded_push(&queue, &i);
    stmc_check(st != LAMINA_E_CORRUPT);
    n_in += st == LAMINA_OK;
    return st;
}

static lamina_status pop(uint64_t *i)
{
    const lamina_status st = lmn_mpmc_bounded_pop(&queue, i);
    stmc_check(st != LAMINA_E_CORRUPT);
    if (st != LAMINA_OK) return st;
    stmc_check(*i < 16 && !(taken_mask >> *i & 1));
    taken_mask |= 1u << *i;
    n_out++;
    return st;
}

static void begin(void)
{
    begin_with(2);
}

static void begin_one(void)
{
    begin_with(1);
}

static void begin_full(void)
{
    begin_with(2);
    (void)push(1);
    (void)push(2);
}

static void begin_one_full(void)
{
    begin_with(1);
    (void)push(1);
}

/* The rings have gone round, and the threshold of the items is used up. */
static void begin_tired(void)
{
    uint64_t i;
    begin_with(1);
    (void)push(0);
    while (pop(&i) == LAMINA_OK) continue;
    for (int k = 0; k < 9; k++) (void)pop(&i);
}

static void push_two(void)
{
    (void)push(4);
    (void)push(5);
}

static void pop_two(void)
{
    uint64_t last = 0, i;
    for (int k = 0; k < 2; k++) {
        if (pop(&i) != LAMINA_OK) continue;
        stmc_check(i >= last);
        last = i;
    }
}

static void push_one(void)
{
    (void)push(4 + (uint64_t)stmc_self());
}

static void pop_one(void)
{
    uint64_t i;
    (void)pop(&i);
}

/* Empty, with a threshold that nobody has lowered and that is as tight as one slot and one consumer
 * allow: two looks in vain use it up. */
static void begin_fresh(void)
{
    uint64_t i;
    begin_with(1);
    queue.items.limit = 1;
    (void)push(0);
    (void)pop(&i);
}

/* Comes round to the entry that another consumer is about to empty. */
static void pop_round(void)
{
    uint64_t i;
    for (int k = 0; k < 4; k++) (void)pop(&i);
}

static void begin_half(void)
{
    begin_with(2);
    (void)push(1);
}

static void push_and_pop(void)
{
    push_one();
    pop_one();
}

/* With no other consumer about, what this thread put in keeps the queue from being empty. */
static void push_and_get(void)
{
    uint64_t i;
    stmc_check(push(9) == LAMINA_OK && pop(&i) == LAMINA_OK);
}

static void close_it(void)
{
    lmn_mpmc_bounded_close(&queue);
    stmc_check(push(15) == LAMINA_E_CLOSED);
}

static void pop_all(void)
{
    uint64_t i;
    for (lamina_status st; (st = pop(&i)) != LAMINA_E_CLOSED;)
        if (st == LAMINA_E_AGAIN) stmc_yield();
}

static void end(void)
{
    uint64_t i;
    while (pop(&i) == LAMINA_OK) continue;
    stmc_check(n_in == n_out);
    /* Every slot came back: the queue takes as many as it has room for, and gives them in order. */
    if (lmn_atomic_load(&queue.mem->closed, relaxed)) return;
    const uint32_t capacity = queue.mem->capacity;
    for (uint32_t k = 0; k < capacity; k++) stmc_check(push(10 + k) == LAMINA_OK);
    stmc_check(push(15) == LAMINA_E_AGAIN);
    for (uint32_t k = 0; k < capacity; k++) stmc_check(pop(&i) == LAMINA_OK && i == 10 + k);
}

STMC_MAIN({"one to one, one slot", begin_one, {push_two, pop_two}, end},
          {"one to one", begin, {push_two, pop_two}, end},
          {"pop in vain", begin_fresh, {push_one, pop_two}, end},
          {"round", begin_half, {pop_one, pop_round, push_one}, end},
          {"tired", begin_tired, {push_one, pop_one}, end},
          {"two consumers", begin_one_full, {pop_one, pop_one}, end},
          {"two producers", begin, {push_one, push_one}, end},
          {"two producers, one slot", begin_one, {push_one, push_one}, end},
          {"full", begin_full, {push_one, pop_one}, end},
          {"full, one slot", begin_one_full, {push_two, pop_two}, end},
          {"close", begin_one, {push_one, close_it}, end},
          {"close, then drain", begin_one_full, {close_it, pop_all}, end},
          {"close under way", begin_one, {push_one, pop_all, close_it}, end},
          {"both do both", begin_one, {push_and_pop, push_and_pop}, end},
          {"beside a producer", begin, {push_and_get, push_one}, end},
          {"one in, two out", begin_tired, {push_one, pop_one, pop_one}, end})
