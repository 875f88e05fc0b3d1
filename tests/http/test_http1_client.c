/*
 * Answers: status, framing, parts of bodies in any cut; what is no HTTP is broken.
 */
#include "http/http1_client.h"
#include "t.h"

/* Feed in steps; the body goes to out. `ended`: then the server closes. */
static lmn_http1_step feed(lmn_http1_reply *r, const char *text, size_t step, bool head, char *out)
{
    const size_t n = strlen(text);
    size_t at = 0, used, n_out = 0;
    lmn_http1_step s = LMN_HTTP1_MORE;
    lmn_http1_reply_init(r, head);
    while (at < n && s == LMN_HTTP1_MORE) {
        const size_t k = n - at < step ? n - at : step;
        s = lmn_http1_reply_feed(r, (lmn_span){(const uint8_t *)text + at, k}, &used);
        if (r->part.n) memcpy(out + n_out, r->part.p, r->part.n);
        n_out += r->part.n;
        at += used;
    }
    out[n_out] = 0;
    return s == LMN_HTTP1_MORE ? lmn_http1_reply_end(r) : s;
}

static const struct {
    lmn_http1_step want;
    uint32_t status;
    bool head, close;
    const char *text, *body;
} rows[] = {
    {LMN_HTTP1_DONE, 200, false, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP",
     "hello"},
    {LMN_HTTP1_DONE, 200, false, false, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
    {LMN_HTTP1_DONE, 200, true, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", ""},
    {LMN_HTTP1_DONE, 204, false, false, "HTTP/1.1 204\r\n\r\n", ""},
    {LMN_HTTP1_DONE, 304, false, false, "HTTP/1.1 304 \r\nContent-Length: 9\r\n\r\n", ""},
    {LMN_HTTP1_DONE, 200, false, true,
     "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", "a"},
    {LMN_HTTP1_DONE, 200, false, true, "HTTP/1.1 200 OK\r\n\r\nuntil the end", "until the end"},
    {LMN_HTTP1_DONE, 200, false, true, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a"},
    {LMN_HTTP1_DONE, 200, false, false,
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\na", "a"},
    {LMN_HTTP1_DONE, 200, false, false,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nA: "
     "b\r\n\r\n",
     "abcde"},
    {LMN_HTTP1_DONE, 200, false, false,
     "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 "
     "OK\r\nContent-Length: 1\r\n\r\na",
     "a"},
    {LMN_HTTP1_BROKEN, 200, false, false, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell",
     "hell"},
    {LMN_HTTP1_BROKEN, 200, false, false,
     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "abc"},
    {LMN_HTTP1_BROKEN, 0, false, false,
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false,
     "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 200 OK\nContent-Length: 1\n\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/2 200\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 2000 OK\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 999 OK\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 101 Switching\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 200 OK\r\nX : a\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "HTTP/1.1 200", ""},
    {LMN_HTTP1_BROKEN, 0, false, false, "", ""},
};

static void test_rows(t_env *env)
{
    (void)env;
    for (size_t i = 0; i < T_COUNT(rows); i++)
        for (size_t step = 1; step <= 200; step = step < 4 ? step + 1 : step * 50) {
            static lmn_http1_reply r;
            char body[256];
            T_CASE(rows[i].text);
            T_EQ(feed(&r, rows[i].text, step, rows[i].head, body), rows[i].want);
            T_EQ(r.status, rows[i].status);
            T_EQ(r.close, rows[i].close);
            T_STR_EQ(body, rows[i].body);
        }
}

static void test_fields(t_env *env)
{
    (void)env;
    static lmn_http1_reply r;
    char body[64], text[600];
    memset(text, 't', sizeof text);
    T_EQ(feed(&r,
              "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
              "inference-header-content-length: 17\r\nContent-Length: 1\r\n\r\nx",
              7, false, body),
         LMN_HTTP1_DONE);
    T_STR_EQ(r.content_type, "application/json");
    T_EQ(r.json_bytes, 17);
    const size_t n = (size_t)snprintf(text, 60, "HTTP/1.1 200 OK\r\nContent-Type: ");
    text[n] = 't';
    memcpy(text + 500, "\r\n\r\n", 5);
    T_EQ(feed(&r, text, 600, false, body), LMN_HTTP1_DONE);
    T_EQ(strlen(r.content_type), 127); /* cut */
}

static void test_endless_heads(t_env *env)
{
    (void)env;
    static lmn_http1_reply r;
    static const char *const line[] = {"X: y\r\n", "a", "HTTP/1.1 100 Continue\r\n\r\n"};
    for (size_t i = 0; i < T_COUNT(line); i++) {
        lmn_http1_step s = LMN_HTTP1_MORE;
        size_t used;
        lmn_http1_reply_init(&r, false);
        if (i < 2) {
            static const char first[] = "HTTP/1.1 200 OK\r\n";
            s = lmn_http1_reply_feed(&r, (lmn_span){(const uint8_t *)first, sizeof first - 1},
                                     &used);
        }
        for (int k = 0; k < 5000 && s == LMN_HTTP1_MORE; k++)
            s = lmn_http1_reply_feed(&r, (lmn_span){(const uint8_t *)line[i], strlen(line[i])},
                                     &used);
        T_EQ(s, LMN_HTTP1_BROKEN);
    }
}

T_MAIN(T_TEST(test_rows), T_TEST(test_fields), T_TEST(test_endless_heads))
