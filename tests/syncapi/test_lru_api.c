/*
 * The public cache (lamina/lru.h): options, bounds, entries that outlive their eviction, builds
 * that fail, put in place of what is there, one build for many askers; every value dropped once.
 */
#include "t.h"

#include "lamina/lru.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"

static lmn_atomic(int32_t) n_built, n_dropped;

static void drop(void *ctx, void *value, size_t bytes)
{
    (void)bytes;
    (void)lmn_atomic_add((lmn_atomic(int32_t) *)ctx, 1, relaxed);
    free(value);
}

/* The value of "k" is a copy of it. */
static lamina_status build(void *ctx, const void *key, size_t n, void **value, size_t *bytes,
                           lamina_error *err)
{
    (void)ctx, (void)err;
    if (n > 3 && memcmp(key, "bad", 3) == 0) return LAMINA_E_IO;
    char *v = malloc(n + 1);
    if (!v) return LAMINA_E_NOMEM;
    memcpy(v, key, n);
    v[n] = 0;
    (void)lmn_atomic_add(&n_built, 1, relaxed);
    *value = v;
    *bytes = 10;
    return LAMINA_OK;
}

static lamina_lru *cache_of(t_env *env, uint64_t max_entries)
{
    const lamina_lru_opts o = {.size = sizeof o,
                               .allocator = &env->alloc,
                               .max_entries = max_entries,
                               .drop = drop,
                               .ctx = &n_dropped};
    lamina_lru *c = NULL;
    lmn_atomic_store(&n_built, 0, relaxed);
    lmn_atomic_store(&n_dropped, 0, relaxed);
    T_OK(lamina_lru_create(&o, &c));
    return c;
}

static void test_calls(t_env *env)
{
    lamina_lru_opts o = {.size = sizeof o, .n_shards = 3};
    lamina_lru *c = NULL;
    lamina_lru_entry *a = NULL, *b = NULL;
    T_EQ(lamina_lru_create(&o, &c), LAMINA_E_INVALID);
    T_EQ(lamina_lru_create(NULL, NULL), LAMINA_E_INVALID);
    c = cache_of(env, 2);
    T_REQUIRE(c);
    T_EQ(lamina_lru_get(c, "a", 1, NULL, NULL, 0, &a, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_lru_get(c, "a", LAMINA_LRU_MAX_KEY + 1, build, NULL, 0, &a, NULL), LAMINA_E_LIMIT);
    T_EQ(lamina_lru_get(c, "bad1", 4, build, NULL, 0, &a, NULL), LAMINA_E_IO);
    T_CHECK(!lamina_lru_find(c, "a", 1));
    T_OK(lamina_lru_get(c, "a", 1, build, NULL, 0, &a, NULL));
    T_STR_EQ(lamina_lru_value(a), "a");
    T_OK(lamina_lru_get(c, "a", 1, build, NULL, lmn_now_ns() + 1, &b, NULL));
    T_CHECK(a == b);
    lamina_lru_release(b);
    for (char k = 'b'; k < 'e'; k++) {
        T_OK(lamina_lru_get(c, &k, 1, build, NULL, 0, &b, NULL));
        lamina_lru_release(b);
    }
    T_CHECK(!lamina_lru_find(c, "a", 1)); /* evicted, and yet there */
    T_STR_EQ(lamina_lru_value(a), "a");
    lamina_lru_release(a);
    lamina_lru_release(NULL);
    T_EQ(lmn_atomic_load(&n_dropped, relaxed), 2);
    T_REQUIRE(a = lamina_lru_find(c, "d", 1));
    lamina_lru_pin(a);
    for (char k = 'e'; k < 'i'; k++) {
        T_OK(lamina_lru_get(c, &k, 1, build, NULL, 0, &b, NULL));
        lamina_lru_release(b);
    }
    T_CHECK((b = lamina_lru_find(c, "d", 1)) == a);
    lamina_lru_release(b);
    lamina_lru_unpin(a);
    lamina_lru_release(a);
    lamina_lru_stats s = {.size = sizeof s};
    T_OK(lamina_lru_describe(c, &s));
    T_EQ(s.misses, 9);
    T_CHECK(s.entries <= 2 && s.bytes == 10 * s.entries);
    T_CHECK(!lamina_lru_remove(c, "zz", 2));
    lamina_lru_clear(c);
    T_EQ(lmn_atomic_load(&n_built, relaxed), lmn_atomic_load(&n_dropped, relaxed));
    lamina_lru_destroy(c);
    lamina_lru_destroy(NULL);
}

static void test_put(t_env *env)
{
    lamina_lru *c = cache_of(env, 0);
    lamina_lru_entry *e = NULL, *old = NULL;
    T_REQUIRE(c);
    char *one = malloc(8), *two = malloc(8);
    T_REQUIRE(one && two);
    memcpy(one, "one", 4);
    memcpy(two, "two", 4);
    T_OK(lamina_lru_put(c, "k", 1, one, 8));
    T_REQUIRE(old = lamina_lru_find(c, "k", 1));
    T_STR_EQ(lamina_lru_value(old), "one");
    T_OK(lamina_lru_put(c, "k", 1, two, 8));
    T_OK(lamina_lru_get(c, "k", 1, build, NULL, 0, &e, NULL));
    T_STR_EQ(lamina_lru_value(e), "two");
    T_STR_EQ(lamina_lru_value(old), "one");
    lamina_lru_release(e);
    lamina_lru_release(old);
    T_EQ(lmn_atomic_load(&n_dropped, relaxed), 1);
    T_CHECK(lamina_lru_remove(c, "k", 1));
    T_EQ(lmn_atomic_load(&n_dropped, relaxed), 2);
    T_EQ(lamina_lru_put(c, "k", LAMINA_LRU_MAX_KEY + 1, two, 8), LAMINA_E_LIMIT);
    lamina_lru_destroy(c);
}

#define THREADS 8
#define KEYS 40

typedef struct worker {
    lamina_lru *c;
    uint32_t id;
    uint64_t wrong;
} worker;

/* Everybody asks for everything; now and then a key is put or taken out. */
static void *work(void *arg)
{
    worker *w = arg;
    for (uint32_t i = 0; i < 2000; i++) {
        const uint32_t k = (i * 7 + w->id * (i % 3)) % KEYS;
        char key[16], *v;
        const size_t n = (size_t)snprintf(key, sizeof key, "key%u", k);
        lamina_lru_entry *e = NULL;
        if (i % 97 == w->id) (void)lamina_lru_remove(w->c, key, n);
        if (i % 89 == w->id && (v = malloc(n + 1)) != NULL) {
            memcpy(v, key, n + 1);
            if (lamina_lru_put(w->c, key, n, v, 10) == LAMINA_OK)
                (void)lmn_atomic_add(&n_built, 1, relaxed);
            else
                free(v);
        }
        if (lamina_lru_get(w->c, key, n, build, NULL, 0, &e, NULL) != LAMINA_OK) {
            w->wrong++;
            continue;
        }
        w->wrong += strcmp(lamina_lru_value(e), key) != 0;
        lamina_lru_release(e);
    }
    return NULL;
}

static void test_threads(t_env *env)
{
    lamina_lru *c = cache_of(env, KEYS / 2);
    worker w[THREADS];
    lmn_thread t[THREADS];
    T_REQUIRE(c);
    for (uint32_t i = 0; i < THREADS; i++) {
        w[i] = (worker){c, i, 0};
        T_OK(lmn_thread_start(&t[i], work, &w[i]));
    }
    for (int i = 0; i < THREADS; i++) {
        lmn_thread_join(&t[i]);
        T_EQ(w[i].wrong, 0);
    }
    lamina_lru_destroy(c);
    T_EQ(lmn_atomic_load(&n_built, relaxed), lmn_atomic_load(&n_dropped, relaxed));
}

static void test_no_memory(t_env *env)
{
    for (int nth = 1, done = 0; !done; nth++) {
        const lamina_lru_opts o = {
            .size = sizeof o, .allocator = &env->alloc, .drop = drop, .ctx = &n_dropped};
        lamina_lru *c = NULL;
        lamina_lru_entry *e = NULL;
        t_fail_alloc(env, nth);
        if (lamina_lru_create(&o, &c) == LAMINA_OK) {
            for (char k = 'a'; k < 'f'; k++)
                if (lamina_lru_get(c, &k, 1, build, NULL, 0, &e, NULL) == LAMINA_OK)
                    lamina_lru_release(e);
            lamina_lru_destroy(c);
        }
        done = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_NOTHING_HELD(env);
    }
}

T_MAIN(T_TEST(test_calls), T_TEST(test_put), T_TEST(test_no_memory), T_TEST(test_threads))
