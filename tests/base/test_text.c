/*
 * test_text.c - UTF-8, numbers as text and back, error sentences, foreign names.
 */
#include "t.h"

#include "base/diag.h"
#include "base/error.h"
#include "base/text.h"

#include <errno.h>
#include <float.h>
#include <locale.h>

static void test_utf8(t_env *env)
{
    static const struct {
        const char *bytes;
        size_t len;
    } CASES[] = {{"a", 1},
                 {"\xc3\xa4", 2},
                 {"\xe2\x82\xac", 3},
                 {"\xf0\x9f\x98\x80", 4},
                 {"\x80", 0},
                 {"\xc0\x80", 0},
                 {"\xc1\xbf", 0},
                 {"\xe0\x80\x80", 0},
                 {"\xed\xa0\x80", 0},
                 {"\xf0\x80\x80\x80", 0},
                 {"\xf4\x90\x80\x80", 0},
                 {"\xf5\x80\x80\x80", 0},
                 {"\xe2\x82", 0},
                 {"\xff", 0}};
    (void)env;
    for (size_t i = 0; i < T_COUNT(CASES); i++)
        T_EQ(lmn_utf8_len((const uint8_t *)CASES[i].bytes, strlen(CASES[i].bytes)), CASES[i].len);
    for (uint32_t cp = 0; cp < 0x110000; cp += cp < 0x1000 ? 1 : 97) {
        uint8_t out[4];
        if (cp >= 0xd800 && cp < 0xe000) continue;
        size_t n = lmn_utf8_put(out, cp);
        if (lmn_utf8_len(out, n) != n) T_EQ(cp, 0);
    }
    T_EQ(lmn_utf8_len(NULL, 0), 0);
}

static void test_parse(t_env *env)
{
    static const struct {
        const char *text;
        double want;
    } GOOD[] = {{"0", 0},
                {"-0", -0.0},
                {"1.5", 1.5},
                {"+1.5e3", 1500},
                {"1e400", INFINITY},
                {"1e-400", 0},
                {"0.000000000000000000000000001", 1e-27},
                {"2.2250738585072011e-308", 2.2250738585072011e-308},
                {"179769313486231570000e288", 1.7976931348623157e308},
                {"1e99999999999999999999", INFINITY},
                {".5", .5},
                {"0e5", 0}};
    static const char *const BAD[] = {"",    "-",     "+",   ".",   "1.",   "1e",
                                      "1e+", "e1",    "1 ",  " 1",  "0x1",  "inf",
                                      "nan", "1.2.3", "1,5", "--1", "1e5.0"};
    (void)env;
    for (size_t i = 0; i < T_COUNT(GOOD); i++) {
        double v = 7;
        T_CASE(GOOD[i].text);
        T_CHECK(lmn_parse_f64(GOOD[i].text, strlen(GOOD[i].text), &v));
        T_CHECK(v == GOOD[i].want && signbit(v) == signbit(GOOD[i].want));
    }
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        double v;
        T_CASE(BAD[i]);
        T_CHECK(!lmn_parse_f64(BAD[i], strlen(BAD[i]), &v));
    }
    char longer[5000];
    double v;
    memset(longer, '1', sizeof longer);
    T_CHECK(!lmn_parse_f64(longer, sizeof longer, &v));
    T_CHECK(lmn_parse_f64(longer, 4096, &v) && isinf(v));
    int64_t i;
    T_CHECK(lmn_parse_i64("-9223372036854775808", 20, &i) && i == INT64_MIN);
    T_CHECK(lmn_parse_i64("9223372036854775807", 19, &i) && i == INT64_MAX);
    T_CHECK(!lmn_parse_i64("9223372036854775808", 19, &i));
    T_CHECK(!lmn_parse_i64("1.0", 3, &i));
    T_CHECK(!lmn_parse_i64("-", 1, &i) && !lmn_parse_i64("", 0, &i));
}

static void test_format_round_trips(t_env *env)
{
    static const struct {
        double v;
        const char *want;
    } CASES[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {0.1, "0.1"},
                 {1e16, "10000000000000000"},
                 {1e17, "1e17"},
                 {1e-5, "0.00001"},
                 {1e-6, "1e-6"},
                 {1.0 / 3, "0.3333333333333333"},
                 {-1234.5, "-1234.5"},
                 {5e-324, "5e-324"},
                 {DBL_MAX, "1.7976931348623157e308"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"},
                 {NAN, "nan"}};
    char buf[LMN_NUMBER_BYTES];
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        T_EQ(lmn_format_f64(buf, CASES[i].v), strlen(CASES[i].want));
        T_STR_EQ(buf, CASES[i].want);
    }
    lmn_format_f32(buf, 0.1f);
    T_STR_EQ(buf, "0.1");
    lmn_format_f32(buf, FLT_MAX);
    T_STR_EQ(buf, "3.4028235e38");
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = t_rand(env);
        uint32_t bits32 = (uint32_t)t_rand(env);
        double v, back;
        float f;
        memcpy(&v, &bits, 8);
        memcpy(&f, &bits32, 4);
        if (!isfinite(v) || !isfinite(f)) continue;
        size_t n = lmn_format_f64(buf, v);
        if (!lmn_parse_f64(buf, n, &back) || back != v) T_STR_EQ(buf, "the same double");
        n = lmn_format_f32(buf, f);
        if (!lmn_parse_f64(buf, n, &back) || (float)back != f) T_STR_EQ(buf, "the same float");
    }
}

static void test_locale_does_not_matter(t_env *env)
{
    static const char *const COMMA[] = {"de_DE.UTF-8", "de_DE", "fr_FR.UTF-8", "fr_FR"};
    const char *got = NULL;
    char buf[LMN_NUMBER_BYTES];
    double v;
    (void)env;
    for (size_t i = 0; i < T_COUNT(COMMA) && !got; i++) got = setlocale(LC_NUMERIC, COMMA[i]);
    if (!got) T_SKIP("no locale with a decimal comma is installed");
    lmn_format_f64(buf, 1.5);
    T_STR_EQ(buf, "1.5");
    T_CHECK(lmn_parse_f64("2.5", 3, &v) && v == 2.5);
    setlocale(LC_NUMERIC, "C");
}

static void test_errors(t_env *env)
{
    lamina_error err;
    char small[8];
    (void)env;
    T_EQ(lmn_fail(&err, LAMINA_E_SHAPE, "want %d", 3), LAMINA_E_SHAPE);
    T_STR_EQ(err.msg, "want 3");
    lmn_error_prefix(&err, "node \"%s\"", "x");
    T_STR_EQ(err.msg, "node \"x\": want 3");
    T_EQ(err.status, LAMINA_E_SHAPE);
    T_EQ(lmn_fail_os(&err, LAMINA_E_IO, 2, "cannot open \"f\""), LAMINA_E_IO);
    T_EQ(err.os_errno, 2);
    T_CHECK(strstr(err.msg, "cannot open \"f\": ") == err.msg);
    T_EQ(lmn_fail_os(&err, LAMINA_E_PERM, EACCES, "cannot open \"f\""), LAMINA_E_PERM);
    T_EQ(lmn_error_fix(&err), LAMINA_E_PERM); /* of a file in the right place */
    T_CHECK(strstr(err.msg, "; check that the file exists and can be read"));
    T_EQ(lmn_fail(&err, LAMINA_E_PERM, "a link"), LAMINA_E_PERM);
    T_EQ(lmn_error_fix(&err), LAMINA_E_PERM);
    T_STR_EQ(err.msg, "a link; put the file below the model's folder, without links");
    T_EQ(lmn_fail(NULL, LAMINA_E_IO, "x"), LAMINA_E_IO);
    lmn_error_prefix(NULL, "x");
    T_EQ(lmn_format(small, sizeof small, "%s", "longer than that"), 7);
    T_STR_EQ(small, "longer ");
    T_EQ(lmn_format(small, 0, "x"), 0);
}

static void test_names(t_env *env)
{
    char buf[32];
    (void)env;
    T_EQ(lmn_format_name(buf, sizeof buf, "a\n\"\\\xff\xc3\xa4", 7), 19);
    T_STR_EQ(buf, "a\\x0a\\x22\\x5c\\xff\xc3\xa4");
    T_EQ(lmn_format_name(buf, 6, "abc\x01z", 5), 3); /* an escape is never cut */
    T_STR_EQ(buf, "abc");
    T_EQ(lmn_format_name(buf, sizeof buf, NULL, 0), 0);
}

static void test_status_names(t_env *env)
{
    (void)env;
    T_STR_EQ(lamina_status_name(LAMINA_OK), "OK");
    T_STR_EQ(lamina_status_name(LAMINA_E_SHAPE), "E_SHAPE");
    T_STR_EQ(lamina_status_name(-9999), "E_UNKNOWN");
    T_STR_EQ(lamina_status_text(LAMINA_E_NOMEM), "out of memory");
    T_STR_EQ(lamina_status_text(12), "unknown status");
    T_STR_EQ(lamina_version(), LAMINA_VERSION_STRING);
}

T_MAIN(T_TEST(test_utf8), T_TEST(test_parse), T_TEST(test_format_round_trips),
       T_TEST(test_locale_does_not_matter), T_TEST(test_errors), T_TEST(test_names),
       T_TEST(test_status_names))
