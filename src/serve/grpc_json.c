/*
 * JSON into protobuf by tables. A message inside another is written behind the room for the longest
 * length, then moved to it: messages are small and nest a few deep.
 */
#include "serve/grpc_json.h"

#include "base/json.h"
#include "base/pbwire.h"

#include <string.h>

typedef enum kind {
    TEXT,
    NUMBER, /* also of true and false, and of names of `names` */
    MESSAGE,
    MAP /* of an object's keys; of texts unless it has a message */
} kind;

typedef struct name_row {
    const char *name;
    uint32_t value;
} name_row;

typedef struct field {
    const char *name;
    uint32_t number;
    kind kind;
    const lmn_grpc_message *of;
    const name_row *names; /* ends with NULL */
    bool numbered;         /* MAP: keys are numbers */
} field;

struct lmn_grpc_message {
    const field *fields;
    uint32_t n;
};
#define MESSAGE_OF(rows)        \
    {                           \
        (rows), LMN_COUNT(rows) \
    }

typedef struct writer {
    lmn_json json;
    uint8_t *p;
    size_t n, cap;
    lamina_error *err;
} writer;

/* ---- bytes ---- */

static lamina_status put(writer *w, const void *s, size_t n)
{
    if (n > w->cap - w->n) return lmn_fail(w->err, LAMINA_E_LIMIT, "the message is too long");
    if (n) memcpy(w->p + w->n, s, n);
    w->n += n;
    return LAMINA_OK;
}

static lamina_status put_varint(writer *w, uint64_t v)
{
    uint8_t bytes[10];
    return put(w, bytes, lmn_pb_put_varint(bytes, v));
}

static lamina_status put_head(writer *w, uint32_t number, uint32_t wire)
{
    return put_varint(w, (uint64_t)number << 3 | wire);
}

/* What was written from `at` on becomes field `number`. */
static lamina_status wrap(writer *w, uint32_t number, size_t at)
{
    uint8_t head[20];
    const size_t n = w->n - at;
    size_t k = lmn_pb_put_varint(head, (uint64_t)number << 3 | LMN_PB_BYTES);
    k += lmn_pb_put_varint(head + k, n);
    if (k > w->cap - w->n) return lmn_fail(w->err, LAMINA_E_LIMIT, "the message is too long");
    memmove(w->p + at + k, w->p + at, n);
    memcpy(w->p + at, head, k);
    w->n += k;
    return LAMINA_OK;
}

/* ---- values ---- */

static lamina_status bad(writer *w)
{
    return lmn_fail(w->err, LAMINA_E_PARSE, "what is to be said is no such message");
}

static lamina_status put_text(writer *w, uint32_t number, const lmn_json_token *t)
{
    const size_t at = w->n;
    if (t->text.n > w->cap - w->n) return bad(w);
    w->n += lmn_json_string(t, w->p + w->n);
    return wrap(w, number, at);
}

static lamina_status number_of(writer *w, const field *f, const lmn_json_token *t, int64_t *v)
{
    *v = t->kind == LMN_JSON_TRUE;
    if (t->kind == LMN_JSON_TRUE || t->kind == LMN_JSON_FALSE) return LAMINA_OK;
    if (t->kind == LMN_JSON_NUMBER && lmn_json_i64(t, v)) return LAMINA_OK;
    for (const name_row *r = f->names; r && r->name && t->kind == LMN_JSON_STRING; r++)
        if (lmn_json_is(t, r->name)) {
            *v = r->value;
            return LAMINA_OK;
        }
    return bad(w);
}

static lamina_status object(writer *w, const lmn_grpc_message *m);

/* One that is not in a list. */
static lamina_status put_value(writer *w, const field *f, const lmn_json_token *t)
{
    const size_t at = w->n;
    int64_t v;
    switch (f->kind) {
    case TEXT:
        if (t->kind != LMN_JSON_STRING) return bad(w);
        return t->text.n ? put_text(w, f->number, t) : LAMINA_OK;
    case NUMBER:
        LMN_TRY(number_of(w, f, t, &v));
        if (v == 0) return LAMINA_OK;
        LMN_TRY(put_head(w, f->number, LMN_PB_VARINT));
        return put_varint(w, (uint64_t)v);
    default:
        if (t->kind != LMN_JSON_OBJECT) return bad(w);
        LMN_TRY(object(w, f->of));
        return wrap(w, f->number, at);
    }
}

static lamina_status put_list(writer *w, const field *f)
{
    const size_t at = w->n;
    lmn_json_token t;
    int64_t v;
    while (lmn_json_next(&w->json, &t) != LMN_JSON_ARRAY_END) {
        if (t.kind == LMN_JSON_ERROR) return LAMINA_E_PARSE;
        if (f->kind == NUMBER) { /* packed */
            LMN_TRY(number_of(w, f, &t, &v));
            LMN_TRY(put_varint(w, (uint64_t)v));
        } else {
            LMN_TRY(put_value(w, f, &t));
        }
    }
    return f->kind == NUMBER && w->n > at ? wrap(w, f->number, at) : LAMINA_OK;
}

/* Each key as an entry: key = 1, value = 2. */
static lamina_status put_map(writer *w, const field *f)
{
    const field value = {"", 2, f->of ? MESSAGE : TEXT, f->of, NULL, false};
    lmn_json_token t;
    while (lmn_json_next(&w->json, &t) == LMN_JSON_KEY) {
        const size_t at = w->n;
        int64_t key;
        if (!f->numbered) {
            LMN_TRY(put_text(w, 1, &t));
        } else {
            const lmn_json_token number = {LMN_JSON_NUMBER, t.text, false};
            if (!lmn_json_i64(&number, &key)) return bad(w);
            LMN_TRY(put_head(w, 1, LMN_PB_VARINT));
            LMN_TRY(put_varint(w, (uint64_t)key));
        }
        (void)lmn_json_next(&w->json, &t);
        LMN_TRY(put_value(w, &value, &t));
        LMN_TRY(wrap(w, f->number, at));
    }
    return t.kind == LMN_JSON_OBJECT_END ? LAMINA_OK : LAMINA_E_PARSE;
}

static const field *find(const lmn_grpc_message *m, const lmn_json_token *key)
{
    for (uint32_t i = 0; i < m->n; i++)
        if (lmn_json_is(key, m->fields[i].name)) return &m->fields[i];
    return NULL;
}

static lamina_status object(writer *w, const lmn_grpc_message *m)
{
    lmn_json_token t;
    while (lmn_json_next(&w->json, &t) == LMN_JSON_KEY) {
        const field *f = find(m, &t);
        if (!f) {
            if (!lmn_json_skip(&w->json, &t)) return LAMINA_E_PARSE;
            continue;
        }
        const lmn_json_kind k = lmn_json_next(&w->json, &t);
        if (k == LMN_JSON_ERROR) return LAMINA_E_PARSE;
        if (k == LMN_JSON_ARRAY)
            LMN_TRY(put_list(w, f));
        else if (f->kind == MAP)
            LMN_TRY(k == LMN_JSON_OBJECT ? put_map(w, f) : bad(w));
        else
            LMN_TRY(put_value(w, f, &t));
    }
    return t.kind == LMN_JSON_OBJECT_END ? LAMINA_OK : LAMINA_E_PARSE;
}

lamina_status lmn_grpc_of_json(const lmn_grpc_message *m, uint32_t number, lmn_span json,
                               lmn_arena *arena, lmn_span *out, lamina_error *err)
{
    /* a digit may become ten bytes (-1), a key at least two */
    writer w = {.cap = 4 * json.n + 64, .err = err};
    const field whole = {"", number, MESSAGE, m, NULL, false};
    lmn_json_token t;
    w.p = lmn_arena_bump(arena, w.cap, 1);
    if (!w.p) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    lmn_json_init(&w.json, json, err);
    const lmn_json_kind k = lmn_json_next(&w.json, &t);
    if (k == LMN_JSON_ARRAY)
        LMN_TRY(put_list(&w, &whole));
    else if (k != LMN_JSON_OBJECT)
        return bad(&w);
    else if (number == 0)
        LMN_TRY(object(&w, m));
    else
        LMN_TRY(put_value(&w, &whole, &t));
    *out = (lmn_span){w.p, w.n};
    return LAMINA_OK;
}

/* ---- messages ---- */

static const name_row TYPES[] = {
    {"TYPE_INVALID", 0}, {"TYPE_BOOL", 1},   {"TYPE_UINT8", 2},   {"TYPE_UINT16", 3},
    {"TYPE_UINT32", 4},  {"TYPE_UINT64", 5}, {"TYPE_INT8", 6},    {"TYPE_INT16", 7},
    {"TYPE_INT32", 8},   {"TYPE_INT64", 9},  {"TYPE_FP16", 10},   {"TYPE_FP32", 11},
    {"TYPE_FP64", 12},   {"TYPE_BF16", 14},  {"TYPE_STRING", 13}, {NULL, 0}};
static const name_row FORMATS[] = {{"FORMAT_NONE", 0}, {NULL, 0}};
static const name_row KINDS[] = {{"KIND_AUTO", 0}, {"KIND_GPU", 1}, {"KIND_CPU", 2}, {NULL, 0}};
static const name_row ACTIONS[] = {{"REJECT", 0}, {"DELAY", 1}, {NULL, 0}};

static const field INPUT[] = {{"name", 1, .kind = TEXT},
                              {"data_type", 2, .kind = NUMBER, .names = TYPES},
                              {"format", 3, .kind = NUMBER, .names = FORMATS},
                              {"dims", 4, .kind = NUMBER},
                              {"optional", 8, .kind = NUMBER}};
static const field OUTPUT[] = {{"name", 1, .kind = TEXT},
                               {"data_type", 2, .kind = NUMBER, .names = TYPES},
                               {"dims", 3, .kind = NUMBER},
                               {"label_filename", 4, .kind = TEXT}};
static const field LATEST[] = {{"num_versions", 1, .kind = NUMBER}};
static const field SPECIFIC[] = {{"versions", 1, .kind = NUMBER}};
static const field INSTANCES[] = {{"name", 1, .kind = TEXT},
                                  {"count", 2, .kind = NUMBER},
                                  {"kind", 4, .kind = NUMBER, .names = KINDS}};
static const field PARAMETER[] = {{"string_value", 1, .kind = TEXT}};
static const field POLICY[] = {{"timeout_action", 1, .kind = NUMBER, .names = ACTIONS},
                               {"default_timeout_microseconds", 2, .kind = NUMBER},
                               {"allow_timeout_override", 3, .kind = NUMBER},
                               {"max_queue_size", 4, .kind = NUMBER}};
static const field CACHE[] = {{"enable", 1, .kind = NUMBER}};
static const field STEP[] = {{"model_name", 1, .kind = TEXT},
                             {"model_version", 2, .kind = NUMBER},
                             {"input_map", 3, .kind = MAP},
                             {"output_map", 4, .kind = MAP}};
static const lmn_grpc_message input = MESSAGE_OF(INPUT), output = MESSAGE_OF(OUTPUT),
                              latest = MESSAGE_OF(LATEST), specific = MESSAGE_OF(SPECIFIC),
                              all = {NULL, 0}, instances = MESSAGE_OF(INSTANCES),
                              parameter = MESSAGE_OF(PARAMETER), policy = MESSAGE_OF(POLICY),
                              cache = MESSAGE_OF(CACHE), step = MESSAGE_OF(STEP);
static const field VERSIONS[] = {{"latest", 1, MESSAGE, .of = &latest},
                                 {"all", 2, MESSAGE, .of = &all},
                                 {"specific", 3, MESSAGE, .of = &specific}};
static const field BATCHING[] = {
    {"preferred_batch_size", 1, .kind = NUMBER},
    {"max_queue_delay_microseconds", 2, .kind = NUMBER},
    {"preserve_ordering", 3, .kind = NUMBER},
    {"priority_levels", 4, .kind = NUMBER},
    {"default_priority_level", 5, .kind = NUMBER},
    {"default_queue_policy", 6, MESSAGE, .of = &policy},
    {"priority_queue_policy", 7, MAP, .of = &policy, .numbered = true}};
static const field ENSEMBLE[] = {{"step", 1, MESSAGE, .of = &step}};
static const lmn_grpc_message versions = MESSAGE_OF(VERSIONS), batching = MESSAGE_OF(BATCHING),
                              ensemble = MESSAGE_OF(ENSEMBLE);
static const field CONFIG[] = {{"name", 1, .kind = TEXT},
                               {"platform", 2, .kind = TEXT},
                               {"version_policy", 3, MESSAGE, .of = &versions},
                               {"max_batch_size", 4, .kind = NUMBER},
                               {"input", 5, MESSAGE, .of = &input},
                               {"output", 6, MESSAGE, .of = &output},
                               {"instance_group", 7, MESSAGE, .of = &instances},
                               {"default_model_filename", 8, .kind = TEXT},
                               {"dynamic_batching", 11, MESSAGE, .of = &batching},
                               {"parameters", 14, MAP, .of = &parameter},
                               {"ensemble_scheduling", 15, MESSAGE, .of = &ensemble},
                               {"backend", 17, .kind = TEXT},
                               {"response_cache", 24, MESSAGE, .of = &cache}};
const lmn_grpc_message lmn_grpc_model_config = MESSAGE_OF(CONFIG);

static const field DURATION[] = {{"count", 1, .kind = NUMBER}, {"ns", 2, .kind = NUMBER}};
static const lmn_grpc_message duration = MESSAGE_OF(DURATION);
static const field INFERENCES[] = {
    {"success", 1, MESSAGE, .of = &duration},       {"fail", 2, MESSAGE, .of = &duration},
    {"queue", 3, MESSAGE, .of = &duration},         {"compute_input", 4, MESSAGE, .of = &duration},
    {"compute_infer", 5, MESSAGE, .of = &duration}, {"compute_output", 6, MESSAGE, .of = &duration},
    {"cache_hit", 7, MESSAGE, .of = &duration},     {"cache_miss", 8, MESSAGE, .of = &duration}};
static const field BATCH[] = {{"batch_size", 1, .kind = NUMBER},
                              {"compute_input", 2, MESSAGE, .of = &duration},
                              {"compute_infer", 3, MESSAGE, .of = &duration},
                              {"compute_output", 4, MESSAGE, .of = &duration}};
static const lmn_grpc_message inferences = MESSAGE_OF(INFERENCES), batch = MESSAGE_OF(BATCH);
static const field STATISTICS[] = {{"name", 1, .kind = TEXT},
                                   {"version", 2, .kind = TEXT},
                                   {"last_inference", 3, .kind = NUMBER},
                                   {"inference_count", 4, .kind = NUMBER},
                                   {"execution_count", 5, .kind = NUMBER},
                                   {"inference_stats", 6, MESSAGE, .of = &inferences},
                                   {"batch_stats", 7, MESSAGE, .of = &batch}};
static const lmn_grpc_message statistics = MESSAGE_OF(STATISTICS);
static const field ALL_STATISTICS[] = {{"model_stats", 1, MESSAGE, .of = &statistics}};
const lmn_grpc_message lmn_grpc_model_statistics = MESSAGE_OF(ALL_STATISTICS);

static const field REGION[] = {{"name", 1, .kind = TEXT},
                               {"key", 2, .kind = TEXT},
                               {"offset", 3, .kind = NUMBER},
                               {"byte_size", 4, .kind = NUMBER}};
static const lmn_grpc_message region = MESSAGE_OF(REGION);
static const field REGIONS[] = {{"regions", 1, MAP, .of = &region}};
const lmn_grpc_message lmn_grpc_regions = MESSAGE_OF(REGIONS);

static const field INDEX[] = {{"name", 1, .kind = TEXT},
                              {"version", 2, .kind = TEXT},
                              {"state", 3, .kind = TEXT},
                              {"reason", 4, .kind = TEXT}};
const lmn_grpc_message lmn_grpc_model_index = MESSAGE_OF(INDEX);
