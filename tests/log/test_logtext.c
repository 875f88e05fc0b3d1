/*
 * Formats of log lines against printf.
 */
#include "t.h"

#include "log/logtext.h"

#include <float.h>
#include <limits.h>
#include <stdarg.h>

LMN_PRINTF(3, 4)
static size_t format(char *buf, size_t cap, const char *fmt, ...)
{
    va_list ap;
    bool cut;
    va_start(ap, fmt);
    const size_t n = lmn_logtext_format(buf, cap - 1, &cut, fmt, ap);
    va_end(ap);
    buf[n] = 0;
    return n;
}

#define SAME(...)                                   \
    do {                                            \
        char a_[700], b_[700];                      \
        (void)snprintf(a_, sizeof a_, __VA_ARGS__); \
        (void)format(b_, sizeof b_, __VA_ARGS__);   \
        T_STR_EQ(b_, a_);                           \
    } while (0)

static void test_whole_numbers(t_env *env)
{
    (void)env;
    SAME("plain, %d%%, %i", 42, -7);
    SAME("[%5d|%-5d|%05d|%+d|% d]", 42, 42, 42, 42, 42);
    SAME("[%.3d|%8.3d|%-8.3d]", 7, 7, 7);
    SAME("[%.0d|%.0x]", 0, 0);
    SAME("%u %x %X %o %#x %#o %#X", 1u, 255u, 255u, 8u, 255u, 8u, 255u);
    SAME("%ld %lld %lu %llu", LONG_MIN, LLONG_MIN, ULONG_MAX, ULLONG_MAX);
    SAME("%zu %zd %jd %td", SIZE_MAX, (ssize_t)-1, INTMAX_MIN, (ptrdiff_t)-5);
    SAME("%hhd %hd %hhu %hu", (signed char)-7, (short)-300, (unsigned char)200,
         (unsigned short)60000);
    SAME("%*d|%-*d|%.*d", 6, 1, 6, 1, 4, 1);
    SAME("%p", (void *)0x1234);
    SAME("%c%c|%3c|%-3c|", 'a', 'b', 'c', 'd');
    for (int i = 0; i < 2000; i++) {
        const uint64_t v = t_rand(env) >> (t_rand(env) % 64);
        SAME("%llu %lld %llx", (unsigned long long)v, (long long)v, (unsigned long long)v);
    }
}

static void test_texts(t_env *env)
{
    char small[8];
    (void)env;
    SAME("%s|%8s|%-8s|%.2s|%8.2s|", "abc", "abc", "abc", "abc", "abc");
    T_EQ(format(small, sizeof small, "%s", "much too long"), 7);
    T_STR_EQ(small, "much to");
    T_EQ(format(small, sizeof small, "%20d", 1), 7);
    char buf[64];
    const char *volatile none = NULL;
    (void)format(buf, sizeof buf, "%s", none);
    T_STR_EQ(buf, "(null)");
}

static void test_real_numbers(t_env *env)
{
    static const double V[] = {0,      1,      -1,      0.5,    3.14159265358979, 1e10,
                               1e-10,  123456, 1234567, 0.0001, 0.00001,          999999.5,
                               9.9995, 1e100,  1e-300,  5e-324, DBL_MAX,          0.1,
                               100,    2.5,    1e15};
    for (size_t i = 0; i < T_COUNT(V); i++) {
        SAME("%g %e %.3e %.10g", V[i], V[i], V[i], V[i]);
        SAME("[%12g|%-12g|%+g|%012g]", V[i], V[i], V[i], V[i]);
        if (fabs(V[i]) < 1e9) SAME("%f %.3f %.9f %#.0f", V[i], V[i] + 0.0001, V[i], V[i] + 0.25);
    }
    SAME("%f %g %e %F %5f", (double)INFINITY, -(double)INFINITY, (double)NAN, (double)NAN,
         (double)INFINITY);
    SAME("%#g %#.3g %G %E", 1.0, 100.0, 1e-10, 1e10);
    for (int i = 0; i < 2000; i++) {
        const double v = t_rand_real(env, -1, 1) * pow(10, (double)t_rand_int(env, -20, 20));
        SAME("%.12g %.6e %g", v, v, v);
        if (fabs(v) < 1e5) SAME("%.4f", v);
    }
    char buf[400];
    T_EQ(format(buf, sizeof buf, "%f", DBL_MAX), 316); /* digits past the 17th are zeros */
}

T_MAIN(T_TEST(test_whole_numbers), T_TEST(test_texts), T_TEST(test_real_numbers))
