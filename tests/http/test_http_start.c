/*
 * The server's start and end: addresses of every kind, sockets that were passed, what cannot be
 * listened at, drain, stop.
 */
#include "http_rig.h"

#define MS UINT64_C(1000000)

static void test_drain(t_env *env)
{
    rig g;
    char body[4096];
    lmn_http_stats stats;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 2));
    const int idle = rig_connect(&g), busy = rig_connect(&g), next = rig_connect(&g);
    T_CHECK(rig_say(busy, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_CHECK(rig_say(next, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_EQ(rig_answer_of(next, body, sizeof body), 200);
    const uint64_t answered = lmn_now_ns();
    RIG_UNTIL(lmn_http_in_flight(g.server) == 1);
    lmn_http_drain(g.server);
    T_CHECK(rig_say(next, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n")); /* was on its way */
    const bool late = lmn_now_ns() - answered > 100 * MS; /* may have been idle for too long */
    T_CHECK(rig_read_all(next, body, sizeof body) > 0 || late);
    T_CHECK(late || strstr(body, "Connection: close\r\n") != NULL);
    T_EQ(rig_ends_with(idle), 0);
    T_CHECK(rig_connect(&g) < 0);
    atomic_store(&g.let_go, 1);
    T_CHECK(rig_read_all(busy, body, sizeof body) > 0);
    T_CHECK(strstr(body, "Connection: close\r\n") != NULL);
    close(next);
    close(busy);
    do lmn_http_get_stats(g.server, &stats);
    while (stats.open);
    rig_stop(&g);
}

static void test_stop_cuts(t_env *env)
{
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    const int fd = rig_connect(&g), half = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /hold HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_CHECK(rig_say(half, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nabc"));
    RIG_UNTIL(lmn_http_in_flight(g.server) == 2);
    atomic_store(&g.let_go, 1);
    RIG_UNTIL(lmn_http_in_flight(g.server) == 1); /* the other's body never comes */
    atomic_store(&g.stop, true);
    lmn_thread_join(&g.worker);
    lmn_http_stop(g.server);
    free(g.big);
    close(half);
    close(fd);
}

static void test_unix(t_env *env)
{
    rig g;
    char path[300], where[320], body[64];
    snprintf(where, sizeof where, "unix:%s", t_path(env, "socket", path, sizeof path));
    for (int i = 0; i < 2; i++) { /* again at the same path */
        T_REQUIRE(rig_start(&g, env, where, NULL, 2));
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        memcpy(a.sun_path, path, strlen(path) + 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        T_EQ(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        T_CHECK(rig_say(fd, "POST /later HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"));
        T_EQ(rig_answer_of(fd, body, sizeof body), 200);
        close(fd);
        T_EQ(lmn_http_port(g.server, 0), 0);
        rig_stop(&g);
        T_CHECK(access(path, F_OK) != 0);
    }
}

/* As systemd does it; two addresses of one server, told apart by their index. */
static void test_passed_socket(t_env *env)
{
    lmn_http_server *s;
    lamina_error err;
    char where[32];
    rig g = {.env = env};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    const int passed = socket(AF_INET, SOCK_STREAM, 0);
    T_REQUIRE(bind(passed, (struct sockaddr *)&a, n) == 0 && listen(passed, 16) == 0);
    getsockname(passed, (struct sockaddr *)&a, &n);
    snprintf(where, sizeof where, "fd:%d", passed);
    const lmn_http_listen listen2[2] = {{.where = "127.0.0.1:0"}, {.where = where}};
    const lmn_http_handler handler = {.ctx = &g, .request = rig_request};
    const lmn_http_server_opts opts = {
        .listen = listen2, .n_listen = 2, .n_loops = 2, .handler = &handler};
    T_REQUIRE(T_OK_ERR(lmn_http_start(&env->alloc, &opts, &s, &err), &err));
    T_EQ(lmn_http_port(s, 1), ntohs(a.sin_port));
    T_CHECK(lmn_http_port(s, 0) != 0 && lmn_http_port(s, 0) != lmn_http_port(s, 1));
    T_EQ(lmn_http_port(s, 2), 0);
    g.server = s;
    for (int i = 0; i < 20; i++) {
        const int fd = socket(AF_INET, SOCK_STREAM, 0);
        a.sin_port = htons(lmn_http_port(s, (uint32_t)i % 2));
        T_EQ(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        T_CHECK(rig_say(fd, "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
        T_EQ(rig_ends_with(fd), 200);
    }
    lmn_http_drain(s);
    RIG_UNTIL(fcntl(passed, F_GETFD) < 0); /* the last loop closes it */
    lmn_http_stop(s);
}

static lamina_status refuse_begin(void *ctx, lmn_http_loop *loop, void **user, lamina_error *err)
{
    (void)ctx, (void)loop, (void)user;
    return lmn_fail(err, LAMINA_E_STATE, "not today");
}

static void test_start_errors(t_env *env)
{
    static const char *const bad[] = {"",        "nonsense", "1.2.3.4.5:1", "127.0.0.1:70000",
                                      "[::1:80", "host:80",  "fd:999",      "fd:x",
                                      "fd:0",    "unix:",    "127.0.0.1:",  ":80"};
    lmn_http_server *s;
    lamina_error err;
    lmn_http_listen where;
    lmn_http_handler handler = {.request = rig_request};
    lmn_http_server_opts opts = {.listen = &where, .n_listen = 1, .handler = &handler};
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        T_CASE(bad[i]);
        where = (lmn_http_listen){.where = bad[i]};
        T_EQ(lmn_http_start(&env->alloc, &opts, &s, &err), LAMINA_E_INVALID);
    }
    T_CASE(NULL);
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 2));
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", lmn_http_port(g.server, 0));
    where.where = taken;
    T_EQ(lmn_http_start(&env->alloc, &opts, &s, &err), LAMINA_E_BUSY);
    opts.n_loops = 2;
    T_EQ(lmn_http_start(&env->alloc, &opts, &s, &err), LAMINA_E_BUSY);
    rig_stop(&g);
    where.where = "127.0.0.1:0";
    handler.begin = refuse_begin;
    T_EQ(lmn_http_start(&env->alloc, &opts, &s, &err), LAMINA_E_STATE);
    T_CHECK(strstr(err.msg, "not today") != NULL);
    opts.n_listen = 0;
    T_EQ(lmn_http_start(&env->alloc, &opts, &s, &err), LAMINA_E_INVALID);
}

/* Every allocation of a start fails in turn; nothing is held. */
static void test_start_without_memory(t_env *env)
{
    lmn_http_server *s = NULL;
    const lmn_http_listen where = {.where = "127.0.0.1:0"};
    const lmn_http_handler handler = {.request = rig_request};
    const lmn_http_server_opts opts = {
        .listen = &where, .n_listen = 1, .n_loops = 2, .handler = &handler};
    for (int nth = 1; nth < 100; nth++) {
        t_fail_alloc(env, nth);
        const lamina_status st = lmn_http_start(&env->alloc, &opts, &s, NULL);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        if (st == LAMINA_OK) lmn_http_stop(s);
        T_CHECK(over == (st == LAMINA_OK));
        T_NOTHING_HELD(env);
        if (over) break;
    }
}

T_MAIN(T_TEST(test_drain), T_TEST(test_stop_cuts), T_TEST(test_unix), T_TEST(test_passed_socket),
       T_TEST(test_start_errors), T_TEST(test_start_without_memory))
