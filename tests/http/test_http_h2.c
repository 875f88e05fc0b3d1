/*
 * HTTP/2 from outside, with libnghttp2 as the client: requests and bodies of all sizes side by
 * side, answers from another thread, streams, small windows, clients that reset or leave, limits of
 * time, drain.
 */
#include "http_rig.h"

#include "http/h2.h"
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>

#define MS UINT64_C(1000000)

enum { MOST = 256 };

typedef struct call {
    int32_t id;
    int status;
    const char *body;
    size_t left, got; /* of the body that is sent, of that which came */
    bool stays_open;  /* the body does not end */
    bool ends_with_e; /* what is sent of it */
    bool closed, same;
    uint32_t code;
} call;

typedef struct client {
    int fd;
    nghttp2_session *s;
    call calls[MOST];
    int n, n_closed;
    bool slow, goaway;
} client;

static call *of(client *c, int32_t id)
{
    for (int i = 0; i < c->n; i++)
        if (c->calls[i].id == id) return &c->calls[i];
    return NULL;
}

/* ---- nghttp2 ---- */

static int on_header(nghttp2_session *s, const nghttp2_frame *f, const uint8_t *name, size_t name_n,
                     const uint8_t *value, size_t value_n, uint8_t flags, void *user)
{
    call *k = of(user, f->hd.stream_id);
    (void)s, (void)flags, (void)value_n;
    if (k && name_n == 7 && memcmp(name, ":status", 7) == 0) k->status = atoi((const char *)value);
    return 0;
}

static int on_data(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p, size_t n,
                   void *user)
{
    call *k = of(user, id);
    (void)s, (void)flags;
    for (size_t i = 0; i < n; i++) k->same &= p[i] == 'b' || p[i] == 'e' || p[i] == 'd';
    k->got += n;
    return 0;
}

static int on_close(nghttp2_session *s, int32_t id, uint32_t code, void *user)
{
    client *c = user;
    call *k = of(c, id);
    (void)s;
    k->closed = true;
    k->code = code;
    c->n_closed++;
    return 0;
}

static int on_frame(nghttp2_session *s, const nghttp2_frame *f, void *user)
{
    (void)s;
    if (f->hd.type == NGHTTP2_GOAWAY) ((client *)user)->goaway = true;
    return 0;
}

static ssize_t read_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t cap, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    call *k = of(user, id);
    const size_t n = k->left < cap ? k->left : cap;
    (void)s, (void)source;
    if (n == 0 && k->stays_open) return NGHTTP2_ERR_DEFERRED;
    memset(buf, 'b', n);
    if (n && k->ends_with_e) buf[n - 1] = 'e';
    k->left -= n;
    if (k->left == 0 && !k->stays_open) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* window: of a stream, for answers; 0: the default. */
static void open_client(client *c, const rig *g, uint32_t window)
{
    nghttp2_session_callbacks *on;
    const nghttp2_settings_entry small = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};
    memset(c, 0, sizeof *c);
    const int now = 1;
    c->fd = rig_connect(g);
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &now, sizeof now);
    T_REQUIRE(c->fd >= 0 && nghttp2_session_callbacks_new(&on) == 0);
    nghttp2_session_callbacks_set_on_header_callback(on, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(on, on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(on, on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(on, on_frame);
    T_EQ(nghttp2_session_client_new(&c->s, on, c), 0);
    nghttp2_session_callbacks_del(on);
    T_EQ(nghttp2_submit_settings(c->s, 0, &small, window ? 1 : 0), 0);
}

static void close_client(client *c)
{
    nghttp2_session_del(c->s);
    close(c->fd);
}

/* n: bytes of the body, -1: none and GET. */
static call *ask(client *c, const char *path, ssize_t n)
{
    const nghttp2_nv nv[] = {
        {(uint8_t *)":method", (uint8_t *)(n < 0 ? "GET" : "POST"), 7, n < 0 ? 3 : 4, 0},
        {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
        {(uint8_t *)":authority", (uint8_t *)"here", 10, 4, 0},
        {(uint8_t *)":path", (uint8_t *)(uintptr_t)path, 5, strlen(path), 0}};
    const nghttp2_data_provider body = {.read_callback = read_body};
    call *k = &c->calls[c->n++];
    *k = (call){.left = n > 0 ? (size_t)n : 0, .same = true};
    k->id = nghttp2_submit_request(c->s, NULL, nv, 4, n < 0 ? NULL : &body, NULL);
    T_CHECK(k->id > 0);
    return k;
}

/* Send what there is, read what comes; false: the end. */
static bool step(client *c)
{
    const uint8_t *p;
    uint8_t buf[16384];
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->s, &p)) > 0)
        if (!rig_send(c->fd, p, (size_t)n)) return false;
    if (c->slow) usleep(2000);
    n = rig_recv(c->fd, buf, c->slow ? 500 : sizeof buf);
    if (n == -2) T_CHECK(!"nothing came for 10 s");
    return n > 0 && nghttp2_session_mem_recv(c->s, buf, (size_t)n) == n;
}

static void until_closed(client *c, int n)
{
    while (c->n_closed < n && step(c)) {
    }
    T_EQ(c->n_closed, n);
}

/* ---- server ---- */

static lmn_http_plugin plugin;

static bool start(rig *g, t_env *env, const lmn_http_limits *limits, uint32_t n_loops)
{
    lamina_error err;
    if (!T_OK_ERR(lmn_http_plugin_open("h2", LMN_H2_VERSION, sizeof(lmn_h2_table), &plugin, &err),
                  &err))
        return false;
    return rig_start_h2(g, env, (const lmn_h2_table *)(const void *)plugin.table, limits, n_loops);
}

static void stop(rig *g)
{
    rig_stop(g);
    T_EQ(atomic_load(&g->n_released), atomic_load(&g->n_pieces));
    lmn_http_plugin_close(&plugin);
}

/* ---- tests ---- */

static void check_call(const call *k, int status, size_t got)
{
    T_EQ(k->status, status);
    T_EQ(k->got, got);
    T_EQ(k->code, 0);
    T_CHECK(k->same || status != 200);
}

static void test_requests(t_env *env)
{
    static const ssize_t SIZES[] = {0, 1, 10, 1000, 5000, 70000, 3000000};
    static rig g;
    static client c;
    if (!start(&g, env, NULL, 2)) return;
    open_client(&c, &g, 0);
    for (int round = 0; round < 2; round++) {
        const int at = c.n;
        for (size_t i = 0; i < T_COUNT(SIZES); i++) (void)ask(&c, "/echo", SIZES[i]);
        for (size_t i = 0; i < T_COUNT(SIZES); i++) (void)ask(&c, "/later", SIZES[i]);
        (void)ask(&c, "/big", -1);
        (void)ask(&c, "/head", 50000);
        (void)ask(&c, "/small", 9);
        (void)ask(&c, "/small", 11);
        (void)ask(&c, "/stream", -1);
        (void)ask(&c, "/parts", 200000);
        until_closed(&c, c.n);
        const call *k = &c.calls[at];
        for (int i = 0; i < 2; i++)
            for (size_t s = 0; s < T_COUNT(SIZES); s++) check_call(k++, 200, (size_t)SIZES[s]);
        check_call(&k[0], 200, RIG_BIG);
        T_EQ(k[1].status, 401);
        check_call(&k[2], 200, 9);
        T_EQ(k[3].status, 413);
        T_EQ(k[4].status, 200);
        T_EQ(k[4].got, 90);
        check_call(&k[5], 200, 200000);
    }
    close_client(&c);
    stop(&g);
}

static void test_side_by_side(t_env *env)
{
    static rig g;
    static client c[3];
    if (!start(&g, env, NULL, 2)) return;
    for (int i = 0; i < 3; i++) {
        open_client(&c[i], &g, 0);
        for (int k = 0; k < 100; k++) (void)ask(&c[i], k % 3 ? "/later" : "/echo", 100 * k);
    }
    for (int i = 0; i < 3; i++) until_closed(&c[i], 100);
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 100; k++) check_call(&c[i].calls[k], 200, (size_t)(100 * k));
        close_client(&c[i]);
    }
    stop(&g);
}

static void test_small_windows(t_env *env)
{
    static rig g;
    static client c;
    if (!start(&g, env, NULL, 1)) return;
    open_client(&c, &g, 700);
    c.slow = true;
    (void)ask(&c, "/echo", 20000);
    (void)ask(&c, "/echo", 3000);
    (void)ask(&c, "/stream", -1);
    until_closed(&c, 3);
    check_call(&c.calls[0], 200, 20000);
    check_call(&c.calls[1], 200, 3000);
    close_client(&c);
    stop(&g);
}

static void test_gone(t_env *env)
{
    static rig g;
    static client c;
    if (!start(&g, env, NULL, 1)) return;
    open_client(&c, &g, 0);
    const call *held = ask(&c, "/hold", 5), *next = ask(&c, "/echo", 5);
    until_closed(&c, 1);
    T_CHECK(next->closed && !held->closed);
    /* one stream is reset, the others go on */
    T_EQ(nghttp2_submit_rst_stream(c.s, 0, held->id, NGHTTP2_CANCEL), 0);
    (void)ask(&c, "/echo", 6);
    until_closed(&c, 3);
    check_call(&c.calls[2], 200, 6);
    RIG_UNTIL(atomic_load(&g.n_gone) == 1);
    /* a client that leaves takes all of its streams along */
    (void)ask(&c, "/hold", 5);
    (void)ask(&c, "/flood", -1);
    const call *last = ask(&c, "/echo", 7);
    while (!last->closed && step(&c)) {
    }
    T_CHECK(last->closed);
    close_client(&c);
    RIG_UNTIL(atomic_load(&g.n_gone) == 2);
    stop(&g);
}

static void test_time_limits(t_env *env)
{
    const lmn_http_limits limits = {.idle_ns = 200 * MS, .stall_ns = 200 * MS};
    static rig g;
    static client c;
    if (!start(&g, env, &limits, 1)) return;
    T_CASE("idle");
    open_client(&c, &g, 0);
    (void)ask(&c, "/echo", 5);
    while (step(&c)) {
    }
    T_CHECK(c.goaway && c.n_closed == 1);
    close_client(&c);
    T_CASE("a body that does not come");
    open_client(&c, &g, 0);
    ask(&c, "/echo", 5)->stays_open = true;
    while (step(&c)) {
    }
    close_client(&c);
    RIG_UNTIL(lmn_http_in_flight(g.server) == 0);
    T_CASE("a part that is owed");
    open_client(&c, &g, 0);
    ask(&c, "/parts", 5)->stays_open = true;
    while (step(&c)) {
    }
    T_CHECK(!c.calls[0].closed && c.calls[0].got == 5);
    close_client(&c);
    RIG_UNTIL(lmn_http_in_flight(g.server) == 0);
    T_CASE("parts that take their time");
    open_client(&c, &g, 0);
    call *slow = ask(&c, "/parts", 5);
    slow->stays_open = true;
    slow->ends_with_e = true;
    while (slow->got < 5 && step(&c)) {
    }
    usleep(500000);
    slow->stays_open = false;
    slow->left = 3;
    T_EQ(nghttp2_session_resume_data(c.s, slow->id), 0);
    until_closed(&c, 1);
    check_call(slow, 200, 8);
    close_client(&c);
    T_CASE("a reader that does not read");
    open_client(&c, &g, 0);
    (void)ask(&c, "/big", -1);
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c.s, &p)) > 0) (void)rig_send(c.fd, p, (size_t)n);
    RIG_UNTIL(atomic_load(&g.n_pieces) > 1 &&
              atomic_load(&g.n_released) == atomic_load(&g.n_pieces));
    close_client(&c);
    stop(&g);
}

static void test_drain(t_env *env)
{
    static rig g;
    static client c;
    if (!start(&g, env, NULL, 1)) return;
    open_client(&c, &g, 0);
    (void)ask(&c, "/hold", 5);
    (void)ask(&c, "/echo", 5);
    until_closed(&c, 1);
    lmn_http_drain(g.server);
    atomic_store(&g.let_go, 1);
    while (step(&c)) {
    }
    T_CHECK(c.goaway);
    check_call(&c.calls[0], 200, 5);
    close_client(&c);
    stop(&g);
}

T_MAIN(T_TEST(test_requests), T_TEST(test_side_by_side), T_TEST(test_small_windows),
       T_TEST(test_gone), T_TEST(test_time_limits), T_TEST(test_drain))
