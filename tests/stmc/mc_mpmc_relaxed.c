/*
 * The relaxed queue under the model checker, with rings that begin at two cells: every accepted
 * item comes out once and in its producer's order, contents visible; a ring that is replaced is
 * freed once and under nobody's feet; a lane changes hands whole; closing loses and invents
 * nothing.
 */
#include "sync/mpmc_relaxed.h"

#include "mc_frame.h"

static lmn_smr domain;
static lmn_mpmc_relaxed queue;
static lmn_relaxed_producer in[2];
static lmn_relaxed_consumer out[2];
static mc_books books;
static bool told; /* that nothing can come any more */

static void begin_with(lmn_asym asym)
{
    lmn_smr_init(&domain, &mc_memory, asym);
    lmn_relaxed_init(&queue, &domain);
    mc_books_open(&books);
    told = false;
}

MC_PART(begin_bare, begin_with(LMN_ASYM_MEMBARRIER))

static void push_by(lmn_relaxed_producer *p, uint32_t i)
{
    if (lmn_relaxed_push(p, mc_item(&books, i)) == LAMINA_OK) books.n_in++;
}

/* Items 0 .. 3 are one producer's, 4 .. 7 the other's. */
static void got(void *item, uint32_t last[2])
{
    const uint32_t i = mc_got(&books, item);
    stmc_check(i >= last[i / 4]);
    last[i / 4] = i;
}

static lamina_status pop_by(lmn_relaxed_consumer *c, uint32_t last[2])
{
    void *item = NULL;
    const lamina_status st = lmn_relaxed_pop(c, &item);
    if (st == LAMINA_OK) got(item, last);
    return st;
}

static void join(int producers, int consumers)
{
    for (int i = 0; i < producers; i++)
        stmc_check(lmn_relaxed_produce(&queue, &in[i]) == LAMINA_OK);
    for (int i = 0; i < consumers; i++)
        stmc_check(lmn_relaxed_consume(&queue, &out[i]) == LAMINA_OK);
}

static void begin(void)
{
    begin_bare();
    join(1, 2);
}

static void begin_fences(void)
{
    begin_with(LMN_ASYM_FENCE);
    join(1, 2);
}

/* Two lanes, an item in each. */
static void begin_two(void)
{
    begin_bare();
    join(2, 2);
    push_by(&in[0], 0);
    push_by(&in[1], 4);
}

/* A full lane that a producer still has, and nobody who takes. */
static void begin_producer(void)
{
    begin_bare();
    join(1, 0);
    push_by(&in[0], 0);
    push_by(&in[0], 1);
}

static void begin_full_fences(void)
{
    begin_fences();
    push_by(&in[0], 0);
    push_by(&in[0], 1);
}

static void begin_full(void)
{
    begin();
    push_by(&in[0], 0);
    push_by(&in[0], 1);
}

/* The cells have gone round once, and the consumer knows the ring. */
static void begin_round(void)
{
    uint32_t last[2] = {0};
    begin_full();
    stmc_check(pop_by(&out[0], last) == LAMINA_OK);
    push_by(&in[0], 2);
}

/* A large ring that has long been nearly empty: the next push halves it. */
static void begin_large(void)
{
    void *many[8];
    size_t n;
    begin();
    for (int i = 0; i < 7; i++) many[i] = &books.item[i];
    stmc_check(lmn_relaxed_push_bulk(&in[0], many, 7) == LAMINA_OK);
    stmc_check(lmn_relaxed_pop_bulk(&out[0], many, 7, &n) == LAMINA_OK && n == 7);
    in[0].calm = 3 * 8;
    push_by(&in[0], 0);
    stmc_check(in[0].mask == 7 && in[0].limit == in[0].tail);
}

MC_PART(push_one, push_by(&in[0], 2))

static void push_two(void)
{
    push_by(&in[0], 2);
    push_by(&in[0], 3);
}

MC_PART(push_last, push_by(&in[0], 3))

static void push_pair(void)
{
    void *pair[2] = {mc_item(&books, 2), mc_item(&books, 3)};
    if (lmn_relaxed_push_bulk(&in[0], pair, 2) == LAMINA_OK) books.n_in += 2;
}

MC_PART(push_other, push_by(&in[1], 5))

static void pop_some(lmn_relaxed_consumer *c, int n)
{
    uint32_t last[2] = {0};
    for (int i = 0; i < n; i++) (void)pop_by(c, last);
}

MC_PART(pop_one, pop_some(&out[0], 1))
MC_PART(pop_two, pop_some(&out[0], 2))
MC_PART(pop_one_b, pop_some(&out[1], 1))
MC_PART(pop_two_b, pop_some(&out[1], 2))

/* Twice, whatever comes; the second time may see old values. */
static void pop_until_told(void)
{
    uint32_t last[2] = {0};
    for (int i = 0; i < 2; i++) told = told || pop_by(&out[0], last) == LAMINA_E_CLOSED;
}

static void pop_pair(void)
{
    void *pair[2];
    size_t n = 0;
    uint32_t last[2] = {0};
    if (lmn_relaxed_pop_bulk(&out[0], pair, 2, &n) != LAMINA_OK) return;
    for (size_t i = 0; i < n; i++) got(pair[i], last);
}

static void pop_all(void)
{
    uint32_t last[2] = {0};
    for (lamina_status st; (st = pop_by(&out[0], last)) != LAMINA_E_CLOSED;)
        if (st == LAMINA_E_AGAIN) stmc_yield();
}

/* Until closed, and then there is nothing that was accepted and not delivered. */
static void pop_to_the_end(void)
{
    pop_all();
    told = true;
    stmc_check(pop_by(&out[0], (uint32_t[2]){0}) == LAMINA_E_CLOSED);
}

MC_PART(close_it, lmn_relaxed_close(&queue))

/* A producer that comes and goes; two of them may use one lane after the other. */
static void come_and_go(void)
{
    const uint32_t me = (uint32_t)stmc_self();
    lmn_relaxed_producer p;
    if (lmn_relaxed_produce(&queue, &p) != LAMINA_OK) return;
    push_by(&p, me == 1 ? 0 : 4);
    lmn_relaxed_stop_producing(&p);
}

static void come_and_take(void)
{
    uint32_t last[2] = {0};
    lmn_relaxed_consumer c;
    stmc_check(lmn_relaxed_consume(&queue, &c) == LAMINA_OK);
    (void)pop_by(&c, last);
    lmn_relaxed_stop_consuming(&c);
}

MC_PART(stop, lmn_relaxed_stop_producing(&in[0]))

static void grow_and_stop(void)
{
    push_by(&in[0], 3);
    lmn_relaxed_stop_producing(&in[0]);
}

static void leave(int producers, int consumers)
{
    for (int i = 0; i < producers; i++) lmn_relaxed_stop_producing(&in[i]);
    for (int i = 0; i < consumers; i++) lmn_relaxed_stop_consuming(&out[i]);
}

static void end_bare(void)
{
    uint32_t last[2] = {0};
    lmn_relaxed_consumer c;
    stmc_check(lmn_relaxed_consume(&queue, &c) == LAMINA_OK);
    while (pop_by(&c, last) == LAMINA_OK) continue;
    stmc_check(books.n_in == books.n_out);
    lmn_relaxed_stop_consuming(&c);
    lmn_relaxed_finish(&queue);
    lmn_smr_finish(&domain);
}

static void end(void)
{
    leave(1, 2);
    end_bare();
}

static void end_two(void)
{
    leave(2, 2);
    end_bare();
}

static void end_one(void)
{
    leave(1, 0);
    end_bare();
}

static void end_stopped(void)
{
    leave(0, 2);
    end_bare();
}

/* Nothing came after the word that nothing would. */
static void end_told(void)
{
    stmc_check(!told || books.n_in == books.n_out);
    end();
}

STMC_MAIN({"one to one", begin, {push_two, pop_two}, end},
          {"growing", begin_full, {push_one, pop_two}, end},
          {"growing, fences", begin_full_fences, {push_one, pop_two}, end},
          {"growing, a consumer comes", begin_producer, {push_one, come_and_take}, end_one},
          {"consumers come and go", begin_producer, {come_and_take, come_and_take}, end_one},
          {"round", begin_round, {push_last, pop_two}, end},
          {"two consumers", begin_full, {pop_two, pop_two_b}, end},
          {"halving", begin_large, {push_one, pop_one}, end},
          {"two lanes", begin_two, {push_other, pop_two, pop_one_b}, end_two},
          {"in pairs", begin, {push_pair, pop_pair, pop_one_b}, end},
          {"producers come and go", begin_bare, {come_and_go, come_and_go}, end_bare},
          {"consumer comes", begin_bare, {come_and_go, come_and_take}, end_bare},
          {"the lane is left", begin_full, {stop, pop_two}, end_stopped},
          {"close", begin, {push_one, close_it}, end},
          {"close twice", begin, {push_one, close_it, close_it}, end},
          {"close under way", begin, {push_one, pop_to_the_end, close_it}, end_told},
          {"the last word", begin, {push_one, pop_until_told, close_it}, end_told},
          {"the last word, fences", begin_fences, {push_one, pop_until_told, close_it}, end_told},
          {"the last pair, fences", begin_fences, {push_pair, pop_until_told, close_it}, end_told},
          {"growing, two consumers", begin_full, {push_one, pop_one, pop_one_b}, end},
          {"a ring without a producer", begin_round, {grow_and_stop, come_and_take}, end_stopped},
          {"overwritten", begin_full, {pop_one, pop_one_b, push_one}, end})
