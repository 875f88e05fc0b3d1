/*
 * The server over loopback: keep-alive, pipelines, bodies in every cut, answers larger than a
 * socket holds, streams, other threads, time limits, half-closed and vanished clients.
 * Where time matters the limits are made small, and what is waited for is an event, not a moment.
 */
#include "http_rig.h"

#define MS UINT64_C(1000000)

static void test_keep_alive(t_env *env)
{
    rig g;
    char body[4096];
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    const int fd = rig_connect(&g);
    for (int i = 0; i < 50; i++) {
        T_CHECK(rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
        T_EQ(rig_answer_of(fd, body, sizeof body), 200);
        T_STR_EQ(body, "hello");
    }
    T_CHECK(rig_say(fd, "HEAD /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    char head[512];
    ssize_t n = rig_recv(fd, head, sizeof head - 1);
    T_CHECK(n > 0);
    head[n > 0 ? n : 0] = 0;
    T_CHECK(strstr(head, "Content-Length: 8388608\r\n") && strstr(head, "X-Rig: yes\r\n"));
    T_CHECK(strstr(head, "Date: ") && strcmp(head + n - 4, "\r\n\r\n") == 0);
    T_CHECK(rig_say(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    n = rig_recv(fd, head, sizeof head - 1);
    head[n > 0 ? n : 0] = 0;
    T_CHECK(strstr(head, "Connection: keep-alive\r\n") != NULL);
    T_CHECK(rig_say(fd, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    T_CHECK(rig_read_all(fd, head, sizeof head) > 0);
    T_CHECK(strstr(head, "Connection: close\r\n") != NULL);
    close(fd);
    lmn_http_stats stats;
    lmn_http_get_stats(g.server, &stats);
    T_EQ(stats.requests, 53);
    T_EQ(stats.accepted, 1);
    T_EQ(atomic_load(&g.n_released), 53);
    rig_stop(&g);
    T_EQ(atomic_load(&g.n_begun), 1);
    T_EQ(atomic_load(&g.n_ended), 1);
}

static void test_pipeline(t_env *env)
{
    enum { N = 400 };
    static char all[N * 80], body[64];
    rig g;
    size_t n = 0;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    for (int i = 0; i < N; i++)
        n += (size_t)sprintf(all + n,
                             "POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n%03d",
                             i % 7 == 0 ? "later" : "echo", i);
    const int fd = rig_connect(&g);
    T_CHECK(rig_send(fd, all, n));
    for (int i = 0; i < N; i++) {
        T_EQ(rig_answer_of(fd, body, sizeof body), 200);
        T_EQ(atoi(body), i);
    }
    T_CHECK(atomic_load(&g.n_turns) >= N); /* one a turn: others are not kept waiting */
    close(fd);
    rig_stop(&g);
}

/* A loop that rests between turns: its small answers leave together at the end of one. */
static void test_rest(t_env *env)
{
    enum { N = 12 };
    static const char small[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                                "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
    static const char mixed[] = "POST /head HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                                "GET /big HTTP/1.1\r\nHost: a\r\n\r\n";
    rig g;
    int fd[N];
    char *text = malloc(RIG_BIG + 1);
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    atomic_store(&g.rest_ns, 2000000);
    for (int i = 0; i < N; i++) fd[i] = rig_connect(&g);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++) T_CHECK(rig_say(fd[i], i % 4 ? small : mixed));
        for (int i = 0; i < N; i++) {
            T_EQ(rig_answer_of(fd[i], text, RIG_BIG + 1), i % 4 ? 200 : 401);
            T_STR_EQ(text, i % 4 ? "hello" : "no");
            T_EQ(rig_answer_of(fd[i], text, RIG_BIG + 1), 200);
            T_EQ(strlen(text), i % 4 ? 0 : RIG_BIG);
        }
    }
    for (int i = 0; i < N; i++) {
        T_CHECK(rig_say(fd[i], i % 2 ? "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                                     : "GET /echo HTTP/9.9\r\n\r\n"));
        if (i % 3) T_CHECK(rig_read_all(fd[i], text, RIG_BIG) > 0);
        close(fd[i]); /* every third before its answer */
    }
    rig_stop(&g);
    T_EQ(atomic_load(&g.n_released), atomic_load(&g.n_pieces));
    free(text);
}

/* What a time limit answers does not wait for a turn that nobody else asks for. */
static void test_rest_limits(t_env *env)
{
    const lmn_http_limits limits = {.header_ns = 100 * MS, .stall_ns = 100 * MS};
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", &limits, 1));
    atomic_store(&g.rest_ns, 1000000);
    int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /echo HT"));
    T_EQ(rig_ends_with(fd), 408);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"));
    T_EQ(rig_ends_with(fd), 408);
    rig_stop(&g);
}

/* Small answers wait while the handler holds them, and for nothing that ends it. */
static void test_hold(t_env *env)
{
    enum { N = 5 };
    static const char echo[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n7";
    static const char *end[] = {"GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
                                "GET /big HTTP/1.1\r\nHost: a\r\n\r\n", NULL, NULL};
    char *text = malloc(RIG_BIG + 1);
    for (int how = 0; how < 4; how++) {
        rig g;
        int fd[N];
        T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
        atomic_store(&g.hold, true);
        for (int i = 0; i < N; i++) fd[i] = rig_connect(&g);
        RIG_UNTIL(atomic_load(&g.n_turns) > 1000); /* they are taken in, and it holds */
        for (int i = 0; i < N - 1; i++) T_CHECK(rig_say(fd[i], echo));
        const int seen = atomic_load(&g.n_turns);
        RIG_UNTIL(atomic_load(&g.n_turns) > seen + 1000);
        struct pollfd p = {.fd = fd[0], .events = POLLIN};
        T_EQ(poll(&p, 1, 20), 0);
        if (end[how]) {
            T_CHECK(rig_say(fd[N - 1], end[how]));
            T_EQ(rig_answer_of(fd[N - 1], text, RIG_BIG + 1), 200);
            if (how == 1) T_EQ(poll(&p, 1, 20), 0); /* a large one goes alone */
        }
        if (how == 3) rig_stop(&g);
        if (how == 1 || how == 2) atomic_store(&g.hold, false);
        for (int i = 0; i < N - 1; i++) {
            T_EQ(rig_answer_of(fd[i], text, RIG_BIG + 1), 200);
            T_STR_EQ(text, "7");
        }
        for (int i = 0; i < N; i++) close(fd[i]);
        if (how != 3) rig_stop(&g);
    }
    free(text);
}

/* Many held answers leave, and a server that drains holds none; who has left meanwhile is no
   matter, and who asks twice is answered twice. */
static void test_hold_ends(t_env *env)
{
    enum { MANY = 32, FEW = 6, N = MANY + FEW }; /* MANY: what a loop gathers */
    static const char twice[] = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n7"
                                "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n8";
    rig g;
    int fd[N];
    char text[64];
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    atomic_store(&g.hold, true);
    for (int i = 0; i < N; i++) fd[i] = rig_connect(&g);
    RIG_UNTIL(atomic_load(&g.n_turns) > 1000);
    for (int i = 0; i < FEW; i++) T_CHECK(rig_say(fd[i], twice));
    int seen = atomic_load(&g.n_turns);
    RIG_UNTIL(atomic_load(&g.n_turns) > seen + 1000);
    struct pollfd p = {.fd = fd[1], .events = POLLIN};
    T_EQ(poll(&p, 1, 20), 0);
    close(fd[0]);
    for (int i = FEW; i < N; i++) T_CHECK(rig_say(fd[i], twice));
    for (int i = 1; i < N; i++) { /* first answers of all but the last, which may wait again */
        p.fd = fd[i];
        if (i >= MANY - 1 && !poll(&p, 1, 0)) continue;
        T_EQ(rig_answer_of(fd[i], text, sizeof text), 200);
        T_STR_EQ(text, "7");
        fd[i] = -fd[i];
    }
    const int late = rig_connect(&g);
    T_CHECK(rig_say(late, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"));
    seen = atomic_load(&g.n_turns);
    RIG_UNTIL(atomic_load(&g.n_turns) > seen + 1000);
    p.fd = late;
    T_EQ(poll(&p, 1, 20), 0);
    lmn_http_drain(g.server);
    T_EQ(rig_answer_of(late, text, sizeof text), 200);
    close(late);
    for (int i = 1; i < N; i++) {
        for (int k = fd[i] < 0; k < 2; k++) {
            T_EQ(rig_answer_of(abs(fd[i]), text, sizeof text), 200);
            T_STR_EQ(text, k ? "8" : "7");
        }
        close(abs(fd[i]));
    }
    rig_stop(&g);
}

/* A loop that awaits a task looks at no socket until there is one, or the time is over. */
static void test_await(t_env *env)
{
    static const char echo[] = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";
    rig g;
    char body[64];
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    const int held = rig_connect(&g), other = rig_connect(&g);
    atomic_store(&g.await_ns, 20000000); /* while a request is held */
    T_CHECK(rig_say(held, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(lmn_http_in_flight(g.server) == 1);
    T_CHECK(rig_say(other, echo));
    T_EQ(rig_answer_of(other, body, sizeof body), 200); /* the time was over */
    atomic_store(&g.await_ns, 60000000000u);
    struct pollfd p = {.fd = other, .events = POLLIN};
    T_CHECK(rig_say(other, echo)); /* it awaits for long from the end of the turn before, or this */
    if (poll(&p, 1, 50) == 1) {
        T_EQ(rig_answer_of(other, body, sizeof body), 200);
        T_CHECK(rig_say(other, echo));
        T_EQ(poll(&p, 1, 50), 0);
    }
    atomic_store(&g.let_go, 1); /* posts a task */
    T_EQ(rig_answer_of(held, body, sizeof body), 200);
    T_EQ(rig_answer_of(other, body, sizeof body), 200);
    close(held);
    close(other);
    rig_stop(&g);
}

/* Bodies of sizes about every buffer's edge, in cuts of every kind, declared and chunked. */
static void test_bodies(t_env *env)
{
    static const size_t sizes[] = {0, 1, 3900, 3950, 4000, 4096, 5000, 65536, 1 << 20, 9 << 20};
    static const size_t cuts[] = {1, 100, 4096, 1 << 24};
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    uint8_t *body = malloc(10 << 20);
    char *back = malloc(10 << 20), head[128];
    for (size_t i = 0; i < (size_t)10 << 20; i++) body[i] = (uint8_t)(t_rand(env) % 26 + 'a');
    const int fd = rig_connect(&g);
    for (size_t s = 0; s < T_COUNT(sizes); s++)
        for (size_t k = 0; k < T_COUNT(cuts); k++) {
            const size_t n = sizes[s], cut = cuts[k];
            if (n / cut > 6000) continue;
            sprintf(head, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", n);
            T_CHECK(rig_say(fd, head));
            for (size_t at = 0; at < n; at += cut)
                T_CHECK(rig_send(fd, body + at, n - at < cut ? n - at : cut));
            T_EQ(rig_answer_of(fd, back, 10 << 20), 200);
            T_MEM_EQ(body, back, n);
            T_CHECK(rig_say(
                fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"));
            for (size_t at = 0; at < n; at += cut) {
                const size_t one = n - at < cut ? n - at : cut;
                sprintf(head, "%zx\r\n", one);
                T_CHECK(rig_say(fd, head) && rig_send(fd, body + at, one) && rig_say(fd, "\r\n"));
            }
            T_CHECK(rig_say(fd, "0\r\n\r\n"));
            T_EQ(rig_answer_of(fd, back, 10 << 20), 200);
            T_MEM_EQ(body, back, n);
        }
    close(fd);
    free(body);
    free(back);
    rig_stop(&g);
}

/* The answer is larger than what the socket holds; pieces are released once. */
static void test_big_answers(t_env *env)
{
    rig g;
    char *back = malloc(RIG_BIG + 1);
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    const int fd = rig_connect(&g);
    T_CHECK(
        rig_say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\nGET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    for (int i = 0; i < 2; i++) {
        T_EQ(rig_answer_of(fd, back, RIG_BIG + 1), 200);
        T_EQ(strlen(back), RIG_BIG);
    }
    T_CHECK(rig_say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_CHECK(rig_recv(fd, back, 1) == 1);
    close(fd); /* in the middle */
    RIG_UNTIL(atomic_load(&g.n_released) == 3);
    free(back);
    rig_stop(&g);
}

static void test_stream(t_env *env)
{
    char all[8192];
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"
                        "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    T_CHECK(rig_read_all(fd, all, sizeof all) > 0);
    T_CHECK(strstr(all, "Transfer-Encoding: chunked\r\n") != NULL);
    T_CHECK(strstr(all, "\r\n9\r\ndata: 0\n\n\r\n9\r\ndata: 1\n\n\r\n") != NULL);
    T_CHECK(strstr(all, "data: 9\n\n\r\n0\r\n\r\nHTTP/1.1 200 OK") != NULL);
    close(fd);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    T_CHECK(rig_read_all(fd, all, sizeof all) > 0); /* ends with the connection */
    T_CHECK(strstr(all, "\r\n\r\ndata: 0\n\ndata: 1\n\n") && strstr(all, "close"));
    close(fd);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /flood HTTP/1.1\r\nHost: a\r\n\r\n"));
    lmn_http_stats stats; /* a reader that does not read is dropped, not waited for */
    do {
        usleep(1000);
        lmn_http_get_stats(g.server, &stats);
    } while (stats.reset == 0);
    close(fd);
    rig_stop(&g);
}

/* Wait for the end of a connection and tell the first status on the way; 0: none. */
static void test_time_limits(t_env *env)
{
    const lmn_http_limits limits = {
        .header_ns = 100 * MS, .idle_ns = 700 * MS, .stall_ns = 100 * MS};
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", &limits, 1));
    int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /echo HT"));
    T_EQ(rig_ends_with(fd), 408);
    fd = rig_connect(&g);
    for (int i = 0; i < 200 && rig_send(fd, "G", 1); i++) usleep(2000); /* slowloris */
    T_EQ(rig_ends_with(fd), 408);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel"));
    T_EQ(rig_ends_with(fd), 408);
    fd = rig_connect(&g);
    T_CHECK(
        rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"));
    T_EQ(rig_ends_with(fd), 408);
    fd = rig_connect(&g);
    T_EQ(rig_ends_with(fd), 0); /* idle: nothing to say */
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_EQ(rig_ends_with(fd), 200); /* idle after an answer */
    fd = rig_connect(&g);         /* a reader that stops */
    T_CHECK(rig_say(fd, "GET /big HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(atomic_load(&g.n_released) == 2);
    close(fd);
    lmn_http_stats stats;
    lmn_http_get_stats(g.server, &stats);
    T_EQ(stats.refused[408], 4);
    T_CHECK(stats.timed_out >= 5);
    rig_stop(&g);
}

static void test_half_closed(t_env *env)
{
    rig g;
    char all[1024];
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    int fd;
    bool served = false;
    for (int i = 0; i < 20 && !served; i++) { /* printf ... | nc -N; the end may come too late */
        fd = rig_connect(&g);
        T_CHECK(rig_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                            "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"));
        shutdown(fd, SHUT_WR);
        served = rig_read_all(fd, all, sizeof all) > 0 && strstr(all + 9, "HTTP/1.1 200") != NULL;
        close(fd);
    }
    T_CHECK(served);
    fd = rig_connect(&g); /* a request that is not all there */
    T_CHECK(rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"));
    shutdown(fd, SHUT_WR);
    T_EQ(rig_ends_with(fd), 400);
    rig_stop(&g);
}

static void test_gone(t_env *env)
{
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(lmn_http_in_flight(g.server) == 1);
    usleep(60000); /* past the time in which an end of input means no more than that */
    close(fd);
    RIG_UNTIL(atomic_load(&g.n_gone) == 1);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    RIG_UNTIL(lmn_http_in_flight(g.server) == 1);
    const struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd); /* a reset */
    RIG_UNTIL(atomic_load(&g.n_gone) == 2);
    RIG_UNTIL(lmn_http_in_flight(g.server) == 0);
    rig_stop(&g);
}

static void test_expect(t_env *env)
{
    rig g;
    char all[1024];
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        "Connection: close\r\nContent-Length: 3\r\n\r\n"));
    const ssize_t n = rig_recv(fd, all, sizeof all);
    T_CHECK(n == 25 && memcmp(all, "HTTP/1.1 100 Continue\r\n\r\n", 25) == 0);
    T_CHECK(rig_say(fd, "abc"));
    T_EQ(rig_ends_with(fd), 200);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "POST /head HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        "Content-Length: 3\r\n\r\n"));
    T_EQ(rig_ends_with(fd), 401);
    fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "POST /small HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                        "Content-Length: 11\r\n\r\n"));
    T_EQ(rig_ends_with(fd), 413);
    rig_stop(&g);
}

static void test_many_connections(t_env *env)
{
    enum { N = 1000 };
    static int fds[N];
    char body[64];
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 2));
    for (int i = 0; i < N; i++) T_REQUIRE((fds[i] = rig_connect(&g)) >= 0);
    lmn_http_stats stats;
    do lmn_http_get_stats(g.server, &stats);
    while (stats.open < N);
    const long long held = atomic_load(&env->live_bytes);
    printf("%lld bytes a connection\n", held / N);
    T_CHECK(held / N < 1024);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < N; i++)
            T_CHECK(rig_say(fds[i], round == 1 ? "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"
                                               : "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"));
        for (int i = 0; i < N; i++) T_EQ(rig_answer_of(fds[i], body, sizeof body), 200);
    }
    lmn_http_get_stats(g.server, &stats);
    T_EQ(stats.open, N);
    T_EQ(stats.requests, 3 * N);
    for (int i = 0; i < N; i++) close(fds[i]);
    rig_stop(&g);
}

static void test_connection_limit(t_env *env)
{
    const lmn_http_limits limits = {.n_connections = 2};
    char body[64];
    int fd[3];
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", &limits, 1));
    for (int i = 0; i < 3; i++) {
        fd[i] = rig_connect(&g);
        T_CHECK(rig_say(fd[i], "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"));
    }
    T_EQ(rig_answer_of(fd[0], body, sizeof body), 200);
    T_EQ(rig_answer_of(fd[1], body, sizeof body), 200);
    struct pollfd p = {.fd = fd[2], .events = POLLIN};
    T_EQ(poll(&p, 1, 100), 0); /* waits in the backlog */
    close(fd[0]);
    T_EQ(rig_answer_of(fd[2], body, sizeof body), 200);
    close(fd[1]);
    close(fd[2]);
    rig_stop(&g);
}

static void test_buffer_limit(t_env *env)
{
    const lmn_http_limits limits = {.buffer_bytes = 1 << 20};
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", &limits, 1));
    const int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\nx"));
    T_EQ(rig_ends_with(fd), 503);
    rig_stop(&g);
}

T_MAIN(T_TEST(test_keep_alive), T_TEST(test_pipeline), T_TEST(test_rest), T_TEST(test_rest_limits),
       T_TEST(test_hold), T_TEST(test_hold_ends), T_TEST(test_await), T_TEST(test_bodies),
       T_TEST(test_big_answers), T_TEST(test_stream), T_TEST(test_time_limits),
       T_TEST(test_half_closed), T_TEST(test_gone), T_TEST(test_expect),
       T_TEST(test_many_connections), T_TEST(test_connection_limit), T_TEST(test_buffer_limit))
