/*
 * Words of the text form of a graph: a cursor over bytes that is never read past its end, one
 * sticky error with line and column, decoding of strings into an arena.
 */
#ifndef LMN_GRAPH_TEXT_LEX_H
#define LMN_GRAPH_TEXT_LEX_H

#include "base/alloc.h"
#include "base/error.h"

typedef struct lmn_lex {
    const char *text, *p, *end;
    lamina_error *err;
    lamina_status status; /* the first failure; everything after it fails too */
} lmn_lex;

/* Fill the error with "line l, column c: ..." of the cursor; false, so that callers may return it.
 */
LMN_PRINTF(3, 4)
bool lmn_lex_fail(lmn_lex *x, lamina_status status, const char *fmt, ...);
/* White space and comments are skipped before each of these. */
/* Is c next? Then takes it. */
bool lmn_lex_take(lmn_lex *x, char c);
bool lmn_lex_need(lmn_lex *x, char c);
/* Is this word next (and no longer word)? Then takes it. */
bool lmn_lex_word(lmn_lex *x, const char *word);
bool lmn_lex_at_end(lmn_lex *x);
/* Letters, digits and _ . : / - ; at most cap - 1 of them. */
bool lmn_lex_name(lmn_lex *x, char *buf, size_t cap);
bool lmn_lex_i64(lmn_lex *x, int64_t *out);
bool lmn_lex_u64(lmn_lex *x, uint64_t *out);
/* A decimal number, inf or -inf. */
bool lmn_lex_f64(lmn_lex *x, double *out);
/* A quoted string, decoded into the arena, zero-terminated. */
bool lmn_lex_string(lmn_lex *x, lmn_arena *a, char **out, size_t *n);
/* n bytes as 2 n hexadecimal digits. */
bool lmn_lex_hex(lmn_lex *x, void *out, size_t n);

#endif
