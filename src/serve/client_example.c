/*
 * A request that a model takes, made from its metadata (lamina/client.h). What a server answers is
 * as hostile as what a client sends: names are checked before they go into a path, extents bounded.
 */
#include "serve/client_int.h"

#include "base/json.h"
#include "base/rng.h"

#include <string.h>

#define MOST_ELEMENTS ((int64_t)1 << 28)

typedef enum kind { OF_BOOL, OF_INT, OF_FLOAT, OF_HALF, OF_BRAIN, OF_BYTES } kind;
static const struct {
    const char *name;
    uint8_t bytes, kind;
} TYPES[] = {{"BOOL", 1, OF_BOOL},  {"UINT8", 1, OF_INT},  {"UINT16", 2, OF_INT},
             {"UINT32", 4, OF_INT}, {"UINT64", 8, OF_INT}, {"INT8", 1, OF_INT},
             {"INT16", 2, OF_INT},  {"INT32", 4, OF_INT},  {"INT64", 8, OF_INT},
             {"FP16", 2, OF_HALF},  {"FP32", 4, OF_FLOAT}, {"FP64", 8, OF_FLOAT},
             {"BF16", 2, OF_BRAIN}, {"BYTES", 0, OF_BYTES}};

typedef struct input {
    char name[256];
    int32_t type; /* row of TYPES; -1: none yet */
    int32_t rank;
    int64_t dims[LMN_MAX_RANK], n;
} input;

/* What is being made. */
typedef struct making {
    lamina_client *c;
    lamina_error *err;
    lmn_jsonw w;
    lmn_strbuf bytes; /* elements, in binary */
    lmn_rng rng;
    int64_t rows;
    bool binary;
} making;

static bool text_of(const lmn_json_token *t, char *to, size_t cap)
{
    if (t->kind != LMN_JSON_STRING || t->text.n >= cap) return false;
    to[lmn_json_string(t, to)] = 0;
    return true;
}

static bool plain_name(const char *s)
{
    const size_t n = strlen(s);
    if (n == 0 || n > 128 || strcmp(s, ".") == 0 || strcmp(s, "..") == 0) return false;
    return strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* Ask; anything but 200 is E_STATE with what the server says. */
static lamina_status ask(lamina_client *c, const char *method, const char *target, lmn_span *out,
                         lamina_error *err)
{
    lamina_answer a;
    const lamina_ask q = {.size = sizeof q, .method = method, .target = target};
    LMN_TRY(lamina_client_call(c, &q, &a, err));
    if (a.status != 200) {
        char why[200];
        (void)lmn_format_name(why, sizeof why, a.body, a.body_bytes < 180 ? a.body_bytes : 180);
        return lmn_fail(err, LAMINA_E_STATE, "%s answers %u to %s: %s", c->where.host, a.status,
                        target, why);
    }
    *out = (lmn_span){a.body, a.body_bytes};
    return LAMINA_OK;
}

/* The first model of the index that is ready, or the first. */
static lamina_status first_model(lamina_client *c, char name[129], lamina_error *err)
{
    lmn_span text;
    lmn_json j;
    lmn_json_token t;
    char one[129] = "", state[32] = "";
    LMN_TRY(ask(c, "POST", "/v2/repository/index", &text, err));
    name[0] = 0;
    lmn_json_init(&j, text, err);
    while (lmn_json_next(&j, &t) > LMN_JSON_END) {
        if (t.kind == LMN_JSON_OBJECT) one[0] = state[0] = 0;
        if (t.kind == LMN_JSON_KEY && lmn_json_is(&t, "name")) {
            (void)lmn_json_next(&j, &t);
            (void)text_of(&t, one, sizeof one);
        } else if (t.kind == LMN_JSON_KEY && lmn_json_is(&t, "state")) {
            (void)lmn_json_next(&j, &t);
            (void)text_of(&t, state, sizeof state);
        } else if (t.kind == LMN_JSON_OBJECT_END && plain_name(one)) {
            const bool ready = strcmp(state, "READY") == 0;
            if (ready || !name[0]) memcpy(name, one, sizeof one);
            if (ready) return LAMINA_OK;
        }
    }
    if (t.kind == LMN_JSON_ERROR) return LAMINA_E_PARSE;
    return name[0] ? LAMINA_OK : lmn_fail(err, LAMINA_E_STATE, "%s has no model", c->where.host);
}

static int32_t type_of(const char *name)
{
    for (size_t i = 0; i < LMN_COUNT(TYPES); i++)
        if (strcmp(TYPES[i].name, name) == 0) return (int32_t)i;
    return -1;
}

/* "shape": [..]; free extents become 1, the first `rows`. */
static lamina_status read_shape(making *m, lmn_json *j, input *in)
{
    lmn_json_token t;
    int64_t v;
    if (lmn_json_next(j, &t) != LMN_JSON_ARRAY) return LAMINA_E_PARSE;
    for (in->rank = 0, in->n = 1; lmn_json_next(j, &t) == LMN_JSON_NUMBER; in->rank++) {
        if (in->rank == LMN_MAX_RANK || !lmn_json_i64(&t, &v)) return LAMINA_E_PARSE;
        if (v < 0) v = in->rank == 0 ? m->rows : 1;
        in->dims[in->rank] = v;
        if (!lmn_mul_i64(in->n, v, &in->n) || in->n > MOST_ELEMENTS)
            return lmn_fail(m->err, LAMINA_E_LIMIT, "an input has more than 2^28 elements");
    }
    return t.kind == LMN_JSON_ARRAY_END ? LAMINA_OK : LAMINA_E_PARSE;
}

static void put_binary(making *m, const input *in)
{
    const uint8_t bytes = TYPES[in->type].bytes, k = TYPES[in->type].kind;
    for (int64_t i = 0; i < in->n; i++) {
        const float v = lmn_rng_f32(&m->rng);
        const double wide = (double)v;
        const uint64_t bit = v < 0.5f ? 0 : 1;
        if (k == OF_BYTES)
            lmn_strbuf_add(&m->bytes, "\7\0\0\0example", 11);
        else if (k == OF_FLOAT)
            lmn_strbuf_add(&m->bytes, bytes == 4 ? (const void *)&v : &wide, bytes);
        else if (k == OF_HALF) /* 0 or 1.0 */
            lmn_strbuf_add(&m->bytes, bit ? "\0\x3c" : "\0\0", 2);
        else if (k == OF_BRAIN)
            lmn_strbuf_add(&m->bytes, bit ? "\x80\x3f" : "\0\0", 2);
        else
            lmn_strbuf_add(&m->bytes, &bit, bytes);
    }
}

static void put_json(making *m, const input *in)
{
    lmn_jsonw_array(&m->w, "data");
    for (int64_t i = 0; i < in->n; i++) {
        const float v = lmn_rng_f32(&m->rng);
        const uint8_t k = TYPES[in->type].kind;
        if (k == OF_BYTES)
            lmn_jsonw_str(&m->w, NULL, "example");
        else if (k == OF_BOOL)
            lmn_jsonw_bool(&m->w, NULL, v < 0.5f);
        else if (k == OF_INT)
            lmn_jsonw_i64(&m->w, NULL, v < 0.5f ? 0 : 1);
        else
            lmn_jsonw_f32(&m->w, NULL, k == OF_FLOAT ? v : v < 0.5f ? 0.0f : 1.0f);
    }
    lmn_jsonw_end(&m->w);
}

static lamina_status put_input(making *m, const input *in)
{
    if (in->type < 0 || !in->name[0])
        return lmn_fail(m->err, LAMINA_E_PARSE, "an input without a name or a known datatype");
    const bool binary = m->binary || TYPES[in->type].kind == OF_BRAIN;
    const size_t before = m->bytes.n;
    lmn_jsonw_object(&m->w, NULL);
    lmn_jsonw_str(&m->w, "name", in->name);
    lmn_jsonw_str(&m->w, "datatype", TYPES[in->type].name);
    lmn_jsonw_array(&m->w, "shape");
    for (int32_t i = 0; i < in->rank; i++) lmn_jsonw_i64(&m->w, NULL, in->dims[i]);
    lmn_jsonw_end(&m->w);
    if (binary) {
        put_binary(m, in);
        lmn_jsonw_object(&m->w, "parameters");
        lmn_jsonw_u64(&m->w, "binary_data_size", m->bytes.n - before);
        lmn_jsonw_end(&m->w);
    } else {
        put_json(m, in);
    }
    lmn_jsonw_end(&m->w);
    return LAMINA_OK;
}

/* The list of inputs, at its '['. */
static lamina_status put_inputs(making *m, lmn_json *j)
{
    lmn_json_token t;
    char text[32];
    while (lmn_json_next(j, &t) == LMN_JSON_OBJECT) {
        input in = {.type = -1, .n = 1};
        while (lmn_json_next(j, &t) == LMN_JSON_KEY) {
            if (lmn_json_is(&t, "shape")) {
                LMN_TRY(read_shape(m, j, &in));
            } else if (lmn_json_is(&t, "name") || lmn_json_is(&t, "datatype")) {
                const bool name = lmn_json_is(&t, "name");
                (void)lmn_json_next(j, &t);
                if (!text_of(&t, name ? in.name : text, name ? sizeof in.name : sizeof text))
                    return LAMINA_E_PARSE;
                if (!name) in.type = type_of(text);
            } else if (!lmn_json_skip(j, &t)) {
                return LAMINA_E_PARSE;
            }
        }
        if (t.kind != LMN_JSON_OBJECT_END) return LAMINA_E_PARSE;
        LMN_TRY(put_input(m, &in));
    }
    return t.kind == LMN_JSON_ARRAY_END ? LAMINA_OK : LAMINA_E_PARSE;
}

static lamina_status make(making *m, lmn_span metadata)
{
    lmn_json j;
    lmn_json_token t;
    bool seen = false;
    lmn_jsonw_object(&m->w, NULL);
    lmn_jsonw_array(&m->w, "inputs");
    lmn_json_init(&j, metadata, m->err);
    if (lmn_json_next(&j, &t) != LMN_JSON_OBJECT) return LAMINA_E_PARSE;
    while (lmn_json_next(&j, &t) == LMN_JSON_KEY) {
        if (!lmn_json_is(&t, "inputs")) {
            if (!lmn_json_skip(&j, &t)) return LAMINA_E_PARSE;
            continue;
        }
        if (seen || lmn_json_next(&j, &t) != LMN_JSON_ARRAY) return LAMINA_E_PARSE;
        seen = true;
        LMN_TRY(put_inputs(m, &j));
    }
    if (!seen || t.kind != LMN_JSON_OBJECT_END) return LAMINA_E_PARSE;
    lmn_jsonw_end(&m->w);
    if (m->binary) {
        lmn_jsonw_object(&m->w, "parameters");
        lmn_jsonw_bool(&m->w, "binary_data_output", true);
        lmn_jsonw_end(&m->w);
    }
    lmn_jsonw_end(&m->w);
    return LAMINA_OK;
}

lamina_status lamina_client_example(lamina_client *client, const char *model, int64_t rows,
                                    uint64_t seed, bool binary, lamina_example *out,
                                    lamina_error *err)
{
    char name[129];
    lmn_span metadata;
    if (!client || !out || rows < 0)
        return lmn_fail(err, LAMINA_E_INVALID, "a client and a result are needed, and rows >= 0");
    if (model && !plain_name(model))
        return lmn_fail(err, LAMINA_E_INVALID,
                        "a model's name is 1 to 128 letters, digits, '.', '_' and '-'");
    if (model)
        (void)lmn_format(name, sizeof name, "%s", model);
    else
        LMN_TRY(first_model(client, name, err));
    lmn_strbuf_reset(&client->target);
    lmn_strbuf_printf(&client->target, "/v2/models/%s", name);
    LMN_TRY(ask(client, NULL, lmn_strbuf_text(&client->target), &metadata, err));
    making m = {.c = client, .err = err, .rows = rows ? rows : 1, .binary = binary};
    lmn_rng_init(&m.rng, seed, 0);
    lmn_strbuf_reset(&client->example);
    lmn_strbuf_init(&m.bytes, client->example.alloc, client->example.max);
    lmn_jsonw_init(&m.w, &client->example, 0);
    if (err) err->msg[0] = 0;
    lamina_status st = make(&m, metadata);
    if (st == LAMINA_E_PARSE && err && !err->msg[0])
        st = lmn_fail(err, st, "what %s says of \"%s\" is no metadata of a model",
                      client->where.host, name);
    const size_t json = client->example.n, n_bytes = m.bytes.n;
    lmn_strbuf_add(&client->example, m.bytes.p, n_bytes);
    if (st == LAMINA_OK && (m.bytes.status != LAMINA_OK || client->example.status != LAMINA_OK))
        st = lmn_fail(err, LAMINA_E_NOMEM, "no memory for the request");
    lmn_strbuf_finish(&m.bytes);
    if (st != LAMINA_OK) return st;
    lmn_strbuf_str(&client->target, "/infer");
    *out = (lamina_example){.target = lmn_strbuf_text(&client->target),
                            .body = lmn_strbuf_text(&client->example),
                            .body_bytes = client->example.n,
                            .json_bytes = n_bytes ? (int64_t)json : 0};
    return LAMINA_OK;
}
