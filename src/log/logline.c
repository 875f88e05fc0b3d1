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

/* Bytes of the buffer itself, from before its end; up to 15 more are written behind them. */
static inline void put_again(lmn_lines *o, size_t from, size_t n)
{
    const char *p = o->p + from;
    char *to = o->p + o->n;
    lmn_assert(from + n <= o->n && n + 15 <= o->cap - o->n);
    for (size_t i = 0; i < n; i += 16) memcpy(to + i, p + i, 16);
    o->n += n;
}

static const char PAIRS[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

static void put_u64(lmn_lines *o, uint64_t v)
{
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
    memcpy(p, PAIRS + 2 * (v % 100), 2);
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

#define SECOND 1000000000u
#define DATE_BYTES 20u /* with the point behind it */
#define NS_BYTES 9u

/* Nanoseconds of a second: nine digits. */
static void put_ns(lmn_lines *o, unsigned ns)
{
    char *p = o->p + o->n;
    p[0] = (char)('0' + ns / 100000000);
    put_two(p + 1, ns / 1000000);
    put_two(p + 3, ns / 10000);
    put_two(p + 5, ns / 100);
    put_two(p + 7, ns);
    o->n += NS_BYTES;
}

static void put_time(lmn_lines *o, uint64_t second, unsigned ns)
{
    if (second != o->second || !o->date[0]) {
        write_date(o->date, second);
        o->second = second;
    }
    put(o, o->date, DATE_BYTES - 1);
    put_char(o, '.');
    put_ns(o, ns);
    put_char(o, 'Z');
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

static void put_head(lmn_lines *o, const lmn_logorigin *from, const lmn_logrec *r, uint32_t pid)
{
    static const char *const LEVELS[] = {"debug", "info", "warn", "error"};
    const char *level = LEVELS[r->level < LMN_COUNT(LEVELS) ? r->level : LMN_COUNT(LEVELS) - 1];
    put_str(o, o->logfmt ? "time=" : "{\"time\":\"");
    put_time(o, r->time_ns / SECOND, (unsigned)(r->time_ns % SECOND));
    put_str(o, o->logfmt ? " level=" : "\",\"level\":\"");
    put_str(o, level);
    if (!o->logfmt) put_char(o, '"');
    put_name(o, "from");
    put_text(o, (lmn_span){(const uint8_t *)from->name, strlen(from->name)});
    put_name(o, "pid");
    put_u64(o, pid);
    if (r->tid) {
        put_name(o, "tid");
        put_u64(o, r->tid);
    }
}

/* The head of a record like the last one, of the same second: all but the nanoseconds. */
static void put_head_again(lmn_lines *o, unsigned ns)
{
    const lmn_line_last *l = &o->last;
    put_again(o, l->begin, l->ns - l->begin);
    put_ns(o, ns);
    put_again(o, l->ns + NS_BYTES, l->field[0].text - l->ns - NS_BYTES);
}

static void begin_line(lmn_lines *o, const lmn_logorigin *from, const lmn_logrec *r, bool again)
{
    lmn_line_last *l = &o->last;
    const size_t begin = o->n;
    const uint64_t second = r->time_ns / SECOND;
    const uint32_t pid = r->pid ? r->pid : from->pid;
    if (again && second == l->second && pid == l->pid && r->tid == l->tid && r->level == l->level &&
        strcmp(from->name, l->from) == 0) {
        put_head_again(o, (unsigned)(r->time_ns % SECOND));
        l->ns += begin - l->begin;
    } else {
        put_head(o, from, r, pid);
        l->ns = begin + strlen(o->logfmt ? "time=" : "{\"time\":\"") + DATE_BYTES;
        l->second = second;
        l->pid = pid;
        l->tid = r->tid;
        l->level = r->level;
        memcpy(l->from, from->name, strlen(from->name) + 1);
    }
    l->begin = begin;
}

/* How many are the same; the machine is little-endian. */
static size_t same_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
    size_t k = 0;
    uint64_t x, y;
    for (; n - k >= 8; k += 8) {
        memcpy(&x, a + k, 8);
        memcpy(&y, b + k, 8);
        if (x != y) return k + (size_t)(__builtin_ctzll(x ^ y) >> 3);
    }
    while (k < n && a[k] == b[k]) k++;
    return k;
}

/* Field i and those behind it that are the same, bytes at r->p, as they were in the last record;
 * `at`: where they lie now. Which is the next, and how many of its bytes are the same. */
static uint32_t put_same(lmn_lines *o, lmn_logrec *r, uint32_t i, size_t at, size_t *begins)
{
    lmn_line_last *l = &o->last;
    const lmn_line_field was = l->field[i];
    const size_t left = (size_t)(r->end - r->p), had = l->field[l->n_fields].at - (size_t)was.at;
    const size_t same = same_bytes(r->p, l->fields + was.at, left < had ? left : had);
    const size_t n = o->n;
    uint32_t j = i;
    while (j < l->n_fields && l->field[j + 1].at - (size_t)was.at <= same) j++;
    const size_t taken = l->field[j].at - (size_t)was.at;
    put_again(o, was.text, l->field[j].text - was.text);
    r->p += taken;
    *begins = same - taken;
    for (; i < j; i++) {
        l->field[i].at = (uint16_t)(l->field[i].at - was.at + at);
        l->field[i].text = (uint32_t)(l->field[i].text - was.text + n);
    }
    return j;
}

/* Is its key that of field i of the last record, whose first `same` bytes are the same? */
static bool key_again(const lmn_line_last *l, uint32_t i, const lmn_logfield *f, size_t same)
{
    const uint8_t *was = l->fields + l->field[i].at;
    return same >= LMN_LOGREC_FIELD + f->key.n ||
           (was[0] == f->kind && was[1] == f->key.n &&
            memcmp(was + LMN_LOGREC_FIELD, f->key.p, f->key.n) == 0);
}

/* One field, which is number i; `known`: the key of the last record's stands in the table. */
static void put_field(lmn_lines *o, const lmn_logfield *f, uint32_t i, size_t at, bool known)
{
    lmn_line_last *l = &o->last;
    const size_t text = o->n;
    if (known)
        put_again(o, l->field[i].text, l->field[i].key);
    else if (i == 0 && f->kind == LMN_LOGREC_STR && f->key.n == 0)
        put_name(o, "msg");
    else
        write_key(o, f->key);
    if (i < LMN_LOGLINE_FIELDS)
        l->field[i] = (lmn_line_field){(uint16_t)at, (uint16_t)(o->n - text), (uint32_t)text};
    put_value(o, f);
}

/* `again`: there is a last line to copy from. Entries of the table before i are of this record
 * already, those from i on still of the last one. */
static void put_fields(lmn_lines *o, lmn_logrec *r, bool again)
{
    lmn_line_last *l = &o->last;
    const uint8_t *const first = r->p;
    const uint32_t n_known = again && !r->malformed ? l->n_fields : 0;
    lmn_line_field end = {0};
    lmn_logfield f;
    uint32_t n = 0;
    for (uint32_t i = 0;; i++) {
        size_t same = 0;
        if (i < n_known) i = put_same(o, r, i, (size_t)(r->p - first), &same);
        const size_t at = (size_t)(r->p - first);
        if (i <= LMN_LOGLINE_FIELDS) {
            end = (lmn_line_field){(uint16_t)at, 0, (uint32_t)o->n};
            n = i;
        }
        if (!lmn_logrec_next(r, &f)) break;
        put_field(o, &f, i, at, i < n_known && key_again(l, i, &f, same));
    }
    l->n_fields = n;
    l->field[n] = end;
    if (end.at) memcpy(l->fields, first, end.at);
}

static void put_end(lmn_lines *o)
{
    put_str(o, o->logfmt ? "\n" : "}\n");
}

bool lmn_lines_record(lmn_lines *o, const lmn_logorigin *from, lmn_logrec r)
{
    const bool again = o->n && o->n == o->last.end; /* nobody took or added anything since */
    begin_line(o, from, &r, again);
    put_fields(o, &r, again);
    if (r.flags & LMN_LOGREC_TRUNCATED) {
        put_name(o, "truncated");
        put_str(o, "true");
    }
    put_end(o);
    o->last.end = o->n;
    return !r.malformed;
}

void lmn_lines_note(lmn_lines *o, const lmn_logorigin *from, uint64_t time_ns, const char *text,
                    const char *key, uint64_t value)
{
    const lmn_logrec r = {.time_ns = time_ns, .level = LAMINA_LOG_WARN};
    if (o->cap - o->n < LMN_LOGLINE_MAX) return;
    put_head(o, from, &r, from->pid);
    put_name(o, "msg");
    put_text(o, (lmn_span){(const uint8_t *)text, strlen(text)});
    put_name(o, key);
    put_u64(o, value);
    put_end(o);
    o->last.end = 0;
}
