/*
 * Records as lines of text: one JSON object, or key=value. Lines gather in one buffer, whose owner
 * makes room for the longest possible line before each.
 */
#ifndef LMN_LOG_LOGLINE_H
#define LMN_LOG_LOGLINE_H

#include "log/logrec.h"

/* No line is longer: each byte of a record becomes six at most, its own head some hundred. */
#define LMN_LOGLINE_MAX (6u * LMN_LOGRING_RECORD_BYTES + 2048u)

/* Where a field of the last record lies among its fields, and its text in the buffer, which begins
 * with `key` bytes for the key. */
#define LMN_LOGLINE_FIELDS 32u
typedef struct lmn_line_field {
    uint16_t at, key;
    uint32_t text;
} lmn_line_field;

/* The last record: while its line stands at the end of the buffer, what is the same in the next one
 * is copied from there. Fields beyond LMN_LOGLINE_FIELDS are not remembered; field[n_fields] is
 * where those that are end. */
typedef struct lmn_line_last {
    size_t begin, ns, end; /* its line, and nanoseconds, in the buffer; end 0: none */
    uint64_t second;
    uint32_t pid, tid, n_fields;
    uint8_t level;
    char from[LMN_LOGRING_NAME_BYTES];
    lmn_line_field field[LMN_LOGLINE_FIELDS + 1];
    uint8_t fields[LMN_LOGRING_RECORD_BYTES];
} lmn_line_last;

typedef struct lmn_lines {
    char *p;
    size_t n, cap;
    bool logfmt; /* does not change once there are lines */
    lmn_line_last last;
    uint64_t second; /* whose text stands in date */
    char date[24];
} lmn_lines;

/* Where a record comes from; the name has less than LMN_LOGRING_NAME_BYTES. */
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
