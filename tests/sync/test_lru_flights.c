/*
 * The shared cache under many: one build for all who ask, failed and cancelled builds, builds that
 * ask for other keys, a removal and a fork in the middle of one, many threads over few keys.
 */
#include "sync/lru_item.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"

#include <sys/wait.h>

/* --- one build for many --- */
typedef struct flight {
    lmn_lru *c;
    atomic_int n_built, n_ok, n_failed;
    _Atomic uint32_t begun, go;
    lamina_status first, later; /* what the first build comes to, and those after it */
    maker *m;
} flight;

static lamina_status slow(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    flight *f = ctx;
    const bool first = atomic_fetch_add(&f->n_built, 1) == 0;
    if (first) {
        atomic_store(&f->begun, 1);
        lmn_futex_wake(&f->begun, INT32_MAX);
        while (!atomic_load(&f->go)) lmn_futex_wait(&f->go, 0, 0);
    }
    const lamina_status st = first ? f->first : f->later;
    if (st != LAMINA_OK) {
        snprintf(err->msg, sizeof err->msg, "status %d", (int)st);
        return st;
    }
    return make(f->m, key, value, bytes, err);
}

static void *ask_slow(void *arg)
{
    flight *f = arg;
    const uint32_t key = 9;
    lamina_error err = {.msg = ""};
    lmn_lru_entry *e;
    const lmn_lru_ask ask = {slow, f, 0};
    const lamina_status st = lmn_lru_get(f->c, key_of(&key), &ask, &e, &err);
    if (st == LAMINA_OK) {
        atomic_fetch_add(&f->n_ok, value_is(e, 9));
        lmn_lru_let_go(e);
    } else if (st == f->first && strncmp(err.msg, "status", 6) == 0) {
        atomic_fetch_add(&f->n_failed, 1);
    }
    return NULL;
}

enum { ASKERS = 6 };

/* One builds, five are known to wait before it is allowed to end. */
static void fly(t_env *env, lamina_status first, lamina_status later, flight *f, lmn_lru_stats *s)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c;
    lmn_thread t[ASKERS];
    T_OK(init(&c, &m, 100, 100, 1));
    memset(f, 0, sizeof *f);
    f->c = &c, f->m = &m, f->first = first, f->later = later;
    for (int i = 0; i < ASKERS; i++) T_REQUIRE(lmn_thread_start(&t[i], ask_slow, f) == LAMINA_OK);
    do {
        usleep(200);
        lmn_lru_get_stats(&c, s);
    } while (s->n_joined < ASKERS - 1);
    T_CHECK(lmn_lru_find(&c, key_of(&(uint32_t){9})) == NULL);
    lmn_lru_entry *e;
    T_EQ(lmn_lru_get(&c, key_of(&(uint32_t){9}), &(lmn_lru_ask){slow, f, 1}, &e, NULL),
         LAMINA_E_TIMEOUT);
    atomic_store(&f->go, 1);
    lmn_futex_wake(&f->go, INT32_MAX);
    for (int i = 0; i < ASKERS; i++) lmn_thread_join(&t[i]);
    lmn_lru_get_stats(&c, s);
    lmn_lru_finish(&c);
    T_EQ(m.n_built, m.n_dropped);
}

static void test_single_flight(t_env *env)
{
    flight f;
    lmn_lru_stats s;
    T_CASE("built once");
    fly(env, LAMINA_OK, LAMINA_OK, &f, &s);
    T_EQ(f.n_built, 1);
    T_EQ(f.n_ok, ASKERS);
    T_EQ(s.entries, 1);
    T_CASE("told to all");
    fly(env, LAMINA_E_PARSE, LAMINA_OK, &f, &s);
    T_EQ(f.n_built, 1);
    T_EQ(f.n_failed, ASKERS);
    T_EQ(s.entries, 0);
    T_CASE("cancelled: the next one builds");
    fly(env, LAMINA_E_CANCELLED, LAMINA_OK, &f, &s);
    T_EQ(f.n_built, 2);
    T_EQ(f.n_failed, 1);
    T_EQ(f.n_ok, ASKERS - 1);
    T_EQ(s.entries, 1);
    T_CASE("each one's time runs out");
    fly(env, LAMINA_E_TIMEOUT, LAMINA_E_TIMEOUT, &f, &s);
    T_EQ(f.n_built, ASKERS);
    T_EQ(f.n_failed, ASKERS);
}

/* Removed while it is built: for those who asked, and not kept. */
static void test_removed_in_flight(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c;
    lmn_thread t;
    T_OK(init(&c, &m, 100, 100, 1));
    flight f = {.c = &c, .m = &m};
    T_REQUIRE(lmn_thread_start(&t, ask_slow, &f) == LAMINA_OK);
    while (!atomic_load(&f.begun)) lmn_futex_wait(&f.begun, 0, 0);
    T_CHECK(lmn_lru_remove(&c, key_of(&(uint32_t){9})));
    lmn_lru_entry *e;
    T_OK(get(&c, &m, 9, &e)); /* another build, beside the first */
    atomic_store(&f.go, 1);
    lmn_futex_wake(&f.go, 1);
    lmn_thread_join(&t);
    T_EQ(m.n_built, 2);
    T_EQ(m.n_dropped, 1);
    T_CHECK(value_is(e, 9));
    lmn_lru_let_go(e);
    lmn_lru_finish(&c);
}

static lamina_status nested(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    flight *f = ctx;
    uint32_t k;
    lmn_lru_entry *e;
    memcpy(&k, key.p, sizeof k);
    if (k > 0) {
        k--;
        LMN_TRY(lmn_lru_get(f->c, key_of(&k), &(lmn_lru_ask){nested, f, 0}, &e, err));
        lmn_lru_let_go(e);
    } else if (f->first != LAMINA_OK) {
        k = 3;
        LMN_TRY(lmn_lru_get(f->c, key_of(&k), &(lmn_lru_ask){nested, f, 0}, &e, err));
    }
    return make(f->m, key, value, bytes, err);
}

/* A build may ask for other keys; a ring of them is an error and no deadlock.
 */
static void test_nested(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c;
    lmn_lru_entry *e;
    lamina_error err;
    T_OK(init(&c, &m, 100, 100, 1));
    flight f = {.c = &c, .m = &m, .first = LAMINA_E_STATE};
    const uint32_t k = 3;
    T_EQ(lmn_lru_get(&c, key_of(&k), &(lmn_lru_ask){nested, &f, 0}, &e, &err), LAMINA_E_STATE);
    T_EQ(c.entries, 0);
    f.first = LAMINA_OK;
    T_OK(lmn_lru_get(&c, key_of(&k), &(lmn_lru_ask){nested, &f, 0}, &e, &err));
    T_EQ(c.entries, 4);
    lmn_lru_let_go(e);
    lmn_lru_finish(&c);
}

/* --- many threads, few keys --- */
enum { THREADS = 16, ROUNDS = 2000, KEYS = 40 };
typedef struct crowd {
    lmn_lru c;
    maker m;
    atomic_int n_bad, n_ok;
} crowd;
typedef struct one {
    crowd *all;
    uint32_t seed;
} one;

static void *jostle(void *arg)
{
    one *o = arg;
    crowd *all = o->all;
    uint32_t x = o->seed;
    for (int i = 0; i < ROUNDS; i++) {
        x = x * 1664525u + 1013904223u;
        const uint32_t key = (x >> 16) % KEYS, what = (x >> 8) & 63;
        lmn_lru_entry *e;
        if (what == 0) (void)lmn_lru_remove(&all->c, key_of(&key));
        if (what == 1 && i % 16 == 0) lmn_lru_clear(&all->c);
        if (get(&all->c, &all->m, key, &e) != LAMINA_OK) {
            atomic_fetch_add(&all->n_bad, 1);
            continue;
        }
        if (what < 8) lmn_lru_pin(e);
        atomic_fetch_add(value_is(e, key) ? &all->n_ok : &all->n_bad, 1);
        if (what < 8) lmn_lru_unpin(e);
        lmn_lru_let_go(e);
    }
    return NULL;
}

static void test_crowd(t_env *env)
{
    static crowd all;
    lmn_thread t[THREADS];
    one o[THREADS];
    lmn_lru_stats s;
    memset(&all, 0, sizeof all);
    all.m.env = env, all.m.bytes = 3;
    T_OK(init(&all.c, &all.m, 60, 1000, 4));
    for (uint32_t i = 0; i < THREADS; i++) {
        o[i] = (one){&all, i + 1};
        T_REQUIRE(lmn_thread_start(&t[i], jostle, &o[i]) == LAMINA_OK);
    }
    for (int i = 0; i < THREADS; i++) lmn_thread_join(&t[i]);
    lmn_lru_get_stats(&all.c, &s);
    T_EQ(all.n_bad, 0);
    T_EQ(all.n_ok, THREADS * ROUNDS);
    T_EQ(s.n_hits + s.n_misses + s.n_joined, THREADS * ROUNDS);
    T_EQ(s.pinned, 0);
    T_CHECK(s.bytes <= 60 && s.bytes == 3 * s.entries);
    T_EQ(all.m.n_built - all.m.n_dropped, s.entries);
    lmn_lru_finish(&all.c);
    T_EQ(all.m.n_built, all.m.n_dropped);
}

/* The child of a fork beside a build: nobody finishes it there. */
static int child_of(flight *f)
{
    const uint32_t key = 9, other = 10;
    lmn_lru_entry *e;
    if (lmn_lru_get(f->c, key_of(&key), &(lmn_lru_ask){make, f->m, 1}, &e, NULL) !=
        LAMINA_E_TIMEOUT)
        return 1;
    if (get(f->c, f->m, other, &e) != LAMINA_OK || !value_is(e, 10)) return 2;
    lmn_lru_let_go(e);
    lmn_lru_clear(f->c);
    if (get(f->c, f->m, key, &e) != LAMINA_OK || !value_is(e, 9)) return 3;
    lmn_lru_let_go(e);
    return 0;
}

static void test_fork(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c;
    lmn_thread t;
    int status = -1;
    T_OK(init(&c, &m, 100, 100, 1));
    flight f = {.c = &c, .m = &m};
    T_REQUIRE(lmn_thread_start(&t, ask_slow, &f) == LAMINA_OK);
    while (!atomic_load(&f.begun)) lmn_futex_wait(&f.begun, 0, 0);
    const pid_t child = fork();
    if (child == 0) _exit(child_of(&f));
    if (T_CHECK(child > 0)) T_EQ(waitpid(child, &status, 0), child);
    T_EQ(status, 0);
    atomic_store(&f.go, 1);
    lmn_futex_wake(&f.go, 1);
    lmn_thread_join(&t);
    T_EQ(f.n_ok, 1);
    lmn_lru_finish(&c);
}
T_MAIN(T_TEST(test_single_flight), T_TEST(test_removed_in_flight), T_TEST(test_nested),
       T_TEST(test_crowd), T_TEST(test_fork))
