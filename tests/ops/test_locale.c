/*
 * Strings need no locale of the system and take no notice of the one that is set: numbers as text,
 * case, splitting, n-grams and matching give the same under "C" as under locales that write 3,5
 * for 3.5, where the machine has one.
 */
#include "ops/op_bench.h"

#include <locale.h>

static void add_strings(op_bench *b, int64_t n, const char *const *v)
{
    lamina_tensor *t = op_in(b, LAMINA_STRING, 1, &n, NULL);
    for (int64_t i = 0; t && i < n; i++) T_OK(lamina_tensor_set_string(t, i, v[i], strlen(v[i])));
}

static void expect_strings(op_bench *b, const char *where, int64_t n, const char *const *want)
{
    T_CASE(where);
    T_OK_ERR(op_eval(b), &b->err);
    T_REQUIRE(lmn_count(b->out[0]) == n);
    for (int64_t i = 0; i < n; i++) {
        size_t len = 0;
        const char *s = lamina_tensor_string(b->out[0], i, &len);
        T_EQ(len, strlen(want[i]));
        T_CHECK(memcmp(s, want[i], len) == 0);
    }
    op_end(b);
}

static void expect_numbers(op_bench *b, const char *where, int64_t n, const double *want)
{
    T_CASE(where);
    T_OK_ERR(op_eval(b), &b->err);
    T_REQUIRE(lmn_count(b->out[0]) == n);
    for (int64_t i = 0; i < n; i++) T_EQ(lmn_get_f64(b->out[0], i), want[i]);
    op_end(b);
}

static void numbers(t_env *env, const char *where)
{
    op_bench b;
    op_begin(&b, env, "Cast", 1);
    op_attr_i(&b, "to", LAMINA_F64);
    add_strings(&b, 4, (const char *const[]){"3.5", "-7.25e-1", "1e9", " 0.1"});
    expect_numbers(&b, where, 4, (double[]){3.5, -0.725, 1e9, 0.1});
    op_begin(&b, env, "Cast", 1);
    op_attr_i(&b, "to", LAMINA_STRING);
    (void)op_in(&b, LAMINA_F64, 1, (int64_t[]){3}, (double[]){3.5, -0.125, 1e-9});
    expect_strings(&b, where, 3, (const char *const[]){"3.5", "-0.125", "1e-09"});
    op_begin(&b, env, "Cast", 1); /* a comma is no decimal point anywhere */
    op_attr_i(&b, "to", LAMINA_F64);
    add_strings(&b, 1, (const char *const[]){"3,5"});
    T_CHECK(op_eval(&b) != LAMINA_OK);
    op_end(&b);
}

static void words(t_env *env, const char *where)
{
    static const lmn_str POOL[] = {{(char *)(uintptr_t) "\xc3\xa9t\xc3\xa9", 5},
                                   {(char *)(uintptr_t) "I", 1}};
    static const int64_t ZERO[] = {0}, PLACES[] = {0, 1};
    op_bench b;
    op_begin(&b, env, "StringNormalizer", 1);
    op_attr_s(&b, "case_change_action", (char *)(uintptr_t) "UPPER");
    op_attr_s(&b, "locale", (char *)(uintptr_t) "tr_TR");
    add_strings(&b, 3, (const char *const[]){"\xc3\xa9t\xc3\xa9", "title", "\xff"});
    expect_strings(&b, where, 3, (const char *const[]){"\xc3\x89T\xc3\x89", "TITLE", "\xff"});
    op_begin(&b, env, "TfIdfVectorizer", 1);
    op_attr_s(&b, "mode", (char *)(uintptr_t) "TF");
    op_attr_i(&b, "min_gram_length", 1);
    op_attr_i(&b, "max_gram_length", 1);
    op_attr_i(&b, "max_skip_count", 0);
    op_attr(&b, (lmn_attr){.name = "ngram_counts", .type = LMN_ATTR_INTS, .n = 1, .u.ints = ZERO});
    op_attr(&b,
            (lmn_attr){.name = "ngram_indexes", .type = LMN_ATTR_INTS, .n = 2, .u.ints = PLACES});
    op_attr(&b, (lmn_attr){
                    .name = "pool_strings", .type = LMN_ATTR_STRINGS, .n = 2, .u.strings = POOL});
    add_strings(&b, 4, (const char *const[]){"I", "\xc3\xa9t\xc3\xa9", "i", "\xc3\xa9t\xc3\xa9"});
    expect_numbers(&b, where, 2, (double[]){2, 1});
    op_begin(&b, env, "RegexFullMatch", 1);
    op_attr_s(&b, "pattern", (char *)(uintptr_t) "\\w+\\.[0-9]+");
    add_strings(&b, 3, (const char *const[]){"v3.5", "v3,5", "\xc3\xa9.1"});
    T_OK_ERR(op_eval(&b), &b.err);
    const uint8_t *match = b.out[0]->data;
    T_EQ(match[0], 1);
    T_EQ(match[1], 0);
    T_EQ(match[2], 0); /* \w is ASCII */
    op_end(&b);
    op_begin(&b, env, "StringSplit", 2);
    op_attr_s(&b, "delimiter", (char *)(uintptr_t) ",");
    add_strings(&b, 1, (const char *const[]){"3,5"});
    expect_strings(&b, where, 2, (const char *const[]){"3", "5"});
}

static void test_every_locale(t_env *env)
{
    static const char *const NAMES[] = {"C",           "POSIX",       "C.UTF-8",     "",
                                        "de_DE.UTF-8", "fr_FR.UTF-8", "tr_TR.UTF-8", "de_DE"};
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++) {
        if (!setlocale(LC_ALL, NAMES[i])) continue;
        numbers(env, NAMES[i]);
        words(env, NAMES[i]);
    }
    (void)setlocale(LC_ALL, "C");
}

T_MAIN(T_TEST(test_every_locale))
