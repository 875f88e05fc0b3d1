/*
 * What tests of the http room share: a server whose handler does what the path says, and a raw
 * client over loopback. Paths: /echo (the body again), /later (the same, answered by another
 * thread), /head (refused with 401 at its head), /small (takes 10 bytes of body), /big (8 MiB),
 * /stream (10 events), /parts (its body again, as it comes), /flood (a stream without end), /hold
 * (answered when the rig lets go).
 */
#ifndef LMN_TESTS_HTTP_RIG_H
#define LMN_TESTS_HTTP_RIG_H

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "http/http.h"
#include "t.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define RIG_BIG ((size_t)8 << 20)

typedef struct rig_work {
    lmn_http_task task;
    lmn_http_request *r;
    struct rig_work *next;
} rig_work;

typedef struct rig {
    t_env *env;
    lmn_http_server *server;
    lmn_http_handler handler;
    uint8_t *big;
    atomic_ullong rest_ns;  /* of every turn */
    atomic_bool hold;       /* answers, turn after turn */
    atomic_ullong await_ns; /* of every turn at whose end a request is held */
    atomic_int n_pieces, n_released, n_turns, n_gone, n_begun, n_ended, let_go, n_cut;
    /* of the second thread */
    lmn_thread worker;
    bool has_worker;
    atomic_bool stop;
    lmn_mutex lock;
    rig_work *todo;
} rig;

static void rig_released(void *ctx, lmn_span bytes)
{
    rig *g = ctx;
    (void)bytes;
    atomic_fetch_add(&g->n_released, 1);
}

static inline bool rig_is(const lmn_http_request *r, const char *path)
{
    return r->path.n == strlen(path) && memcmp(r->path.p, path, r->path.n) == 0;
}

static void rig_answer(rig *g, lmn_http_request *r, uint32_t status, lmn_span body)
{
    const lmn_http_field extra = {{(const uint8_t *)"X-Rig", 5}, {(const uint8_t *)"yes", 3}};
    const lmn_http_piece piece = {body, rig_released, g};
    const lmn_http_answer a = {.status = status,
                               .content_type = "text/plain",
                               .fields = &extra,
                               .n_fields = 1,
                               .pieces = &piece,
                               .n_pieces = 1};
    atomic_fetch_add(&g->n_pieces, 1);
    lmn_http_reply(r, &a);
}

static void rig_done(lmn_http_task *task, lmn_http_loop *loop)
{
    rig_work *w = (rig_work *)(void *)task;
    rig *g = lmn_http_loop_user(loop);
    if (lmn_atomic_load(&w->r->gone, acquire)) atomic_fetch_add(&g->n_gone, 1);
    rig_answer(g, w->r, 200, w->r->body);
    free(w);
}

static rig_work *rig_take(rig *g)
{
    lmn_mutex_lock(&g->lock);
    rig_work *w = g->todo;
    if (w) g->todo = w->next;
    lmn_mutex_unlock(&g->lock);
    return w;
}

static void *rig_worker(void *arg)
{
    rig *g = arg;
    while (!atomic_load(&g->stop)) {
        rig_work *w = rig_take(g);
        if (!w) {
            usleep(200);
            continue;
        }
        while (rig_is(w->r, "/hold") && !atomic_load(&g->let_go) && !atomic_load(&g->stop) &&
               !lmn_atomic_load(&w->r->gone, acquire))
            usleep(200);
        lmn_http_post(w->r->loop, &w->task);
    }
    return NULL;
}

static void rig_later(rig *g, lmn_http_request *r)
{
    rig_work *w = calloc(1, sizeof *w);
    w->task.run = rig_done;
    w->r = r;
    lmn_mutex_lock(&g->lock);
    rig_work **at = &g->todo;
    while (*at) at = &(*at)->next;
    *at = w;
    lmn_mutex_unlock(&g->lock);
}

static void rig_stream(lmn_http_request *r, bool endless)
{
    const lmn_http_answer a = {.status = 200, .content_type = "text/event-stream"};
    char event[64 << 10];
    lamina_status st = lmn_http_stream_begin(r, &a, 1 << 20);
    memset(event, 'e', sizeof event);
    for (int i = 0; st == LAMINA_OK && (i < 10 || endless); i++) {
        if (endless) {
            st = lmn_http_stream_write(r, (lmn_span){(uint8_t *)event, sizeof event});
            continue;
        }
        const int n = snprintf(event, sizeof event, "data: %d\n\n", i);
        st = lmn_http_stream_write(r, (lmn_span){(uint8_t *)event, (size_t)n});
    }
    lmn_http_stream_end(r);
}

static void rig_request(void *ctx, lmn_http_request *r)
{
    rig *g = ctx;
    if (rig_is(r, "/later") || rig_is(r, "/hold")) {
        rig_later(g, r);
    } else if (rig_is(r, "/big")) {
        rig_answer(g, r, 200, (lmn_span){g->big, RIG_BIG});
    } else if (rig_is(r, "/stream") || rig_is(r, "/flood")) {
        rig_stream(r, rig_is(r, "/flood") && r->method != LMN_HTTP_HEAD);
    } else {
        rig_answer(g, r, 200, r->body);
    }
}

/* Up to an 'e' the next part is owed. */
static void rig_part(void *ctx, lmn_http_request *r, lmn_span bytes, bool last)
{
    (void)ctx;
    (void)lmn_http_stream_write(r, bytes);
    lmn_http_body_took(r, bytes.n);
    if (!last) lmn_http_body_owed(r, bytes.n && bytes.p[bytes.n - 1] != 'e');
    if (last) lmn_http_stream_end(r);
}

static uint64_t rig_head(void *ctx, lmn_http_request *r)
{
    rig *g = ctx;
    if (rig_is(r, "/parts")) {
        const lmn_http_answer a = {.status = 200};
        lmn_http_body_parts(r, rig_part, g);
        (void)lmn_http_stream_begin(r, &a, RIG_BIG);
        return 0;
    }
    if (rig_is(r, "/head")) {
        rig_answer(g, r, 401, (lmn_span){(const uint8_t *)"no", 2});
        return 0;
    }
    return rig_is(r, "/small") ? 10 : UINT64_MAX;
}

static lamina_status rig_begin(void *ctx, lmn_http_loop *loop, void **user, lamina_error *err)
{
    rig *g = ctx;
    (void)loop, (void)err;
    *user = g;
    atomic_fetch_add(&g->n_begun, 1);
    return LAMINA_OK;
}

static void rig_end(void *ctx, lmn_http_loop *loop, void *user)
{
    rig *g = ctx;
    (void)loop, (void)user;
    atomic_fetch_add(&g->n_ended, 1);
}

static uint64_t rig_turn(void *ctx, lmn_http_loop *loop, void *user)
{
    rig *g = ctx;
    (void)user;
    atomic_fetch_add(&g->n_turns, 1);
    if (atomic_load(&g->rest_ns)) lmn_http_rest(loop, atomic_load(&g->rest_ns));
    if (atomic_load(&g->await_ns) && lmn_http_in_flight(g->server))
        lmn_http_await(loop, atomic_load(&g->await_ns));
    const bool hold = atomic_load(&g->hold);
    lmn_http_hold(loop, hold);
    return hold ? 0 : UINT64_MAX;
}

/* A server that listens as that says; NULL limits: the defaults. */
LMN_UNUSED static bool rig_start_as(rig *g, t_env *env, lmn_http_listen listen,
                                    const struct lmn_h2_table *h2, const lmn_http_limits *limits,
                                    uint32_t n_loops)
{
    lamina_error err;
    memset(g, 0, sizeof *g);
    g->env = env;
    g->big = malloc(RIG_BIG);
    memset(g->big, 'b', RIG_BIG);
    g->handler = (lmn_http_handler){.ctx = g,
                                    .begin = rig_begin,
                                    .end = rig_end,
                                    .head = rig_head,
                                    .request = rig_request,
                                    .turn = rig_turn};
    const lmn_http_server_opts opts = {.listen = &listen,
                                       .n_listen = 1,
                                       .n_loops = n_loops,
                                       .limits = limits ? *limits : (lmn_http_limits){0},
                                       .handler = &g->handler,
                                       .h2 = h2};
    if (!T_OK_ERR(lmn_http_start(&env->alloc, &opts, &g->server, &err), &err)) {
        free(g->big);
        return false;
    }
    g->has_worker = lmn_thread_start(&g->worker, rig_worker, g) == LAMINA_OK;
    return g->has_worker;
}

/* Behind TLS unless that is NULL. */
LMN_UNUSED static bool rig_start_tls(rig *g, t_env *env, const char *where, lmn_http_tls *tls,
                                     const lmn_http_limits *limits, uint32_t n_loops)
{
    const lmn_http_listen listen = {.where = where, .tls = tls};
    return rig_start_as(g, env, listen, NULL, limits, n_loops);
}

LMN_UNUSED static bool rig_start_h2(rig *g, t_env *env, const struct lmn_h2_table *h2,
                                    const lmn_http_limits *limits, uint32_t n_loops)
{
    const lmn_http_listen listen = {.where = "127.0.0.1:0"};
    return rig_start_as(g, env, listen, h2, limits, n_loops);
}

LMN_UNUSED static bool rig_start(rig *g, t_env *env, const char *where,
                                 const lmn_http_limits *limits, uint32_t n_loops)
{
    return rig_start_tls(g, env, where, NULL, limits, n_loops);
}

LMN_UNUSED static void rig_stop(rig *g)
{
    atomic_store(&g->let_go, 1);
    for (int i = 0; i < 5000 && lmn_http_in_flight(g->server); i++) usleep(1000);
    atomic_store(&g->stop, true);
    lmn_thread_join(&g->worker);
    lmn_http_stop(g->server);
    free(g->big);
}

/* Wait up to 10 s for what another thread does. */
#define RIG_UNTIL(c)                                                      \
    do {                                                                  \
        for (int wait_ = 0; wait_ < 10000 && !(c); wait_++) usleep(1000); \
        T_CHECK(c);                                                       \
    } while (0)

/* ---- the client ---- */

LMN_UNUSED static int rig_connect(const rig *g)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(lmn_http_port(g->server, 0)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    close(fd);
    return -1;
}

/* False: the other end closed. */
LMN_UNUSED static bool rig_send(int fd, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n) {
        const ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

LMN_UNUSED static bool rig_say(int fd, const char *text)
{
    return rig_send(fd, text, strlen(text));
}

/* Up to cap bytes; 0: the end, -1: reset, -2: nothing for 10 s. */
LMN_UNUSED static ssize_t rig_recv(int fd, void *buf, size_t cap)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 10000) <= 0) return -2;
    return recv(fd, buf, cap, 0);
}

/* Everything until the end; the length, or what rig_recv said last when that is negative. */
LMN_UNUSED static ssize_t rig_read_all(int fd, char *buf, size_t cap)
{
    size_t n = 0;
    for (;;) {
        const ssize_t k = rig_recv(fd, buf + n, cap - 1 - n);
        if (k > 0) n += (size_t)k;
        buf[n] = 0;
        if (k == 0) return (ssize_t)n;
        if (k < 0) return k;
        if (n == cap - 1) return (ssize_t)n;
    }
}

/* One answer with Content-Length: its status, the body in buf. 0: there was none. */
LMN_UNUSED static int rig_answer_of(int fd, char *buf, size_t cap)
{
    size_t n = 0;
    char head[4096];
    while (n < sizeof head - 1) {
        if (rig_recv(fd, head + n, 1) != 1) return 0;
        head[++n] = 0;
        if (n >= 4 && memcmp(head + n - 4, "\r\n\r\n", 4) == 0) break;
    }
    const char *length = strstr(head, "Content-Length: ");
    const size_t want = length ? strtoul(length + 16, NULL, 10) : 0;
    for (n = 0; n < want && n < cap - 1;) {
        const ssize_t k = rig_recv(fd, buf + n, want - n);
        if (k <= 0) return 0;
        n += (size_t)k;
    }
    buf[n] = 0;
    return atoi(head + 9);
}

/* The status that all there is to read begins with, 0: nothing; then the socket is closed. */
LMN_UNUSED static int rig_ends_with(int fd)
{
    static char all[1 << 16];
    const ssize_t n = rig_read_all(fd, all, sizeof all);
    T_CHECK(n != -2);
    close(fd);
    return n > 12 ? atoi(all + 9) : 0;
}

#endif
