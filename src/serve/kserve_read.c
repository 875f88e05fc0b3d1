/*
 * The body of an infer request. Keys may stand in any order: "data" is read at once when name, type
 * and shape are known by then, else passed over and read at the end of its object. A key that means
 * something may stand once; others are ignored, as the protocol has it. Whatever is counted is
 * bounded by the ports of the model or by the text itself.
 */
#include "serve/kserve_read_int.h"

#include <string.h>

/* An input while its object is read. */
typedef struct input {
    lmn_infer_tensor t;
    bool named, typed, shaped, read;
    const uint8_t *data;  /* where they begin that were passed over */
    int64_t binary_bytes; /* -1: none */
    lmn_lent_part lent;
    char name[LMN_KSERVE_NAME];
} input;

static lamina_status wrong(lmn_kserve_reader *d, const char *what)
{
    return lmn_fail(d->err, LAMINA_E_INVALID, "%s", what);
}

static lamina_status shape(lmn_kserve_reader *d, lmn_infer_tensor *out)
{
    lmn_json_token t;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_ARRAY, "shape", "an array of integers", &t));
    out->rank = 0;
    for (;;) {
        const lmn_json_kind got = lmn_json_next(&d->j, &t);
        if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
        if (got == LMN_JSON_ARRAY_END) return LAMINA_OK;
        if (out->rank == LAMINA_MAX_RANK)
            return lmn_fail(d->err, LAMINA_E_SHAPE, "a shape has more than %d dimensions",
                            LAMINA_MAX_RANK);
        if (got != LMN_JSON_NUMBER || !lmn_json_i64(&t, &out->dims[out->rank]) ||
            out->dims[out->rank] < 0)
            return lmn_fail(d->err, LAMINA_E_SHAPE, "a dimension must be an integer, not negative");
        out->rank++;
    }
}

/* The name is known: which port it is. */
static lamina_status input_name(lmn_kserve_reader *d, input *in)
{
    lmn_span name;
    LMN_TRY(lmn_kserve_want_text(d, "name", &name));
    return lmn_kserve_name_input(d->s, name, d->seen_in, &in->t, in->name, d->err);
}

static lamina_status input_type(lmn_kserve_reader *d, input *in)
{
    lmn_json_token t;
    char text[LMN_KSERVE_NAME];
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_STRING, "datatype", "a string", &t));
    in->t.dtype = t.escaped ? LAMINA_DTYPE_NONE : lmn_kserve_type_of(t.text.p, t.text.n);
    if (in->t.dtype != LAMINA_DTYPE_NONE) return LAMINA_OK;
    (void)lmn_format_name(text, sizeof text, t.text.p, t.text.n);
    return lmn_fail(d->err, LAMINA_E_DTYPE, "there is no datatype \"%s\"", text);
}

static lamina_status data_here(lmn_kserve_reader *d, input *in)
{
    const uint8_t *from = lmn_json_at(&d->j);
    if (!in->named || !in->typed || !in->shaped) {
        const lmn_json_token key = {.kind = LMN_JSON_KEY};
        in->data = from;
        return lmn_json_skip(&d->j, &key) ? LAMINA_OK : lmn_kserve_bad_json(d);
    }
    LMN_TRY(lmn_kserve_check_type(d->s, &in->t, in->name, d->err));
    const uint8_t *behind = lmn_kserve_data(from, d->j.end, &in->t, in->name, d->arena, d->err);
    if (!behind) return lmn_kserve_bad_json(d);
    lmn_json_resume(&d->j, behind);
    in->read = true;
    return LAMINA_OK;
}

/* The next binary_bytes of the tail. */
static lamina_status take_binary(lmn_kserve_reader *d, input *in)
{
    if (in->read || in->data)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": \"data\" and \"binary_data_size\" exclude each other",
                        in->name);
    if (!d->has_head)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": binary data want the field Inference-Header-Content-Length",
                        in->name);
    if ((uint64_t)in->binary_bytes > d->tail.n)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": its binary data, %lld bytes, lie past the end of the body",
                        in->name, (long long)in->binary_bytes);
    const lmn_span raw = {d->tail.p, (size_t)in->binary_bytes};
    if (raw.n) d->tail.p += raw.n, d->tail.n -= raw.n; /* an empty tail may have no address */
    return lmn_kserve_binary(raw, &in->t, in->name, d->arena, d->err);
}

static lamina_status take_lent(lmn_kserve_reader *d, input *in)
{
    if (in->read || in->data || in->binary_bytes >= 0)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": shared memory excludes \"data\" and \"binary_data_size\"",
                        in->name);
    return lmn_kserve_lent_input(&in->lent, &in->t, in->name, d->arena, d->err);
}

/* The object is whole. */
static lamina_status input_end(lmn_kserve_reader *d, input *in)
{
    if (!in->named) return wrong(d, "an input has no \"name\"");
    const char *lacks = !in->typed ? "datatype" : !in->shaped ? "shape" : NULL;
    if (lacks)
        return lmn_fail(d->err, LAMINA_E_INVALID, "input \"%s\" has no \"%s\"", in->name, lacks);
    LMN_TRY(lmn_kserve_check_type(d->s, &in->t, in->name, d->err));
    if (in->lent.region)
        LMN_TRY(take_lent(d, in));
    else if (in->binary_bytes >= 0)
        LMN_TRY(take_binary(d, in));
    else if (in->data && !lmn_kserve_data(in->data, d->j.end, &in->t, in->name, d->arena, d->err))
        return lmn_kserve_bad_json(d);
    else if (!in->data && !in->read)
        return lmn_fail(d->err, LAMINA_E_INVALID, "input \"%s\" has no data", in->name);
    d->r->in[d->r->n_in++] = in->t; /* no port comes twice, so there is room */
    return LAMINA_OK;
}

static lamina_status one_input(lmn_kserve_reader *d)
{
    static const char *const KEYS[] = {"name", "shape", "datatype", "data", "parameters"};
    input in = {.binary_bytes = -1, .name = ""};
    lmn_kserve_keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    for (;;) {
        LMN_TRY(lmn_kserve_next_key(d, &k, &more));
        if (!more) return input_end(d, &in);
        lamina_status st = LAMINA_OK;
        switch (k.at) {
        case 0: st = input_name(d, &in), in.named = true; break;
        case 1: st = shape(d, &in.t), in.shaped = true; break;
        case 2: st = input_type(d, &in), in.typed = true; break;
        case 3: st = data_here(d, &in); break;
        case 4: st = lmn_kserve_input_parameters(d, &in.lent, &in.binary_bytes); break;
        default: st = lmn_json_skip(&d->j, &k.t) ? LAMINA_OK : lmn_kserve_bad_json(d);
        }
        if (st != LAMINA_OK) return st;
    }
}

static lamina_status output_name(lmn_kserve_reader *d, lmn_infer_tensor *out)
{
    lmn_span name;
    LMN_TRY(lmn_kserve_want_text(d, "name", &name));
    return lmn_kserve_name_output(d->s, name, d->seen_out, out, d->err);
}

static lamina_status one_output(lmn_kserve_reader *d)
{
    static const char *const KEYS[] = {"name", "parameters"};
    lmn_kserve_keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more, named = false;
    lmn_infer_tensor out = {.binary = d->r->binary_out};
    for (;;) {
        LMN_TRY(lmn_kserve_next_key(d, &k, &more));
        if (!more) break;
        if (k.at == 0) {
            LMN_TRY(output_name(d, &out));
            named = true;
        } else if (k.at == 1) {
            LMN_TRY(lmn_kserve_output_parameters(d, &out));
        } else if (!lmn_json_skip(&d->j, &k.t)) {
            return lmn_kserve_bad_json(d);
        }
    }
    if (!named) return wrong(d, "an output has no \"name\"");
    d->r->out[d->r->n_out++] = out; /* no port comes twice, so there is room */
    return LAMINA_OK;
}

static lamina_status list(lmn_kserve_reader *d, const char *key,
                          lamina_status (*one)(lmn_kserve_reader *d))
{
    lmn_json_token t;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_ARRAY, key, "an array", &t));
    for (;;) {
        const lmn_json_kind got = lmn_json_next(&d->j, &t);
        if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
        if (got == LMN_JSON_ARRAY_END) return LAMINA_OK;
        if (got != LMN_JSON_OBJECT)
            return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be an array of objects", key);
        LMN_TRY(one(d));
    }
}

/* "outputs" may stand before "parameters", whose default it needs: it is read last. */
static lamina_status read_outputs(lmn_kserve_reader *d, const uint8_t *from)
{
    const lmn_json j = d->j;
    lmn_json_init(&d->j, (lmn_span){from, (size_t)(j.end - from)}, d->err);
    const lamina_status st = list(d, "outputs", one_output);
    d->j = j;
    return st;
}

static lamina_status request(lmn_kserve_reader *d)
{
    static const char *const KEYS[] = {"id", "inputs", "outputs", "parameters"};
    const uint8_t *outputs = NULL;
    lmn_json_token t;
    lmn_kserve_keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    const lmn_json_kind got = lmn_json_next(&d->j, &t);
    if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
    if (got != LMN_JSON_OBJECT) return wrong(d, "the request must be an object");
    for (;;) {
        LMN_TRY(lmn_kserve_next_key(d, &k, &more));
        if (!more) break;
        if (k.at == 0) {
            LMN_TRY(lmn_kserve_want_text(d, "id", &d->r->id));
            if (d->r->id.n > LMN_KSERVE_ID) return wrong(d, "\"id\" is too long");
        } else if (k.at == 1) {
            LMN_TRY(list(d, "inputs", one_input));
        } else if (k.at == 3) {
            LMN_TRY(lmn_kserve_request_parameters(d));
        } else {
            if (k.at == 2) outputs = lmn_json_at(&d->j);
            if (!lmn_json_skip(&d->j, &k.t)) return lmn_kserve_bad_json(d);
        }
    }
    if (lmn_json_next(&d->j, &t) != LMN_JSON_END) return lmn_kserve_bad_json(d);
    if (!(k.seen & 2)) return wrong(d, "the request has no \"inputs\"");
    return outputs ? read_outputs(d, outputs) : LAMINA_OK;
}

static lamina_status all_given(lmn_kserve_reader *d)
{
    LMN_TRY(lmn_kserve_all_seen(d->s, d->seen_in, d->err));
    if (d->tail.n)
        return lmn_fail(d->err, LAMINA_E_INVALID, "%zu bytes of the body belong to no input",
                        d->tail.n);
    return LAMINA_OK;
}

lamina_status lmn_kserve_read(const lmn_signature *s, lmn_span body, int64_t json_bytes,
                              lmn_arena *arena, lmn_infer *r, lamina_error *err)
{
    lamina_error unseen;
    if (!err) err = &unseen;
    err->status = LAMINA_OK; /* no sentence yet */
    arena->failed = false;
    r->id = (lmn_span){NULL, 0};
    r->n_in = r->n_out = 0;
    r->binary_out = false;
    r->priority = 0;
    r->timeout_ns = 0;
    LMN_TRY(lmn_kserve_ports(s, arena, r, err));
    if (json_bytes == 0) return lmn_kserve_raw_body(s, body, arena, r, err);
    if (json_bytes > 0 && (uint64_t)json_bytes > body.n)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "Inference-Header-Content-Length says %lld, the body has %zu bytes",
                        (long long)json_bytes, body.n);
    const size_t head = json_bytes > 0 ? (size_t)json_bytes : body.n;
    lmn_kserve_reader d = {.s = s, .r = r, .arena = arena, .err = err, .has_head = json_bytes > 0};
    if (body.n > head) d.tail = (lmn_span){body.p + head, body.n - head};
    lmn_json_init(&d.j, (lmn_span){body.p, head}, err);
    LMN_TRY(request(&d));
    return all_given(&d);
}
