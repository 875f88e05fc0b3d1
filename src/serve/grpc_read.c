/*
 * ModelInferRequest into a request. Fields may come in any order, so the message is walked twice:
 * for what stands alone, then for the inputs, beside which a second cursor walks over the raw
 * contents.
 */
#include "serve/grpc_codec.h"

#include "base/pbwire.h"
#include "base/text.h"
#include "serve/kserve_int.h"
#include "tensor/dtype.h"

#include <string.h>

typedef struct reader {
    const lmn_signature *s;
    lmn_infer *r;
    lmn_arena *arena;
    lamina_error *err;
    lmn_pb raw; /* behind the last raw contents that were taken */
    uint64_t n_raw, n_inputs, n_lent;
    bool seen_in[LMN_INFER_MAX_PORTS], seen_out[LMN_INFER_MAX_PORTS];
} reader;

static lamina_status damaged(lamina_error *err)
{
    return lmn_fail(err, LAMINA_E_PARSE, "the message is damaged, or is another one");
}

static lamina_status text(const lmn_pb_field *f, lmn_span *out, lamina_error *err)
{
    if (f->wire != LMN_PB_BYTES) return damaged(err);
    *out = f->s;
    return LAMINA_OK;
}

lamina_status lmn_grpc_read_target(lmn_span message, lmn_grpc_target *out, lamina_error *err)
{
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    *out = (lmn_grpc_target){{message.p, 0}, {message.p, 0}};
    while (lmn_pb_next(&c, &f)) {
        if (f.num == 1) LMN_TRY(text(&f, &out->name, err));
        if (f.num == 2) LMN_TRY(text(&f, &out->version, err));
    }
    return c.bad ? damaged(err) : LAMINA_OK;
}

/* An entry of a map of parameters. */
typedef struct parameter {
    lmn_span key;
    uint32_t kind; /* 1 bool, 2 and 5 integers, 3 text, 4 double; 0: nothing was said */
    uint64_t u;
    lmn_span s;
} parameter;

static lamina_status parameter_of(const lmn_pb_field *field, parameter *out, lamina_error *err)
{
    *out = (parameter){.kind = 0};
    if (field->wire != LMN_PB_BYTES) return damaged(err);
    lmn_pb c = lmn_pb_of(field->s);
    lmn_pb_field f;
    lmn_span value = {NULL, 0};
    while (lmn_pb_next(&c, &f)) {
        if (f.num == 1) LMN_TRY(text(&f, &out->key, err));
        if (f.num == 2) LMN_TRY(text(&f, &value, err));
    }
    if (c.bad) return damaged(err);
    c = lmn_pb_of(value);
    while (lmn_pb_next(&c, &f)) {
        static const uint8_t WIRE[6] = {
            0, LMN_PB_VARINT, LMN_PB_VARINT, LMN_PB_BYTES, LMN_PB_FIXED64, LMN_PB_VARINT};
        if (f.num == 0 || f.num > 5) continue;
        if (f.wire != WIRE[f.num]) return damaged(err);
        out->kind = f.num;
        out->u = f.u;
        out->s = f.s;
    }
    return c.bad ? damaged(err) : LAMINA_OK;
}

static bool is(const parameter *p, const char *key)
{
    return lmn_text_is(p->key, key);
}

static bool begins(const parameter *p, const char *with)
{
    const size_t n = strlen(with);
    return p->key.n >= n && memcmp(p->key.p, with, n) == 0;
}

/* What asks for something that is not done is refused, unless it asks for nothing. */
static lamina_status refuse(const parameter *p, const char *what, lamina_error *err)
{
    if (p->kind == 3 ? p->s.n == 0 : p->u == 0) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "%s are not supported", what);
}

static lamina_status count_of(const parameter *p, const char *key, uint64_t max, uint64_t *out,
                              lamina_error *err)
{
    *out = p->u;
    if ((p->kind == 2 || p->kind == 5) && p->u <= max) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_INVALID, "\"%s\" must be an integer from 0 to %llu", key,
                    (unsigned long long)max);
}

static lamina_status no_such(const parameter *p, lamina_error *err)
{
    char shown[LMN_KSERVE_NAME];
    (void)lmn_format_name(shown, sizeof shown, p->key.p, p->key.n);
    return lmn_fail(err, LAMINA_E_INVALID, "there is no parameter \"%s\"", shown);
}

/* Where in the memory that the client has lent the bytes of a tensor lie, or are to go. */
static lamina_status lent_parameter(const reader *d, const parameter *p, lmn_lent_part *part,
                                    bool *sized)
{
    uint64_t n = 0;
    if (!d->r->lent) return refuse(p, "shared memory regions but those of UNIX sockets", d->err);
    if (is(p, "shared_memory_region")) {
        if (p->kind == 3) return lmn_lent_find(d->r->lent, p->s, &part->region, d->err);
        return lmn_fail(d->err, LAMINA_E_INVALID, "\"shared_memory_region\" must be a string");
    }
    if (is(p, "shared_memory_byte_size")) {
        LMN_TRY(count_of(p, "shared_memory_byte_size", INT64_MAX, &n, d->err));
        part->bytes = (size_t)n;
        *sized = true;
        return LAMINA_OK;
    }
    if (!is(p, "shared_memory_offset")) return no_such(p, d->err);
    LMN_TRY(count_of(p, "shared_memory_offset", INT64_MAX, &n, d->err));
    part->offset = (size_t)n;
    return LAMINA_OK;
}

/* All of its parameters were read. */
static lamina_status lent_end(const reader *d, const lmn_lent_part *part, bool sized)
{
    if (!part->region && !sized && !part->offset) return LAMINA_OK;
    return lmn_kserve_lent_whole(part, sized, d->err);
}

static lamina_status request_parameter(reader *d, const lmn_pb_field *f)
{
    parameter p;
    uint64_t n = 0;
    LMN_TRY(parameter_of(f, &p, d->err));
    if (is(&p, "priority")) {
        LMN_TRY(count_of(&p, "priority", UINT32_MAX, &n, d->err));
        d->r->priority = (uint32_t)n;
    } else if (is(&p, "timeout")) {
        LMN_TRY(count_of(&p, "timeout", INT64_MAX / 1000, &n, d->err));
        d->r->timeout_ns = n * 1000;
    } else if (begins(&p, "sequence_")) {
        return refuse(&p, "sequences", d->err);
    }
    return LAMINA_OK;
}

static lamina_status output(reader *d, const lmn_pb_field *field)
{
    if (field->wire != LMN_PB_BYTES) return damaged(d->err);
    lmn_infer_tensor out = {.binary = true};
    lmn_pb c = lmn_pb_of(field->s);
    lmn_pb_field f;
    lmn_span name = {field->s.p, 0};
    bool sized = false;
    while (lmn_pb_next(&c, &f)) {
        if (f.num == 1) LMN_TRY(text(&f, &name, d->err));
        if (f.num != 2) continue;
        parameter p;
        uint64_t n;
        LMN_TRY(parameter_of(&f, &p, d->err));
        if (is(&p, "classification")) {
            LMN_TRY(count_of(&p, "classification", UINT32_MAX, &n, d->err));
            out.n_classes = (uint32_t)n;
        } else if (begins(&p, "shared_memory_")) {
            LMN_TRY(lent_parameter(d, &p, &out.lent, &sized));
        }
    }
    if (c.bad) return damaged(d->err);
    LMN_TRY(lent_end(d, &out.lent, sized));
    LMN_TRY(lmn_kserve_name_output(d->s, name, d->seen_out, &out, d->err));
    d->r->out[d->r->n_out++] = out; /* no port comes twice, so there is room */
    return LAMINA_OK;
}

/* One element of a shape, or a list of them. */
static lamina_status shape(reader *d, lmn_infer_tensor *t, const lmn_pb_field *f)
{
    lmn_pb c = lmn_pb_of(f->s);
    uint64_t u = f->u;
    if (f->wire != LMN_PB_BYTES && f->wire != LMN_PB_VARINT) return damaged(d->err);
    while (f->wire == LMN_PB_VARINT || lmn_pb_varint(&c, &u)) {
        if (t->rank == LAMINA_MAX_RANK)
            return lmn_fail(d->err, LAMINA_E_SHAPE, "a shape has more than %d dimensions",
                            LAMINA_MAX_RANK);
        if (u > INT64_MAX)
            return lmn_fail(d->err, LAMINA_E_SHAPE, "a dimension must not be negative");
        t->dims[t->rank++] = (int64_t)u;
        if (f->wire == LMN_PB_VARINT) break;
    }
    return c.bad ? damaged(d->err) : LAMINA_OK;
}

/* Typed contents of an input while they are read. */
typedef struct contents {
    lmn_infer_tensor *t;
    uint8_t *dst;
    size_t elem_bytes;
    int64_t n, done;
    bool wide; /* an element is past the range of its type */
} contents;

/* Which list of InferTensorContents holds elements of that type; 0: none. */
static uint32_t list_of(lamina_dtype dt)
{
    switch (dt) {
    case LAMINA_BOOL: return 1;
    case LAMINA_I8:
    case LAMINA_I16:
    case LAMINA_I32: return 2;
    case LAMINA_I64: return 3;
    case LAMINA_U8:
    case LAMINA_U16:
    case LAMINA_U32: return 4;
    case LAMINA_U64: return 5;
    case LAMINA_F32: return 6;
    case LAMINA_F64: return 7;
    case LAMINA_STRING: return 8;
    default: return 0;
    }
}

static void element(contents *c, uint64_t u)
{
    const int32_t i = (int32_t)(uint32_t)u; /* int32 and uint32 are cut to 32 bits by the format */
    const uint32_t w = (uint32_t)u;
    if (c->done == c->n) {
        c->done++; /* one too many is enough to know */
        return;
    }
    if (c->done > c->n) return;
    switch (c->t->dtype) {
    case LAMINA_BOOL: u = u != 0; break;
    case LAMINA_I8: c->wide |= i < INT8_MIN || i > INT8_MAX; break;
    case LAMINA_I16: c->wide |= i < INT16_MIN || i > INT16_MAX; break;
    case LAMINA_U8: c->wide |= w > UINT8_MAX; break;
    case LAMINA_U16: c->wide |= w > UINT16_MAX; break;
    default: break;
    }
    memcpy(c->dst + (size_t)c->done++ * c->elem_bytes, &u, c->elem_bytes);
}

static void packed(contents *c, const lmn_pb_field *f, bool *bad)
{
    lmn_pb p = lmn_pb_of(f->s);
    uint64_t u = 0;
    if (c->t->dtype == LAMINA_F32 || c->t->dtype == LAMINA_F64) {
        *bad = f->s.n % c->elem_bytes != 0;
        for (size_t i = 0; !*bad && i < f->s.n; i += c->elem_bytes) {
            memcpy(&u, f->s.p + i, c->elem_bytes);
            element(c, u);
        }
        return;
    }
    while (lmn_pb_varint(&p, &u)) element(c, u);
    *bad = p.bad;
}

/* One field of the right list. */
static void take(contents *c, const lmn_pb_field *f, bool *bad)
{
    const lamina_dtype dt = c->t->dtype;
    const uint8_t single = dt == LAMINA_F32   ? LMN_PB_FIXED32
                           : dt == LAMINA_F64 ? LMN_PB_FIXED64
                                              : LMN_PB_VARINT;
    if (dt == LAMINA_STRING) {
        *bad = f->wire != LMN_PB_BYTES;
        if (!*bad && c->done < c->n) {
            memcpy(c->dst + (size_t)c->done * sizeof f->s, &f->s, sizeof f->s);
            c->t->bytes += f->s.n;
        }
        c->done += c->done <= c->n;
    } else if (f->wire == single) {
        element(c, f->u);
    } else if (f->wire == LMN_PB_BYTES) {
        packed(c, f, bad);
    } else {
        *bad = true;
    }
}

static lamina_status typed_contents(reader *d, lmn_span bytes, lmn_infer_tensor *t,
                                    const char *name)
{
    const uint32_t list = list_of(t->dtype);
    const bool strings = t->dtype == LAMINA_STRING;
    contents c = {.t = t, .elem_bytes = strings ? sizeof(lmn_span) : lmn_dtype_bytes(t->dtype)};
    if (!list)
        return lmn_fail(d->err, LAMINA_E_UNSUPPORTED,
                        "input \"%s\": %s is read from raw_input_contents alone", name,
                        lmn_kserve_type(t->dtype));
    /* an element takes a byte at least */
    if (!lmn_kserve_count(t->dims, t->rank, c.elem_bytes, &c.n) || (uint64_t)c.n > bytes.n)
        return lmn_fail(d->err, LAMINA_E_SHAPE,
                        "input \"%s\": its contents have fewer elements than its shape", name);
    t->bytes = 0;
    t->data = c.dst = lmn_kserve_room(t, c.n, d->arena);
    if (!c.dst)
        return lmn_fail(d->err, LAMINA_E_NOMEM, "input \"%s\": no memory for its data", name);
    lmn_pb p = lmn_pb_of(bytes);
    lmn_pb_field f;
    bool bad = false;
    while (!bad && lmn_pb_next(&p, &f)) {
        if (f.num > 8) continue;
        if (f.num != list)
            return lmn_fail(d->err, LAMINA_E_INVALID,
                            "input \"%s\": its contents are in a list of another datatype", name);
        take(&c, &f, &bad);
    }
    if (bad || p.bad) return damaged(d->err);
    if (c.wide)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": an element is out of the range of %s", name,
                        lmn_kserve_type(t->dtype));
    if (c.done != c.n)
        return lmn_fail(d->err, LAMINA_E_SHAPE,
                        "input \"%s\": its contents have %s elements than its shape", name,
                        c.done < c.n ? "fewer" : "more");
    return LAMINA_OK;
}

static lamina_status too_few(const reader *d)
{
    return lmn_fail(d->err, LAMINA_E_INVALID, "%llu inputs have %llu raw_input_contents",
                    (unsigned long long)(d->n_inputs - d->n_lent), (unsigned long long)d->n_raw);
}

/* The raw contents that belong to the next input. */
static lamina_status raw_contents(reader *d, lmn_infer_tensor *t, const char *name)
{
    lmn_pb_field f;
    while (lmn_pb_next(&d->raw, &f))
        if (f.num == 7) return lmn_kserve_binary(f.s, t, name, d->arena, d->err);
    return too_few(d);
}

static lamina_status input(reader *d, const lmn_pb_field *field)
{
    lmn_infer_tensor in = {.rank = 0}, *t = &in;
    lmn_pb c = lmn_pb_of(field->s);
    lmn_pb_field f;
    lmn_span name = {field->s.p, 0}, type = name, held = {NULL, 0};
    lmn_lent_part lent = {.region = NULL};
    bool sized = false;
    char shown[LMN_KSERVE_NAME];
    while (lmn_pb_next(&c, &f)) {
        parameter p;
        switch (f.num) {
        case 1: LMN_TRY(text(&f, &name, d->err)); break;
        case 2: LMN_TRY(text(&f, &type, d->err)); break;
        case 3: LMN_TRY(shape(d, t, &f)); break;
        case 4:
            LMN_TRY(parameter_of(&f, &p, d->err));
            if (begins(&p, "shared_memory_")) LMN_TRY(lent_parameter(d, &p, &lent, &sized));
            break;
        case 5:
            if (held.p) return lmn_fail(d->err, LAMINA_E_INVALID, "\"contents\" stands twice");
            LMN_TRY(text(&f, &held, d->err));
            break;
        default: break;
        }
    }
    if (c.bad) return damaged(d->err);
    LMN_TRY(lent_end(d, &lent, sized));
    LMN_TRY(lmn_kserve_name_input(d->s, name, d->seen_in, t, shown, d->err));
    t->dtype = lmn_kserve_type_of(type.p, type.n);
    if (t->dtype == LAMINA_DTYPE_NONE)
        return lmn_fail(d->err, LAMINA_E_DTYPE, "input \"%s\": there is no such datatype", shown);
    LMN_TRY(lmn_kserve_check_type(d->s, t, shown, d->err));
    if (lent.region && held.n)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": contents and shared memory exclude each other", shown);
    if (d->n_raw && held.n)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": contents and raw_input_contents exclude each other", shown);
    d->n_lent += lent.region != NULL;
    if (lent.region)
        LMN_TRY(lmn_kserve_lent_input(&lent, t, shown, d->arena, d->err));
    else
        LMN_TRY(d->n_raw ? raw_contents(d, t, shown) : typed_contents(d, held, t, shown));
    d->r->in[d->r->n_in++] = in; /* no port comes twice, so there is room */
    return LAMINA_OK;
}

static lamina_status alone(reader *d, lmn_span message)
{
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    while (lmn_pb_next(&c, &f)) {
        switch (f.num) {
        case 3: LMN_TRY(text(&f, &d->r->id, d->err)); break;
        case 4: LMN_TRY(request_parameter(d, &f)); break;
        case 6: LMN_TRY(output(d, &f)); break;
        case 5:
        case 7:
            if (f.wire != LMN_PB_BYTES) return damaged(d->err);
            if (f.num == 5)
                d->n_inputs++;
            else
                d->n_raw++;
            break;
        default: break;
        }
    }
    return c.bad ? damaged(d->err) : LAMINA_OK;
}

lamina_status lmn_grpc_read_infer(const lmn_signature *s, lmn_span message, lmn_arena *arena,
                                  lmn_infer *r, lamina_error *err)
{
    reader d = {.s = s, .r = r, .arena = arena, .err = err, .raw = lmn_pb_of(message)};
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    arena->failed = false;
    r->id = (lmn_span){message.p, 0};
    r->n_in = r->n_out = 0;
    r->binary_out = true;
    r->priority = 0;
    r->timeout_ns = 0;
    LMN_TRY(lmn_kserve_ports(s, arena, r, err));
    LMN_TRY(alone(&d, message));
    if (r->id.n > LMN_KSERVE_ID) return lmn_fail(err, LAMINA_E_LIMIT, "\"id\" is too long");
    /* inputs that lie in lent memory have none */
    if (d.n_raw > d.n_inputs || (!r->lent && d.n_raw && d.n_raw != d.n_inputs)) return too_few(&d);
    while (lmn_pb_next(&c, &f))
        if (f.num == 5) LMN_TRY(input(&d, &f));
    if (d.n_raw && d.n_raw != d.n_inputs - d.n_lent) return too_few(&d);
    return lmn_kserve_all_seen(s, d.seen_in, err);
}
