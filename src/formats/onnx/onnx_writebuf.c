/*
 * The bytes of the writer: protobuf fields into one buffer, holes for the weights, and the flush
 * that brings both to a file.
 */
#include "formats/onnx/onnx_write.h"

#include <stdarg.h>
#include <string.h>

#define LENGTH_BYTES 5 /* 35 bits: more than a message may have */
#define CHUNK 4096     /* elements converted at a time */

void lmn_onnx_out_fail(lmn_onnx_out *w, lamina_status st, const char *fmt, ...)
{
    if (w->status != LAMINA_OK) return;
    char msg[LAMINA_ERROR_MSG_BYTES];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(msg, sizeof msg, fmt, ap);
    va_end(ap);
    w->status = lmn_fail(w->err, st, "%s", msg);
}

bool lmn_onnx_out_ok(lmn_onnx_out *w)
{
    if (w->b.status == LAMINA_E_NOMEM || w->arena.failed)
        lmn_onnx_out_fail(w, LAMINA_E_NOMEM, "out of memory");
    if (w->b.status != LAMINA_OK || w->b.n + w->inside.bytes > LMN_ONNX_MAX_MESSAGE)
        lmn_onnx_out_fail(w, LAMINA_E_LIMIT,
                          "the file would be larger than the 2 GiB that an ONNX file may have; put "
                          "the weights into a file of their own (external data)");
    return w->status == LAMINA_OK;
}

static void put_varint(lmn_onnx_out *w, uint64_t v)
{
    uint8_t buf[10];
    lmn_strbuf_add(&w->b, buf, lmn_pb_put_varint(buf, v));
}

void lmn_onnx_put_int(lmn_onnx_out *w, uint32_t num, int64_t v)
{
    put_varint(w, num << 3 | LMN_PB_VARINT);
    put_varint(w, (uint64_t)v);
}

void lmn_onnx_put_bytes(lmn_onnx_out *w, uint32_t num, const void *p, size_t n)
{
    put_varint(w, num << 3 | LMN_PB_BYTES);
    put_varint(w, n);
    if (n) lmn_strbuf_add(&w->b, p, n);
}

void lmn_onnx_put_str(lmn_onnx_out *w, uint32_t num, const char *s)
{
    lmn_onnx_put_bytes(w, num, s, strlen(s));
}

void lmn_onnx_put_f32(lmn_onnx_out *w, uint32_t num, float v)
{
    put_varint(w, num << 3 | LMN_PB_FIXED32);
    const uint32_t bits = lmn_f32_bits(v);
    lmn_strbuf_add(&w->b, &bits, sizeof bits);
}

lmn_onnx_mark lmn_onnx_begin(lmn_onnx_out *w, uint32_t num)
{
    static const uint8_t ROOM[LENGTH_BYTES] = {0};
    put_varint(w, num << 3 | LMN_PB_BYTES);
    const lmn_onnx_mark m = {w->b.n, w->inside.bytes};
    lmn_strbuf_add(&w->b, ROOM, sizeof ROOM);
    return m;
}

void lmn_onnx_end(lmn_onnx_out *w, lmn_onnx_mark m)
{
    if (w->b.status != LAMINA_OK) return;
    uint64_t n = w->b.n - m.at - LENGTH_BYTES + (w->inside.bytes - m.holes);
    for (int i = 0; i < LENGTH_BYTES; i++, n >>= 7)
        w->b.p[m.at + (size_t)i] = (char)((n & 0x7f) | (i < LENGTH_BYTES - 1 ? 0x80 : 0));
}

static bool add_hole(lmn_onnx_out *w, lmn_onnx_holes *h, lmn_onnx_hole x, uint64_t bytes)
{
    if (h->n == h->cap) {
        const size_t cap = h->cap ? 2 * h->cap : 64;
        lmn_onnx_hole *v = LMN_ARENA_ARRAY(&w->arena, lmn_onnx_hole, cap);
        if (!v) return false;
        if (h->n) memcpy(v, h->v, h->n * sizeof *v);
        h->v = v;
        h->cap = cap;
    }
    h->v[h->n++] = x;
    h->bytes += bytes;
    return true;
}

static void put_entry(lmn_onnx_out *w, const char *key, const char *value)
{
    lmn_onnx_mark m = lmn_onnx_begin(w, 13); /* external_data */
    lmn_onnx_put_str(w, 1, key);
    lmn_onnx_put_str(w, 2, value);
    lmn_onnx_end(w, m);
}

/* Large weights begin on a page, so that readers can map them alone. */
static void put_external(lmn_onnx_out *w, const lamina_tensor *t, lamina_dtype as, size_t bytes)
{
    const uint64_t align = bytes >= (1u << 20) ? 4096 : LMN_TENSOR_ALIGN;
    const uint64_t at = (w->outside.bytes + align - 1) / align * align;
    char text[24];
    w->outside.bytes = at;
    if (!add_hole(w, &w->outside, (lmn_onnx_hole){at, t, as}, bytes)) return;
    put_entry(w, "location", w->opts->external);
    (void)lmn_format(text, sizeof text, "%llu", (unsigned long long)at);
    put_entry(w, "offset", text);
    (void)lmn_format(text, sizeof text, "%zu", bytes);
    put_entry(w, "length", text);
    lmn_onnx_put_int(w, 14, 1); /* data_location: EXTERNAL */
}

void lmn_onnx_put_raw(lmn_onnx_out *w, const lamina_tensor *t, lamina_dtype as, bool movable)
{
    size_t bytes;
    if (!lmn_dense_bytes(as, lmn_count(t), &bytes)) {
        lmn_onnx_out_fail(w, LAMINA_E_LIMIT, "a weight has more bytes than can be counted");
        return;
    }
    if (movable && w->opts->external && bytes >= LMN_ONNX_EXTERNAL_BYTES) {
        put_external(w, t, as, bytes);
        return;
    }
    put_varint(w, 9 << 3 | LMN_PB_BYTES);
    put_varint(w, bytes);
    if (bytes) (void)add_hole(w, &w->inside, (lmn_onnx_hole){w->b.n, t, as}, bytes);
}

/* ---- to the disk ------------------------------------------------------------------------------
 */

static lamina_status write_hole(lmn_os_out *o, const lmn_onnx_hole *h, lamina_error *err)
{
    if (h->as == h->t->dtype) return lmn_os_out_write(o, h->t->data, h->t->data_bytes, err);
    float in[CHUNK];
    uint16_t out[CHUNK];
    const int64_t n = lmn_count(h->t);
    for (int64_t i = 0; i < n; i += CHUNK) {
        const int64_t k = n - i < CHUNK ? n - i : CHUNK;
        memcpy(in, (const uint8_t *)h->t->data + (size_t)i * sizeof *in, (size_t)k * sizeof *in);
        lmn_convert(h->as, out, LAMINA_F32, in, k, true);
        LMN_TRY(lmn_os_out_write(o, out, (size_t)k * sizeof *out, err));
    }
    return LAMINA_OK;
}

static lamina_status write_message(lmn_onnx_out *w, lmn_os_out *o)
{
    size_t at = 0;
    for (size_t i = 0; i < w->inside.n; i++) {
        const lmn_onnx_hole *h = &w->inside.v[i];
        LMN_TRY(lmn_os_out_write(o, w->b.p + at, (size_t)h->at - at, w->err));
        LMN_TRY(write_hole(o, h, w->err));
        at = (size_t)h->at;
    }
    return at < w->b.n ? lmn_os_out_write(o, w->b.p + at, w->b.n - at, w->err) : LAMINA_OK;
}

static lamina_status write_external(lmn_onnx_out *w, lmn_os_out *o)
{
    static const uint8_t ZERO[4096] = {0};
    uint64_t at = 0;
    for (size_t i = 0; i < w->outside.n; i++) {
        const lmn_onnx_hole *h = &w->outside.v[i];
        size_t bytes = 0;
        (void)lmn_dense_bytes(h->as, lmn_count(h->t), &bytes); /* counted before */
        if (h->at > at) LMN_TRY(lmn_os_out_write(o, ZERO, (size_t)(h->at - at), w->err));
        LMN_TRY(write_hole(o, h, w->err));
        at = h->at + bytes;
    }
    return LAMINA_OK;
}

lamina_status lmn_onnx_flush(lmn_onnx_out *w, const char *path, bool external)
{
    lmn_os_out *o = LMN_ARENA_NEW(&w->arena, lmn_os_out);
    if (!o) return lmn_fail(w->err, LAMINA_E_NOMEM, "out of memory");
    lamina_status st = lmn_os_out_begin(o, path, w->err);
    if (st == LAMINA_OK) st = external ? write_external(w, o) : write_message(w, o);
    if (st == LAMINA_OK) st = lmn_os_out_commit(o, w->err);
    lmn_os_out_finish(o);
    return st;
}
