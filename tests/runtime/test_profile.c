/*
 * The profile: what is noted, what the trace says, what happens at its bounds. The fields of a span
 * are checked here; the whole file is held against docs/formats/trace.schema.json by the bench.
 */
#include "runtime/rt_model.h"

#include "base/json.h"

typedef struct seen {
    int nodes, runs, plans, threads, loops;
    uint64_t products;
    bool shapes; /* some product has the shapes expected */
} seen;

static char *read_all(const char *path, size_t *n)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    (void)fseek(f, 0, SEEK_END);
    *n = (size_t)ftell(f);
    rewind(f);
    char *p = malloc(*n + 1);
    if (p && fread(p, 1, *n, f) != *n) *n = 0;
    (void)fclose(f);
    return p;
}

static void text_of(const lmn_json_token *t, char *buf, size_t cap)
{
    (void)snprintf(buf, cap, "%.*s", (int)t->text.n, (const char *)t->text.p);
}

/* One event object, its start already read. */
static void read_event(lmn_json *j, seen *s)
{
    lmn_json_token t;
    char ph[8] = "", name[64] = "", cat[16] = "", shape[64] = "";
    double dur = -1;
    int depth = 1;
    while (depth > 0 && lmn_json_next(j, &t) != LMN_JSON_ERROR) {
        depth += t.kind == LMN_JSON_OBJECT;
        depth -= t.kind == LMN_JSON_OBJECT_END;
        if (t.kind != LMN_JSON_KEY) continue;
        const bool is_ph = lmn_json_is(&t, "ph"), is_name = lmn_json_is(&t, "name");
        const bool is_cat = lmn_json_is(&t, "cat"), is_dur = lmn_json_is(&t, "dur");
        const bool is_in = lmn_json_is(&t, "in");
        if (is_in) T_EQ(lmn_json_next(j, &t), LMN_JSON_ARRAY);
        if (!is_ph && !is_name && !is_cat && !is_dur && !is_in) continue;
        (void)lmn_json_next(j, &t);
        if (is_ph) text_of(&t, ph, sizeof ph);
        if (is_name && depth == 1) text_of(&t, name, sizeof name);
        if (is_cat) text_of(&t, cat, sizeof cat);
        if (is_in) text_of(&t, shape, sizeof shape);
        if (is_dur) T_CHECK(lmn_json_f64(&t, &dur));
    }
    if (!strcmp(ph, "M")) s->threads += !strcmp(name, "thread_name");
    if (strcmp(ph, "X") != 0) return;
    T_CHECK(dur >= 0);
    s->nodes += !strcmp(cat, "node");
    s->runs += !strcmp(name, "run");
    s->plans += !strcmp(name, "plan");
    s->loops += !strcmp(name, "Loop");
    s->products += !strcmp(name, "MatMul");
    s->shapes |= !strcmp(shape, "float32[8,8]");
}

static void read_trace(const char *path, seen *s)
{
    size_t n = 0;
    lamina_error err = {0};
    lmn_json j;
    lmn_json_token t;
    char *p = read_all(path, &n);
    T_REQUIRE(p);
    memset(s, 0, sizeof *s);
    lmn_json_init(&j, (lmn_span){(const uint8_t *)p, n}, &err);
    while (lmn_json_next(&j, &t) > LMN_JSON_END) {
        if (t.kind != LMN_JSON_KEY || !lmn_json_is(&t, "traceEvents")) continue;
        T_EQ(lmn_json_next(&j, &t), LMN_JSON_ARRAY);
        while (lmn_json_next(&j, &t) == LMN_JSON_OBJECT) read_event(&j, s);
    }
    T_EQ(t.kind, LMN_JSON_END);
    T_STR_EQ(err.msg, "");
    free(p);
}

static void run(t_env *env, lamina_session *s, int64_t n)
{
    lamina_tensor *in[2] = {rt_floats(env, 2, (int64_t[]){n, n}),
                            rt_floats(env, 2, (int64_t[]){n, n})};
    lamina_tensor *out = NULL;
    T_OK(lamina_session_run(s, (const lamina_tensor *const *)in, 2, &out, 1, NULL));
    for (int i = 0; i < 2; i++) lamina_tensor_unref(in[i]);
    lamina_tensor_unref(out);
}

static void test_trace(t_env *env)
{
    char path[512];
    seen seen_;
    rt_cpu(env);
    lamina_model *m = rt_chain(env, 3);
    const lamina_session_opts o = {.size = sizeof o, .profile = true, .n_threads = 1};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    for (int i = 0; i < 4; i++) run(env, s, i & 1 ? 64 : 8);
    T_OK(lamina_session_trace_save(s, t_path(env, "t.json", path, sizeof path), NULL));
    read_trace(path, &seen_);
    T_EQ(seen_.plans, 2);
    T_EQ(seen_.threads, 1);
    T_CHECK(seen_.runs >= 1 && seen_.runs <= 4);
    T_EQ(seen_.nodes, 3 * seen_.runs);
    T_EQ(seen_.products, 3 * seen_.runs);
    T_CHECK(seen_.shapes);
    lamina_session_stats st = {.size = sizeof st};
    lamina_node_info ni = {.size = sizeof ni};
    T_OK(lamina_session_get_stats(s, &st));
    T_EQ(st.n_runs, 4);
    uint64_t total = 0;
    for (size_t i = 0; i < st.n_nodes; i++) {
        T_OK(lamina_session_node(s, i, &ni));
        T_EQ(ni.n_calls, seen_.runs);
        total += ni.total_ns;
    }
    T_CHECK(total > 0 && total <= st.run_ns);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* Nodes inside a loop body are spans too, one a turn. */
static void test_subgraph(t_env *env)
{
    char path[512];
    seen seen_;
    rt_cpu(env);
    lamina_model *m = rt_loop(env, 5);
    const lamina_session_opts o = {.size = sizeof o, .profile = true, .n_threads = 1};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    run(env, s, 8);
    T_OK(lamina_session_trace_save(s, t_path(env, "t.json", path, sizeof path), NULL));
    read_trace(path, &seen_);
    T_EQ(seen_.loops, 1);
    T_EQ(seen_.products, 5);
    T_CHECK(seen_.shapes);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* More spans than the ring holds: the last ones stay, the file stays well formed. */
static void test_ring(t_env *env)
{
    char path[512];
    seen seen_;
    rt_cpu(env);
    lamina_model *m = rt_loop(env, LMN_PROFILE_RING);
    const lamina_session_opts o = {.size = sizeof o, .profile = true, .n_threads = 1};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(s);
    run(env, s, 1);
    T_OK(lamina_session_trace_save(s, t_path(env, "t.json", path, sizeof path), NULL));
    read_trace(path, &seen_);
    T_EQ(seen_.runs, 1);
    T_EQ(seen_.loops, 1);
    T_EQ(seen_.nodes + seen_.runs, LMN_PROFILE_RING);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

static void test_refused(t_env *env)
{
    lamina_error err = {0};
    char path[512];
    rt_cpu(env);
    lamina_model *m = rt_relu_abs(env);
    lamina_session *plain = rt_session(m, NULL);
    const lamina_session_opts o = {.size = sizeof o, .profile = true};
    lamina_session *s = rt_session(m, &o);
    T_REQUIRE(plain && s);
    T_EQ(lamina_session_trace_save(plain, "x", &err), LAMINA_E_STATE);
    T_EQ(lamina_session_trace_save(NULL, "x", &err), LAMINA_E_INVALID);
    T_EQ(lamina_session_trace_save(s, NULL, &err), LAMINA_E_INVALID);
    T_CHECK(lamina_session_trace_save(s, t_path(env, "no/t.json", path, sizeof path), &err) != 0);
    /* nothing ran yet: an empty trace is a trace */
    seen seen_;
    T_OK(lamina_session_trace_save(s, t_path(env, "t.json", path, sizeof path), &err));
    read_trace(path, &seen_);
    T_EQ(seen_.nodes + seen_.runs + seen_.plans, 0);
    lamina_session_destroy(plain);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_trace), T_TEST(test_subgraph), T_TEST(test_ring), T_TEST(test_refused))
