/*
 * Protobuf's text format, as config.pbtxt is written in it: fields with or without a colon before
 * braces, braces or angles, lists, '#' comments, strings that are joined when they stand side by
 * side. Extensions and "any" messages are refused. Numbers keep their text.
 */
#include "base/text.h"
#include "serve/config_tree.h"

#include <string.h>

typedef struct reader {
    lmn_cfg_tree *t;
    const uint8_t *p, *end;
    uint32_t line, depth;
} reader;

lmn_cfg_node *lmn_cfg_add(lmn_cfg_tree *t, lmn_cfg_node *parent, const void *name, size_t n_name,
                          lmn_cfg_kind kind, uint32_t line)
{
    if (++t->n_nodes > LMN_CFG_MAX_NODES) {
        (void)lmn_fail(t->err, LAMINA_E_LIMIT, "the configuration has more than %u values",
                       LMN_CFG_MAX_NODES);
        return NULL;
    }
    lmn_cfg_node *n = LMN_ARENA_NEW(t->arena, lmn_cfg_node);
    if (n) n->name = lmn_arena_strn(t->arena, name, n_name);
    if (!n || !n->name) {
        (void)lmn_fail(t->err, LAMINA_E_NOMEM, "out of memory while reading a configuration");
        return NULL;
    }
    n->kind = kind;
    n->line = line;
    if (parent && parent->last)
        parent->last->next = n;
    else if (parent)
        parent->first = n;
    if (parent) parent->last = n;
    return n;
}

static lamina_status bad(reader *r, const char *what)
{
    if (r->t->err) r->t->err->line = (int32_t)r->line;
    return lmn_fail(r->t->err, LAMINA_E_PARSE, "line %u: %s", r->line, what);
}

/* To the next byte that counts; 0 at the end. */
static uint8_t peek(reader *r)
{
    for (; r->p < r->end; r->p++) {
        if (*r->p == '#') {
            while (r->p < r->end && *r->p != '\n') r->p++;
            if (r->p == r->end) return 0;
        }
        if (*r->p == '\n')
            r->line++;
        else if (*r->p != ' ' && *r->p != '\t' && *r->p != '\r')
            return *r->p;
    }
    return 0;
}

static bool accept(reader *r, char c)
{
    if (peek(r) != (uint8_t)c) return false;
    r->p++;
    return true;
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static lmn_span identifier(reader *r)
{
    lmn_span s = {r->p, 0};
    if (!is_letter(peek(r))) return s;
    s.p = r->p;
    while (r->p < r->end && (is_letter(*r->p) || is_digit(*r->p))) r->p++;
    s.n = (size_t)(r->p - s.p);
    return s;
}

static int digit_value(uint8_t c)
{
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

/* Up to `most` digits of `base`; at least one. */
static bool digits(reader *r, int base, int most, uint32_t *out)
{
    int n = 0;
    *out = 0;
    for (; n < most && r->p < r->end && digit_value(*r->p) < base; n++)
        *out = *out * (uint32_t)base + (uint32_t)digit_value(*r->p++);
    return n > 0;
}

/* What follows a backslash, as bytes; 0: it is no escape. */
static size_t escape(reader *r, uint8_t out[4])
{
    static const char FROM[] = "abfnrtv\\'\"?", TO[] = "\a\b\f\n\r\t\v\\'\"?";
    uint32_t v = 0;
    if (r->p == r->end) return 0;
    const uint8_t c = *r->p++;
    const char *at = c ? strchr(FROM, c) : NULL;
    if (at) return out[0] = (uint8_t)TO[at - FROM], 1;
    if (c == 'x' || c == 'X') {
        if (!digits(r, 16, 2, &v)) return 0;
    } else if (c == 'u' || c == 'U') {
        const uint8_t *from = r->p;
        const int want = c == 'u' ? 4 : 8;
        if (!digits(r, 16, want, &v) || r->p - from != want) return 0;
        if (!v || v > 0x10ffff || (v >= 0xd800 && v < 0xe000)) return 0;
        return lmn_utf8_put(out, v);
    } else {
        r->p--;
        if (!digits(r, 8, 3, &v)) return 0;
    }
    out[0] = (uint8_t)v;
    return v && v < 256 ? 1 : 0;
}

/* One quoted piece, appended at *to, which has room for all that is left of the text. */
static lamina_status quoted(reader *r, uint8_t **to)
{
    const uint8_t quote = *r->p++;
    while (r->p < r->end && *r->p != quote) {
        if (*r->p == '\n' || !*r->p) return bad(r, "a string does not end on its line");
        if (*r->p != '\\') {
            *(*to)++ = *r->p++;
            continue;
        }
        r->p++;
        uint8_t bytes[4];
        const size_t n = escape(r, bytes);
        if (!n) return bad(r, "a string holds an escape that is none");
        memcpy(*to, bytes, n);
        *to += n;
    }
    if (r->p == r->end) return bad(r, "a string does not end");
    r->p++;
    return LAMINA_OK;
}

static lamina_status string(reader *r, lmn_cfg_node *n)
{
    /* How long the pieces are together: at most what lies between the first and the last quote. */
    const reader began = *r;
    lamina_status st = LAMINA_OK;
    size_t room = 0;
    const uint8_t *from = r->p;
    for (uint8_t c = *r->p; c == '"' || c == '\''; c = peek(r)) {
        for (r->p++; r->p < r->end && *r->p != c && *r->p != '\n'; r->p++)
            if (*r->p == '\\' && r->p + 1 < r->end) r->p++;
        if (r->p < r->end) r->p++;
        room = (size_t)(r->p - from);
    }
    *r = began;
    uint8_t *text = lmn_arena_bump(r->t->arena, room + 1, 1), *to = text;
    if (!text) return lmn_fail(r->t->err, LAMINA_E_NOMEM, "out of memory");
    for (uint8_t c = *r->p; st == LAMINA_OK && (c == '"' || c == '\''); c = peek(r))
        st = quoted(r, &to);
    if (st != LAMINA_OK) return st;
    *to = 0;
    n->text = (const char *)text;
    return LAMINA_OK;
}

/* A number or a word: what stands there up to a separator. */
static lamina_status word(reader *r, lmn_cfg_node *n)
{
    const uint8_t *from = r->p;
    if (r->p < r->end && *r->p == '-') r->p++;
    while (r->p < r->end &&
           (is_letter(*r->p) || is_digit(*r->p) || *r->p == '.' ||
            ((*r->p == '+' || *r->p == '-') && (r->p[-1] | 0x20) == 'e' && is_digit(*from))))
        r->p++;
    if (r->p == from || (r->p == from + 1 && *from == '-')) return bad(r, "a value is missing");
    n->text = lmn_arena_strn(r->t->arena, from, (size_t)(r->p - from));
    return n->text ? LAMINA_OK : lmn_fail(r->t->err, LAMINA_E_NOMEM, "out of memory");
}

static lamina_status fields(reader *r, lmn_cfg_node *into, char closing);

static lamina_status value(reader *r, lmn_cfg_node *parent, lmn_span name, bool colon)
{
    const uint8_t c = peek(r);
    const bool message = c == '{' || c == '<', quote = c == '"' || c == '\'';
    if (!message && !colon) return bad(r, "a colon is missing before a value");
    const lmn_cfg_kind kind = message ? LMN_CFG_MESSAGE : quote ? LMN_CFG_STRING : LMN_CFG_WORD;
    lmn_cfg_node *n = lmn_cfg_add(r->t, parent, name.p, name.n, kind, r->line);
    if (!n) return LAMINA_E_LIMIT;
    if (quote) return string(r, n);
    if (!message) return word(r, n);
    if (++r->depth > LMN_CFG_MAX_DEPTH) return bad(r, "messages are nested too deep");
    r->p++;
    const lamina_status st = fields(r, n, c == '{' ? '}' : '>');
    r->depth--;
    return st;
}

/* name ':' value, name { ... }, name ':' [ value, ... ] */
static lamina_status field(reader *r, lmn_cfg_node *into)
{
    if (peek(r) == '[') return bad(r, "extensions are not supported");
    const lmn_span name = identifier(r);
    if (!name.n) return bad(r, "the name of a field is missing");
    const bool colon = accept(r, ':');
    if (!accept(r, '[')) return value(r, into, name, colon);
    if (accept(r, ']')) return LAMINA_OK;
    do {
        LMN_TRY(value(r, into, name, true));
    } while (accept(r, ','));
    return accept(r, ']') ? LAMINA_OK : bad(r, "a list does not end");
}

static lamina_status fields(reader *r, lmn_cfg_node *into, char closing)
{
    for (;;) {
        const uint8_t c = peek(r);
        if (!c && r->p < r->end) return bad(r, "there is a zero byte");
        if (!c) return closing ? bad(r, "a message does not end") : LAMINA_OK;
        if (closing && c == (uint8_t)closing) return r->p++, LAMINA_OK;
        LMN_TRY(field(r, into));
        if (!accept(r, ',')) (void)accept(r, ';');
    }
}

lamina_status lmn_cfg_read_text(lmn_cfg_tree *t, lmn_span text)
{
    reader r = {t, text.p, text.p + text.n, 1, 0};
    if (text.n > LMN_CFG_MAX_BYTES)
        return lmn_fail(t->err, LAMINA_E_LIMIT, "the configuration is longer than %zu bytes",
                        LMN_CFG_MAX_BYTES);
    t->root = lmn_cfg_add(t, NULL, "", 0, LMN_CFG_MESSAGE, 0);
    if (!t->root) return LAMINA_E_NOMEM;
    const lamina_status st = fields(&r, t->root, 0);
    /* lmn_cfg_add says only that it failed */
    return st == LAMINA_E_LIMIT && t->arena->failed ? LAMINA_E_NOMEM : st;
}
