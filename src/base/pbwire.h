/*
 * Protobuf wire format: a bounded cursor over bytes that somebody else keeps alive. Every length is
 * checked against the end of the enclosing message before it is used; nothing is copied or owned.
 *
 * Use: init, then lmn_pb_next until it is false, then look at `bad`: false means a clean end.
 * Groups (wire types 3 and 4) are refused: no format that we read has them.
 */
#ifndef LMN_BASE_PBWIRE_H
#define LMN_BASE_PBWIRE_H

#include "base/types.h"

enum { LMN_PB_VARINT = 0, LMN_PB_FIXED64 = 1, LMN_PB_BYTES = 2, LMN_PB_FIXED32 = 5 };

typedef struct lmn_pb {
    const uint8_t *p, *end;
    bool bad;
} lmn_pb;

typedef struct lmn_pb_field {
    uint32_t num;
    uint8_t wire; /* LMN_PB_* */
    uint64_t u;   /* value of VARINT, FIXED64 and FIXED32 */
    lmn_span s;   /* content of BYTES */
} lmn_pb_field;

static inline lmn_pb lmn_pb_of(lmn_span s)
{
    return (lmn_pb){s.p, s.n ? s.p + s.n : s.p, false};
}
/* Next field; false at the end or, with `bad` set, where the bytes make no sense. */
bool lmn_pb_next(lmn_pb *c, lmn_pb_field *f);
/* Some of the numbers that follow with the key of f, at most cap, into out (may be NULL); returns
   their count. Lists that are not packed have them by the thousand; lmn_pb_next gives the rest. */
size_t lmn_pb_run(lmn_pb *c, const lmn_pb_field *f, uint64_t *out, size_t cap);
/* How many of the fields that follow are f again, byte for byte, f being the last one that
   lmn_pb_next gave; they are passed over. It may stop early. */
size_t lmn_pb_repeats(lmn_pb *c, const lmn_pb_field *f);
/* One bare varint (of a packed list); false at the end or when bad. */
bool lmn_pb_varint_any(lmn_pb *c, uint64_t *out);
static inline bool lmn_pb_varint(lmn_pb *c, uint64_t *out)
{
    if (c->p == c->end || *c->p > 0x7f) return lmn_pb_varint_any(c, out);
    *out = *c->p++;
    return true;
}

/* Bytes that the varint of v takes, 1..10. */
size_t lmn_pb_varint_bytes(uint64_t v);
/* Write the varint of v (room for 10 bytes); returns the bytes written. */
size_t lmn_pb_put_varint(uint8_t *out, uint64_t v);

#endif
