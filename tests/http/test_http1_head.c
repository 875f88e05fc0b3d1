/*
 * Request heads: what is read out of good ones, what bad ones are refused with, and that feeding in
 * parts changes nothing.
 */
#include "http/http1_head.h"
#include "t.h"

static const lmn_http1_limits limits = {8192, 32768, 100};

typedef struct head {
    lmn_http_field fields[100];
    lmn_http1_head h;
    lmn_http1_scan scan;
    uint32_t step;
} head;

static void read_with(head *x, const char *text, size_t n, const lmn_http1_limits *l)
{
    memset(x, 0, sizeof *x);
    x->step = lmn_http1_find(&x->scan, l, (const uint8_t *)text, n);
    if (x->step == LMN_HTTP1_READY)
        x->step = lmn_http1_parse((const uint8_t *)text, &x->scan, x->fields, &x->h);
}

static void read_text(head *x, const char *text)
{
    read_with(x, text, strlen(text), &limits);
}

static bool same(lmn_span s, const char *text)
{
    return s.n == strlen(text) && (s.n == 0 || memcmp(s.p, text, s.n) == 0);
}

static void test_good_heads(t_env *env)
{
    (void)env;
    head x;
    read_text(&x, "POST /v2/models/m%20x/infer?a=b?c HTTP/1.1\r\nHost: localhost:8000\r\n"
                  "X-One:  v v\t\r\nContent-Length: 17\r\nEmpty:\r\n\r\nbody");
    T_EQ(x.step, LMN_HTTP1_READY);
    T_EQ(x.h.method, LMN_HTTP_POST);
    T_EQ(x.h.version, 11);
    T_CHECK(same(x.h.path, "/v2/models/m%20x/infer"));
    T_CHECK(same(x.h.query, "a=b?c"));
    T_CHECK(same(x.h.host, "localhost:8000"));
    T_EQ(x.h.n_fields, 4);
    T_CHECK(same(x.fields[1].name, "X-One") && same(x.fields[1].value, "v v"));
    T_CHECK(same(x.fields[3].name, "Empty") && same(x.fields[3].value, ""));
    const lmn_http_request r = {.fields = x.fields, .n_fields = x.h.n_fields};
    T_CHECK(same(lmn_http_field_get(&r, "x-one"), "v v"));
    T_CHECK(lmn_http_field_get(&r, "empty").p && !lmn_http_field_get(&r, "x-on").p);
    T_EQ(x.h.body_bytes, 17);
    T_CHECK(x.h.keep_alive && !x.h.expects);

    read_text(
        &x, "\r\nPUT http://h:1?q HTTP/1.1\r\nhost: other\r\n"
            "transfer-encoding: Chunked\r\nexpect: 100-Continue\r\nconnection: a , cLose\r\n\r\n");
    T_EQ(x.step, LMN_HTTP1_READY);
    T_CHECK(same(x.h.path, "/") && same(x.h.query, "q") && same(x.h.host, "h:1"));
    T_EQ(x.h.body_bytes, -1);
    T_CHECK(x.h.expects && !x.h.keep_alive);

    read_text(&x, "OPTIONS * HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\n"
                  "Content-Length: 0\r\n\r\n");
    T_EQ(x.step, LMN_HTTP1_READY);
    T_CHECK(x.h.version == 10 && x.h.keep_alive && !x.h.expects && same(x.h.path, "*"));
    read_text(&x, "GET / HTTP/1.0\r\n\r\n");
    T_CHECK(x.step == LMN_HTTP1_READY && !x.h.keep_alive && x.h.host.n == 0);
    read_text(&x, "GET / HTTP/1.9\r\nHost: [::1]:80\r\nX: \xc3\xa9\r\n\r\n");
    T_CHECK(x.step == LMN_HTTP1_READY && x.h.version == 11);
    read_text(&x, "PATCH / HTTP/1.1\r\nHost: a\r\n\r\n");
    T_CHECK(x.step == LMN_HTTP1_READY && x.h.method == LMN_HTTP_OTHER);
}

static const struct {
    uint32_t status;
    const char *text;
} bad[] = {
    {400, "GET / HTTP/1.1\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
    {400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
    {400, "GET /\r\nHost: a\r\n\r\n"},
    {400, "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, " GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /\\a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET / http/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1\r\nHost: a\r\n\r\n"},
    {505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"},
    {505, "PRI * HTTP/2.0\r\n\r\n"},
    {501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"},
    {501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ / HTTP/1.1\r\nHost: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\nHost: a\n\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n"},
    {400, "GET / HTTP/1.1\r\nHost: a\r\nX: 12345678\x1f\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n"},
    {400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
          "Transfer-Encoding: chunked\r\n\r\n"},
    {400, "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
    {501, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
    {417, "POST / HTTP/1.1\r\nHost: a\r\nExpect: cake\r\n\r\n"},
};

static void test_bad_heads(t_env *env)
{
    (void)env;
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        head x;
        T_CASE(bad[i].text);
        read_text(&x, bad[i].text);
        T_EQ(x.step, bad[i].status);
    }
}

static void test_nul(t_env *env)
{
    (void)env;
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n";
    static const char name[] = "GET / HTTP/1.1\r\nHost: a\r\nX\0: b\r\n\r\n";
    static const char target[] = "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n";
    head x;
    read_with(&x, text, sizeof text - 1, &limits);
    T_EQ(x.step, 400);
    read_with(&x, name, sizeof name - 1, &limits);
    T_EQ(x.step, 400);
    read_with(&x, target, sizeof target - 1, &limits);
    T_EQ(x.step, 400);
}

static void test_begins(t_env *env)
{
    (void)env;
    head x;
    read_text(&x, "\x16\x03\x01");
    T_EQ(x.step, 400); /* TLS: not waited for */
    read_text(&x, "\r");
    T_EQ(x.step, LMN_HTTP1_MORE);
    read_text(&x, "\r\n");
    T_EQ(x.step, LMN_HTTP1_MORE);
    read_text(&x, "\n");
    T_EQ(x.step, 400);
    read_text(&x, "G");
    T_EQ(x.step, LMN_HTTP1_MORE);
}

/* Each limit passes at its value and refuses one beyond, whole or in parts. */
static void test_limits(t_env *env)
{
    (void)env;
    static const char text[] = "GET /34567 HTTP/1.1\r\nHost: a\r\nX: b\r\n\r\n"; /* 19; 15; 2 */
    static const struct {
        lmn_http1_limits l;
        uint32_t want;
    } rows[] = {{{19, 15, 2}, LMN_HTTP1_READY},
                {{18, 15, 2}, 414},
                {{19, 14, 2}, 431},
                {{19, 15, 1}, 431},
                {{4, 15, 2}, 414},
                {{19, 3, 2}, 431}};
    for (size_t i = 0; i < T_COUNT(rows); i++) {
        head x;
        read_with(&x, text, sizeof text - 1, &rows[i].l);
        T_EQ(x.step, rows[i].want);
        lmn_http1_scan s = {0};
        uint32_t step = LMN_HTTP1_MORE;
        for (size_t n = 1; n < sizeof text && step == LMN_HTTP1_MORE; n++)
            step = lmn_http1_find(&s, &rows[i].l, (const uint8_t *)text, n);
        T_EQ(step, rows[i].want);
    }
}

T_MAIN(T_TEST(test_good_heads), T_TEST(test_bad_heads), T_TEST(test_nul), T_TEST(test_begins),
       T_TEST(test_limits))
