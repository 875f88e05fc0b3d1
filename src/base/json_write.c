/*
 * The JSON writer: values into a strbuf, commas and indentation kept by the writer.
 */
#include "base/json.h"
#include "base/text.h"

#include <math.h>
#include <string.h>

void lmn_jsonw_init(lmn_jsonw *w, lmn_strbuf *out, int32_t indent)
{
    *w = (lmn_jsonw){.out = out, .indent = indent};
}

static void new_line(lmn_jsonw *w)
{
    if (!w->indent) return;
    lmn_strbuf_char(w->out, '\n');
    lmn_strbuf_printf(w->out, "%*s", (int)w->depth * w->indent, "");
}

/* How many bytes at p stand for themselves. */
static size_t plain(const uint8_t *p, size_t n)
{
    size_t i = 0;
    while (i < n && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\') {
        const size_t len = p[i] < 0x80 ? 1 : lmn_utf8_len(p + i, n - i);
        if (len == 0) break;
        i += len;
    }
    return i;
}

/* What stands for a byte that does not. */
static size_t escape(uint8_t c, char out[6])
{
    static const char HEX[] = "0123456789abcdef", FROM[] = "\"\\\n\r\t", TO[] = "\"\\nrt";
    const char *at = c ? strchr(FROM, c) : NULL;
    if (at) {
        out[0] = '\\';
        out[1] = TO[at - FROM];
        return 2;
    }
    if (c >= 0x20) {
        memcpy(out, "\xef\xbf\xbd", 3);
        return 3;
    }
    memcpy(out, "\\u00", 4);
    out[4] = HEX[c >> 4];
    out[5] = HEX[c & 15];
    return 6;
}

size_t lmn_json_quote(char *out, const void *s, size_t n)
{
    const uint8_t *p = s;
    char *o = out;
    *o++ = '"';
    for (size_t i = 0; i < n;) {
        const size_t k = plain(p + i, n - i);
        memcpy(o, p + i, k);
        i += k, o += k;
        if (i < n) o += escape(p[i++], o);
    }
    *o++ = '"';
    return (size_t)(o - out);
}

static void quoted(lmn_strbuf *out, const uint8_t *p, size_t n)
{
    lmn_strbuf_char(out, '"');
    for (size_t i = 0; i < n;) {
        char text[6];
        const size_t k = plain(p + i, n - i);
        lmn_strbuf_add(out, p + i, k);
        i += k;
        if (i < n) lmn_strbuf_add(out, text, escape(p[i++], text));
    }
    lmn_strbuf_char(out, '"');
}

/* What stands before any value: comma, line, key. */
static void lead(lmn_jsonw *w, const char *key)
{
    lmn_assert(!key == !(w->depth && w->in_object[w->depth - 1]));
    if (w->need_comma) lmn_strbuf_char(w->out, ',');
    if (w->depth) new_line(w);
    w->need_comma = true;
    if (!key) return;
    quoted(w->out, (const uint8_t *)key, strlen(key));
    lmn_strbuf_str(w->out, w->indent ? ": " : ":");
}

static void begin(lmn_jsonw *w, const char *key, bool object)
{
    lead(w, key);
    if (w->depth == LMN_JSON_MAX_DEPTH) {
        if (w->out->status == LAMINA_OK) w->out->status = LAMINA_E_LIMIT;
        return;
    }
    lmn_strbuf_char(w->out, object ? '{' : '[');
    w->in_object[w->depth++] = object;
    w->need_comma = false;
}

void lmn_jsonw_object(lmn_jsonw *w, const char *key)
{
    begin(w, key, true);
}
void lmn_jsonw_array(lmn_jsonw *w, const char *key)
{
    begin(w, key, false);
}

void lmn_jsonw_end(lmn_jsonw *w)
{
    if (w->depth == 0) return;
    bool object = w->in_object[--w->depth];
    if (w->need_comma) new_line(w); /* nothing inside: stays "{}" */
    lmn_strbuf_char(w->out, object ? '}' : ']');
    w->need_comma = true;
}

void lmn_jsonw_strn(lmn_jsonw *w, const char *key, const void *s, size_t n)
{
    lead(w, key);
    quoted(w->out, s, n);
}

void lmn_jsonw_str(lmn_jsonw *w, const char *key, const char *s)
{
    lmn_jsonw_strn(w, key, s, strlen(s));
}

void lmn_jsonw_i64(lmn_jsonw *w, const char *key, int64_t v)
{
    char text[LMN_NUMBER_BYTES];
    lead(w, key);
    lmn_strbuf_add(w->out, text, lmn_i64_write(text, v));
}

void lmn_jsonw_u64(lmn_jsonw *w, const char *key, uint64_t v)
{
    char text[LMN_NUMBER_BYTES];
    lead(w, key);
    lmn_strbuf_add(w->out, text, lmn_u64_write(text, v));
}

void lmn_jsonw_f64(lmn_jsonw *w, const char *key, double v)
{
    char text[LMN_NUMBER_BYTES];
    lead(w, key);
    if (isfinite(v))
        lmn_strbuf_add(w->out, text, lmn_format_f64(text, v));
    else
        lmn_strbuf_str(w->out, "null");
}

void lmn_jsonw_f32(lmn_jsonw *w, const char *key, float v)
{
    char text[LMN_NUMBER_BYTES];
    lead(w, key);
    if (isfinite(v))
        lmn_strbuf_add(w->out, text, lmn_format_f32(text, v));
    else
        lmn_strbuf_str(w->out, "null");
}

void lmn_jsonw_bool(lmn_jsonw *w, const char *key, bool v)
{
    lead(w, key);
    lmn_strbuf_str(w->out, v ? "true" : "false");
}

void lmn_jsonw_null(lmn_jsonw *w, const char *key)
{
    lead(w, key);
    lmn_strbuf_str(w->out, "null");
}
