/*
 * Building and reading records. The building half runs in signal handlers: it touches the record
 * and nothing else.
 */
#include "log/logrec.h"

#include "base/text.h"

#include <string.h>

char *lmn_logrec_begin(lamina_log_record *r, lamina_log_level level, size_t *cap)
{
    memset(r->bytes, 0, LMN_LOGREC_HEAD);
    r->bytes[LMN_LOGREC_LEVEL] = (uint8_t)level;
    r->used = LMN_LOGREC_HEAD + LMN_LOGREC_FIELD;
    r->flags = 0;
    *cap = sizeof r->bytes - r->used;
    return (char *)r->bytes + r->used;
}

static void field_head(uint8_t *p, int kind, size_t n_key, size_t n_value)
{
    const uint16_t n = (uint16_t)n_value;
    p[0] = (uint8_t)kind;
    p[1] = (uint8_t)n_key;
    memcpy(p + 2, &n, sizeof n);
}

void lmn_logrec_text(lamina_log_record *r, size_t n, bool cut)
{
    field_head(r->bytes + LMN_LOGREC_HEAD, LMN_LOGREC_STR, 0, n);
    r->used += (uint32_t)n;
    if (cut) r->flags |= LMN_LOGREC_TRUNCATED;
}

lamina_status lmn_logrec_put(const lmn_logring *ring, lamina_log_record *r, uint64_t time_ns,
                             uint32_t pid, uint32_t tid)
{
    const uint32_t n = (r->used + LMN_LOGRING_CELL_BYTES - 1) / LMN_LOGRING_CELL_BYTES;
    const uint16_t bytes = (uint16_t)r->used;
    uint64_t at;
    if (!lmn_logring_take(ring, n, &at)) return LAMINA_E_AGAIN;
    memcpy(r->bytes + LMN_LOGREC_TIME, &time_ns, sizeof time_ns);
    memcpy(r->bytes + LMN_LOGREC_PID, &pid, sizeof pid);
    memcpy(r->bytes + LMN_LOGREC_TID, &tid, sizeof tid);
    memcpy(r->bytes + LMN_LOGREC_BYTES, &bytes, sizeof bytes);
    r->bytes[LMN_LOGREC_FLAGS] = (uint8_t)r->flags;
    lmn_logring_put(ring, at, n, r->bytes, r->used);
    return LAMINA_OK;
}

/* Room for a field whose value has n bytes; NULL when it does not fit. */
static uint8_t *add(lamina_log_record *r, int kind, const char *key, size_t n)
{
    if (!r->logger) return NULL;
    if (!key) key = "(null)";
    const size_t n_key = strnlen(key, 255);
    const size_t left = sizeof r->bytes - r->used;
    if (LMN_LOGREC_FIELD + n_key + n > left) {
        r->flags |= LMN_LOGREC_TRUNCATED;
        return NULL;
    }
    uint8_t *p = r->bytes + r->used;
    field_head(p, kind, n_key, n);
    memcpy(p + LMN_LOGREC_FIELD, key, n_key);
    r->used += (uint32_t)(LMN_LOGREC_FIELD + n_key + n);
    return p + LMN_LOGREC_FIELD + n_key;
}

static void add_bits(lamina_log_record *r, int kind, const char *key, uint64_t bits)
{
    uint8_t *p = add(r, kind, key, sizeof bits);
    if (p) memcpy(p, &bits, sizeof bits);
}

void lamina_log_strn(lamina_log_record *record, const char *key, const void *value, size_t n)
{
    if (!record->logger) return;
    if (!value) {
        value = "(null)";
        n = 6;
    }
    const size_t head = LMN_LOGREC_FIELD + strnlen(key ? key : "(null)", 255);
    const size_t left = sizeof record->bytes - record->used;
    const size_t room = left > head ? left - head : 0;
    if (n > room && room) {
        const uint8_t *p = value;
        n = room;
        while (n && (p[n] & 0xc0) == 0x80) n--; /* not in the middle of a code point */
        record->flags |= LMN_LOGREC_TRUNCATED;
    }
    uint8_t *p = add(record, LMN_LOGREC_STR, key, n);
    if (p && n) memcpy(p, value, n);
}

void lamina_log_str(lamina_log_record *record, const char *key, const char *value)
{
    /* One byte more than fits, so that a cut is seen. */
    lamina_log_strn(record, key, value, value ? strnlen(value, sizeof record->bytes + 1) : 0);
}

void lamina_log_i64(lamina_log_record *record, const char *key, int64_t value)
{
    add_bits(record, LMN_LOGREC_I64, key, (uint64_t)value);
}

void lamina_log_u64(lamina_log_record *record, const char *key, uint64_t value)
{
    add_bits(record, LMN_LOGREC_U64, key, value);
}

void lamina_log_f64(lamina_log_record *record, const char *key, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    add_bits(record, LMN_LOGREC_F64, key, bits);
}

void lamina_log_hex(lamina_log_record *record, const char *key, uint64_t value)
{
    add_bits(record, LMN_LOGREC_HEX, key, value);
}

void lamina_log_bool(lamina_log_record *record, const char *key, bool value)
{
    add_bits(record, LMN_LOGREC_BOOL, key, value);
}

lmn_logrec lmn_logrec_read(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    lmn_logrec r = {.malformed = true};
    uint16_t said;
    if (n < LMN_LOGREC_HEAD) return r;
    memcpy(&r.time_ns, p + LMN_LOGREC_TIME, sizeof r.time_ns);
    memcpy(&r.pid, p + LMN_LOGREC_PID, sizeof r.pid);
    memcpy(&r.tid, p + LMN_LOGREC_TID, sizeof r.tid);
    memcpy(&said, p + LMN_LOGREC_BYTES, sizeof said);
    r.level = p[LMN_LOGREC_LEVEL];
    r.flags = p[LMN_LOGREC_FLAGS];
    if (said < LMN_LOGREC_HEAD || said > n) return r;
    r.p = p + LMN_LOGREC_HEAD;
    r.end = p + said;
    r.malformed = false;
    return r;
}

bool lmn_logrec_next(lmn_logrec *r, lmn_logfield *out)
{
    if (r->malformed || r->p == r->end) return false;
    const size_t left = (size_t)(r->end - r->p);
    uint16_t n = 0;
    r->malformed = true;
    if (left < LMN_LOGREC_FIELD) return false;
    const uint8_t kind = r->p[0], n_key = r->p[1];
    memcpy(&n, r->p + 2, sizeof n);
    if ((size_t)LMN_LOGREC_FIELD + n_key + n > left) return false;
    if (kind < LMN_LOGREC_STR || kind > LMN_LOGREC_BOOL) return false;
    *out = (lmn_logfield){.kind = kind, .key = {r->p + LMN_LOGREC_FIELD, n_key}};
    out->value = (lmn_span){r->p + LMN_LOGREC_FIELD + n_key, n};
    if (kind != LMN_LOGREC_STR) {
        if (n != sizeof out->bits) return false;
        memcpy(&out->bits, out->value.p, sizeof out->bits);
    }
    r->p += LMN_LOGREC_FIELD + n_key + n;
    r->malformed = false;
    return true;
}
