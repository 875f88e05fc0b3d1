/*
 * Protobuf wire cursor (protobuf.dev/programming-guides/encoding).
 */
#include "base/pbwire.h"

#include <string.h>

static bool spoil(lmn_pb *c)
{
    c->bad = true;
    c->p = c->end;
    return false;
}

bool lmn_pb_varint_any(lmn_pb *c, uint64_t *out)
{
    if (c->p == c->end) return false;
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (c->p == c->end) return spoil(c);
        uint8_t b = *c->p++;
        if (shift == 63 && b > 1) return spoil(c);
        v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80)) {
            *out = v;
            return true;
        }
    }
    return spoil(c);
}

static bool fixed(lmn_pb *c, size_t n, uint64_t *out)
{
    if ((size_t)(c->end - c->p) < n) return spoil(c);
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) v |= (uint64_t)c->p[i] << (8 * i);
    c->p += n;
    *out = v;
    return true;
}

bool lmn_pb_next(lmn_pb *c, lmn_pb_field *f)
{
    uint64_t key;
    if (!lmn_pb_varint(c, &key)) return false;
    if (key >> 3 == 0 || key >> 32) return spoil(c);
    *f = (lmn_pb_field){.num = (uint32_t)(key >> 3), .wire = (uint8_t)(key & 7)};
    switch (f->wire) {
    case LMN_PB_VARINT: return lmn_pb_varint(c, &f->u) || spoil(c);
    case LMN_PB_FIXED64: return fixed(c, 8, &f->u);
    case LMN_PB_FIXED32: return fixed(c, 4, &f->u);
    case LMN_PB_BYTES: {
        uint64_t n;
        if (!lmn_pb_varint(c, &n) || n > (uint64_t)(c->end - c->p)) return spoil(c);
        f->s = (lmn_span){c->p, (size_t)n};
        c->p += n;
        return true;
    }
    default: return spoil(c);
    }
}

/* Entries of one key that cannot reach the end are walked without asking for it each time; a varint
 * of more than two bytes ends a walk. */
#define SAFE 11

static size_t count_varints(lmn_pb *c, uint8_t key, size_t cap)
{
    const uint8_t *p = c->p;
    size_t n = 0;
    for (; n < cap && c->end - p >= SAFE && *p == key; n++) {
        if (p[1] < 0x80)
            p += 2;
        else if (p[2] < 0x80)
            p += 3;
        else
            break;
    }
    c->p = p;
    return n;
}

static size_t take_varints(lmn_pb *c, uint8_t key, uint64_t *out, size_t cap)
{
    const uint8_t *p = c->p;
    size_t n = 0;
    for (; n < cap && c->end - p >= SAFE && *p == key; n++) {
        if (p[1] < 0x80) {
            out[n] = p[1];
            p += 2;
        } else if (p[2] < 0x80) {
            out[n] = (uint64_t)(p[1] & 0x7f) | (uint64_t)p[2] << 7;
            p += 3;
        } else {
            break;
        }
    }
    c->p = p;
    return n;
}

static size_t take_fixed32(lmn_pb *c, uint8_t key, uint64_t *out, size_t cap)
{
    const uint8_t *p = c->p;
    size_t n = 0;
    for (; n < cap && c->end - p >= SAFE && *p == key; n++, p += 5)
        if (out) out[n] = p[1] | (uint64_t)p[2] << 8 | (uint64_t)p[3] << 16 | (uint64_t)p[4] << 24;
    c->p = p;
    return n;
}

size_t lmn_pb_run(lmn_pb *c, const lmn_pb_field *f, uint64_t *out, size_t cap)
{
    const uint32_t key = f->num << 3 | f->wire;
    size_t n = 0;
    if (key > 0x7f) return 0;
    if (f->wire == LMN_PB_FIXED32) return take_fixed32(c, (uint8_t)key, out, cap);
    if (f->wire != LMN_PB_VARINT) return 0;
    for (;;) {
        n += out ? take_varints(c, (uint8_t)key, out + n, cap - n)
                 : count_varints(c, (uint8_t)key, cap - n);
        if (n == cap || c->end - c->p < SAFE || *c->p != key) return n;
        uint64_t v;
        c->p++;
        if (!lmn_pb_varint_any(c, &v)) return n;
        if (out) out[n] = v;
        n++;
    }
}

size_t lmn_pb_repeats(lmn_pb *c, const lmn_pb_field *f)
{
    if (f->wire != LMN_PB_BYTES || f->num > 15 || f->s.n > 0x7f || c->p != f->s.p + f->s.n)
        return 0;
    const size_t header = 2, bytes = header + f->s.n;
    const uint8_t *first = f->s.p - header, *p = c->p;
    if (first[0] != (f->num << 3 | LMN_PB_BYTES) || first[1] != f->s.n) return 0;
    size_t n = 0;
    for (; (size_t)(c->end - p) >= bytes && memcmp(p, first, bytes) == 0; n++) p += bytes;
    c->p = p;
    return n;
}

size_t lmn_pb_varint_bytes(uint64_t v)
{
    size_t n = 1;
    while (v >>= 7) n++;
    return n;
}

size_t lmn_pb_put_varint(uint8_t *out, uint64_t v)
{
    size_t n = 0;
    for (; v > 0x7f; v >>= 7) out[n++] = (uint8_t)(v | 0x80);
    out[n++] = (uint8_t)v;
    return n;
}
