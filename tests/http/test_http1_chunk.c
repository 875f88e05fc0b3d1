/*
 * Chunked bodies: decoded in place, in any cut; refused where the grammar or a bound is left.
 */
#include "http/http1_chunk.h"
#include "t.h"

/* Feed `text` in steps; the body goes to out, followed by a zero. */
static uint32_t feed(const char *text, size_t step, char *out, size_t *used)
{
    lmn_http1_chunk c;
    uint8_t part[4096];
    size_t n = strlen(text), at = 0, n_out = 0;
    uint32_t r = LMN_HTTP1_MORE;
    lmn_http1_chunk_begin(&c, 64, 4);
    while (at < n && r == LMN_HTTP1_MORE) {
        const size_t k = n - at < step ? n - at : step;
        size_t u, b;
        memcpy(part, text + at, k);
        r = lmn_http1_chunk_read(&c, part, k, &u, &b);
        memcpy(out + n_out, part, b);
        n_out += b;
        at += u;
    }
    out[n_out] = 0;
    *used = at;
    return r;
}

static const struct {
    uint32_t want;
    const char *text, *body;
} rows[] = {
    {LMN_HTTP1_READY, "5\r\nhello\r\n0\r\n\r\n", "hello"},
    {LMN_HTTP1_READY, "0\r\n\r\n", ""},
    {LMN_HTTP1_READY, "000\r\n\r\n", ""},
    {LMN_HTTP1_READY, "A;x=\"y;\"\r\n0123456789\r\n1\r\n!\r\n0;z\r\nA: b\r\nC:\r\n\r\n",
     "0123456789!"},
    {LMN_HTTP1_MORE, "5\r\nhel", "hel"},
    {LMN_HTTP1_MORE, "5\r\nhello\r\n0\r\nA: b\r\n\r", "hello"},
    {413, "41\r\n", ""},
    {413, "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n1\r\n",
     "0123456789012345678901234567890123456789012345678901234567890123"},
    {413, "1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\na\r\n1\r\n", "aaaa"},
    {413, "ffffffffffffffff\r\n", ""},
    {400, "10000000000000000\r\n", ""},
    {400, "\r\n", ""},
    {400, ";x\r\n", ""},
    {400, "0x5\r\nhello\r\n", ""},
    {400, "+5\r\nhello\r\n", ""},
    {400, "-5\r\nhello\r\n", ""},
    {400, " 5\r\nhello\r\n", ""},
    {400, "5 \r\nhello\r\n", ""},
    {400, "5\nhello\r\n", ""},
    {400, "5\r\rhello", ""},
    {400, "5;a\nhello", ""},
    {400, "5;\x01\r\nhello", ""},
    {400, "5\r\nhellox", "hello"},
    {400, "5\r\nhello\n", "hello"},
    {400, "5\r\nhello0\r\n\r\n", "hello"},
    {400, "0\r\nA b\r\n\r\n", ""},
    {400, "0\r\n A: b\r\n\r\n", ""},
    {400, "0\r\nA: b\n\r\n", ""},
    {400, "0\r\nA: b\r\n\n", ""},
    {400, "0\r\n\rx", ""},
};

static void test_rows(t_env *env)
{
    (void)env;
    for (size_t i = 0; i < T_COUNT(rows); i++)
        for (size_t step = 1; step <= 200; step = step < 4 ? step + 1 : step * 50) {
            char body[128];
            size_t used;
            T_CASE(rows[i].text);
            T_EQ(feed(rows[i].text, step, body, &used), rows[i].want);
            T_STR_EQ(body, rows[i].body);
        }
}

static void test_rest_is_left(t_env *env)
{
    (void)env;
    char body[128];
    size_t used;
    T_EQ(feed("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1", 4096, body, &used), LMN_HTTP1_READY);
    T_EQ(used, 11);
}

static uint32_t repeat(const char *begin, const char *what, size_t n)
{
    lmn_http1_chunk c;
    size_t used, body;
    uint8_t text[64];
    lmn_http1_chunk_begin(&c, 1 << 30, 1 << 20);
    memcpy(text, begin, strlen(begin));
    uint32_t r = lmn_http1_chunk_read(&c, text, strlen(begin), &used, &body);
    for (size_t i = 0; i < n && r == LMN_HTTP1_MORE; i++) {
        memcpy(text, what, strlen(what));
        r = lmn_http1_chunk_read(&c, text, strlen(what), &used, &body);
    }
    return r;
}

static void test_bounds(t_env *env)
{
    (void)env;
    T_EQ(repeat("1;", "x", 1024), LMN_HTTP1_MORE);
    T_EQ(repeat("1;", "x", 1025), 400);
    T_EQ(repeat("", "1;aaaaaaaaaa\r\nx\r\n", 20000), LMN_HTTP1_MORE);
    T_EQ(repeat("", "1;aaaaaaaaaaaaaaaaaaaa\r\nx\r\n", 20000), 400);
    T_EQ(repeat("0\r\n", "a: b\r\n", 1000), LMN_HTTP1_MORE);
    T_EQ(repeat("0\r\n", "a: b\r\n", 2000), 431);
}

T_MAIN(T_TEST(test_rows), T_TEST(test_rest_is_left), T_TEST(test_bounds))
