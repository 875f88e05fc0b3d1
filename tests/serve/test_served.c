/*
 * Served models: what is refused at the door, what is found out about a model, that rows of a batch
 * get the results that they get alone, that one bad request fails alone, and that nothing is lost
 * between threads, deadlines, clients that leave and models that close.
 */
#include "serve/served_models.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "devices/device_list.h"
#include "lamina/device.h"
#include "serve/served.h"

static void use_cpu(t_env *env)
{
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
}

static lmn_model_config config_auto(void)
{
    return (lmn_model_config){
        .batch = {.dynamic = true, .max_batch_size = -1, .level = {{.allow_override = true}}},
        .warm_up = true};
}

static lmn_model *open_model(t_env *env, const char *path, const lmn_model_config *c)
{
    lamina_error err = {0};
    lmn_model *m = NULL;
    T_OK_ERR(lmn_model_open(env->engine, path, "m", "1", c, &m, &err), &err);
    return m;
}

/* ---- requests -------------------------------------------------------------------------------- */

typedef struct ask {
    lmn_infer r;
    float x[16 * 4];
    int64_t i[16];
    lmn_atomic(uint32_t) done, gone;
    uint64_t number; /* of its answer */
    struct asks *of;
} ask;

typedef struct asks {
    ask *a;
    int n;
    lmn_atomic(uint64_t) n_done;
} asks;

static void on_done(lmn_infer *r)
{
    ask *a = r->user;
    a->number = lmn_atomic_add(&a->of->n_done, 1, acq_rel);
    /* not T_EQ: any thread may be here */
    if (lmn_atomic_exchange(&a->done, 1, acq_rel)) t_fail(__FILE__, __LINE__, "answered twice");
    lmn_futex_wake((lmn_atomic(uint32_t) *)&a->done, 1);
}

static void asks_make(asks *all, int n)
{
    all->a = calloc((size_t)n, sizeof *all->a);
    all->n = n;
    lmn_atomic_store(&all->n_done, 0, relaxed);
    for (int i = 0; i < n; i++) {
        ask *a = &all->a[i];
        a->of = all;
        a->r.done = on_done;
        a->r.user = a;
        a->r.gone = &a->gone;
        for (int k = 0; k < 64; k++) a->x[k] = (float)((i * 7 + k * 3) % 11) - 4;
    }
}

static void ask_rows(ask *a, int64_t rows)
{
    a->r.n_in = 1;
    a->r.in[0] = (lmn_infer_tensor){.port = 0,
                                    .dtype = LAMINA_F32,
                                    .rank = 2,
                                    .dims = {rows, 4},
                                    .data = a->x,
                                    .bytes = (size_t)rows * 16};
}

static void ask_indices(ask *a, int64_t first, int64_t rows)
{
    for (int64_t k = 0; k < rows; k++) a->i[k] = first + k;
    a->r.n_in = 1;
    a->r.in[0] = (lmn_infer_tensor){.port = 0,
                                    .dtype = LAMINA_I64,
                                    .rank = 1,
                                    .dims = {rows},
                                    .data = a->i,
                                    .bytes = (size_t)rows * 8};
}

static void ask_free(ask *a)
{
    for (uint32_t i = 0; i < a->r.n_result; i++) lamina_tensor_unref(a->r.result[i]);
    a->r.n_result = 0;
}

static void asks_free(asks *all)
{
    for (int i = 0; i < all->n; i++) ask_free(&all->a[i]);
    free(all->a);
}

static void wait_for(lmn_model *m, ask *a)
{
    (void)lmn_model_turn(m, lmn_now_ns());
    while (!lmn_atomic_load(&a->done, acquire))
        lmn_futex_wait((lmn_atomic(uint32_t) *)&a->done, 0, 50000000);
}

static void check_mlp(const ask *a, int64_t rows)
{
    T_EQ(a->r.status, LAMINA_OK);
    T_EQ(a->r.n_result, 1);
    if (a->r.status != LAMINA_OK || a->r.n_result != 1) return;
    const float *y = lamina_tensor_data(a->r.result[0]);
    T_EQ(lamina_tensor_dims(a->r.result[0])[0], rows);
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < 3; j++) {
            float want = (float)(j + 1);
            for (int k = 0; k < 4; k++) want += a->x[i * 4 + k] * ((float)((k * 3 + j) % 5) - 1.5f);
            T_NEAR(y[i * 3 + j], want, 1e-4);
        }
}

/* ---- tests ----------------------------------------------------------------------------------- */

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
    const lmn_model_config c = config_auto();
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
    REFUSED((a->r.in[0].dims[0] = 65, a->r.in[0].bytes = 65 * 16), LAMINA_E_INVALID);
    lmn_model_close(m);
    REFUSED((void)0, LAMINA_E_CLOSED);
    T_CHECK(a->r.retry_after_s > 0);
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

/* ---- threads --------------------------------------------------------------------------------- */

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
       T_TEST(test_strings), T_TEST(test_threads), T_TEST(test_inline_of_many),
       T_TEST(test_ordering), T_TEST(test_close_and_abort), T_TEST(test_long_runs),
       T_TEST(test_turned_away), T_TEST(test_one_comes_back), T_TEST(test_no_memory))
