/*
 * What the compiler and the matcher of regular expressions agree on: the instructions.
 */
#ifndef LMN_OPS_REGEX_INST_H
#define LMN_OPS_REGEX_INST_H

#include "ops/regex.h"

enum {
    LMN_RE_CHAR,
    LMN_RE_ANY,
    LMN_RE_ANY_BUT_NL,
    LMN_RE_SET,
    LMN_RE_SPLIT,
    LMN_RE_JMP,
    LMN_RE_ASSERT,
    LMN_RE_MATCH
};
/* Assertions. */
enum { LMN_RE_BEGIN, LMN_RE_END, LMN_RE_LINE_BEGIN, LMN_RE_LINE_END, LMN_RE_WORD, LMN_RE_NOT_WORD };
/* "Code point" before and after the text. */
#define LMN_RE_EDGE 0x7FFFFFFFu

#endif
