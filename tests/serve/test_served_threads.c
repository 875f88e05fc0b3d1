/*
 * Served models among threads: nothing is lost between clients, deadlines, clients that leave,
 * queues that are full and models that close.
 */
#include "serve/served_asks.h"
#include "serve/served_int.h"

#define CLIENTS 4
#define EACH 300

typedef struct client {
    lmn_model *m;
    asks all;
    lmn_thread t;
    uint32_t seed;
} client;

static void *client_main(void *arg)
{
    client *c = arg;
    for (int i = 0; i < EACH; i += 3) {
        for (int k = i; k < i + 3; k++) {
            ask *a = &c->all.a[k];
            ask_rows(a, 1 + k % 4);
            a->r.timeout_ns = k % 50 == 7 ? 1000 : 0; /* 1 us: late or refused, mostly */
            if (k % 40 == 9) lmn_atomic_store(&a->gone, 1, release);
            const lamina_status st = lmn_model_submit(c->m, &a->r, lmn_now_ns());
            if (st != LAMINA_OK) lmn_atomic_store(&a->done, 2, release);
        }
        for (int k = i; k < i + 3; k++) wait_for(c->m, &c->all.a[k]);
    }
    return NULL;
}

static void many_clients(t_env *env, const lmn_model_config *config)
{
    char path[512];
    static client c[CLIENTS];
    lmn_model_stats st;
    uint64_t ok = 0, other = 0;
    lmn_model *m = open_model(env, mlp_file(env, "N", "Abs", path, sizeof path), config);
    T_REQUIRE(m);
    for (int i = 0; i < CLIENTS; i++) {
        c[i].m = m;
        asks_make(&c[i].all, EACH);
        T_OK(lmn_thread_start(&c[i].t, client_main, &c[i]));
    }
    for (int i = 0; i < CLIENTS; i++) lmn_thread_join(&c[i].t);
    for (int i = 0; i < CLIENTS; i++) {
        for (int k = 0; k < EACH; k++) {
            ask *a = &c[i].all.a[k];
            if (a->r.status == LAMINA_OK) {
                for (int j = 0; j < 64; j++) a->x[j] = fabsf(a->x[j]);
                check_mlp(a, 1 + k % 4);
                ok++;
            } else {
                T_CHECK(a->r.status == LAMINA_E_TIMEOUT || a->r.status == LAMINA_E_CANCELLED);
                other++;
            }
        }
        asks_free(&c[i].all);
    }
    lmn_model_get_stats(m, &st);
    T_EQ(st.n_ok, ok);
    T_EQ(st.n_ok + st.n_refused + st.n_late + st.n_cancelled + st.n_failed, CLIENTS * EACH);
    T_EQ(st.n_refused + st.n_late + st.n_cancelled, other);
    T_CHECK(ok >= CLIENTS * EACH * 9 / 10);
    lmn_model_unref(m);
}

static void test_threads(t_env *env)
{
    lmn_model_config c = config_auto();
    use_cpu(env);
    c.where = LMN_RUN_THREADS;
    c.batch.n_instances = 2;
    many_clients(env, &c);
    c.batch.delay_ns = 200000;
    many_clients(env, &c);
    c.batch.preserve_ordering = true;
    many_clients(env, &c);
    c.batch.dynamic = false;
    c.batch.max_batch_size = 8;
    many_clients(env, &c);
}

static void test_inline_of_many(t_env *env)
{
    lmn_model_config c = config_auto();
    use_cpu(env);
    c.where = LMN_RUN_INLINE;
    many_clients(env, &c);
    c.batch.n_instances = 1;
    many_clients(env, &c);
}

/* Answers come in the order of the requests, whoever computes them. */
static void test_ordering(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    asks all;
    use_cpu(env);
    c.where = LMN_RUN_THREADS;
    c.batch.n_instances = 3;
    c.batch.max_batch_size = 4;
    c.batch.preserve_ordering = true;
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    for (int round = 0; round < 40; round++) {
        asks_make(&all, 16);
        for (int i = 0; i < 16; i++) {
            ask_rows(&all.a[i], 1 + (i * 7) % 4);
            if (i == 5) lmn_atomic_store(&all.a[i].gone, 1, release);
            T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
            if (i % 3 == 0) (void)lmn_model_turn(m, lmn_now_ns());
        }
        for (int i = 0; i < 16; i++) wait_for(m, &all.a[i]);
        for (int i = 0; i < 16; i++) T_EQ(all.a[i].number, i);
        asks_free(&all);
    }
    lmn_model_unref(m);
}

/* Close lets what is queued run; abort answers it. */
static void test_close_and_abort(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    asks all;
    use_cpu(env);
    for (int i = 0; i < 4; i++) {
        c.where = i & 1 ? LMN_RUN_THREADS : LMN_RUN_INLINE;
        c.batch.delay_ns = 30000000000u; /* nothing goes by itself */
        lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
        T_REQUIRE(m);
        asks_make(&all, 3);
        for (int k = 0; k < 3; k++) {
            ask_rows(&all.a[k], 1);
            T_OK(lmn_model_submit(m, &all.a[k].r, lmn_now_ns()));
        }
        T_CHECK(lmn_model_turn(m, lmn_now_ns()) > lmn_now_ns());
        lmn_model_close(m);
        T_EQ(lmn_atomic_load(&all.n_done, relaxed), 0);
        lmn_model_abort(m);
        T_EQ(lmn_atomic_load(&all.n_done, relaxed), 3);
        for (int k = 0; k < 3; k++) T_EQ(all.a[k].r.status, LAMINA_E_CANCELLED);
        T_EQ(lmn_model_submit(m, &all.a[0].r, lmn_now_ns()), LAMINA_E_CLOSED);
        lmn_model_unref(m);
        asks_free(&all);
    }
}

/* While an instance is busy for long: who waits too long is told so in time, and a run that nobody
 * waits for any more ends. */
static void test_long_runs(t_env *env)
{
    char path[512];
    lmn_model_config c = {.batch = {.dynamic = true,
                                    .max_batch_size = 8,
                                    .delay_ns = 20000000,
                                    .level = {{.allow_override = true}}},
                          .where = LMN_RUN_THREADS};
    lmn_model_stats st;
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(env, loop_file(env, 100000000, path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 6);
    for (int i = 0; i < 6; i++) ask_rows(&all.a[i], 1);
    for (int i = 0; i < 3; i++) T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
    (void)lmn_model_turn(m, lmn_now_ns());
    do lmn_model_get_stats(m, &st);
    while (st.n_queued); /* they run, together */
    all.a[3].r.timeout_ns = 1000000;
    T_OK(lmn_model_submit(m, &all.a[3].r, lmn_now_ns()));
    wait_for(m, &all.a[3]);
    T_EQ(all.a[3].r.status, LAMINA_E_TIMEOUT);
    T_EQ(lmn_atomic_load(&all.n_done, acquire), 1);
    for (int i = 0; i < 3; i++) lmn_atomic_store(&all.a[i].gone, 1, release);
    lmn_model_left(m);
    for (int i = 0; i < 3; i++) {
        wait_for(m, &all.a[i]);
        T_EQ(all.a[i].r.status, LAMINA_E_CANCELLED);
    }
    /* one alone, by its own word; and by the bound of a run, by abort */
    T_OK(lmn_model_submit(m, &all.a[4].r, lmn_now_ns()));
    (void)lmn_model_turn(m, lmn_now_ns());
    do lmn_model_get_stats(m, &st);
    while (st.n_queued);
    lmn_atomic_store(&all.a[4].gone, 1, release);
    wait_for(m, &all.a[4]);
    T_EQ(all.a[4].r.status, LAMINA_E_CANCELLED);
    T_OK(lmn_model_submit(m, &all.a[5].r, lmn_now_ns()));
    (void)lmn_model_turn(m, lmn_now_ns());
    do lmn_model_get_stats(m, &st);
    while (st.n_queued);
    T_CHECK(st.beat_ns > 0);
    lmn_model_abort(m);
    wait_for(m, &all.a[5]);
    T_EQ(all.a[5].r.status, LAMINA_E_CANCELLED);
    lmn_model_unref(m);
    c.max_run_ns = 5000000;
    m = open_model(env, path, &c);
    T_REQUIRE(m);
    lmn_atomic_store(&all.a[0].gone, 0, release);
    lmn_atomic_store(&all.a[0].done, 0, release);
    T_OK(lmn_model_submit(m, &all.a[0].r, lmn_now_ns()));
    wait_for(m, &all.a[0]);
    T_EQ(all.a[0].r.status, LAMINA_E_TIMEOUT);
    lmn_model_unref(m);
    asks_free(&all);
}

/* A queue that is full turns away without a lock, until it moves. */
static void test_turned_away(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    lmn_model_stats st;
    asks all;
    uint32_t after_s = 7;
    use_cpu(env);
    c.where = LMN_RUN_THREADS;
    c.batch.max_batch_size = 4;
    c.batch.delay_ns = 30000000000u; /* nothing goes by itself */
    for (int by_requests = 0; by_requests < 2; by_requests++) {
        c.batch.max_queue_rows = by_requests ? 64 : 4;
        c.batch.preferred[0] = 4;
        c.batch.level[0].max_queue_size = by_requests ? 2 : 0;
        const int most = by_requests ? 2 : 3;
        lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
        T_REQUIRE(m);
        asks_make(&all, 4);
        for (int i = 0; i < most; i++) {
            ask_rows(&all.a[i], 1);
            T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
        }
        T_CHECK(!lmn_model_turns_away(m, &after_s));
        ask_rows(&all.a[3], by_requests ? 1 : 2); /* no room for two; there would be for one */
        T_EQ(lmn_model_submit(m, &all.a[3].r, lmn_now_ns()), LAMINA_E_LIMIT);
        T_EQ(lmn_model_turns_away(m, &after_s), by_requests);
        lmn_model_get_stats(m, &st);
        T_EQ(st.n_refused, 1 + by_requests);
        T_CHECK(!by_requests || after_s > 0);
        lmn_model_abort(m);
        T_CHECK(!lmn_model_turns_away(m, &after_s));
        lmn_model_unref(m);
        asks_free(&all);
    }
}

/* Who is answered and asks again at once finds the room that the next run left. */
static void test_asks_again(t_env *env)
{
    char path[512];
    const lmn_model_config c = {.batch = {.max_queue_rows = 1, .n_instances = 1},
                                .where = LMN_RUN_THREADS};
    lmn_model_stats st;
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(env, loop_file(env, 3000000, path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 3);
    for (int i = 0; i < 3; i++) ask_rows(&all.a[i], 1);
    all.a[0].then = m; /* asks for the second, while the third waits */
    T_OK(lmn_model_submit(m, &all.a[0].r, lmn_now_ns()));
    (void)lmn_model_turn(m, lmn_now_ns());
    do lmn_model_get_stats(m, &st);
    while (st.n_queued);
    T_OK(lmn_model_submit(m, &all.a[2].r, lmn_now_ns()));
    for (int i = 0; i < 3; i++) {
        wait_for(m, &all.a[i]);
        T_EQ(all.a[i].r.status, LAMINA_OK);
    }
    lmn_model_unref(m);
    asks_free(&all);
}

/* Clients that were answered together are waited for a moment; who comes then and stays alone is
   served when the moment is over, though the instance was asleep when it came. */
static void test_one_comes_back(t_env *env)
{
    char path[512];
    const lmn_model_config c = {
        .batch = {.dynamic = true, .max_batch_size = 8, .rejoin = true, .n_instances = 1},
        .where = LMN_RUN_THREADS};
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(env, loop_file(env, 4000, path, sizeof path), &c);
    T_REQUIRE(m);
    for (int turn = 0; turn < 20; turn++) {
        asks_make(&all, 3);
        for (int i = 0; i < 3; i++) ask_rows(&all.a[i], 1);
        for (int i = 0; i < 2; i++) T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
        for (int i = 0; i < 2; i++) wait_for(m, &all.a[i]);
        const uint64_t until = lmn_now_ns() + 10000u * (uint64_t)turn;
        while (lmn_now_ns() < until) lmn_cpu_pause();
        T_OK(lmn_model_submit(m, &all.a[2].r, lmn_now_ns()));
        wait_for(m, &all.a[2]);
        T_EQ(all.a[2].r.status, LAMINA_OK);
        asks_free(&all);
    }
    lmn_model_unref(m);
}

/* Who comes while others are told that they are cancelled, just before the instance would sleep, is
 * served: it neither is asleep yet nor has it looked since. */
static void test_comes_meanwhile(t_env *env)
{
    char path[512];
    const lmn_model_config c = {.batch = {.n_instances = 1}, .where = LMN_RUN_THREADS};
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 2);
    ask_rows(&all.a[0], 1);
    ask_rows(&all.a[1], 1);
    lmn_atomic_store(&all.a[0].gone, 1, release);
    all.a[0].then = m;
    T_OK(lmn_model_submit(m, &all.a[0].r, lmn_now_ns()));
    wait_for(m, &all.a[0]);
    T_EQ(all.a[0].r.status, LAMINA_E_CANCELLED);
    for (int i = 0; i < 200 && !lmn_atomic_load(&all.a[1].done, acquire); i++)
        lmn_futex_wait((lmn_atomic(uint32_t) *)&all.a[1].done, 0, 50000000);
    T_CHECK(lmn_atomic_load(&all.a[1].done, acquire));
    lmn_model_abort(m); /* so that what was lost ends here as well */
    wait_for(m, &all.a[1]);
    check_mlp(&all.a[1], 1);
    lmn_model_unref(m);
    asks_free(&all);
}

/* An idle loop of a process with one CPU runs what is settled by itself, and leaves the rest to the
 * instance, which is told: in the end because no more is settled, or since the loop is not idle. */
static void idle_turns(t_env *env, uint32_t width, bool idle_on)
{
    char path[512];
    const lmn_model_config c = {.batch = {.n_instances = 1}, .where = LMN_RUN_THREADS};
    lmn_model_stats st;
    lmn_model_here told;
    asks all;
    env->engine->topo.width = width;
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 6);
    ask_rows(&all.a[0], 1); /* tells what such a run takes */
    T_OK(lmn_model_submit(m, &all.a[0].r, lmn_now_ns()));
    T_EQ(lmn_model_turn_idle(m, lmn_now_ns(), &told), UINT64_MAX);
    T_CHECK(!told.more);
    wait_for(m, &all.a[0]);
    for (bool asleep = false; !asleep;) {
        lmn_mutex_lock(&m->lock);
        asleep = m->n_asleep == 1;
        lmn_mutex_unlock(&m->lock);
    }
    for (int i = 1; i < 6; i++) {
        ask_rows(&all.a[i], i == 4 ? 2 : 1); /* larger than any that was seen */
        T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
    }
    lmn_model_get_stats(m, &st);
    T_EQ(m->quick_bytes, st.run_ns <= LMN_MODEL_HERE_NS ? 16 : 0);
    int here = 0;
    for (bool ran = true; ran && here < (idle_on ? 5 : 1); here += ran) {
        lmn_mutex_lock(&m->lock);
        m->quick_bytes = 16; /* whatever the machine made of the run before */
        lmn_mutex_unlock(&m->lock);
        ran = lmn_model_turn_idle(m, 1, &told) == 1;
        T_EQ(told.more, ran && here < 2); /* the fourth is larger */
        T_CHECK(!ran || (told.ran_ns && told.waited_ns));
    }
    T_EQ(here, width > 1 ? 0 : idle_on ? 3 : 1);
    if (!idle_on) (void)lmn_model_turn(m, lmn_now_ns());
    for (int i = 0; i < 6; i++) {
        while (!lmn_atomic_load(&all.a[i].done, acquire))
            lmn_futex_wait((lmn_atomic(uint32_t) *)&all.a[i].done, 0, 50000000);
        check_mlp(&all.a[i], i == 4 ? 2 : 1);
        T_EQ(all.a[i].by == lmn_thread_key(), i > 0 && i <= here);
    }
    lmn_model_unref(m);
    asks_free(&all);
}

static void test_idle_turns(t_env *env)
{
    use_cpu(env);
    idle_turns(env, 1, true);
    idle_turns(env, 1, false);
    idle_turns(env, 2, true);
}

T_MAIN(T_TEST(test_threads), T_TEST(test_inline_of_many), T_TEST(test_ordering),
       T_TEST(test_close_and_abort), T_TEST(test_long_runs), T_TEST(test_turned_away),
       T_TEST(test_asks_again), T_TEST(test_one_comes_back), T_TEST(test_comes_meanwhile),
       T_TEST(test_idle_turns))
