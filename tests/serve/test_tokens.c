/*
 * Tokens: what a line may say, who is found, and rates by a clock that is an argument.
 */
#include "serve/server_int.h"

#include "t.h"

#define SECOND UINT64_C(1000000000)

static lamina_status read_text(t_env *env, lmn_tokens **s, const char *text, lamina_error *err)
{
    const lmn_span span = {(const uint8_t *)text, strlen(text)};
    *s = NULL;
    return lmn_tokens_parse(&env->alloc, span, 2, NULL, s, err);
}

static lmn_token *find(const lmn_tokens *s, const char *authorization)
{
    const lmn_http_field f = {{(const uint8_t *)"Authorization", 13},
                              {(const uint8_t *)authorization, strlen(authorization)}};
    const lmn_http_request r = {.fields = &f, .n_fields = 1};
    return lmn_tokens_find(s, &r);
}

static bool has(const lmn_token *t, const char *model)
{
    return lmn_token_has_model(t, (lmn_span){(const uint8_t *)model, strlen(model)});
}

static void test_lines(t_env *env)
{
    lmn_tokens *s;
    lamina_error err = {0};
    T_OK_ERR(read_text(env, &s,
                       "# ours\r\n\r\nsecret-one\r\n"
                       "secret-two  name=team.a\trate=100/s models=a,b-2 \n"
                       "secret-three rate=1/h",
                       &err),
             &err);
    T_EQ(s->n, 3);
    const lmn_token *one = find(s, "Bearer secret-one"), *two = find(s, "bearer secret-two"),
                    *three = find(s, "Bearer secret-three");
    T_REQUIRE(one == &s->token[0] && two == &s->token[1] && three == &s->token[2]);
    T_CHECK(!find(s, "Bearer secret-on") && !find(s, "Bearer ") && !find(s, "Basic secret-one"));
    T_CHECK(!find(s, "Bearer secret-two name=team.a") && !find(s, "Bearer  secret-one"));
    T_STR_EQ(two->name, "team.a");
    T_EQ(two->rate, 100);
    T_EQ(two->window_ns, SECOND);
    T_EQ(three->window_ns, 3600 * SECOND);
    T_CHECK(has(one, "anything") && has(two, "a") && has(two, "b-2"));
    T_CHECK(!has(two, "b") && !has(two, "a,b-2") && !has(two, ""));
    lmn_tokens_unref(s);
}

static void test_bad_lines(t_env *env)
{
    static const char *const BAD[] = {"short",
                                      "secret-one other=1",
                                      "secret-one word",
                                      "secret-one name=",
                                      "secret-one name=a b",
                                      "secret-one name=a/b",
                                      "secret-one name=a name=b",
                                      "secret-one rate=5",
                                      "secret-one rate=/s",
                                      "secret-one rate=0/s",
                                      "secret-one rate=-1/s",
                                      "secret-one rate=1/d",
                                      "secret-one rate=1000000001/s",
                                      "secret-one rate=1/s rate=1/s",
                                      "secret-one models=",
                                      "secret-one models=a,,b",
                                      "secret-one models=../a",
                                      "secret-one models=a models=b"};
    lmn_tokens *s;
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        char text[200];
        lamina_error err = {0};
        T_CASE(BAD[i]);
        (void)snprintf(text, sizeof text, "good-token\n%s\n", BAD[i]);
        T_EQ(read_text(env, &s, text, &err), LAMINA_E_INVALID);
        T_CHECK(strstr(err.msg, "line 2 of the file of tokens") && !strstr(err.msg, "secret"));
        T_CHECK(!s);
    }
    lamina_error err = {0};
    T_EQ(read_text(env, &s, "secret-1 name=x\nsecret-2 name=x\n", &err), LAMINA_E_INVALID);
    T_EQ(read_text(env, &s, "# nobody\n", &err), LAMINA_E_INVALID);
}

static void test_rates(t_env *env)
{
    lmn_tokens *s;
    lamina_error err = {0};
    uint64_t now = 1000 * SECOND;
    T_OK_ERR(read_text(env, &s, "secret-one rate=10/s\nsecret-two\n", &err), &err);
    lmn_token *t = &s->token[0];
    for (int i = 0; i < 10; i++) T_EQ(lmn_token_take(t, now), 0); /* a window's worth at once */
    T_EQ(lmn_token_take(t, now), SECOND / 10);
    T_EQ(lmn_token_take(t, now + SECOND / 20), SECOND / 20);
    T_EQ(lmn_token_take(t, now + SECOND / 10), 0); /* then one each tenth */
    T_CHECK(lmn_token_take(t, now + SECOND / 10) != 0);
    /* twice as many as may come, for ten seconds */
    uint32_t n = 0;
    now += 100 * SECOND;
    for (int i = 0; i < 200; i++) n += lmn_token_take(t, now + (uint64_t)i * SECOND / 20) == 0;
    T_CHECK(n >= 108 && n <= 110);
    for (int i = 0; i < 1000; i++) T_EQ(lmn_token_take(&s->token[1], now), 0);
    lmn_tokens_unref(s);
}

/* The file read again: what stays goes on, what is new begins, what is gone is not found. */
static void test_again(t_env *env)
{
    static const char TEXT[] = "secret-one rate=10/h\nsecret-new\nsecret-two rate=1000/s\n";
    const lmn_span text = {(const uint8_t *)TEXT, sizeof TEXT - 1};
    lmn_tokens *s, *next = NULL;
    lamina_error err = {0};
    const uint64_t now = 10000 * SECOND;
    T_OK_ERR(read_text(env, &s, "secret-two rate=2/h\nsecret-old\nsecret-one rate=10/h\n", &err),
             &err);
    lmn_token *one = find(s, "Bearer secret-one"), *two = find(s, "Bearer secret-two");
    T_REQUIRE(one && two);
    for (int i = 0; i < 10; i++) T_EQ(lmn_token_take(one, now), 0);
    T_EQ(lmn_token_take(two, now), 0);
    lmn_count(&one->use->shard[1].n[LMN_TOKEN_ADMITTED], 10);
    T_OK_ERR(lmn_tokens_parse(&env->alloc, text, 2, s, &next, &err), &err);
    T_EQ(next->n, 3);
    T_CHECK(!find(next, "Bearer secret-old") && find(s, "Bearer secret-old"));
    lmn_tokens_unref(s); /* those of both live on */
    one = find(next, "Bearer secret-one");
    two = find(next, "Bearer secret-two");
    T_REQUIRE(one && two && find(next, "Bearer secret-new"));
    T_CHECK(lmn_token_take(one, now) != 0); /* used up is used up */
    T_EQ(lmn_atomic_load(&one->use->shard[1].n[LMN_TOKEN_ADMITTED], relaxed), 10);
    T_CHECK(lmn_token_take(two, now) <= SECOND); /* half an hour of the old rate is no debt */
    lmn_tokens_unref(next);
}

T_MAIN(T_TEST(test_lines), T_TEST(test_bad_lines), T_TEST(test_rates), T_TEST(test_again))
