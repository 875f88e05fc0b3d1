/*
 * The head of a stream: fields are kept as they come, within the limits of the server, and read as
 * a request when the head is whole.
 */
#include "http/http_h2_int.h"

#include <string.h>

static void moved(lmn_span *s, const uint8_t *from, uint8_t *to)
{
    if (s->p) s->p = to + (s->p - from);
}

/* Room for n more bytes of the head; what points into it moves along. */
static bool head_room(lmn_h2_stream *s, size_t n)
{
    size_t bytes;
    if (s->head_bytes - s->head_n >= n) return true;
    uint8_t *p = lmn_http_buf_take(s->h->c->loop, 2 * s->head_bytes + n, &bytes);
    if (!p) return false;
    lmn_http_field *fields = s->open.many ? s->open.many : s->open.few;
    if (s->head_n) memcpy(p, s->head, s->head_n);
    for (uint32_t i = 0; i < s->open.r.n_fields; i++) {
        moved(&fields[i].name, s->head, p);
        moved(&fields[i].value, s->head, p);
    }
    moved(&s->method, s->head, p);
    moved(&s->path, s->head, p);
    moved(&s->authority, s->head, p);
    lmn_http_buf_give(s->h->c->loop, s->head, s->head_bytes);
    s->head = p;
    s->head_bytes = bytes;
    return true;
}

static lmn_span keep(lmn_h2_stream *s, lmn_span bytes)
{
    uint8_t *p = s->head + s->head_n;
    if (bytes.n) memcpy(p, bytes.p, bytes.n);
    s->head_n += bytes.n;
    return (lmn_span){p, bytes.n};
}

static bool named(lmn_span name, const char *text, size_t n)
{
    return name.n == n && memcmp(name.p, text, n) == 0;
}

/* Where the next field goes; NULL: there are too many. */
static lmn_http_field *field_room(lmn_h2_stream *s)
{
    lmn_http_loop *l = s->h->c->loop;
    const uint32_t n = s->open.r.n_fields;
    if (n >= l->limits.n_fields) return NULL;
    if (n == LMN_HTTP_FEW_FIELDS && !s->open.many) {
        s->open.many =
            lmn_alloc(&l->alloc, l->limits.n_fields * sizeof *s->open.many, 16, "http fields");
        if (!s->open.many) return NULL;
        memcpy(s->open.many, s->open.few, sizeof s->open.few);
        s->open.r.fields = s->open.many;
    }
    return (s->open.many ? s->open.many : s->open.few) + n;
}

void lmn_h2_on_field(void *ctx, void *stream, lmn_span name, lmn_span value)
{
    lmn_h2_stream *s = stream;
    const lmn_http_loop *l = s->h->c->loop;
    (void)ctx;
    if (name.n + value.n > LMN_HTTP_H2_INPUT ||
        (s->fields_bytes += (uint32_t)(name.n + value.n) + 32) > l->limits.header_bytes) {
        s->refused = true;
        /* who goes on far beyond the limit wants us to unpack */
        if (s->fields_bytes > 8 * l->limits.header_bytes) lmn_h2_leave(s->h, LMN_H2_CALM);
    }
    if (s->refused || !head_room(s, name.n + value.n)) {
        s->refused = true;
        return;
    }
    if (name.n && name.p[0] == ':') {
        if (named(name, ":method", 7)) s->method = keep(s, value);
        if (named(name, ":path", 5)) s->path = keep(s, value);
        if (named(name, ":authority", 10)) s->authority = keep(s, value);
        return;
    }
    lmn_http_field *f = field_room(s);
    if (!f) {
        s->refused = true;
        return;
    }
    f->name = keep(s, name);
    f->value = keep(s, value);
    s->open.r.n_fields++;
}

static lmn_http_method method_of(lmn_span m)
{
    static const struct {
        const char *text;
        lmn_http_method method;
    } rows[] = {{"GET", LMN_HTTP_GET}, {"HEAD", LMN_HTTP_HEAD},     {"POST", LMN_HTTP_POST},
                {"PUT", LMN_HTTP_PUT}, {"DELETE", LMN_HTTP_DELETE}, {"OPTIONS", LMN_HTTP_OPTIONS}};
    for (size_t i = 0; i < LMN_COUNT(rows); i++)
        if (named(m, rows[i].text, strlen(rows[i].text))) return rows[i].method;
    return LMN_HTTP_OTHER;
}

static bool good_path(lmn_span p)
{
    if (p.n == 0 || p.p[0] != '/') return false;
    for (size_t i = 0; i < p.n; i++)
        if (p.p[i] <= ' ' || p.p[i] >= 0x7f || p.p[i] == '#') return false;
    return true;
}

uint32_t lmn_h2_read_head(lmn_h2_stream *s, bool last)
{
    lmn_http_request *r = &s->open.r;
    lmn_span host = s->authority;
    r->method = method_of(s->method);
    if (s->refused) return 431;
    r->declared_bytes = last ? 0 : -1;
    for (uint32_t i = 0; i < r->n_fields; i++) {
        const lmn_http_field *f = &r->fields[i];
        if (named(f->name, "content-length", 14)) {
            if (!lmn_http1_parse_length(f->value, &r->declared_bytes)) return 400;
        } else if (named(f->name, "host", 4)) {
            if (host.n && (host.n != f->value.n || memcmp(host.p, f->value.p, host.n) != 0))
                return 400;
            host = f->value;
        }
    }
    if (s->method.n > 32 || named(s->method, "CONNECT", 7)) return 501;
    if (s->path.n > s->h->c->loop->limits.line_bytes) return 414;
    if (!good_path(s->path) || !lmn_http1_good_host(host)) return 400;
    const uint8_t *mark = memchr(s->path.p, '?', s->path.n);
    const size_t n = mark ? (size_t)(mark - s->path.p) : s->path.n;
    r->path = (lmn_span){s->path.p, n};
    if (mark) r->query = (lmn_span){mark + 1, s->path.n - n - 1};
    r->host = host;
    return 0;
}
