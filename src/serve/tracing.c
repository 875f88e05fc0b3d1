/*
 * W3C Trace Context: which trace a request belongs to, by `traceparent`, read strictly; what of it
 * goes to the collector. A request that names a trace gets a span of its own below the client's,
 * and is told which in the answer's `traceparent`, whether it is sent anywhere or not.
 */
#include "serve/server_int.h"

#include "base/hash.h"
#include "base/os/os_env.h"
#include "base/os/os_time.h"

#include <string.h>

enum { SAMPLED = 1 };

/* Two digits; lower case alone, as the standard says. */
static bool hex_byte(const uint8_t *p, uint8_t *out)
{
    uint8_t v = 0;
    for (int i = 0; i < 2; i++) {
        const uint8_t c = p[i];
        if (c >= '0' && c <= '9')
            v = (uint8_t)(v << 4 | (c - '0'));
        else if (c >= 'a' && c <= 'f')
            v = (uint8_t)(v << 4 | (c - 'a' + 10));
        else
            return false;
    }
    *out = v;
    return true;
}

static bool hex_id(const uint8_t *p, uint8_t *out, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++) {
        if (!hex_byte(p + 2 * i, &out[i])) return false;
        any |= out[i];
    }
    return any != 0; /* all zeros are no id */
}

/* VERSION-(32)-(16)-FLAGS. Versions to come may have more behind a dash; ff is none. */
bool lmn_traceparent_read(lmn_span v, lmn_call_trace *out)
{
    uint8_t version;
    if (v.n < LMN_TRACEPARENT || !hex_byte(v.p, &version) || version == 0xff) return false;
    if (v.n > LMN_TRACEPARENT && (version == 0 || v.p[LMN_TRACEPARENT] != '-')) return false;
    if (v.p[2] != '-' || v.p[35] != '-' || v.p[52] != '-') return false;
    return hex_id(v.p + 3, out->trace, LMN_TRACE_ID) &&
           hex_id(v.p + 36, out->parent, LMN_SPAN_ID) && hex_byte(v.p + 53, &out->flags);
}

static void put_hex(char *out, const uint8_t *p, size_t n)
{
    static const char DIGITS[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = DIGITS[p[i] >> 4];
        out[2 * i + 1] = DIGITS[p[i] & 15u];
    }
}

void lmn_traceparent_write(const lmn_call_trace *t, char out[LMN_TRACEPARENT])
{
    const uint8_t flags = t->on ? t->flags | SAMPLED : t->flags & (uint8_t)~SAMPLED;
    memset(out, '-', LMN_TRACEPARENT);
    out[0] = out[1] = '0';
    put_hex(out + 3, t->trace, LMN_TRACE_ID);
    put_hex(out + 36, t->span, LMN_SPAN_ID);
    put_hex(out + 53, &flags, 1);
}

/* Ids are to differ between servers, no more: the kernel's random text, the clock and the loop. */
void lmn_trace_seed(lmn_serve_loop *l)
{
    char uuid[64] = "";
    (void)lmn_os_text_read("/proc/sys/kernel/random/uuid", uuid, sizeof uuid);
    lmn_rng_init(&l->ids, lmn_hash_bytes(lmn_wall_ns() ^ l->index, uuid, strlen(uuid)),
                 lmn_now_ns() ^ l->thread);
}

static void new_id(lmn_serve_loop *l, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i += 8) {
        const uint64_t v = lmn_rng_u64(&l->ids) | 1u; /* never all zeros */
        memcpy(out + i, &v, 8);
    }
}

/* The only field of that name; two of them are none. */
static bool parent_of(const lmn_http_request *r, lmn_call_trace *out)
{
    static const char NAME[] = "traceparent";
    uint32_t n = 0;
    lmn_span value = {0};
    for (uint32_t i = 0; i < r->n_fields; i++) {
        const lmn_http_field *f = &r->fields[i];
        bool same = f->name.n == sizeof NAME - 1;
        for (size_t k = 0; same && k < f->name.n; k++) same = (f->name.p[k] | 0x20) == NAME[k];
        if (same) value = f->value, n++;
    }
    return n == 1 && lmn_traceparent_read(value, out);
}

void lmn_trace_begin(lmn_call *c)
{
    lmn_serve_loop *l = c->home;
    lmn_settings *s = &l->server->settings;
    lmn_call_trace *t = &c->trace;
    t->on = false;
    t->flags = 0;
    t->given = parent_of(c->req, t);
    const bool any = lmn_atomic_load(&s->traced, relaxed) != 0;
    if (LMN_LIKELY(!t->given && !any)) return;
    const lmn_trace_asked asked = !t->given            ? LMN_TRACE_UNASKED
                                  : t->flags & SAMPLED ? LMN_TRACE_YES
                                                       : LMN_TRACE_NO;
    t->on = any && lmn_settings_pick(s, &l->traces, c->version->sig.model, asked);
    if (!t->given && !t->on) return;
    if (!t->given) new_id(l, t->trace, LMN_TRACE_ID);
    new_id(l, t->span, LMN_SPAN_ID);
}

/* tracestate of the request: passed on whole or not at all. */
static uint16_t state_of(const lmn_http_request *r, char out[LMN_TRACE_STATE])
{
    const lmn_span v = lmn_http_field_get(r, "tracestate");
    if (v.n > LMN_TRACE_STATE) return 0;
    for (size_t i = 0; i < v.n; i++)
        if (v.p[i] < ' ' || v.p[i] > '~') return 0;
    if (v.n) memcpy(out, v.p, v.n);
    return (uint16_t)v.n;
}

void lmn_trace_end(lmn_call *c, uint32_t status, uint64_t now)
{
    const lmn_infer *r = &c->infer;
    lmn_serve_loop *l = c->home;
    lmn_traced t;
    if (LMN_LIKELY(!c->trace.on)) return;
    memset(&t, 0, offsetof(lmn_traced, model));
    memcpy(t.trace, c->trace.trace, sizeof t.trace);
    memcpy(t.span, c->trace.span, sizeof t.span);
    memcpy(t.parent, c->trace.parent, sizeof t.parent);
    t.has_parent = c->trace.given;
    t.rpc = c->rpc;
    t.status = (uint16_t)status;
    t.began = c->began_ns;
    t.submitted = c->submitted_ns;
    t.started = c->submitted_ns ? r->started_ns : 0;
    t.computed = t.started ? r->computed_ns : 0;
    t.ended = now ? now : lmn_now_ns();
    t.version_number = c->version->number;
    t.bytes_in = c->rpc && c->stream ? c->message_bytes : c->req->body.n;
    t.rows = r->rows;
    (void)lmn_format(t.model, sizeof t.model, "%s", c->version->sig.model);
    t.state_n = c->trace.given ? state_of(c->req, t.state) : 0;
    lmn_otlp_put(l->server->otlp, l->index, &t);
}
