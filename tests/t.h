/*
 * The test harness, header only: one executable a file, one static state, no framework.
 *
 * A test is `static void test_x(t_env *env)`. Checks record a failure and go on; T_REQUIRE leaves
 * the function. Every test gets a fresh engine whose allocator counts, knows the size and alignment
 * of each block (a wrong free fails the test) and can fail the nth allocation. What a test has not
 * released when it returns fails it. Exit 0 pass, 1 fail, 77 when every test was skipped.
 * Seed: T_SEED from the environment, printed. Filter: arguments are parts of test names.
 */
#ifndef LMN_TESTS_T_H
#define LMN_TESTS_T_H

#include "base/engine.h"

#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define T_COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* A pointer no call may hand out: shows that an out parameter was left alone. */
#define T_UNTOUCHED ((void *)(uintptr_t)0x7e57)

typedef struct t_env {
    lamina_engine *engine;
    lamina_allocator alloc; /* the engine's: counts, checks, fails on request */
    uint64_t seed;
    /* counters of the allocator; atomic because pools allocate from many threads */
    atomic_llong live_blocks, live_bytes, peak_bytes, n_allocs, fail_in;
    long long base_blocks; /* live when the test function began */
    int base_fds;
    uint64_t rng;
    char dir[256]; /* temporary folder, "" until asked for */
    lamina_engine engine_store;
} t_env;

typedef struct t_test {
    const char *name;
    void (*fn)(t_env *env);
} t_test;

static struct t_state {
    const char *test, *case_name;
    int n_checks;
    atomic_int n_failed; /* checks failed in the current test */
    bool skipped;
} t_now;

#define T_TEST(function)    \
    {                       \
#function, function \
    }
#define T_MAIN(...)                                       \
    int main(int argc, char **argv)                       \
    {                                                     \
        static const t_test tests[] = {__VA_ARGS__};      \
        return t_main(argc, argv, tests, T_COUNT(tests)); \
    }

/* Name the case that the following checks belong to; printed with a failure. */
#define T_CASE(name) (t_now.case_name = (name))
/* Leave the test as skipped, with the reason. */
#define T_SKIP(reason)                                 \
    do {                                               \
        printf("skip %s: %s\n", t_now.test, (reason)); \
        t_now.skipped = true;                          \
        return;                                        \
    } while (0)

LMN_UNUSED LMN_PRINTF(3, 4) static void t_fail(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    int n = atomic_fetch_add(&t_now.n_failed, 1);
    if (n > 50) return; /* enough to see what is wrong */
    printf("%s:%d: FAIL %s%s%s: ", file, line, t_now.test ? t_now.test : "?",
           t_now.case_name ? " / " : "", t_now.case_name ? t_now.case_name : "");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
}

LMN_UNUSED static bool t_check(bool ok, const char *file, int line, const char *text)
{
    t_now.n_checks++;
    if (!ok) t_fail(file, line, "%s", text);
    return ok;
}

LMN_UNUSED static bool t_eq(long long a, long long b, const char *file, int line, const char *ta,
                            const char *tb)
{
    t_now.n_checks++;
    if (a != b) t_fail(file, line, "%s == %s: %lld != %lld", ta, tb, a, b);
    return a == b;
}

LMN_UNUSED static bool t_str_eq(const char *a, const char *b, const char *file, int line,
                                const char *ta, const char *tb)
{
    t_now.n_checks++;
    bool ok = a == b || (a && b && strcmp(a, b) == 0);
    if (!ok)
        t_fail(file, line, "%s == %s: \"%s\" != \"%s\"", ta, tb, a ? a : "(null)",
               b ? b : "(null)");
    return ok;
}

/* |a - b| <= tol; NaN equals NaN, an infinity only itself. */
LMN_UNUSED static bool t_near(double a, double b, double tol, const char *file, int line,
                              const char *ta, const char *tb)
{
    t_now.n_checks++;
    bool ok = (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tol;
    if (!ok)
        t_fail(file, line, "%s ~ %s: %.17g and %.17g differ by %.3g > %.3g", ta, tb, a, b,
               fabs(a - b), tol);
    return ok;
}

LMN_UNUSED static bool t_ok(lamina_status st, const lamina_error *err, const char *file, int line,
                            const char *text)
{
    t_now.n_checks++;
    if (st != LAMINA_OK)
        t_fail(file, line, "%s: %s%s%s", text, lamina_status_name(st), err ? ": " : "",
               err ? err->msg : "");
    return st == LAMINA_OK;
}

LMN_UNUSED static bool t_mem_eq(const void *a, const void *b, size_t n, const char *file, int line,
                                const char *ta, const char *tb)
{
    t_now.n_checks++;
    const uint8_t *p = a, *q = b;
    for (size_t i = 0; i < n; i++)
        if (p[i] != q[i]) {
            t_fail(file, line, "%s == %s: byte %zu of %zu: %02x != %02x", ta, tb, i, n, p[i], q[i]);
            return false;
        }
    return true;
}

#define T_CHECK(c) t_check(!!(c), __FILE__, __LINE__, #c)
#define T_EQ(a, b) t_eq((long long)(a), (long long)(b), __FILE__, __LINE__, #a, #b)
#define T_STR_EQ(a, b) t_str_eq((a), (b), __FILE__, __LINE__, #a, #b)
#define T_NEAR(a, b, tol) t_near((a), (b), (tol), __FILE__, __LINE__, #a, #b)
#define T_MEM_EQ(a, b, n) t_mem_eq((a), (b), (n), __FILE__, __LINE__, #a, #b)
/* The call succeeds; prints the status by name. T_OK_ERR prints the sentence as well. */
#define T_OK(expr) t_ok((expr), NULL, __FILE__, __LINE__, #expr)
#define T_OK_ERR(expr, err) t_ok((expr), (err), __FILE__, __LINE__, #expr)
/* As T_CHECK, and leave the (void) function when it fails. */
#define T_REQUIRE(c)             \
    do {                         \
        if (!T_CHECK(c)) return; \
    } while (0)

/* A block lies behind a header as wide as its alignment, so that its end stays exact for ASan. */
typedef struct t_block {
    size_t bytes, align;
} t_block;

static inline size_t t_lead(size_t align)
{
    return align < sizeof(t_block) ? sizeof(t_block) : align;
}

static void *t_alloc(void *ctx, size_t bytes, size_t align, const char *tag)
{
    t_env *env = ctx;
    void *raw = NULL;
    (void)tag;
    if (bytes == 0 || align == 0 || (align & (align - 1)))
        t_fail(__FILE__, __LINE__, "allocation of %zu bytes aligned to %zu", bytes, align);
    atomic_fetch_add(&env->n_allocs, 1);
    if (atomic_load(&env->fail_in) > 0 && atomic_fetch_sub(&env->fail_in, 1) == 1) return NULL;
    size_t lead = t_lead(align);
    if (bytes > SIZE_MAX - lead || bytes > (size_t)1 << 40) return NULL;
    if (posix_memalign(&raw, lead, lead + bytes)) return NULL;
    uint8_t *p = (uint8_t *)raw + lead;
    *(t_block *)(void *)(p - sizeof(t_block)) = (t_block){bytes, align};
    memset(p, 0xa5, bytes < 4096 ? bytes : 4096); /* nobody may lean on zeroes */
    atomic_fetch_add(&env->live_blocks, 1);
    long long live = atomic_fetch_add(&env->live_bytes, (long long)bytes) + (long long)bytes;
    if (live > atomic_load(&env->peak_bytes)) atomic_store(&env->peak_bytes, live);
    return p;
}

static void t_free(void *ctx, void *ptr, size_t bytes, size_t align, const char *tag)
{
    t_env *env = ctx;
    t_block *b = (t_block *)(void *)((uint8_t *)ptr - sizeof(t_block));
    if (b->bytes != bytes || b->align != align)
        t_fail(__FILE__, __LINE__, "\"%s\": freed %zu bytes aligned %zu, were %zu aligned %zu", tag,
               bytes, align, b->bytes, b->align);
    atomic_fetch_sub(&env->live_blocks, 1);
    atomic_fetch_sub(&env->live_bytes, (long long)b->bytes);
    free((uint8_t *)ptr - t_lead(b->align));
}

/* The nth allocation from now on (1 = the next) fails, once. 0 takes the order back. */
LMN_UNUSED static void t_fail_alloc(t_env *env, int nth)
{
    atomic_store(&env->fail_in, nth);
}
/* True while the ordered failure has not happened yet: the loop "fail each in turn" is over. */
LMN_UNUSED static bool t_fail_pending(t_env *env)
{
    return atomic_load(&env->fail_in) > 0;
}

static int t_open_fds(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++) n += fcntl(fd, F_GETFD) != -1;
    return n;
}

/* No allocation and no descriptor beyond those at the start of the test. */
#define T_NOTHING_HELD(env) t_nothing_held((env), __FILE__, __LINE__)
LMN_UNUSED static void t_nothing_held(t_env *env, const char *file, int line)
{
    long long extra = atomic_load(&env->live_blocks) - env->base_blocks;
    t_now.n_checks++;
    if (extra) t_fail(file, line, "%lld allocations held", extra);
    int fds = t_open_fds() - env->base_fds;
    if (fds) t_fail(file, line, "%d descriptors held", fds);
}

/* Deterministic random numbers of the test (splitmix64 from the seed). */
LMN_UNUSED static uint64_t t_rand(t_env *env)
{
    uint64_t z = env->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
/* lo..hi, both included. */
LMN_UNUSED static int64_t t_rand_int(t_env *env, int64_t lo, int64_t hi)
{
    return lo + (int64_t)(t_rand(env) % ((uint64_t)(hi - lo) + 1));
}
/* [lo, hi) */
LMN_UNUSED static double t_rand_real(t_env *env, double lo, double hi)
{
    return lo + (hi - lo) * ((double)(t_rand(env) >> 11) * 0x1p-53);
}

/* "<temporary folder>/<name>" in buf; the folder and all in it go when the test ends. */
LMN_UNUSED static const char *t_path(t_env *env, const char *name, char *buf, size_t cap)
{
    if (!env->dir[0]) {
        const char *tmp = getenv("TMPDIR");
        snprintf(env->dir, sizeof env->dir, "%s/lamina-test-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
        if (!mkdtemp(env->dir)) t_fail(__FILE__, __LINE__, "no temporary folder in %s", env->dir);
    }
    snprintf(buf, cap, "%s/%s", env->dir, name);
    return buf;
}

/* Write a small file; returns its path in buf. */
LMN_UNUSED static const char *t_write(t_env *env, const char *name, const void *bytes, size_t n,
                                      char *buf, size_t cap)
{
    FILE *f = fopen(t_path(env, name, buf, cap), "wb");
    if (!f || fwrite(bytes, 1, n, f) != n) t_fail(__FILE__, __LINE__, "cannot write %s", buf);
    if (f) fclose(f);
    return buf;
}

static int t_remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st, (void)flag, (void)ftw;
    return remove(path);
}

static void t_log(void *ctx, lamina_log_level level, const char *line)
{
    (void)ctx;
    if (getenv("T_LOG")) printf("log[%d] %s\n", (int)level, line);
}

/* Run one test: 0 pass, 1 fail, 77 skip. */
static int t_run(t_env *env, const t_test *test)
{
    uint64_t seed = env->seed;
    memset(env, 0, sizeof *env);
    env->seed = env->rng = seed;
    env->alloc = (lamina_allocator){LAMINA_ALLOCATOR_ABI, env, t_alloc, t_free};
    t_now = (struct t_state){.test = test->name};
    int fds = t_open_fds();
    const lamina_log_sink log = {LAMINA_LOG_ABI, NULL, t_log};
    const lamina_engine_opts opts = {.size = sizeof opts, .allocator = &env->alloc, .log = &log};
    env->engine = &env->engine_store;
    if (lmn_engine_init(env->engine, &opts) != LAMINA_OK) t_fail(__FILE__, __LINE__, "no engine");
    env->base_blocks = atomic_load(&env->live_blocks);
    env->base_fds = t_open_fds();
    test->fn(env);
    t_now.case_name = NULL;
    t_fail_alloc(env, 0);
    lmn_engine_finish(env->engine);
    if (atomic_load(&env->live_blocks))
        t_fail(__FILE__, __LINE__, "%lld allocations (%lld bytes) leaked",
               (long long)env->live_blocks, (long long)env->live_bytes);
    if (t_open_fds() != fds)
        t_fail(__FILE__, __LINE__, "%d descriptors leaked", t_open_fds() - fds);
    if (env->dir[0]) nftw(env->dir, t_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    bool failed = atomic_load(&t_now.n_failed) > 0;
    if (!t_now.skipped || failed)
        printf("%s %s (%d checks)\n", failed ? "FAIL" : "ok  ", test->name, t_now.n_checks);
    fflush(stdout);
    return failed ? 1 : t_now.skipped ? 77 : 0;
}

LMN_UNUSED static int t_main(int argc, char **argv, const t_test *tests, size_t n_tests)
{
    static t_env env;
    const char *text = getenv("T_SEED");
    int n_failed = 0, n_skipped = 0, n_run = 0;
    uint64_t seed = text ? strtoull(text, NULL, 0) : 1;
    printf("seed %" PRIu64 "\n", seed);
    for (size_t i = 0; i < n_tests; i++) {
        bool wanted = argc < 2;
        for (int k = 1; k < argc; k++) wanted |= strstr(tests[i].name, argv[k]) != NULL;
        if (!wanted) continue;
        env.seed = seed;
        int rc = t_run(&env, &tests[i]);
        n_run++, n_failed += rc == 1, n_skipped += rc == 77;
    }
    printf("%d passed, %d failed, %d skipped\n", n_run - n_failed - n_skipped, n_failed, n_skipped);
    return n_failed ? 1 : n_run && n_run == n_skipped ? 77 : 0;
}

#endif
