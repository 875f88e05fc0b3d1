/*
 * Epochs: what is freed when, nesting, records and objects that change hands,
 * the watchdog, memory that runs out, readers beside writers, a fork; and,
 * beside hazard pointers, what one stalled reader costs. The orderings are the
 * business of tests/stmc/mc_epoch.c.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "sync/epoch.h"
#include "sync/smr.h"

#include <sched.h>
#include <sys/wait.h>

typedef struct node {
    lmn_epoch_object object; /* first */
    uint64_t a, b;           /* b == ~a while it lives */
} node;

static node *node_new(uint64_t a)
{
    node *n = malloc(sizeof *n);
    n->a = a, n->b = ~a;
    return n;
}

static void reclaim(lmn_epoch_object *o, void *ctx)
{
    node *n = (node *)(void *)o;
    n->a = n->b = 0;
    free(n);
    if (ctx) atomic_fetch_add((atomic_long *)ctx, 1);
}

static void retire(lmn_epoch *r, atomic_long *n_freed)
{
    lmn_epoch_retire(r, &node_new(1)->object, reclaim, n_freed);
}

static void test_when(t_env *env)
{
    atomic_long n_freed = 0;
    lmn_epochs d;
    lmn_epochs_init(&d, &env->alloc, lmn_asym_detect(), NULL);
    lmn_epoch *w = lmn_epoch_join(&d), *early = lmn_epoch_join(&d), *late = lmn_epoch_join(&d);
    T_REQUIRE(w && early && late);
    T_CASE("nobody inside");
    retire(w, &n_freed);
    lmn_epoch_scan(w);
    T_EQ(n_freed, 1);
    T_CASE("who came before keeps it, who comes later does not");
    lmn_epoch_enter(early);
    retire(w, &n_freed);
    lmn_epoch_enter(late);
    lmn_epoch_scan(w);
    T_EQ(n_freed, 1);
    lmn_epoch_enter(early);
    lmn_epoch_leave(early); /* the inner one */
    lmn_epoch_scan(w);
    T_EQ(n_freed, 1);
    lmn_epoch_leave(early);
    lmn_epoch_scan(w);
    T_EQ(n_freed, 2);
    lmn_epoch_leave(late);
    T_CASE("the writer inside keeps its own");
    lmn_epoch_enter(w);
    retire(w, &n_freed);
    lmn_epoch_scan(w);
    T_EQ(n_freed, 2);
    lmn_epoch_leave(w);
    lmn_epoch_scan(w);
    T_EQ(n_freed, 3);
    T_CASE("left behind, taken over");
    lmn_epoch_enter(late);
    retire(w, &n_freed);
    lmn_epoch_quit(w);
    lmn_epoch_leave(late);
    T_EQ(n_freed, 3);
    T_CHECK(lmn_epoch_join(&d) == w);
    lmn_epoch_scan(late);
    T_EQ(n_freed, 4);
    T_CASE("the end frees all");
    lmn_epoch_enter(late);
    retire(w, &n_freed);
    lmn_epoch_quit(w);
    lmn_epoch_leave(late);
    lmn_epoch_stats s;
    lmn_epoch_get_stats(&d, 1, &s);
    T_EQ(s.n_threads, 2);
    T_EQ(s.n_inside, 0);
    T_EQ(s.n_retired, 5);
    T_EQ(s.n_freed, 4);
    lmn_epochs_finish(&d);
    T_EQ(n_freed, 5);
}

/* A reclaim function that retires what hung on its object. */
static void reclaim_chain(lmn_epoch_object *o, void *ctx)
{
    lmn_epoch *r = ctx;
    node *n = (node *)(void *)o;
    if (n->a > 0) lmn_epoch_retire(r, &node_new(n->a - 1)->object, reclaim_chain, r);
    free(n);
}

static void test_chain(t_env *env)
{
    lmn_epochs d;
    lmn_epoch_stats s;
    lmn_epochs_init(&d, &env->alloc, LMN_ASYM_FENCE, NULL);
    lmn_epoch *r = lmn_epoch_join(&d);
    T_REQUIRE(r);
    lmn_epoch_retire(r, &node_new(9)->object, reclaim_chain, r);
    for (uint64_t i = 1; i <= 10; i++) {
        lmn_epoch_scan(r); /* one link a scan: the next one was unlinked after the barrier */
        lmn_epoch_get_stats(&d, 1, &s);
        T_EQ(s.n_freed, i);
    }
    T_EQ(s.n_retired, 10);
    lmn_epoch_quit(r);
    lmn_epochs_finish(&d);
}

typedef struct told {
    lmn_epoch_stall last;
    int n;
} told;

static void stalled(void *ctx, const lmn_epoch_stall *s)
{
    told *t = ctx;
    t->last = *s;
    t->n++;
}

static void test_watchdog(t_env *env)
{
    told t = {.n = 0};
    const lmn_epoch_hook hook = {&t, 1000, stalled};
    lmn_epochs d;
    lmn_epoch_stall s;
    lmn_epochs_init(&d, &env->alloc, lmn_asym_detect(), &hook);
    lmn_epoch *w = lmn_epoch_join(&d), *r = lmn_epoch_join(&d), *r2 = lmn_epoch_join(&d);
    T_REQUIRE(w && r && r2);
    T_CASE("inside, but nothing waits");
    lmn_epoch_enter(r);
    T_CHECK(lmn_epoch_look(&d, 5000, &s));
    T_CHECK(lmn_epoch_look(&d, 9000, &s));
    T_EQ(s.thread, lmn_thread_id());
    T_EQ(s.inside_ns, 4000);
    T_EQ(s.n_waiting, 0);
    T_EQ(t.n, 0);
    T_CASE("a new stay is a new stay");
    lmn_epoch_leave(r);
    lmn_epoch_enter(r);
    lmn_epoch_retire(w, &node_new(1)->object, reclaim, NULL);
    lmn_epoch_enter(r2); /* later than the object: holds nothing back */
    T_CHECK(lmn_epoch_look(&d, 10000, &s));
    T_EQ(s.inside_ns, 0);
    T_CHECK(lmn_epoch_look(&d, 10999, &s));
    T_EQ(t.n, 0);
    T_CASE("told once");
    lmn_atomic_store(&r->thread, 4711, relaxed); /* as if another thread's */
    T_CHECK(lmn_epoch_look(&d, 11000, &s));
    T_CHECK(lmn_epoch_look(&d, 12000, &s));
    T_EQ(t.n, 1);
    T_EQ(t.last.thread, 4711);
    T_EQ(t.last.inside_ns, 1000);
    T_EQ(t.last.n_waiting, 1);
    lmn_epoch_stats st;
    lmn_epoch_get_stats(&d, 13000, &st);
    T_EQ(st.stall.thread, 4711);
    T_EQ(st.stall.inside_ns, 3000);
    T_EQ(st.n_inside, 2);
    lmn_epoch_leave(r), lmn_epoch_leave(r2);
    T_CHECK(lmn_epoch_look(&d, 14000, &s));
    T_EQ(s.thread, 0);
    T_CASE("a scan looks by itself");
    lmn_epoch_enter(r);
    for (int i = 0; i < 1000; i++) lmn_epoch_retire(w, &node_new(1)->object, reclaim, NULL);
    T_CHECK(lmn_epoch_look(&d, UINT64_MAX, &s));
    T_EQ(t.n, 2);
    T_EQ(s.n_waiting, 1000); /* the one before went at the first scan */
    lmn_epoch_leave(r);
    lmn_epoch_quit(w);
    T_EQ(d.n_freed, 1001);
    lmn_epochs_finish(&d);
}

typedef struct hp_node {
    lmn_retired retired; /* first */
} hp_node;

static void hp_reclaim(lmn_retired *o, void *ctx)
{
    free(o);
    (*(long *)ctx)++;
}

/* The contrast: one reader stops in the middle, 10,000 objects go by. */
static void test_stalled_reader(t_env *env)
{
    enum { N = 10000 };
    atomic_long n_freed = 0;
    long n_hp_freed = 0, most = 0;
    lmn_epochs d;
    lmn_smr smr;
    lmn_smr_stats bound;
    lmn_epochs_init(&d, &env->alloc, lmn_asym_detect(), NULL);
    lmn_smr_init(&smr, &env->alloc, lmn_asym_detect());
    lmn_epoch *w = lmn_epoch_join(&d), *r = lmn_epoch_join(&d);
    lmn_hp *hw = lmn_smr_join(&smr), *hr = lmn_smr_join(&smr);
    T_REQUIRE(w && r && hw && hr);
    lmn_atomic(void *) shared;
    lmn_atomic_init(&shared, malloc(sizeof(hp_node)));
    lmn_epoch_enter(r);
    (void)lmn_hp_protect(hr, 0, &shared);
    for (long i = 0; i < N; i++) {
        retire(w, &n_freed);
        hp_node *old = lmn_atomic_exchange(&shared, malloc(sizeof(hp_node)), acq_rel);
        lmn_smr_retire(hw, &old->retired, hp_reclaim, &n_hp_freed);
        if (i + 1 - n_hp_freed > most) most = i + 1 - n_hp_freed;
    }
    lmn_smr_get_stats(&smr, &bound);
    T_EQ(n_freed, 0); /* epochs: everything waits */
    T_CHECK(most <= (long)bound.bound);
    T_CHECK(bound.bound < 100);
    lmn_epoch_leave(r);
    lmn_epoch_quit(w);
    T_EQ(n_freed, N);
    lmn_smr_leave(hr), lmn_smr_leave(hw);
    free(lmn_atomic_load(&shared, relaxed));
    lmn_smr_finish(&smr);
    lmn_epochs_finish(&d);
}

static void test_no_memory(t_env *env)
{
    lmn_epochs d;
    lmn_epochs_init(&d, &env->alloc, LMN_ASYM_FENCE, NULL);
    t_fail_alloc(env, 1);
    T_CHECK(lmn_epoch_join(&d) == NULL);
    lmn_epoch *r = lmn_epoch_join(&d);
    T_CHECK(r != NULL);
    lmn_epochs_finish(&d);
}

/* --- a table that is read by some and changed by others --- */
enum { ROWS = 16, READERS = 8, WRITERS = 4, READS = 5000, WRITES = 2000 };
typedef struct table {
    lmn_epochs d;
    lmn_atomic(void *) row[ROWS];
    atomic_long n_freed, n_bad;
} table;
typedef struct user {
    table *t;
    uint32_t seed;
    bool writes;
} user;

static uint32_t next_random(uint32_t *x)
{
    *x = *x * 1664525u + 1013904223u;
    return *x >> 16;
}

static void read_rows(table *t, lmn_epoch *r, uint32_t *x)
{
    lmn_epoch_enter(r);
    for (int i = 0; i < 4; i++) {
        const uint32_t at = next_random(x) % ROWS;
        const node *n = lmn_atomic_load(&t->row[at], acquire);
        if (i == 1) sched_yield();
        if (n->b != ~n->a || n->a % ROWS != at) atomic_fetch_add(&t->n_bad, 1);
    }
    lmn_epoch_leave(r);
}

static void *use(void *arg)
{
    user *u = arg;
    table *t = u->t;
    lmn_epoch *r = lmn_epoch_join(&t->d);
    uint32_t x = u->seed;
    if (!r) return NULL;
    for (uint32_t i = 0; i < (u->writes ? WRITES : READS); i++) {
        if (!u->writes) {
            read_rows(t, r, &x);
        } else {
            const uint32_t at = next_random(&x) % ROWS;
            node *old = lmn_atomic_exchange(&t->row[at], (void *)node_new(i * (uint64_t)ROWS + at),
                                            acq_rel);
            lmn_epoch_retire(r, &old->object, reclaim, &t->n_freed);
        }
        if (i % 997 == 996) { /* others take the record and what is left */
            lmn_epoch_quit(r);
            if (!(r = lmn_epoch_join(&t->d))) return NULL;
        }
    }
    lmn_epoch_quit(r);
    return NULL;
}

static void test_table(t_env *env)
{
    static table t;
    lmn_thread thread[READERS + WRITERS];
    user u[READERS + WRITERS];
    memset(&t, 0, sizeof t);
    lmn_epochs_init(&t.d, &env->alloc, lmn_asym_detect(), NULL);
    for (uint64_t i = 0; i < ROWS; i++) lmn_atomic_init(&t.row[i], (void *)node_new(i));
    for (uint32_t i = 0; i < READERS + WRITERS; i++) {
        u[i] = (user){&t, i + 1, i >= READERS};
        T_REQUIRE(lmn_thread_start(&thread[i], use, &u[i]) == LAMINA_OK);
    }
    for (int i = 0; i < READERS + WRITERS; i++) lmn_thread_join(&thread[i]);
    T_EQ(t.n_bad, 0);
    for (int i = 0; i < ROWS; i++) free(lmn_atomic_load(&t.row[i], relaxed));
    lmn_epochs_finish(&t.d);
    T_EQ(t.n_freed, WRITERS * WRITES);
}

/* The barrier works in the child as well; a reader that does not exist there
 * stays inside. */
static int child_of(lmn_epochs *d, lmn_epoch *w, lmn_epoch *gone, atomic_long *n_freed)
{
    lmn_epoch_stall s;
    retire(w, n_freed);
    lmn_epoch_scan(w);
    if (*n_freed != 0 || !lmn_epoch_look(d, 1, &s) || s.n_waiting != 1) return 1;
    lmn_epoch_leave(gone);
    lmn_epoch_scan(w);
    return *n_freed == 1 ? 0 : 2;
}

static void test_fork(t_env *env)
{
    atomic_long n_freed = 0;
    lmn_epochs d;
    int status = -1;
    lmn_epochs_init(&d, &env->alloc, lmn_asym_detect(), NULL);
    lmn_epoch *w = lmn_epoch_join(&d), *r = lmn_epoch_join(&d);
    T_REQUIRE(w && r);
    lmn_epoch_enter(r);
    const pid_t child = fork();
    if (child == 0) _exit(child_of(&d, w, r, &n_freed));
    if (T_CHECK(child > 0)) T_EQ(waitpid(child, &status, 0), child);
    T_EQ(status, 0);
    lmn_epoch_leave(r);
    lmn_epochs_finish(&d);
}

T_MAIN(T_TEST(test_when), T_TEST(test_chain), T_TEST(test_watchdog), T_TEST(test_stalled_reader),
       T_TEST(test_no_memory), T_TEST(test_table), T_TEST(test_fork))
