/*
 * Heads of answers, written without printf: a dozen copies of a few bytes.
 */
#include "http/http_int.h"

#include <string.h>

typedef struct writer {
    uint8_t *p, *end;
    bool full;
} writer;

static void put(writer *w, const void *bytes, size_t n)
{
    if (n > (size_t)(w->end - w->p)) {
        w->full = true;
        return;
    }
    if (n) memcpy(w->p, bytes, n);
    w->p += n;
}
#define PUT(w, text) put(w, text, sizeof(text) - 1)

static void put_number(writer *w, uint64_t v)
{
    char digits[20];
    size_t i = sizeof digits;
    do digits[--i] = (char)('0' + v % 10);
    while (v /= 10);
    put(w, digits + i, sizeof digits - i);
}

static const char *reason(uint32_t status)
{
    static const struct {
        uint16_t status;
        const char *text;
    } rows[] = {{200, "OK"},
                {201, "Created"},
                {202, "Accepted"},
                {204, "No Content"},
                {301, "Moved Permanently"},
                {302, "Found"},
                {304, "Not Modified"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {406, "Not Acceptable"},
                {408, "Request Timeout"},
                {409, "Conflict"},
                {411, "Length Required"},
                {413, "Content Too Large"},
                {414, "URI Too Long"},
                {415, "Unsupported Media Type"},
                {417, "Expectation Failed"},
                {422, "Unprocessable Content"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {501, "Not Implemented"},
                {502, "Bad Gateway"},
                {503, "Service Unavailable"},
                {504, "Gateway Timeout"},
                {505, "HTTP Version Not Supported"}};
    for (size_t i = 0; i < LMN_COUNT(rows); i++)
        if (rows[i].status == status) return rows[i].text;
    return "-";
}

static bool one_line(lmn_span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\r' || s.p[i] == '\n' || s.p[i] == 0) return false;
    return true;
}

static void put_field(writer *w, const lmn_http_field *f)
{
    if (!one_line(f->name) || !one_line(f->value)) return;
    put(w, f->name.p, f->name.n);
    PUT(w, ": ");
    put(w, f->value.p, f->value.n);
    PUT(w, "\r\n");
}

size_t lmn_http1_answer_head(uint8_t *out, size_t cap, const lmn_http_answer *a,
                             const lmn_http1_form *form)
{
    writer w = {out, out + cap, false};
    if (a->status == 200) {
        PUT(&w, "HTTP/1.1 200 OK\r\n");
    } else {
        const char *text = reason(a->status);
        PUT(&w, "HTTP/1.1 ");
        put_number(&w, a->status);
        PUT(&w, " ");
        put(&w, text, strlen(text));
        PUT(&w, "\r\n");
    }
    put(&w, form->date.p, form->date.n);
    if (a->content_type) {
        PUT(&w, "Content-Type: ");
        put(&w, a->content_type, strlen(a->content_type));
        PUT(&w, "\r\n");
    }
    if (form->body_bytes >= 0 && (!lmn_http1_bodyless(a->status))) {
        PUT(&w, "Content-Length: ");
        put_number(&w, (uint64_t)form->body_bytes);
        PUT(&w, "\r\n");
    }
    if (form->body_bytes == -1) PUT(&w, "Transfer-Encoding: chunked\r\n");
    for (uint32_t i = 0; i < a->n_fields; i++) put_field(&w, &a->fields[i]);
    if (form->close) {
        PUT(&w, "Connection: close\r\n\r\n");
    } else if (form->old) {
        PUT(&w, "Connection: keep-alive\r\n\r\n");
    } else {
        PUT(&w, "\r\n");
    }
    return w.full ? 0 : (size_t)(w.p - out);
}

static void two(char *p, int64_t v)
{
    p[0] = (char)('0' + v / 10);
    p[1] = (char)('0' + v % 10);
}

/* Days to year, month, day: Howard Hinnant's civil_from_days. */
void lmn_http1_date(char out[37], int64_t seconds)
{
    static const char days[] = "ThuFriSatSunMonTueWed";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const int64_t day = seconds / 86400, rest = seconds % 86400, z = day + 719468;
    const int64_t era = z / 146097, doe = z % 146097;
    const int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    const int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    const int64_t d = doy - (153 * mp + 2) / 5 + 1, m = mp < 10 ? mp + 3 : mp - 9;
    const int64_t y = yoe + era * 400 + (m <= 2);
    memcpy(out, "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n", 37);
    memcpy(out + 6, days + 3 * (day % 7), 3);
    two(out + 11, d);
    memcpy(out + 14, months + 3 * (m - 1), 3);
    two(out + 18, y / 100);
    two(out + 20, y % 100);
    two(out + 23, rest / 3600);
    two(out + 26, rest / 60 % 60);
    two(out + 29, rest % 60);
}
