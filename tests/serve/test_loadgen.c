/*
 * The load generator and the client against a server of room http that answers by plan.
 */
#include "lamina/client.h"
#include "lamina/loadgen.h"

#include "base/alloc.h"
#include "base/os/os_time.h"
#include "http/http.h"
#include "t.h"

#include <stdlib.h>
#include <string.h>

typedef struct plan {
    lmn_atomic(uint32_t) n;
    uint32_t refuse_every; /* 0: never */
    const char *body;
} plan;

static bool path_is(const lmn_http_request *r, const char *s)
{
    return r->path.n == strlen(s) && memcmp(r->path.p, s, r->path.n) == 0;
}

static const char METADATA[] =
    "{\"name\":\"m\",\"versions\":[\"1\"],\"platform\":\"onnx\",\"inputs\":[{\"name\":\"x\","
    "\"datatype\":\"FP32\",\"shape\":[-1,3]},{\"shape\":[2],\"name\":\"s\",\"datatype\":"
    "\"BYTES\"}],\"outputs\":[]}";

static void answer(void *ctx, lmn_http_request *r)
{
    plan *p = ctx;
    const uint32_t n = lmn_atomic_add(&p->n, 1, relaxed);
    const bool refuse = p->refuse_every && n % p->refuse_every == 0;
    const char *body = path_is(r, "/v2/models/m") ? METADATA
                       : path_is(r, "/v2/repository/index")
                           ? "[{\"name\":\"a\",\"state\":\"UNAVAILABLE\"},{\"name\":\"m\","
                             "\"version\":\"1\",\"state\":\"READY\"}]"
                           : p->body;
    const lmn_http_piece piece = {.bytes = {(const uint8_t *)body, strlen(body)}};
    const lmn_http_answer a = {.status = refuse ? 503 : 200,
                               .content_type = "application/json",
                               .pieces = &piece,
                               .n_pieces = 1,
                               .close = path_is(r, "/close")};
    lmn_http_reply(r, &a);
}

static lmn_http_server *start(plan *p, lmn_http_handler *h, char address[64])
{
    lmn_http_server *s = NULL;
    lamina_error err = {0};
    static const lmn_http_listen where = {.where = "127.0.0.1:0"};
    *h = (lmn_http_handler){.ctx = p, .request = answer};
    const lmn_http_server_opts o = {.listen = &where, .n_listen = 1, .handler = h};
    T_EQ(lmn_http_start(&lmn_libc_allocator, &o, &s, &err), LAMINA_OK);
    snprintf(address, 64, "127.0.0.1:%d", s ? (int)lmn_http_port(s, 0) : 0);
    return s;
}

static void account(double rate)
{
    plan p = {.refuse_every = 4, .body = "{}"};
    lmn_http_handler h;
    char address[64];
    lmn_http_server *s = start(&p, &h, address);
    lamina_loadgen *load = NULL;
    lamina_error err = {0};
    const lamina_loadgen_opts o = {.size = sizeof o,
                                   .address = address,
                                   .target = "/x",
                                   .body = "{}",
                                   .body_bytes = 2,
                                   .n_connections = 8,
                                   .rate = rate,
                                   .duration_s = 0.5,
                                   .warmup_s = -1,
                                   .timeout_s = 60};
    T_EQ(lamina_loadgen_run(&o, &load, &err), LAMINA_OK);
    lamina_loadgen_stats st = {.size = sizeof st};
    T_EQ(lamina_loadgen_get_stats(load, &st), LAMINA_OK);
    T_CHECK(st.n_due > 50);
    T_EQ(st.n_ok + st.n_refused, st.n_due);
    T_EQ(st.n_other + st.n_timeout + st.n_broken + st.n_unsent, 0);
    T_EQ(lamina_loadgen_status(load, 503), st.n_refused);
    T_CHECK(st.n_refused >= st.n_due / 4);
    T_CHECK(lamina_loadgen_percentile(load, LAMINA_LOADGEN_LATENCY, 1) >=
            lamina_loadgen_percentile(load, LAMINA_LOADGEN_LATENCY, 0.5));
    T_CHECK(lamina_loadgen_percentile(load, LAMINA_LOADGEN_LATENCY, 1) >=
            lamina_loadgen_percentile(load, LAMINA_LOADGEN_SERVICE, 1));
    uint64_t due = 0;
    lamina_loadgen_second sec;
    for (size_t i = 0; lamina_loadgen_get_second(load, i, &sec) == LAMINA_OK; i++) due += sec.n_due;
    T_EQ(due, st.n_due);
    lamina_loadgen_free(load);
    lmn_http_stop(s);
}

/* Waiting for answers in every gap, and sleeping through the short ones. */
static void test_open_loop_accounts_for_every_request(t_env *env)
{
    (void)env;
    account(400);
    account(5000);
}

static void test_closed_loop_opens_again_what_the_server_closes(t_env *env)
{
    (void)env;
    plan p = {.body = "{}"};
    lmn_http_handler h;
    char address[64];
    lmn_http_server *s = start(&p, &h, address);
    lamina_loadgen *load = NULL;
    const lamina_loadgen_opts o = {.size = sizeof o,
                                   .address = address,
                                   .target = "/close",
                                   .n_connections = 2,
                                   .duration_s = 1,
                                   .warmup_s = -1,
                                   .timeout_s = 60};
    const uint64_t began = lmn_now_ns();
    T_EQ(lamina_loadgen_run(&o, &load, NULL), LAMINA_OK);
    const uint64_t took = lmn_now_ns() - began;
    lamina_loadgen_stats st = {.size = sizeof st};
    T_EQ(lamina_loadgen_get_stats(load, &st), LAMINA_OK);
    T_CHECK(st.n_ok > 0);
    T_EQ(st.n_ok, st.n_due);
    T_CHECK(st.n_connects >= st.n_ok);
    /* the answers that were on their way at the end are no second of their own */
    lamina_loadgen_second sec;
    T_OK(lamina_loadgen_get_second(load, 0, &sec));
    if (took < 2000000000u) T_EQ(sec.n_ok, st.n_ok);
    if (took < 2000000000u) T_EQ(lamina_loadgen_get_second(load, 1, &sec), LAMINA_E_RANGE);
    lamina_loadgen_free(load);
    lmn_http_stop(s);
}

static void test_nobody_there(t_env *env)
{
    (void)env;
    lamina_loadgen *load = NULL;
    lamina_error err = {0};
    lamina_loadgen_opts o = {.size = sizeof o, .address = "127.0.0.1:1", .target = "/"};
    T_EQ(lamina_loadgen_run(&o, &load, &err), LAMINA_E_CLOSED);
    T_CHECK(strstr(err.msg, "127.0.0.1:1") != NULL);
    o.target = "/a b";
    T_EQ(lamina_loadgen_run(&o, &load, &err), LAMINA_E_INVALID);
    o.target = "/", o.rate = -1;
    T_EQ(lamina_loadgen_run(&o, &load, &err), LAMINA_E_INVALID);
    const char *field = "A: b\r\nEvil: c";
    o.rate = 1, o.fields = &field, o.n_fields = 1;
    T_EQ(lamina_loadgen_run(&o, &load, &err), LAMINA_E_INVALID);
    T_CHECK(load == NULL);
}

static void test_client_calls_and_makes_examples(t_env *env)
{
    (void)env;
    plan p = {.body = "{\"outputs\":[]}"};
    lmn_http_handler h;
    char address[64];
    lmn_http_server *s = start(&p, &h, address);
    lamina_client *c = NULL;
    lamina_error err = {0};
    lamina_example e;
    lamina_answer a;
    T_EQ(lamina_client_open(address, NULL, &c, &err), LAMINA_OK);
    T_EQ(lamina_client_example(c, NULL, 2, 1, false, &e, &err), LAMINA_OK);
    T_CHECK(strcmp(e.target, "/v2/models/m/infer") == 0);
    T_EQ(e.json_bytes, 0);
    T_CHECK(strstr(e.body, "\"shape\":[2,3]") != NULL);
    T_CHECK(strstr(e.body, "[\"example\",\"example\"]") != NULL);
    T_EQ(lamina_client_example(c, "m", 2, 1, true, &e, &err), LAMINA_OK);
    T_EQ(e.body_bytes - (size_t)e.json_bytes, 2 * 3 * 4 + 2 * 11);
    T_EQ(lamina_client_example(c, "../m", 1, 1, true, &e, &err), LAMINA_E_INVALID);
    T_EQ(lamina_client_example(c, "other", 1, 1, true, &e, &err), LAMINA_E_PARSE);
    for (int i = 0; i < 3; i++) {
        const lamina_ask ask = {.size = sizeof ask, .target = i == 1 ? "/close" : "/x"};
        T_EQ(lamina_client_call(c, &ask, &a, &err), LAMINA_OK);
        T_EQ(a.status, 200);
        T_EQ(a.body_bytes, strlen(p.body));
        T_CHECK(strcmp(a.content_type, "application/json") == 0);
        T_EQ(a.json_bytes, -1);
    }
    lmn_http_stop(s);
    const lamina_ask ask = {.size = sizeof ask, .target = "/x"};
    T_EQ(lamina_client_call(c, &ask, &a, &err), LAMINA_E_CLOSED);
    lamina_client_close(c);
}

T_MAIN(T_TEST(test_open_loop_accounts_for_every_request),
       T_TEST(test_closed_loop_opens_again_what_the_server_closes), T_TEST(test_nobody_there),
       T_TEST(test_client_calls_and_makes_examples))
