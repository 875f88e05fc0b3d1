/*
 * Fuzz target: HTTP/1 heads, chunked bodies, answers. The first byte chooses: of four, 0 a head, 2
 * an answer, 1 and 3 chunks. What is fed byte by byte must be judged as what is fed whole; what a
 * head says must lie inside of it and hold no byte that could end a line or a word.
 */
#include "http/http1_client.h"

#include <stdlib.h>
#include <string.h>

#define REQUIRE(c)         \
    do {                   \
        if (!(c)) abort(); \
    } while (0)

static void inside(lmn_span s, const uint8_t *p, size_t n)
{
    if (s.n == 1 && s.p[0] == '/') return; /* the path that an absolute target lacks */
    REQUIRE(s.n == 0 || (s.p >= p && s.p + s.n <= p + n));
    for (size_t i = 0; i < s.n; i++) REQUIRE(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != 0);
}

static void read_head(const uint8_t *p, const lmn_http1_scan *s)
{
    lmn_http_field fields[40];
    lmn_http1_head h;
    const uint32_t step = lmn_http1_parse(p, s, fields, &h);
    REQUIRE(step == LMN_HTTP1_READY || (step >= 400 && step <= 505));
    if (step != LMN_HTTP1_READY) return;
    inside(h.path, p, s->at);
    inside(h.query, p, s->at);
    inside(h.host, p, s->at);
    REQUIRE(h.path.n > 0 && memchr(h.path.p, '?', h.path.n) == NULL);
    REQUIRE(h.version == 10 || (h.version == 11 && h.host.n > 0));
    REQUIRE(h.body_bytes >= -1 && h.n_fields == s->n_lines);
    for (uint32_t i = 0; i < h.n_fields; i++) {
        inside(fields[i].name, p, s->at);
        inside(fields[i].value, p, s->at);
        REQUIRE(fields[i].name.n > 0 && memchr(fields[i].name.p, ' ', fields[i].name.n) == NULL);
    }
}

static void heads(const uint8_t *p, size_t n, const lmn_http1_limits *l)
{
    lmn_http1_scan whole = {0}, parts = {0};
    uint32_t a = lmn_http1_find(&whole, l, p, n), b = LMN_HTTP1_MORE;
    for (size_t i = 1; i <= n && b == LMN_HTTP1_MORE; i++) b = lmn_http1_find(&parts, l, p, i);
    REQUIRE(a == b);
    if (a != LMN_HTTP1_READY) return;
    REQUIRE(whole.at == parts.at && whole.begin == parts.begin && whole.fields == parts.fields &&
            whole.n_lines == parts.n_lines);
    uint8_t *exact = malloc(whole.at); /* one byte too far would be seen */
    REQUIRE(exact);
    memcpy(exact, p, whole.at);
    read_head(exact, &whole);
    free(exact);
}

/* Feed in steps; returns the last verdict, the body in out. */
static uint32_t chunks(const uint8_t *p, size_t n, size_t step, uint8_t *out, size_t *n_out,
                       size_t *n_used)
{
    lmn_http1_chunk c;
    uint32_t r = LMN_HTTP1_MORE;
    size_t at = 0;
    *n_out = 0;
    lmn_http1_chunk_begin(&c, 1000, 10);
    while (at < n && r == LMN_HTTP1_MORE) {
        size_t k = n - at < step ? n - at : step, used, body;
        uint8_t *exact = malloc(k);
        REQUIRE(exact);
        memcpy(exact, p + at, k);
        r = lmn_http1_chunk_read(&c, exact, k, &used, &body);
        REQUIRE(body <= used && used <= k && *n_out + body <= 1000);
        REQUIRE(r != LMN_HTTP1_MORE || used == k);
        memcpy(out + *n_out, exact, body);
        *n_out += body;
        at += used;
        free(exact);
    }
    *n_used = at;
    return r;
}

typedef struct judged {
    lmn_http1_step step;
    uint32_t status, n_body;
    uint64_t hash;
    size_t used;
    int64_t json_bytes;
    bool close;
} judged;

static judged answer(const uint8_t *p, size_t n, size_t step, bool head)
{
    lmn_http1_reply r;
    judged j = {.hash = 14695981039346656037u};
    lmn_http1_reply_init(&r, head);
    while (j.used < n && j.step == LMN_HTTP1_MORE) {
        const size_t k = n - j.used < step ? n - j.used : step;
        size_t used = 0;
        uint8_t *exact = malloc(k);
        REQUIRE(exact);
        memcpy(exact, p + j.used, k);
        j.step = lmn_http1_reply_feed(&r, (lmn_span){exact, k}, &used);
        REQUIRE(used <= k && (used || j.step == LMN_HTTP1_BROKEN));
        REQUIRE(r.part.n == 0 || (r.part.p >= exact && r.part.p + r.part.n <= exact + k));
        for (size_t i = 0; i < r.part.n; i++) j.hash = (j.hash ^ r.part.p[i]) * 1099511628211u;
        j.n_body += (uint32_t)r.part.n;
        j.used += used;
        free(exact);
    }
    REQUIRE(j.step != LMN_HTTP1_DONE || (r.status >= 200 && r.status < 600));
    if (j.step == LMN_HTTP1_MORE) j.step = lmn_http1_reply_end(&r);
    if (j.step == LMN_HTTP1_BROKEN) j.used = 0; /* where it broke depends on the cuts */
    j.status = r.status;
    j.close = r.close;
    j.json_bytes = r.json_bytes;
    return j;
}

static void answers(const uint8_t *p, size_t n, size_t step, bool head)
{
    const judged a = answer(p, n, SIZE_MAX, head), b = answer(p, n, step, head);
    REQUIRE(a.step == b.step && a.status == b.status && a.used == b.used);
    REQUIRE(a.n_body == b.n_body && a.hash == b.hash && a.close == b.close);
    REQUIRE(a.json_bytes == b.json_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const lmn_http1_limits roomy = {8192, 32768, 40}, tight = {24, 60, 3};
    uint8_t a[1000], b[1000];
    size_t na, nb, ua, ub;
    if (size < 2) return 0;
    if (data[0] % 4 == 2) {
        answers(data + 1, size - 1, 1 + data[0] / 8 % 7, data[0] / 4 % 2);
        return 0;
    }
    if (data[0] % 4 == 0) {
        heads(data + 1, size - 1, &roomy);
        heads(data + 1, size - 1, &tight);
        return 0;
    }
    const uint32_t ra = chunks(data + 1, size - 1, SIZE_MAX, a, &na, &ua);
    const size_t step = 1 + data[0] / 2 % 7;
    const uint32_t rb = chunks(data + 1, size - 1, step, b, &nb, &ub);
    REQUIRE(ra == rb && na == nb && ua == ub && memcmp(a, b, na) == 0);
    return 0;
}
