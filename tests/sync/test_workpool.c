/*
 * The pool: fork-join trees, groups that are cancelled, tasks from outside, every task run or
 * dropped once, and what happens when threads or memory are refused, under a quota of half a CPU,
 * and after fork. Loops and reductions are in test_workpool_for.c.
 */
#include "t.h"

#include "base/os/os_time.h"
#include "sync/workpool.h"

#include <errno.h>
#include <sys/stat.h>
#include <sys/wait.h>

static lmn_workpool *pool_of(t_env *env, uint32_t width)
{
    lmn_workpool *p = NULL;
    const lmn_pool_opts o = {.width = width};
    T_OK(lmn_workpool_create(&env->alloc, &o, &p));
    return p;
}

typedef struct fib_arg {
    uint64_t *out;
    int64_t n;
} fib_arg;

static uint64_t fib(lmn_worker *w, int64_t n);

static void fib_task(lmn_worker *w, void *payload)
{
    const fib_arg *a = payload;
    *a->out = fib(w, a->n);
}

static uint64_t fib(lmn_worker *w, int64_t n)
{
    uint64_t x = 0;
    lmn_group g;
    if (n < 2) return (uint64_t)n;
    lmn_group_init(&g, w);
    lmn_spawn(w, &g, fib_task, NULL, &(fib_arg){&x, n - 1}, sizeof(fib_arg));
    const uint64_t y = fib(w, n - 2);
    return lmn_group_wait(&g) == LAMINA_OK ? x + y : 0;
}

static void test_fork_join(t_env *env)
{
    static const uint32_t WIDTHS[] = {1, 2, 4, 16};
    for (size_t i = 0; i < T_COUNT(WIDTHS); i++) {
        lmn_workpool *p = pool_of(env, WIDTHS[i]);
        lmn_worker *w;
        T_REQUIRE(p);
        T_OK(lmn_workpool_enter(p, &w));
        T_EQ(fib(w, 20), 6765);
        lmn_workpool_leave(w);
        lmn_workpool_destroy(p);
    }
}

/* What happened to tasks. */
typedef struct tally {
    lmn_atomic(uint32_t) ran, dropped, wrong;
    lmn_group *group;   /* cancelled by task number `cancel_at` */
    uint32_t cancel_at; /* 0: never */
} tally;

typedef struct tally_task {
    tally *t;
    uint32_t number;
    uint8_t filler[LMN_TASK_PAYLOAD - 12]; /* the whole payload travels */
} tally_task;
_Static_assert(sizeof(tally_task) == LMN_TASK_PAYLOAD, "as much as there is");

static tally_task tally_of(tally *t, uint32_t number)
{
    tally_task a = {.t = t, .number = number};
    memset(a.filler, (int)(number & 0xff), sizeof a.filler);
    return a;
}

static bool intact(const tally_task *a)
{
    size_t wrong = (uintptr_t)a % 16;
    for (size_t i = 0; i < sizeof a->filler; i++) wrong += a->filler[i] != (a->number & 0xff);
    return wrong == 0;
}

static void tally_run(lmn_worker *w, void *payload)
{
    const tally_task *a = payload;
    (void)w;
    if (!intact(a)) (void)lmn_atomic_add(&a->t->wrong, 1, relaxed);
    const uint32_t n = lmn_atomic_add(&a->t->ran, 1, relaxed) + 1;
    if (a->t->cancel_at == 0 || n < a->t->cancel_at) return;
    if (n == a->t->cancel_at) lmn_group_cancel(a->t->group);
    while (!lmn_group_cancelled(a->t->group)) (void)sched_yield();
}

static void tally_drop(void *payload)
{
    const tally_task *a = payload;
    if (!intact(a)) (void)lmn_atomic_add(&a->t->wrong, 1, relaxed);
    (void)lmn_atomic_add(&a->t->dropped, 1, relaxed);
}

static void check_tally(tally *t, uint32_t n)
{
    T_EQ(lmn_atomic_load(&t->ran, relaxed) + lmn_atomic_load(&t->dropped, relaxed), n);
    T_EQ(lmn_atomic_load(&t->wrong, relaxed), 0);
}

static void test_cancel(t_env *env)
{
    lmn_workpool *p = pool_of(env, 3);
    lmn_worker *w;
    T_REQUIRE(p);
    T_OK(lmn_workpool_enter(p, &w));
    for (uint32_t turn = 0; turn < 20; turn++) {
        lmn_group g;
        tally t = {.group = &g, .cancel_at = turn * 20};
        lmn_group_init(&g, w);
        for (uint32_t i = 0; i < 1000; i++) {
            const tally_task a = tally_of(&t, i);
            lmn_spawn(w, &g, tally_run, tally_drop, &a, sizeof a);
        }
        T_EQ(lmn_group_wait(&g), turn ? LAMINA_E_CANCELLED : LAMINA_OK);
        check_tally(&t, 1000);
        if (turn == 0) T_EQ(lmn_atomic_load(&t.ran, relaxed), 1000);
        /* Those that had begun when the word was set, one a worker, and no more. */
        if (turn) T_CHECK(lmn_atomic_load(&t.ran, relaxed) <= turn * 20 + 2);
        lmn_spawn(w, &g, tally_run, NULL, &(tally_task){.t = &t}, sizeof(tally_task));
        T_EQ(lmn_group_wait(&g), turn ? LAMINA_E_CANCELLED : LAMINA_OK);
    }
    lmn_workpool_leave(w);
    lmn_workpool_destroy(p);
}

typedef struct submitter {
    lmn_workpool *p;
    lmn_group *g;
    tally *t;
    int wrong;
} submitter;

#define PER_SUBMITTER 400

static void *submit_main(void *arg)
{
    submitter *s = arg;
    for (uint32_t i = 0; i < PER_SUBMITTER; i++) {
        const tally_task a = tally_of(s->t, i);
        lmn_task task = {.fn = tally_run, .drop = tally_drop};
        memcpy(task.payload, &a, sizeof a);
        s->wrong += lmn_workpool_submit(s->p, s->g, &task) != LAMINA_OK || task.fn;
    }
    return NULL;
}

/* Eight threads hand tasks over; one waits for them all, as a worker. */
static void test_submitters(t_env *env)
{
    for (uint32_t width = 1; width <= 16; width *= 4) {
        lmn_workpool *p = pool_of(env, width);
        lmn_worker *w;
        lmn_group g;
        tally t = {0};
        submitter s[8];
        lmn_thread th[8];
        T_REQUIRE(p);
        T_OK(lmn_workpool_enter(p, &w));
        lmn_group_init(&g, w);
        for (int i = 0; i < 8; i++) {
            s[i] = (submitter){p, &g, &t, 0};
            T_OK(lmn_thread_start(&th[i], submit_main, &s[i]));
        }
        for (int i = 0; i < 8; i++) {
            lmn_thread_join(&th[i]);
            T_EQ(s[i].wrong, 0);
        }
        T_OK(lmn_group_wait(&g));
        T_EQ(lmn_atomic_load(&t.ran, relaxed), 8 * PER_SUBMITTER);
        T_EQ(lmn_atomic_load(&t.wrong, relaxed), 0);
        lmn_workpool_leave(w);
        lmn_workpool_destroy(p);
    }
}

/* Nobody waits for these: the pool's threads come for them, or destroy drops them. */
static void test_left_behind(t_env *env)
{
    lmn_workpool *p = pool_of(env, 1);
    lmn_worker *w;
    tally t = {0};
    T_REQUIRE(p);
    T_OK(lmn_workpool_enter(p, &w));
    for (uint32_t i = 0; i < 10; i++) {
        const tally_task a = tally_of(&t, i);
        lmn_spawn(w, NULL, tally_run, tally_drop, &a, sizeof a);
    }
    lmn_workpool_leave(w);
    while (lmn_atomic_load(&t.ran, acquire) < 10) (void)sched_yield();
    submitter s = {p, NULL, &t, 0};
    (void)submit_main(&s);
    T_EQ(s.wrong, 0);
    lmn_workpool_destroy(p);
    check_tally(&t, PER_SUBMITTER + 10);
}

/* Threads are refused from the nth on. */
static int n_allowed;

static lamina_status start_some(lmn_thread *t, void *(*fn)(void *), void *arg)
{
    return n_allowed-- > 0 ? lmn_thread_start(t, fn, arg) : LAMINA_E_AGAIN;
}

static void count_chunk(void *arg, int64_t chunk, int32_t worker)
{
    tally *t = arg;
    if (chunk < 0 || chunk >= 100 || worker < 0 || worker >= 8)
        (void)lmn_atomic_add(&t->wrong, 1, relaxed);
    (void)lmn_atomic_add(&t->ran, 1, relaxed);
}

static void test_no_threads(t_env *env)
{
    for (int allowed = 0; allowed <= 2; allowed++) {
        lmn_workpool *p;
        lmn_worker *w;
        tally t = {0};
        lmn_pool_stats st;
        const lmn_pool_opts o = {.width = 8, .start = start_some};
        n_allowed = allowed;
        T_OK(lmn_workpool_create(&env->alloc, &o, &p));
        lmn_workpool_for(p, &(lmn_loop){.n_chunks = 100, .fn = count_chunk, .arg = &t});
        check_tally(&t, 100);
        T_OK(lmn_workpool_enter(p, &w));
        T_EQ(fib(w, 12), 144);
        lmn_workpool_leave(w);
        lmn_workpool_stats(p, &st);
        T_EQ(st.n_threads, allowed);
        lmn_task task = {.fn = tally_run, .drop = tally_drop};
        const tally_task a = tally_of(&t, 5);
        memcpy(task.payload, &a, sizeof a);
        T_EQ(lmn_workpool_submit(p, NULL, &task), allowed ? LAMINA_OK : LAMINA_E_AGAIN);
        T_EQ(task.fn == NULL, allowed > 0); /* refused: still ours */
        T_OK(lmn_workpool_enter(p, &w));
        lmn_spawn(w, NULL, tally_run, tally_drop, &a, sizeof a);
        lmn_workpool_leave(w);
        lmn_workpool_destroy(p); /* without threads: dropped */
        check_tally(&t, 101 + (allowed > 0));
        if (!allowed) T_EQ(lmn_atomic_load(&t.dropped, relaxed), 1);
    }
}

static void test_no_memory(t_env *env)
{
    lmn_workpool *p;
    lmn_worker *w;
    for (int k = 1; k <= 3; k++) {
        t_fail_alloc(env, k);
        T_EQ(lmn_workpool_create(&env->alloc, NULL, &p), LAMINA_E_NOMEM);
        T_CHECK(!p);
    }
    n_allowed = 0; /* nobody comes to take the tasks */
    T_OK(lmn_workpool_create(&env->alloc, &(lmn_pool_opts){.width = 1, .start = start_some}, &p));
    T_REQUIRE(p);
    t_fail_alloc(env, 1);
    T_EQ(lmn_workpool_enter(p, &w), LAMINA_E_NOMEM);
    T_OK(lmn_workpool_enter(p, &w));
    /* A deque that cannot grow: the task runs at once. */
    tally t = {0};
    lmn_group g;
    lmn_group_init(&g, w);
    const tally_task a = tally_of(&t, 3);
    for (uint32_t i = 0; i < LMN_DEQUE_FIRST; i++)
        lmn_spawn(w, &g, tally_run, tally_drop, &a, sizeof a);
    lmn_task task = {.fn = tally_run, .drop = tally_drop};
    memcpy(task.payload, &a, sizeof a);
    t_fail_alloc(env, 1);
    T_EQ(lmn_workpool_submit(p, &g, &task), LAMINA_E_NOMEM);
    T_CHECK(task.fn == tally_run); /* still ours */
    T_EQ(lmn_atomic_load(&t.ran, relaxed), 0);
    t_fail_alloc(env, 1);
    lmn_spawn(w, &g, tally_run, tally_drop, &a, sizeof a);
    T_EQ(lmn_atomic_load(&t.ran, relaxed), 1);
    T_OK(lmn_group_wait(&g));
    check_tally(&t, LMN_DEQUE_FIRST + 1);
    lmn_workpool_leave(w);
    lmn_workpool_destroy(p);
    lmn_workpool_destroy(NULL);
}

/* Write root/<name> with `text`, making the folders on the way. */
static void put(t_env *env, const char *name, const char *text)
{
    char path[600];
    t_path(env, name, path, sizeof path);
    for (char *p = path + strlen(env->dir) + 1; (p = strchr(p, '/')) != NULL; *p++ = '/') {
        *p = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST) T_EQ(errno, 0);
    }
    t_write(env, name, text, strlen(text), path, sizeof path);
}

/* Half a CPU of four: loops and waits in the caller, and one thread for what nobody waits for. */
static void test_quota(t_env *env)
{
    lmn_workpool *p;
    lmn_pool_stats st;
    tally t = {0};
    put(env, "proc/self/status", "Cpus_allowed_list:\t0-3\n");
    put(env, "sys/devices/system/cpu/online", "0-15\n");
    put(env, "proc/self/cgroup", "0::/a\n");
    put(env, "proc/self/mountinfo",
        "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
    put(env, "sys/fs/cgroup/a/cpu.max", "50000 100000\n");
    const lmn_pool_opts o = {.root = env->dir};
    T_OK(lmn_workpool_create(&env->alloc, &o, &p));
    T_EQ(lmn_workpool_width(p), 1);
    lmn_workpool_for(p, &(lmn_loop){.n_chunks = 100, .fn = count_chunk, .arg = &t});
    lmn_workpool_stats(p, &st);
    T_EQ(st.n_threads, 0);
    submitter s = {p, NULL, &t, 0};
    (void)submit_main(&s);
    T_EQ(s.wrong, 0);
    while (lmn_atomic_load(&t.ran, acquire) < 100 + PER_SUBMITTER) (void)sched_yield();
    lmn_workpool_stats(p, &st);
    T_EQ(st.n_threads, 1);
    lmn_workpool_destroy(p);
    put(env, "sys/fs/cgroup/a/cpu.max", "max 100000\n");
    T_OK(lmn_workpool_create(&env->alloc, &o, &p));
    T_EQ(lmn_workpool_width(p), 4);
    lmn_workpool_destroy(p);
}

typedef struct hooked {
    lmn_atomic(uint32_t) begun, ended, parked, unparked;
    uint64_t joins; /* of the caller */
    bool waiting;
} hooked;

static void on_begin(void *ctx, lmn_worker *w)
{
    (void)w;
    (void)lmn_atomic_add(&((hooked *)ctx)->begun, 1, relaxed);
}

static void on_end(void *ctx, lmn_worker *w)
{
    (void)w;
    (void)lmn_atomic_add(&((hooked *)ctx)->ended, 1, relaxed);
}

static void on_park(void *ctx, lmn_worker *w)
{
    (void)w;
    (void)lmn_atomic_add(&((hooked *)ctx)->parked, 1, relaxed);
}

static void on_unpark(void *ctx, lmn_worker *w)
{
    (void)w;
    (void)lmn_atomic_add(&((hooked *)ctx)->unparked, 1, relaxed);
}

static uint64_t on_join(void *ctx)
{
    hooked *h = ctx;
    T_CHECK(!h->waiting);
    h->waiting = true;
    return ++h->joins;
}

static void on_joined(void *ctx, uint64_t began)
{
    hooked *h = ctx;
    T_CHECK(h->waiting);
    T_EQ(began, h->joins);
    h->waiting = false;
}

static void chunk_of_nothing(void *arg, int64_t chunk, int32_t worker)
{
    (void)arg, (void)chunk, (void)worker;
}

static void wait_asleep(lmn_workpool *p)
{
    lmn_pool_stats st;
    do {
        (void)usleep(1000);
        lmn_workpool_stats(p, &st);
    } while (st.n_asleep < st.n_threads);
}

/* Hooks see every task; an idle pool uses no CPU. */
static void test_hooks_and_idle(t_env *env)
{
    lmn_workpool *p;
    lmn_worker *w;
    hooked h = {0};
    const lmn_pool_opts o = {
        .width = 4, .hooks = {on_begin, on_end, on_park, on_unpark, on_join, on_joined, &h}};
    T_OK(lmn_workpool_create(&env->alloc, &o, &p));
    T_OK(lmn_workpool_enter(p, &w));
    T_EQ(fib(w, 10), 55);
    lmn_workpool_leave(w);
    T_EQ(lmn_atomic_load(&h.begun, relaxed), 88); /* one for each n >= 2 */
    T_EQ(h.joins, 0);
    for (int i = 0; i < 3; i++)
        lmn_workpool_for(p, &(lmn_loop){4, chunk_of_nothing, NULL, NULL, NULL, 0});
    T_EQ(h.joins, 3);
    T_CHECK(!h.waiting);
    wait_asleep(p);
    const uint64_t cpu = lmn_process_cpu_ns();
    (void)usleep(50000);
    T_CHECK(lmn_process_cpu_ns() - cpu < 25000000);
    lmn_workpool_destroy(p);
    T_EQ(lmn_atomic_load(&h.begun, relaxed), lmn_atomic_load(&h.ended, relaxed));
    T_EQ(lmn_atomic_load(&h.parked, relaxed), lmn_atomic_load(&h.unparked, relaxed));
    T_CHECK(lmn_atomic_load(&h.parked, relaxed) >= 1);
}

/* The child has no threads: it does its loops and groups alone, and may end the pool. */
static void test_fork(t_env *env)
{
    lmn_workpool *p = pool_of(env, 3);
    lmn_worker *w;
    T_REQUIRE(p);
    T_OK(lmn_workpool_enter(p, &w));
    T_EQ(fib(w, 12), 144);
    (void)fflush(stdout);
    const pid_t pid = fork();
    if (pid == 0) {
        tally t = {0};
        const bool ok = fib(w, 12) == 144;
        lmn_workpool_for(p, &(lmn_loop){.n_chunks = 100, .fn = count_chunk, .arg = &t});
        lmn_workpool_leave(w);
        lmn_workpool_destroy(p);
        _exit(ok && lmn_atomic_load(&t.ran, relaxed) == 100 ? 0 : 1);
    }
    int status = -1;
    T_CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
    T_EQ(status, 0);
    lmn_workpool_leave(w);
    lmn_workpool_destroy(p);
}

T_MAIN(T_TEST(test_fork_join), T_TEST(test_cancel), T_TEST(test_submitters),
       T_TEST(test_left_behind), T_TEST(test_no_threads), T_TEST(test_no_memory),
       T_TEST(test_quota), T_TEST(test_hooks_and_idle), T_TEST(test_fork))
