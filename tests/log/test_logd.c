/*
 * The collector killed at each of its steps (logstate.h), as the files then are: what the next one
 * makes of them. Also order between rings, files that others touch, rings that others spoil.
 */
#include "t.h"

#include "lamina/log.h"

#include "base/os/os_time.h"
#include "log/logd_int.h"
#include "log/logger.h"

typedef struct scene {
    t_env *env;
    char out[320];
    lamina_logger *log;
    lamina_logd *d;
} scene;

static bool open_log(scene *s, const char *name, lamina_logger **log)
{
    lamina_error err;
    const lamina_logger_opts o = {
        .size = sizeof o, .dir = s->env->dir, .name = name, .ring_bytes = 4096};
    return T_OK_ERR(lamina_logger_open(&o, log, &err), &err);
}

static bool open_logd(scene *s)
{
    lamina_error err;
    const lamina_logd_opts o = {.size = sizeof o, .dir = s->env->dir, .out = s->out};
    return T_OK_ERR(lamina_logd_open(&o, &s->d, &err), &err);
}

static bool begin(t_env *env, scene *s)
{
    *s = (scene){.env = env};
    (void)t_path(env, "out.log", s->out, sizeof s->out);
    return open_log(s, "one", &s->log) && open_logd(s);
}

static void end(scene *s)
{
    lamina_logd_close(s->d);
    lamina_logger_close(s->log);
}

static void drain(scene *s)
{
    lamina_error err;
    T_OK_ERR(lamina_logd_drain(s->d, &err), &err);
}

static void say(lamina_logger *log, int from, int to)
{
    for (int i = from; i < to; i++) T_OK(lamina_log(log, LAMINA_LOG_INFO, "n%d.", i));
}

/* The file is lines n<from>. to n<to>., each once, and nothing else when `alone`. */
static void expect(scene *s, int from, int to, bool alone)
{
    char text[40000] = "", want[32];
    FILE *f = fopen(s->out, "rb");
    if (f) text[fread(text, 1, sizeof text - 1, f)] = 0;
    if (f) (void)fclose(f);
    const char *p = text;
    int lines = 0;
    for (const char *q = text; (q = strchr(q, '\n')) != NULL; q++) lines++;
    for (int i = from; i < to; i++) {
        (void)snprintf(want, sizeof want, "\"msg\":\"n%d.\"", i);
        const char *at = strstr(p, want);
        if (!T_CHECK(at)) printf("no %s in\n%s", want, text);
        p = at ? at + 1 : p;
        T_CHECK(!strstr(p, want));
    }
    if (alone) T_EQ(lines, to - from);
}

static void append(const char *path, const char *text)
{
    FILE *f = fopen(path, "ab");
    T_CHECK(f && fputs(text, f) >= 0);
    if (f) (void)fclose(f);
}

/* Killed between writing lines and the word that makes them count, with marks in the ring or not.
 */
static void killed_before(t_env *env, bool marked)
{
    scene s;
    if (!begin(env, &s)) return;
    say(s.log, 0, 3);
    drain(&s);
    say(s.log, 3, 6);
    const uint64_t reader = s.d->state.reader, batch = s.d->state.batch;
    lmn_logring_mem *m = s.log->ring.mem;
    const int slot = m->mark[1].batch > m->mark[0].batch;
    lamina_logd_close(s.d);
    append(s.out, "{\"msg\":\"n3.\"}\n{\"msg\":\"n4.\"}\n{\"msg\":\"n5");
    if (marked) m->mark[!slot] = (lmn_logmark){reader, batch + 1, 6, 0, 0};
    for (int again = 0; again < 3; again++) { /* nor do later collectors take it for true */
        if (!open_logd(&s)) return;
        if (again == 1) drain(&s);
        lamina_logd_close(s.d);
    }
    if (!open_logd(&s)) return;
    drain(&s);
    expect(&s, 0, 6, true);
    say(s.log, 6, 8);
    drain(&s);
    expect(&s, 0, 8, true);
    end(&s);
}

static void test_killed_before_marks(t_env *env)
{
    killed_before(env, false);
}

static void test_killed_after_marks(t_env *env)
{
    killed_before(env, true);
}

/* Killed after the word, before the writer was told: its full ring must not stay full. */
static void test_killed_before_heads(t_env *env)
{
    scene s;
    if (!begin(env, &s)) return;
    say(s.log, 0, 64);
    T_EQ(lamina_log(s.log, LAMINA_LOG_INFO, "no room"), LAMINA_E_AGAIN);
    drain(&s);
    lamina_logd_close(s.d);
    lmn_atomic_store(&s.log->ring.mem->head, 0, relaxed);
    T_EQ(lamina_log(s.log, LAMINA_LOG_INFO, "no room"), LAMINA_E_AGAIN);
    if (!open_logd(&s)) return;
    drain(&s);
    say(s.log, 64, 70);
    drain(&s);
    expect(&s, 0, 70, false);
    lamina_logd_stats st = {.size = sizeof st};
    lamina_logd_stats_get(s.d, &st);
    T_EQ(st.records, 6);
    T_EQ(st.dropped, 1); /* the other one was told before */
    end(&s);
}

/* The state is gone: nothing can be cut, but what was given back is not written again. */
static void test_state_lost(t_env *env)
{
    scene s;
    char path[300];
    if (!begin(env, &s)) return;
    say(s.log, 0, 3);
    drain(&s);
    lamina_logd_close(s.d);
    T_EQ(remove(t_path(env, ".logd-state", path, sizeof path)), 0);
    say(s.log, 3, 5);
    if (!open_logd(&s)) return;
    drain(&s);
    expect(&s, 0, 5, true);
    lamina_logd_close(s.d);
    (void)t_write(env, ".logd-state", "short", 5, path, sizeof path); /* or torn */
    say(s.log, 5, 7);
    if (!open_logd(&s)) return;
    drain(&s);
    expect(&s, 0, 7, true);
    end(&s);
}

/* The machine went down: the state may be older than the file, so nothing is cut; a line without an
 * end gets one. */
static void test_other_boot(t_env *env)
{
    scene s;
    if (!begin(env, &s)) return;
    say(s.log, 0, 3);
    drain(&s);
    s.d->state.mem->boot[0] ^= 1;
    lamina_logd_close(s.d);
    append(s.out, "{\"msg\":\"n3.\"}\n{\"torn");
    say(s.log, 4, 5);
    if (!open_logd(&s)) return;
    drain(&s);
    expect(&s, 0, 4, false);
    expect(&s, 4, 5, false);
    char text[2000] = "";
    FILE *f = fopen(s.out, "rb");
    if (f) text[fread(text, 1, sizeof text - 1, f)] = 0;
    if (f) (void)fclose(f);
    T_CHECK(strstr(text, "{\"torn\n{\"time\""));
    end(&s);
}

/* Two rings: by time, although one is read before the other. */
static void test_order(t_env *env)
{
    scene s;
    lamina_logger *two;
    if (!begin(env, &s) || !open_log(&s, "two", &two)) return;
    for (int i = 0; i < 20; i++) say(i % 3 ? s.log : two, i, i + 1);
    drain(&s);
    expect(&s, 0, 20, true);
    lamina_logger_close(two);
    drain(&s);
    lamina_logd_stats st = {.size = sizeof st};
    lamina_logd_stats_get(s.d, &st);
    T_EQ(st.rings, 1);
    T_EQ(st.removed, 1);
    end(&s);
}

/* With a window that no test lives to see the end of. */
static bool begin_windowed(t_env *env, scene *s)
{
    lamina_error err;
    *s = (scene){.env = env};
    (void)t_path(env, "out.log", s->out, sizeof s->out);
    const lamina_logd_opts o = {
        .size = sizeof o, .dir = env->dir, .out = s->out, .window_ms = 60000};
    return open_log(s, "one", &s->log) && T_OK_ERR(lamina_logd_open(&o, &s->d, &err), &err);
}

/* A step keeps what is younger than the window; a drain does not. */
static void test_window(t_env *env)
{
    scene s;
    lamina_error err;
    if (!begin_windowed(env, &s)) return;
    say(s.log, 0, 3);
    T_OK_ERR(lamina_logd_step(s.d, 0, &err), &err);
    expect(&s, 0, 0, true);
    say(s.log, 3, 40); /* more than half of the ring */
    T_OK_ERR(lamina_logd_step(s.d, 0, &err), &err);
    expect(&s, 0, 40, true);
    say(s.log, 40, 41);
    drain(&s);
    expect(&s, 0, 41, true);
    end(&s);
}

/* A ring that the window holds back is no reason to look again at once, and again. */
static void test_naps(t_env *env)
{
    scene s;
    lamina_error err;
    if (!begin_windowed(env, &s)) return;
    say(s.log, 0, 30); /* nearly half of the ring */
    const uint64_t from = lmn_now_ns();
    for (int i = 0; i < 10; i++) T_OK_ERR(lamina_logd_step(s.d, 20, &err), &err);
    T_CHECK(lmn_now_ns() - from > 50 * LMN_MS);
    expect(&s, 0, 0, true);
    end(&s);
}

/* The ring of a writer that died in the middle of one record. */
static void test_died_in_the_middle(t_env *env)
{
    scene s;
    uint64_t at;
    if (!begin(env, &s)) return;
    say(s.log, 0, 2);
    T_CHECK(lmn_logring_take(&s.log->ring, 3, &at));
    say(s.log, 2, 4);
    drain(&s);
    expect(&s, 0, 2, true); /* it may still finish */
    lamina_logger_close(s.log);
    s.log = NULL;
    drain(&s);
    expect(&s, 0, 4, false);
    lamina_logd_stats st = {.size = sizeof st};
    lamina_logd_stats_get(s.d, &st);
    T_EQ(st.unfinished, 3);
    T_EQ(st.removed, 1);
    end(&s);
}

/* Words and marks that no writer and no collector of ours wrote. */
static void test_spoiled(t_env *env)
{
    scene s;
    lamina_logger *two;
    if (!begin(env, &s) || !open_log(&s, "two", &two)) return;
    say(s.log, 0, 2);
    say(two, 2, 3);
    lmn_logring_mem *m = s.log->ring.mem;
    lmn_atomic_store(&m->cell[2].word, 3 << 8 | 200, relaxed); /* 200 cells */
    lmn_atomic_store(&m->tail, UINT64_MAX, relaxed);
    drain(&s);
    say(two, 3, 4);
    drain(&s);
    expect(&s, 0, 4, false);
    lamina_logd_stats st = {.size = sizeof st};
    lamina_logd_stats_get(s.d, &st);
    T_EQ(st.corrupt, 1);
    lamina_logger_close(two);
    end(&s);
}

T_MAIN(T_TEST(test_killed_before_marks), T_TEST(test_killed_after_marks),
       T_TEST(test_killed_before_heads), T_TEST(test_state_lost), T_TEST(test_other_boot),
       T_TEST(test_order), T_TEST(test_window), T_TEST(test_naps), T_TEST(test_died_in_the_middle),
       T_TEST(test_spoiled))
