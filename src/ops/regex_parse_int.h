/*
 * What the files share that read a pattern: regex_parse.c its groups and repeats into a program,
 * regex_class.c its characters and sets of them.
 */
#ifndef LMN_OPS_REGEX_PARSE_INT_H
#define LMN_OPS_REGEX_PARSE_INT_H

#include "ops/regex_inst.h"

#define LMN_REGEX_MAX_RANGES 8192

typedef struct lmn_regex_flags {
    bool fold, multi, dot_nl;
} lmn_regex_flags;

typedef struct lmn_regex_parser {
    lmn_eval *ec;
    lmn_regex *re;
    const uint8_t *start, *p, *end;
    lmn_regex_flags f;
    int32_t depth;
    bool literal; /* between \Q and \E */
} lmn_regex_parser;

/* The sentence, with the place in the pattern. */
lamina_status lmn_regex_bad(lmn_regex_parser *s, const char *what);
bool lmn_regex_looking_at(const lmn_regex_parser *s, const char *text);

/* All of them go past what they read. The next character: */
lamina_status lmn_regex_read_cp(lmn_regex_parser *s, uint32_t *cp);
/* ... the one that is meant by what follows a backslash: */
lamina_status lmn_regex_read_escape(lmn_regex_parser *s, uint32_t *cp);
/* ... \d \w \s and their negations after a backslash, into the ranges; *found false: it is none: */
lamina_status lmn_regex_perl_class(lmn_regex_parser *s, bool *found);
/* ... what follows "[". */
lamina_status lmn_regex_read_set(lmn_regex_parser *s, lmn_regex_inst *i);

#endif
