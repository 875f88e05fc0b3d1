/*
 * The MPMC queue under the model checker, with segments of two cells: every accepted item comes out
 * once, each producer's in order, contents visible; closing loses and invents nothing; segments are
 * freed once and not under anybody's feet.
 */
#include "sync/mpmc.h"

static lmn_smr domain;
static lmn_mpmc queue;
static uint32_t items[8];
static uint32_t n_in, n_out; /* counted with plain adds by atomics below */
static uint32_t taken_mask;

static void *alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)align, (void)tag;
    return stmc_malloc(bytes);
}

static void release(void *ctx, void *p, size_t bytes, size_t align, const char *tag)
{
    (void)ctx, (void)bytes, (void)align, (void)tag;
    stmc_free(p);
}

static void begin(void)
{
    const lamina_allocator a = {.alloc = alloc, .free = release};
    lmn_smr_init(&domain, &a, LMN_ASYM_MEMBARRIER);
    stmc_check(lmn_mpmc_init(&queue, &domain) == LAMINA_OK);
    n_in = n_out = taken_mask = 0;
}

static void push(lmn_hp *hp, uint32_t i)
{
    stmc_write(items[i], 100 + i);
    if (lmn_mpmc_push(&queue, hp, &items[i]) == LAMINA_OK) n_in++;
}

static lamina_status pop(lmn_hp *hp, uint32_t *i)
{
    void *item = NULL;
    const lamina_status st = lmn_mpmc_pop(&queue, hp, &item);
    if (st != LAMINA_OK) return st;
    *i = (uint32_t)((uint32_t *)item - items);
    stmc_check(*i < 8 && stmc_read(items[*i]) == 100 + *i);
    stmc_check(!(taken_mask >> *i & 1));
    taken_mask |= 1u << *i;
    n_out++;
    return st;
}

static void push_two(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    push(hp, 0);
    push(hp, 1);
    lmn_smr_leave(hp);
}

static void push_three(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    for (uint32_t i = 0; i < 3; i++) push(hp, i);
    lmn_smr_leave(hp);
}

static void push_other(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    push(hp, 4);
    lmn_smr_leave(hp);
}

static void pop_some(int n)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    uint32_t last = 0, i;
    for (int k = 0; k < n; k++) {
        if (pop(hp, &i) != LAMINA_OK) continue;
        if (i < 4) {
            stmc_check(i >= last);
            last = i;
        }
    }
    lmn_smr_leave(hp);
}

static void pop_one(void)
{
    pop_some(1);
}

static void pop_two(void)
{
    pop_some(2);
}

static void pop_three(void)
{
    pop_some(3);
}

static void close_it(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    lmn_mpmc_close(&queue, hp);
    stmc_check(lmn_mpmc_push(&queue, hp, &items[7]) == LAMINA_E_CLOSED);
    lmn_smr_leave(hp);
}

/* Until closed: the last word comes after everything. */
static void pop_all(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    uint32_t i;
    for (lamina_status st; (st = pop(hp, &i)) != LAMINA_E_CLOSED;)
        if (st == LAMINA_E_AGAIN) stmc_yield();
    lmn_smr_leave(hp);
}

static void begin_full(void)
{
    begin();
    lmn_hp *hp = lmn_smr_join(&domain);
    push(hp, 5);
    push(hp, 6);
    lmn_smr_leave(hp);
}

/* One full segment and one item in the next. */
static void begin_two_segments(void)
{
    begin_full();
    lmn_hp *hp = lmn_smr_join(&domain);
    push(hp, 3);
    lmn_smr_leave(hp);
}

static void push_another(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    push(hp, 0);
    lmn_smr_leave(hp);
}

/* A full segment and records for three, so that nobody has to join. */
static lmn_hp *mine[3];

static void begin_three(void)
{
    begin_full();
    for (int i = 0; i < 3; i++) mine[i] = lmn_smr_join(&domain);
}

static void begin_used_up(void)
{
    begin_three();
    uint32_t i;
    while (pop(mine[0], &i) == LAMINA_OK) continue;
}

static void push_mine(void)
{
    push(mine[stmc_self()], (uint32_t)stmc_self());
}

static void pop_mine(void)
{
    uint32_t i;
    (void)pop(mine[stmc_self()], &i);
}

static void close_mine(void)
{
    lmn_mpmc_close(&queue, mine[stmc_self()]);
}

static void end(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    uint32_t i;
    while (pop(hp, &i) == LAMINA_OK) continue;
    stmc_check(n_in == n_out);
    lmn_mpmc_finish(&queue);
    lmn_smr_leave(hp);
    lmn_smr_finish(&domain);
}

static void end_three(void)
{
    for (int i = 0; i < 3; i++) lmn_smr_leave(mine[i]);
    end();
}

STMC_MAIN({"two consumers", begin_full, {pop_one, pop_one}, end},
          {"two producers, full", begin_full, {push_other, push_another}, end},
          {"close", begin, {push_other, close_it}, end},
          {"close a full segment", begin_full, {push_other, close_it}, end},
          {"close, then drain", begin_full, {close_it, pop_all}, end},
          {"consumers over a segment", begin_two_segments, {pop_two, pop_two}, end},
          {"over a segment", begin_full, {push_other, pop_three}, end},
          {"three producers", begin_three, {push_mine, push_mine, push_mine}, end_three},
          {"one in, two out", begin_used_up, {push_mine, pop_mine, pop_mine}, end_three},
          {"two in, one out", begin_used_up, {push_mine, pop_mine, push_mine}, end_three},
          {"close beside two", begin_three, {push_mine, close_mine, push_mine}, end_three},
          {"two producers", begin, {push_two, push_other}, end},
          {"one to one", begin, {push_two, pop_two}, end},
          {"three items", begin, {push_three, pop_one}, end})
