/*
 * The text form: what is printed is read back without loss, errors name line and column, and no
 * text, however cut or damaged, does harm.
 */
#include "graph_case.h"

/* As the printer writes it: every kind of fact, constant and attribute once. */
static const char FULL[] =
    "graph \"full \\\"g\\\"\" ids 9 {\n"
    "symbols \"N\" \"past + 1\" \"\" \"min\"\n"
    "input %1 \"x\" float32[N,3,2*N + 1,floor((N + 1)/2)]\n"
    "input %2 \"seq\" seq(int64[$1,?])\n"
    "input %3 \"opt\" optional(?[...])\n"
    "input %4 \"w\" float32[2] = float32[2] [1, -0]\n"
    "input %5 \"u\" ?[3,$3]\n"
    "const %6 \"b\" float32[3] [0.1, inf, -inf]\n"
    "const %7 \"\" int64[2] [-9223372036854775808, 9223372036854775807]\n"
    "const %8 \"\" uint64[1] [18446744073709551615]\n"
    "const %9 \"nan\" float32[1] hex:0100c07f\n"
    "const %10 \"h\" float16[2] hex:003c0040\n"
    "const %11 \"s\" string[2] [\"a\\x00\\xff\", \"\"]\n"
    "const %12 \"none\" float32[0,4] []\n"
    "const %13 \"flag\" bool[] [1]\n"
    "value %14 \"loose\" any(int32[...])\n"
    "node %15 \"y\" ?, _, %16 \"\" int64[3] elems [1, N, ?] = Dropout \"drop\\x0a\" opset 12 id 7 "
    "(%1, _, "
    "%13)\n"
    "node %17 \"z\" ? = lamina:FusedMatMul \"\" opset 1 id 8 (%6, %7) { \"epi\": ints [2, -1], "
    "\"epi_p\": "
    "floats [0.5, nan:7fc00001], \"f\": float -0, \"i\": int -3, \"s\": string \"\\\\\", \"e\": "
    "ints [], "
    "\"l\": strings [\"a\", \"\"], \"t\": tensor int8[2] [-1, 2], \"ty\": type seq(float32[N]) }\n"
    "node %18 \"\" ? = If \"if\" opset 16 id 2 caps 1 (%13, %15) { \"then_branch\": graph \"a\" {\n"
    "input %1 \"y\" ?\n"
    "output %1 \"o\"\n"
    "}, \"else_branch\": graph \"b\" {\n"
    "input %1 \"y\" float32[max(1, N)]\n"
    "node %2 \"n\" ? = Neg \"neg\" opset 13 id 3 (%1)\n"
    "output %2 \"o\"\n"
    "} }\n"
    "output %17 \"first\"\n"
    "output %4 \"through\"\n"
    "}\n";

static void test_round_trip(t_env *env)
{
    lmn_graph *g = graph_of(env, FULL);
    T_REQUIRE(g != NULL);
    lmn_strbuf text;
    graph_text(env, g, &text);
    /* Constants nobody uses leave no trace, so compare from the second printing on. */
    lmn_graph *again = graph_of(env, lmn_strbuf_text(&text));
    T_REQUIRE(again != NULL);
    lmn_strbuf second;
    graph_text(env, again, &second);
    T_STR_EQ(lmn_strbuf_text(&second), lmn_strbuf_text(&text));
    T_CHECK(strstr(lmn_strbuf_text(&text), "float32[N,3,2*N + 1,floor((N + 1)/2)]") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&text), "seq(int64[$1,?])") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&text), "int64[3] elems [1, N, ?]") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&text), "floats [0.5, nan:7fc00001]") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&text), "float32[2] [1, -0]") != NULL);
    T_EQ(again->next_node_id, 9);
    lmn_strbuf_finish(&text), lmn_strbuf_finish(&second);
    lmn_graph_destroy(g), lmn_graph_destroy(again);
}

/* Types of types. */
static void test_maps_and_optionals(t_env *env)
{
    static const char *const TYPES[] = {
        "map(int64,float32)", "seq(map(string,?))", "optional(map(string,float32))",
        "optional(seq(float32[N]))", "optional(seq(map(int64,string)))"};
    static const char *const BAD[] = {"map(float32,int64)", "map(int64)", "seq(map(int64,float32)",
                                      "optional(seq(float32[N])", "seq(seq(float32[N]))"};
    char text[256];
    for (size_t i = 0; i < T_COUNT(TYPES); i++) {
        T_CASE(TYPES[i]);
        (void)snprintf(text, sizeof text,
                       "graph \"t\" ids 1 {\nsymbols \"N\"\ninput %%1 \"x\" %s\n"
                       "output %%1 \"y\"\n}\n",
                       TYPES[i]);
        lmn_graph *g = graph_of(env, text);
        T_REQUIRE(g != NULL);
        lmn_strbuf again;
        graph_text(env, g, &again);
        T_STR_EQ(lmn_strbuf_text(&again), text);
        char shown[64];
        (void)lmn_fact_format(g->dims, &g->values[1].fact, shown, sizeof shown);
        T_STR_EQ(shown, TYPES[i]);
        lmn_strbuf_finish(&again);
        lmn_graph_destroy(g);
    }
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        lmn_graph *g = NULL;
        lamina_error bad = {0};
        T_CASE(BAD[i]);
        (void)snprintf(text, sizeof text, "graph \"t\" ids 1 {\ninput %%1 \"x\" %s\n}\n", BAD[i]);
        T_CHECK(lmn_graph_parse(env->engine, text, strlen(text), &g, &bad) != LAMINA_OK);
        T_CHECK(bad.msg[0] != 0 && g == NULL);
    }
}

/* Every constant in use: element for element equal after a round trip. */
static void test_constants(t_env *env)
{
    static const lamina_dtype TYPES[] = {LAMINA_F32, LAMINA_F64, LAMINA_F16,    LAMINA_BF16,
                                         LAMINA_I8,  LAMINA_U8,  LAMINA_I16,    LAMINA_U32,
                                         LAMINA_I64, LAMINA_U64, LAMINA_F8E5M2, LAMINA_I4,
                                         LAMINA_U2,  LAMINA_C64, LAMINA_F4E2M1};
    for (size_t i = 0; i < T_COUNT(TYPES); i++)
        for (int64_t n = 0; n < 200; n = n * 3 + 7) {
            lmn_graph *g = NULL, *back = NULL;
            lamina_tensor *t = NULL;
            T_OK(lmn_graph_create(env->engine, NULL, &g));
            T_OK(lamina_tensor_create(env->engine, TYPES[i], 1, &n, &t));
            for (size_t k = 0; k < t->data_bytes; k++)
                ((uint8_t *)t->data)[k] = (uint8_t)t_rand(env);
            const lmn_vid v = lmn_graph_constant(g, "c", t);
            T_CHECK(lmn_graph_add_output(g, v, "c"));
            lmn_strbuf text;
            graph_text(env, g, &text);
            back = graph_of(env, lmn_strbuf_text(&text));
            if (T_CHECK(back && back->n_outputs == 1)) {
                const lamina_tensor *u = back->values[back->outputs[0]].constant;
                if (T_CHECK(u && u->dtype == t->dtype && u->data_bytes == t->data_bytes))
                    T_MEM_EQ(u->data, t->data, t->data_bytes);
            }
            lmn_strbuf_finish(&text);
            lamina_tensor_unref(t);
            lmn_graph_destroy(g), lmn_graph_destroy(back);
        }
}

static void test_errors(t_env *env)
{
    static const struct {
        const char *text, *says;
    } BAD[] = {
        {"", "line 1, column 1: expected a graph"},
        {"graph \"g\" {\n  node %1 = Bogus (%2)\n}", "line 2, column 18: there is no operator"},
        {"graph \"g\" {\n node %1 = Neg (%2)\n}", "line 2, column 19: value %2 is not defined"},
        {"graph \"g\" {\n const %2 \"\" float32[] [1] }", "the next value is %1, not %2"},
        {"graph \"g\" { const %1 \"\" float32[1000000000] [1] }", "too short for this tensor"},
        {"graph \"g\" { const %1 \"\" float32[-1] [1] }", "too short for this tensor"},
        {"graph \"g\" { const %1 \"\" floaty[1] [1] }", "\"floaty\" is no element type"},
        {"graph \"g\" { const %1 \"\" float32[2] sha256:00 }", "a summary"},
        {"graph \"g\" { const %1 \"\" float16[1] hex:00 }", "expected 1 more bytes"},
        {"graph \"g\" { input %1 \"x\" float32[1,2,3,4,5,6,7,8,9] }", "the rank is above 8"},
        {"graph \"g\" { input %1 \"x\" float32[$3] }", "there is no symbol $3"},
        {"graph \"g\" { } x", "there is more behind the graph"},
        {"graph \"g\" { input %1 \"x\" float32[((((((((((((((((((((((((((((((((((1",
         "nested deeper"},
    };
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        T_CASE(BAD[i].text);
        lmn_graph *g = NULL;
        lamina_error err = {0};
        T_CHECK(lmn_graph_parse(env->engine, BAD[i].text, strlen(BAD[i].text), &g, &err) !=
                LAMINA_OK);
        if (!strstr(err.msg, BAD[i].says)) T_STR_EQ(err.msg, BAD[i].says);
        T_CHECK(g == NULL);
        T_NOTHING_HELD(env);
    }
}

static void parse_any(t_env *env, const char *text, size_t n)
{
    lmn_graph *g = NULL;
    char *copy = malloc(n ? n : 1); /* exact, for the address sanitizer */
    if (n) memcpy(copy, text, n);
    if (lmn_graph_parse(env->engine, copy, n, &g, NULL) == LAMINA_OK) {
        lmn_strbuf out;
        lmn_strbuf_init(&out, &env->alloc, (size_t)1 << 20);
        (void)lmn_graph_print(g, LMN_TEXT_SUMMARY, &out);
        (void)lmn_graph_verify(g, NULL);
        lmn_strbuf_finish(&out);
    }
    lmn_graph_destroy(g);
    free(copy);
}

static void test_damaged(t_env *env)
{
    const size_t n = sizeof FULL - 1;
    for (size_t i = 0; i < n; i++) parse_any(env, FULL, i);
    T_NOTHING_HELD(env);
    static char text[sizeof FULL];
    for (int round = 0; round < 3000; round++) {
        memcpy(text, FULL, n);
        for (int k = 0; k < 3; k++)
            text[t_rand(env) % n] = (t_rand(env) % 3 ? FULL[t_rand(env) % n] : (char)t_rand(env));
        parse_any(env, text, n);
    }
    T_NOTHING_HELD(env);
}

static void test_no_memory(t_env *env)
{
    for (int nth = 1;; nth++) {
        lmn_graph *g = NULL;
        t_fail_alloc(env, nth);
        lamina_error err = {0};
        const lamina_status st = lmn_graph_parse(env->engine, FULL, sizeof FULL - 1, &g, &err);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        lmn_graph_destroy(g);
        T_NOTHING_HELD(env);
        if (over) break;
        if (st != LAMINA_E_NOMEM && st != LAMINA_OK && st != LAMINA_E_LIMIT)
            T_STR_EQ(err.msg, "out of memory");
    }
}

T_MAIN(T_TEST(test_round_trip), T_TEST(test_maps_and_optionals), T_TEST(test_constants),
       T_TEST(test_errors), T_TEST(test_damaged), T_TEST(test_no_memory))
