/*
 * Sessions with tuned choices: whatever is chosen for a problem of a model, outputs have the bits
 * of the untuned session, or are near where Winograd is taken or left; nodes say that they are
 * tuned; files that are damaged, missing or switched off change nothing. Then tuning itself, end to
 * end.
 */
#include "rt_model.h"
#include "t.h"

#include "tune/tune_file.h"

enum { N_OUT = 3 };

static float *weights(t_env *env, int64_t n)
{
    float *w = malloc((size_t)n * sizeof *w);
    for (int64_t i = 0; i < n; i++) w[i] = (float)t_rand_real(env, -0.2, 0.2);
    return w;
}

static void add_weight(t_env *env, pb *graph, const char *name, int32_t rank, const int64_t *dims)
{
    int64_t n = 1;
    for (int32_t i = 0; i < rank; i++) n *= dims[i];
    float *w = weights(env, n);
    rt_weight(graph, name, LAMINA_F32, rank, dims, w, (size_t)n * sizeof *w);
    free(w);
}

/* A 3 x 3 convolution, a pointwise one of its result, a product beside them. */
static lamina_model *make_model(t_env *env)
{
    static pb bytes, graph;
    graph.n = bytes.n = 0;
    rt_node(&graph, "Conv", "x w1", "h", NULL);
    rt_node(&graph, "Relu", "h", "hr", NULL);
    rt_node(&graph, "Conv", "hr w2", "y", NULL);
    rt_node(&graph, "MatMul", "a w3", "b", NULL);
    rt_node(&graph, "MatMul", "b w4", "z", NULL);
    add_weight(env, &graph, "w1", 4, (int64_t[]){16, 16, 3, 3});
    add_weight(env, &graph, "w2", 4, (int64_t[]){8, 16, 1, 1});
    add_weight(env, &graph, "w3", 2, (int64_t[]){24, 32});
    add_weight(env, &graph, "w4", 2, (int64_t[]){32, 8});
    rt_port(&graph, 11, "x", LAMINA_F32, "1 16 22 30");
    rt_port(&graph, 11, "a", LAMINA_F32, "N 24");
    rt_port(&graph, 12, "y", LAMINA_F32, "1 8 20 28");
    rt_port(&graph, 12, "z", LAMINA_F32, "N 8");
    rt_port(&graph, 12, "h", LAMINA_F32, "1 16 20 28");
    return rt_load(env, &bytes, &graph);
}

static void run(lamina_session *s, lamina_tensor *const *in, lamina_tensor **out)
{
    lamina_error err = {0};
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)in, 2, out, N_OUT, &o), &err);
}

static void release(lamina_tensor **t, int n)
{
    for (int i = 0; i < n; i++) lamina_tensor_unref(t[i]);
}

static bool same_bits(lamina_tensor *const *a, lamina_tensor *const *b)
{
    for (int i = 0; i < N_OUT; i++)
        if (a[i]->data_bytes != b[i]->data_bytes ||
            memcmp(a[i]->data, b[i]->data, a[i]->data_bytes))
            return false;
    return true;
}

static bool all_near(lamina_tensor *const *a, lamina_tensor *const *b)
{
    for (int i = 0; i < N_OUT; i++) {
        const float *p = a[i]->data, *q = b[i]->data;
        for (int64_t k = 0; k < lamina_tensor_count(a[i]); k++)
            if (!(fabsf(p[k] - q[k]) <= 1e-4f)) return false;
    }
    return true;
}

static lamina_session *session(lamina_model *m, const char *file, uint32_t precision)
{
    const lamina_session_opts o = {.size = sizeof o, .tune = file, .precision = precision};
    return rt_session(m, &o);
}

/* One choice for one problem, in a file of its own. */
static void try_choice(t_env *env, lamina_model *m, lamina_tensor *const *in,
                       lamina_tensor *const *want, const lmn_tune_problem *p, int32_t c)
{
    char path[512];
    lamina_error err;
    lamina_tensor *got[N_OUT];
    const lmn_tune_record r = {p->key, p->choice[c], 1.1};
    (void)t_path(env, "choice", path, sizeof path);
    (void)remove(path);
    T_OK_ERR(lmn_tune_append(env->engine, path, &r, 1, &err), &err);
    lamina_session *s = session(m, path, 0);
    run(s, in, got);
    lamina_session_stats st = {.size = sizeof st};
    T_OK(lamina_session_get_stats(s, &st));
    T_EQ(st.n_choices, 1);
    T_EQ(st.n_choices_ignored, 0);
    T_EQ(st.n_nodes_tuned, 1);
    uint64_t told = 0;
    for (size_t i = 0; i < st.n_nodes; i++) {
        lamina_node_info n = {.size = sizeof n};
        T_OK(lamina_session_node(s, i, &n));
        told += n.tuned;
    }
    T_EQ(told, 1);
    if (p->other_bits[c])
        T_CHECK(all_near(want, got));
    else
        T_CHECK(same_bits(want, got));
    release(got, N_OUT);
    lamina_session_destroy(s);
}

static lamina_tensor *input(t_env *env, int32_t rank, const int64_t *dims)
{
    return rt_floats(env, rank, dims);
}

static void test_every_choice(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = make_model(env);
    lamina_session *s = session(m, "off", 0);
    lamina_tensor *in[2] = {input(env, 4, (int64_t[]){1, 16, 22, 30}),
                            input(env, 2, (int64_t[]){300, 24})};
    lamina_tensor *want[N_OUT], *again[N_OUT];
    run(s, in, want);
    lmn_tune_trial trial;
    lmn_tune_trial_init(&trial, &env->alloc, false);
    s->tune.trial = &trial;
    run(s, in, again);
    T_CHECK(same_bits(want, again)); /* learning runs by the rules */
    s->tune.trial = NULL;
    release(again, N_OUT);
    T_EQ(trial.n, 4);
    for (int32_t i = 0; i < trial.n; i++) {
        T_CASE(trial.problems[i].node);
        T_EQ(trial.problems[i].n_calls, 1);
        for (int32_t c = 1; c < trial.problems[i].n; c++)
            try_choice(env, m, in, want, &trial.problems[i], c);
    }
    lmn_tune_trial_finish(&trial);
    release(want, N_OUT), release(in, 2);
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

/* What a file holds never changes an answer or makes a session fail. */
static void test_bad_files(t_env *env)
{
    rt_cpu(env);
    char path[512];
    lamina_model *m = make_model(env);
    lamina_tensor *in[2] = {input(env, 4, (int64_t[]){1, 16, 22, 30}),
                            input(env, 2, (int64_t[]){7, 24})};
    lamina_tensor *want[N_OUT], *got[N_OUT];
    lamina_session *s = session(m, "off", 0);
    run(s, in, want);
    lamina_session_destroy(s);
    static char text[3000];
    for (int i = 0; i < 12; i++) {
        for (size_t k = 0; k < sizeof text; k++)
            text[k] = i % 2 ? (char)t_rand(env) : "lamina-tune-1 0,9\n"[t_rand_int(env, 0, 17)];
        (void)t_write(env, "bad", text, i ? sizeof text : 0, path, sizeof path);
        s = session(m, path, i % 3 ? LAMINA_PRECISION_EXACT : LAMINA_PRECISION_STRICT);
        lamina_session_stats st = {.size = sizeof st};
        T_OK(lamina_session_get_stats(s, &st));
        T_EQ(st.n_choices, 0);
        T_CHECK((st.n_choices_ignored > 0) == (i > 0));
        run(s, in, got);
        T_CHECK(i % 3 ? same_bits(want, got) : all_near(want, got));
        release(got, N_OUT);
        lamina_session_destroy(s);
    }
    s = session(m, "/nonexistent/choices", 0);
    lamina_session_destroy(s);
    release(want, N_OUT), release(in, 2);
    lamina_model_unref(m);
}

typedef struct heard {
    int n[LAMINA_TUNE_DROPPED + 1], notes, until;
} heard;

static bool hear(void *ctx, const lamina_tune_note *n)
{
    heard *h = ctx;
    h->n[n->stage]++;
    T_CHECK(n->size == sizeof *n && n->problem && n->choice && n->node && n->kernel);
    T_CHECK(n->progress >= 0 && n->progress <= 1 && n->share >= 0 && n->gain >= 0);
    return ++h->notes < h->until;
}

static void test_tune(t_env *env)
{
    rt_cpu(env);
    char path[512];
    (void)t_path(env, "won", path, sizeof path);
    lamina_model *m = make_model(env);
    lamina_tensor *in[2] = {input(env, 4, (int64_t[]){1, 16, 22, 30}),
                            input(env, 2, (int64_t[]){300, 24})};
    lamina_error err;
    for (int i = 0; i < 3; i++) {
        heard h = {.until = i == 2 ? 9 : INT32_MAX};
        lamina_tune_result r = {.size = sizeof r};
        const lamina_tune_opts o = {.size = sizeof o,
                                    .path = path,
                                    .budget_ns = 1500000000,
                                    .n_threads = 1,
                                    .dry_run = i == 0,
                                    .same_bits = i == 1,
                                    .note = hear,
                                    .ctx = &h};
        T_OK_ERR(lamina_tune(m, (const lamina_tensor *const *)in, 2, &o, &r, &err), &err);
        T_EQ(r.n_problems, 4);
        T_EQ(h.n[LAMINA_TUNE_FOUND], 4);
        T_EQ(h.n[LAMINA_TUNE_KEPT], (int)r.n_tuned);
        T_CHECK(r.n_tuned <= 4 && r.before_ns > 0 && r.after_ns > 0);
        T_CHECK(r.after_ns <= r.before_ns);
        T_EQ(access(path, F_OK) == 0 && i == 0, false);
        T_CHECK(i < 2 || r.stopped);
    }
    const lamina_tune_opts little = {.size = sizeof little, .path = path, .budget_ns = 1};
    T_EQ(lamina_tune(m, (const lamina_tensor *const *)in, 2, &little, NULL, &err), LAMINA_E_LIMIT);
    const lamina_tune_opts off = {.size = sizeof off, .path = "off"};
    T_EQ(lamina_tune(m, (const lamina_tensor *const *)in, 2, &off, NULL, &err), LAMINA_E_STATE);
    T_EQ(lamina_tune(NULL, NULL, 0, NULL, NULL, &err), LAMINA_E_INVALID);
    T_EQ(lamina_tune(m, NULL, 0, &little, NULL, &err), LAMINA_E_INVALID);
    release(in, 2);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_every_choice), T_TEST(test_bad_files), T_TEST(test_tune))
