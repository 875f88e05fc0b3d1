/*
 * What JSON and gRPC share of tensors: names of types, sizes, binary contents, ports by name.
 */
#include "serve/kserve_int.h"

#include "tensor/dtype.h"

#include <string.h>

static const struct {
    lamina_dtype dtype;
    const char *name;
} TYPES[] = {{LAMINA_F32, "FP32"},   {LAMINA_F64, "FP64"},    {LAMINA_F16, "FP16"},
             {LAMINA_BF16, "BF16"},  {LAMINA_I64, "INT64"},   {LAMINA_I32, "INT32"},
             {LAMINA_I16, "INT16"},  {LAMINA_I8, "INT8"},     {LAMINA_U64, "UINT64"},
             {LAMINA_U32, "UINT32"}, {LAMINA_U16, "UINT16"},  {LAMINA_U8, "UINT8"},
             {LAMINA_BOOL, "BOOL"},  {LAMINA_STRING, "BYTES"}};

const char *lmn_kserve_type(lamina_dtype dt)
{
    for (size_t i = 0; i < LMN_COUNT(TYPES); i++)
        if (TYPES[i].dtype == dt) return TYPES[i].name;
    return NULL;
}

lamina_dtype lmn_kserve_type_of(const void *name, size_t n)
{
    for (size_t i = 0; i < LMN_COUNT(TYPES); i++)
        if (strlen(TYPES[i].name) == n && memcmp(TYPES[i].name, name, n) == 0)
            return TYPES[i].dtype;
    return LAMINA_DTYPE_NONE;
}

uint32_t lmn_kserve_port(const lmn_serve_port *ports, uint32_t n, lmn_span name)
{
    for (uint32_t i = 0; i < n; i++)
        if (strlen(ports[i].name) == name.n && memcmp(ports[i].name, name.p, name.n) == 0) return i;
    return n;
}

bool lmn_kserve_count(const int64_t *dims, int32_t rank, size_t elem_bytes, int64_t *out)
{
    /* the others must fit also where one is 0: [0, 2^62, 2^62] is no shape */
    int64_t all = 1, without_zeros = (int64_t)elem_bytes;
    for (int32_t i = 0; i < rank; i++) {
        if (dims[i] < 0 || !lmn_mul_i64(without_zeros, lmn_max_i64(dims[i], 1), &without_zeros))
            return false;
        all *= dims[i];
    }
    *out = all;
    return true;
}

void *lmn_kserve_room(lmn_infer_tensor *t, int64_t count, lmn_arena *arena)
{
    const bool text = t->dtype == LAMINA_STRING;
    const size_t elem = text ? sizeof(lmn_span) : lmn_dtype_bytes(t->dtype);
    if (!text) t->bytes = (size_t)count * elem;
    return lmn_arena_bump(arena, (size_t)count * elem, LMN_TENSOR_ALIGN);
}

static lamina_status wrong(lamina_error *err, const char *name, const char *what)
{
    return lmn_fail(err, LAMINA_E_SHAPE, "input \"%s\": %s", name, what);
}

/* Texts, each behind its length in four bytes. */
static lamina_status binary_texts(lmn_span raw, lmn_infer_tensor *t, int64_t count,
                                  const char *name, lmn_arena *arena, lamina_error *err)
{
    if ((uint64_t)count > raw.n / 4)
        return wrong(err, name, "its binary data have fewer elements than its shape");
    lmn_span *texts = lmn_kserve_room(t, count, arena);
    if (!texts) return lmn_fail(err, LAMINA_E_NOMEM, "input \"%s\": no memory for its data", name);
    const uint8_t *p = raw.p, *end = raw.n ? raw.p + raw.n : raw.p;
    t->bytes = 0;
    for (int64_t i = 0; i < count; i++) {
        if (end - p < 4) return wrong(err, name, "its binary data end within an element");
        const uint32_t n =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        p += 4;
        if (n > (size_t)(end - p))
            return wrong(err, name,
                         "the length of an element of its binary data lies past their end");
        texts[i] = (lmn_span){p, n};
        t->bytes += n;
        p += n;
    }
    if (p != end) return wrong(err, name, "its binary data have more elements than its shape");
    t->data = texts;
    return LAMINA_OK;
}

lamina_status lmn_kserve_binary(lmn_span raw, lmn_infer_tensor *t, const char *name,
                                lmn_arena *arena, lamina_error *err)
{
    int64_t count;
    const size_t elem = t->dtype == LAMINA_STRING ? sizeof(lmn_span) : lmn_dtype_bytes(t->dtype);
    if (!lmn_kserve_count(t->dims, t->rank, elem, &count))
        return wrong(err, name, "its shape is negative or too large");
    if (t->dtype == LAMINA_STRING) return binary_texts(raw, t, count, name, arena, err);
    if ((size_t)count * elem != raw.n)
        return lmn_fail(err, LAMINA_E_SHAPE,
                        "input \"%s\": its binary data have %zu bytes, its shape says %zu", name,
                        raw.n, (size_t)count * elem);
    if (t->dtype == LAMINA_BOOL)
        for (size_t i = 0; i < raw.n; i++)
            if (raw.p[i] > 1)
                return lmn_fail(err, LAMINA_E_INVALID,
                                "input \"%s\": element %zu is neither 0 nor 1, as BOOL wants", name,
                                i);
    t->bytes = raw.n;
    t->data = raw.p;
    if (((uintptr_t)raw.p & (elem - 1)) == 0 && raw.n) return LAMINA_OK;
    void *copy = lmn_kserve_room(t, count, arena);
    if (!copy) return lmn_fail(err, LAMINA_E_NOMEM, "input \"%s\": no memory for its data", name);
    if (raw.n) memcpy(copy, raw.p, raw.n);
    t->data = copy;
    return LAMINA_OK;
}

lamina_status lmn_kserve_lent_whole(const lmn_lent_part *p, bool sized, lamina_error *err)
{
    if (p->region && sized) return lmn_lent_check(p, err);
    return lmn_fail(err, LAMINA_E_INVALID,
                    "shared memory wants \"shared_memory_region\" and "
                    "\"shared_memory_byte_size\"");
}

lamina_status lmn_kserve_lent_input(const lmn_lent_part *p, lmn_infer_tensor *t, const char *name,
                                    lmn_arena *arena, lamina_error *err)
{
    const lmn_passed *m = &p->region->memory;
    lmn_span raw = {m->p + p->offset, p->bytes};
    if (!m->fixed && raw.n) {
        uint8_t *copy = lmn_arena_bump(arena, raw.n, 64);
        if (!copy) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for the request");
        memcpy(copy, raw.p, raw.n);
        raw.p = copy;
    }
    return lmn_kserve_binary(raw, t, name, arena, err);
}

lamina_status lmn_kserve_name_input(const lmn_signature *s, lmn_span given, bool *seen,
                                    lmn_infer_tensor *t, char name[LMN_KSERVE_NAME],
                                    lamina_error *err)
{
    (void)lmn_format_name(name, LMN_KSERVE_NAME, given.p, given.n);
    t->port = lmn_kserve_port(s->in, s->n_in, given);
    if (t->port >= s->n_in || t->port >= LMN_INFER_MAX_PORTS)
        return lmn_fail(err, LAMINA_E_INVALID, "the model has no input \"%s\"", name);
    if (seen[t->port]) return lmn_fail(err, LAMINA_E_INVALID, "input \"%s\" is given twice", name);
    seen[t->port] = true;
    return LAMINA_OK;
}

lamina_status lmn_kserve_name_output(const lmn_signature *s, lmn_span given, bool *seen,
                                     lmn_infer_tensor *t, lamina_error *err)
{
    char name[LMN_KSERVE_NAME];
    (void)lmn_format_name(name, sizeof name, given.p, given.n);
    t->port = lmn_kserve_port(s->out, s->n_out, given);
    if (t->port >= s->n_out || t->port >= LMN_INFER_MAX_PORTS)
        return lmn_fail(err, LAMINA_E_INVALID, "the model has no output \"%s\"", name);
    if (seen[t->port])
        return lmn_fail(err, LAMINA_E_INVALID, "output \"%s\" is asked for twice", name);
    seen[t->port] = true;
    return LAMINA_OK;
}

lamina_status lmn_kserve_check_type(const lmn_signature *s, const lmn_infer_tensor *t,
                                    const char *name, lamina_error *err)
{
    const char *type = lmn_kserve_type(s->in[t->port].dtype);
    if (t->dtype == s->in[t->port].dtype) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_DTYPE, "input \"%s\": its datatype is %s, the model wants %s",
                    name, lmn_kserve_type(t->dtype), type ? type : "another");
}

lamina_status lmn_kserve_all_seen(const lmn_signature *s, const bool *seen, lamina_error *err)
{
    for (uint32_t i = 0; i < s->n_in && i < LMN_INFER_MAX_PORTS; i++)
        if (!seen[i] && !s->in[i].optional)
            return lmn_fail(err, LAMINA_E_INVALID, "input \"%s\" is missing", s->in[i].name);
    return LAMINA_OK;
}

lamina_status lmn_kserve_ports(const lmn_signature *s, lmn_arena *arena, lmn_infer *r,
                               lamina_error *err)
{
    void *room = lmn_arena_bump(arena, lmn_infer_ports_bytes(s->n_in, s->n_out), 16);
    if (!room) return lmn_fail(err, LAMINA_E_NOMEM, "no memory for the request");
    lmn_infer_ports(r, room, s->n_in, s->n_out);
    return LAMINA_OK;
}

lamina_status lmn_kserve_raw_body(const lmn_signature *s, lmn_span body, lmn_arena *arena,
                                  lmn_infer *r, lamina_error *err)
{
    if (s->n_in != 1)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a raw binary request is for models of one input, \"%s\" has %u", s->model,
                        s->n_in);
    const lmn_serve_port *port = &s->in[0];
    lmn_infer_tensor *t = &r->in[0];
    const bool text = port->dtype == LAMINA_STRING;
    int32_t open = -1;
    int64_t known;
    *t = (lmn_infer_tensor){.dtype = port->dtype, .rank = port->rank};
    if (port->rank < 0)
        return lmn_fail(err, LAMINA_E_SHAPE,
                        "input \"%s\": a raw binary request cannot say its shape", port->name);
    memcpy(t->dims, port->dims, sizeof t->dims);
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] >= 0) continue;
        if (open > 0 || (open == 0 && s->max_batch_size <= 0))
            return lmn_fail(err, LAMINA_E_SHAPE,
                            "input \"%s\": a raw binary request cannot say two free dimensions",
                            port->name);
        open = i; /* of batch and another, the other is free */
        t->dims[i] = 1;
    }
    const size_t elem = text ? 1 : lmn_dtype_bytes(t->dtype);
    if (!lmn_kserve_count(t->dims, t->rank, elem, &known))
        return wrong(err, port->name, "its shape is too large");
    const size_t each = (size_t)known * elem;
    if (!text && open >= 0 && each && body.n % each == 0) t->dims[open] = (int64_t)(body.n / each);
    r->n_in = 1;
    r->n_out = 0;
    r->binary_out = true;
    if (!text) return lmn_kserve_binary(body, t, port->name, arena, err);
    if (known != 1) return wrong(err, port->name, "a raw binary request of BYTES has one element");
    lmn_span *one = lmn_kserve_room(t, 1, arena);
    if (!one)
        return lmn_fail(err, LAMINA_E_NOMEM, "input \"%s\": no memory for its data", port->name);
    *one = body;
    t->data = one;
    t->bytes = body.n;
    return LAMINA_OK;
}
