/*
 * Writing lines. Texts come from other processes: whatever they hold, a line is one line, valid
 * UTF-8 and, as JSON, one object.
 */
#include "log/logline.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

/* Most pieces are short, and a call costs more than they do. */
static inline void put(lmn_lines *o, const void *s, size_t n)
{
    char *to = o->p + o->n;
    lmn_assert(n <= o->cap - o->n);
    if (n - 8 <= 8) { /* 8 to 16: two that overlap */
        memcpy(to, s, 8);
        memcpy(to + n - 8, (const char *)s + n - 8, 8);
    } else if (n - 4 <= 4) {
        memcpy(to, s, 4);
        memcpy(to + n - 4, (const char *)s + n - 4, 4);
    } else {
        memcpy(to, s, n);
    }
    o->n += n;
}

/* Of a literal the length is known where this is inlined. */
static inline void put_str(lmn_lines *o, const char *s)
{
    put(o, s, strlen(s));
}

static void put_char(lmn_lines *o, char c)
{
    o->p[o->n++] = c;
}

static void put_u64(lmn_lines *o, uint64_t v)
{
    static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char buf[20];
    size_t n = sizeof buf;
    for (; v >= 100; v /= 100) memcpy(buf + (n -= 2), PAIRS + 2 * (v % 100), 2);
    if (v >= 10)
        memcpy(buf + (n -= 2), PAIRS + 2 * v, 2);
    else
        buf[--n] = (char)('0' + v);
    put(o, buf + n, sizeof buf - n);
}

static void put_two(char *p, unsigned v)
{
    p[0] = (char)('0' + v / 10 % 10);
    p[1] = (char)('0' + v % 10);
}

/* "2026-11-21T22:12:06" in UTC; days to a date as in Hinnant's chrono algorithms. */
static void write_date(char out[24], uint64_t second)
{
    const uint64_t day = second / 86400, s = second % 86400;
    const uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
    const uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const uint64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    const unsigned month = (unsigned)(mp < 10 ? mp + 3 : mp - 9);
    const unsigned year = (unsigned)(yoe + era * 400 + (month <= 2));
    memcpy(out, "0000-00-00T00:00:00", 20);
    put_two(out, year / 100);
    put_two(out + 2, year % 100);
    put_two(out + 5, month);
    put_two(out + 8, (unsigned)(doy - (153 * mp + 2) / 5 + 1));
    put_two(out + 11, (unsigned)(s / 3600));
    put_two(out + 14, (unsigned)(s / 60 % 60));
    put_two(out + 17, (unsigned)(s % 60));
}

static void put_time(lmn_lines *o, uint64_t ns)
{
    const uint64_t second = ns / 1000000000u;
    unsigned rest = (unsigned)(ns % 1000000000u);
    if (second != o->second || !o->date[0]) {
        write_date(o->date, second);
        o->second = second;
    }
    char t[10];
    t[9] = 'Z';
    for (int i = 8; i >= 0; i--, rest /= 10) t[i] = (char)('0' + rest % 10);
    put(o, o->date, 19);
    put_char(o, '.');
    put(o, t, sizeof t);
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Zero bytes of v set the top bit of theirs; above the lowest of them others may be set too. */
static uint64_t zeros(uint64_t v)
{
    return (v - 0x0101010101010101u) & ~v & 0x8080808080808080u;
}

/* Is there a byte among these eight that may not stand as it is? False alarms are possible. */
static bool any_special(uint64_t v)
{
    const uint64_t low = (v - 0x2020202020202020u) & ~v & 0x8080808080808080u;
    return (low | (v & 0x8080808080808080u) | zeros(v ^ 0x7f7f7f7f7f7f7f7fu) |
            zeros(v ^ 0x2222222222222222u) | zeros(v ^ 0x5c5c5c5c5c5c5c5cu)) != 0;
}

/* Bytes from p on that may stand as they are; the last are looked at with some before them. */
static size_t plain_bytes(const uint8_t *p, size_t n)
{
    size_t k = 0;
    uint64_t v;
    uint32_t head, tail;
    if (n >= 8) {
        for (; n - k >= 8; k += 8) {
            memcpy(&v, p + k, 8);
            if (any_special(v)) break;
        }
        memcpy(&v, p + n - 8, 8);
        if (n - k < 8 && !any_special(v)) return n;
    } else if (n >= 4) {
        memcpy(&head, p, 4);
        memcpy(&tail, p + n - 4, 4);
        if (!any_special((uint64_t)tail << 32 | head)) return n;
    }
    while (k < n && is_plain(p[k])) k++;
    return k;
}

/* One byte or code point that may not stand as it is; how many bytes were read. */
static size_t put_escaped(lmn_lines *o, const uint8_t *p, size_t n)
{
    static const char HEX[] = "0123456789abcdef";
    const size_t len = *p >= 0x80 ? lmn_utf8_len(p, n) : 0;
    if (len) {
        put(o, p, len);
        return len;
    }
    if (*p >= 0x80) {
        put(o, "\xef\xbf\xbd", 3);
    } else if (*p == '"' || *p == '\\') {
        put_char(o, '\\');
        put_char(o, (char)*p);
    } else if (*p == '\n') {
        put(o, "\\n", 2);
    } else if (*p == '\t') {
        put(o, "\\t", 2);
    } else {
        const char u[6] = {'\\', 'u', '0', '0', HEX[*p >> 4], HEX[*p & 15]};
        put(o, u, sizeof u);
    }
    return 1;
}

static void put_escaped_text(lmn_lines *o, const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        const size_t k = plain_bytes(p + i, n - i);
        put(o, p + i, k);
        i += k;
        if (i < n) i += put_escaped(o, p + i, n - i);
    }
}

static void put_quoted(lmn_lines *o, lmn_span s)
{
    put_char(o, '"');
    put_escaped_text(o, s.p, s.n);
    put_char(o, '"');
}

/* logfmt: quotes only where they are needed. */
static void put_text(lmn_lines *o, lmn_span s)
{
    bool bare = o->logfmt && s.n;
    for (size_t i = 0; bare && i < s.n; i++)
        bare = is_plain(s.p[i]) && s.p[i] != ' ' && s.p[i] != '=';
    if (bare)
        put(o, s.p, s.n);
    else
        put_quoted(o, s);
}

static bool reserved(lmn_span key)
{
    switch (key.n) {
    case 3:
        return memcmp(key.p, "pid", 3) == 0 || memcmp(key.p, "tid", 3) == 0 ||
               memcmp(key.p, "msg", 3) == 0;
    case 4: return memcmp(key.p, "time", 4) == 0 || memcmp(key.p, "from", 4) == 0;
    case 5: return memcmp(key.p, "level", 5) == 0;
    case 9: return memcmp(key.p, "truncated", 9) == 0;
    default: return false;
    }
}

/* "key": or key= of one of our own names. */
static void put_name(lmn_lines *o, const char *name)
{
    put_str(o, o->logfmt ? " " : ",\"");
    put_str(o, name);
    put_str(o, o->logfmt ? "=" : "\":");
}

static void write_key(lmn_lines *o, lmn_span key)
{
    if (!o->logfmt) {
        put(o, ",\"", 2);
        put_escaped_text(o, key.p, key.n);
        put_str(o, reserved(key) ? "_\":" : "\":");
        return;
    }
    put_char(o, ' ');
    if (key.n == 0) put_char(o, '_');
    for (size_t i = 0; i < key.n;) {
        const uint8_t c = key.p[i];
        const size_t len = c >= 0x80 ? lmn_utf8_len(key.p + i, key.n - i) : 1;
        if (len && c > ' ' && c != '=' && c != '"' && c != 0x7f)
            put(o, key.p + i, len);
        else
            put_char(o, '_');
        i += len ? len : 1;
    }
    put_str(o, reserved(key) ? "_=" : "=");
}

/* Records of a kind have the same keys in the same places: as it was written there last. */
static void put_key(lmn_lines *o, uint32_t i, lmn_span key)
{
    lmn_line_key *k = &o->keys[i % LMN_LOGLINE_KEYS];
    if (LMN_LIKELY(k->n == key.n && k->n_text && memcmp(k->key, key.p, key.n) == 0)) {
        put(o, k->text, k->n_text);
        return;
    }
    const size_t from = o->n;
    write_key(o, key);
    k->n_text = 0;
    if (key.n > sizeof k->key || o->n - from > sizeof k->text) return;
    k->n = (uint8_t)key.n;
    k->n_text = (uint8_t)(o->n - from);
    if (key.n) memcpy(k->key, key.p, key.n);
    memcpy(k->text, o->p + from, k->n_text);
}

static void put_hex(lmn_lines *o, uint64_t v)
{
    char buf[16];
    size_t n = sizeof buf;
    do buf[--n] = "0123456789abcdef"[v & 15];
    while (v >>= 4);
    put_str(o, o->logfmt ? "0x" : "\"0x");
    put(o, buf + n, sizeof buf - n);
    if (!o->logfmt) put_char(o, '"');
}

static void put_f64(lmn_lines *o, uint64_t bits)
{
    char buf[LMN_NUMBER_BYTES];
    double v;
    memcpy(&v, &bits, sizeof v);
    const size_t n = lmn_format_f64(buf, v);
    const bool text = !o->logfmt && !isfinite(v); /* JSON has no number for it */
    if (text) put_char(o, '"');
    put(o, buf, n);
    if (text) put_char(o, '"');
}

static void put_i64(lmn_lines *o, uint64_t bits)
{
    const bool minus = bits >> 63;
    if (minus) put_char(o, '-');
    put_u64(o, minus ? 0 - bits : bits);
}

static void put_value(lmn_lines *o, const lmn_logfield *f)
{
    switch (f->kind) {
    case LMN_LOGREC_STR: put_text(o, f->value); break;
    case LMN_LOGREC_I64: put_i64(o, f->bits); break;
    case LMN_LOGREC_U64: put_u64(o, f->bits); break;
    case LMN_LOGREC_F64: put_f64(o, f->bits); break;
    case LMN_LOGREC_HEX: put_hex(o, f->bits); break;
    default: put_str(o, f->bits ? "true" : "false"); break;
    }
}

static void put_head(lmn_lines *o, const lmn_logorigin *from, const lmn_logrec *r)
{
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    const char *level = LEVELS[r->level < LMN_COUNT(LEVELS) ? r->level : LMN_COUNT(LEVELS) - 1];
    put_str(o, o->logfmt ? "time=" : "{\"time\":\"");
    put_time(o, r->time_ns);
    put_str(o, o->logfmt ? " level=" : "\",\"level\":\"");
    put_str(o, level);
    if (!o->logfmt) put_char(o, '"');
    put_name(o, "from");
    put_text(o, (lmn_span){(const uint8_t *)from->name, strlen(from->name)});
    put_name(o, "pid");
    put_u64(o, r->pid ? r->pid : from->pid);
    if (r->tid) {
        put_name(o, "tid");
        put_u64(o, r->tid);
    }
}

static void put_end(lmn_lines *o)
{
    put_str(o, o->logfmt ? "\n" : "}\n");
}

bool lmn_lines_record(lmn_lines *o, const lmn_logorigin *from, lmn_logrec r)
{
    lmn_logfield f;
    put_head(o, from, &r);
    for (uint32_t i = 0; lmn_logrec_next(&r, &f); i++) {
        if (i == 0 && f.kind == LMN_LOGREC_STR && f.key.n == 0)
            put_name(o, "msg");
        else
            put_key(o, i, f.key);
        put_value(o, &f);
    }
    if (r.flags & LMN_LOGREC_TRUNCATED) {
        put_name(o, "truncated");
        put_str(o, "true");
    }
    put_end(o);
    return !r.malformed;
}

void lmn_lines_note(lmn_lines *o, const lmn_logorigin *from, uint64_t time_ns, const char *text,
                    const char *key, uint64_t value)
{
    const lmn_logrec r = {.time_ns = time_ns, .level = LAMINA_LOG_WARN};
    if (o->cap - o->n < LMN_LOGLINE_MAX) return;
    put_head(o, from, &r);
    put_name(o, "msg");
    put_text(o, (lmn_span){(const uint8_t *)text, strlen(text)});
    put_name(o, key);
    put_u64(o, value);
    put_end(o);
}
