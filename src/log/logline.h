/*
 * Records as lines of text: one JSON object, or key=value. Lines gather in one buffer, whose owner
 * makes room for the longest possible line before each.
 */
#ifndef LMN_LOG_LOGLINE_H
#define LMN_LOG_LOGLINE_H

#include "log/logrec.h"

/* No line is longer: each byte of a record becomes six at most, its own head some hundred. */
#define LMN_LOGLINE_MAX (6u * LMN_LOGRING_RECORD_BYTES + 2048u)

/* A key and what stands for it in a line; n_text 0: none yet. */
#define LMN_LOGLINE_KEYS 24u
typedef struct lmn_line_key {
    uint8_t n, n_text;
    char key[22], text[40];
} lmn_line_key;

typedef struct lmn_lines {
    char *p;
    size_t n, cap;
    bool logfmt;                         /* does not change once there are lines */
    lmn_line_key keys[LMN_LOGLINE_KEYS]; /* as they were met last in this place of a record */
    uint64_t second;                     /* whose text stands in date */
    char date[24];
} lmn_lines;

/* Where a record comes from. */
typedef struct lmn_logorigin {
    const char *name;
    uint32_t pid;
} lmn_logorigin;

/* Append the record as a line; false when a part of it could not be read (what could, stands
 * there). cap - n is at least LMN_LOGLINE_MAX. */
bool lmn_lines_record(lmn_lines *o, const lmn_logorigin *from, lmn_logrec r);
/* A line of the collector itself, as a warning; nothing when there is no room for it. */
void lmn_lines_note(lmn_lines *o, const lmn_logorigin *from, uint64_t time_ns, const char *text,
                    const char *key, uint64_t value);

#endif
