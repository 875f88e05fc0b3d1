/*
 * Regular expressions in RE2's syntax, matching in time linear in the text: a program of
 * relative jumps run as a set of states. Supported: literals, ., classes (ranges, negation, \d \w
 * \s,
 * [:posix:]), groups (capturing, named, (?:...), flags i m s U), alternation, * + ? {n,m} also
 * lazy, anchors ^ $ \A \z \b \B, escapes \xHH \x{...} \Q...\E. Not: back references, look-around,
 * \C, \p.
 */
#ifndef LMN_OPS_REGEX_H
#define LMN_OPS_REGEX_H

#include "ops/op.h"

typedef struct lmn_regex_inst {
    uint8_t op;
    bool fold;    /* ignore case */
    bool negate;  /* sets */
    int32_t x, y; /* jumps relative to the instruction; code point; ranges [x, x + y) */
} lmn_regex_inst;

typedef struct lmn_regex_range {
    uint32_t lo, hi;
} lmn_regex_range;

typedef struct lmn_regex {
    lmn_regex_inst *code;
    int32_t n;
    lmn_regex_range *ranges;
    int32_t n_ranges;
    int32_t *set[2], *mark, *stack; /* working sets of n states */
    size_t *since[2]; /* of lmn_regex_find: where the match of each state in set began */
    int32_t turn;
} lmn_regex;

/* In scratch. E_PARSE or E_UNSUPPORTED with a sentence that names the place. */
lamina_status lmn_regex_compile(lmn_eval *ec, const char *pattern, size_t n, lmn_regex *re);
/* Does the whole text match? One thread at a time. */
bool lmn_regex_full(lmn_regex *re, const char *text, size_t n);
/* The leftmost match that begins at `from` (<= n, between characters) or later, the longest of
 * those that begin there; false: none. Linear in what it looks at. */
bool lmn_regex_find(lmn_regex *re, const char *text, size_t n, size_t from, size_t *begin,
                    size_t *end);

#endif
