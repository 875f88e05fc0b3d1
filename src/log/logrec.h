/*
 * The bytes of a record: a head, then fields. Written by lamina_log_* in any process, so read as
 * hostile: every length is compared with what is left. Numbers lie as they are in memory, at any
 * alignment; the daemon makes text of them, so that the writer need not.
 *
 *   head   time u64, pid u32, tid u32 (0: not noted), bytes u16 (head included), level u8, flags u8
 *   field  kind u8, length of key u8, length of value u16, key, value
 *
 * The first field has no key: it is the text of the record.
 */
#ifndef LMN_LOG_LOGREC_H
#define LMN_LOG_LOGREC_H

#include "lamina/log.h"

#include "base/types.h"
#include "log/logring.h"

#include <string.h>

enum {
    LMN_LOGREC_TIME = 0,
    LMN_LOGREC_PID = 8,
    LMN_LOGREC_TID = 12,
    LMN_LOGREC_BYTES = 16,
    LMN_LOGREC_LEVEL = 18,
    LMN_LOGREC_FLAGS = 19,
    LMN_LOGREC_HEAD = 20,
    LMN_LOGREC_FIELD = 4 /* head of a field */
};
_Static_assert(LAMINA_LOG_RECORD_BYTES == LMN_LOGRING_RECORD_BYTES, "a record fits its cells");

/* In the head; BELOW stays in the process: the record was not wanted. */
enum { LMN_LOGREC_TRUNCATED = 1, LMN_LOGREC_BELOW = 2 };

enum {
    LMN_LOGREC_STR = 1,
    LMN_LOGREC_I64,
    LMN_LOGREC_U64,
    LMN_LOGREC_F64,
    LMN_LOGREC_HEX,
    LMN_LOGREC_BOOL
};

/* Start a record with room for its text, which the caller writes to the place returned (*cap bytes)
 * and ends by lmn_logrec_text. */
char *lmn_logrec_begin(lamina_log_record *r, lamina_log_level level, size_t *cap);
void lmn_logrec_text(lamina_log_record *r, size_t n, bool cut);
/* Stamp it and put it into the ring; E_AGAIN when that is full. */
lamina_status lmn_logrec_put(const lmn_logring *ring, lamina_log_record *r, uint64_t time_ns,
                             uint32_t pid, uint32_t tid);

/* Building where a key is a literal and every nanosecond counts: as lamina_log_u64 and
 * lamina_log_strn, but for a record that has a logger, and a text that does not fit is left out. */
static inline uint8_t *lmn_logrec_field(lamina_log_record *r, int kind, const char *key,
                                        size_t n_key, size_t n)
{
    uint8_t *p = r->bytes + r->used;
    const size_t whole = LMN_LOGREC_FIELD + n_key + n;
    if (LMN_UNLIKELY(whole > sizeof r->bytes - r->used)) {
        r->flags |= LMN_LOGREC_TRUNCATED;
        return NULL;
    }
    const uint16_t n16 = (uint16_t)n;
    p[0] = (uint8_t)kind;
    p[1] = (uint8_t)n_key;
    memcpy(p + 2, &n16, sizeof n16);
    memcpy(p + LMN_LOGREC_FIELD, key, n_key);
    r->used += (uint32_t)whole;
    return p + LMN_LOGREC_FIELD + n_key;
}
static inline void lmn_logrec_u64(lamina_log_record *r, const char *key, size_t n_key, uint64_t v)
{
    uint8_t *p = lmn_logrec_field(r, LMN_LOGREC_U64, key, n_key, sizeof v);
    if (LMN_LIKELY(p)) memcpy(p, &v, sizeof v);
}
static inline void lmn_logrec_strn(lamina_log_record *r, const char *key, size_t n_key,
                                   const void *text, size_t n)
{
    uint8_t *p = lmn_logrec_field(r, LMN_LOGREC_STR, key, n_key, n);
    if (LMN_LIKELY(p && n)) memcpy(p, text, n);
}
#define LMN_LOG_U64(r, key, v) lmn_logrec_u64(r, "" key, sizeof(key) - 1, v)
#define LMN_LOG_STRN(r, key, text, n) lmn_logrec_strn(r, "" key, sizeof(key) - 1, text, n)
#define LMN_LOG_STR(r, key, text) LMN_LOG_STRN(r, key, text, strlen(text))

/* Reading. */
typedef struct lmn_logrec {
    uint64_t time_ns;
    uint32_t pid, tid;
    uint8_t level, flags;
    const uint8_t *p, *end; /* fields that are left */
    bool malformed;         /* the rest cannot be read */
} lmn_logrec;

typedef struct lmn_logfield {
    uint8_t kind;
    lmn_span key, value; /* value of STR */
    uint64_t bits;       /* of all others */
} lmn_logfield;

/* n bytes, of which the record says itself how many it needs. */
lmn_logrec lmn_logrec_read(const void *bytes, size_t n);
/* The next field; false at the end, and for a field that is none (malformed). */
bool lmn_logrec_next(lmn_logrec *r, lmn_logfield *out);

#endif
