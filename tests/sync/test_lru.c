/*
 * The shared cache: an exact model agrees over random operations, one build for
 * many askers, failed and cancelled builds, entries that outlive their
 * eviction, pins, memory that runs out, many threads over few keys, and a fork
 * in the middle of a build.
 */
#include "t.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "sync/lru.h"

#include <sys/wait.h>

/* What a value is: its key, once. */
typedef struct item {
    uint32_t key;
    atomic_int alive;
} item;

typedef struct maker {
    t_env *env;
    size_t bytes;
    lamina_status fail; /* what the next build comes to */
    atomic_int n_built, n_failed, n_dropped;
} maker;

static lmn_span key_of(const uint32_t *k)
{
    return (lmn_span){(const uint8_t *)k, sizeof *k};
}

static lamina_status make(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    maker *m = ctx;
    atomic_fetch_add(&m->n_built, 1);
    if (m->fail != LAMINA_OK) {
        atomic_fetch_add(&m->n_failed, 1);
        snprintf(err->msg, sizeof err->msg, "nothing to build with");
        return m->fail;
    }
    item *i = malloc(sizeof *i);
    memcpy(&i->key, key.p, sizeof i->key);
    atomic_init(&i->alive, 1);
    *value = i;
    *bytes = m->bytes;
    return LAMINA_OK;
}

static void drop(void *ctx, void *value, size_t bytes)
{
    maker *m = ctx;
    item *i = value;
    (void)bytes;
    if (atomic_exchange(&i->alive, 0) != 1) t_fail(__FILE__, __LINE__, "dropped twice");
    atomic_fetch_add(&m->n_dropped, 1);
    free(i);
}

static lamina_status init(lmn_lru *c, maker *m, size_t max_bytes, size_t max_entries,
                          uint32_t shards)
{
    return lmn_lru_init(
        c, &(lmn_lru_opts){&m->env->alloc, max_bytes, max_entries, shards, drop, m, NULL});
}

static lamina_status get(lmn_lru *c, maker *m, uint32_t key, lmn_lru_entry **out)
{
    return lmn_lru_get(c, key_of(&key), &(lmn_lru_ask){make, m, 0}, out, NULL);
}

static bool value_is(const lmn_lru_entry *e, uint32_t key)
{
    const item *i = lmn_lru_value(e);
    return i->key == key && i->alive == 1;
}

/* --- the model: an array, newest first --- */
enum { MODEL_KEYS = 24, MODEL_BYTES = 60, MODEL_ENTRIES = 9 };
typedef struct row {
    uint32_t key;
    size_t bytes;
    bool pinned;
    lmn_lru_entry *e; /* held while pinned */
} row;
typedef struct model {
    row row[MODEL_KEYS];
    size_t n, bytes;
    long n_evicted;
} model;

static row *model_find(model *x, uint32_t key)
{
    for (size_t i = 0; i < x->n; i++)
        if (x->row[i].key == key) return &x->row[i];
    return NULL;
}
static row model_take(model *x, row *at)
{
    const row r = *at;
    memmove(at, at + 1, (size_t)(x->row + x->n - at - 1) * sizeof *at);
    x->n--;
    x->bytes -= r.bytes;
    return r;
}
static void model_put(model *x, row r)
{
    memmove(x->row + 1, x->row, x->n * sizeof r);
    x->row[0] = r;
    x->n++;
    x->bytes += r.bytes;
}
static void model_trim(model *x)
{
    while (x->n > MODEL_ENTRIES || x->bytes > MODEL_BYTES) {
        row *last = NULL;
        for (size_t i = 0; i < x->n; i++)
            if (!x->row[i].pinned) last = &x->row[i];
        if (!last) return;
        (void)model_take(x, last);
        x->n_evicted++;
    }
}

static void model_ask(model *x, lmn_lru *c, maker *m, uint32_t key)
{
    lmn_lru_entry *e = NULL;
    const int before = m->n_built;
    row *at = model_find(x, key);
    T_OK(get(c, m, key, &e));
    T_CHECK(value_is(e, key));
    T_EQ(m->n_built - before, !at);
    if (at) { /* pinned ones stay out of the order until they are unpinned */
        if (!at->pinned) model_put(x, model_take(x, at));
    } else if (m->bytes <= MODEL_BYTES) {
        model_put(x, (row){.key = key, .bytes = m->bytes});
        model_trim(x);
    }
    lmn_lru_let_go(e);
}

static void model_pin(model *x, lmn_lru *c, uint32_t key)
{
    row *at = model_find(x, key);
    lmn_lru_entry *e = lmn_lru_find(c, key_of(&key));
    T_CHECK(!at == !e);
    if (!at || !e) return;
    if (!at->pinned) {
        row r = model_take(x, at);
        lmn_lru_pin(e);
        r.pinned = true, r.e = e;
        model_put(x, r);
        return;
    }
    row r = model_take(x, at);
    lmn_lru_let_go(e);
    lmn_lru_unpin(r.e);
    lmn_lru_let_go(r.e);
    r.pinned = false;
    model_put(x, r);
    model_trim(x);
}

static void model_remove(model *x, lmn_lru *c, uint32_t key)
{
    row *at = model_find(x, key);
    T_EQ(lmn_lru_remove(c, key_of(&key)), at != NULL);
    if (!at) return;
    const row r = model_take(x, at);
    if (!r.pinned) return;
    lmn_lru_unpin(r.e);
    lmn_lru_let_go(r.e);
}

static void model_agrees(model *x, lmn_lru *c, maker *m)
{
    lmn_lru_stats s;
    size_t pinned = 0;
    for (size_t i = 0; i < x->n; i++) pinned += x->row[i].pinned;
    lmn_lru_get_stats(c, &s);
    T_EQ(s.bytes, x->bytes);
    T_EQ(s.entries, x->n);
    T_EQ(s.pinned, pinned);
    T_EQ(s.n_evicted, x->n_evicted);
    T_EQ(s.n_misses, m->n_built);
    T_EQ(m->n_built - m->n_dropped, x->n);
}

static void test_model(t_env *env)
{
    maker m = {.env = env};
    model x = {.n = 0};
    lmn_lru c;
    T_OK(init(&c, &m, MODEL_BYTES, MODEL_ENTRIES, 1));
    for (int step = 0; step < 20000; step++) {
        const uint32_t key = (uint32_t)t_rand_int(env, 0, MODEL_KEYS - 1);
        const int64_t what = t_rand_int(env, 0, 99);
        m.bytes = (size_t)t_rand_int(env, 0, 14) + (what == 0 ? MODEL_BYTES : 0);
        if (what < 80)
            model_ask(&x, &c, &m, key);
        else if (what < 90)
            model_pin(&x, &c, key);
        else
            model_remove(&x, &c, key);
        model_agrees(&x, &c, &m);
    }
    for (uint32_t key = 0; key < MODEL_KEYS; key++) model_remove(&x, &c, key);
    T_EQ(m.n_built, m.n_dropped);
    lmn_lru_finish(&c);
}

static void test_bad(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c = {.shard = NULL};
    lamina_error err;
    lmn_lru_entry *e = T_UNTOUCHED;
    lmn_lru_finish(&c);
    T_EQ(init(&c, &m, 1, 1, 0), LAMINA_E_INVALID);
    T_EQ(init(&c, &m, 1, 1, 3), LAMINA_E_INVALID);
    T_EQ(init(&c, &m, 1, 1, 128), LAMINA_E_INVALID);
    T_OK(init(&c, &m, 4, 4, 1));
    uint8_t *big = calloc(1, LMN_LRU_MAX_KEY + 1);
    const lmn_lru_ask ask = {make, &m, 0};
    T_EQ(lmn_lru_get(&c, (lmn_span){big, LMN_LRU_MAX_KEY + 1}, &ask, &e, &err), LAMINA_E_LIMIT);
    T_CHECK(e == NULL);
    free(big);
    T_CASE("failure is told and not kept");
    m.fail = LAMINA_E_PARSE;
    for (int i = 0; i < 2; i++) {
        const uint32_t k = 5;
        T_EQ(lmn_lru_get(&c, key_of(&k), &ask, &e, &err), LAMINA_E_PARSE);
        T_STR_EQ(err.msg, "nothing to build with");
    }
    T_EQ(m.n_built, 2);
    m.fail = LAMINA_E_AGAIN; /* no word of the cache's own */
    T_EQ(get(&c, &m, 5, &e), LAMINA_E_AGAIN);
    T_CASE("more than there is room for");
    m.fail = LAMINA_OK, m.bytes = 5;
    T_OK(get(&c, &m, 6, &e));
    T_EQ(c.entries, 0);
    lmn_lru_let_go(e);
    T_EQ(m.n_dropped, 1);
    lmn_lru_finish(&c);
    T_CASE("no room at all");
    T_OK(init(&c, &m, 0, 0, 4));
    T_OK(get(&c, &m, 7, &e));
    T_CHECK(value_is(e, 7));
    lmn_lru_let_go(e);
    lmn_lru_finish(&c);
    T_EQ(m.n_dropped, 2);
}

/* Evicted, removed, cleared: whoever holds it goes on. */
static void test_outlives(t_env *env)
{
    maker m = {.env = env, .bytes = 1};
    lmn_lru c;
    lmn_lru_entry *a, *b, *d, *again;
    T_OK(init(&c, &m, 100, 1, 2));
    T_OK(get(&c, &m, 1, &a));
    T_OK(get(&c, &m, 2, &b));
    T_CHECK(value_is(a, 1) && value_is(b, 2));
    T_OK(get(&c, &m, 1, &again));
    T_CHECK(again != a && value_is(a, 1));
    lmn_lru_let_go(a), lmn_lru_let_go(b), lmn_lru_let_go(again);
    T_EQ(m.n_built - m.n_dropped, 1);
    T_OK(get(&c, &m, 3, &d));
    T_CHECK(lmn_lru_remove(&c, key_of(&(uint32_t){3})));
    T_CHECK(!lmn_lru_remove(&c, key_of(&(uint32_t){3})));
    T_CHECK(lmn_lru_find(&c, key_of(&(uint32_t){3})) == NULL);
    T_CHECK(value_is(d, 3));
    lmn_lru_let_go(d);
    T_OK(get(&c, &m, 4, &d));
    lmn_lru_pin(d);
    lmn_lru_clear(&c);
    T_EQ(c.entries, 0);
    T_CHECK(value_is(d, 4));
    lmn_lru_unpin(d);
    lmn_lru_let_go(d);
    T_EQ(m.n_built, m.n_dropped);
    lmn_lru_finish(&c);
}

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

/* Each allocation fails in turn; what was asked for is there or is not. */
static void test_no_memory(t_env *env)
{
    for (int nth = 1;; nth++) {
        maker m = {.env = env, .bytes = 1};
        lmn_lru c;
        t_fail_alloc(env, nth);
        lamina_status st = init(&c, &m, 1000, 1000, 1);
        for (uint32_t key = 0; st == LAMINA_OK && key < 40; key++) {
            lmn_lru_entry *e = NULL;
            m.fail = key == 20 ? LAMINA_E_PARSE : LAMINA_OK;
            const lamina_status one = get(&c, &m, key, &e);
            T_CHECK(one == m.fail || one == LAMINA_E_NOMEM);
            T_CHECK((one == LAMINA_OK) == (e != NULL));
            if (e) lmn_lru_let_go(e);
        }
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        lmn_lru_finish(&c);
        T_EQ(m.n_dropped, m.n_built - m.n_failed);
        T_NOTHING_HELD(env);
        if (over) break;
    }
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

T_MAIN(T_TEST(test_model), T_TEST(test_bad), T_TEST(test_outlives), T_TEST(test_single_flight),
       T_TEST(test_removed_in_flight), T_TEST(test_nested), T_TEST(test_no_memory),
       T_TEST(test_crowd), T_TEST(test_fork))
