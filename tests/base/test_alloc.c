/*
 * test_alloc.c - blocks, arena, growable array, pool, map, strbuf, diagnostics: limits, overflow,
 * and each allocation failing in turn.
 */
#include "t.h"

#include "base/diag.h"
#include "base/map.h"
#include "base/objpool.h"
#include "base/strbuf.h"

static void test_blocks(t_env *env)
{
    const lamina_allocator *a = &env->engine->alloc;
    T_CHECK(!lmn_alloc(a, 0, 16, "x"));
    T_CHECK(!lmn_calloc(a, SIZE_MAX / 2, 3, "x"));
    uint64_t *p = lmn_calloc(a, 10, sizeof *p, "x");
    T_REQUIRE(p);
    for (int i = 0; i < 10; i++) T_EQ(p[i], 0);
    lmn_cfree(a, p, 10, sizeof *p, "x");
    lmn_free(a, NULL, 10, 16, "x");
    void *q = lmn_alloc(&lmn_libc_allocator, 100, 64, "x");
    T_EQ((uintptr_t)q % 64, 0);
    lmn_free(&lmn_libc_allocator, q, 100, 64, "x");
    T_CHECK(!lmn_alloc(&lmn_libc_allocator, SIZE_MAX - 10, 64, "x"));
    T_EQ(lmn_worker_step(100, 1), 128); /* nobody beside it */
    for (size_t bytes = 1; bytes < 10000; bytes += 333) {
        T_CHECK(lmn_worker_step(bytes, 2) >= bytes + 4096);
        T_EQ(lmn_worker_step(bytes, 2) % 64, 0);
    }
}

static void test_arena(t_env *env)
{
    lmn_arena a;
    lmn_arena_init(&a, &env->engine->alloc, 1 << 20);
    for (int i = 0; i < 1000; i++) {
        size_t align = (size_t)1 << (t_rand(env) % 7), n = (size_t)t_rand_int(env, 0, 500);
        uint8_t *p = lmn_arena_alloc(&a, n, align);
        T_REQUIRE(p);
        T_EQ((uintptr_t)p % align, 0);
        for (size_t k = 0; k < n; k++) {
            if (p[k]) T_EQ(p[k], 0);
            p[k] = 0xff;
        }
    }
    T_STR_EQ(lmn_arena_str(&a, "hello"), "hello");
    T_STR_EQ(lmn_arena_strn(&a, "hello", 2), "he");
    T_CHECK(!lmn_arena_array(&a, SIZE_MAX / 4, 8) && a.failed);
    T_CHECK(!lmn_arena_strn(&a, "", SIZE_MAX));
    T_CHECK(!lmn_arena_alloc(&a, 2 << 20, 16)); /* past the bound */
    T_CHECK(lmn_arena_alloc(&a, 1, 1));         /* the rest still works */
    lmn_arena_finish(&a);
    lmn_arena_finish(&a);
    T_NOTHING_HELD(env);
    lmn_arena_init(&a, &env->engine->alloc, 0);
    T_CHECK(lmn_arena_alloc(&a, 1500, 64) && a.taken_bytes <= 2048); /* who needs little has it */
    T_CHECK(lmn_arena_alloc(&a, 1500, 64) && a.taken_bytes > 8192);
    lmn_arena_finish(&a);
    lmn_arena_init(&a, &env->engine->alloc, 0);
    t_fail_alloc(env, 1);
    T_CHECK(!lmn_arena_alloc(&a, 1, 1) && a.failed);
    lmn_arena_finish(&a);
}

static void test_grow(t_env *env)
{
    const lamina_allocator *a = &env->engine->alloc;
    void *p = NULL;
    size_t cap = 0;
    T_OK(lmn_grow(a, &p, &cap, 1, 100, 4, "g"));
    ((int32_t *)p)[0] = 42;
    T_OK(lmn_grow(a, &p, &cap, 60, 100, 4, "g"));
    T_EQ(((int32_t *)p)[0], 42);
    T_CHECK(cap >= 60 && cap <= 100);
    T_OK(lmn_grow(a, &p, &cap, 100, 100, 4, "g"));
    T_EQ(cap, 100);
    T_EQ(lmn_grow(a, &p, &cap, 101, 100, 4, "g"), LAMINA_E_LIMIT);
    t_fail_alloc(env, 1);
    T_EQ(lmn_grow(a, &p, &cap, 101, 200, 4, "g"), LAMINA_E_NOMEM);
    T_EQ(cap, 100);
    T_EQ(((int32_t *)p)[0], 42);
    T_EQ(lmn_grow(a, &p, &cap, SIZE_MAX / 2, SIZE_MAX, 4, "g"), LAMINA_E_NOMEM);
    lmn_free(a, p, cap * 4, 16, "g");
    p = NULL, cap = 0;
    T_OK(lmn_grow(a, &p, &cap, 1, 3, 4, "g")); /* a maximum below the first step */
    T_EQ(cap, 3);
    lmn_free(a, p, cap * 4, 16, "g");
}

/* Marks nest; what lay before one keeps its contents; blocks come and go. */
static void test_rewind(t_env *env)
{
    lmn_arena a;
    lmn_arena_init(&a, &env->engine->alloc, 8 << 20);
    const lmn_arena_mark nothing = lmn_arena_mark_here(&a);
    char *kept = lmn_arena_str(&a, "kept");
    for (int round = 0; round < 20; round++) {
        const lmn_arena_mark outer = lmn_arena_mark_here(&a);
        uint8_t *p = lmn_arena_bump(&a, 64, 16);
        T_REQUIRE(p);
        memset(p, round, 64);
        const lmn_arena_mark inner = lmn_arena_mark_here(&a);
        for (int i = 0; i < 40; i++) {
            const size_t n = (size_t)t_rand_int(env, 0, 3000);
            uint8_t *q = lmn_arena_bump(&a, n, 16);
            T_REQUIRE(q);
            memset(q, 0xff, n);
        }
        lmn_arena_rewind(&a, inner);
        T_CHECK(lmn_arena_bump(&a, 16, 16) == p + 64 || round == 0);
        for (int i = 0; i < 64; i++) T_CHECK(p[i] == round);
        lmn_arena_rewind(&a, outer);
        T_CHECK(lmn_arena_bump(&a, 64, 16) == p);
        lmn_arena_rewind(&a, outer);
    }
    T_STR_EQ(kept, "kept");
    lmn_arena_rewind(&a, nothing);
    T_EQ(env->live_blocks - env->base_blocks, 1); /* the spare */
    T_CHECK(lmn_arena_bump(&a, 7 << 20, 64));     /* the spare stands in the way of that */
    T_CHECK(!lmn_arena_bump(&a, 2 << 20, 64) && a.failed);
    lmn_arena_finish(&a);
    T_NOTHING_HELD(env);
}

/* Large blocks come with huge pages in mind; every size and alignment fits where it lies. */
static void test_large(t_env *env)
{
    lmn_arena a;
    lmn_arena_init(&a, &env->engine->alloc, 0);
    for (size_t i = 0; i < 24; i++) {
        uint8_t *p = lmn_arena_bump(&a, ((size_t)1 << i) + i, 64);
        T_REQUIRE(p);
        T_EQ((uintptr_t)p % 64, 0);
        p[0] = p[((size_t)1 << i) + i - 1] = 1;
    }
    T_CHECK(!lmn_arena_bump(&a, SIZE_MAX - 64, 16));
    T_CHECK(!lmn_arena_bump(&a, SIZE_MAX, 64));
    lmn_arena_finish(&a);
}

static void test_pool(t_env *env)
{
    lmn_objpool p;
    void *all[350];
    lmn_objpool_init(&p, &env->engine->alloc, 24, T_COUNT(all));
    for (size_t i = 0; i < T_COUNT(all); i++) {
        T_REQUIRE(all[i] = lmn_objpool_take(&p));
        T_EQ((uintptr_t)all[i] % 16, 0);
        memset(all[i], (int)i, 24);
    }
    for (size_t i = 0; i < T_COUNT(all); i++) T_EQ(((uint8_t *)all[i])[23], (uint8_t)i);
    T_EQ(p.n_made, T_COUNT(all));
    T_CHECK(!lmn_objpool_take(&p)); /* the maximum */
    lmn_objpool_give(&p, all[7]);
    T_CHECK(lmn_objpool_take(&p) == all[7]);
    lmn_objpool_finish(&p);
    lmn_objpool_finish(&p);
    T_NOTHING_HELD(env);
    lmn_objpool_init(&p, &env->engine->alloc, 64, 10);
    t_fail_alloc(env, 1);
    T_CHECK(!lmn_objpool_take(&p));
    void *one = lmn_objpool_take(&p);
    T_CHECK(one && (uintptr_t)one % 64 == 0);
    lmn_objpool_finish(&p);
}

static void test_map(t_env *env)
{
    enum { N = 3000 };
    static char keys[N][16];
    lmn_map m;
    uint64_t v;
    lmn_map_init(&m, &env->engine->alloc);
    T_CHECK(!lmn_map_get(&m, "x", 1, &v));
    for (size_t i = 0; i < N; i++) {
        int n = snprintf(keys[i], sizeof keys[i], "key%zu", i * 7919);
        T_REQUIRE(lmn_map_set(&m, keys[i], (size_t)n, i));
    }
    T_EQ(m.n, N);
    for (size_t i = 0; i < N; i++)
        if (!lmn_map_get(&m, keys[i], strlen(keys[i]), &v) || v != i) T_EQ(i, v);
    T_CHECK(!lmn_map_get(&m, "key", 3, &v));
    T_CHECK(lmn_map_set(&m, keys[5], strlen(keys[5]), 99) && m.n == N);
    T_CHECK(lmn_map_get(&m, keys[5], strlen(keys[5]), &v) && v == 99);
    T_CHECK(lmn_map_set(&m, NULL, 0, 1) && lmn_map_get(&m, "", 0, &v) && v == 1);
    T_CHECK(lmn_map_set(&m, "a\0b", 3, 2) && !lmn_map_get(&m, "a", 1, &v)); /* zero bytes count */
    lmn_map_finish(&m);
    T_NOTHING_HELD(env);
    lmn_map_init(&m, &env->engine->alloc);
    t_fail_alloc(env, 1);
    T_CHECK(!lmn_map_set(&m, "x", 1, 1));
    T_CHECK(!lmn_map_get(&m, "x", 1, &v));
    lmn_map_finish(&m);
}

static void test_strbuf(t_env *env)
{
    lmn_strbuf b;
    lmn_strbuf_init(&b, &env->engine->alloc, 10);
    T_STR_EQ(lmn_strbuf_text(&b), "");
    lmn_strbuf_str(&b, "ab");
    lmn_strbuf_char(&b, 'c');
    lmn_strbuf_printf(&b, "%d", 4567);
    T_STR_EQ(lmn_strbuf_text(&b), "abc4567");
    lmn_strbuf_add(&b, "890", 3);
    T_OK(b.status);
    T_EQ(b.n, 10);
    lmn_strbuf_char(&b, 'x');
    T_EQ(b.status, LAMINA_E_LIMIT);
    T_STR_EQ(lmn_strbuf_text(&b), "abc4567890");
    lmn_strbuf_reset(&b);
    lmn_strbuf_printf(&b, "%s", "");
    T_OK(b.status);
    T_STR_EQ(lmn_strbuf_text(&b), "");
    lmn_strbuf_finish(&b);
    lmn_strbuf_finish(&b);
}

static void fill(lmn_diags *d, lamina_error *err)
{
    lmn_diag_add(d, LMN_DIAG_LINT, LAMINA_OK, (lmn_diag_at){0}, NULL, "a lint");
    lmn_diag_add(d, LMN_DIAG_ERROR, LAMINA_E_SHAPE, (lmn_diag_at){"n", "Add", 14}, "reshape it",
                 "bad %d", 3);
    (void)lmn_diags_to_error(d, err);
}

static void test_diags(t_env *env)
{
    lmn_diags d;
    lamina_error err = {0};
    for (int nth = 0;; nth++) { /* 0: none fails */
        lmn_diags_init(&d, &env->engine->alloc);
        t_fail_alloc(env, nth);
        fill(&d, &err);
        bool done = nth && t_fail_pending(env);
        T_EQ(d.n_errors, 1);
        if (nth == 0 || done) {
            T_EQ(err.status, LAMINA_E_SHAPE);
            T_STR_EQ(err.msg, "node \"n\" (Add, opset 14): bad 3; reshape it");
            T_EQ(d.n, 2);
        } else {
            T_CHECK(err.status != LAMINA_OK); /* an error is never lost */
        }
        lmn_diags_finish(&d);
        T_NOTHING_HELD(env);
        if (done) break;
    }
    T_EQ(lmn_diag_add(NULL, LMN_DIAG_ERROR, LAMINA_E_IO, (lmn_diag_at){0}, NULL, "x"), LAMINA_E_IO);
    lmn_diags_init(&d, &env->engine->alloc);
    T_OK(lmn_diags_to_error(&d, &err));
    d.max = 1;
    for (int i = 0; i < 3; i++)
        lmn_diag_add(&d, LMN_DIAG_ERROR, LAMINA_E_IO, (lmn_diag_at){.node = "m"}, NULL, "x");
    T_EQ(d.n, 1);
    T_EQ(d.n_dropped, 2);
    T_EQ(lmn_diags_to_error(&d, &err), LAMINA_E_IO);
    T_STR_EQ(err.msg, "\"m\": x; check that the file exists and can be read");
    lmn_diags_finish(&d);
}

T_MAIN(T_TEST(test_blocks), T_TEST(test_arena), T_TEST(test_rewind), T_TEST(test_large),
       T_TEST(test_grow), T_TEST(test_pool), T_TEST(test_map), T_TEST(test_strbuf),
       T_TEST(test_diags))
