/*
 * Growable byte buffer with a mandatory maximum. Appending never has to be checked one by one: the
 * first failure sticks in `status` (E_NOMEM or E_LIMIT), later appends do nothing, and whoever
 * builds looks once at the end. The bytes are always followed by a zero once anything was appended.
 */
#ifndef LMN_BASE_STRBUF_H
#define LMN_BASE_STRBUF_H

#include "base/alloc.h"

typedef struct lmn_strbuf {
    const lamina_allocator *alloc;
    char *p;
    size_t n, cap, max; /* max counts bytes without the closing zero */
    lamina_status status;
} lmn_strbuf;

void lmn_strbuf_init(lmn_strbuf *b, const lamina_allocator *alloc, size_t max_bytes);
void lmn_strbuf_finish(lmn_strbuf *b); /* a zeroed one is fine */
/* Forget the content and the failure, keep the memory. */
void lmn_strbuf_reset(lmn_strbuf *b);
void lmn_strbuf_add(lmn_strbuf *b, const void *bytes, size_t n);
void lmn_strbuf_str(lmn_strbuf *b, const char *s);
void lmn_strbuf_char(lmn_strbuf *b, char c);
LMN_PRINTF(2, 3)
void lmn_strbuf_printf(lmn_strbuf *b, const char *fmt, ...);
/* The text so far; "" when nothing was appended. */
static inline const char *lmn_strbuf_text(const lmn_strbuf *b)
{
    return b->p ? b->p : "";
}

#endif
