/*
 * An engine through the public API: it is there or not when memory runs out, and what it tells of
 * itself, of its operators and of their kernels.
 */
#include "t.h"

#include "lamina/lamina.h"

/* Over the counting allocator. */
static lamina_status one_thread(t_env *env, lamina_engine **out)
{
    const lamina_engine_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = 1};
    return lamina_engine_create(&o, out);
}

static void test_engine_without_memory(t_env *env)
{
    for (int n = 1; n < 200; n++) {
        lamina_engine *e = T_UNTOUCHED;
        t_fail_alloc(env, n);
        const lamina_status st = one_thread(env, &e);
        const bool done = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_CHECK(st == LAMINA_OK ? e != T_UNTOUCHED : st == LAMINA_E_NOMEM && e == T_UNTOUCHED);
        if (st == LAMINA_OK) lamina_engine_destroy(e);
        T_NOTHING_HELD(env);
        if (done) return;
    }
    T_CHECK(!"engine creation ends");
}

static void test_info_rows(t_env *env)
{
    lamina_engine *e;
    T_REQUIRE(T_OK(one_thread(env, &e)));
    lamina_info_row row = {.size = sizeof row};
    size_t i = 0;
    bool threads = false;
    for (; lamina_engine_info(e, i, &row) == LAMINA_OK; i++) {
        T_CHECK(row.key[0] && row.value[0]);
        threads |= !strcmp(row.key, "threads") && !strcmp(row.value, "1");
    }
    T_CHECK(i > 20 && threads);
    T_EQ(lamina_engine_info(e, i, &row), LAMINA_E_RANGE);
    lamina_engine_destroy(e);
}

/* Every family that an operator names has rows, and every port a name and types. */
static void test_operators(t_env *env)
{
    lamina_engine *e;
    T_REQUIRE(T_OK(one_thread(env, &e)));
    lamina_operator op = {.size = sizeof op};
    lamina_op_port port;
    size_t i = 0, fast = 0;
    for (; lamina_engine_operator(e, i, &op) == LAMINA_OK; i++) {
        T_CASE(op.name);
        T_CHECK(op.since >= 1 && op.last >= op.since && !op.plugin[0] && op.n_outputs > 0);
        fast += op.kernels[0] != 0;
        for (const char *p = op.kernels; *p && strcmp(op.kernels, "own"); p++)
            if (*p == ':') T_CHECK(!strncmp(p, ": ref", 5));
        for (size_t k = 0; k < op.n_inputs; k++)
            T_CHECK(lamina_engine_operator_port(e, i, false, k, &port) == LAMINA_OK && port.name &&
                    port.types);
        T_EQ(lamina_engine_operator_port(e, i, false, op.n_inputs, &port), LAMINA_E_RANGE);
        T_EQ(lamina_engine_operator_port(e, i, true, op.n_outputs, &port), LAMINA_E_RANGE);
    }
    T_CHECK(i > 200 && fast > 30);
    T_EQ(lamina_engine_operator(e, i, &op), LAMINA_E_RANGE);
    T_EQ(lamina_engine_operator(NULL, 0, &op), LAMINA_E_INVALID);
    T_EQ(lamina_engine_operator_port(e, i, true, 0, &port), LAMINA_E_RANGE);
    lamina_engine_destroy(e);
}

T_MAIN(T_TEST(test_engine_without_memory), T_TEST(test_info_rows), T_TEST(test_operators))
