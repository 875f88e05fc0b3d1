/*
 * Logging inside one process: records out of rings and as lines, handlers that interrupt a call,
 * full rings, fork, and the last words of a process that crashes.
 */
#include "t.h"

#include "lamina/log.h"

#include "base/os/os_self.h"
#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "log/logger.h"
#include "log/logline.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* A folder with a logger and a collector that keeps nothing back. */
typedef struct both {
    char dir[300], out[320];
    lamina_logger *log;
    lamina_logd *d;
} both;

static bool open_both(t_env *env, both *b, uint64_t ring_bytes, uint32_t wait_us)
{
    lamina_error err;
    (void)t_path(env, "out.log", b->out, sizeof b->out);
    (void)snprintf(b->dir, sizeof b->dir, "%s", env->dir);
    const lamina_logger_opts lo = {.size = sizeof lo,
                                   .dir = b->dir,
                                   .name = "test",
                                   .ring_bytes = ring_bytes,
                                   .wait_us = wait_us};
    const lamina_logd_opts co = {.size = sizeof co, .dir = b->dir, .out = b->out};
    return T_OK_ERR(lamina_logger_open(&lo, &b->log, &err), &err) &&
           T_OK_ERR(lamina_logd_open(&co, &b->d, &err), &err);
}

static void close_both(both *b)
{
    lamina_logger_close(b->log);
    lamina_logd_close(b->d);
}

static char *slurp(const char *path)
{
    FILE *f = fopen(path, "rb");
    char *text = calloc(1, 1 << 22);
    if (f && text) (void)!fread(text, 1, (1 << 22) - 1, f);
    if (f) (void)fclose(f);
    return text;
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)) != NULL; p++) n++;
    return n;
}

static void drain(both *b)
{
    lamina_error err;
    T_OK_ERR(lamina_logd_drain(b->d, &err), &err);
}

static void test_fields(t_env *env)
{
    both b;
    lamina_log_record r;
    if (!open_both(env, &b, 0, 0)) return;
    errno = 77;
    lamina_log_begin(&r, b.log, LAMINA_LOG_WARN, "slow \"request\"\n");
    lamina_log_str(&r, "path", "/a b\\c\x01\xff");
    lamina_log_i64(&r, "i", INT64_MIN);
    lamina_log_u64(&r, "u", UINT64_MAX);
    lamina_log_f64(&r, "ms", 12.25);
    lamina_log_f64(&r, "nan", (double)NAN);
    lamina_log_hex(&r, "at", 0xabc);
    lamina_log_bool(&r, "yes", true);
    lamina_log_str(&r, "time", "mine");
    lamina_log_str(&r, NULL, NULL);
    T_EQ(lamina_log_end(&r), LAMINA_OK);
    T_EQ(errno, 77);
    T_EQ(lamina_log(b.log, LAMINA_LOG_INFO, "%d of %s", 3, "x"), LAMINA_OK);
    T_EQ(lamina_log(NULL, LAMINA_LOG_INFO, "x"), LAMINA_E_INVALID);
    drain(&b);
    char *text = slurp(b.out);
    T_CHECK(strstr(text, "\"level\":\"warn\",\"from\":\"test\",\"pid\":"));
    T_CHECK(strstr(text,
                   "\"msg\":\"slow \\\"request\\\"\\n\",\"path\":\"/a b\\\\c\\u0001\xef\xbf\xbd\""
                   ",\"i\":-9223372036854775808,\"u\":18446744073709551615,\"ms\":12.25,"
                   "\"nan\":\"nan\",\"at\":\"0xabc\",\"yes\":true,\"time_\":\"mine\","
                   "\"(null)\":\"(null)\"}\n"));
    T_CHECK(strstr(text, "\"level\":\"info\""));
    T_CHECK(strstr(text, "\"msg\":\"3 of x\"}\n"));
    T_EQ(count(text, "\n"), 2);
    free(text);
    close_both(&b);
}

static void test_cut(t_env *env)
{
    both b;
    lamina_log_record r;
    static char big[4000];
    memset(big, 'x', sizeof big - 1);
    if (!open_both(env, &b, 0, 0)) return;
    T_EQ(lamina_log(b.log, LAMINA_LOG_INFO, "%s", big), LAMINA_OK);
    lamina_log_begin(&r, b.log, LAMINA_LOG_INFO, "t");
    lamina_log_strn(&r, "k", big, 1700);
    lamina_log_str(&r, "umlauts",
                   "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
                   "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
                   "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"
                   "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc");
    lamina_log_i64(&r, "no room", 1);
    T_EQ(lamina_log_end(&r), LAMINA_OK);
    lamina_log_begin(&r, b.log, LAMINA_LOG_INFO, big);
    T_EQ(lamina_log_end(&r), LAMINA_OK);
    drain(&b);
    char *text = slurp(b.out);
    T_EQ(count(text, "\"truncated\":true"), 3);
    T_EQ(count(text, "\xef\xbf\xbd"), 0);
    T_EQ(count(text, "no room"), 0);
    free(text);
    close_both(&b);
}

static void test_level(t_env *env)
{
    char dir[300];
    lamina_logger *log;
    (void)t_path(env, "x", dir, sizeof dir);
    const lamina_logger_opts o = {.size = sizeof o, .dir = env->dir, .min = LAMINA_LOG_WARN};
    if (!T_OK(lamina_logger_open(&o, &log, NULL))) return;
    T_EQ(lamina_log(log, LAMINA_LOG_INFO, "no"), LAMINA_OK);
    lamina_log_record r;
    lamina_log_begin(&r, log, LAMINA_LOG_DEBUG, "no");
    lamina_log_str(&r, "k", "v");
    T_EQ(lamina_log_end(&r), LAMINA_OK);
    T_EQ(lmn_atomic_load(&log->ring.mem->tail, relaxed), 0);
    T_EQ(lamina_log(log, LAMINA_LOG_WARN, "yes"), LAMINA_OK);
    T_EQ(lmn_atomic_load(&log->ring.mem->tail, relaxed), 1);
    lamina_log_begin(&r, NULL, LAMINA_LOG_DEBUG, "no");
    lamina_log_bool(&r, "k", true);
    T_EQ(lamina_log_end(&r), LAMINA_E_INVALID);
    lamina_logger_close(log);
}

static void test_full(t_env *env)
{
    both b;
    if (!open_both(env, &b, 4096, 2000)) return; /* 64 cells; a call waits 2 ms */
    size_t kept = 0, lost = 0;
    for (int i = 0; i < 70; i++) {
        const lamina_status st = lamina_log(b.log, LAMINA_LOG_INFO, "n%d", i);
        kept += st == LAMINA_OK;
        lost += st == LAMINA_E_AGAIN;
    }
    T_EQ(kept, 64);
    T_EQ(lost, 6);
    T_EQ(lamina_logger_dropped(b.log), 6);
    drain(&b);
    T_EQ(lamina_log(b.log, LAMINA_LOG_INFO, "after"), LAMINA_OK);
    drain(&b);
    drain(&b);
    char *text = slurp(b.out);
    T_EQ(count(text, "\"dropped\":6}"), 1);
    T_EQ(count(text, "\"msg\":\"n"), 64);
    T_EQ(count(text, "after"), 1);
    free(text);
    lamina_logd_stats s = {.size = sizeof s};
    lamina_logd_stats_get(b.d, &s);
    T_EQ(s.records, 65);
    T_EQ(s.dropped, 6);
    close_both(&b);
}

/* ---- a reader in the same process ---- */

typedef struct sleeper {
    lmn_atomic(uint32_t) bell, awake;
} sleeper;

static void *sleep_until_rung(void *arg)
{
    sleeper *s = arg;
    lmn_futex_wait(&s->bell, 0, UINT64_C(30000000000));
    lmn_atomic_store(&s->awake, 1, release);
    return NULL;
}

/* Who naps over the ring is woken by each quarter of it that fills, whenever it began to nap. */
static void test_bell(t_env *env)
{
    both b;
    sleeper s;
    pthread_t thread;
    lmn_atomic_init(&s.bell, 0);
    lmn_atomic_init(&s.awake, 0);
    if (!open_both(env, &b, 4096, 0)) return; /* 64 cells */
    b.log->bell = &s.bell;
    T_REQUIRE(pthread_create(&thread, NULL, sleep_until_rung, &s) == 0);
    const uint64_t until = lmn_now_ns() + UINT64_C(20000000000);
    while (!lmn_atomic_load(&s.awake, acquire) && lmn_now_ns() < until) {
        for (int i = 0; i < 17; i++) T_OK(lamina_log(b.log, LAMINA_LOG_INFO, "x"));
        drain(&b);
        lmn_sleep_ms(1);
    }
    T_CHECK(lmn_now_ns() < until);
    (void)pthread_join(thread, NULL);
    close_both(&b);
}

static lamina_logger *handler_log;
static lmn_atomic(int) handled;

static void log_in_handler(int signo)
{
    lamina_log_record r;
    lamina_log_begin(&r, handler_log, LAMINA_LOG_INFO, "handler");
    lamina_log_i64(&r, "signal", signo);
    (void)lmn_atomic_add(&handled, lamina_log_end(&r) == LAMINA_OK, relaxed);
}

/* Between taking cells and filling them, and while others write. */
static void test_handler_in_the_middle(t_env *env)
{
    both b;
    uint64_t at;
    if (!open_both(env, &b, 0, 0)) return;
    handler_log = b.log;
    lmn_atomic_store(&handled, 0, relaxed);
    struct sigaction a = {.sa_handler = log_in_handler}, old;
    (void)sigaction(SIGUSR1, &a, &old);
    T_CHECK(lmn_logring_take(&b.log->ring, 1, &at));
    (void)raise(SIGUSR1);
    drain(&b); /* the first is not finished: what is behind it waits */
    char *text = slurp(b.out);
    T_EQ(count(text, "\n"), 0);
    free(text);
    lamina_log_record r;
    size_t cap;
    char *p = lmn_logrec_begin(&r, LAMINA_LOG_INFO, &cap);
    memcpy(p, "first", 5);
    lmn_logrec_text(&r, 5, false);
    const uint16_t bytes = (uint16_t)r.used;
    memcpy(r.bytes + LMN_LOGREC_BYTES, &bytes, sizeof bytes);
    lmn_logring_put(&b.log->ring, at, 1, r.bytes, r.used);
    drain(&b);
    text = slurp(b.out);
    const char *first = strstr(text, "\"msg\":\"first\""), *second = strstr(text, "\"signal\":10");
    T_CHECK(first && second && first < second);
    free(text);
    T_EQ(lmn_atomic_load(&handled, relaxed), 1);
    (void)sigaction(SIGUSR1, &old, NULL);
    close_both(&b);
}

/* The thread sanitizer runs handlers later, at a place of its own choice, and sees no order between
 * two mappings of one ring: a cell that was read through one and is used again through the other
 * looks like a race. There the ring is so large that none is used again. */
#if defined(__SANITIZE_THREAD__)
#define TSAN true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN true
#endif
#endif
#ifndef TSAN
#define TSAN false
#endif

#define THREADS 4
#define EACH 2000

static void *write_many(void *arg)
{
    lamina_logger *log = arg;
    for (int i = 0; i < EACH; i++) {
        lamina_log_record r;
        lamina_log_begin(&r, log, LAMINA_LOG_INFO, "many");
        lamina_log_i64(&r, "i", i);
        lamina_log_str(&r, "pad", &"0123456789012345678901234567890123456789"[i % 40]);
        (void)lamina_log_end(&r);
        if (i % 64 == 0) (void)raise(SIGUSR1);
    }
    return NULL;
}

/* Threads, handlers in the middle of their calls, and a reader at work: what was kept is read once,
 * the rest is counted. */
static void test_threads(t_env *env)
{
    both b;
    pthread_t t[THREADS];
    if (!open_both(env, &b, TSAN ? 4u << 20 : 16384, 0)) return;
    handler_log = b.log;
    struct sigaction a = {.sa_handler = log_in_handler}, old;
    (void)sigaction(SIGUSR1, &a, &old);
    for (int i = 0; i < THREADS; i++)
        T_REQUIRE(pthread_create(&t[i], NULL, write_many, b.log) == 0);
    lamina_error err;
    for (int i = 0; i < 50; i++) T_OK_ERR(lamina_logd_step(b.d, 1, &err), &err);
    for (int i = 0; i < THREADS; i++) (void)pthread_join(t[i], NULL);
    (void)sigaction(SIGUSR1, &old, NULL);
    drain(&b);
    lamina_logd_stats s = {.size = sizeof s};
    lamina_logd_stats_get(b.d, &s);
    T_EQ(s.records + s.dropped, THREADS * (EACH + (EACH + 63) / 64));
    T_EQ(s.dropped, lamina_logger_dropped(b.log));
    T_EQ(s.malformed + s.unfinished + s.corrupt, 0);
    close_both(&b);
}

static void wait_for(pid_t child)
{
    int status;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
}

static void test_fork(t_env *env)
{
    both b;
    if (!open_both(env, &b, 0, 0)) return;
    T_OK(lamina_log(b.log, LAMINA_LOG_INFO, "parent"));
    const pid_t child = fork();
    if (child == 0) {
        const lamina_status st = lamina_log(b.log, LAMINA_LOG_INFO, "child");
        _exit(st == LAMINA_OK ? 0 : 1);
    }
    wait_for(child);
    drain(&b);
    char *text = slurp(b.out), want[64];
    (void)snprintf(want, sizeof want, "\"pid\":%ld,\"msg\":\"child\"", (long)child);
    T_CHECK(strstr(text, want));
    (void)snprintf(want, sizeof want, "\"pid\":%ld,\"msg\":\"parent\"", (long)getpid());
    T_CHECK(strstr(text, want));
    free(text);
    close_both(&b);
}

static char crash_stack[1 << 17];

/* Volatile, so that no compiler sees where it leads. */
static volatile uintptr_t nowhere = 64;

static int dig(int n)
{
    volatile char a[4096];
    a[0] = (char)n;
    return n ? dig(n + 1) + a[0] : 0;
}

static void *crash_in_thread(void *arg)
{
    *(int *)nowhere = 1;
    return arg;
}

static void crash_by(int how)
{
    pthread_t t;
    (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (how == 4 && pthread_create(&t, NULL, crash_in_thread, NULL) == 0)
        (void)pthread_join(t, NULL);
    if (how == 0) *(int *)nowhere = 1;
    if (how == 1) abort();
    if (how == 2) (void)kill(getpid(), SIGSEGV);
    if (how == 3) (void)dig(1);
    _exit(3);
}

/* The last words of a child arrive, and it dies of the signal. */
static void crash_case(t_env *env, int how, int signo, const char *want)
{
    both b;
    int status = 0;
    if (!open_both(env, &b, 0, 0)) return;
    const pid_t child = fork();
    if (child == 0) {
        lamina_logger *log;
        const lamina_logger_opts o = {.size = sizeof o, .dir = b.dir, .name = "victim"};
        if (lamina_logger_open(&o, &log, NULL) != LAMINA_OK) _exit(2);
        if (lamina_log_catch(log, crash_stack, sizeof crash_stack, NULL) != LAMINA_OK) _exit(2);
        crash_by(how);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    T_CHECK(WIFSIGNALED(status));
    T_EQ(WTERMSIG(status), signo);
    drain(&b);
    char *text = slurp(b.out);
    if (!T_CHECK(strstr(text, want) && strstr(text, "\"from\":\"victim\""))) printf("%s\n", text);
    T_CHECK(strstr(text, "\"frames\":\"") && strstr(text, "+0x"));
    free(text);
    lamina_logd_stats s = {.size = sizeof s};
    lamina_logd_stats_get(b.d, &s);
    T_EQ(s.removed, 1);
    close_both(&b);
}

static void test_crash_segv(t_env *env)
{
    if (TSAN) T_SKIP("signals under the thread sanitizer");
    crash_case(env, 0, SIGSEGV, "\"signal\":\"SIGSEGV\",\"code\":1,\"address\":\"0x40\",\"pc\":");
}

static void test_crash_abort(t_env *env)
{
    if (TSAN) T_SKIP("signals under the thread sanitizer");
    crash_case(env, 1, SIGABRT, "\"signal\":\"SIGABRT\"");
}

static void test_crash_sent(t_env *env)
{
    if (TSAN) T_SKIP("signals under the thread sanitizer");
    crash_case(env, 2, SIGSEGV, "\"sender\":");
}

static void test_crash_overflow(t_env *env)
{
    if (TSAN) T_SKIP("signals under the thread sanitizer");
    crash_case(env, 3, SIGSEGV, "\"signal\":\"SIGSEGV\"");
}

static void test_crash_thread(t_env *env)
{
    if (TSAN) T_SKIP("signals under the thread sanitizer");
    crash_case(env, 4, SIGSEGV, "\"signal\":\"SIGSEGV\",\"code\":1,\"address\":\"0x40\"");
}

static void test_refused(t_env *env)
{
    lamina_error err;
    lamina_logger *log = T_UNTOUCHED;
    lamina_logd *d = T_UNTOUCHED;
    char path[300];
    (void)t_path(env, "none", path, sizeof path);
    lamina_logger_opts o = {.size = sizeof o};
    T_EQ(lamina_logger_open(NULL, &log, &err), LAMINA_E_INVALID);
    T_EQ(lamina_logger_open(&o, &log, &err), LAMINA_E_INVALID);
    o.dir = path;
    T_EQ(lamina_logger_open(&o, &log, &err), LAMINA_E_IO);
    T_CHECK(strstr(err.msg, "none"));
    o.ring_bytes = UINT64_MAX;
    T_EQ(lamina_logger_open(&o, &log, &err), LAMINA_E_INVALID);
    T_CHECK(log == T_UNTOUCHED);
    lamina_logd_opts c = {.size = sizeof c, .dir = path};
    T_EQ(lamina_logd_open(&c, &d, &err), LAMINA_E_IO);
    c.dir = env->dir;
    c.format = 7;
    T_EQ(lamina_logd_open(&c, &d, &err), LAMINA_E_INVALID);
    c.format = 0;
    c.out = env->dir;
    T_CHECK(lamina_logd_open(&c, &d, &err) != LAMINA_OK && err.msg[0]);
    T_CHECK(d == T_UNTOUCHED);
    c.out = NULL;
    lamina_logd *one;
    T_REQUIRE(T_OK_ERR(lamina_logd_open(&c, &one, &err), &err));
    T_EQ(lamina_logd_open(&c, &d, &err), LAMINA_E_BUSY);
    lamina_logd_close(one);
    lamina_logd_close(NULL);
    lamina_logger_close(NULL);
    T_EQ(lamina_log_catch(NULL, NULL, 0, &err), LAMINA_E_INVALID);
    T_EQ(lamina_logger_dropped(NULL), 0);
    T_NOTHING_HELD(env);
}

T_MAIN(T_TEST(test_fields), T_TEST(test_cut), T_TEST(test_level), T_TEST(test_full),
       T_TEST(test_bell), T_TEST(test_handler_in_the_middle), T_TEST(test_threads),
       T_TEST(test_fork), T_TEST(test_crash_segv), T_TEST(test_crash_abort),
       T_TEST(test_crash_sent), T_TEST(test_crash_overflow), T_TEST(test_crash_thread),
       T_TEST(test_refused))
