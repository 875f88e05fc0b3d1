/*
 * What clients do to a server, at random and from several threads: requests in pieces, answers half
 * read, resets and half closes in every state, garbage. Afterwards no request is open, every piece
 * was released once, and the server still answers. Also: every allocation of a request fails once.
 */
#include "http_rig.h"

enum { CLIENTS = 4 };

typedef struct client {
    rig *g;
    uint64_t rng;
    lmn_thread thread;
} client;

static uint64_t next(client *c)
{
    uint64_t z = c->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t write_request(client *c, char *out)
{
    static const char *const paths[] = {"echo", "later", "head", "small", "big", "stream", "flood"};
    const char *path = paths[next(c) % T_COUNT(paths)];
    const size_t n = next(c) % 3 == 0 ? next(c) % 20000 : next(c) % 20;
    size_t at;
    if (next(c) % 3 == 0) {
        at = (size_t)sprintf(
            out, "POST /%s HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", path);
        for (size_t left = n; left;) {
            const size_t k = 1 + next(c) % left;
            at += (size_t)sprintf(out + at, "%zx\r\n", k);
            memset(out + at, 'c', k);
            at += k;
            at += (size_t)sprintf(out + at, "\r\n");
            left -= k;
        }
        return at + (size_t)sprintf(out + at, "0\r\n\r\n");
    }
    at = (size_t)sprintf(out, "%s /%s HTTP/1.%d\r\nHost: a\r\n%sContent-Length: %zu\r\n\r\n",
                         next(c) % 8 ? "POST" : "HEAD", path, next(c) % 8 ? 1 : 0,
                         next(c) % 8 ? "" : "Connection: close\r\n", n);
    memset(out + at, 'b', n);
    at += n;
    if (next(c) % 16 == 0) out[next(c) % at] = (char)next(c);
    return at;
}

static void visit(client *c, char *out, char *in)
{
    const int fd = rig_connect(c->g);
    size_t n = 0;
    if (fd < 0) return;
    for (uint64_t k = 1 + next(c) % 3; k > 0; k--) n += write_request(c, out + n);
    if (next(c) % 4 == 0) n = next(c) % n; /* not all of it */
    for (size_t at = 0; at < n;) {
        const size_t k = next(c) % 2 ? n - at : 1 + next(c) % (n - at);
        if (!rig_send(fd, out + at, k)) break;
        at += k;
    }
    if (next(c) % 4 == 0) shutdown(fd, SHUT_WR);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    for (uint64_t k = next(c) % 4; k > 0 && poll(&p, 1, 20) > 0; k--)
        if (recv(fd, in, 1 + next(c) % 65536, 0) <= 0) break;
    if (next(c) % 3 == 0) {
        const struct linger now = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    close(fd);
}

static void *run_client(void *arg)
{
    client *c = arg;
    char *out = malloc(1 << 20), *in = malloc(65536);
    const uint64_t end = lmn_now_ns() + 1500000000u;
    for (int i = 0; i < 3000 && lmn_now_ns() < end; i++) visit(c, out, in);
    free(out);
    free(in);
    return NULL;
}

static void test_soak(t_env *env)
{
    const lmn_http_limits limits = {.buffer_bytes = 64 << 20, .body_bytes = 1 << 20};
    static client clients[CLIENTS];
    char body[64];
    rig g;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", &limits, 2));
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){.g = &g, .rng = t_rand(env)};
        T_REQUIRE(lmn_thread_start(&clients[i].thread, run_client, &clients[i]) == LAMINA_OK);
    }
    for (int i = 0; i < CLIENTS; i++) lmn_thread_join(&clients[i].thread);
    const int fd = rig_connect(&g);
    T_CHECK(rig_say(fd, "GET /later HTTP/1.1\r\nHost: a\r\n\r\n"));
    T_EQ(rig_answer_of(fd, body, sizeof body), 200);
    close(fd);
    lmn_http_stats stats;
    RIG_UNTIL((lmn_http_get_stats(g.server, &stats), stats.open == 0));
    T_EQ(lmn_http_in_flight(g.server), 0);
    T_EQ(atomic_load(&g.n_released), atomic_load(&g.n_pieces));
    printf("%llu requests, %llu resets, %llu x 400\n", (unsigned long long)stats.requests,
           (unsigned long long)stats.reset, (unsigned long long)stats.refused[400]);
    T_CHECK(stats.requests > 20 && stats.reset > 0);
    rig_stop(&g);
}

/* Ask without a pause until an answer says that it was the last. */
static void *ask_until_closed(void *arg)
{
    client *c = arg;
    char head[4096];
    uint64_t answered = 0;
    bool late = false;
    const int fd = rig_connect(c->g);
    for (;;) {
        const char *ask = next(c) % 2 ? "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
                                      : "GET /later HTTP/1.1\r\nHost: a\r\n\r\n";
        size_t n = 0;
        late = answered && lmn_now_ns() - answered > 100000000; /* idle, as the server sees it */
        if (!rig_say(fd, ask)) break;
        do {
            const ssize_t k = rig_recv(fd, head + n, sizeof head - 1 - n);
            if (k <= 0)
                n = sizeof head; /* cut */
            else
                n += (size_t)k;
        } while (n < 4 || (n < sizeof head && memcmp(head + n - 4, "\r\n\r\n", 4) != 0));
        if (n >= sizeof head) break;
        head[n] = 0;
        answered = lmn_now_ns();
        if (strstr(head, "Connection: close\r\n")) {
            close(fd);
            return NULL;
        }
    }
    if (!late) atomic_fetch_add(&c->g->n_cut, 1);
    close(fd);
    return NULL;
}

/* A server that drains cuts nobody, however busy. */
static void test_drain_cuts_nobody(t_env *env)
{
    enum { N = 16 };
    static client clients[N];
    rig g;
    lmn_http_stats stats;
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 2));
    for (int i = 0; i < N; i++) {
        clients[i] = (client){.g = &g, .rng = t_rand(env)};
        T_REQUIRE(lmn_thread_start(&clients[i].thread, ask_until_closed, &clients[i]) == LAMINA_OK);
    }
    RIG_UNTIL((lmn_http_get_stats(g.server, &stats), stats.requests > 500 && stats.open == N));
    lmn_http_drain(g.server);
    for (int i = 0; i < N; i++) lmn_thread_join(&clients[i].thread);
    RIG_UNTIL((lmn_http_get_stats(g.server, &stats), stats.open == 0));
    T_EQ(atomic_load(&g.n_cut), 0);
    rig_stop(&g);
}

/* The server answers as if nothing was, answers 503, or closes; it holds nothing afterwards. */
static void test_without_memory(t_env *env)
{
    static const char *const asks[] = {
        "GET /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        ("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
         "3\r\nabc\r\n0\r\n\r\n"),
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 5000\r\n\r\n"};
    static char text[8192], all[8192];
    for (size_t i = 0; i < T_COUNT(asks); i++)
        for (int nth = 1; nth < 20; nth++) {
            rig g;
            T_CASE(asks[i]);
            T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
            t_fail_alloc(env, nth);
            const int fd = rig_connect(&g);
            memset(text, 'x', sizeof text);
            memcpy(text, asks[i], strlen(asks[i]));
            (void)rig_send(fd, text, strlen(asks[i]) + (i == 3 ? 5000 : 0));
            const ssize_t n = rig_read_all(fd, all, sizeof all);
            const bool over = t_fail_pending(env);
            t_fail_alloc(env, 0);
            T_CHECK(n != -2);
            T_CHECK(n <= 0 || strncmp(all, "HTTP/1.1 200", 12) == 0 ||
                    strncmp(all, "HTTP/1.1 503", 12) == 0);
            close(fd);
            rig_stop(&g);
            T_EQ(atomic_load(&g.n_released), atomic_load(&g.n_pieces));
            if (over) {
                T_CHECK(n > 0);
                break;
            }
        }
}

T_MAIN(T_TEST(test_soak), T_TEST(test_drain_cuts_nobody), T_TEST(test_without_memory))
