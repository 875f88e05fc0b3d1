/*
 * Ensembles between threads: requests of several loops go through models that are run by loops and
 * by threads of their own, while members are loaded anew under them, clients leave, and at the end
 * all is cancelled. Every request is answered once, and with the right numbers. What ensembles
 * compute, and which are refused, is judged by tests/serving/check_ensemble.py.
 */
#include "runtime/rt_build.h"
#include "serve/repo_jobs.h"

#include "base/os/os_dir.h"
#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "devices/device_list.h"
#include "lamina/device.h"
#include "serve/ensemble.h"

enum { OPEN = 8, LOOPS = 3 };

static void write_file(t_env *env, const char *name, const void *p, size_t n)
{
    char path[600], at[200];
    for (size_t i = 0; name[i]; i++) {
        if (name[i] != '/') continue;
        (void)snprintf(at, sizeof at, "%.*s", (int)i, name);
        T_OK(lmn_os_dir_make(t_path(env, at, path, sizeof path), NULL));
    }
    T_OK(lmn_os_file_replace(t_path(env, name, path, sizeof path), p, n, NULL));
}

/* y = factor * x + 1, of rows of four. */
static void put(t_env *env, const char *model, float factor)
{
    static pb g, bytes;
    char name[100];
    const float one = 1;
    g.n = bytes.n = 0;
    rt_node(&g, "Mul", "x f", "m", NULL);
    rt_node(&g, "Add", "m one", "y", NULL);
    pb_str(&g, 2, "g");
    rt_weight(&g, "f", LAMINA_F32, 1, (int64_t[]){1}, &factor, sizeof factor);
    rt_weight(&g, "one", LAMINA_F32, 1, (int64_t[]){1}, &one, sizeof one);
    rt_port(&g, 11, "x", LAMINA_F32, "N 4");
    rt_port(&g, 12, "y", LAMINA_F32, "N 4");
    pb_model(&bytes, &g);
    (void)snprintf(name, sizeof name, "repo/%s/1/model.onnx", model);
    write_file(env, name, bytes.p, bytes.n);
}

static void configure(t_env *env, const char *model, const char *text)
{
    char name[100];
    (void)snprintf(name, sizeof name, "repo/%s/config.pbtxt", model);
    write_file(env, name, text, strlen(text));
}

#define PORTS                                              \
    "platform: \"ensemble\" max_batch_size: 16\n"          \
    "input { name: \"x\" data_type: TYPE_FP32 dims: 4 }\n" \
    "output { name: \"y\" data_type: TYPE_FP32 dims: 4 }\n"
#define STEP(model, from, to)                          \
    "step { model_name: \"" model "\"\n"               \
    "  input_map { key: \"x\" value: \"" from "\" }\n" \
    "  output_map { key: \"y\" value: \"" to "\" } }\n"

static void write_models(t_env *env)
{
    put(env, "inline", 2);
    configure(env, "inline",
              "max_batch_size: 16 dynamic_batching { max_queue_delay_microseconds: 300 }\n"
              "parameters { key: \"run\" value { string_value: \"inline\" } }");
    put(env, "threads", 3);
    configure(env, "threads",
              "max_batch_size: 16 dynamic_batching { } instance_group { count: 2 }\n"
              "parameters { key: \"run\" value { string_value: \"threads\" } }");
    configure(env, "chain",
              PORTS "ensemble_scheduling { " STEP("inline", "x", "a") STEP("threads", "a", "b")
                  STEP("inline", "b", "y") "} response_cache { enable: true }");
    configure(env, "outer",
              PORTS "ensemble_scheduling { " STEP("threads", "x", "a") STEP("chain", "a", "y") "}");
}

/* ---- a loop ---------------------------------------------------------------------------------- */

typedef struct ask {
    lmn_infer r;
    lmn_infer_tensor in;
    lamina_tensor *result;
    float x[4];
    lmn_version *version;
    lmn_atomic(uint32_t) done, gone;
    bool open, outer;
} ask;

typedef struct loop {
    lmn_repo *repo;
    atomic_bool *stop;
    bool leaves; /* some of its clients do */
    ask asks[OPEN];
    uint64_t n_ok, n_bad, n_wrong, n_other;
} loop;

static void asked(lmn_infer *r)
{
    ask *a = r->user;
    (void)lmn_atomic_add(&a->done, 1, release);
}

static bool begin(loop *l, ask *a, lmn_repo_view *v, uint64_t n)
{
    bool known;
    a->outer = n % 3 == 0;
    const lmn_span name = {(const uint8_t *)(a->outer ? "outer" : "chain"), 5};
    lmn_version *found = lmn_repo_find(v, name, 0, &known);
    if (!found) return false;
    memset(&a->r, 0, sizeof a->r);
    for (int i = 0; i < 4; i++) a->x[i] = (float)(n % 100 + (uint64_t)i);
    lmn_atomic_store(&a->done, 0, relaxed);
    lmn_atomic_store(&a->gone, 0, relaxed);
    a->version = lmn_version_ref(found);
    a->r.model = found->model;
    a->r.n_in = 1;
    a->r.in = &a->in;
    a->r.result = &a->result;
    a->in = (lmn_infer_tensor){
        .dtype = LAMINA_F32, .rank = 2, .dims = {1, 4}, .data = a->x, .bytes = sizeof a->x};
    a->r.gone = &a->gone;
    a->r.done = asked;
    a->r.user = a;
    a->r.timeout_ns = n % 7 == 0 ? 50000000 : 0;
    a->open = lmn_model_submit(found->model, &a->r, lmn_now_ns()) == LAMINA_OK;
    if (!a->open) {
        l->n_other++;
        lmn_version_unref(a->version);
    }
    return a->open;
}

static void take(loop *l, ask *a)
{
    if (lmn_atomic_load(&a->done, acquire) != 1) l->n_bad++;
    if (a->r.status == LAMINA_OK) {
        const float *y = lamina_tensor_data(a->r.result[0]);
        for (int i = 0; i < 4; i++) {
            const float x = a->outer ? a->x[i] * 3 + 1 : a->x[i];
            l->n_wrong += y[i] != ((x * 2 + 1) * 3 + 1) * 2 + 1;
        }
        for (uint32_t i = 0; i < a->r.n_result; i++) lamina_tensor_unref(a->r.result[i]);
        l->n_ok++;
    } else {
        l->n_other++;
    }
    lmn_version_unref(a->version);
    a->open = false;
}

/* What a loop of the server does: look, submit, turn, answer. */
static void *run_loop(void *arg)
{
    loop *l = arg;
    lmn_repo_view v = {0};
    bool any = true;
    for (uint64_t n = 0; any; n++) {
        const bool stop = atomic_load(l->stop);
        any = !stop;
        lmn_repo_see(l->repo, &v);
        for (int i = 0; i < OPEN; i++)
            if (!stop && !l->asks[i].open) (void)begin(l, &l->asks[i], &v, n * OPEN + (uint64_t)i);
        for (int i = 0; i < OPEN; i++) {
            ask *a = &l->asks[i];
            if (!a->open) continue;
            if (l->leaves && (n + (uint64_t)i) % 5 == 0) lmn_atomic_store(&a->gone, 1, release);
            if (!lmn_atomic_load(&a->done, acquire)) (void)lmn_model_turn(a->r.model, lmn_now_ns());
            any = true;
            if (lmn_atomic_load(&a->done, acquire)) take(l, a);
        }
    }
    lmn_repo_unsee(l->repo, &v);
    return NULL;
}

static void test_threads(t_env *env)
{
    static const char *const ALL[] = {"outer"}; /* brings the others along */
    static loop loops[LOOPS];
    lmn_thread threads[LOOPS];
    atomic_bool stop = false;
    char path[512];
    lamina_error err = {0};
    lmn_repo *r = NULL;
    const lmn_repo_opts o = {.path = t_path(env, "repo", path, sizeof path),
                             .mode = LMN_REPO_EXPLICIT,
                             .load = ALL,
                             .n_load = 1};
    write_models(env);
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
    T_REQUIRE(T_OK_ERR(lmn_repo_open(env->engine, &o, &r, &err), &err));
    T_CHECK(lmn_repo_ready(r));
    for (int i = 0; i < LOOPS; i++) {
        loops[i] = (loop){.repo = r, .stop = &stop, .leaves = i == 2};
        T_OK(lmn_thread_start(&threads[i], run_loop, &loops[i]));
    }
    for (int i = 0; i < 12; i++) {
        put(env, i % 2 ? "inline" : "threads", i % 2 ? 2.0f : 3.0f);
        T_OK(repo_change(r, i % 2 ? "inline" : "threads", false));
        lmn_sleep_ms(10);
    }
    lmn_repo_abort(r);
    atomic_store(&stop, true);
    for (int i = 0; i < LOOPS; i++) {
        lmn_thread_join(&threads[i]);
        T_CHECK(loops[i].n_ok > 0);
        T_EQ(loops[i].n_bad, 0);
        T_EQ(loops[i].n_wrong, 0);
    }
    lmn_repo_close(r);
}

/* ---- without memory ----------------------------------------------------------------------------
 */

static lmn_model *find_it(void *ctx, const char *name, uint64_t version, void **hold,
                          lamina_error *err)
{
    (void)name, (void)version, (void)err;
    return *hold = ctx;
}

static void nothing(void *hold)
{
    (void)hold;
}

/* Three steps of one inline model, from strings of the configuration to the last answer, and the
   same from the cache: wherever memory fails, a request is refused or answered once. */
static void test_memory(t_env *env)
{
    static const char TEXT[] = PORTS "ensemble_scheduling { " STEP("inline", "x", "a")
        STEP("inline", "a", "b") STEP("inline", "b", "y") "} response_cache { enable: true }";
    static ask a;
    char path[600];
    lamina_error err = {0};
    lmn_model *of = NULL;
    lmn_arena arena;
    lmn_serve_config c;
    const lmn_model_config mc = {
        .batch = {.dynamic = true, .max_batch_size = 16}, .where = LMN_RUN_INLINE, .warm_up = true};
    put(env, "inline", 2);
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
    (void)t_path(env, "repo/inline/1/model.onnx", path, sizeof path);
    T_REQUIRE(T_OK_ERR(lmn_model_open(env->engine, path, "inline", "1", &mc, &of, &err), &err));
    lmn_arena_init(&arena, &env->alloc, 1 << 20);
    T_OK_ERR(lmn_serve_config_read(&arena, (lmn_span){(const uint8_t *)TEXT, sizeof TEXT - 1},
                                   false, &c, &err),
             &err);
    const lmn_ensemble_source source = {of, find_it, nothing, nothing, NULL};
    uint64_t n_answered = 0, n_hits = 0;
    memset(&a, 0, sizeof a);
    for (int nth = 1;; nth++) {
        lmn_model *m = NULL;
        t_fail_alloc(env, nth);
        lamina_status st = lmn_ensemble_open(env->engine, "e", "1", &c, &source, &m, &err);
        for (int k = 0; k < 2 && st == LAMINA_OK; k++) {
            for (uint32_t i = 0; i < a.r.n_result; i++) lamina_tensor_unref(a.r.result[i]);
            memset(&a, 0, sizeof a);
            a.r.model = m;
            a.r.n_in = 1;
            a.r.in = &a.in;
            a.r.result = &a.result;
            a.in = (lmn_infer_tensor){
                .dtype = LAMINA_F32, .rank = 2, .dims = {1, 4}, .data = a.x, .bytes = sizeof a.x};
            a.r.done = asked;
            a.r.user = &a;
            st = lmn_model_submit(m, &a.r, lmn_now_ns());
            (void)lmn_model_turn(m, lmn_now_ns());
            T_EQ(lmn_atomic_load(&a.done, acquire), st == LAMINA_OK);
            if (st == LAMINA_OK) st = a.r.status;
        }
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        /* a queue that cannot grow is a full one */
        T_CHECK(st == LAMINA_OK || (!over && (st == LAMINA_E_NOMEM || st == LAMINA_E_LIMIT)));
        if (st == LAMINA_OK) {
            lmn_model_stats stats;
            lmn_model_get_stats(m, &stats);
            n_answered++;
            n_hits += stats.n_cache_hits;
            T_EQ(stats.n_ok, 2);
            T_EQ(stats.n_cache_hits + stats.n_cache_misses, 2);
            T_EQ(((const float *)lamina_tensor_data(a.r.result[0]))[0], 7);
        }
        for (uint32_t i = 0; i < a.r.n_result; i++) lamina_tensor_unref(a.r.result[i]);
        a.r.n_result = 0;
        lmn_model_unref(m);
        if (over) break;
    }
    T_CHECK(n_answered > 0 && n_hits > 0);
    lmn_arena_finish(&arena);
    lmn_model_unref(of);
}

T_MAIN(T_TEST(test_memory), T_TEST(test_threads))
