/*
 * The public API as a caller meets it: NULL and wrong sizes are refused with a status, every
 * failure has a sentence that names the thing, out parameters stay untouched, references are the
 * caller's.
 */
#include "runtime/rt_model.h"

#include <sys/stat.h>

static lamina_error err;
static pb graph, bytes;

static bool says(const char *part)
{
    if (strstr(err.msg, part)) return true;
    t_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.msg, part);
    return false;
}

/* A whole engine over the counting allocator. */
static lamina_engine *make_engine(t_env *env, uint32_t threads)
{
    lamina_engine *e = NULL;
    const lamina_engine_opts o = {.size = sizeof o, .allocator = &env->alloc, .n_threads = threads};
    return T_OK(lamina_engine_create(&o, &e)) ? e : NULL;
}

/* x float[N,2] + w float[2] (also an input: a default) -> y, h */
static void two_outputs(void)
{
    static const float W[2] = {1, 2};
    const int64_t two = 2;
    graph.n = 0;
    rt_node(&graph, "Add", "x w", "h", NULL);
    rt_node(&graph, "Relu", "h", "y", NULL);
    rt_port(&graph, 11, "x", LAMINA_F32, "N 2");
    rt_port(&graph, 11, "w", LAMINA_F32, "2");
    rt_weight(&graph, "w", LAMINA_F32, 1, &two, W, sizeof W);
    rt_port(&graph, 12, "y", LAMINA_F32, "N 2");
    rt_port(&graph, 12, "h", LAMINA_F32, "N 2");
    pb_model(&bytes, &graph);
    static pb meta;
    meta.n = 0;
    pb_str(&meta, 1, "key");
    pb_str(&meta, 2, "value");
    pb_msg(&bytes, 14, &meta);
    pb_str(&bytes, 2, "maker");
    pb_str(&bytes, 3, "1.2");
    pb_int(&bytes, 5, 7);
    pb_str(&bytes, 6, "a document");
}

static lamina_model *load(lamina_engine *e)
{
    lamina_model *m = NULL;
    T_OK_ERR(lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err), &err);
    return m;
}

static lamina_tensor *floats(lamina_engine *e, int64_t rows, int64_t cols)
{
    const int64_t dims[2] = {rows, cols};
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(e, LAMINA_F32, 2, dims, &t));
    float *p = lamina_tensor_mutable_data(t);
    for (int64_t i = 0; i < rows * cols; i++) p[i] = (float)i - 1;
    return t;
}

static void test_names(t_env *env)
{
    (void)env;
    T_STR_EQ(lamina_status_name(LAMINA_E_SHAPE), "E_SHAPE");
    T_STR_EQ(lamina_status_name(12345), "E_UNKNOWN");
    T_CHECK(lamina_status_text(LAMINA_E_NOMEM)[0] && lamina_status_text(-9999)[0]);
    T_STR_EQ(lamina_dtype_name(LAMINA_BF16), "bfloat16");
    T_CHECK(lamina_dtype_name(-1) && lamina_dtype_name(1000));
    T_EQ(lamina_dtype_bits(LAMINA_I4), 4);
    T_EQ(lamina_dtype_bits(1000), 0);
    T_STR_EQ(lamina_version(), LAMINA_VERSION_STRING);
}

static void test_null_values(t_env *env)
{
    (void)env;
    T_EQ(lamina_tensor_kind(NULL), LAMINA_KIND_NONE);
    T_EQ(lamina_tensor_dtype(NULL), LAMINA_DTYPE_NONE);
    T_EQ(lamina_tensor_rank(NULL), 0);
    T_CHECK(!lamina_tensor_dims(NULL) && !lamina_tensor_strides(NULL));
    T_EQ(lamina_tensor_count(NULL), 0);
    T_EQ(lamina_tensor_bytes(NULL), 0);
    T_CHECK(!lamina_tensor_data(NULL) && !lamina_tensor_mutable_data(NULL));
    T_CHECK(!lamina_tensor_string(NULL, 0, NULL) && !lamina_sequence_item(NULL, 0));
    T_CHECK(!lamina_tensor_ref(NULL) && !lamina_model_ref(NULL));
    T_EQ(lamina_tensor_set_string(NULL, 0, "", 0), LAMINA_E_INVALID);
    lamina_tensor_unref(NULL);
    lamina_model_unref(NULL);
    lamina_session_destroy(NULL);
    lamina_engine_destroy(NULL);
    lamina_view_destroy(NULL);
    T_EQ(lamina_engine_create(NULL, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_model_input_count(NULL) + lamina_model_output_count(NULL), 0);
    T_EQ(lamina_model_diag_count(NULL), 0);
    T_EQ(lamina_model_input(NULL, 0, NULL), LAMINA_E_RANGE);
    T_EQ(lamina_model_output(NULL, 0, NULL), LAMINA_E_RANGE);
    T_EQ(lamina_model_diag(NULL, 0, NULL), LAMINA_E_RANGE);
    T_EQ(lamina_model_meta(NULL, 0, NULL, NULL), LAMINA_E_RANGE);
    T_EQ(lamina_model_get_info(NULL, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_engine_info(NULL, 0, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_session_get_stats(NULL, NULL), LAMINA_E_INVALID);
    T_CHECK(lamina_session_node(NULL, 0, NULL) != LAMINA_OK);
}

static void test_null_sentences(t_env *env)
{
    lamina_engine *e = make_engine(env, 1);
    T_REQUIRE(e);
    lamina_model *m = T_UNTOUCHED;
    lamina_session *s = T_UNTOUCHED;
    lamina_tensor *t = T_UNTOUCHED;
    lamina_view *v = T_UNTOUCHED;
    T_EQ(lamina_model_load(NULL, "x", NULL, &m, &err), LAMINA_E_INVALID);
    says("engine");
    T_EQ(lamina_model_load(e, NULL, NULL, &m, &err), LAMINA_E_INVALID);
    T_EQ(lamina_model_load(e, "x", NULL, NULL, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_model_load_memory(e, NULL, 4, NULL, &m, &err), LAMINA_E_INVALID);
    T_EQ(lamina_model_load_memory(e, "", 0, NULL, &m, &err), LAMINA_E_PARSE);
    says("empty");
    T_EQ(lamina_session_create(NULL, NULL, &s, &err), LAMINA_E_INVALID);
    says("model");
    T_EQ(lamina_tensor_load(e, NULL, LAMINA_KIND_TENSOR, &t, &err), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_save(NULL, "x.npy", &err), LAMINA_E_INVALID);
    T_EQ(lamina_view_model(NULL, NULL, &v, &err), LAMINA_E_INVALID);
    T_EQ(lamina_view_session(NULL, NULL, &v, &err), LAMINA_E_INVALID);
    T_EQ(lamina_session_trace_save(NULL, "t.json", &err), LAMINA_E_INVALID);
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_EQ(lamina_session_run(NULL, NULL, 0, &t, 1, &o), LAMINA_E_INVALID);
    says("session");
    T_EQ(lamina_tensor_from(e, LAMINA_F32, 9, NULL, NULL, &t), LAMINA_E_RANGE);
    T_EQ(lamina_tensor_create(NULL, LAMINA_F32, 0, NULL, &t), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_create(e, 999, 0, NULL, &t), LAMINA_E_DTYPE);
    T_EQ(lamina_sequence_create(e, LAMINA_F32, 1, NULL, &t), LAMINA_E_INVALID);
    T_EQ(lamina_none_create(e, 999, &t), LAMINA_E_INVALID);
    T_CHECK(m == T_UNTOUCHED && s == T_UNTOUCHED && t == T_UNTOUCHED && v == T_UNTOUCHED);
    lamina_engine_destroy(e);
}

static void test_option_sizes(t_env *env)
{
    lamina_engine *e = NULL;
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    T_EQ(lamina_engine_create(&(lamina_engine_opts){.size = 0}, &e), LAMINA_E_INVALID);
    lamina_engine_opts wrong = {.size = sizeof wrong, .reserved = 1};
    T_EQ(lamina_engine_create(&wrong, &e), LAMINA_E_INVALID);
    wrong = (lamina_engine_opts){.size = sizeof wrong, .n_threads = 1u << 30};
    T_EQ(lamina_engine_create(&wrong, &e), LAMINA_E_INVALID);
    struct {
        lamina_engine_opts known;
        uint64_t newer;
    } later = {{.size = sizeof later, .allocator = &env->alloc, .n_threads = 1}, 0};
    later.newer = 1;
    T_EQ(lamina_engine_create(&later.known, &e), LAMINA_E_INVALID); /* a field it does not know */
    later.newer = 0;
    T_REQUIRE(T_OK(lamina_engine_create(&later.known, &e)));
    two_outputs();
    T_EQ(lamina_model_load_memory(e, bytes.p, bytes.n, &(lamina_load_opts){.size = 4}, &m, &err),
         LAMINA_E_INVALID);
    says("options");
    m = load(e);
    lamina_session_opts so = {.size = sizeof so, .precision = LAMINA_PRECISION_INT8 + 1};
    T_EQ(lamina_session_create(m, &so, &s, &err), LAMINA_E_INVALID);
    says("options");
    lamina_port p = {.size = sizeof p + 8};
    T_EQ(lamina_model_input(m, 0, &p), LAMINA_E_INVALID);
    p = (lamina_port){.size = offsetof(lamina_port, kind)}; /* a caller that knows less */
    T_OK(lamina_model_input(m, 0, &p));
    T_STR_EQ(p.name, "x");
    T_EQ(p.rank, 0);
    lamina_info_row row = {.size = 1};
    T_EQ(lamina_engine_info(e, 0, &row), LAMINA_E_INVALID);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
}

static void test_files_are_named(t_env *env)
{
    lamina_engine *e = make_engine(env, 1);
    char path[512], folder[512];
    lamina_model *m = T_UNTOUCHED;
    lamina_tensor *t = T_UNTOUCHED;
    T_REQUIRE(e);
    T_EQ(lamina_model_load(e, t_path(env, "no.onnx", path, sizeof path), NULL, &m, &err),
         LAMINA_E_IO);
    T_CHECK(says("no.onnx") && says("; ") && err.os_errno != 0 && err.status == LAMINA_E_IO);
    T_REQUIRE(mkdir(t_path(env, "dir.onnx", folder, sizeof folder), 0700) == 0);
    T_CHECK(lamina_model_load(e, folder, NULL, &m, &err) != LAMINA_OK);
    says("dir.onnx");
    t_write(env, "bad.onnx", "not a model", 11, path, sizeof path);
    T_EQ(lamina_model_load(e, path, NULL, &m, &err), LAMINA_E_CORRUPT);
    says("bad.onnx");
    static const char *const FILES[] = {"a.npy", "a.npz:x", "a.pb"};
    for (size_t i = 0; i < T_COUNT(FILES); i++) {
        T_CASE(FILES[i]);
        (void)t_path(env, FILES[i], path, sizeof path);
        T_EQ(lamina_tensor_load(e, path, LAMINA_KIND_TENSOR, &t, &err), LAMINA_E_IO);
        says("a.");
    }
    T_CASE(NULL);
    t_write(env, "x.npy", "\x93NUMPY", 6, path, sizeof path);
    T_CHECK(lamina_tensor_load(e, path, LAMINA_KIND_TENSOR, &t, &err) != LAMINA_OK);
    says("x.npy");
    T_EQ(lamina_tensor_load(e, "x.txt", LAMINA_KIND_TENSOR, &t, &err), LAMINA_E_UNSUPPORTED);
    says(".npy");
    T_CHECK(m == T_UNTOUCHED && t == T_UNTOUCHED);
    lamina_engine_destroy(e);
}

static void test_values_in_files(t_env *env)
{
    lamina_engine *e = make_engine(env, 1);
    T_REQUIRE(e);
    lamina_tensor *t = floats(e, 3, 2), *back = NULL, *text = NULL, *seq = NULL;
    const int64_t one = 1;
    char path[512];
    static const char *const ENDS[] = {"v.npy", "v.pb"};
    for (size_t i = 0; i < T_COUNT(ENDS); i++) {
        (void)t_path(env, ENDS[i], path, sizeof path);
        T_OK_ERR(lamina_tensor_save(t, path, &err), &err);
        T_REQUIRE(T_OK_ERR(lamina_tensor_load(e, path, LAMINA_KIND_TENSOR, &back, &err), &err));
        T_EQ(lamina_tensor_count(back), 6);
        T_MEM_EQ(lamina_tensor_data(back), lamina_tensor_data(t), lamina_tensor_bytes(t));
        lamina_tensor_unref(back);
    }
    T_OK(lamina_sequence_create(e, LAMINA_F32, 1, &t, &seq));
    T_OK_ERR(lamina_tensor_save(seq, path, &err), &err);
    T_REQUIRE(T_OK_ERR(lamina_tensor_load(e, path, LAMINA_KIND_SEQUENCE, &back, &err), &err));
    T_EQ(lamina_tensor_kind(back), LAMINA_KIND_SEQUENCE);
    lamina_tensor_unref(back);
    T_OK(lamina_tensor_create(e, LAMINA_STRING, 1, &one, &text));
    T_CHECK(lamina_tensor_save(text, t_path(env, "s.npy", path, sizeof path), &err) != LAMINA_OK);
    says("string");
    T_EQ(lamina_tensor_save(t, "/nonexistent/x.npy", &err), LAMINA_E_IO);
    says("/nonexistent");
    T_EQ(lamina_tensor_save(t, "x.csv", &err), LAMINA_E_UNSUPPORTED);
    lamina_tensor_unref(text);
    lamina_tensor_unref(seq);
    lamina_tensor_unref(t);
    lamina_engine_destroy(e);
}

static void test_looking_at_a_model(t_env *env)
{
    lamina_engine *e = make_engine(env, 1);
    T_REQUIRE(e);
    two_outputs();
    lamina_model *m = load(e);
    T_REQUIRE(m);
    lamina_port p = {.size = sizeof p};
    T_EQ(lamina_model_input_count(m), 2);
    T_EQ(lamina_model_output_count(m), 2);
    T_OK(lamina_model_input(m, 0, &p));
    T_CHECK(!p.optional && p.dtype == LAMINA_F32 && p.rank == 2 && p.dims[0] == -1 &&
            p.dims[1] == 2);
    T_STR_EQ(p.dim_names[0], "N");
    T_STR_EQ(p.dim_names[1], "");
    T_OK(lamina_model_input(m, 1, &p));
    T_CHECK(p.optional && p.has_default);
    T_OK(lamina_model_output(m, 1, &p));
    T_STR_EQ(p.name, "h");
    T_EQ(lamina_model_input(m, 2, &p), LAMINA_E_RANGE);
    T_EQ(lamina_model_output(m, 2, &p), LAMINA_E_RANGE);
    lamina_model_info info = {.size = sizeof info};
    T_OK(lamina_model_get_info(m, &info));
    T_STR_EQ(info.producer_name, "maker");
    T_STR_EQ(info.doc, "a document");
    T_CHECK(info.opset == 17 && info.n_nodes == 2 && info.weight_bytes == 8 &&
            info.model_version == 7 && info.n_meta == 1);
    const char *key, *value;
    T_OK(lamina_model_meta(m, 0, &key, &value));
    T_CHECK(!strcmp(key, "key") && !strcmp(value, "value"));
    T_EQ(lamina_model_meta(m, 1, &key, &value), LAMINA_E_RANGE);
    T_EQ(lamina_model_diag_count(m), 0);
    lamina_diag d = {.size = sizeof d};
    T_EQ(lamina_model_diag(m, 0, &d), LAMINA_E_RANGE);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
}

static void test_diagnostics(t_env *env)
{
    lamina_engine *e = make_engine(env, 1);
    lamina_model *m = NULL;
    lamina_session *s = T_UNTOUCHED;
    lamina_diag d = {.size = sizeof d};
    T_REQUIRE(e);
    graph.n = 0;
    rt_node(&graph, "Reluu", "x", "y", NULL);
    rt_port(&graph, 11, "x", LAMINA_F32, "N");
    rt_port(&graph, 12, "y", LAMINA_F32, "N");
    pb_model(&bytes, &graph);
    const lamina_load_opts o = {.size = sizeof o, .collect = true};
    T_REQUIRE(T_OK(lamina_model_load_memory(e, bytes.p, bytes.n, &o, &m, &err)));
    T_EQ(lamina_model_diag_count(m), 1);
    T_OK(lamina_model_diag(m, 0, &d));
    T_CHECK(d.error && d.status == LAMINA_E_UNSUPPORTED && d.opset == 17);
    T_STR_EQ(d.node, "y");
    T_STR_EQ(d.op, "Reluu");
    T_CHECK(strstr(d.what, "not known") && strstr(d.fix, "Relu"));
    T_EQ(lamina_session_create(m, NULL, &s, &err), LAMINA_E_UNSUPPORTED);
    T_CHECK(says("Reluu") && s == T_UNTOUCHED);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
}

static void test_ownership(t_env *env)
{
    lamina_engine *e = make_engine(env, 2);
    lamina_session *s = NULL;
    T_REQUIRE(e);
    two_outputs();
    lamina_model *m = load(e);
    T_REQUIRE(m && T_OK_ERR(lamina_session_create(m, NULL, &s, &err), &err));
    lamina_model_unref(lamina_model_ref(m));
    lamina_model_unref(m); /* the session holds its own */
    lamina_tensor *x = floats(e, 2, 2), *out[2] = {NULL, NULL};
    const lamina_tensor *in[2] = {x, NULL};
    T_REQUIRE(T_OK(lamina_session_run(s, in, 1, out, 2, NULL)));
    lamina_tensor *first = out[0];
    lamina_tensor_unref(out[1]);
    T_REQUIRE(T_OK(lamina_session_run(s, in, 2, out + 1, 1, NULL))); /* fewer outputs */
    lamina_tensor_unref(out[1]);
    T_REQUIRE(T_OK(lamina_session_run(s, in, 2, out, 2, NULL)));
    T_CHECK(out[0] != first); /* a kept output is not written again */
    lamina_session_destroy(s);
    lamina_tensor_unref(x);
    const float *y = lamina_tensor_data(out[0]), *h = lamina_tensor_data(out[1]);
    T_CHECK(y[0] == 0 && y[1] == 2 && y[3] == 4 && h[0] == 0 && h[3] == 4);
    lamina_tensor_unref(first);
    lamina_tensor_unref(out[0]);
    lamina_tensor_unref(out[1]);
    lamina_engine_destroy(e);
}

static void refuse(lamina_session *s, const lamina_tensor *const *in, size_t n, lamina_status want,
                   const char *part)
{
    lamina_tensor *out[2] = {T_UNTOUCHED, T_UNTOUCHED};
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_EQ(lamina_session_run(s, in, n, out, 2, &o), want);
    T_CHECK(out[0] == T_UNTOUCHED && out[1] == T_UNTOUCHED && err.status == want);
    says(part);
}

static void test_wrong_feeds(t_env *env)
{
    lamina_engine *e = make_engine(env, 1), *other = make_engine(env, 1);
    lamina_session *s = NULL;
    T_REQUIRE(e && other);
    two_outputs();
    lamina_model *m = load(e);
    T_REQUIRE(m && T_OK_ERR(lamina_session_create(m, NULL, &s, &err), &err));
    const int64_t dims[3] = {2, 2, 1};
    lamina_tensor *good = floats(e, 2, 2), *ints = NULL, *cube = NULL, *wide = floats(e, 2, 3),
                  *foreign = floats(other, 2, 2), *seq = NULL, *out[3];
    T_OK(lamina_tensor_create(e, LAMINA_I64, 2, dims, &ints));
    T_OK(lamina_tensor_create(e, LAMINA_F32, 3, dims, &cube));
    T_OK(lamina_sequence_create(e, LAMINA_F32, 1, &good, &seq));
    refuse(s, NULL, 0, LAMINA_E_INVALID, "\"x\"");
    refuse(s, (const lamina_tensor *[]){NULL, good}, 2, LAMINA_E_INVALID, "\"x\"");
    refuse(s, (const lamina_tensor *[]){good, NULL, good}, 3, LAMINA_E_INVALID, "inputs");
    refuse(s, (const lamina_tensor *[]){ints}, 1, LAMINA_E_DTYPE, "int64");
    refuse(s, (const lamina_tensor *[]){cube}, 1, LAMINA_E_SHAPE, "rank 3");
    refuse(s, (const lamina_tensor *[]){wide}, 1, LAMINA_E_SHAPE, "dimension 1 is 3");
    refuse(s, (const lamina_tensor *[]){seq}, 1, LAMINA_E_DTYPE, "\"x\"");
    refuse(s, (const lamina_tensor *[]){foreign}, 1, LAMINA_E_INVALID, "engine");
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_EQ(lamina_session_run(s, (const lamina_tensor *[]){good}, 1, out, 3, &o), LAMINA_E_INVALID);
    says("2 outputs");
    lamina_session_stats st = {.size = sizeof st};
    T_OK(lamina_session_get_stats(s, &st));
    T_EQ(st.n_plans_made, 0); /* nothing ran */
    T_OK(lamina_session_run(s, (const lamina_tensor *[]){good}, 1, out, 1, NULL));
    lamina_tensor_unref(out[0]);
    lamina_tensor_unref(good);
    lamina_tensor_unref(ints);
    lamina_tensor_unref(cube);
    lamina_tensor_unref(wide);
    lamina_tensor_unref(foreign);
    lamina_tensor_unref(seq);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_engine_destroy(other);
    lamina_engine_destroy(e);
}

/* Load, prepare and run; LAMINA_OK or the first failure, nothing held either way. */
static lamina_status whole_life(lamina_engine *e, lamina_tensor *x)
{
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    lamina_view *v = NULL;
    lamina_tensor *out[2] = {NULL, NULL};
    const lamina_tensor *in[1] = {x};
    lamina_status st = lamina_model_load_memory(e, bytes.p, bytes.n, NULL, &m, &err);
    if (st == LAMINA_OK) st = lamina_session_create(m, NULL, &s, &err);
    if (st == LAMINA_OK) st = lamina_view_session(s, NULL, &v, &err);
    if (st == LAMINA_OK) st = lamina_session_run(s, in, 1, out, 2, NULL);
    lamina_tensor_unref(out[0]);
    lamina_tensor_unref(out[1]);
    lamina_view_destroy(v);
    lamina_session_destroy(s);
    lamina_model_unref(m);
    return st;
}

static void test_every_allocation_fails(t_env *env)
{
    lamina_engine *e = make_engine(env, 1);
    T_REQUIRE(e);
    two_outputs();
    lamina_tensor *x = floats(e, 2, 2);
    T_REQUIRE(T_OK(whole_life(e, x)));
    const long long held = env->live_blocks;
    int n = 0;
    for (bool more = true; more && n < 5000; n++) {
        t_fail_alloc(env, n + 1);
        const lamina_status st = whole_life(e, x);
        more = !t_fail_pending(env);
        t_fail_alloc(env, 0);
        if (more) T_CHECK(st == LAMINA_E_NOMEM || st == LAMINA_OK);
        T_EQ(env->live_blocks, held);
        if (t_now.n_failed) break;
    }
    T_CHECK(n > 50 && n < 5000);
    T_OK(whole_life(e, x)); /* usable afterwards */
    lamina_tensor_unref(x);
    lamina_engine_destroy(e);
}

T_MAIN(T_TEST(test_names), T_TEST(test_null_values), T_TEST(test_null_sentences),
       T_TEST(test_option_sizes), T_TEST(test_files_are_named), T_TEST(test_values_in_files),
       T_TEST(test_looking_at_a_model), T_TEST(test_diagnostics), T_TEST(test_ownership),
       T_TEST(test_wrong_feeds), T_TEST(test_every_allocation_fails))
