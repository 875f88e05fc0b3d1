/*
 * The MPMC queue under the model checker, with segments of two cells: every accepted item comes out
 * once, each producer's in order, contents visible, by ones and by twos; closing loses and invents
 * nothing; segments are freed or used again once and not under anybody's feet.
 */
#include "sync/mpmc.h"

#include "mc_frame.h"

static lmn_smr domain;
static lmn_mpmc queue;
static mc_books books;

static void begin(void)
{
    lmn_smr_init(&domain, &mc_memory, LMN_ASYM_MEMBARRIER);
    stmc_check(lmn_mpmc_init(&queue, &domain) == LAMINA_OK);
    queue.pool->n_spare = 0; /* freed at once, so that a late use is seen */
    mc_books_open(&books);
}

static void push(lmn_hp *hp, uint32_t i)
{
    if (lmn_mpmc_push(&queue, hp, mc_item(&books, i)) == LAMINA_OK) books.n_in++;
}

static lamina_status pop(lmn_hp *hp, uint32_t *i)
{
    void *item = NULL;
    const lamina_status st = lmn_mpmc_pop(&queue, hp, &item);
    if (st == LAMINA_OK) *i = mc_got(&books, item);
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

MC_PART(pop_one, pop_some(1))
MC_PART(pop_two, pop_some(2))
MC_PART(pop_three, pop_some(3))

static void close_it(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    lmn_mpmc_close(&queue, hp);
    stmc_check(lmn_mpmc_push(&queue, hp, &books.item[7]) == LAMINA_E_CLOSED);
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

MC_PART(push_mine, push(mine[stmc_self()], (uint32_t)stmc_self()))

static void pop_mine(void)
{
    uint32_t i;
    (void)pop(mine[stmc_self()], &i);
}

MC_PART(close_mine, lmn_mpmc_close(&queue, mine[stmc_self()]))

/* ---- by twos ------------------------------------------------------------------------------- */

static void push_both(void)
{
    void *both[2] = {mc_item(&books, 0), mc_item(&books, 1)};
    size_t done;
    const lamina_status st = lmn_mpmc_push_bulk(&queue, mine[stmc_self() % 3], both, 2, &done);
    stmc_check((st == LAMINA_OK) == (done == 2));
    books.n_in += (uint32_t)done;
}

static void pop_both(void)
{
    void *both[2];
    size_t got;
    uint32_t last = 0;
    if (lmn_mpmc_pop_bulk(&queue, mine[stmc_self() % 3], both, 2, &got) != LAMINA_OK) return;
    stmc_check(got >= 1 && got <= 2);
    for (size_t k = 0; k < got; k++) {
        const uint32_t i = mc_got(&books, both[k]);
        stmc_check(i > 1 || i >= last);
        last = i;
    }
}

/* In order, whoever took them before. */
static void pop_twice_mine(void)
{
    uint32_t i, last = 0;
    for (int k = 0; k < 2; k++) {
        if (pop(mine[stmc_self() % 3], &i) != LAMINA_OK) continue;
        if (i < 2) {
            stmc_check(i >= last);
            last = i;
        }
    }
}

MC_PART(push_second, push(mine[stmc_self() % 3], 4))

static void begin_empty(void)
{
    begin();
    for (int i = 0; i < 3; i++) mine[i] = lmn_smr_join(&domain);
}

/* One cell is used: two items go over the end. */
static void begin_odd(void)
{
    uint32_t i;
    begin_empty();
    push(mine[0], 5);
    stmc_check(pop(mine[0], &i) == LAMINA_OK);
}

/* A segment that was used up lies ready, and the next push but one wants it. */
static void begin_recycled(void)
{
    uint32_t i;
    begin_empty();
    queue.pool->n_spare = 1;
    push(mine[0], 5);
    push(mine[0], 6);
    push(mine[0], 7);
    for (int k = 0; k < 3; k++) stmc_check(pop(mine[0], &i) == LAMINA_OK);
    lmn_smr_scan(mine[0]);
    stmc_check(lmn_atomic_load(&queue.pool->spare[0], relaxed) != NULL);
    books.taken = 0;
}

static void begin_limited(void)
{
    begin_empty();
    lmn_mpmc_limit(&queue, 1);
}

static void end_limited(void)
{
    lmn_hp *hp = mine[0];
    uint32_t i;
    while (pop(hp, &i) == LAMINA_OK) continue;
    stmc_check(books.n_in == books.n_out && lmn_atomic_load(&queue.used, relaxed) == 0);
    stmc_check(lmn_mpmc_push(&queue, hp, &books.item[7]) == LAMINA_OK);
    stmc_check(lmn_mpmc_push(&queue, hp, &books.item[7]) == LAMINA_E_AGAIN);
    stmc_check(lmn_mpmc_pop(&queue, hp, &(void *){NULL}) == LAMINA_OK);
    for (int k = 0; k < 3; k++) lmn_smr_leave(mine[k]);
    lmn_mpmc_finish(&queue);
    lmn_smr_finish(&domain);
}

/* A segment that thread 2 retired comes back when the queue is gone, or just before. */
static void begin_late(void)
{
    uint32_t i;
    begin_empty();
    queue.pool->n_spare = 1;
    push(mine[2], 5);
    push(mine[2], 6);
    push(mine[2], 7);
    for (int k = 0; k < 3; k++) stmc_check(pop(mine[2], &i) == LAMINA_OK);
}

MC_PART(finish_it, lmn_mpmc_finish(&queue))
MC_PART(leave_late, lmn_smr_leave(mine[2]))
MC_PART(scan_late, lmn_smr_scan(mine[2]))

static void begin_given(void)
{
    begin_late();
    books.taken = 0;
}

static void end_late(void)
{
    lmn_smr_leave(mine[0]);
    lmn_smr_leave(mine[1]);
    lmn_smr_finish(&domain);
}

static void end(void)
{
    lmn_hp *hp = lmn_smr_join(&domain);
    uint32_t i;
    while (pop(hp, &i) == LAMINA_OK) continue;
    stmc_check(books.n_in == books.n_out);
    lmn_mpmc_finish(&queue);
    lmn_smr_leave(hp);
    lmn_smr_finish(&domain);
}

static void end_three(void)
{
    for (int i = 0; i < 3; i++) lmn_smr_leave(mine[i]);
    end();
}

STMC_MAIN(
    {"two consumers", begin_full, {pop_one, pop_one}, end},
    {"two producers, full", begin_full, {push_other, push_another}, end},
    {"close", begin, {push_other, close_it}, end},
    {"close a full segment", begin_full, {push_other, close_it}, end},
    {"close, then drain", begin_full, {close_it, pop_all}, end},
    {"over a segment", begin_full, {push_other, pop_three}, end},
    {"one in, two out", begin_used_up, {push_mine, pop_mine, pop_mine}, end_three},
    {"two producers", begin, {push_two, push_other}, end},
    {"the queue goes first", begin_late, {finish_it, leave_late}, end_late},
    {"given and used again", begin_given, {push_both, scan_late}, end_three},
    {"two at once", begin_empty, {push_both, pop_twice_mine}, end_three},
    {"two at once, taken at once", begin_empty, {push_both, pop_both}, end_three},
    {"two over the end", begin_odd, {push_both, pop_twice_mine}, end_three},
    {"two beside one", begin_odd, {push_both, push_second}, end_three},
    {"takers of two", begin_three, {pop_both, pop_both}, end_three},
    {"limited", begin_limited, {push_mine, pop_mine, push_mine}, end_limited},
    {"used again", begin_recycled, {push_both, pop_twice_mine}, end_three},
    {"consumers over a segment", begin_two_segments, {pop_two, pop_two}, end},
    {"one to one", begin, {push_two, pop_two}, end},
    {"three items", begin, {push_three, pop_one}, end},
    {"two in, one out", begin_used_up, {push_mine, pop_mine, push_mine}, end_three},
    {"close beside two", begin_three, {push_mine, close_mine, push_mine}, end_three},
    {"three producers", begin_three, {push_mine, push_mine, push_mine}, end_three},
    {"two beside a taker and one", begin_odd, {push_both, pop_twice_mine, push_second}, end_three})
