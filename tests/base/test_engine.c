/*
 * test_engine.c - option structs, log lines, slots, and the harness's own counting allocator.
 */
#include "t.h"

static void test_options(t_env *env)
{
    struct longer {
        lamina_engine_opts known;
        uint64_t unknown;
    } opts = {.known = {.size = sizeof opts}};
    lamina_engine e;
    (void)env;
    T_OK(lmn_engine_init(&e, NULL));
    T_CHECK(e.topo.width >= 1);
    T_OK(lmn_engine_init(&e, &opts.known)); /* longer, but the rest is zero */
    opts.unknown = 1;
    T_EQ(lmn_engine_init(&e, &opts.known), LAMINA_E_INVALID);
    opts.known.size = 0;
    T_EQ(lmn_engine_init(&e, &opts.known), LAMINA_E_INVALID);
    opts.known = (lamina_engine_opts){.size = sizeof opts.known, .reserved = 1};
    T_EQ(lmn_engine_init(&e, &opts.known), LAMINA_E_INVALID);
    opts.known = (lamina_engine_opts){.size = sizeof(size_t)}; /* an older, shorter caller */
    T_OK(lmn_engine_init(&e, &opts.known));
}

static int finished[3], n_finished;
static void on_finish(lamina_engine *e, void *ptr)
{
    (void)e;
    finished[n_finished++] = *(int *)ptr;
}

static void test_slots_finish_in_reverse(t_env *env)
{
    lamina_engine e;
    int kernels = 0, pool = 1, devices = 2;
    (void)env;
    T_REQUIRE(lmn_engine_init(&e, NULL) == LAMINA_OK);
    e.slot[LMN_SLOT_KERNELS].ptr = &kernels, e.slot[LMN_SLOT_KERNELS].finish = on_finish;
    e.slot[LMN_SLOT_POOL].ptr = &pool, e.slot[LMN_SLOT_POOL].finish = on_finish;
    e.slot[LMN_SLOT_DEVICES].ptr = &devices, e.slot[LMN_SLOT_DEVICES].finish = on_finish;
    lmn_engine_finish(&e);
    T_EQ(n_finished, 3);
    T_EQ(finished[0], 2);
    T_EQ(finished[2], 0);
    lmn_engine_finish(&e); /* again does nothing */
    T_EQ(n_finished, 3);
}

static void keep(void *ctx, lamina_log_level level, const char *line)
{
    snprintf(ctx, 600, "%d %s", (int)level, line);
}

static void test_log(t_env *env)
{
    char got[600] = "";
    const lamina_log_sink sink = {LAMINA_LOG_ABI, got, keep};
    const lamina_engine_opts opts = {.size = sizeof opts, .log = &sink};
    lamina_engine e;
    (void)env;
    T_REQUIRE(lmn_engine_init(&e, &opts) == LAMINA_OK);
    lmn_log(&e, LAMINA_LOG_WARN, "%s %d", "seven", 7);
    T_STR_EQ(got, "2 seven 7");
    char longer[1000];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    lmn_log(&e, LAMINA_LOG_INFO, "%s", longer);
    T_EQ(strlen(got), 2 + 511);
    lmn_log(NULL, LAMINA_LOG_INFO, "nobody listens");
}

static void test_counting_allocator(t_env *env)
{
    const lamina_allocator *a = &env->engine->alloc;
    void *p = lmn_alloc(a, 100, 64, "x");
    T_REQUIRE(p);
    T_EQ((uintptr_t)p % 64, 0);
    T_EQ(env->live_bytes, 100);
    t_fail_alloc(env, 2);
    void *q = lmn_alloc(a, 1, 1, "y");
    T_CHECK(q);
    T_CHECK(!lmn_alloc(a, 1, 1, "y"));
    T_CHECK(!t_fail_pending(env));
    lmn_free(a, q, 1, 1, "y");
    lmn_free(a, p, 100, 64, "x");
    T_NOTHING_HELD(env);
}

T_MAIN(T_TEST(test_options), T_TEST(test_slots_finish_in_reverse), T_TEST(test_log),
       T_TEST(test_counting_allocator))
