/*
 * test_number.c - decimals read as the C library reads them, bit by bit, and written as short as
 * can be: known vectors, random texts of every kind (middles of two values, subnormals, 800
 * digits), the grammar of JSON, ends of buffers. T_NUMBERS says how many random texts,
 * T_ALL_FLOATS=1 that all floats of 32 bits are written and read back.
 */
#include "t.h"

#include "base/error.h"
#include "base/number.h"

#include <float.h>

static const uint8_t *bytes(const char *s)
{
    return (const uint8_t *)s;
}

/* The text is read whole, to what strtod and strtof say; false after a failure. */
static bool agrees(const char *text, size_t n)
{
    double d = 7;
    float f = 7;
    const uint8_t *end = bytes(text) + n;
    const double want = strtod(text, NULL);
    const float want_f = strtof(text, NULL);
    const bool ok = lmn_f64_read(bytes(text), end, &d) == end &&
                    lmn_f32_read(bytes(text), end, &f) == end && memcmp(&d, &want, 8) == 0 &&
                    memcmp(&f, &want_f, 4) == 0;
    if (!ok) t_fail(__FILE__, __LINE__, "%.900s: %a %a, want %a %a", text, d, f, want, want_f);
    return ok;
}

static size_t random_digits(t_env *env, char *out)
{
    size_t n = 1 + t_rand(env) % 800;
    for (size_t i = 0; i < n; i++) out[i] = (char)('0' + t_rand(env) % 10);
    if (out[0] == '0') out[0] = '1';
    if (t_rand(env) % 2) {
        out[n++] = '.';
        for (size_t i = t_rand(env) % 30 + 1; i; i--) out[n++] = (char)('0' + t_rand(env) % 10);
    }
    return n + lmn_format(out + n, 32, "e%d", 100 - (int)(t_rand(env) % 1200));
}

/* The middle between a double (or float) and the next, exact or with a tail. */
static size_t middle(t_env *env, double d, float f, char *out)
{
    long double m = ((long double)d + nextafter(d, INFINITY)) / 2;
    if (t_rand(env) % 2) m = ((double)f + (double)nextafterf(f, INFINITY)) / 2;
    const size_t n = lmn_format(out, 1000, "%.*Lf", (int)(t_rand(env) % 200), m);
    if (!strchr(out, '.')) return n;
    return n + lmn_format(out + n, 100, "%s", t_rand(env) % 2 ? "00000000000000000001" : "000");
}

static size_t random_text(t_env *env, long kind, char out[2000])
{
    const uint64_t x = t_rand(env), y = t_rand(env);
    const uint64_t near = (x & 0xfffffffffffffff) % ((uint64_t)80 << 52) + ((uint64_t)1000 << 52);
    const uint32_t u = (uint32_t)y;
    double d, m;
    float f;
    memcpy(&d, &x, 8);
    memcpy(&m, &near, 8);
    memcpy(&f, &u, 4);
    if (!isfinite(d)) d = 1.5;
    if (!isfinite(f)) f = 0.3f;
    const int digits = (int)(y % 40) + 1, e = (int)(y % 700) - 360;
    switch (kind % 9) {
    case 0: return lmn_format(out, 2000, "%.17g", d);
    case 1: return lmn_format(out, 2000, "%.9g", (double)f);
    case 2: return lmn_format(out, 2000, "%.*g", digits, d);
    case 3: return middle(env, m, f, out);
    case 4: return lmn_format(out, 2000, "%.6f", (double)(int64_t)x / 1e18);
    case 5: return lmn_format(out, 2000, "%llue%d", (unsigned long long)x, e);
    case 6:
        return lmn_format(out, 2000, "%lld.%llue%d", (long long)((int64_t)x >> (y % 64)),
                          (unsigned long long)y, e / 9);
    case 7: return random_digits(env, out);
    default: return lmn_format(out, 2000, "%.770g", d * 0x1p-900 * 0x1p-100);
    }
}

static void test_reads_as_libc(t_env *env)
{
    const char *asked = getenv("T_NUMBERS");
    const long n = asked ? atol(asked) : 1000000;
    char text[2000];
    for (long i = 0; i < n; i++) {
        const size_t bytes_used = random_text(env, i, text);
        if (!agrees(text, bytes_used)) break;
    }
}

static void test_reads_vectors(t_env *env)
{
    static const char *const SAME[] = {"0",
                                       "-0",
                                       "0e0",
                                       "0.0",
                                       "-0.0e-5",
                                       "1e400",
                                       "-1e400",
                                       "1e-400",
                                       "4.9e-324",
                                       "2.4e-324",
                                       "2.4703282292062327e-324",
                                       "2.4703282292062328e-324",
                                       "2.2250738585072011e-308",
                                       "2.2250738585072014e-308",
                                       "1.7976931348623157e308",
                                       "1.7976931348623158e308",
                                       "1.7976931348623159e308",
                                       "9007199254740993",
                                       "9007199254740993.0000000000000000000001",
                                       "9007199254740992.99999999999999999999999999999999999999",
                                       "3.4028234663852886e38",
                                       "3.4028235677973366e38",
                                       "3.40282356779733661637539395458142568447e38",
                                       "3.40282356779733661637539395458142568448e38",
                                       "1.4012984643248171e-45",
                                       "7.0064923216240853e-46",
                                       "7.0064923216240854e-46",
                                       "1.1754943508222875e-38",
                                       "1.1754942807573643e-38",
                                       "16777217",
                                       "16777217.0000001",
                                       "16777219",
                                       "1e22",
                                       "1e23",
                                       "8.5e22",
                                       "123456789012345678901234567890",
                                       "0.000000000000000000000000000000000001",
                                       "1e99999999999999999999",
                                       "1e-99999999999999999999",
                                       "0e99999999999999999999",
                                       "1090544144181609348671888949248",
                                       "9355950000000000000.00000000000000000000000000000000018"};
    static char longer[300000];
    double d;
    (void)env;
    for (size_t i = 0; i < T_COUNT(SAME); i++) {
        T_CASE(SAME[i]);
        T_CHECK(agrees(SAME[i], strlen(SAME[i])));
    }
    T_CASE("many zeros between");
    memset(longer, '0', sizeof longer - 1);
    longer[1] = '.';
    memcpy(longer + 200000, "625e200000", 11);
    T_CHECK(lmn_f64_read(bytes(longer), bytes(longer) + 200010, &d) == bytes(longer) + 200010);
    T_CHECK(d == 62.5);
    memset(longer, '9', sizeof longer - 1);
    T_CASE("many nines");
    for (size_t n = 5000; n > 361; n -= 361) {
        longer[n] = 0;
        T_CHECK(agrees(longer, n));
    }
}

static void test_grammar(t_env *env)
{
    static const char *const NONE[] = {"",    "-",    "+1",  ".5",  "1.",  "01",      "-01", "00",
                                       "1e",  "1e+",  "1e-", "e1",  "inf", "nan",     " 1",  "--1",
                                       "-.5", "1.e5", "1.x", "-e5", "NaN", "Infinity"};
    static const struct {
        const char *text;
        size_t used;
    } PART[] = {{"1,2", 1}, {"1.5]", 3}, {"1e5 ", 3}, {"0x1", 1}, {"1.2.3", 3}, {"1-2", 1}};
    double d;
    float f;
    int64_t i;
    uint64_t u;
    (void)env;
    for (size_t k = 0; k < T_COUNT(NONE); k++) {
        const uint8_t *p = bytes(NONE[k]), *end = p + strlen(NONE[k]);
        T_CASE(NONE[k]);
        T_CHECK(!lmn_f64_read(p, end, &d) && !lmn_f32_read(p, end, &f));
    }
    for (size_t k = 0; k < T_COUNT(PART); k++) {
        const uint8_t *p = bytes(PART[k].text), *end = p + strlen(PART[k].text);
        T_CASE(PART[k].text);
        T_CHECK(lmn_f64_read(p, end, &d) == p + PART[k].used);
        T_CHECK(lmn_f32_read(p, end, &f) == p + PART[k].used);
    }
    T_CHECK(lmn_f64_read_lax(bytes("+007.5"), bytes("+007.5") + 6, &d) && d == 7.5);
    T_CHECK(!lmn_i64_read(bytes("-"), bytes("-") + 1, &i) && !lmn_u64_read(NULL, NULL, &u));
}

static void test_integers(t_env *env)
{
    static const struct {
        const char *text;
        int64_t i;
        uint64_t u;
        bool is_i, is_u;
    } CASES[] = {{"0", 0, 0, true, true},
                 {"-0", 0, 0, true, true},
                 {"-1", -1, 0, true, false},
                 {"9223372036854775807", INT64_MAX, INT64_MAX, true, true},
                 {"9223372036854775808", 0, (uint64_t)1 << 63, false, true},
                 {"-9223372036854775808", INT64_MIN, 0, true, false},
                 {"-9223372036854775809", 0, 0, false, false},
                 {"18446744073709551615", 0, UINT64_MAX, false, true},
                 {"18446744073709551616", 0, 0, false, false},
                 {"18446744073709551625", 0, 0, false, false},
                 {"99999999999999999999", 0, 0, false, false},
                 {"100000000000000000000", 0, 0, false, false},
                 {"01", 0, 0, false, false},
                 {"", 0, 0, false, false},
                 {"x", 0, 0, false, false}};
    char out[LMN_NUMBER_BYTES], want[LMN_NUMBER_BYTES];
    for (size_t k = 0; k < T_COUNT(CASES); k++) {
        const uint8_t *p = bytes(CASES[k].text), *end = p + strlen(CASES[k].text);
        int64_t i = 0;
        uint64_t u = 0;
        T_CASE(CASES[k].text);
        T_EQ(lmn_i64_read(p, end, &i) == end, CASES[k].is_i);
        T_EQ(lmn_u64_read(p, end, &u) == end, CASES[k].is_u);
        T_CHECK(i == CASES[k].i && u == CASES[k].u);
    }
    for (int k = 0; k < 100000; k++) {
        const uint64_t v = t_rand(env) >> (t_rand(env) % 64);
        size_t n = lmn_i64_write(out, (int64_t)v);
        out[n] = 0;
        (void)lmn_format(want, sizeof want, "%lld", (long long)v);
        if (strcmp(out, want) != 0) T_STR_EQ(out, want);
        n = lmn_u64_write(out, v);
        out[n] = 0;
        (void)lmn_format(want, sizeof want, "%llu", (unsigned long long)v);
        if (strcmp(out, want) != 0) T_STR_EQ(out, want);
    }
}

static bool round_trip_f32(float f)
{
    char out[LMN_NUMBER_BYTES];
    float back;
    const size_t n = lmn_f32_write(out, f);
    const bool ok = n <= 25 && lmn_f32_read(bytes(out), bytes(out) + n, &back) == bytes(out) + n &&
                    memcmp(&back, &f, 4) == 0;
    if (!ok) t_fail(__FILE__, __LINE__, "%.9g written as %.*s", (double)f, (int)n, out);
    return ok;
}

/* Fewest digits by trial: the first of %.0e, %.1e ... that reads back. */
static int fewest(double v, bool single)
{
    char text[64];
    for (int k = 0; k < 17; k++) {
        (void)lmn_format(text, sizeof text, "%.*e", k, v);
        if (single ? strtof(text, NULL) == (float)v : strtod(text, NULL) == v) return k + 1;
    }
    return 17;
}

static int digits_in(const char *text, size_t n)
{
    int count = 0, zeros = 0;
    for (size_t i = 0; i < n && text[i] != 'e'; i++) {
        if (text[i] < '0' || text[i] > '9' || (count == 0 && text[i] == '0')) continue;
        zeros = text[i] == '0' ? zeros + 1 : 0;
        count++;
    }
    return count - zeros;
}

static void test_writes_vectors(t_env *env)
{
    static const struct {
        double v;
        const char *text;
    } CASES[] = {{0, "0"},
                 {-0.0, "-0"},
                 {1, "1"},
                 {-1, "-1"},
                 {10, "10"},
                 {0.1, "0.1"},
                 {0.3, "0.3"},
                 {1.5, "1.5"},
                 {123456.789, "123456.789"},
                 {1e7, "10000000"},
                 {12345678.5, "12345678.5"},
                 {123456789.25, "123456789.25"},
                 {1234567890123456.5, "1234567890123456.5"},
                 {1e15, "1000000000000000"},
                 {1e16, "10000000000000000"},
                 {1e17, "1e17"},
                 {1.5e17, "1.5e17"},
                 {12345678901234568, "12345678901234568"},
                 {1e-5, "0.00001"},
                 {1.25e-5, "0.0000125"},
                 {1e-6, "1e-6"},
                 {1.5e-7, "1.5e-7"},
                 {5e-324, "5e-324"},
                 {DBL_MIN, "2.2250738585072014e-308"},
                 {DBL_MAX, "1.7976931348623157e308"},
                 {1.0 / 3, "0.3333333333333333"},
                 {2.0 / 3, "0.6666666666666666"},
                 {9007199254740991, "9007199254740991"},
                 {9007199254740992, "9007199254740992"},
                 {5.684341886080802e-14, "5.684341886080802e-14"},
                 {1e23, "1e23"},
                 {9.5367431640625e-7, "9.5367431640625e-7"},
                 {8.41e21, "8.41e21"},
                 {2.0041683600089728e-95, "2.0041683600089727e-95"},
                 {-1.2345678901234567e-5, "-0.000012345678901234568"},
                 {4.8726570057e288, "4.8726570057e288"},
                 {1e100, "1e100"}};
    static const struct {
        float v;
        const char *text;
    } SINGLES[] = {{0.1f, "0.1"},
                   {16777216.0f, "16777216"},
                   {3e10f, "30000000000"},
                   {FLT_MAX, "3.4028235e38"},
                   {FLT_MIN, "1.1754944e-38"},
                   {1e-45f, "1e-45"},
                   {8388608.5f, "8388608"},
                   {4194304.5f, "4194304.5"},
                   {0.3f, "0.3"},
                   {1.17549421e-38f, "1.1754942e-38"},
                   {5.0e-20f, "5e-20"},
                   {1e16f, "10000000000000000"},
                   {3.3554432e7f, "33554432"},
                   {67108864.0f, "67108864"},
                   {9.8e-5f, "0.000098"}};
    char out[LMN_NUMBER_BYTES];
    (void)env;
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        out[lmn_f64_write(out, CASES[i].v)] = 0;
        T_STR_EQ(out, CASES[i].text);
    }
    for (size_t i = 0; i < T_COUNT(SINGLES); i++) {
        out[lmn_f32_write(out, SINGLES[i].v)] = 0;
        T_STR_EQ(out, SINGLES[i].text);
    }
}

static void test_writes_shortest(t_env *env)
{
    char out[LMN_NUMBER_BYTES];
    double back;
    for (int i = 0; i < 30000; i++) {
        const uint64_t x = t_rand(env);
        const uint32_t u = (uint32_t)t_rand(env);
        double d;
        float f;
        memcpy(&d, &x, 8);
        memcpy(&f, &u, 4);
        if (!isfinite(d) || !isfinite(f)) continue;
        if (i % 3 == 0) d = (double)((int64_t)x % 1000000) / 1000;
        const size_t n = lmn_f64_write(out, d);
        if (lmn_f64_read(bytes(out), bytes(out) + n, &back) != bytes(out) + n || back != d)
            T_EQ(i, -1);
        if (digits_in(out, n) > fewest(d, false) && d != 0)
            T_EQ(digits_in(out, n), fewest(d, false));
        if (!round_trip_f32(f)) break;
        const size_t m = lmn_f32_write(out, f);
        if (digits_in(out, m) > fewest((double)f, true) && f != 0)
            T_EQ(digits_in(out, m), fewest((double)f, true));
    }
}

static void test_every_float(t_env *env)
{
    const bool all = getenv("T_ALL_FLOATS") != NULL;
    const uint32_t step = all ? 1 : 4099;
    (void)env;
    for (uint64_t u = 0; u < 0x100000000; u += step) {
        const uint32_t bits = (uint32_t)u;
        float f;
        memcpy(&f, &bits, 4);
        if (isfinite(f) && !round_trip_f32(f)) break;
    }
}

/* No byte beyond the end is looked at: the number fills its block (AddressSanitizer). */
static void test_ends(t_env *env)
{
    static const char TEXT[] = "-12345678.123456789012e-12";
    (void)env;
    for (size_t n = 0; n < sizeof TEXT; n++) {
        uint8_t *block = malloc(n + 1);
        double d = 0, lax;
        int64_t i;
        memcpy(block + 1, TEXT, n);
        const uint8_t *p = block + 1, *end = p + n;
        const uint8_t *got = lmn_f64_read(p, end, &d);
        T_CHECK(!got || got <= end);
        if (got == end) T_CHECK(lmn_f64_read_lax(p, end, &lax) == end && lax == d);
        (void)lmn_i64_read(p, end, &i);
        free(block);
    }
}

/* Rows of texts are what texts are one by one; what is not plain is left where it stands. */
static void test_reads_rows(t_env *env)
{
    static const char *const odd[] = {
        "1.",  "01.5",  "-",    ".5", "1e3", "1.5e2", "12345678.5", "", "0.1234567890123",
        "--1", "1.2.3", "0..1", " 1", "00",  "x"};
    enum { MOST = 24 };
    char text[MOST * 32];
    float got[MOST];
    for (int round = 0; round < 200000; round++) {
        const size_t n = t_rand(env) % MOST;
        size_t len = 0, done;
        for (size_t i = 0; i < n; i++) {
            const int digits = (int)(t_rand(env) % 10), kind = (int)(t_rand(env) % 8);
            const double v = ((double)(t_rand(env) % 2000000001) - 1e9) / pow(10, 3 + kind);
            len += (size_t)(t_rand(env) % 32
                                ? sprintf(text + len, "%.*f", digits, v)
                                : sprintf(text + len, "%s", odd[t_rand(env) % T_COUNT(odd)]));
            text[len++] = ',';
            if (t_rand(env) & 1) text[len++] = ' ';
        }
        uint8_t *copy = malloc(len + 1); /* so that a byte too far is seen */
        memcpy(copy, text, len);
        const uint8_t *end = copy + len, *p = lmn_f32_read_row(copy, end, got, n, &done);
        const uint8_t *q = copy;
        T_CHECK(done <= n);
        for (size_t i = 0; i < done; i++) {
            float want;
            q = lmn_f32_read(q, end, &want);
            if (!T_CHECK(q && q < end && *q == ',' && !memcmp(&want, &got[i], 4))) break;
            q += 1 + (q + 1 < end && q[1] == ' ');
        }
        if (!T_CHECK(p == q)) printf("    of %.*s\n", (int)len, text);
        free(copy);
    }
}

/* Rows of floats are what floats are one by one, whatever the CPU can. */
static void test_rows(t_env *env)
{
    enum { MOST = 64 };
    static const uint32_t few[] = {0,          0x80000000, 0x3f800000, 0x3f000000, 0x4b800000,
                                   0x4b7fffff, 0x7f7fffff, 0x00000001, 0x007fffff, 0x00800000,
                                   0x322bcc77, 0x358637bd, 0x461c4000, 0x49742400, 0x4cbebc20};
    char text[MOST * 19 + LMN_NUMBER_BYTES], want[MOST * 19 + LMN_NUMBER_BYTES];
    lmn_cpu cpu;
    float v[MOST];
    T_OK(lmn_cpu_detect(&cpu, NULL));
    const lmn_isa isas[] = {LMN_ISA_REF, cpu.isa};
    for (int round = 0; round < 60000; round++) {
        const size_t n = t_rand(env) % (MOST + 1);
        size_t finite = n;
        for (size_t i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)t_rand(env);
            if (round & 1) bits = (bits & 0x80ffffff) | (uint32_t)(110 + t_rand(env) % 40) << 23;
            if (t_rand(env) % 16 == 0) bits = few[t_rand(env) % T_COUNT(few)];
            if ((bits & 0x7f800000) == 0x7f800000 && t_rand(env) % 8) bits ^= 0x40000000;
            if ((bits & 0x7f800000) == 0x7f800000 && finite == n) finite = i;
            memcpy(&v[i], &bits, 4);
        }
        char *end = want;
        for (size_t i = 0; i < finite; i++) {
            end += lmn_f32_write(end, v[i]);
            *end++ = ',';
        }
        for (size_t k = 0; k < T_COUNT(isas); k++) {
            char *p = text;
            size_t at = 0, done = 1;
            for (; at < finite && done; at += done)
                p = lmn_f32_write_row(p, v + at, n - at, isas[k], &done);
            if (!T_EQ(at, finite)) return;
            if (!T_EQ(p - text, end - want) || !T_CHECK(!memcmp(text, want, (size_t)(p - text))))
                return;
        }
    }
}

T_MAIN(T_TEST(test_reads_as_libc), T_TEST(test_reads_vectors), T_TEST(test_grammar),
       T_TEST(test_integers), T_TEST(test_writes_vectors), T_TEST(test_writes_shortest),
       T_TEST(test_every_float), T_TEST(test_rows), T_TEST(test_reads_rows), T_TEST(test_ends))
