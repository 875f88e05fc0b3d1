/*
 * Request heads (http1_head.h). The search goes from line feed to line feed by memchr; the reader
 * goes over each byte once, names by a table of classes, values eight bytes at a time.
 */
#include "http/http1_head.h"

#include <string.h>

/* Classes of bytes. */
enum { TOKEN = 1, TEXT = 2, TARGET = 4, HOST = 8 };

/* TOKEN: RFC 9110 5.6.2. TEXT: field text (5.5) and tabs. TARGET: what may stand in a target (RFC
 * 3986), and the brackets, braces and bar that browsers send, but no fragment. HOST: a name,
 * without user and port. */
static const uint8_t classes[256] = {
    /* clang-format off */
     0,  0,  0,  0,  0,  0,  0,  0,  0,  2,  0,  0,  0,  0,  0,  0,
     0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
     2, 15,  2,  3, 15, 15, 15, 15, 14, 14, 15, 15, 14, 15, 15,  6,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6, 14,  2, 14,  2,  6,
     6, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  2,  6,  3, 15,
     3, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15,  6,  7,  6, 15,  0,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
     2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,  2,
    /* clang-format on */
};

static inline bool is(uint8_t c, uint8_t class)
{
    return (classes[c] & class) != 0;
}

bool lmn_http1_is_token(uint8_t c)
{
    return is(c, TOKEN);
}

bool lmn_http1_is_text(uint8_t c)
{
    return is(c, TEXT);
}

/* More than may be there up to p[n)? 0, 414 or 431; asked at every byte or at line ends alone, the
 * answer for a head is the same. */
static uint32_t too_much(const lmn_http1_scan *s, const lmn_http1_limits *l, size_t n)
{
    if (!s->fields) return n - s->begin > (size_t)l->line_bytes + 2 ? 414 : 0;
    return n - s->fields > (size_t)l->header_bytes + 2 ? 431 : 0;
}

/* A line lies in p[s->line..lf], lf its line feed. READY: it is empty, the head is over. */
static uint32_t end_line(lmn_http1_scan *s, const lmn_http1_limits *l, const uint8_t *p, size_t lf)
{
    const size_t from = s->line;
    const uint32_t status = too_much(s, l, lf + 1);
    if (status) return status;
    if (lf == from || p[lf - 1] != '\r') return 400;
    s->at = s->line = (uint32_t)(lf + 1);
    if (s->fields) {
        if (lf - from == 1) return LMN_HTTP1_READY;
        return ++s->n_lines > l->n_fields ? 431 : LMN_HTTP1_MORE;
    }
    if (lf - from > 1) {
        s->fields = s->at;
        return LMN_HTTP1_MORE;
    }
    s->begin = s->at; /* RFC 9112 2.2: one empty line may come before */
    return from == 0 ? LMN_HTTP1_MORE : 400;
}

uint32_t lmn_http1_find(lmn_http1_scan *s, const lmn_http1_limits *l, const uint8_t *p, size_t n)
{
    if (s->at == 0 && n > 0 && p[0] != '\r' && !is(p[0], TOKEN)) return 400; /* TLS, say */
    while (s->at < n) {
        const uint8_t *lf = memchr(p + s->at, '\n', n - s->at);
        if (!lf) break;
        const uint32_t step = end_line(s, l, p, (size_t)(lf - p));
        if (step != LMN_HTTP1_MORE) return step;
    }
    s->at = (uint32_t)n;
    const uint32_t status = too_much(s, l, n);
    return status ? status : LMN_HTTP1_MORE;
}

bool lmn_http1_is(lmn_span text, const char *lower)
{
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c >= 'A' && c <= 'Z') c |= 0x20;
        if (c != (uint8_t)lower[i]) return false; /* the zero of `lower` differs too */
    }
    return lower[text.n] == 0;
}

lmn_span lmn_http_field_get(const lmn_http_request *r, const char *name)
{
    for (uint32_t i = 0; i < r->n_fields; i++)
        if (lmn_http1_is(r->fields[i].name, name)) return r->fields[i].value;
    return (lmn_span){NULL, 0};
}

bool lmn_http1_parse_length(lmn_span text, int64_t *out)
{
    int64_t v = 0;
    if (text.n == 0 || text.n > 18) return false; /* 10^18 fits, and is beyond every limit */
    for (size_t i = 0; i < text.n; i++) {
        const uint8_t c = text.p[i];
        if (c < '0' || c > '9') return false;
        v = v * 10 + (c - '0');
    }
    *out = v;
    return true;
}

void lmn_http1_connection(lmn_span v, lmn_http1_options *out)
{
    const uint8_t *p = v.p, *end = v.p + v.n;
    while (p < end) {
        const uint8_t *comma = memchr(p, ',', (size_t)(end - p)), *stop = comma ? comma : end;
        const uint8_t *next = comma ? comma + 1 : end;
        while (p < stop && (*p == ' ' || *p == '\t')) p++;
        while (stop > p && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
        const lmn_span option = {p, (size_t)(stop - p)};
        out->close |= lmn_http1_is(option, "close");
        out->keep |= lmn_http1_is(option, "keep-alive");
        p = next;
    }
}

/* One past the text that begins at p; a CR stands somewhere before `end`. */
static const uint8_t *skip_text(const uint8_t *p, const uint8_t *end)
{
    const uint64_t ones = 0x0101010101010101u, high = 0x8080808080808080u;
    for (;;) {
        while (end - p >= 8) { /* eight at a time while none is below a blank or DEL */
            uint64_t x;
            memcpy(&x, p, 8);
            const uint64_t low = (x - 0x20 * ones) & ~x, del = x ^ (0x7f * ones);
            if ((low | ((del - ones) & ~del)) & high) break;
            p += 8;
        }
        for (int i = 0; i < 8; i++, p++)
            if (!is(*p, TEXT)) return p;
    }
}

bool lmn_http1_field(const uint8_t **at, const uint8_t *end, lmn_http_field *out)
{
    const uint8_t *p = *at, *name = p;
    while (is(*p, TOKEN)) p++;
    if (p == name || *p != ':') return false; /* also folded lines, and a blank before the colon */
    out->name = (lmn_span){name, (size_t)(p - name)};
    for (p++; *p == ' ' || *p == '\t';) p++;
    const uint8_t *value = p, *stop = skip_text(p, end);
    if (stop[0] != '\r' || stop[1] != '\n') return false;
    *at = stop + 2;
    while (stop > value && (stop[-1] == ' ' || stop[-1] == '\t')) stop--;
    out->value = (lmn_span){value, (size_t)(stop - value)};
    return true;
}

static lmn_http_method method_of(lmn_span m)
{
#define METHOD(name)                                                          \
    if (m.n == sizeof #name - 1 && memcmp(m.p, #name, sizeof #name - 1) == 0) \
        return LMN_HTTP_##name;
    METHOD(POST)
    METHOD(GET)
    METHOD(HEAD)
    METHOD(PUT)
    METHOD(DELETE)
    METHOD(OPTIONS)
#undef METHOD
    return LMN_HTTP_OTHER;
}

bool lmn_http1_good_host(lmn_span h)
{
    size_t i = 0;
    if (h.n && h.p[0] == '[') {
        for (i = 1; i < h.n && (is(h.p[i], HOST) || h.p[i] == ':'); i++) {
        }
        if (i < 3 || i == h.n || h.p[i++] != ']') return false;
    } else {
        while (i < h.n && is(h.p[i], HOST)) i++;
        if (i == 0) return false;
    }
    if (i == h.n) return true;
    if (h.p[i++] != ':' || h.n - i > 5) return false;
    for (; i < h.n; i++)
        if (h.p[i] < '0' || h.p[i] > '9') return false;
    return true;
}

/* RFC 9112 3.2.2: "http://host/path"; *t becomes what follows the host. */
static bool absolute(lmn_span *t, lmn_span *host)
{
    size_t n = 0;
    if (t->n > 8 && lmn_http1_is((lmn_span){t->p, 7}, "http://")) n = 7;
    if (t->n > 8 && lmn_http1_is((lmn_span){t->p, 8}, "https://")) n = 8;
    if (n == 0) return false;
    const uint8_t *from = t->p + n, *end = t->p + t->n, *p = from;
    while (p < end && *p != '/' && *p != '?') p++;
    *host = (lmn_span){from, (size_t)(p - from)};
    *t = (lmn_span){p, (size_t)(end - p)};
    return lmn_http1_good_host(*host);
}

static uint32_t parse_target(lmn_span t, lmn_http1_head *out)
{
    static const uint8_t root[1] = {'/'};
    if (t.n == 1 && t.p[0] == '*') {
        out->path = t;
        return out->method == LMN_HTTP_OPTIONS ? LMN_HTTP1_READY : 400;
    }
    if (t.p[0] != '/' && !absolute(&t, &out->host)) return 400;
    const uint8_t *mark = t.n ? memchr(t.p, '?', t.n) : NULL;
    const size_t n = mark ? (size_t)(mark - t.p) : t.n;
    out->path = n ? (lmn_span){t.p, n} : (lmn_span){root, 1};
    if (mark) out->query = (lmn_span){mark + 1, t.n - n - 1};
    return LMN_HTTP1_READY;
}

/* method SP target SP "HTTP/1." digit CR LF */
static uint32_t parse_line(const uint8_t *p, const uint8_t *end, lmn_http1_head *out)
{
    const uint8_t *from = p;
    while (is(*p, TOKEN)) p++;
    const lmn_span method = {from, (size_t)(p - from)};
    if (method.n == 0 || *p != ' ') return 400;
    const uint8_t *target = ++p;
    while (is(*p, TARGET)) p++;
    const lmn_span t = {target, (size_t)(p - target)};
    if (t.n == 0 || *p != ' ' || end - p != 11 || memcmp(p, " HTTP/", 6) != 0) return 400;
    if (p[6] < '0' || p[6] > '9' || p[7] != '.' || p[8] < '0' || p[8] > '9') return 400;
    if (p[6] != '1') return 505;
    out->version = p[8] == '0' ? 10 : 11; /* a later minor is answered as 1.1 */
    out->method = method_of(method);
    if (method.n > 32 || lmn_http1_is(method, "connect")) return 501;
    return parse_target(t, out);
}

/* What the fields say about the framing. */
typedef struct framing {
    bool host, length, coding;
    lmn_http1_options options;
} framing;

/* RFC 9112 6.1, 6.3: a list that does not end in chunked is malformed, another coding before it is
 * one that is not known here. */
static uint32_t transfer_coding(lmn_span v, lmn_http1_head *out, framing *f)
{
    const size_t n = sizeof ", chunked" - 1;
    if (f->coding || f->length || out->version == 10) return 400;
    f->coding = true;
    out->body_bytes = -1;
    if (lmn_http1_is(v, "chunked")) return LMN_HTTP1_READY;
    const bool other = v.n > n && lmn_http1_is((lmn_span){v.p + v.n - n, n}, ", chunked") &&
                       !lmn_http1_is((lmn_span){v.p, 7}, "chunked");
    return other ? 501 : 400;
}

static uint32_t one_field(const lmn_http_field *x, lmn_http1_head *out, framing *f)
{
    const lmn_span name = x->name;
    switch (name.n) {
    case 4:
        if (!lmn_http1_is(name, "host")) break;
        if (f->host || !lmn_http1_good_host(x->value)) return 400;
        f->host = true;
        if (!out->host.p) out->host = x->value; /* that of the target wins: RFC 9112 3.2.2 */
        break;
    case 6:
        if (!lmn_http1_is(name, "expect")) break;
        if (!lmn_http1_is(x->value, "100-continue")) return 417;
        out->expects = out->version == 11;
        break;
    case 10:
        if (lmn_http1_is(name, "connection")) lmn_http1_connection(x->value, &f->options);
        break;
    case 14:
        if (!lmn_http1_is(name, "content-length")) break;
        if (f->length || f->coding || !lmn_http1_parse_length(x->value, &out->body_bytes))
            return 400;
        f->length = true;
        break;
    case 17:
        if (lmn_http1_is(name, "transfer-encoding")) return transfer_coding(x->value, out, f);
        break;
    default: break;
    }
    return LMN_HTTP1_READY;
}

uint32_t lmn_http1_parse(const uint8_t *p, const lmn_http1_scan *s, lmn_http_field *fields,
                         lmn_http1_head *out)
{
    const uint8_t *end = p + s->at, *at = p + s->fields;
    framing f = {false, false, false, {false, false}};
    *out = (lmn_http1_head){.n_fields = s->n_lines};
    uint32_t step = parse_line(p + s->begin, at, out);
    for (uint32_t i = 0; i < s->n_lines && step == LMN_HTTP1_READY; i++)
        step = lmn_http1_field(&at, end, &fields[i]) ? one_field(&fields[i], out, &f) : 400;
    if (step != LMN_HTTP1_READY) return step;
    if (!f.host && out->version == 11) return 400;
    out->expects = out->expects && out->body_bytes != 0;
    out->keep_alive = !f.options.close && (out->version == 11 || f.options.keep);
    return LMN_HTTP1_READY;
}
