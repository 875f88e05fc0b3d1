/*
 * Served models: what is refused at the door, what is found out about a model, that rows of a batch
 * get the results that they get alone, that one bad request fails alone, and that want of memory is
 * an answer.
 */
#include "serve/served_asks.h"
#include "serve/served_int.h"

static void test_found_out(t_env *env)
{
    char path[512];
    const lmn_model_config c = config_auto();
    use_cpu(env);
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    const lmn_signature *s = lmn_model_signature(m);
    T_EQ(s->max_batch_size, 64);
    T_STR_EQ(s->model, "m");
    T_STR_EQ(s->in[0].name, "x");
    T_EQ(s->in[0].dims[0], -1);
    T_EQ(s->in[0].dims[1], 4);
    T_EQ(s->out[0].dtype, LAMINA_F32);
    T_CHECK(lmn_model_get_config(m)->batch.dynamic && !lmn_model_get_config(m)->coupled);
    lmn_model_unref(m);

    m = open_model(env, mlp_file(env, "1", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    T_EQ(lmn_model_signature(m)->max_batch_size, 0);
    T_CHECK(!lmn_model_get_config(m)->batch.dynamic);
    lmn_model_unref(m);

    /* rows that see each other: found by the operator, and by comparing */
    m = open_model(env, dynamic_file(env, path, sizeof path), &c);
    T_REQUIRE(m);
    T_EQ(lmn_model_signature(m)->max_batch_size, 0);
    T_CHECK(lmn_model_get_config(m)->coupled != NULL);
    lmn_model_unref(m);
    static pb attr;
    rt_attr_int(&attr, "axis", 0);
    static pb g, bytes;
    g.n = bytes.n = 0;
    rt_node(&g, "Softmax", "x", "y", &attr); /* over the batch */
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 4");
    pb_model(&bytes, &g);
    m = open_model(env, t_write(env, "s.onnx", bytes.p, bytes.n, path, sizeof path), &c);
    T_REQUIRE(m);
    T_CHECK(lmn_model_get_config(m)->coupled != NULL);
    lmn_model_unref(m);
    /* declared with a batch size: still served, one by one */
    lmn_model_config d = c;
    d.batch.max_batch_size = 8;
    m = open_model(env, path, &d);
    T_REQUIRE(m);
    T_EQ(lmn_model_signature(m)->max_batch_size, 8);
    T_CHECK(!lmn_model_get_config(m)->batch.dynamic);
    lmn_model_unref(m);
    /* a length of any size: threads, since a request may cost any time */
    m = open_model(env, node_file(env, "Abs", LAMINA_F32, "N L", "N L", path, sizeof path), &c);
    T_REQUIRE(m);
    T_EQ(lmn_model_signature(m)->max_batch_size, 64);
    T_CHECK(!lmn_model_is_inline(m));
    lmn_model_unref(m);
}

static void test_refused_models(t_env *env)
{
    char path[512];
    lamina_error err = {0};
    lmn_model *m = T_UNTOUCHED;
    lmn_model_config c = config_auto();
    use_cpu(env);
    (void)mlp_file(env, "N", NULL, path, sizeof path);
    (void)t_path(env, "absent.onnx", path, sizeof path);
    T_CHECK(lmn_model_open(env->engine, path, "m", "1", &c, &m, &err) < 0);
    T_CHECK(strstr(err.msg, env->dir) == NULL && err.msg[0]);
    (void)t_write(env, "broken.onnx", "\x08\x07garbage", 9, path, sizeof path);
    T_CHECK(lmn_model_open(env->engine, path, "m", "1", &c, &m, &err) < 0);
    T_CHECK(strstr(err.msg, env->dir) == NULL && err.msg[0]);
    c.batch.max_batch_size = 8;
    (void)mlp_file(env, "1", NULL, path, sizeof path);
    T_EQ(lmn_model_open(env->engine, path, "m", "1", &c, &m, &err), LAMINA_E_SHAPE);
    T_CHECK(strstr(err.msg, "\"x\" begins with a fixed dimension") != NULL);
    c.batch.max_batch_size = 4;
    c.batch.n_preferred = 1;
    c.batch.preferred[0] = 8;
    (void)mlp_file(env, "N", NULL, path, sizeof path);
    T_EQ(lmn_model_open(env->engine, path, "m", "1", &c, &m, &err), LAMINA_E_INVALID);
    T_CHECK(m == T_UNTOUCHED);
}

static void test_refused_requests(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    asks_make(&all, 1);
    ask *a = &all.a[0];
    T_REQUIRE(m);
#define REFUSED(change, code)                                 \
    do {                                                      \
        ask_rows(a, 2);                                       \
        a->r.n_out = 0;                                       \
        change;                                               \
        T_EQ(lmn_model_submit(m, &a->r, lmn_now_ns()), code); \
        T_CHECK(a->r.error.msg[0]);                           \
    } while (0)
    REFUSED(a->r.in[0].dtype = LAMINA_I32, LAMINA_E_DTYPE);
    REFUSED(a->r.in[0].rank = 1, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].rank = 9, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].dims[1] = 5, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].dims[0] = 0, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].dims[0] = -1, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].dims[0] = INT64_MAX, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].bytes = 31, LAMINA_E_SHAPE);
    REFUSED(a->r.in[0].port = 1, LAMINA_E_INVALID);
    REFUSED((a->r.n_in = 2, a->r.in[1] = a->r.in[0]), LAMINA_E_INVALID);
    REFUSED(a->r.n_in = 0, LAMINA_E_INVALID);
    REFUSED((a->r.n_out = 1, a->r.out[0].port = 1), LAMINA_E_INVALID);
    REFUSED((a->r.n_out = 2, a->r.out[0] = a->r.out[1] = (lmn_infer_tensor){.port = 0}),
            LAMINA_E_INVALID);
    REFUSED((a->r.in[0].dims[0] = LMN_BATCH_MAX_ROWS + 1,
             a->r.in[0].bytes = (size_t)(LMN_BATCH_MAX_ROWS + 1) * 16),
            LAMINA_E_INVALID);
    lmn_model_close(m);
    REFUSED((void)0, LAMINA_E_CLOSED);
    T_CHECK(a->r.retry_after_s > 0);
    lmn_model_unref(m);
    c.batch.max_batch_size = 8; /* who says a limit is held to it */
    m = open_model(env, path, &c);
    T_REQUIRE(m);
    REFUSED(ask_rows(a, 9), LAMINA_E_INVALID);
    T_CHECK(strstr(a->r.error.msg, "9 rows") && strstr(a->r.error.msg, "at most 8"));
    lmn_model_unref(m);
    asks_free(&all);
}

/* What comes together runs together, and gives what it gives alone, with padding too. */
static void test_inline(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    lmn_model_stats st;
    asks all;
    use_cpu(env);
    c.where = LMN_RUN_INLINE;
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    for (int n = 1; n <= 24; n++) {
        asks_make(&all, n);
        for (int i = 0; i < n; i++) {
            ask_rows(&all.a[i], 1 + i % 3);
            T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
            T_EQ(lmn_atomic_load(&all.n_done, relaxed), 0);
        }
        T_EQ(lmn_model_turn(m, lmn_now_ns()), UINT64_MAX);
        T_EQ(lmn_atomic_load(&all.n_done, relaxed), n);
        for (int i = 0; i < n; i++) check_mlp(&all.a[i], 1 + i % 3);
        asks_free(&all);
    }
    lmn_model_get_stats(m, &st);
    T_EQ(st.n_ok, 24 * 25 / 2);
    T_EQ(st.n_runs, 24);
    T_EQ(st.n_queued, 0);
    T_EQ(st.dispatch[LMN_BATCH_IDLE] + st.dispatch[LMN_BATCH_FULL], 24);
    /* a queue that is full is run, not refused */
    asks_make(&all, 1000);
    for (int i = 0; i < 1000; i++) {
        ask_rows(&all.a[i], 1);
        T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
    }
    (void)lmn_model_turn(m, lmn_now_ns());
    T_EQ(lmn_atomic_load(&all.n_done, relaxed), 1000);
    for (int i = 0; i < 1000; i++) check_mlp(&all.a[i], 1);
    asks_free(&all);
    lmn_model_unref(m);
}

/* In steady state: what the session gives, and a tensor for each result. */
static void test_allocations(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    asks all;
    use_cpu(env);
    c.where = LMN_RUN_INLINE;
    lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 16);
    long long per[3] = {0};
    for (int turn = 0; turn < 3; turn++) {
        const long long before = atomic_load(&env->n_allocs);
        for (int i = 0; i < 16; i++) {
            ask_rows(&all.a[i], 1);
            lmn_atomic_store(&all.a[i].done, 0, relaxed);
            T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
        }
        (void)lmn_model_turn(m, lmn_now_ns());
        for (int i = 0; i < 16; i++) ask_free(&all.a[i]);
        per[turn] = atomic_load(&env->n_allocs) - before;
    }
    printf("   %lld allocations for 16 requests\n", per[2]);
    T_CHECK(per[2] <= 16 + 3);
    T_EQ(per[1], per[2]);
    asks_free(&all);
    lmn_model_unref(m);
}

/* Equal requests are answered without a run, with the same bits; others are not; the cache is
 * bounded. */
static void test_cache(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    lmn_model_stats st;
    asks all;
    use_cpu(env);
    (void)mlp_file(env, "N", NULL, path, sizeof path);
    for (int where = 0; where < 2; where++) {
        c.where = where ? LMN_RUN_THREADS : LMN_RUN_INLINE;
        c.cache_bytes = 32 << 10;
        lmn_model *m = open_model(env, path, &c);
        T_REQUIRE(m);
        asks_make(&all, 600);
        for (int i = 0; i < 600; i++) {
            ask *a = &all.a[i];
            for (int k = 0; k < 64; k++) a->x[k] = (float)((i % 300 * 7 + k * 3) % 4099);
            if (i == 50) memcpy(a->x, all.a[49].x, sizeof a->x);
            ask_rows(a, 1 + i % 2);
            if (i == 50) ask_rows(a, 2);
            T_OK(lmn_model_submit(m, &a->r, lmn_now_ns()));
            if (!where) T_EQ(lmn_atomic_load(&a->done, acquire), 0);
            wait_for(m, a);
            check_mlp(a, i == 50 ? 2 : 1 + i % 2);
            if (i == 50) T_CHECK(a->r.result[0] != all.a[49].r.result[0]);
        }
        lmn_model_get_stats(m, &st);
        T_EQ(st.n_ok, 600);
        T_EQ(st.n_cache_hits + st.n_cache_misses, 600);
        T_EQ(st.n_cache_hits, 1); /* only the last few dozen are kept */
        T_EQ(st.n_rows, 600 / 2 * 3 - 2 + 1);
        lmn_model_close(m);
        lmn_atomic_store(&all.a[599].done, 0, relaxed);
        ask_free(&all.a[599]);
        T_EQ(lmn_model_submit(m, &all.a[599].r, lmn_now_ns()), LAMINA_E_CLOSED);
        lmn_model_unref(m);
        asks_free(&all);
    }
    c.batch.preserve_ordering = true;
    lmn_model *m;
    T_EQ(lmn_model_open(env->engine, path, "m", "1", &c, &m, NULL), LAMINA_E_INVALID);
}

static void test_isolation(t_env *env)
{
    char path[512];
    const lmn_model_config c = config_auto();
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(env, lookup_file(env, path, sizeof path), &c);
    T_REQUIRE(m);
    T_EQ(lmn_model_signature(m)->max_batch_size, 64);
    for (int round = 0; round < 3; round++) {
        asks_make(&all, 20);
        for (int i = 0; i < 20; i++) {
            ask_indices(&all.a[i], i == 7 ? 100 : i % 6, 1 + i % 2);
            T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
        }
        for (int i = 0; i < 20; i++) wait_for(m, &all.a[i]);
        for (int i = 0; i < 20; i++) {
            const lmn_infer *r = &all.a[i].r;
            T_CHECK((r->status == LAMINA_OK) == (i != 7));
            if (r->status != LAMINA_OK) {
                T_CHECK(r->error.msg[0] && r->n_result == 0);
                continue;
            }
            const float *y = lamina_tensor_data(r->result[0]);
            T_EQ(lamina_tensor_count(r->result[0]), 1 + i % 2);
            for (int k = 0; k <= i % 2; k++) T_NEAR(y[k], 10 * (i % 6 + k), 0);
        }
        asks_free(&all);
    }
    lmn_model_unref(m);
}

static void test_strings(t_env *env)
{
    char path[512];
    const lmn_model_config c = config_auto();
    static const char *const words[] = {"", "a", "lamina", "two words"};
    lmn_span span[12][2];
    asks all;
    use_cpu(env);
    lmn_model *m = open_model(
        env, node_file(env, "Identity", LAMINA_STRING, "N 2", "N 2", path, sizeof path), &c);
    T_REQUIRE(m);
    T_EQ(lmn_model_signature(m)->max_batch_size, 64);
    asks_make(&all, 12);
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 2; k++) {
            const char *w = words[(i + k) % 4];
            span[i][k] = (lmn_span){(const uint8_t *)w, strlen(w)};
        }
        all.a[i].r.n_in = 1;
        all.a[i].r.in[0] = (lmn_infer_tensor){
            .dtype = LAMINA_STRING, .rank = 2, .dims = {1, 2}, .data = span[i], .bytes = 20};
        T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
    }
    for (int i = 0; i < 12; i++) {
        wait_for(m, &all.a[i]);
        T_EQ(all.a[i].r.status, LAMINA_OK);
        for (int k = 0; k < 2 && all.a[i].r.n_result; k++)
            T_STR_EQ(lamina_tensor_string(all.a[i].r.result[0], k, NULL), words[(i + k) % 4]);
    }
    asks_free(&all);
    lmn_model_unref(m);
}

/* More rows than the batch that was found out: run in parts, answered whole; with others around. */
static void test_large(t_env *env)
{
    enum { ROWS = 1000 };
    static float x[ROWS * 4];
    static lmn_span words[ROWS * 2];
    char path[512];
    lmn_model_config c = config_auto();
    lmn_model_stats st;
    asks all;
    use_cpu(env);
    for (int i = 0; i < ROWS * 4; i++) x[i] = (float)(i % 997);
    for (int i = 0; i < ROWS * 2; i++)
        words[i] = (lmn_span){(const uint8_t *)"abcdefghijk" + i % 7, 1 + (size_t)i % 4};
    for (int where = LMN_RUN_INLINE; where <= LMN_RUN_THREADS; where++) {
        c.where = (lmn_run_where)where;
        lmn_model *m = open_model(env, mlp_file(env, "N", NULL, path, sizeof path), &c);
        T_REQUIRE(m);
        asks_make(&all, 5);
        for (int i = 0; i < 5; i++) {
            ask_rows(&all.a[i], 3);
            if (i == 2) all.a[i].r.in[0].dims[0] = ROWS;
            if (i == 2) all.a[i].r.in[0].bytes = sizeof x;
            if (i == 2) all.a[i].r.in[0].data = x;
            T_OK(lmn_model_submit(m, &all.a[i].r, lmn_now_ns()));
        }
        for (int i = 0; i < 5; i++) {
            wait_for(m, &all.a[i]);
            if (i != 2) check_mlp(&all.a[i], 3);
        }
        const lmn_infer *r = &all.a[2].r;
        T_EQ(r->status, LAMINA_OK);
        T_REQUIRE(r->n_result == 1 && lamina_tensor_dims(r->result[0])[0] == ROWS);
        const float *y = lamina_tensor_data(r->result[0]);
        for (int i = 0; i < ROWS; i++)
            for (int j = 0; j < 3; j++) {
                float want = (float)(j + 1);
                for (int k = 0; k < 4; k++)
                    want += x[i * 4 + k] * ((float)((k * 3 + j) % 5) - 1.5f);
                T_NEAR(y[i * 3 + j], want, 1e-2);
            }
        lmn_model_get_stats(m, &st);
        T_EQ(st.n_rows, ROWS + 4 * 3);
        T_EQ(st.queued_rows, 0);
        asks_free(&all);
        lmn_model_unref(m);
    }
    c.where = LMN_RUN_CHOOSE;
    lmn_model *m = open_model(
        env, node_file(env, "Identity", LAMINA_STRING, "N 2", "N 2", path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 1);
    lmn_infer *r = &all.a[0].r;
    r->n_in = 1;
    r->in[0] = (lmn_infer_tensor){
        .dtype = LAMINA_STRING, .rank = 2, .dims = {ROWS, 2}, .data = words, .bytes = ROWS * 5};
    /* what runs in a loop is not held up by one client for long */
    const int64_t most = lmn_model_is_inline(m) ? 8192 : LMN_BATCH_MAX_ROWS;
    T_EQ(m->batcher.config.max_request_rows, most);
    r->rows = most + 1;
    T_EQ(lmn_batch_fits(&m->batcher.config, r), LAMINA_E_INVALID);
    T_OK(lmn_model_submit(m, r, lmn_now_ns()));
    wait_for(m, &all.a[0]);
    T_EQ(r->status, LAMINA_OK);
    for (int i = 0; i < ROWS * 2 && r->n_result; i++) {
        size_t n;
        const char *s = lamina_tensor_string(r->result[0], i, &n);
        T_CHECK(n == words[i].n && !memcmp(s, words[i].p, n));
    }
    asks_free(&all);
    lmn_model_unref(m);
    /* a row that fails says why for all */
    m = open_model(env, lookup_file(env, path, sizeof path), &c);
    T_REQUIRE(m);
    asks_make(&all, 1);
    static int64_t index[ROWS];
    index[ROWS - 10] = 8;
    r = &all.a[0].r;
    r->n_in = 1;
    r->in[0] = (lmn_infer_tensor){
        .dtype = LAMINA_I64, .rank = 1, .dims = {ROWS}, .data = index, .bytes = sizeof index};
    T_OK(lmn_model_submit(m, r, lmn_now_ns()));
    wait_for(m, &all.a[0]);
    T_CHECK(r->status != LAMINA_OK && r->error.msg[0] && r->n_result == 0);
    asks_free(&all);
    lmn_model_unref(m);
}

/* Out of memory anywhere is an answer, never a loss; the next request is served. */
static void test_no_memory(t_env *env)
{
    char path[512];
    lmn_model_config c = config_auto();
    asks all;
    lamina_error err;
    use_cpu(env);
    c.where = LMN_RUN_INLINE;
    (void)mlp_file(env, "N", NULL, path, sizeof path);
    for (int nth = 1;; nth++) {
        lmn_model *m = NULL;
        t_fail_alloc(env, nth);
        const lamina_status st = lmn_model_open(env->engine, path, "m", "1", &c, &m, &err);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        if (st == LAMINA_OK) lmn_model_unref(m);
        if (over) break;
        if (nth > 200) nth += 17;
    }
    lmn_model *m = open_model(env, path, &c);
    T_REQUIRE(m);
    for (int nth = 1;; nth++) {
        asks_make(&all, 5);
        t_fail_alloc(env, nth);
        int n = 0;
        for (int i = 0; i < 5; i++) {
            ask_rows(&all.a[i], 1 + i);
            n += lmn_model_submit(m, &all.a[i].r, lmn_now_ns()) == LAMINA_OK;
        }
        (void)lmn_model_turn(m, lmn_now_ns());
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_EQ(lmn_atomic_load(&all.n_done, relaxed), n);
        for (int i = 0; i < 5; i++)
            if (all.a[i].r.status == LAMINA_OK) check_mlp(&all.a[i], 1 + i);
        asks_free(&all);
        if (over) break;
    }
    lmn_model_unref(m);
}

T_MAIN(T_TEST(test_found_out), T_TEST(test_refused_models), T_TEST(test_refused_requests),
       T_TEST(test_inline), T_TEST(test_allocations), T_TEST(test_cache), T_TEST(test_isolation),
       T_TEST(test_strings), T_TEST(test_large), T_TEST(test_no_memory))
