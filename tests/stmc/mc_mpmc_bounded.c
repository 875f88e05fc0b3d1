/*
 * The bounded queue under the model checker, with one and with two slots: every accepted item comes
 * out once, in order, with its contents; a slot is never read and written at once; nothing is left
 * behind a consumer that said empty; closing loses and invents nothing.
 */
#include "sync/mpmc_bounded.c" /* one scene is in the middle of operations */

#include "mc_frame.h"

static _Alignas(LMN_APART) uint8_t memory[sizeof(lmn_mpmc_bounded_mem) + 2 * 40];
static lmn_mpmc_bounded queue;
static uint32_t n_in, n_out; /* plain: fibres switch at atomics only */
static uint32_t taken_mask;

static void begin_with(uint32_t capacity)
{
    stmc_check(lmn_mpmc_bounded_init(&queue, memory, sizeof memory, 8, capacity) == LAMINA_OK);
    /* Races of tickets end soon: whatever the limit, nothing may depend on it. */
    queue.items.limit = queue.spare.limit = 1;
    lmn_atomic_init(&queue.spare.control->threshold, 1);
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

MC_PART(begin, begin_with(2))
MC_PART(begin_one, begin_with(1))

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

MC_PART(push_one, (void)push(4 + (uint64_t)stmc_self()))

static void pop_one(void)
{
    uint64_t i;
    (void)pop(&i);
}

/* The rings have gone round, and the threshold of the items is used up. */
static void begin_tired(void)
{
    uint64_t i;
    begin_with(1);
    (void)push(0);
    while (pop(&i) == LAMINA_OK) continue;
    lmn_atomic_store(&queue.items.control->threshold, -1, relaxed);
}

/* The same beside an item, which a late producer left so. */
static void begin_left(void)
{
    begin_with(2);
    (void)push(1);
    lmn_atomic_store(&queue.items.control->threshold, -1, relaxed);
}

/* A consumer drew the ticket of the only item and stopped; others have gone round, so that the next
 * ticket has the item's entry; a second consumer draws that, and a producer fills what it may. Who
 * trusts the entry although its ticket is gone leaves its item behind. */
static uint64_t drawn, number;

static void begin_round(void)
{
    begin_with(2);
    (void)push(1);
    stmc_check(ring_take(&queue.spare, &number) == LAMINA_OK);
    drawn = lmn_atomic_add(&queue.items.control->head, 4, relaxed);
    for (uint64_t t = 1; t < 4; t++)
        stmc_check(entry_take(&queue.items, drawn + t) == none(&queue.items));
    (void)lmn_atomic_add(&queue.items.control->tail, 3, relaxed);
}

static void fill(void)
{
    const uint64_t value = 4;
    memcpy(slot_at(&queue, number), &value, sizeof value);
    stmc_check(ring_put(&queue.items, number) == LAMINA_OK);
    n_in++;
}

static void go_on(void)
{
    stmc_check(entry_take(&queue.items, drawn) == 0);
}

static void draw(void)
{
    const uint64_t ticket = lmn_atomic_add(&queue.items.control->head, 1, relaxed);
    if (entry_take(&queue.items, ticket) == none(&queue.items)) return;
    stmc_check(ring_put(&queue.spare, number) == LAMINA_OK);
    n_out++;
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

static void end_round(void)
{
    stmc_check(ring_put(&queue.spare, 0) == LAMINA_OK);
    n_out++;
    end();
}

STMC_MAIN({"round", begin_round, {fill, go_on, draw}, end_round},
          {"one to one", begin, {push_one, pop_two}, end},
          {"tired", begin_tired, {push_one, pop_one}, end},
          {"tired, an item is left", begin_left, {push_one, pop_one}, end},
          {"two consumers", begin_one_full, {pop_one, pop_one}, end},
          {"two producers", begin, {push_one, push_one}, end},
          {"two producers, one slot", begin_one, {push_one, push_one}, end},
          {"full", begin_full, {push_one, pop_one}, end},
          {"full, one slot", begin_one_full, {push_one, pop_two}, end},
          {"close", begin_one, {push_one, close_it}, end},
          {"close, then drain", begin_one_full, {close_it, pop_all}, end},
          {"close under way", begin_one, {push_one, pop_all, close_it}, end},
          {"beside a producer", begin, {push_and_get, push_one}, end},
          {"one to one, one slot", begin_one, {push_two, pop_two}, end},
          {"both do both", begin_one, {push_and_pop, push_and_pop}, end},
          {"one in, two out", begin_tired, {push_one, pop_one, pop_one}, end})
