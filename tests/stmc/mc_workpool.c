/*
 * The pool's groups and sleeping under the model checker: a worker thread and threads that enter or
 * submit. Every task runs or is dropped once, its effects are visible to whoever waited, a wait
 * ends, nobody sleeps while there is work. The scene's last thread is the pool's.
 */
#include "mc_tasks.h"

static lmn_workpool *pool;
static lmn_worker *owner, *thread; /* `thread`: of the pool */

/* The scene has the thread. */
static lamina_status start(lmn_thread *t, void *(*fn)(void *), void *arg)
{
    (void)t, (void)fn, (void)arg;
    return LAMINA_OK;
}

static void begin(void)
{
    const lmn_topo topo = {.n_affinity = 1, .width = 1};
    const lmn_pool_opts o = {.topo = &topo, .start = start};
    stmc_check(lmn_workpool_create(&mc_memory, &o, &pool) == LAMINA_OK);
    stmc_check(lmn_pool_start(pool, 1) == 1);
    thread = lmn_pool_worker(pool, 0);
    stmc_check(lmn_guest_take(pool, &owner) == LAMINA_OK);
    begin_tasks();
}

static void quit(void)
{
    lmn_atomic_store(&pool->quit, 1, relaxed);
    lmn_park_notify_all(&pool->lot);
}

MC_PART(worker, lmn_worker_work(thread, NULL))

static void spawn(lmn_worker *w, uint64_t i)
{
    lmn_spawn(w, &group, task, drop, &i, sizeof i);
}

static void spawn_one(void)
{
    lmn_group_init(&group, owner);
    spawn(owner, 0);
    stmc_check(lmn_group_wait(&group) == LAMINA_OK);
    stmc_check(stmc_read(result[0]) == 7);
    quit();
}

static void spawn_two(void)
{
    lmn_group_init(&group, owner);
    spawn(owner, 0);
    spawn(owner, 1);
    stmc_check(lmn_group_wait(&group) == LAMINA_OK);
    stmc_check(stmc_read(result[0]) == 7 && stmc_read(result[1]) == 7);
    quit();
}

/* A task that adds another to its group, wherever it runs. */
static void parent(lmn_worker *w, void *payload)
{
    spawn(w, 1);
    task(w, payload);
}

static void spawn_parent(void)
{
    const uint64_t i = 0;
    lmn_group_init(&group, owner);
    lmn_spawn(owner, &group, parent, drop, &i, sizeof i);
    stmc_check(lmn_group_wait(&group) == LAMINA_OK);
    stmc_check(stmc_read(result[0]) == 7 && stmc_read(result[1]) == 7);
    quit();
}

static void cancel(void)
{
    lmn_group_init(&group, owner);
    spawn(owner, 0);
    lmn_group_cancel(&group);
    stmc_check(lmn_group_wait(&group) == LAMINA_E_CANCELLED);
    stmc_check(n_run + n_dropped == 1);
    quit();
}

static void last_task(lmn_worker *w, void *payload)
{
    task(w, payload);
    quit();
}

static void submit(void)
{
    lmn_task t = {.fn = last_task, .drop = drop};
    stmc_write(result[0], 0);
    stmc_check(lmn_workpool_submit(pool, NULL, &t) == LAMINA_OK && !t.fn);
}

static void leave_behind(void)
{
    const uint64_t i = 0;
    lmn_spawn(owner, NULL, last_task, drop, &i, sizeof i);
    lmn_atomic_store(&owner->taken, 0, release);
}

/* Takes over the record of the one above, and adds a task there. */
static void submit_plain(void)
{
    lmn_task t = {.fn = task, .drop = drop, .payload = {1}};
    stmc_check(lmn_workpool_submit(pool, NULL, &t) == LAMINA_OK);
}

static void chunk(void *arg, int64_t c, int32_t w)
{
    (void)arg, (void)w;
    stmc_check(stmc_read(result[c]) == 0);
    stmc_write(result[c], 7);
}

static void loop(void)
{
    const lmn_loop l = {2, chunk, NULL, NULL, NULL, 2};
    lmn_atomic_store(&pool->width, 2, relaxed);
    lmn_workpool_for(pool, &l);
    stmc_check(stmc_read(result[0]) == 7 && stmc_read(result[1]) == 7);
    quit();
}

static void end_of(int n)
{
    pool->started = 0; /* nothing to join */
    lmn_workpool_destroy(pool);
    stmc_check(n_run + n_dropped == n);
}

MC_PART(end_none, end_of(0))
MC_PART(end_one, end_of(1))
MC_PART(end_two, end_of(2))

STMC_MAIN({"a child", begin, {spawn_one, worker}, end_one},
          {"cancelled", begin, {cancel, worker}, end_one},
          {"submitted", begin, {submit, worker}, end_one},
          {"left behind", begin, {leave_behind, submit_plain, worker}, end_two},
          {"two submit", begin, {submit, submit_plain, worker}, end_two},
          {"a loop", begin, {loop, worker}, end_none},
          {"two children", begin, {spawn_two, worker}, end_two},
          {"a child's child", begin, {spawn_parent, worker}, end_two})
