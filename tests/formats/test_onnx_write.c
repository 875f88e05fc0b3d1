/*
 * The ONNX writer: what was read and written reads back as the same graph, in every way of writing
 * it; what it refuses; and that a failure leaves the old file where it was.
 */
#include "pbuild.h"

#include "formats/onnx/onnx.h"
#include "graph/graph_text.h"

#include <sys/stat.h>

static lamina_error err;

/* The text form of a model's graph, in one static buffer of two. */
static const char *text_of(const lamina_model *m, int which)
{
    static char kept[2][65536];
    lmn_strbuf b;
    lmn_strbuf_init(&b, &m->engine->alloc, sizeof kept[0] - 1);
    T_OK(lmn_graph_print(m->graph, 0, &b));
    (void)snprintf(kept[which], sizeof kept[which], "%s", lmn_strbuf_text(&b));
    lmn_strbuf_finish(&b);
    return kept[which];
}

/* TensorProto of n floats as field `num`. */
static void floats(pb *to, uint32_t num, const char *name, const float *v, uint64_t n)
{
    static pb t;
    t.n = 0;
    pb_int(&t, 1, n);
    pb_int(&t, 2, 1);
    pb_str(&t, 8, name);
    pb_bytes(&t, 9, v, n * sizeof *v);
    pb_msg(to, num, &t);
}

/* One attribute of a given type: `put` fills its value. */
static void attr(pb *node, const char *name, uint64_t type, uint32_t num, const void *p, size_t n)
{
    static pb a;
    a.n = 0;
    pb_str(&a, 1, name);
    pb_int(&a, 20, type);
    pb_bytes(&a, num, p, n);
    pb_msg(node, 5, &a);
}

static void attr_int(pb *node, const char *name, uint64_t v)
{
    static pb a;
    a.n = 0;
    pb_str(&a, 1, name);
    pb_int(&a, 20, 2);
    pb_int(&a, 3, v);
    pb_msg(node, 5, &a);
}

/* A node begun, without attributes so far: n is empty but for this. */
static void node(pb *n, const char *in, const char *in2, const char *out, const char *name,
                 const char *op)
{
    n->n = 0;
    pb_str(n, 1, in);
    if (in2) pb_str(n, 1, in2);
    pb_str(n, 2, out);
    pb_str(n, 3, name);
    pb_str(n, 4, op);
}

/* The branch of an If: capture "c" and an own weight added up. */
static void branch(pb *g, const char *name, const char *out, float own)
{
    static pb n;
    char w[32];
    (void)snprintf(w, sizeof w, "%s_w", out);
    g->n = 0;
    node(&n, "c", w, out, out, "Add");
    pb_msg(g, 1, &n);
    pb_str(g, 2, name);
    floats(g, 5, w, &own, 1);
    pb_info(g, 12, out);
}

/*
 * x[N] -> Add a weight -> c; If on "cond" with branches that capture c; Split by sizes that are an
 * attribute of ints no more; a Cast with an int. Weights w and its equal twin v.
 */
static void sample(pb *model)
{
    static pb g, n, sub, names;
    float w[256];
    for (int i = 0; i < 256; i++) w[i] = (float)i / 8;
    g.n = 0;
    node(&n, "x", "w", "c", "first", "Add");
    pb_msg(&g, 1, &n);
    node(&n, "cond", NULL, "y", "choose", "If");
    branch(&sub, "yes", "a", 1);
    attr(&n, "then_branch", 5, 6, sub.p, sub.n);
    branch(&sub, "no", "b", 2);
    attr(&n, "else_branch", 5, 6, sub.p, sub.n);
    pb_msg(&g, 1, &n);
    node(&n, "y", NULL, "t", "turn", "Transpose");
    const uint8_t perm[1] = {0};
    attr(&n, "perm", 7, 8, perm, sizeof perm); /* a packed list */
    pb_msg(&g, 1, &n);
    node(&n, "t", "v", "z", "last", "Mul");
    pb_msg(&g, 1, &n);
    node(&n, "z", NULL, "d", "to double", "Cast");
    attr_int(&n, "to", 11);
    pb_msg(&g, 1, &n);
    pb_str(&g, 2, "sample");
    floats(&g, 5, "w", w, 256);
    floats(&g, 5, "v", w, 256);
    pb_info(&g, 11, "x");
    names.n = 0; /* cond: bool[] */
    static pb type, tensor;
    type.n = tensor.n = 0;
    pb_int(&tensor, 1, 9);
    pb_bytes(&tensor, 2, NULL, 0);
    pb_msg(&type, 1, &tensor);
    pb_str(&names, 1, "cond");
    pb_msg(&names, 2, &type);
    pb_msg(&g, 11, &names);
    names.n = 0; /* an output without extents */
    pb_str(&names, 1, "d");
    pb_msg(&g, 12, &names);
    pb_model(model, &g);
    pb_str(model, 6, "a doc");
    pb_str(model, 2, "maker");
}

static lamina_status load_path(t_env *env, const char *path, lamina_model **out)
{
    const lmn_onnx_source src = {.path = path};
    memset(&err, 0, sizeof err);
    return lmn_onnx_load(env->engine, &src, NULL, out, &err);
}

static lamina_model *load_sample(t_env *env)
{
    static pb model;
    lamina_model *m = NULL;
    sample(&model);
    const lmn_onnx_source src = {.data = model.p, .data_bytes = model.n};
    T_OK_ERR(lmn_onnx_load(env->engine, &src, NULL, &m, &err), &err);
    return m;
}

static long size_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (long)st.st_size : -1;
}

/* Save with opts and load again; NULL after a failure that is told. */
static lamina_model *again(t_env *env, const lamina_model *m, const lamina_save_opts *opts)
{
    char path[512];
    lamina_model *back = NULL;
    t_path(env, "again.onnx", path, sizeof path);
    memset(&err, 0, sizeof err);
    if (T_OK_ERR(lmn_onnx_save(m, path, opts, &err), &err))
        T_OK_ERR(load_path(env, path, &back), &err);
    return back;
}

static void test_round_trip(t_env *env)
{
    lamina_model *m = load_sample(env);
    T_REQUIRE(m);
    T_CASE("inside");
    lamina_model *back = again(env, m, NULL);
    T_REQUIRE(back);
    T_STR_EQ(text_of(back, 1), text_of(m, 0));
    T_STR_EQ(back->doc, "a doc");
    T_STR_EQ(back->producer_name, "maker");
    T_EQ(back->opset, m->opset);
    lmn_model_destroy(back);
    T_CASE("external");
    char bin[512];
    const lamina_save_opts ext = {.size = sizeof ext, .external = "w.bin"};
    back = again(env, m, &ext);
    T_REQUIRE(back);
    T_STR_EQ(text_of(back, 1), text_of(m, 0));
    lmn_model_destroy(back);
    T_EQ(size_of(t_path(env, "w.bin", bin, sizeof bin)), 2048);
    T_CASE("strip");
    const lamina_save_opts bare = {.size = sizeof bare, .strip = true};
    back = again(env, m, &bare);
    T_REQUIRE(back);
    T_STR_EQ(back->doc, "");
    T_STR_EQ(back->graph->nodes[0].op.name, "c"); /* named by its output */
    lmn_model_destroy(back);
    lmn_model_destroy(m);
}

static void test_changes(t_env *env)
{
    lamina_model *m = load_sample(env);
    T_REQUIRE(m);
    T_CASE("dedupe");
    const lamina_save_opts once = {.size = sizeof once, .dedupe = true};
    lamina_model *back = again(env, m, &once);
    T_REQUIRE(back);
    T_EQ(m->weight_bytes - back->weight_bytes, 1024);
    lmn_model_destroy(back);
    T_CASE("float16");
    const lamina_save_opts half = {.size = sizeof half, .weights = LAMINA_F16};
    back = again(env, m, &half);
    T_REQUIRE(back);
    T_EQ(back->weight_bytes, 2 * 512 + 2 * 4);
    T_EQ(back->graph->n_nodes, m->graph->n_nodes + 2);
    T_STR_EQ(back->graph->nodes[0].op.def->name, "Cast");
    lmn_model_destroy(back);
    T_CASE("a fixed extent");
    const char *name = "N";
    const int64_t n = 256;
    const lamina_save_opts fix = {
        .size = sizeof fix, .dim_names = &name, .dim_values = &n, .n_dims = 1, .fold = true};
    back = again(env, m, &fix);
    T_REQUIRE(back);
    const lmn_fact *f = &lmn_graph_v(back->graph, back->graph->inputs[0])->fact;
    T_EQ(f->dims[0], lmn_dim_c(256));
    lmn_model_destroy(back);
    lmn_model_destroy(m);
}

static void test_refusals(t_env *env)
{
    lamina_model *m = load_sample(env);
    char path[512], where[600];
    T_REQUIRE(m);
    t_write(env, "old.onnx", "old", 3, path, sizeof path);
    const char *name = "M";
    int64_t n = 2;
    lamina_save_opts o = {.size = sizeof o, .dim_names = &name, .dim_values = &n, .n_dims = 1};
    T_EQ(lmn_onnx_save(m, path, &o, &err), LAMINA_E_INVALID);
    T_CHECK(strstr(err.msg, "it has N") != NULL);
    name = "N";
    n = -1;
    T_EQ(lmn_onnx_save(m, path, &o, &err), LAMINA_E_RANGE);
    static const char *const BAD[] = {"", "/etc/x", "../x", ".", "..", "a/b", "old.onnx"};
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        const lamina_save_opts ext = {.size = sizeof ext, .external = BAD[i]};
        T_EQ(lmn_onnx_save(m, path, &ext, &err), LAMINA_E_INVALID);
    }
    const lamina_save_opts ints = {.size = sizeof ints, .weights = LAMINA_I8};
    T_EQ(lmn_onnx_save(m, path, &ints, &err), LAMINA_E_INVALID);
    (void)snprintf(where, sizeof where, "%s/none/x.onnx", path);
    T_CHECK(lmn_onnx_save(m, where, NULL, &err) != LAMINA_OK);
    T_EQ(size_of(path), 3);
    lmn_model_destroy(m);
}

static void test_own_operator(t_env *env)
{
    static const char TEXT[] = "graph \"g\" {\ninput %1 \"x\" float32[2]\n"
                               "node %2 \"y\" = lamina:FusedMatMul \"f\" (%1, %1)\n"
                               "output %2 \"y\"\n}\n";
    lmn_graph *g = NULL;
    lamina_model *m = NULL;
    char path[512];
    T_REQUIRE(T_OK(lmn_model_create(env->engine, &m)));
    m->producer_name = m->producer_version = m->domain = m->doc = m->graph_name = m->graph_doc = "";
    T_OK_ERR(lmn_graph_parse(env->engine, TEXT, sizeof TEXT - 1, &g, &err), &err);
    if (g) {
        lmn_graph_destroy(m->graph);
        m->graph = g;
        T_EQ(lmn_onnx_save(m, t_path(env, "own.onnx", path, sizeof path), NULL, &err),
             LAMINA_E_UNSUPPORTED);
        T_EQ(size_of(path), -1);
    }
    lmn_model_destroy(m);
}

static void test_no_memory(t_env *env)
{
    lamina_model *m = load_sample(env);
    char path[512];
    const char *name = "N";
    const int64_t n = 256;
    T_REQUIRE(m);
    t_write(env, "old.onnx", "old", 3, path, sizeof path);
    const lamina_save_opts all = {.size = sizeof all,
                                  .dim_names = &name,
                                  .dim_values = &n,
                                  .n_dims = 1,
                                  .fold = true,
                                  .dedupe = true,
                                  .external = "all.bin",
                                  .weights = LAMINA_BF16};
    const long long held = atomic_load(&env->live_blocks);
    for (int nth = 1; nth < 2000; nth++) {
        t_fail_alloc(env, nth);
        lamina_status st = lmn_onnx_save(m, path, &all, &err);
        if (t_fail_pending(env)) break;
        T_CHECK(st == LAMINA_E_NOMEM || st == LAMINA_OK);
        T_CHECK(st == LAMINA_OK || size_of(path) == 3);
        T_EQ(atomic_load(&env->live_blocks), held);
        if (st == LAMINA_OK) t_write(env, "old.onnx", "old", 3, path, sizeof path);
    }
    t_fail_alloc(env, 0);
    T_CHECK(size_of(path) > 3);
    lmn_model_destroy(m);
}

T_MAIN(T_TEST(test_round_trip), T_TEST(test_changes), T_TEST(test_refusals),
       T_TEST(test_own_operator), T_TEST(test_no_memory))
