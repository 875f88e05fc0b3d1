/*
 * The answer to an infer request. Its JSON is written once, into memory that is surely large
 * enough; binary outputs are sent from where the run left them. Numbers are as short as can be.
 */
#include "serve/kserve_int.h"

#include "base/number.h"
#include "tensor/tensor.h"

#include <string.h>

static lamina_status no_memory(lamina_error *err)
{
    return lmn_fail(err, LAMINA_E_NOMEM, "no memory for the answer");
}

/* Most bytes that an element takes in JSON, comma included. */
static size_t widest(lamina_dtype dt)
{
    switch (dt) {
    case LAMINA_BOOL: return 6;
    case LAMINA_U8:
    case LAMINA_I8: return 5;
    case LAMINA_U16:
    case LAMINA_I16: return 7;
    case LAMINA_U32:
    case LAMINA_I32: return 12;
    case LAMINA_F32:
    case LAMINA_F16:
    case LAMINA_BF16: return 19;
    default: return 26;
    }
}

static char *put(char *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}
#define PUT(p, literal) put(p, literal, sizeof(literal) - 1)

/* An infinity is a number past the range of its type, which rounds to it; for types below FP64 even
 * strict parsers take it. */
static char *put_special(char *p, bool nan, bool minus, bool wide)
{
    if (nan) return PUT(p, "null");
    if (minus) *p++ = '-';
    return wide ? PUT(p, "1e999") : PUT(p, "1e39");
}

static inline char *put_f32(char *p, float v)
{
    const uint32_t bits = lmn_f32_bits(v);
    if (LMN_UNLIKELY((bits & 0x7f800000) == 0x7f800000))
        return put_special(p, bits & 0x7fffff, bits >> 31, false);
    return p + lmn_f32_write(p, v);
}

static inline char *put_f64(char *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, 8);
    if (LMN_UNLIKELY((bits >> 52 & 0x7ff) == 0x7ff))
        return put_special(p, bits & 0xfffffffffffff, bits >> 63, true);
    return p + lmn_f64_write(p, v);
}

/* A comma behind each element; the caller takes the last one away. */
#define EACH(type, expr)                        \
    for (int64_t i = 0; i < n; i++) {           \
        const type v = ((const type *)data)[i]; \
        p = (expr);                             \
        *p++ = ',';                             \
    }                                           \
    break

static char *put_floats(char *p, const float *v, int64_t n, lmn_isa isa)
{
    size_t done;
    for (int64_t i = 0; i < n;) {
        p = lmn_f32_write_row(p, v + i, (size_t)(n - i), isa, &done);
        i += (int64_t)done;
        if (done) continue;
        p = put_f32(p, v[i++]);
        *p++ = ',';
    }
    return p;
}

static char *put_numbers(char *p, lamina_dtype dt, const void *data, int64_t n, lmn_isa isa)
{
    switch (dt) {
    case LAMINA_F32: return put_floats(p, data, n, isa);
    case LAMINA_F64: EACH(double, put_f64(p, v));
    case LAMINA_F16: EACH(uint16_t, put_f32(p, lmn_f16_to_f32(v)));
    case LAMINA_BF16: EACH(uint16_t, put_f32(p, lmn_bf16_to_f32(v)));
    case LAMINA_I8: EACH(int8_t, p + lmn_i64_write(p, v));
    case LAMINA_U8: EACH(uint8_t, p + lmn_u64_write(p, v));
    case LAMINA_I16: EACH(int16_t, p + lmn_i64_write(p, v));
    case LAMINA_U16: EACH(uint16_t, p + lmn_u64_write(p, v));
    case LAMINA_I32: EACH(int32_t, p + lmn_i64_write(p, v));
    case LAMINA_U32: EACH(uint32_t, p + lmn_u64_write(p, v));
    case LAMINA_I64: EACH(int64_t, p + lmn_i64_write(p, v));
    case LAMINA_U64: EACH(uint64_t, p + lmn_u64_write(p, v));
    case LAMINA_BOOL: EACH(uint8_t, v ? PUT(p, "true") : PUT(p, "false"));
    default: break;
    }
    return p;
}

static char *put_data(char *p, const lmn_kserve_said *o)
{
    *p++ = '[';
    if (o->t.dtype == LAMINA_STRING) {
        const lmn_span *texts = o->t.data;
        for (int64_t i = 0; i < o->count; i++) {
            p += lmn_json_quote(p, texts[i].p, texts[i].n);
            *p++ = ',';
        }
    } else {
        p = put_numbers(p, o->t.dtype, o->t.data, o->count, o->isa);
    }
    if (o->count) p--;
    *p++ = ']';
    return p;
}

/* Bytes that surely hold what put_output writes; 0: too many. */
static size_t room_for(const lmn_kserve_said *o)
{
    size_t n = 260 + 6 * strlen(o->name) + 21 * LAMINA_MAX_RANK, data;
    if (o->lent.region) n += 6 * LMN_LENT_NAME;
    if (o->binary || o->lent.region) return n;
    if (o->t.dtype == LAMINA_STRING) {
        if (!lmn_mul_size(o->t.bytes, 6, &data) || !lmn_add_size(n, data, &n)) return 0;
        if (!lmn_mul_size((size_t)o->count, 3, &data) || !lmn_add_size(n, data, &n)) return 0;
        return n;
    }
    if (!lmn_mul_size((size_t)o->count, widest(o->t.dtype), &data)) return 0;
    return lmn_add_size(n, data, &n) ? n : 0;
}

static char *put_output(char *p, const lmn_kserve_said *o, size_t binary_bytes)
{
    p = PUT(p, "{\"name\":");
    p += lmn_json_quote(p, o->name, strlen(o->name));
    p = PUT(p, ",\"datatype\":\"");
    const char *type = lmn_kserve_type(o->t.dtype);
    p = put(p, type, strlen(type));
    p = PUT(p, "\",\"shape\":[");
    for (int32_t i = 0; i < o->t.rank; i++) {
        p += lmn_i64_write(p, o->t.dims[i]);
        *p++ = ',';
    }
    if (o->t.rank) p--;
    p = PUT(p, "]");
    if (o->binary) {
        p = PUT(p, ",\"parameters\":{\"binary_data_size\":");
        p += lmn_u64_write(p, binary_bytes);
        p = PUT(p, "}}");
        return p;
    }
    if (o->lent.region) {
        const char *name = o->lent.region->name;
        p = PUT(p, ",\"parameters\":{\"shared_memory_region\":");
        p += lmn_json_quote(p, name, strlen(name));
        p = PUT(p, ",\"shared_memory_byte_size\":");
        p += lmn_u64_write(p, o->lent.bytes);
        p = PUT(p, ",\"shared_memory_offset\":");
        p += lmn_u64_write(p, o->lent.offset);
        return PUT(p, "}}");
    }
    p = PUT(p, ",\"data\":");
    p = put_data(p, o);
    *p++ = '}';
    return p;
}

static char *put_head(char *p, const lmn_signature *s, const lmn_infer *r)
{
    p = PUT(p, "{\"model_name\":");
    p += lmn_json_quote(p, s->model, strlen(s->model));
    p = PUT(p, ",\"model_version\":");
    p += lmn_json_quote(p, s->version, strlen(s->version));
    if (r->id.n) {
        p = PUT(p, ",\"id\":");
        p += lmn_json_quote(p, r->id.p, r->id.n);
    }
    return PUT(p, ",\"outputs\":[");
}

/* All outputs described, their binary forms in pieces, and the room for the JSON. */
static lamina_status gather(const lmn_signature *s, const lmn_infer *r, lmn_arena *arena,
                            lmn_kserve_said *all, lmn_span *pieces, uint32_t *n_pieces,
                            size_t *room, lamina_error *err)
{
    const uint32_t n = lmn_kserve_n_answers(s, r);
    size_t more = strlen(s->model) + strlen(s->version) + r->id.n;
    if (!lmn_mul_size(more, 6, room)) return no_memory(err);
    *room += 100 + LMN_NUMBER_BYTES;
    *n_pieces = 1;
    for (uint32_t i = 0; i < n; i++) {
        LMN_TRY(lmn_kserve_describe(s, r, i, arena, &all[i], err));
        if (all[i].lent.region)
            LMN_TRY(lmn_kserve_lend(&all[i], arena, err));
        else if (all[i].binary)
            LMN_TRY(lmn_kserve_binary_of(&all[i], arena, &pieces[(*n_pieces)++], err));
        more = room_for(&all[i]);
        if (!more || !lmn_add_size(*room, more, room)) return no_memory(err);
    }
    return LAMINA_OK;
}

lamina_status lmn_kserve_write(const lmn_signature *s, const lmn_infer *r, lmn_arena *arena,
                               lmn_span pieces[1 + LMN_INFER_MAX_PORTS], uint32_t *n_pieces,
                               int64_t *json_bytes, lamina_error *err)
{
    const uint32_t n = lmn_kserve_n_answers(s, r);
    size_t room;
    arena->failed = false;
    lmn_kserve_said *all = lmn_arena_raw(arena, n + 1, sizeof *all);
    if (!all) return no_memory(err);
    LMN_TRY(gather(s, r, arena, all, pieces, n_pieces, &room, err));
    char *text = lmn_arena_bump(arena, room, 16);
    if (!text) return no_memory(err);
    char *p = put_head(text, s, r);
    uint32_t piece = 1;
    for (uint32_t i = 0; i < n; i++) {
        p = put_output(p, &all[i], all[i].binary ? pieces[piece].n : 0);
        piece += all[i].binary;
        *p++ = ',';
    }
    if (n) p--;
    p = PUT(p, "]}");
    lmn_assert((size_t)(p - text) <= room);
    pieces[0] = (lmn_span){(const uint8_t *)text, (size_t)(p - text)};
    *json_bytes = *n_pieces > 1 ? (int64_t)pieces[0].n : -1;
    return LAMINA_OK;
}
