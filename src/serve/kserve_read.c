/*
 * The body of an infer request. Keys may stand in any order: "data" is read at once when name, type
 * and shape are known by then, else passed over and read at the end of its object. A key that means
 * something may stand once; others are ignored, as the protocol has it. Whatever is counted is
 * bounded by the ports of the model or by the text itself.
 */
#include "serve/kserve_int.h"

#include <string.h>

typedef struct reader {
    const lmn_signature *s;
    lmn_json j;
    lmn_infer *r;
    lmn_arena *arena;
    lamina_error *err;
    lmn_span tail; /* binary tensors that nobody has taken yet */
    bool has_head; /* the length of the JSON was said */
    bool seen_in[LMN_INFER_MAX_PORTS], seen_out[LMN_INFER_MAX_PORTS];
} reader;

/* An input while its object is read. */
typedef struct input {
    lmn_infer_tensor t;
    bool named, typed, shaped, read;
    const uint8_t *data;  /* where they begin that were passed over */
    int64_t binary_bytes; /* -1: none */
    lmn_lent_part lent;
    char name[LMN_KSERVE_NAME];
} input;

static lamina_status wrong(reader *d, const char *what)
{
    return lmn_fail(d->err, LAMINA_E_INVALID, "%s", what);
}

/* The parser has said why. */
static lamina_status bad_json(const reader *d)
{
    return d->err->status ? d->err->status : LAMINA_E_PARSE;
}

/* A string decoded; p NULL: no memory. */
static lmn_span text_of(reader *d, const lmn_json_token *t)
{
    if (!t->escaped) return t->text;
    uint8_t *p = lmn_arena_bump(d->arena, t->text.n, 1);
    if (!p) return (lmn_span){NULL, 0};
    return (lmn_span){p, lmn_json_string(t, p)};
}

static lamina_status no_memory(reader *d)
{
    return lmn_fail(d->err, LAMINA_E_NOMEM, "no memory for the request");
}

/* A value that is to be a string, a number ... : the next token, which must be of that kind. */
static lamina_status want(reader *d, lmn_json_kind kind, const char *key, const char *what,
                          lmn_json_token *t)
{
    const lmn_json_kind got = lmn_json_next(&d->j, t);
    if (got == LMN_JSON_ERROR) return bad_json(d);
    if (got == kind) return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be %s", key, what);
}

static lamina_status want_bool(reader *d, const char *key, bool *out)
{
    lmn_json_token t;
    const lmn_json_kind got = lmn_json_next(&d->j, &t);
    if (got == LMN_JSON_ERROR) return bad_json(d);
    *out = got == LMN_JSON_TRUE;
    if (got == LMN_JSON_TRUE || got == LMN_JSON_FALSE) return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be true or false", key);
}

static lamina_status want_count(reader *d, const char *key, int64_t max, int64_t *out)
{
    lmn_json_token t;
    LMN_TRY(want(d, LMN_JSON_NUMBER, key, "a number", &t));
    if (lmn_json_i64(&t, out) && *out >= 0 && *out <= max) return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be an integer from 0 to %lld", key,
                    (long long)max);
}

/* Keys of an object: those that mean something have names. */
typedef struct keys {
    const char *const *names;
    uint32_t n, seen; /* seen: a bit a name; from the 8th on those of lent memory */
    uint32_t at;      /* which of the names the last key is; n: none of them */
    lmn_json_token t; /* the last key */
} keys;

/* Bit `key` of what was seen, once. */
static lamina_status once(reader *d, uint32_t *seen, uint32_t key, const char *name)
{
    if (*seen & 1u << key)
        return lmn_fail(d->err, LAMINA_E_INVALID, "the key \"%s\" stands twice in one object",
                        name);
    *seen |= 1u << key;
    return LAMINA_OK;
}

/* Which of the names the key t is; n: none of them. */
static uint32_t key_of(const lmn_json_token *t, const char *const *names, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && !lmn_json_is(t, names[i])) i++;
    return i;
}

/* The next key of an object: *more false at its end. */
static lamina_status next_key(reader *d, keys *k, bool *more)
{
    const lmn_json_kind got = lmn_json_next(&d->j, &k->t);
    *more = got == LMN_JSON_KEY;
    if (got == LMN_JSON_ERROR) return bad_json(d);
    if (!*more) return LAMINA_OK;
    k->at = key_of(&k->t, k->names, k->n);
    return k->at < k->n ? once(d, &k->seen, k->at, k->names[k->at]) : LAMINA_OK;
}

/* A parameter that means nothing here: it may be any scalar. */
static lamina_status pass_parameter(reader *d)
{
    lmn_json_token t;
    switch (lmn_json_next(&d->j, &t)) {
    case LMN_JSON_ERROR: return bad_json(d);
    case LMN_JSON_STRING:
    case LMN_JSON_NUMBER:
    case LMN_JSON_TRUE:
    case LMN_JSON_FALSE: return LAMINA_OK;
    default: return wrong(d, "a parameter must be a string, a number, true or false");
    }
}

/* What asks for something that is not done: refused unless it asks for nothing. */
static lamina_status refuse_parameter(reader *d, const char *what)
{
    lmn_json_token t;
    int64_t n = 1;
    const lmn_json_kind got = lmn_json_next(&d->j, &t);
    if (got == LMN_JSON_ERROR) return bad_json(d);
    if (got == LMN_JSON_FALSE || (got == LMN_JSON_STRING && t.text.n == 0) ||
        (got == LMN_JSON_NUMBER && lmn_json_i64(&t, &n) && n == 0))
        return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_UNSUPPORTED, "%s are not supported", what);
}

static bool begins(const lmn_json_token *t, const char *with)
{
    const size_t n = strlen(with);
    return t->text.n >= n && memcmp(t->text.p, with, n) == 0;
}

static lamina_status want_size(reader *d, const char *key, size_t *out)
{
    int64_t n = 0;
    LMN_TRY(want_count(d, key, INT64_MAX, &n));
    *out = (size_t)n;
    return LAMINA_OK;
}

/* Where in the memory that the client has lent the bytes of a tensor lie, or are to go. */
static lamina_status lent_parameter(reader *d, keys *k, lmn_lent_part *part)
{
    static const char *const KEYS[] = {"shared_memory_region", "shared_memory_byte_size",
                                       "shared_memory_offset"};
    const uint32_t which = key_of(&k->t, KEYS, LMN_COUNT(KEYS));
    lmn_json_token t;
    if (which == LMN_COUNT(KEYS)) return wrong(d, "there is no such parameter of shared memory");
    LMN_TRY(once(d, &k->seen, 8 + which, KEYS[which]));
    if (which == 1) return want_size(d, KEYS[which], &part->bytes);
    if (which == 2) return want_size(d, KEYS[which], &part->offset);
    LMN_TRY(want(d, LMN_JSON_STRING, KEYS[which], "a string", &t));
    const lmn_span name = text_of(d, &t);
    if (!name.p) return no_memory(d);
    return lmn_lent_find(d->r->lent, name, &part->region, d->err);
}

/* All of its parameters are there, and it lies within its region. */
static lamina_status lent_end(reader *d, uint32_t seen, const lmn_lent_part *part)
{
    if (!(seen & 7u << 8)) return LAMINA_OK;
    return lmn_kserve_lent_whole(part, seen & 2u << 8, d->err);
}

/* The next parameter of an input or output that does not tell of lent memory; *more false at their
 * end, when what was told of that is whole. */
static lamina_status next_parameter(reader *d, keys *k, lmn_lent_part *part, bool *more)
{
    for (;;) {
        LMN_TRY(next_key(d, k, more));
        if (!*more) return lent_end(d, k->seen, part);
        if (!d->r->lent || !begins(&k->t, "shared_memory_")) return LAMINA_OK;
        LMN_TRY(lent_parameter(d, k, part));
    }
}

/* A parameter without a meaning here; those that begin so ask for `what`, which is not done. */
static lamina_status other_parameter(reader *d, const keys *k, const char *begin, const char *what)
{
    return begins(&k->t, begin) ? refuse_parameter(d, what) : pass_parameter(d);
}

static lamina_status request_parameters(reader *d)
{
    static const char *const KEYS[] = {"priority", "timeout", "binary_data_output"};
    lmn_json_token t;
    keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    LMN_TRY(want(d, LMN_JSON_OBJECT, "parameters", "an object", &t));
    for (;;) {
        int64_t n = 0;
        LMN_TRY(next_key(d, &k, &more));
        if (!more) return LAMINA_OK;
        if (k.at == 0) {
            LMN_TRY(want_count(d, KEYS[0], UINT32_MAX, &n));
            d->r->priority = (uint32_t)n;
        } else if (k.at == 1) {
            LMN_TRY(want_count(d, KEYS[1], INT64_MAX / 1000, &n));
            d->r->timeout_ns = (uint64_t)n * 1000;
        } else if (k.at == 2) {
            LMN_TRY(want_bool(d, KEYS[2], &d->r->binary_out));
        } else {
            LMN_TRY(other_parameter(d, &k, "sequence_", "sequences"));
        }
    }
}

static lamina_status input_parameters(reader *d, input *in)
{
    static const char *const KEYS[] = {"binary_data_size"};
    lmn_json_token t;
    keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    LMN_TRY(want(d, LMN_JSON_OBJECT, "parameters", "an object", &t));
    for (;;) {
        LMN_TRY(next_parameter(d, &k, &in->lent, &more));
        if (!more) return LAMINA_OK;
        if (k.at == 0)
            LMN_TRY(want_count(d, KEYS[0], INT64_MAX, &in->binary_bytes));
        else
            LMN_TRY(other_parameter(d, &k, "shared_memory_", "shared memory regions"));
    }
}

static lamina_status shape(reader *d, lmn_infer_tensor *out)
{
    lmn_json_token t;
    LMN_TRY(want(d, LMN_JSON_ARRAY, "shape", "an array of integers", &t));
    out->rank = 0;
    for (;;) {
        const lmn_json_kind got = lmn_json_next(&d->j, &t);
        if (got == LMN_JSON_ERROR) return bad_json(d);
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
static lamina_status input_name(reader *d, input *in)
{
    lmn_json_token t;
    LMN_TRY(want(d, LMN_JSON_STRING, "name", "a string", &t));
    const lmn_span name = text_of(d, &t);
    if (!name.p) return no_memory(d);
    return lmn_kserve_name_input(d->s, name, d->seen_in, &in->t, in->name, d->err);
}

static lamina_status input_type(reader *d, input *in)
{
    lmn_json_token t;
    char text[LMN_KSERVE_NAME];
    LMN_TRY(want(d, LMN_JSON_STRING, "datatype", "a string", &t));
    in->t.dtype = t.escaped ? LAMINA_DTYPE_NONE : lmn_kserve_type_of(t.text.p, t.text.n);
    if (in->t.dtype != LAMINA_DTYPE_NONE) return LAMINA_OK;
    (void)lmn_format_name(text, sizeof text, t.text.p, t.text.n);
    return lmn_fail(d->err, LAMINA_E_DTYPE, "there is no datatype \"%s\"", text);
}

static lamina_status data_here(reader *d, input *in)
{
    const uint8_t *from = lmn_json_at(&d->j);
    if (!in->named || !in->typed || !in->shaped) {
        const lmn_json_token key = {.kind = LMN_JSON_KEY};
        in->data = from;
        return lmn_json_skip(&d->j, &key) ? LAMINA_OK : bad_json(d);
    }
    LMN_TRY(lmn_kserve_check_type(d->s, &in->t, in->name, d->err));
    const uint8_t *behind = lmn_kserve_data(from, d->j.end, &in->t, in->name, d->arena, d->err);
    if (!behind) return bad_json(d);
    lmn_json_resume(&d->j, behind);
    in->read = true;
    return LAMINA_OK;
}

/* The next binary_bytes of the tail. */
static lamina_status take_binary(reader *d, input *in)
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

static lamina_status take_lent(reader *d, input *in)
{
    if (in->read || in->data || in->binary_bytes >= 0)
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "input \"%s\": shared memory excludes \"data\" and \"binary_data_size\"",
                        in->name);
    return lmn_kserve_lent_input(&in->lent, &in->t, in->name, d->arena, d->err);
}

/* The object is whole. */
static lamina_status input_end(reader *d, input *in)
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
        return bad_json(d);
    else if (!in->data && !in->read)
        return lmn_fail(d->err, LAMINA_E_INVALID, "input \"%s\" has no data", in->name);
    d->r->in[d->r->n_in++] = in->t; /* no port comes twice, so there is room */
    return LAMINA_OK;
}

static lamina_status one_input(reader *d)
{
    static const char *const KEYS[] = {"name", "shape", "datatype", "data", "parameters"};
    input in = {.binary_bytes = -1, .name = ""};
    keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    for (;;) {
        LMN_TRY(next_key(d, &k, &more));
        if (!more) return input_end(d, &in);
        lamina_status st = LAMINA_OK;
        switch (k.at) {
        case 0: st = input_name(d, &in), in.named = true; break;
        case 1: st = shape(d, &in.t), in.shaped = true; break;
        case 2: st = input_type(d, &in), in.typed = true; break;
        case 3: st = data_here(d, &in); break;
        case 4: st = input_parameters(d, &in); break;
        default: st = lmn_json_skip(&d->j, &k.t) ? LAMINA_OK : bad_json(d);
        }
        if (st != LAMINA_OK) return st;
    }
}

static lamina_status output_parameters(reader *d, lmn_infer_tensor *out)
{
    static const char *const KEYS[] = {"binary_data", "classification"};
    lmn_json_token t;
    keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    LMN_TRY(want(d, LMN_JSON_OBJECT, "parameters", "an object", &t));
    for (;;) {
        int64_t n;
        LMN_TRY(next_parameter(d, &k, &out->lent, &more));
        if (!more) return LAMINA_OK;
        if (k.at == 0) {
            LMN_TRY(want_bool(d, KEYS[0], &out->binary));
        } else if (k.at == 1) {
            LMN_TRY(want_count(d, KEYS[1], UINT32_MAX, &n));
            out->n_classes = (uint32_t)n;
        } else {
            LMN_TRY(other_parameter(d, &k, "shared_memory_", "shared memory regions"));
        }
    }
}

static lamina_status output_name(reader *d, lmn_infer_tensor *out)
{
    lmn_json_token t;
    LMN_TRY(want(d, LMN_JSON_STRING, "name", "a string", &t));
    const lmn_span name = text_of(d, &t);
    if (!name.p) return no_memory(d);
    return lmn_kserve_name_output(d->s, name, d->seen_out, out, d->err);
}

static lamina_status one_output(reader *d)
{
    static const char *const KEYS[] = {"name", "parameters"};
    keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more, named = false;
    lmn_infer_tensor out = {.binary = d->r->binary_out};
    for (;;) {
        LMN_TRY(next_key(d, &k, &more));
        if (!more) break;
        if (k.at == 0) {
            LMN_TRY(output_name(d, &out));
            named = true;
        } else if (k.at == 1) {
            LMN_TRY(output_parameters(d, &out));
        } else if (!lmn_json_skip(&d->j, &k.t)) {
            return bad_json(d);
        }
    }
    if (!named) return wrong(d, "an output has no \"name\"");
    d->r->out[d->r->n_out++] = out; /* no port comes twice, so there is room */
    return LAMINA_OK;
}

static lamina_status list(reader *d, const char *key, lamina_status (*one)(reader *d))
{
    lmn_json_token t;
    LMN_TRY(want(d, LMN_JSON_ARRAY, key, "an array", &t));
    for (;;) {
        const lmn_json_kind got = lmn_json_next(&d->j, &t);
        if (got == LMN_JSON_ERROR) return bad_json(d);
        if (got == LMN_JSON_ARRAY_END) return LAMINA_OK;
        if (got != LMN_JSON_OBJECT)
            return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be an array of objects", key);
        LMN_TRY(one(d));
    }
}

/* "outputs" may stand before "parameters", whose default it needs: it is read last. */
static lamina_status read_outputs(reader *d, const uint8_t *from)
{
    const lmn_json j = d->j;
    lmn_json_init(&d->j, (lmn_span){from, (size_t)(j.end - from)}, d->err);
    const lamina_status st = list(d, "outputs", one_output);
    d->j = j;
    return st;
}

static lamina_status request(reader *d)
{
    static const char *const KEYS[] = {"id", "inputs", "outputs", "parameters"};
    const uint8_t *outputs = NULL;
    lmn_json_token t;
    keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    const lmn_json_kind got = lmn_json_next(&d->j, &t);
    if (got == LMN_JSON_ERROR) return bad_json(d);
    if (got != LMN_JSON_OBJECT) return wrong(d, "the request must be an object");
    for (;;) {
        LMN_TRY(next_key(d, &k, &more));
        if (!more) break;
        if (k.at == 0) {
            LMN_TRY(want(d, LMN_JSON_STRING, "id", "a string", &t));
            d->r->id = text_of(d, &t);
            if (!d->r->id.p) return no_memory(d);
            if (d->r->id.n > LMN_KSERVE_ID) return wrong(d, "\"id\" is too long");
        } else if (k.at == 1) {
            LMN_TRY(list(d, "inputs", one_input));
        } else if (k.at == 3) {
            LMN_TRY(request_parameters(d));
        } else {
            if (k.at == 2) outputs = lmn_json_at(&d->j);
            if (!lmn_json_skip(&d->j, &k.t)) return bad_json(d);
        }
    }
    if (lmn_json_next(&d->j, &t) != LMN_JSON_END) return bad_json(d);
    if (!(k.seen & 2)) return wrong(d, "the request has no \"inputs\"");
    return outputs ? read_outputs(d, outputs) : LAMINA_OK;
}

static lamina_status all_given(reader *d)
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
    reader d = {.s = s, .r = r, .arena = arena, .err = err, .has_head = json_bytes > 0};
    if (body.n > head) d.tail = (lmn_span){body.p + head, body.n - head};
    lmn_json_init(&d.j, (lmn_span){body.p, head}, err);
    LMN_TRY(request(&d));
    return all_given(&d);
}
