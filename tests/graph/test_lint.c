/*
 * The lints of a graph: each finds what it is for, and leaves the nearest innocent form alone. What
 * is told names a node or a value and a fix.
 */
#include "graph_case.h"

#include "graph/lint.h"

/* How many lints of `id` the graph of `text` gets; `says` must stand in the first. */
static size_t told(t_env *env, const char *text, const char *id, const char *says)
{
    lmn_graph *g = graph_ready(env, text);
    if (!T_CHECK(g != NULL)) return 0;
    lmn_diags d;
    lmn_diags_init(&d, &env->alloc);
    T_OK(lmn_graph_lint(g, &d));
    size_t n = 0;
    for (size_t i = 0; i < d.n; i++) {
        T_EQ(d.items[i].severity, LMN_DIAG_LINT);
        T_CHECK(d.items[i].lint[0] && d.items[i].what[0] && d.items[i].fix[0]);
        if (strcmp(d.items[i].lint, id)) continue;
        if (n++ == 0 && says && !strstr(d.items[i].what, says) && !strstr(d.items[i].node, says))
            t_fail(__FILE__, __LINE__, "\"%s\" does not say \"%s\"", d.items[i].what, says);
    }
    T_EQ(d.n_errors, 0u);
    lmn_diags_finish(&d);
    lmn_graph_destroy(g);
    return n;
}

#define QUANTISED(type, zero, before)                         \
    "graph \"g\" {\n"                                         \
    "input %1 \"x\" float32[N,4]\n"                           \
    "const %2 \"s\" float32[] [0.5]\n"                        \
    "const %3 \"z\" " type "[] [" zero "]\n"                  \
    "const %4 \"lo\" float32[] [0]\n"                         \
    "node %5 \"r\" = " before "\n"                            \
    "node %6 \"q\" = QuantizeLinear \"quant\" (%5, %2, %3)\n" \
    "node %7 \"c\" = Clip \"use\" (%1, %4)\n"                 \
    "output %6 \"q\"\noutput %7 \"c\"\n}\n"

static void test_zero_point(t_env *env)
{
    const char *id = "qdq-zero-point";
    T_EQ(told(env, QUANTISED("uint8", "128", "Relu \"act\" (%1)"), id, "zero point 128"), 1u);
    T_EQ(told(env, QUANTISED("int8", "0", "Clip \"act\" (%1, %4)"), id, "quant"), 1u);
    T_EQ(told(env, QUANTISED("uint8", "0", "Relu \"act\" (%1)"), id, NULL), 0u);
    T_EQ(told(env, QUANTISED("int8", "-128", "Relu \"act\" (%1)"), id, NULL), 0u);
    T_EQ(told(env, QUANTISED("uint8", "128", "Neg \"act\" (%1)"), id, NULL), 0u);
}

static void test_scalar(t_env *env)
{
    const char *id = "vector-for-scalar";
#define CLIPPED(shape)                           \
    "graph \"g\" {\ninput %1 \"x\" float32[N]\n" \
    "const %2 \"low\" float32" shape " [0]\n"    \
    "node %3 \"y\" = Clip \"c\" (%1, %2)\n"      \
    "output %3 \"y\"\n}\n"
#define SCALED(n, axis)                                                          \
    "graph \"g\" {\ninput %1 \"x\" float32[2," n "]\n"                           \
    "const %2 \"s\" float32[1] [0.5]\n"                                          \
    "node %3 \"y\" = QuantizeLinear \"q\" (%1, %2) { \"axis\": int " axis " }\n" \
    "output %3 \"y\"\n}\n"
    T_EQ(told(env, CLIPPED("[1]"), id, "low"), 1u);
    T_EQ(told(env, CLIPPED("[]"), id, NULL), 0u);
    T_EQ(told(env, SCALED("1", "1"), id, NULL), 0u);
}

static void test_cast_island(t_env *env)
{
    const char *id = "cast-island";
    /* f16 -> f32, Exp, -> f16, among nodes of f16; `last` takes the result. */
#define ISLAND(last)                                         \
    "graph \"g\" {\ninput %1 \"x\" float16[N]\n"             \
    "node %2 \"a\" = Neg \"n1\" (%1)\n"                      \
    "node %3 \"b\" = Abs \"n2\" (%2)\n"                      \
    "node %4 \"w\" = Cast \"in\" (%3) { \"to\": int 1 }\n"   \
    "node %5 \"e\" = Exp \"alone\" (%4)\n"                   \
    "node %6 \"f\" = Cast \"out\" (%5) { \"to\": int 10 }\n" \
    "node %7 \"h\" = Sqrt \"n3\" (%6)\n"                     \
    "output %7 \"h\"\n" last "}\n"
    T_EQ(told(env, ISLAND(""), id, "alone"), 1u);
    T_EQ(told(env, ISLAND("output %5 \"e\"\n"), id, NULL), 0u); /* the model wants it wide */
    /* The whole model computes in f16 between Casts of its ends: no island. */
    T_EQ(told(env,
              "graph \"g\" {\ninput %1 \"x\" float32[N]\n"
              "node %2 \"a\" = Cast \"in\" (%1) { \"to\": int 10 }\n"
              "node %3 \"b\" = Neg \"n1\" (%2)\n"
              "node %4 \"c\" = Abs \"n2\" (%3)\n"
              "node %5 \"d\" = Cast \"out\" (%4) { \"to\": int 1 }\n"
              "output %5 \"d\"\n}\n",
              id, NULL),
         0u);
}

static void test_size(t_env *env)
{
    const char *id = "unplanned-size";
    T_EQ(told(env,
              "graph \"g\" {\ninput %1 \"x\" float32[N]\n"
              "node %2 \"at\" = NonZero \"find\" (%1)\n"
              "node %3 \"y\" = Neg \"behind\" (%2)\n"
              "output %3 \"y\"\n}\n",
              id, "find"),
         2u); /* the node, and how many are behind it */
    T_EQ(told(env,
              "graph \"g\" {\ninput %1 \"x\" float32[N]\ninput %2 \"s\" int64[2]\n"
              "node %3 \"y\" = Reshape \"by_data\" (%1, %2)\n"
              "output %3 \"y\"\n}\n",
              id, "by_data"),
         1u);
    /* Symbols, also a broadcast of two, are known in a run. */
    T_EQ(told(env,
              "graph \"g\" {\ninput %1 \"x\" float32[N]\ninput %2 \"z\" float32[M]\n"
              "node %3 \"s\" = Shape \"shape\" (%1)\n"
              "node %4 \"e\" = Expand \"wide\" (%2, %3)\n"
              "node %5 \"y\" = Add \"sum\" (%1, %2)\n"
              "output %4 \"e\"\noutput %5 \"y\"\n}\n",
              id, NULL),
         0u);
}

/* A graph with constants of 300 floats, the third one different in its last element. */
static void constants_text(char *text, size_t cap, bool equal, bool used)
{
    size_t o = (size_t)snprintf(text, cap, "graph \"g\" {\ninput %%1 \"x\" float32[300]\n");
    for (int k = 2; k < 4; k++) {
        o += (size_t)snprintf(text + o, cap - o, "const %%%d \"w%d\" float32[300] [", k, k);
        for (int i = 0; i < 300; i++)
            o += (size_t)snprintf(text + o, cap - o, "%s%d", i ? ", " : "",
                                  i == 150 && k == 3 && !equal ? 7 : i % 5);
        o += (size_t)snprintf(text + o, cap - o, "]\n");
    }
    (void)snprintf(text + o, cap - o,
                   "node %%4 \"a\" = Add \"add\" (%%1, %%2)\n"
                   "node %%5 \"y\" = Mul \"mul\" (%%4, %%%d)\noutput %%5 \"y\"\n}\n",
                   used ? 3 : 2);
}

static void test_constants(t_env *env)
{
    static char text[8192];
    constants_text(text, sizeof text, true, true);
    T_EQ(told(env, text, "duplicate-constant", "\"w2\" of 1200 bytes is stored 2 times"), 1u);
    T_EQ(told(env, text, "unused-constant", NULL), 0u);
    constants_text(text, sizeof text, false, true);
    T_EQ(told(env, text, "duplicate-constant", NULL), 0u);
    constants_text(text, sizeof text, false, false);
    T_EQ(told(env, text, "unused-constant", "w3"), 1u);
}

/* Of one kind the first are told and the rest counted. */
static void test_many(t_env *env)
{
    static char text[8192];
    size_t o = (size_t)snprintf(text, sizeof text, "graph \"g\" {\ninput %%1 \"x\" float32[2]\n");
    for (int k = 2; k < 42; k++)
        o += (size_t)snprintf(text + o, sizeof text - o, "const %%%d \"c%d\" float32[] [%d]\n", k,
                              k, k);
    (void)snprintf(text + o, sizeof text - o,
                   "node %%42 \"y\" = Neg \"n\" (%%1)\noutput %%42 \"y\"\n}\n");
    T_EQ(told(env, text, "unused-constant", "c2"), (size_t)LMN_LINT_EACH + 1);
}

static void test_memory(t_env *env)
{
    static char text[8192];
    constants_text(text, sizeof text, true, false);
    lmn_graph *g = graph_ready(env, text);
    T_REQUIRE(g);
    lmn_diags d;
    lmn_diags_init(&d, &env->alloc);
    for (int nth = 1;; nth++) {
        t_fail_alloc(env, nth);
        const lamina_status st = lmn_graph_lint(g, &d);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_CHECK(st == LAMINA_OK || st == LAMINA_E_NOMEM);
        if (over) break;
    }
    lmn_diags_finish(&d);
    lmn_graph_destroy(g);
}

T_MAIN(T_TEST(test_zero_point), T_TEST(test_scalar), T_TEST(test_cast_island), T_TEST(test_size),
       T_TEST(test_constants), T_TEST(test_many), T_TEST(test_memory))
