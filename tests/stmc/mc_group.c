/*
 * Groups under the model checker: an owner that spawns, takes and waits, a thief that runs what it
 * gets. Every task runs or is dropped once and whole, what the thief's tasks did is visible when
 * the group has ended, and it ends. Sleeping is in mc_workpool.c.
 */
#include "mc_tasks.h"

static lmn_parking lot; /* nobody in it */
static lmn_worker owner, thief;
static uint32_t note;

static void worker_init(lmn_worker *w)
{
    w->lot = &lot;
    lmn_atomic_init(&w->sleeper.state, LMN_PARK_AWAKE);
    lmn_deque_init(&w->deque, &mc_memory);
}

static void spawn(lmn_worker *w, lmn_task_fn *fn, uint64_t i)
{
    lmn_spawn(w, &group, fn, drop, &i, sizeof i);
}

static void begin(void)
{
    lmn_parking_init(&lot, LMN_ASYM_MEMBARRIER);
    worker_init(&owner);
    worker_init(&thief);
    lmn_group_init(&group, &owner);
    begin_tasks();
}

/* The child is there when the scene begins. */
static void begin_child(void)
{
    begin();
    spawn(&owner, task, 0);
}

static void begin_children(void)
{
    begin();
    spawn(&owner, task, 0);
    spawn(&owner, task, 1);
}

static void wait(void)
{
    lmn_deque_item t;
    while (!lmn_group_ended(&group))
        if (lmn_deque_take(&owner.deque, &t))
            lmn_task_run(&owner, &t);
        else
            stmc_yield();
}

static void wait_children(void)
{
    wait();
    stmc_check(stmc_read(result[0]) == 7 && stmc_read(result[1]) == 7);
}

static void wait_child(void)
{
    wait();
    stmc_check(stmc_read(result[0]) == 7);
}

static void spawn_and_wait(void)
{
    spawn(&owner, task, 0);
    spawn(&owner, task, 1);
    wait_children();
}

static void spawn_three(void)
{
    spawn(&owner, task, 0);
    spawn(&owner, task, 1);
    spawn(&owner, task, 2);
    wait_children();
    stmc_check(stmc_read(result[2]) == 7);
}

/* A task that adds another to its group, wherever it runs; whose worker takes it back, or leaves it
 * to a thief: here to the owner. */
static void parent(lmn_worker *w, void *payload)
{
    lmn_deque_item t;
    spawn(w, task, 1);
    task(w, payload);
    if (w == &thief && lmn_deque_take(&w->deque, &t)) lmn_task_run(w, &t);
}

static void spawn_parent(void)
{
    spawn(&owner, parent, 0);
    wait_children();
}

/* The child goes to the thief, perhaps, and its cell is written again before that is known to have
 * ended. */
static void lose_and_spawn(void)
{
    lmn_deque_item t;
    if (lmn_deque_take(&owner.deque, &t)) lmn_task_run(&owner, &t);
    spawn(&owner, task, 1);
    spawn(&owner, task, 2);
    wait_children();
}

static void cancel(void)
{
    lmn_group_cancel(&group);
    wait();
    stmc_check(n_run + n_dropped == 1);
}

static bool steal_one(void)
{
    lmn_deque_item t;
    const lamina_status st = lmn_deque_steal(&owner.deque, &t);
    if (st == LAMINA_OK) lmn_task_run(&thief, &t);
    return st == LAMINA_E_STATE;
}

static void steal_two(void)
{
    (void)steal_one();
    (void)steal_one();
}

MC_PART(steal_child, (void)steal_one())

/* Who finds it empty has seen what the others did before, as in mc_deque.c. */
static void write_and_wait(void)
{
    stmc_write(note, 1);
    wait_child();
}

static void write_and_steal(void)
{
    stmc_write(note, 1);
    (void)steal_one();
}

MC_PART(steal_and_read, if (steal_one()) stmc_check(stmc_read(note) == 1))

static void end_of(int n)
{
    lmn_deque_item t;
    while (lmn_deque_take(&owner.deque, &t)) lmn_task_run(&owner, &t);
    stmc_check(n_run + n_dropped == n && lmn_group_ended(&group));
    lmn_deque_finish(&owner.deque);
    lmn_deque_finish(&thief.deque);
}

MC_PART(end_one, end_of(1))
MC_PART(end_two, end_of(2))
MC_PART(end_three, end_of(3))

STMC_MAIN({"a child", begin_child, {wait_child, steal_child}, end_one},
          {"cancelled", begin_child, {cancel, steal_child}, end_one},
          {"empty, taken", begin_child, {write_and_wait, steal_and_read}, end_one},
          {"empty, stolen", begin_child, {write_and_steal, steal_and_read}, end_one},
          {"two children", begin_children, {wait_children, steal_two}, end_two},
          {"spawned now", begin, {spawn_and_wait, steal_two}, end_two},
          {"a child's child", begin, {spawn_parent, steal_child}, end_two},
          {"lost, its cell used again", begin_child, {lose_and_spawn, steal_child}, end_three},
          {"three children", begin, {spawn_three, steal_two}, end_three})
