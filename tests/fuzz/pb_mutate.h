/*
 * Structure-aware mutation of protobuf messages, header only: one field of one (nested) message is
 * changed, doubled, moved or dropped, and every length around it is written anew, so that mutants
 * get past the wire reader. Plain byte mutation stays in the mix.
 */
#ifndef LMN_TESTS_FUZZ_PB_MUTATE_H
#define LMN_TESTS_FUZZ_PB_MUTATE_H

#include "base/pbwire.h"

#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

#define PBM_FIELDS 256

typedef struct pbm_field {
    const uint8_t *at; /* tag and all */
    size_t bytes;
    lmn_pb_field f;
} pbm_field;

static uint32_t pbm_rand(uint32_t *s)
{
    *s = *s * 1664525u + 1013904223u;
    return *s >> 8;
}

/* Fields of a message; 0 if the bytes are none. */
static size_t pbm_split(lmn_span s, pbm_field *out)
{
    lmn_pb c = lmn_pb_of(s);
    size_t n = 0;
    const uint8_t *at = c.p;
    while (n < PBM_FIELDS && lmn_pb_next(&c, &out[n].f)) {
        out[n].at = at;
        out[n].bytes = (size_t)(c.p - at);
        if (out[n].f.num > 100) return 0;
        at = c.p;
        n++;
    }
    return c.bad || (n < PBM_FIELDS && c.p != c.end) ? 0 : n;
}

typedef struct pbm_out {
    uint8_t *p;
    size_t n, cap;
    bool full;
} pbm_out;

static void pbm_put(pbm_out *o, const void *p, size_t n)
{
    if (n > o->cap - o->n) {
        o->full = true;
        return;
    }
    if (n) memcpy(o->p + o->n, p, n);
    o->n += n;
}

static void pbm_put_bytes(pbm_out *o, uint32_t num, const uint8_t *p, size_t n)
{
    uint8_t v[20];
    size_t k = lmn_pb_put_varint(v, (uint64_t)num << 3 | LMN_PB_BYTES);
    k += lmn_pb_put_varint(v + k, n);
    pbm_put(o, v, k);
    pbm_put(o, p, n);
}

static uint64_t pbm_number(uint64_t old, uint32_t *seed)
{
    static const uint64_t ODD[] = {0,  1,  2,  3,          7,          8,          16,
                                   17, 64, 99, 0x7fffffff, 1ull << 32, 1ull << 60, UINT64_MAX};
    switch (pbm_rand(seed) % 4) {
    case 0: return old + 1;
    case 1: return old - 1;
    case 2: return pbm_rand(seed) % 32;
    default: return ODD[pbm_rand(seed) % (sizeof ODD / sizeof *ODD)];
    }
}

static size_t pbm_message(lmn_span s, uint8_t *out, size_t cap, uint32_t *seed, int depth);

/* One field, changed, into o. */
static void pbm_change(pbm_out *o, const pbm_field *f, uint32_t *seed, int depth)
{
    static uint8_t tmp[12][1u << 15];
    pbm_field inner[PBM_FIELDS];
    uint8_t v[20];
    if (f->f.wire != LMN_PB_BYTES) {
        pbm_put(o, f->at, f->bytes);
        if (f->f.wire != LMN_PB_VARINT) {
            for (size_t i = 0; i < 4 && i < o->n; i++)
                o->p[o->n - 1 - i] ^= (uint8_t)pbm_rand(seed);
            return;
        }
        o->n -= o->full ? 0 : f->bytes;
        size_t k = lmn_pb_put_varint(v, (uint64_t)f->f.num << 3);
        pbm_put(o, v, k + lmn_pb_put_varint(v + k, pbm_number(f->f.u, seed)));
        return;
    }
    if (f->f.s.n > sizeof tmp[0] || depth >= 11) {
        pbm_put(o, f->at, f->bytes);
        return;
    }
    size_t n;
    if (pbm_rand(seed) % 8 && pbm_split(f->f.s, inner) > 0) {
        n = pbm_message(f->f.s, tmp[depth], sizeof tmp[0], seed, depth + 1);
    } else {
        if (f->f.s.n) memcpy(tmp[depth], f->f.s.p, f->f.s.n);
        n = LLVMFuzzerMutate(tmp[depth], f->f.s.n,
                             f->f.s.n + 16 < sizeof tmp[0] ? f->f.s.n + 16 : sizeof tmp[0]);
    }
    pbm_put_bytes(o, f->f.num, tmp[depth], n);
}

/* A copy of s with one change into out; returns its bytes, those of s where nothing fits. */
static size_t pbm_message(lmn_span s, uint8_t *out, size_t cap, uint32_t *seed, int depth)
{
    pbm_field f[PBM_FIELDS];
    pbm_out o = {.p = out, .cap = cap};
    const size_t n = pbm_split(s, f);
    const size_t at = n ? pbm_rand(seed) % n : 0, other = n ? pbm_rand(seed) % n : 0;
    const uint32_t what = pbm_rand(seed) % 12;
    for (size_t i = 0; i < n; i++) {
        const pbm_field *x = &f[i];
        if (what == 0 && i == at) continue;                                     /* drop */
        if (what == 1 && i == at) pbm_put(&o, x->at, x->bytes);                 /* double */
        if (what == 2 && (i == at || i == other)) x = &f[i == at ? other : at]; /* swap */
        if (what == 3 && i == at && x->f.wire == LMN_PB_BYTES && f[other].f.wire == LMN_PB_BYTES) {
            pbm_put_bytes(&o, x->f.num, f[other].f.s.p, f[other].f.s.n); /* another's content */
            continue;
        }
        if (what > 3 && i == at)
            pbm_change(&o, x, seed, depth);
        else
            pbm_put(&o, x->at, x->bytes);
    }
    if (!o.full && n) return o.n;
    if (s.n <= cap && s.n) memcpy(out, s.p, s.n);
    return s.n <= cap ? s.n : 0;
}

/* The body of LLVMFuzzerCustomMutator. */
LMN_UNUSED static size_t pbm_mutate(uint8_t *data, size_t size, size_t max_size, uint32_t seed)
{
    static uint8_t buf[1u << 16];
    if (size == 0 || pbm_rand(&seed) % 6 == 0) return LLVMFuzzerMutate(data, size, max_size);
    const size_t cap = max_size < sizeof buf ? max_size : sizeof buf;
    const size_t n = pbm_message((lmn_span){data, size}, buf, cap, &seed, 0);
    if (n == 0 || n > max_size) return LLVMFuzzerMutate(data, size, max_size);
    memcpy(data, buf, n);
    return n;
}

#endif
