/*
 * The graph: every invariant broken is found, inference reaches into subgraphs, folding keeps its
 * bounds, clones are equal and apart, captures are followed by every pass.
 */
#include "graph_case.h"

static const char SMALL[] = "graph \"g\" {\n"
                            "input %1 \"x\" float32[N,4]\n"
                            "const %2 \"c\" float32[4] [1, 2, 3, 4]\n"
                            "node %3 \"a\" = Add \"add\" opset 14 (%1, %2)\n"
                            "node %4 \"b\" = Neg \"neg\" opset 13 (%3)\n"
                            "node %5 \"d\" = Mul \"mul\" opset 14 (%4, %3)\n"
                            "output %5 \"d\"\n"
                            "}\n";

/* A branch that reads two outer values, one of them in both branches. */
static const char NESTED[] =
    "graph \"g\" {\n"
    "input %1 \"p\" bool[]\n"
    "input %2 \"x\" float32[N,3]\n"
    "node %3 \"a\" = Neg \"neg\" opset 13 (%2)\n"
    "node %4 \"b\" = Abs \"abs\" opset 13 (%2)\n"
    "node %5 \"y\" = If \"if\" opset 16 caps 2 (%1, %3, %4) { then_branch: graph \"t\" {\n"
    "  input %1 \"a\" ?\n"
    "  input %2 \"b\" ?\n"
    "  node %3 \"s\" = Add \"inner\" opset 14 (%1, %2)\n"
    "  node %4 \"i\" = Identity \"id\" opset 14 (%3)\n"
    "  output %4 \"o\"\n"
    "}, else_branch: graph \"e\" {\n"
    "  input %1 \"a\" ?\n"
    "  input %2 \"b\" ?\n"
    "  output %1 \"o\"\n"
    "} }\n"
    "output %5 \"y\"\n"
    "}\n";

static lmn_gnode *node_named(lmn_graph *g, const char *name)
{
    for (size_t i = 0; i < g->n_nodes; i++)
        if (strcmp(g->nodes[i].op.name, name) == 0) return &g->nodes[i];
    t_fail(__FILE__, __LINE__, "no node %s", name);
    return &g->nodes[0];
}

/* Verification refuses and says `what`. */
static void refused(t_env *env, lmn_graph *g, const char *what)
{
    lmn_diags d;
    lamina_error err = {0};
    lmn_diags_init(&d, &env->alloc);
    T_EQ(lmn_graph_verify(g, &d), LAMINA_E_CORRUPT);
    (void)lmn_diags_to_error(&d, &err);
    if (!strstr(err.msg, what)) T_STR_EQ(err.msg, what);
    lmn_diags_finish(&d);
}

static void test_verify(t_env *env)
{
    enum { UNMADE, LATER, RANGE, TWICE, OVER_INPUT, CAPS, OUT_UNMADE, OUT_RANGE, OVER_CONST, N };
    static const char *const SAYS[N] = {
        "reads a value that nothing produces", "reads a value that is produced later",
        "reads a value that does not exist",   "writes a value that something else produces",
        "writes a value that something else",  "has a wrong capture count",
        "nothing produces the graph output",   "nothing produces the graph output",
        "writes a value that something else"};
    for (int k = 0; k < N; k++) {
        T_CASE(SAYS[k]);
        lmn_graph *g = graph_ready(env, SMALL);
        T_REQUIRE(g != NULL);
        lmn_gnode *neg = node_named(g, "neg"), *mul = node_named(g, "mul");
        const uint32_t made_by = g->values[4].producer;
        lamina_tensor *t = NULL;
        switch (k) {
        case UNMADE: neg->in[0] = lmn_graph_value(g, "loose", NULL); break;
        case LATER: neg->in[0] = mul->out[0]; break;
        case RANGE: neg->in[0] = 1000; break;
        case TWICE: mul->out[0] = neg->out[0]; break;
        case OVER_INPUT: mul->out[0] = 1; break;
        case CAPS: mul->op.n_caps = 3; break;
        case OUT_UNMADE: g->outputs[0] = lmn_graph_value(g, "loose", NULL); break;
        case OUT_RANGE: g->outputs[0] = 1000; break;
        default:
            T_OK(lamina_tensor_create(env->engine, LAMINA_F32, 0, NULL, &t));
            g->values[4].constant = t;
            T_EQ(made_by, 1);
        }
        refused(env, g, SAYS[k]);
        lmn_graph_destroy(g);
    }
}

static void test_verify_captures(t_env *env)
{
    lmn_graph *g = graph_ready(env, NESTED);
    T_REQUIRE(g != NULL);
    lmn_gnode *n = node_named(g, "if");
    lmn_graph *sub = n->op.attrs[0].u.g;
    sub->n_inputs = 1;
    refused(env, g, "has a subgraph without its captures");
    sub->n_inputs = 2;
    T_OK(lmn_graph_verify(g, NULL));
    sub->nodes[0].in[0] = 1000;
    refused(env, g, "reads a value that does not exist"); /* inside */
    sub->nodes[0].in[0] = 1;
    lmn_graph_destroy(g);
}

static void fact_is(const lmn_graph *g, lmn_vid v, const char *want)
{
    char text[128];
    (void)lmn_fact_format(g->dims, &g->values[v].fact, text, sizeof text);
    T_STR_EQ(text, want);
}

static void test_infer(t_env *env)
{
    lmn_graph *g = graph_ready(env, SMALL);
    T_REQUIRE(g != NULL);
    fact_is(g, 3, "float32[N,4]");
    fact_is(g, g->outputs[0], "float32[N,4]");
    lmn_graph_destroy(g);
    g = graph_ready(env, NESTED);
    T_REQUIRE(g != NULL);
    fact_is(g, g->outputs[0], "float32[N,3]"); /* through both branches */
    lmn_graph_destroy(g);
    /* A contradiction is reported with the node's name, and what follows is still inferred. */
    g = graph_of(env, "graph \"g\" {\n"
                      "input %1 \"x\" float32[2]\n"
                      "input %2 \"y\" float32[3]\n"
                      "node %3 \"a\" = Add \"bad\" opset 14 (%1, %2)\n"
                      "node %4 \"b\" = Neg \"neg\" opset 13 (%1)\n"
                      "output %3 \"a\"\noutput %4 \"b\"\n}");
    T_REQUIRE(g != NULL);
    lmn_diags d;
    lamina_error err = {0};
    lmn_diags_init(&d, &env->alloc);
    T_EQ(lmn_graph_infer(g, &d), LAMINA_E_SHAPE);
    (void)lmn_diags_to_error(&d, &err);
    T_CHECK(strstr(err.msg, "\"bad\"") != NULL);
    fact_is(g, 4, "float32[2]");
    lmn_diags_finish(&d);
    lmn_graph_destroy(g);
}

/* As a function: other facts in, facts out, nothing written. */
static void test_infer_call(t_env *env)
{
    lmn_graph *g = graph_ready(env, SMALL);
    T_REQUIRE(g != NULL);
    lmn_arena tmp;
    lmn_arena_init(&tmp, &env->alloc, 0);
    lmn_fact in = lmn_fact_tensor(LAMINA_F32, 2), out;
    in.dims[0] = lmn_dim_c(7), in.dims[1] = lmn_dim_c(4);
    const lmn_fact *ins[1] = {&in};
    T_OK(lmn_graph_infer_call(g, g->dims, &tmp, ins, 1, &out, 1, NULL));
    T_EQ(out.rank, 2);
    T_CHECK(out.dims[0] == lmn_dim_c(7));
    fact_is(g, g->outputs[0], "float32[N,4]");
    T_EQ(lmn_graph_infer_call(g, g->dims, &tmp, ins, 0, &out, 1, NULL), LAMINA_E_SHAPE);
    lmn_arena_finish(&tmp);
    lmn_graph_destroy(g);
}

/* 16 bytes become gigabytes when tiled: beyond the bound the node stays, below it folds. */
static void test_fold_limits(t_env *env)
{
    static const char TILE[] = "graph \"g\" {\n"
                               "const %%1 \"x\" float32[4] [1, 2, 3, 4]\n"
                               "const %%2 \"n\" int64[1] [%d]\n"
                               "node %%3 \"y\" = Tile \"tile\" opset 13 (%%1, %%2)\n"
                               "output %%3 \"y\"\n}";
    char text[512];
    for (int32_t k = 0, n = 1000; k < 3; k++, n = k == 1 ? 1000000 : 1000000000) {
        snprintf(text, sizeof text, TILE, n);
        lmn_graph *g = graph_ready(env, text);
        T_REQUIRE(g != NULL);
        (void)graph_pass(g, "fold");
        T_EQ(g->n_nodes, n == 1000 ? 0 : 1);
        T_CHECK((g->values[3].constant != NULL) == (n == 1000));
        lmn_graph_destroy(g);
    }
    /* In all no more than four times the bound, however many nodes ask for it. */
    lmn_strbuf b;
    lmn_strbuf_init(&b, &env->alloc, 1 << 20);
    lmn_strbuf_str(
        &b, "graph \"g\" {\nconst %1 \"x\" float32[1] [1]\nconst %2 \"n\" int64[1] [200000]\n");
    for (int i = 0; i < 10; i++)
        lmn_strbuf_printf(&b, "node %%%d \"\" = Tile \"\" opset 13 (%%1, %%2)\noutput %%%d \"o\"\n",
                          i + 3, i + 3);
    lmn_strbuf_str(&b, "}");
    lmn_graph *g = graph_ready(env, lmn_strbuf_text(&b));
    T_REQUIRE(g != NULL);
    T_EQ(graph_pass(g, "fold"), 5); /* 5 x 800000 bytes fit into 4 MiB */
    T_EQ(g->n_nodes, 5);
    lmn_graph_destroy(g);
    lmn_strbuf_finish(&b);
}

/* One output known, the other not: the node keeps only the one it still has to make. */
static void test_fold_half(t_env *env)
{
    lmn_graph *g =
        graph_ready(env, "graph \"g\" {\n"
                         "input %1 \"x\" float32[5]\n"
                         "input %2 \"k\" int64[1]\n"
                         "node %3 \"s\" = Shape \"shape\" opset 15 (%1)\n"
                         "node %4 \"c\" = Concat \"cat\" opset 13 (%3, %2) { axis: int 0 }\n"
                         "node %5 \"a\", %6 \"b\" = Split \"split\" opset 18 (%4) "
                         "{ axis: int 0, num_outputs: int 2 }\n"
                         "output %5 \"a\"\noutput %6 \"b\"\n}");
    T_REQUIRE(g != NULL);
    (void)graph_pass(g, "fold");
    const lmn_gnode *split = node_named(g, "split");
    const lamina_tensor *a = g->values[g->outputs[0]].constant;
    if (T_CHECK(a != NULL)) T_EQ(lmn_get_i64(a, 0), 5);
    T_EQ(split->out[0], 0);
    T_EQ(split->out[1], g->outputs[1]);
    lmn_graph_destroy(g);
}

static void test_clone(t_env *env)
{
    static const char *const TEXTS[] = {SMALL, NESTED};
    for (size_t i = 0; i < T_COUNT(TEXTS); i++) {
        lmn_graph *g = graph_ready(env, TEXTS[i]), *c = NULL;
        T_REQUIRE(g != NULL);
        T_OK(lmn_graph_clone(g, NULL, &c));
        T_OK(lmn_graph_verify(c, NULL));
        lmn_strbuf a, b;
        graph_text(env, g, &a), graph_text(env, c, &b);
        T_STR_EQ(lmn_strbuf_text(&a), lmn_strbuf_text(&b));
        lmn_strbuf_finish(&b);
        (void)graph_pass(c, "elide");
        (void)graph_pass(c, "dce");
        graph_text(env, g, &b); /* the original has not noticed */
        T_STR_EQ(lmn_strbuf_text(&a), lmn_strbuf_text(&b));
        lmn_strbuf_finish(&a), lmn_strbuf_finish(&b);
        lmn_graph_destroy(c);
        lmn_graph_destroy(g);
    }
    for (int nth = 1;; nth++) {
        lmn_graph *g = graph_ready(env, NESTED), *c = NULL;
        T_REQUIRE(g != NULL);
        t_fail_alloc(env, nth);
        const lamina_status st = lmn_graph_clone(g, NULL, &c);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_CHECK(st == LAMINA_OK || (st == LAMINA_E_NOMEM && !c));
        for (size_t v = 1; c && v < c->n_values; v++) /* a clone that is made knows every symbol */
            for (int32_t i = 0; i < c->values[v].fact.rank; i++)
                T_EQ(lmn_dim_known(c->values[v].fact.dims[i]),
                     lmn_dim_known(g->values[v].fact.dims[i]));
        lmn_graph_destroy(c), lmn_graph_destroy(g);
        T_NOTHING_HELD(env);
        if (over) break;
    }
}

/* What a branch reads is alive, renamed with the rest, and only inside of the branch simplified. */
static void test_captures(t_env *env)
{
    lmn_graph *g = graph_ready(env, NESTED);
    T_REQUIRE(g != NULL);
    (void)graph_pass(g, "dce");
    T_EQ(g->n_nodes, 3);
    lmn_gnode *n = node_named(g, "if"), *neg = node_named(g, "neg");
    lmn_graph_replace(g, neg->out[0], 2); /* x instead of its negation */
    T_EQ(n->in[1], 2);
    (void)graph_pass(g, "dce");
    T_EQ(g->n_nodes, 2);
    (void)graph_pass(g, "elide"); /* facts of a branch are not known outside: Identity stays */
    T_EQ(node_named(g, "if")->op.attrs[0].u.g->n_outputs, 1);
    T_OK(lmn_graph_verify(g, NULL));
    T_OK(lmn_graph_infer(g, NULL));
    fact_is(g, g->outputs[0], "float32[N,3]");
    lmn_graph_destroy(g);
}

/* Equal twice removed: cse follows its own renaming through captures. */
static void test_cse_captures(t_env *env)
{
    lmn_graph *g = graph_ready(env, NESTED);
    T_REQUIRE(g != NULL);
    lmn_gnode *abs = node_named(g, "abs");
    abs->op.def = lmn_op_find("", "Neg"); /* now equal to the other */
    T_EQ(graph_pass(g, "cse"), 1);
    const lmn_gnode *n = node_named(g, "if");
    T_EQ(n->in[1], n->in[2]);
    T_EQ(n->op.n_caps, 2);
    lmn_graph_destroy(g);
}

T_MAIN(T_TEST(test_verify), T_TEST(test_verify_captures), T_TEST(test_infer),
       T_TEST(test_infer_call), T_TEST(test_fold_limits), T_TEST(test_fold_half),
       T_TEST(test_clone), T_TEST(test_captures), T_TEST(test_cse_captures))
