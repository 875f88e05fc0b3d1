/*
 * The mutex: exclusion and hand-over between many threads on few processors, what the hook is told,
 * ranks and wrong calls (checked builds), a fork while it is held. Run under helgrind as well
 * (tests/helgrind); the orderings are the business of tests/stmc/mc_mutex.c.
 */
#include "t.h"

#include "base/os/os_thread.h"

#include <sys/wait.h>

#ifdef LMN_HELGRIND
enum { N_THREADS = 4, N_ROUNDS = 300 };
#else
enum { N_THREADS = 16, N_ROUNDS = 5000 };
#endif

typedef struct bank {
    lmn_mutex from, to;
    long left, right, n_tried;
} bank;

/* Moves one at a time from left to right under both locks; now and then only if it need not wait.
 */
static void *move(void *arg)
{
    bank *b = arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        if (i % 8 == 7 && lmn_mutex_trylock(&b->from)) {
            b->n_tried++;
            lmn_mutex_unlock(&b->from);
        }
        lmn_mutex_lock(&b->from);
        b->left--;
        lmn_mutex_lock(&b->to);
        lmn_mutex_unlock(&b->from);
        b->right++;
        lmn_mutex_unlock(&b->to);
    }
    return NULL;
}

static void run_bank(bank *b)
{
    lmn_thread t[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) T_REQUIRE(lmn_thread_start(&t[i], move, b) == LAMINA_OK);
    for (int i = 0; i < N_THREADS; i++) lmn_thread_join(&t[i]);
    T_EQ(b->left, -N_THREADS * N_ROUNDS);
    T_EQ(b->right, N_THREADS * N_ROUNDS);
    lmn_mutex_finish(&b->from);
    lmn_mutex_finish(&b->to);
}

static void test_stress(t_env *env)
{
    bank b = {.left = 0};
    (void)env;
    lmn_mutex_init_as(&b.from, 1, "from", NULL);
    lmn_mutex_init_as(&b.to, 2, "to", NULL);
    run_bank(&b);
}

typedef struct told {
    lmn_mutex_waited last;
    lmn_mutex_misuse wrong;
    long n_waits, n_wrong, n_odd;
} told;

static void waited(void *ctx, const lmn_mutex_waited *w)
{
    told *t = ctx;
    t->last = *w;
    t->n_waits++;
    t->n_odd += w->end_ns < w->start_ns || w->owner == lmn_thread_id();
}

static void misused(void *ctx, const lmn_mutex_misuse *m)
{
    told *t = ctx;
    t->wrong = *m;
    t->n_wrong++;
}

/* One hook per lock, called under it: no other guard is needed. */
static void test_stress_with_hook(t_env *env)
{
    static told from, to;
    const lmn_mutex_hook hook[2] = {{&from, waited, misused}, {&to, waited, misused}};
    bank b = {.left = 0};
    (void)env;
    memset(&from, 0, sizeof from), memset(&to, 0, sizeof to);
    lmn_mutex_init_as(&b.from, 1, "from", &hook[0]);
    lmn_mutex_init_as(&b.to, 2, "to", &hook[1]);
    run_bank(&b);
    T_EQ(from.n_odd + to.n_odd, 0);
    T_EQ(from.n_wrong + to.n_wrong, 0);
    if (from.n_waits) T_STR_EQ(from.last.name, "from");
    if (to.n_waits) T_EQ(to.last.rank, 2);
}

static void *wait_once(void *arg)
{
    lmn_mutex *m = arg;
    lmn_mutex_lock(m);
    lmn_mutex_unlock(m);
    return NULL;
}

/* Held until somebody is known to sleep: the wait is told, with its owner. */
static void test_wait_is_told(t_env *env)
{
    told t = {.n_waits = 0};
    const lmn_mutex_hook hook = {&t, waited, NULL};
    lmn_mutex m;
    lmn_thread thread;
    (void)env;
    lmn_mutex_init_as(&m, 7, "kettle", &hook);
    lmn_mutex_lock(&m);
    T_CHECK(!lmn_mutex_trylock(&m));
    T_REQUIRE(lmn_thread_start(&thread, wait_once, &m) == LAMINA_OK);
    while (lmn_atomic_load(&m.word, relaxed) != 2) usleep(100);
    lmn_mutex_unlock(&m);
    lmn_thread_join(&thread);
    T_EQ(t.n_waits, 1);
    T_EQ(t.last.owner, lmn_thread_id());
    T_EQ(t.last.rank, 7);
    T_STR_EQ(t.last.name, "kettle");
    T_CHECK(t.last.end_ns > t.last.start_ns);
    T_EQ(lmn_atomic_load(&m.owner, relaxed), 0);
    lmn_mutex_finish(&m);
}

static void test_ranks(t_env *env)
{
    (void)env;
    if (!LMN_MUTEX_CHECKED) T_SKIP("ranks are looked at in builds with LAMINA_ASSERT_LEVEL=2");
    told t = {.n_wrong = 0};
    const lmn_mutex_hook hook = {&t, NULL, misused};
    lmn_mutex low, high, same, none;
    lmn_mutex_init_as(&low, 10, "low", &hook);
    lmn_mutex_init_as(&high, 20, "high", &hook);
    lmn_mutex_init_as(&same, 20, "same", &hook);
    lmn_mutex_init_as(&none, LMN_RANK_NONE, "none", &hook);
    T_CASE("rising, let go in any order");
    lmn_mutex_lock(&low);
    lmn_mutex_lock(&high);
    lmn_mutex_lock(&none);
    lmn_mutex_unlock(&low);
    lmn_mutex_unlock(&none);
    lmn_mutex_unlock(&high);
    T_EQ(t.n_wrong, 0);
    T_CASE("falling");
    const int held_line = __LINE__ + 1;
    lmn_mutex_lock(&high);
    lmn_mutex_lock(&low);
    T_EQ(t.n_wrong, 1);
    T_EQ(t.wrong.held_line, held_line);
    T_EQ(t.wrong.line, held_line + 1);
    T_STR_EQ(t.wrong.name, "low");
    T_STR_EQ(t.wrong.held_name, "high");
    T_EQ(t.wrong.held_rank, 20);
    T_CHECK(strstr(t.wrong.file, "test_mutex.c") && strstr(t.wrong.held_file, "test_mutex.c"));
    lmn_mutex_unlock(&low);
    T_CASE("the same rank");
    lmn_mutex_lock(&same);
    T_EQ(t.n_wrong, 2);
    lmn_mutex_unlock(&same);
    T_CASE("a try cannot wait");
    T_CHECK(lmn_mutex_trylock(&low));
    T_EQ(t.n_wrong, 2);
    lmn_mutex_unlock(&low);
    lmn_mutex_unlock(&high);
    T_CASE("below one that was tried out of order");
    T_CHECK(lmn_mutex_trylock(&high));
    T_CHECK(lmn_mutex_trylock(&low));
    lmn_mutex_lock(&same);
    T_EQ(t.n_wrong, 3);
    T_STR_EQ(t.wrong.held_name, "high");
    lmn_mutex_unlock(&same);
    lmn_mutex_unlock(&low);
    lmn_mutex_unlock(&high);
    T_CASE("let go twice");
    lmn_mutex_unlock(&high);
    T_EQ(t.n_wrong, 4);
    T_STR_EQ(t.wrong.what, "not locked by this thread");
    T_CASE("taken twice");
    lmn_mutex_lock(&none);
    lmn_mutex_lock(&none);
    T_EQ(t.n_wrong, 5);
    T_STR_EQ(t.wrong.held_name, "none");
    lmn_mutex_unlock(&none);
    T_EQ(t.n_wrong, 5);
    lmn_mutex_finish(&none);
}

/* The child goes on as the thread that forked: it holds what that thread held. */
static void test_fork(t_env *env)
{
    lmn_mutex m;
    int status = -1;
    (void)env;
    lmn_mutex_init(&m);
    lmn_mutex_lock(&m);
    const pid_t child = fork();
    if (child == 0) {
        bool ok = !lmn_mutex_trylock(&m);
        lmn_mutex_unlock(&m);
        lmn_mutex_lock(&m);
        lmn_mutex_unlock(&m);
        _exit(ok ? 0 : 1);
    }
    T_REQUIRE(child > 0);
    T_EQ(waitpid(child, &status, 0), child);
    T_EQ(status, 0);
    T_CHECK(!lmn_mutex_trylock(&m)); /* the parent's is another */
    lmn_mutex_unlock(&m);
    lmn_mutex_finish(&m);
}

T_MAIN(T_TEST(test_stress), T_TEST(test_stress_with_hook), T_TEST(test_wait_is_told),
       T_TEST(test_ranks), T_TEST(test_fork))
