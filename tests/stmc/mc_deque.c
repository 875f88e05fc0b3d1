/*
 * The deque under the model checker, with buffers of two tasks at first: every pushed task comes
 * out once and whole, what it points at is visible, the owner gets the newest and thieves the
 * oldest first, also while it grows and when cells are used again.
 */
#include "sync/deque.h"

#include "mc_frame.h"

#define MOST 8

static lmn_deque deque;
static uint32_t data[MOST];
static int n_out, count[MOST];

static void push(uint32_t i)
{
    stmc_write(data[i], 100 + i);
    lmn_atomic(uint64_t) *word = lmn_deque_reserve(&deque);
    stmc_check(word);
    lmn_atomic_store(&word[0], i, relaxed);
    lmn_atomic_store(&word[1], i + 10, relaxed);
    lmn_deque_push(&deque);
}

static uint32_t use(const lmn_deque_item *t)
{
    stmc_check(t->word[0] < MOST && t->word[1] == t->word[0] + 10);
    const uint32_t i = (uint32_t)t->word[0];
    stmc_check(stmc_read(data[i]) == 100 + i);
    stmc_check(count[i]++ == 0);
    n_out++;
    return i;
}

static void take(void)
{
    lmn_deque_item t;
    if (lmn_deque_take(&deque, &t)) (void)use(&t);
}

static void steal(int n)
{
    lmn_deque_item t;
    uint32_t last = 0, i;
    for (int k = 0; k < n; k++) {
        if (lmn_deque_steal(&deque, &t) != LAMINA_OK) continue;
        i = use(&t);
        stmc_check(k == 0 || i >= last);
        last = i;
    }
}

MC_PART(steal_one, steal(1))
MC_PART(steal_two, steal(2))

/* Who finds it empty has seen what the others did before. (The release and acquire of top that this
 * shows also keep the load of bottom behind that of top and behind the take, which the checker
 * takes for granted: its seq_cst operations stand in the order in which they run.) */
static uint32_t note;

static void write_and_take(void)
{
    stmc_write(note, 1);
    take();
}

static void write_and_steal(void)
{
    stmc_write(note, 1);
    steal(1);
}

static void steal_and_read(void)
{
    lmn_deque_item t;
    const lamina_status st = lmn_deque_steal(&deque, &t);
    if (st == LAMINA_OK) (void)use(&t);
    if (st == LAMINA_E_STATE) stmc_check(stmc_read(note) == 1);
}

static void begin_with(uint32_t n)
{
    lmn_deque_init(&deque, &mc_memory);
    n_out = 0;
    for (int i = 0; i < MOST; i++) count[i] = 0;
    for (uint32_t i = 0; i < n; i++) push(i);
}

MC_PART(begin, begin_with(0))
MC_PART(begin_one, begin_with(1))
MC_PART(begin_two, begin_with(2))
MC_PART(take_one, take())

static void take_two(void)
{
    take();
    take();
}

static void push_and_take(void)
{
    push(0);
    push(1);
    take();
    take();
}

/* The third does not fit: a larger buffer. */
static void grow(void)
{
    push(2);
    take();
}

/* One is taken, its cell written again; or, when a thief was there, the other's. */
static void use_again(void)
{
    push(1);
    take();
    push(2);
    push(3);
}

/* The last one goes to the thief, perhaps, and its cell is written again. */
static void lose_and_use_again(void)
{
    take();
    push(1);
    push(2);
}

MC_PART(push_third, push(2))

static void end_of(int n)
{
    lmn_deque_item t;
    while (lmn_deque_take(&deque, &t)) (void)use(&t);
    stmc_check(n_out == n && lmn_deque_steal(&deque, &t) == LAMINA_E_STATE);
    lmn_deque_finish(&deque);
}

MC_PART(end_one, end_of(1))
MC_PART(end_two, end_of(2))
MC_PART(end_three, end_of(3))
MC_PART(end_four, end_of(4))

STMC_MAIN({"the last one", begin_one, {take_one, steal_one}, end_one},
          {"empty", begin_one, {write_and_steal, steal_and_read}, end_one},
          {"empty, taken", begin_one, {write_and_take, steal_and_read}, end_one},
          {"two thieves", begin_two, {steal_two, steal_one}, end_two},
          {"the last two", begin_two, {take_two, steal_two}, end_two},
          {"push and take", begin, {push_and_take, steal_two}, end_two},
          {"grow", begin_two, {grow, steal_two}, end_three},
          {"grow, two thieves", begin_two, {push_third, steal_one, steal_one}, end_three},
          {"the last two, two thieves", begin_two, {take_two, steal_one, steal_one}, end_two},
          {"cells used again", begin_one, {use_again, steal_two}, end_four},
          {"lost, its cell used again", begin_one, {lose_and_use_again, steal_two}, end_three})
