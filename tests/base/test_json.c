/*
 * test_json.c - what the parser takes and refuses (RFC 8259 by clause), exact numbers, skipping,
 * limits, and the writer read back by the parser.
 */
#include "t.h"

#include "base/json.h"

static lmn_span span(const char *s)
{
    return (lmn_span){(const uint8_t *)s, strlen(s)};
}

static bool parses(lmn_span text, lamina_error *err)
{
    lmn_json j;
    lmn_json_token t;
    lmn_json_init(&j, text, err);
    for (;;) {
        lmn_json_kind kind = lmn_json_next(&j, &t);
        if (kind == LMN_JSON_ERROR) {
            T_EQ(lmn_json_next(&j, &t), LMN_JSON_ERROR);
            return false;
        }
        if (kind == LMN_JSON_END) {
            T_EQ(lmn_json_next(&j, &t), LMN_JSON_END);
            return true;
        }
    }
}

static void test_accepts(t_env *env)
{
    static const char *const GOOD[] = {"0",
                                       "-0",
                                       "1e5",
                                       "1E+5",
                                       "-1.25e-3",
                                       "true",
                                       "false",
                                       "null",
                                       "\"\"",
                                       "[]",
                                       "{}",
                                       " [ ] ",
                                       "[1,2,3]",
                                       "{\"a\":1}",
                                       "{\"a\":{\"b\":[{}]}}",
                                       "\t\n\r {\"a\" : [ 1 , 2 ] } \n",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
                                       "\"\\ud83d\\ude00\"",
                                       "\"\xf0\x9f\x98\x80\"",
                                       "\"\x7f\"",
                                       "\"\\u0000\"",
                                       "{\"a\":1,\"a\":2}",
                                       "[[[[[[]]]]]]",
                                       "123456789012345678901234567890"};
    (void)env;
    for (size_t i = 0; i < T_COUNT(GOOD); i++) {
        lamina_error err;
        T_CASE(GOOD[i]);
        T_CHECK(parses(span(GOOD[i]), &err));
    }
}

static void test_refuses(t_env *env)
{
    static const char *const BAD[] = {"",
                                      " ",
                                      "tru",
                                      "TRUE",
                                      "nul",
                                      "01",
                                      "-01",
                                      "-",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "1.e5",
                                      "1e",
                                      "1e+",
                                      "0x1",
                                      "NaN",
                                      "Infinity",
                                      "-Infinity",
                                      "[",
                                      "]",
                                      "{",
                                      "}",
                                      "[1",
                                      "[1,",
                                      "[1,]",
                                      "[,1]",
                                      "[1 2]",
                                      "[1}",
                                      "{]",
                                      "{\"a\"}",
                                      "{\"a\":}",
                                      "{\"a\":1,}",
                                      "{\"a\" 1}",
                                      "{a:1}",
                                      "{'a':1}",
                                      "{1:2}",
                                      "{,}",
                                      "{\"a\":1 \"b\":2}",
                                      "\"",
                                      "\"abc",
                                      "\"\\\"",
                                      "\"\\x\"",
                                      "\"\\u12\"",
                                      "\"\\u12g4\"",
                                      "\"\\ud83d\"",
                                      "\"\\ude00\"",
                                      "\"\\ud83dx\"",
                                      "\"\\ud83d\\u0041\"",
                                      "\"\\ud83d\\ud83d\"",
                                      "\"\n\"",
                                      "\"\x01\"",
                                      "\"\xff\"",
                                      "\"\xc0\x80\"",
                                      "\"\xed\xa0\x80\"",
                                      "\"\xe2\x82\"",
                                      "1 2",
                                      "[] []",
                                      "{}x",
                                      "\xef\xbb\xbf{}",
                                      "/* */ 1",
                                      "[1] // x",
                                      "\f1",
                                      "\"a\"b",
                                      "[true1]",
                                      "1a",
                                      "\"\\"};
    (void)env;
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        lamina_error err = {0};
        T_CASE(BAD[i]);
        T_CHECK(!parses(span(BAD[i]), &err));
        T_EQ(err.status, LAMINA_E_PARSE);
        T_CHECK(!parses(span(BAD[i]), NULL));
    }
    T_CASE("a zero byte");
    T_CHECK(!parses((lmn_span){(const uint8_t *)"\"a\0b\"", 5}, NULL));
    T_CHECK(!parses((lmn_span){(const uint8_t *)"1\0", 2}, NULL));
}

static void test_positions_and_depth(t_env *env)
{
    lamina_error err = {0};
    char deep[2 * LMN_JSON_MAX_DEPTH + 3];
    (void)env;
    T_CHECK(!parses(span("{\n  \"a\": tru\n}"), &err));
    T_EQ(err.line, 2);
    T_EQ(err.column, 8);
    for (size_t n = LMN_JSON_MAX_DEPTH; n <= LMN_JSON_MAX_DEPTH + 1; n++) {
        memset(deep, '[', n);
        memset(deep + n, ']', n);
        deep[2 * n] = 0;
        T_EQ(parses(span(deep), &err), n == LMN_JSON_MAX_DEPTH);
    }
    T_EQ(err.status, LAMINA_E_LIMIT);
}

static void test_values(t_env *env)
{
    lmn_json j;
    lmn_json_token t;
    char text[16];
    int64_t i;
    double d;
    (void)env;
    lmn_json_init(
        &j,
        span("{\"k\\u0065y\":\"\\u00e4\\ud83d\\ude00\",\"n\":-9223372036854775808,\"d\":1.5e1}"),
        NULL);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_OBJECT);
    T_CHECK(!lmn_json_is(&t, ""));
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_KEY);
    T_CHECK(lmn_json_is(&t, "key") && !lmn_json_is(&t, "ke") && !lmn_json_is(&t, "keyy"));
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_STRING);
    T_EQ(lmn_json_string(&t, text), 6);
    T_MEM_EQ(text, "\xc3\xa4\xf0\x9f\x98\x80", 6);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_KEY);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_NUMBER);
    T_CHECK(lmn_json_i64(&t, &i) && i == INT64_MIN);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_KEY);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_NUMBER);
    T_CHECK(!lmn_json_i64(&t, &i));
    T_CHECK(lmn_json_f64(&t, &d) && d == 15);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_OBJECT_END);
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_END);
    T_CHECK(!lmn_json_f64(&t, &d));
}

static void test_skip(t_env *env)
{
    lmn_json j;
    lmn_json_token t;
    (void)env;
    lmn_json_init(&j, span("{\"a\":{\"x\":[1,{\"y\":2}]},\"b\":3,\"c\":4}"), NULL);
    lmn_json_next(&j, &t);
    lmn_json_next(&j, &t);
    T_CHECK(lmn_json_is(&t, "a") && lmn_json_skip(&j, &t));
    lmn_json_next(&j, &t);
    T_CHECK(lmn_json_is(&t, "b") && lmn_json_skip(&j, &t));
    lmn_json_next(&j, &t);
    T_CHECK(lmn_json_is(&t, "c") && lmn_json_skip(&j, &t));
    T_EQ(lmn_json_next(&j, &t), LMN_JSON_OBJECT_END);
    lmn_json_init(&j, span("[[1,2"), NULL);
    lmn_json_next(&j, &t);
    T_CHECK(!lmn_json_skip(&j, &t));
}

static void write_sample(lmn_strbuf *b, int32_t indent)
{
    lmn_jsonw w;
    lmn_jsonw_init(&w, b, indent);
    lmn_jsonw_object(&w, NULL);
    lmn_jsonw_str(&w, "s", "q\"\\\n\x01\xff");
    lmn_jsonw_array(&w, "a");
    lmn_jsonw_i64(&w, NULL, INT64_MIN);
    lmn_jsonw_u64(&w, NULL, UINT64_MAX);
    lmn_jsonw_f64(&w, NULL, 0.1);
    lmn_jsonw_f32(&w, NULL, 0.1f);
    lmn_jsonw_f64(&w, NULL, NAN);
    lmn_jsonw_bool(&w, NULL, true);
    lmn_jsonw_null(&w, NULL);
    lmn_jsonw_end(&w);
    lmn_jsonw_object(&w, "e");
    lmn_jsonw_end(&w);
    lmn_jsonw_end(&w);
}

static void test_writer(t_env *env)
{
    lmn_strbuf b;
    lmn_strbuf_init(&b, &env->engine->alloc, 4096);
    write_sample(&b, 0);
    T_OK(b.status);
    T_STR_EQ(lmn_strbuf_text(&b),
             "{\"s\":\"q\\\"\\\\\\n\\u0001\xef\xbf\xbd\",\"a\":[-9223372036854775808,"
             "18446744073709551615,0.1,0.1,null,true,null],\"e\":{}}");
    lmn_strbuf_reset(&b);
    write_sample(&b, 2);
    lamina_error err;
    T_CHECK(parses(span(lmn_strbuf_text(&b)), &err));
    T_CHECK(strstr(lmn_strbuf_text(&b), "\n  \"a\": [\n    -922") != NULL);
    lmn_strbuf_finish(&b);
    lmn_strbuf_init(&b, &env->engine->alloc, 20);
    write_sample(&b, 0);
    T_EQ(b.status, LAMINA_E_LIMIT);
    T_CHECK(b.n <= 20);
    lmn_strbuf_finish(&b);
    for (int nth = 1;; nth++) { /* each allocation fails in turn */
        lmn_strbuf_init(&b, &env->engine->alloc, 4096);
        t_fail_alloc(env, nth);
        write_sample(&b, 0);
        bool done = t_fail_pending(env);
        T_EQ(b.status, done ? LAMINA_OK : LAMINA_E_NOMEM);
        lmn_strbuf_finish(&b);
        T_NOTHING_HELD(env);
        if (done) break;
    }
}

static void test_random_bytes(t_env *env)
{
    static const char ALPHABET[] = "{}[]:,\"\\u0a1e-+.tfn \n\xc3\xa4";
    uint8_t text[64];
    for (int i = 0; i < 20000; i++) {
        size_t n = (size_t)t_rand_int(env, 0, sizeof text);
        for (size_t k = 0; k < n; k++)
            text[k] = (uint8_t)ALPHABET[t_rand(env) % (sizeof ALPHABET - 1)];
        (void)parses((lmn_span){text, n}, NULL); /* ends, within bounds (ASan) */
    }
}

T_MAIN(T_TEST(test_accepts), T_TEST(test_refuses), T_TEST(test_positions_and_depth),
       T_TEST(test_values), T_TEST(test_skip), T_TEST(test_writer), T_TEST(test_random_bytes))
