/*
 * The growable buffer. Invariant: n < cap whenever cap > 0, so the closing zero always has room.
 */
#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void lmn_strbuf_init(lmn_strbuf *b, const lamina_allocator *alloc, size_t max_bytes)
{
    *b = (lmn_strbuf){.alloc = alloc, .max = max_bytes < SIZE_MAX / 4 ? max_bytes : SIZE_MAX / 4};
}

void lmn_strbuf_finish(lmn_strbuf *b)
{
    if (b->alloc) lmn_free(b->alloc, b->p, b->cap, 16, "strbuf");
    *b = (lmn_strbuf){0};
}

void lmn_strbuf_reset(lmn_strbuf *b)
{
    b->n = 0;
    b->status = LAMINA_OK;
    if (b->p) b->p[0] = 0;
}

static bool make_room(lmn_strbuf *b, size_t n)
{
    if (b->status != LAMINA_OK) return false;
    if (n > b->max - b->n) {
        b->status = LAMINA_E_LIMIT;
        return false;
    }
    void *p = b->p;
    b->status = lmn_grow(b->alloc, &p, &b->cap, b->n + n + 1, b->max + 1, 1, "strbuf");
    b->p = p;
    return b->status == LAMINA_OK;
}

void lmn_strbuf_add(lmn_strbuf *b, const void *bytes, size_t n)
{
    if (!make_room(b, n)) return;
    if (n) memcpy(b->p + b->n, bytes, n);
    b->n += n;
    b->p[b->n] = 0;
}

void lmn_strbuf_str(lmn_strbuf *b, const char *s)
{
    lmn_strbuf_add(b, s, strlen(s));
}

void lmn_strbuf_char(lmn_strbuf *b, char c)
{
    lmn_strbuf_add(b, &c, 1);
}

void lmn_strbuf_printf(lmn_strbuf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0 || !make_room(b, (size_t)n)) return;
    va_start(ap, fmt);
    (void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}
