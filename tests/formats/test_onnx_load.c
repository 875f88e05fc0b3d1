/*
 * The ONNX importer on models built byte by byte: what it accepts, and every way in which a hostile
 * or broken file is refused.
 */
#include "pbuild.h"

#include "formats/onnx/onnx.h"

#include <sys/stat.h>

static pb graph, model;
static lamina_error err;

static lamina_status load(t_env *env, const pb *m, const lamina_load_opts *opts, lamina_model **out)
{
    const lmn_onnx_source src = {.data = m->p, .data_bytes = m->n};
    memset(&err, 0, sizeof err);
    return lmn_onnx_load(env->engine, &src, opts, out, &err);
}

static lamina_status load_only(t_env *env, const pb *m, const lamina_load_opts *opts)
{
    lamina_model *out = NULL;
    lamina_status st = load(env, m, opts, &out);
    lmn_model_destroy(out);
    return st;
}

static bool says(const char *part)
{
    if (strstr(err.msg, part)) return true;
    t_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", err.msg, part);
    return false;
}

/* a -> Identity -> b -> Identity -> c */
static void chain(void)
{
    graph.n = 0;
    pb_node(&graph, 1, "", "Identity", "a", "b");
    pb_node(&graph, 1, "", "Identity", "b", "c");
    pb_info(&graph, 11, "a");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
}

static void test_chain(t_env *env)
{
    lamina_model *m = NULL;
    chain();
    T_REQUIRE(T_OK_ERR(load(env, &model, NULL, &m), &err));
    T_EQ(m->graph->n_nodes, 2);
    T_EQ(m->graph->n_inputs, 1);
    T_STR_EQ(m->graph->output_names[0], "c");
    T_EQ(m->opset, 17);
    T_EQ(m->n_file_nodes, 2);
    T_EQ(lmn_graph_v(m->graph, m->graph->outputs[0])->fact.dtype, LAMINA_F32);
    lmn_model_destroy(m);
}

static void test_truncation(t_env *env)
{
    chain();
    for (size_t n = 0; n < model.n; n++) {
        static pb part;
        memcpy(part.p, model.p, n);
        part.n = n;
        /* A cut between two fields of ModelProto is a whole message: only the graph may be lacking.
         */
        lamina_status st = load_only(env, &part, NULL);
        T_CHECK(st != LAMINA_OK || n == model.n);
        T_CHECK(err.msg[0] != 0);
    }
}

static void test_no_memory(t_env *env)
{
    chain();
    for (int nth = 1; nth < 500; nth++) {
        t_fail_alloc(env, nth);
        lamina_status st = load_only(env, &model, NULL);
        if (t_fail_pending(env)) break;
        T_CHECK(st == LAMINA_E_NOMEM || st == LAMINA_OK);
        T_NOTHING_HELD(env);
    }
    t_fail_alloc(env, 0);
}

static void test_unsorted_and_cycle(t_env *env)
{
    lamina_model *m = NULL;
    graph.n = 0;
    pb_node(&graph, 1, "", "Identity", "b", "c");
    pb_node(&graph, 1, "", "Identity", "a", "b");
    pb_info(&graph, 11, "a");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    T_REQUIRE(T_OK_ERR(load(env, &model, NULL, &m), &err));
    T_EQ(m->diags.n, 1); /* the lint */
    lmn_model_destroy(m);
    graph.n = 0;
    pb_node(&graph, 1, "", "Identity", "c", "b");
    pb_node(&graph, 1, "", "Identity", "b", "c");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_CORRUPT);
    says("circle");
}

static void test_broken_graphs(t_env *env)
{
    T_CASE("missing input");
    graph.n = 0;
    pb_node(&graph, 1, "", "Identity", "nowhere", "c");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_CORRUPT);
    says("nowhere");
    T_CASE("duplicate");
    graph.n = 0;
    pb_node(&graph, 1, "", "Identity", "a", "c");
    pb_node(&graph, 1, "", "Identity", "a", "c");
    pb_info(&graph, 11, "a");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_CORRUPT);
    says("twice");
    T_CASE("unknown operator, near miss");
    graph.n = 0;
    pb_node(&graph, 1, "", "Identitty", "a", "c");
    pb_info(&graph, 11, "a");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_UNSUPPORTED);
    says("did you mean \"Identity\"");
    T_CASE("collect returns all");
    const lamina_load_opts opts = {.size = sizeof opts, .collect = true};
    lamina_model *m = NULL;
    pb_node(&graph, 1, "", "NoSuchOpAtAll", "zz", "d");
    pb_model(&model, &graph);
    T_REQUIRE(T_OK(load(env, &model, &opts, &m)));
    T_EQ(m->diags.n_errors, 3);
    lmn_model_destroy(m);
    T_CASE("no graph");
    model.n = 0;
    pb_int(&model, 1, 8);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_PARSE);
}

static void test_limits(t_env *env)
{
    chain();
    lamina_load_opts o = {.size = sizeof o, .max_nodes = 1};
    T_EQ(load_only(env, &model, &o), LAMINA_E_LIMIT);
    o = (lamina_load_opts){.size = sizeof o, .max_values = 5};
    T_EQ(load_only(env, &model, &o), LAMINA_E_LIMIT);
    o = (lamina_load_opts){.size = sizeof o, .max_string = 3};
    T_EQ(load_only(env, &model, &o), LAMINA_E_LIMIT);
    o = (lamina_load_opts){.size = sizeof o, .reserved = 1};
    T_EQ(load_only(env, &model, &o), LAMINA_E_INVALID);
}

/* A graph with one initialiser of these dims and `raw` bytes. */
static void with_initialiser(uint64_t dim, size_t raw)
{
    static pb t;
    static const uint8_t ZERO[64];
    t.n = 0;
    pb_int(&t, 1, dim);
    pb_int(&t, 2, LAMINA_F32);
    pb_str(&t, 8, "w");
    pb_bytes(&t, 9, ZERO, raw);
    graph.n = 0;
    pb_msg(&graph, 5, &t);
    pb_node(&graph, 1, "", "Identity", "w", "c");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
}

static void test_initialisers(t_env *env)
{
    with_initialiser(3, 12);
    T_OK_ERR(load_only(env, &model, NULL), &err);
    with_initialiser(3, 11);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_CORRUPT);
    says("\"w\"");
    long long peak = env->peak_bytes;
    with_initialiser((uint64_t)1 << 60, 12);
    T_CHECK(load_only(env, &model, NULL) != LAMINA_OK);
    with_initialiser(UINT64_MAX, 0);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_RANGE);
    T_CHECK(env->peak_bytes < peak + (1 << 20)); /* dims alone allocate nothing */
    with_initialiser(16, 64);
    lamina_load_opts o = {.size = sizeof o, .max_elems = 15};
    T_EQ(load_only(env, &model, &o), LAMINA_E_LIMIT);
}

static void test_sparse_bound(t_env *env)
{
    static pb s, v, i;
    static const uint8_t ZERO[8];
    s.n = v.n = i.n = 0;
    pb_int(&v, 1, 1);
    pb_int(&v, 2, LAMINA_F32);
    pb_str(&v, 8, "w");
    pb_bytes(&v, 9, ZERO, 4);
    pb_int(&i, 1, 1);
    pb_int(&i, 2, LAMINA_I64);
    pb_bytes(&i, 9, ZERO, 8);
    pb_msg(&s, 1, &v);
    pb_msg(&s, 2, &i);
    pb_int(&s, 3, (uint64_t)1 << 35);
    graph.n = 0;
    pb_msg(&graph, 15, &s);
    pb_node(&graph, 1, "", "Identity", "w", "c");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_LIMIT);
}

static void test_deep_nesting(t_env *env)
{
    static pb inner, attr, node;
    inner.n = 0;
    pb_str(&inner, 2, "leaf");
    for (int i = 0; i < 80; i++) { /* graph in attribute in node in graph ... */
        attr.n = node.n = 0;
        pb_str(&attr, 1, "then_branch");
        pb_int(&attr, 20, 5);
        pb_msg(&attr, 6, &inner);
        pb_str(&node, 4, "If");
        pb_msg(&node, 5, &attr);
        inner.n = 0;
        pb_msg(&inner, 1, &node);
    }
    pb_model(&model, &inner);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_LIMIT);
    says("max_depth");
}

/* f0 .. f{n-1}, each calling the next `times` times; the last is Identity. */
static void doubling(int n, int times, bool endless)
{
    graph.n = 0;
    pb_node(&graph, 1, "my", "f0", "a", "c");
    pb_info(&graph, 11, "a");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
    for (int i = 0; i < n; i++) {
        static pb fn;
        char name[16], next[16], in[16] = "x", out[16];
        fn.n = 0;
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", endless ? 0 : i + 1);
        for (int k = 0; k < times; k++) {
            snprintf(out, sizeof out, k == times - 1 ? "y" : "t%d", k);
            pb_node(&fn, 7, i + 1 < n || endless ? "my" : "",
                    i + 1 < n || endless ? next : "Identity", in, out);
            memcpy(in, out, sizeof in);
        }
        pb_str(&fn, 1, name);
        pb_str(&fn, 10, "my");
        pb_str(&fn, 4, "x");
        pb_str(&fn, 5, "y");
        pb_opset(&fn, 9, "", 17);
        pb_opset(&fn, 9, "my", 1);
        pb_msg(&model, 25, &fn);
    }
}

static void test_functions(t_env *env)
{
    lamina_model *m = NULL;
    T_CASE("inlined");
    doubling(3, 2, false);
    T_REQUIRE(T_OK_ERR(load(env, &model, NULL, &m), &err));
    T_EQ(m->graph->n_nodes, 8);
    lmn_model_destroy(m);
    T_CASE("exponential");
    doubling(40, 2, false);
    const lamina_load_opts o = {.size = sizeof o, .max_nodes = 10000};
    T_EQ(load_only(env, &model, &o), LAMINA_E_LIMIT);
    says("max_nodes");
    T_CASE("recursive");
    doubling(1, 1, true);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_LIMIT);
    says("max_depth");
}

/* A model in a file whose initialiser lies in `location`. */
static void external(const char *location, uint64_t offset)
{
    static pb t, kv;
    char number[32];
    t.n = kv.n = 0;
    pb_int(&t, 1, 4);
    pb_int(&t, 2, LAMINA_F32);
    pb_str(&t, 8, "w");
    pb_int(&t, 14, 1);
    pb_str(&kv, 1, "location");
    pb_str(&kv, 2, location);
    pb_msg(&t, 13, &kv);
    kv.n = 0;
    snprintf(number, sizeof number, "%llu", (unsigned long long)offset);
    pb_str(&kv, 1, "offset");
    pb_str(&kv, 2, number);
    pb_msg(&t, 13, &kv);
    graph.n = 0;
    pb_msg(&graph, 5, &t);
    pb_node(&graph, 1, "", "Identity", "w", "c");
    pb_info(&graph, 12, "c");
    pb_model(&model, &graph);
}

static lamina_status load_external(t_env *env, const char *location, uint64_t offset, bool no_links)
{
    char path[512];
    lamina_model *m = NULL;
    const lamina_load_opts o = {.size = sizeof o, .refuse_hard_links = no_links};
    external(location, offset);
    const lmn_onnx_source src = {
        .path = t_write(env, "sub/m.onnx", model.p, model.n, path, sizeof path)};
    lamina_status st = lmn_onnx_load(env->engine, &src, &o, &m, &err);
    lmn_model_destroy(m);
    return st;
}

static void test_external(t_env *env)
{
    static const float DATA[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    char dir[512], data[512], other[512], outside[512];
    T_REQUIRE(mkdir(t_path(env, "sub", dir, sizeof dir), 0700) == 0);
    t_write(env, "secret.bin", DATA, sizeof DATA, outside, sizeof outside);
    t_write(env, "sub/w.bin", DATA, sizeof DATA, data, sizeof data);
    T_OK_ERR(load_external(env, "w.bin", 16, false), &err);
    T_OK_ERR(load_external(env, "./w.bin", 0, false), &err);
    T_EQ(load_external(env, "w.bin", 17, false), LAMINA_E_RANGE);
    T_EQ(load_external(env, "w.bin", 9000000000000000000u, false), LAMINA_E_RANGE);
    T_EQ(load_external(env, "none.bin", 0, false), LAMINA_E_IO);
    T_EQ(load_external(env, "../secret.bin", 0, false), LAMINA_E_PERM);
    T_EQ(load_external(env, "x/../../secret.bin", 0, false), LAMINA_E_PERM);
    T_EQ(load_external(env, outside, 0, false), LAMINA_E_PERM);
    T_REQUIRE(symlink(outside, t_path(env, "sub/link.bin", other, sizeof other)) == 0);
    T_EQ(load_external(env, "link.bin", 0, false), LAMINA_E_PERM);
    T_REQUIRE(mkfifo(t_path(env, "sub/fifo", other, sizeof other), 0600) == 0);
    T_EQ(load_external(env, "fifo", 0, false), LAMINA_E_IO);
    T_OK_ERR(load_external(env, "w.bin", 0, true), &err);
    T_REQUIRE(link(outside, t_path(env, "sub/hard.bin", other, sizeof other)) == 0);
    T_OK_ERR(load_external(env, "hard.bin", 0, false), &err);
    T_EQ(load_external(env, "hard.bin", 0, true), LAMINA_E_PERM);
    external("w.bin", 0);
    T_EQ(load_only(env, &model, NULL), LAMINA_E_IO); /* from memory: no folder */
}

T_MAIN(T_TEST(test_chain), T_TEST(test_truncation), T_TEST(test_no_memory),
       T_TEST(test_unsorted_and_cycle), T_TEST(test_broken_graphs), T_TEST(test_limits),
       T_TEST(test_initialisers), T_TEST(test_sparse_bound), T_TEST(test_deep_nesting),
       T_TEST(test_functions), T_TEST(test_external))
