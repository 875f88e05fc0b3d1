/*
 * The meaning of a configuration's fields: one table a message, one function a field. A message may
 * say a field that is not repeated once only.
 */
#include "serve/config.h"

#include "base/text.h"
#include "serve/config_tree.h"

#include <string.h>

typedef struct reader {
    lmn_arena *arena;
    lmn_serve_config *c;
    bool json, has_levels;
    lmn_batch_level fallback; /* default_queue_policy */
    bool given[LMN_BATCH_MAX_LEVELS];
    uint32_t last_level; /* highest that has a policy */
    lamina_error *err;
} reader;

typedef lamina_status take_fn(reader *r, const lmn_cfg_node *n, void *into);

typedef struct field {
    const char *name;
    take_fn *take; /* NULL: Triton has it, we do not */
    bool many;
} field;

LMN_PRINTF(3, 4)
static lamina_status bad(reader *r, const lmn_cfg_node *n, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES], name[80];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)lmn_format_name(name, sizeof name, n->name, strlen(n->name));
    if (!n->line) return lmn_fail(r->err, LAMINA_E_INVALID, "\"%s\" %s", name, what);
    return lmn_fail(r->err, LAMINA_E_INVALID, "line %u: \"%s\" %s", n->line, name, what);
}

static lamina_status no_memory(reader *r)
{
    return lmn_fail(r->err, LAMINA_E_NOMEM, "out of memory while reading a configuration");
}

static lamina_status each(reader *r, const lmn_cfg_node *msg, const field *rows, size_t n_rows,
                          void *into)
{
    uint64_t seen = 0;
    if (msg->kind != LMN_CFG_MESSAGE) return bad(r, msg, "must be a message");
    for (const lmn_cfg_node *n = msg->first; n; n = n->next) {
        size_t i = 0;
        while (i < n_rows && strcmp(rows[i].name, n->name) != 0) i++;
        if (i == n_rows) return bad(r, n, "is no field that this server knows");
        if (!rows[i].take) {
            (void)bad(r, n, "is not supported");
            if (r->err) r->err->status = LAMINA_E_UNSUPPORTED;
            return LAMINA_E_UNSUPPORTED;
        }
        if (!rows[i].many && (seen >> i & 1)) return bad(r, n, "stands there twice");
        seen |= (uint64_t)1 << i;
        LMN_TRY(rows[i].take(r, n, into));
    }
    return LAMINA_OK;
}

/* Whole numbers: decimal or 0x; in quotes in JSON, as proto3 writes 64 bits. */
static lamina_status number(reader *r, const lmn_cfg_node *n, int64_t lo, int64_t hi, int64_t *out)
{
    const char *s = n->text;
    bool ok = n->kind == LMN_CFG_WORD || (r->json && n->kind == LMN_CFG_STRING);
    if (ok && s[0] == '0' && (s[1] | 0x20) == 'x') {
        int64_t v = 0;
        const size_t len = strlen(s);
        ok = len > 2 && len <= 17;
        for (const char *p = s + 2; ok && *p; p++) {
            const char lower = (char)(*p | 0x20);
            ok = (*p >= '0' && *p <= '9') || (lower >= 'a' && lower <= 'f');
            v = v * 16 + (*p <= '9' ? *p - '0' : lower - 'a' + 10);
        }
        *out = v;
    } else if (ok) {
        ok = lmn_parse_i64(s, strlen(s), out);
    }
    if (ok && *out >= lo && *out <= hi) return LAMINA_OK;
    return bad(r, n, "must be a whole number from %lld to %lld", (long long)lo, (long long)hi);
}

static lamina_status boolean(reader *r, const lmn_cfg_node *n, bool *out)
{
    if (n->kind == LMN_CFG_WORD) {
        *out = strcmp(n->text, "true") == 0 || strcmp(n->text, "True") == 0 ||
               strcmp(n->text, "t") == 0 || strcmp(n->text, "1") == 0;
        if (*out || strcmp(n->text, "false") == 0 || strcmp(n->text, "False") == 0 ||
            strcmp(n->text, "f") == 0 || strcmp(n->text, "0") == 0)
            return LAMINA_OK;
    }
    return bad(r, n, "must be true or false");
}

static lamina_status text(reader *r, const lmn_cfg_node *n, const char **out)
{
    if (n->kind != LMN_CFG_STRING) return bad(r, n, "must be a string");
    *out = n->text;
    return LAMINA_OK;
}

/* Which of the names, NULL ends. */
static lamina_status choice(reader *r, const lmn_cfg_node *n, const char *const *names,
                            uint32_t *out)
{
    const bool ok = n->kind == LMN_CFG_WORD || (r->json && n->kind == LMN_CFG_STRING);
    for (*out = 0; ok && names[*out]; ++*out)
        if (strcmp(names[*out], n->text) == 0) return LAMINA_OK;
    return bad(r, n, "has a value that is not known");
}

static lamina_status nothing(reader *r, const lmn_cfg_node *n, void *into)
{
    (void)r, (void)n, (void)into;
    return LAMINA_OK;
}

/* --- ports --- */

static const char *const TYPES[] = {
    [LAMINA_BOOL] = "TYPE_BOOL",  [LAMINA_U8] = "TYPE_UINT8",     [LAMINA_U16] = "TYPE_UINT16",
    [LAMINA_U32] = "TYPE_UINT32", [LAMINA_U64] = "TYPE_UINT64",   [LAMINA_I8] = "TYPE_INT8",
    [LAMINA_I16] = "TYPE_INT16",  [LAMINA_I32] = "TYPE_INT32",    [LAMINA_I64] = "TYPE_INT64",
    [LAMINA_F16] = "TYPE_FP16",   [LAMINA_F32] = "TYPE_FP32",     [LAMINA_F64] = "TYPE_FP64",
    [LAMINA_BF16] = "TYPE_BF16",  [LAMINA_STRING] = "TYPE_STRING"};

const char *lmn_config_type_name(lamina_dtype t)
{
    const bool known = t >= 0 && t < (lamina_dtype)LMN_COUNT(TYPES) && TYPES[t];
    return known ? TYPES[t] : "TYPE_INVALID";
}

static lamina_status port_name(reader *r, const lmn_cfg_node *n, void *into)
{
    return text(r, n, &((lmn_config_port *)into)->name);
}

static lamina_status port_type(reader *r, const lmn_cfg_node *n, void *into)
{
    const bool ok = n->kind == LMN_CFG_WORD || (r->json && n->kind == LMN_CFG_STRING);
    for (size_t i = 0; ok && i < LMN_COUNT(TYPES); i++)
        if (TYPES[i] && strcmp(TYPES[i], n->text) == 0)
            return ((lmn_config_port *)into)->dtype = (lamina_dtype)i, LAMINA_OK;
    return bad(r, n, "must be one of TYPE_BOOL, TYPE_UINT8 ... TYPE_FP32, TYPE_STRING");
}

static lamina_status port_dims(reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_config_port *p = into;
    if (p->rank < 0) p->rank = 0;
    if (p->rank == LAMINA_MAX_RANK)
        return bad(r, n, "has more than %d dimensions", LAMINA_MAX_RANK);
    LMN_TRY(number(r, n, -1, INT64_MAX, &p->dims[p->rank]));
    if (p->dims[p->rank] == 0) return bad(r, n, "must be -1 or more than 0");
    p->rank++;
    return LAMINA_OK;
}

static lamina_status port_labels(reader *r, const lmn_cfg_node *n, void *into)
{
    return text(r, n, &((lmn_config_port *)into)->labels);
}

static lamina_status port_optional(reader *r, const lmn_cfg_node *n, void *into)
{
    return boolean(r, n, &((lmn_config_port *)into)->optional);
}

static lamina_status port_format(reader *r, const lmn_cfg_node *n, void *into)
{
    static const char *const NAMES[] = {"FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW", NULL};
    uint32_t which;
    (void)into; /* a word for readers: the dimensions say it already */
    return choice(r, n, NAMES, &which);
}

/* A thing Triton has that must not be asked for: fine when it is false. */
static lamina_status must_be_false(reader *r, const lmn_cfg_node *n, void *into)
{
    bool on = false;
    (void)into;
    LMN_TRY(boolean(r, n, &on));
    return on ? bad(r, n, "is not supported, it must be false") : LAMINA_OK;
}

static lamina_status port(reader *r, const lmn_cfg_node *n, bool output)
{
    static const field IN[] = {{"name", port_name, false},
                               {"data_type", port_type, false},
                               {"dims", port_dims, true},
                               {"format", port_format, false},
                               {"optional", port_optional, false},
                               {"is_shape_tensor", must_be_false, false},
                               {"allow_ragged_batch", must_be_false, false},
                               {"is_non_linear_format_io", must_be_false, false},
                               {"reshape", NULL, false}};
    static const field OUT[] = {{"name", port_name, false},
                                {"data_type", port_type, false},
                                {"dims", port_dims, true},
                                {"label_filename", port_labels, false},
                                {"is_shape_tensor", must_be_false, false},
                                {"is_non_linear_format_io", must_be_false, false},
                                {"reshape", NULL, false}};
    lmn_config_port **list = output ? &r->c->out : &r->c->in;
    uint32_t *count = output ? &r->c->n_out : &r->c->n_in;
    if (*count == LMN_CONFIG_MAX_PORTS)
        return bad(r, n, "stands there more than %u times", LMN_CONFIG_MAX_PORTS);
    if (!*list) *list = LMN_ARENA_ARRAY(r->arena, lmn_config_port, LMN_CONFIG_MAX_PORTS);
    if (!*list) return no_memory(r);
    lmn_config_port *p = &(*list)[*count];
    p->rank = -1;
    LMN_TRY(each(r, n, output ? OUT : IN, output ? LMN_COUNT(OUT) : LMN_COUNT(IN), p));
    if (!p->name || !*p->name) return bad(r, n, "has no name");
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp((*list)[i].name, p->name) == 0) return bad(r, n, "has the name of another");
    ++*count;
    return LAMINA_OK;
}

static lamina_status input(reader *r, const lmn_cfg_node *n, void *into)
{
    (void)into;
    return port(r, n, false);
}

static lamina_status output(reader *r, const lmn_cfg_node *n, void *into)
{
    (void)into;
    return port(r, n, true);
}

/* --- batching --- */

static lamina_status policy_size(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(number(r, n, 0, 1 << 24, &v));
    return ((lmn_batch_level *)into)->max_queue_size = (uint32_t)v, LAMINA_OK;
}

static lamina_status policy_action(reader *r, const lmn_cfg_node *n, void *into)
{
    static const char *const NAMES[] = {"REJECT", "DELAY", NULL};
    uint32_t which;
    LMN_TRY(choice(r, n, NAMES, &which));
    ((lmn_batch_level *)into)->action = which ? LMN_BATCH_DEFER : LMN_BATCH_REJECT;
    return LAMINA_OK;
}

#define CACHE_BYTES ((size_t)64 << 20)        /* of a response_cache, for each version */
#define MAX_MICROSECONDS INT64_C(86400000000) /* a day */

static lamina_status policy_timeout(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t us;
    LMN_TRY(number(r, n, 0, MAX_MICROSECONDS, &us));
    ((lmn_batch_level *)into)->default_timeout_ns = (uint64_t)us * 1000u;
    return LAMINA_OK;
}

static lamina_status policy_override(reader *r, const lmn_cfg_node *n, void *into)
{
    return boolean(r, n, &((lmn_batch_level *)into)->allow_override);
}

static lamina_status policy(reader *r, const lmn_cfg_node *n, lmn_batch_level *level)
{
    static const field ROWS[] = {{"max_queue_size", policy_size, false},
                                 {"timeout_action", policy_action, false},
                                 {"default_timeout_microseconds", policy_timeout, false},
                                 {"allow_timeout_override", policy_override, false}};
    return each(r, n, ROWS, LMN_COUNT(ROWS), level);
}

static lamina_status preferred(reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_batch_config *b = into;
    int64_t v;
    uint32_t at = b->n_preferred;
    LMN_TRY(number(r, n, 1, INT32_MAX, &v));
    for (uint32_t i = 0; i < b->n_preferred; i++)
        if (b->preferred[i] == v) return bad(r, n, "says a size twice");
    if (at == LMN_BATCH_MAX_PREFERRED)
        return bad(r, n, "has more than %u sizes", LMN_BATCH_MAX_PREFERRED);
    for (; at && b->preferred[at - 1] > v; at--) b->preferred[at] = b->preferred[at - 1];
    b->preferred[at] = v;
    b->n_preferred++;
    return LAMINA_OK;
}

static lamina_status delay(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t us;
    LMN_TRY(number(r, n, 0, MAX_MICROSECONDS, &us));
    ((lmn_batch_config *)into)->delay_ns = (uint64_t)us * 1000u;
    return LAMINA_OK;
}

static lamina_status ordering(reader *r, const lmn_cfg_node *n, void *into)
{
    return boolean(r, n, &((lmn_batch_config *)into)->preserve_ordering);
}

static lamina_status levels(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(number(r, n, 0, LMN_BATCH_MAX_LEVELS, &v));
    r->has_levels = v > 0;
    return ((lmn_batch_config *)into)->n_levels = (uint32_t)v, LAMINA_OK;
}

static lamina_status default_level(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(number(r, n, 0, LMN_BATCH_MAX_LEVELS, &v));
    return ((lmn_batch_config *)into)->default_level = (uint32_t)v, LAMINA_OK;
}

static lamina_status default_policy(reader *r, const lmn_cfg_node *n, void *into)
{
    (void)into;
    return policy(r, n, &r->fallback);
}

typedef struct keyed {
    const lmn_cfg_node *key, *value;
} keyed;

static lamina_status keyed_key(reader *r, const lmn_cfg_node *n, void *into)
{
    (void)r;
    return ((keyed *)into)->key = n, LAMINA_OK;
}

static lamina_status keyed_value(reader *r, const lmn_cfg_node *n, void *into)
{
    (void)r;
    return ((keyed *)into)->value = n, LAMINA_OK;
}

/* An entry of a map, as text has it: { key: .. value { .. } }. */
static lamina_status entry(reader *r, const lmn_cfg_node *n, keyed *out)
{
    static const field ROWS[] = {{"key", keyed_key, false}, {"value", keyed_value, false}};
    *out = (keyed){NULL, NULL};
    LMN_TRY(each(r, n, ROWS, LMN_COUNT(ROWS), out));
    return out->key && out->value ? LAMINA_OK : bad(r, n, "needs a key and a value");
}

static lamina_status level_policy(reader *r, const lmn_cfg_node *at, int64_t level,
                                  const lmn_cfg_node *value)
{
    if (r->given[level - 1]) return bad(r, at, "says level %lld twice", (long long)level);
    r->given[level - 1] = true;
    if (level > r->last_level) r->last_level = (uint32_t)level;
    return policy(r, value, &r->c->model.batch.level[level - 1]);
}

static lamina_status priority_policy(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t level;
    keyed e;
    (void)into;
    if (!r->json) {
        LMN_TRY(entry(r, n, &e));
        LMN_TRY(number(r, e.key, 1, LMN_BATCH_MAX_LEVELS, &level));
        return level_policy(r, n, level, e.value);
    }
    if (n->kind != LMN_CFG_MESSAGE) return bad(r, n, "must be an object");
    for (const lmn_cfg_node *v = n->first; v; v = v->next) {
        if (!lmn_parse_i64(v->name, strlen(v->name), &level) || level < 1 ||
            level > LMN_BATCH_MAX_LEVELS)
            return bad(r, v, "is no priority level");
        LMN_TRY(level_policy(r, n, level, v));
    }
    return LAMINA_OK;
}

static lamina_status dynamic_batching(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"preferred_batch_size", preferred, true},
                                 {"max_queue_delay_microseconds", delay, false},
                                 {"preserve_ordering", ordering, false},
                                 {"priority_levels", levels, false},
                                 {"default_priority_level", default_level, false},
                                 {"default_queue_policy", default_policy, false},
                                 {"priority_queue_policy", priority_policy, true}};
    lmn_batch_config *b = &((lmn_serve_config *)into)->model.batch;
    b->dynamic = true;
    return each(r, n, ROWS, LMN_COUNT(ROWS), b);
}

/* --- the other parts of a model --- */

static lamina_status group_count(reader *r, const lmn_cfg_node *n, void *into)
{
    return number(r, n, 1, 256, into);
}

static lamina_status group_kind(reader *r, const lmn_cfg_node *n, void *into)
{
    static const char *const NAMES[] = {"KIND_AUTO", "KIND_CPU", "KIND_MODEL", "KIND_GPU", NULL};
    uint32_t which;
    (void)into;
    LMN_TRY(choice(r, n, NAMES, &which));
    return which == 3 ? bad(r, n, "is KIND_GPU, but this server runs on the CPU") : LAMINA_OK;
}

static lamina_status instance_group(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"name", nothing, false},    {"count", group_count, false},
                                 {"kind", group_kind, false}, {"rate_limiter", NULL, false},
                                 {"gpus", NULL, false},       {"secondary_devices", NULL, false},
                                 {"profile", NULL, false},    {"passive", must_be_false, false},
                                 {"host_policy", NULL, false}};
    lmn_batch_config *b = &((lmn_serve_config *)into)->model.batch;
    int64_t count = 1;
    LMN_TRY(each(r, n, ROWS, LMN_COUNT(ROWS), &count));
    b->n_instances += (uint32_t)count;
    return b->n_instances > 256 ? bad(r, n, "asks for more than 256 instances") : LAMINA_OK;
}

static lamina_status latest_count(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(number(r, n, 1, LMN_CONFIG_MAX_VERSIONS, &v));
    return ((lmn_serve_config *)into)->n_latest = (uint32_t)v, LAMINA_OK;
}

static lamina_status specific_version(reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_serve_config *c = into;
    int64_t v;
    LMN_TRY(number(r, n, 1, INT64_MAX, &v));
    if (c->n_versions == LMN_CONFIG_MAX_VERSIONS)
        return bad(r, n, "has more than %u versions", LMN_CONFIG_MAX_VERSIONS);
    if (!c->versions) c->versions = LMN_ARENA_ARRAY(r->arena, uint64_t, LMN_CONFIG_MAX_VERSIONS);
    if (!c->versions) return no_memory(r);
    c->versions[c->n_versions++] = (uint64_t)v;
    return LAMINA_OK;
}

static lamina_status policy_latest(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"num_versions", latest_count, false}};
    ((lmn_serve_config *)into)->policy = LMN_VERSIONS_LATEST;
    return each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status policy_all(reader *r, const lmn_cfg_node *n, void *into)
{
    ((lmn_serve_config *)into)->policy = LMN_VERSIONS_ALL;
    return each(r, n, NULL, 0, into);
}

static lamina_status policy_specific(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"versions", specific_version, true}};
    ((lmn_serve_config *)into)->policy = LMN_VERSIONS_SPECIFIC;
    return each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status version_policy(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"latest", policy_latest, false},
                                 {"all", policy_all, false},
                                 {"specific", policy_specific, false}};
    if (n->first && n->first->next) return bad(r, n, "must name one policy");
    return each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status cache_on(reader *r, const lmn_cfg_node *n, void *into)
{
    bool on = false;
    LMN_TRY(boolean(r, n, &on));
    ((lmn_serve_config *)into)->model.cache_bytes = on ? CACHE_BYTES : 0;
    return LAMINA_OK;
}

static lamina_status cache_enable(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"enable", cache_on, false}};
    return each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status transaction_policy(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"decoupled", must_be_false, false}};
    return each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status parameter_text(reader *r, const lmn_cfg_node *n, void *into)
{
    return text(r, n, into);
}

/* Words for this server among the parameters; all others are kept and shown. */
static lamina_status obey(reader *r, const lmn_cfg_node *n, const char *key, const char *value)
{
    lmn_model_config *m = &r->c->model;
    const size_t len = strlen(value);
    int64_t v = 0;
    if (strcmp(key, "intra_op_thread_count") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 0 || v > 1024)
            return bad(r, n, "intra_op_thread_count must be from 0 to 1024");
        m->n_threads = (uint32_t)v;
    } else if (strcmp(key, "run") == 0) {
        m->where = strcmp(value, "inline") == 0 ? LMN_RUN_INLINE : LMN_RUN_THREADS;
        if (m->where == LMN_RUN_THREADS && strcmp(value, "threads") != 0)
            return bad(r, n, "run must be inline or threads");
    } else if (strcmp(key, "max_run_seconds") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 1 || v > 86400)
            return bad(r, n, "max_run_seconds must be from 1 to 86400");
        m->max_run_ns = (uint64_t)v * 1000000000u;
    } else if (strcmp(key, "max_queue_bytes") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 1)
            return bad(r, n, "max_queue_bytes must be a number of bytes above 0");
        m->batch.max_queue_bytes = (size_t)v;
    } else if (strcmp(key, "rows") == 0) {
        if (strcmp(value, "coupled") != 0) return bad(r, n, "rows can only be coupled");
        m->coupled = "declared";
    } else if (strcmp(key, "precision") == 0) {
        static const char *const NAMES[] = {"exact", "bf16", "strict", "int8"};
        static const uint32_t VALUES[] = {0, LAMINA_PRECISION_BF16, LAMINA_PRECISION_STRICT,
                                          LAMINA_PRECISION_INT8};
        size_t i = 0;
        while (i < LMN_COUNT(NAMES) && strcmp(NAMES[i], value) != 0) i++;
        if (i == LMN_COUNT(NAMES)) return bad(r, n, "precision: exact, bf16, strict or int8");
        m->precision = VALUES[i];
    }
    return LAMINA_OK;
}

static lamina_status parameter(reader *r, const lmn_cfg_node *at, const char *key,
                               const lmn_cfg_node *value)
{
    static const field ROWS[] = {{"string_value", parameter_text, false}};
    lmn_serve_config *c = r->c;
    const char *s = "";
    if (c->n_parameters == LMN_CONFIG_MAX_PARAMETERS)
        return bad(r, at, "has more than %u entries", LMN_CONFIG_MAX_PARAMETERS);
    if (!c->parameters)
        c->parameters = LMN_ARENA_ARRAY(r->arena, lmn_config_parameter, LMN_CONFIG_MAX_PARAMETERS);
    if (!c->parameters) return no_memory(r);
    LMN_TRY(each(r, value, ROWS, LMN_COUNT(ROWS), &s));
    for (uint32_t i = 0; i < c->n_parameters; i++)
        if (strcmp(c->parameters[i].key, key) == 0) return bad(r, at, "says one key twice");
    c->parameters[c->n_parameters++] = (lmn_config_parameter){key, s};
    return obey(r, at, key, s);
}

static lamina_status parameters(reader *r, const lmn_cfg_node *n, void *into)
{
    keyed e;
    const char *key = "";
    (void)into;
    if (!r->json) {
        LMN_TRY(entry(r, n, &e));
        LMN_TRY(text(r, e.key, &key));
        return parameter(r, n, key, e.value);
    }
    if (n->kind != LMN_CFG_MESSAGE) return bad(r, n, "must be an object");
    for (const lmn_cfg_node *v = n->first; v; v = v->next) LMN_TRY(parameter(r, n, v->name, v));
    return LAMINA_OK;
}

/* --- ensembles --- */

static lamina_status link_ports(reader *r, const lmn_cfg_node *at, const char *port,
                                const lmn_cfg_node *value, bool output, lmn_config_step *s)
{
    lmn_config_link **list = output ? &s->out : &s->in;
    uint32_t *count = output ? &s->n_out : &s->n_in;
    const char *tensor = "";
    LMN_TRY(text(r, value, &tensor));
    if (!*port || !*tensor) return bad(r, at, "has an empty name");
    if (*count == LMN_CONFIG_MAX_PORTS)
        return bad(r, at, "has more than %u entries", LMN_CONFIG_MAX_PORTS);
    if (!*list) *list = LMN_ARENA_ARRAY(r->arena, lmn_config_link, LMN_CONFIG_MAX_PORTS);
    if (!*list) return no_memory(r);
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp((*list)[i].port, port) == 0) return bad(r, at, "says one key twice");
    (*list)[(*count)++] = (lmn_config_link){port, tensor};
    return LAMINA_OK;
}

static lamina_status step_map(reader *r, const lmn_cfg_node *n, bool output, lmn_config_step *s)
{
    keyed e;
    const char *port = "";
    if (!r->json) {
        LMN_TRY(entry(r, n, &e));
        LMN_TRY(text(r, e.key, &port));
        return link_ports(r, n, port, e.value, output, s);
    }
    if (n->kind != LMN_CFG_MESSAGE) return bad(r, n, "must be an object");
    for (const lmn_cfg_node *v = n->first; v; v = v->next)
        LMN_TRY(link_ports(r, n, v->name, v, output, s));
    return LAMINA_OK;
}

static lamina_status step_inputs(reader *r, const lmn_cfg_node *n, void *into)
{
    return step_map(r, n, false, into);
}

static lamina_status step_outputs(reader *r, const lmn_cfg_node *n, void *into)
{
    return step_map(r, n, true, into);
}

static lamina_status step_model(reader *r, const lmn_cfg_node *n, void *into)
{
    return text(r, n, &((lmn_config_step *)into)->model);
}

static lamina_status step_version(reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(number(r, n, -1, INT64_MAX, &v));
    if (v == 0) return bad(r, n, "must be -1 or more than 0");
    ((lmn_config_step *)into)->version = v < 0 ? 0 : (uint64_t)v;
    return LAMINA_OK;
}

static lamina_status step(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"model_name", step_model, false},
                                 {"model_version", step_version, false},
                                 {"input_map", step_inputs, true},
                                 {"output_map", step_outputs, true},
                                 {"model_namespace", NULL, false}};
    lmn_serve_config *c = into;
    if (c->n_steps == LMN_CONFIG_MAX_STEPS)
        return bad(r, n, "stands there more than %u times", LMN_CONFIG_MAX_STEPS);
    if (!c->steps) c->steps = LMN_ARENA_ARRAY(r->arena, lmn_config_step, LMN_CONFIG_MAX_STEPS);
    if (!c->steps) return no_memory(r);
    lmn_config_step *s = &c->steps[c->n_steps];
    LMN_TRY(each(r, n, ROWS, LMN_COUNT(ROWS), s));
    if (!s->model || !*s->model) return bad(r, n, "has no model_name");
    if (!s->n_out) return bad(r, n, "has no output_map: nothing would come of it");
    c->n_steps++;
    return LAMINA_OK;
}

static lamina_status ensemble(reader *r, const lmn_cfg_node *n, void *into)
{
    static const field ROWS[] = {{"step", step, true}};
    LMN_TRY(each(r, n, ROWS, LMN_COUNT(ROWS), into));
    return r->c->n_steps ? LAMINA_OK : bad(r, n, "has no step");
}

static lamina_status model_name(reader *r, const lmn_cfg_node *n, void *into)
{
    return text(r, n, &((lmn_serve_config *)into)->name);
}

static lamina_status platform(reader *r, const lmn_cfg_node *n, void *into)
{
    const char **p = &((lmn_serve_config *)into)->platform;
    LMN_TRY(text(r, n, p));
    if (strcmp(*p, "onnxruntime_onnx") == 0 || strcmp(*p, "onnx_lamina") == 0 ||
        strcmp(*p, "ensemble") == 0 || !**p)
        return LAMINA_OK;
    return bad(r, n,
               "must be onnx_lamina, onnxruntime_onnx or ensemble: this server runs ONNX models");
}

static lamina_status backend(reader *r, const lmn_cfg_node *n, void *into)
{
    const char **p = &((lmn_serve_config *)into)->backend;
    LMN_TRY(text(r, n, p));
    if (strcmp(*p, "onnxruntime") == 0 || strcmp(*p, "lamina") == 0 || !**p) return LAMINA_OK;
    return bad(r, n, "must be lamina or onnxruntime: this server runs ONNX models");
}

static lamina_status max_batch(reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_serve_config *c = into;
    c->has_max_batch = true;
    return number(r, n, 0, 1 << 20, &c->model.batch.max_batch_size);
}

static lamina_status file_name(reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_serve_config *c = into;
    LMN_TRY(text(r, n, &c->file));
    if (!*c->file || strchr(c->file, '/') || *c->file == '.' || strlen(c->file) > 128)
        return bad(r, n, "must be the name of a file in the version's folder");
    return LAMINA_OK;
}

static const field MODEL[] = {{"name", model_name, false},
                              {"platform", platform, false},
                              {"backend", backend, false},
                              {"runtime", NULL, false},
                              {"version_policy", version_policy, false},
                              {"max_batch_size", max_batch, false},
                              {"input", input, true},
                              {"output", output, true},
                              {"batch_input", NULL, true},
                              {"batch_output", NULL, true},
                              {"optimization", NULL, false},
                              {"dynamic_batching", dynamic_batching, false},
                              {"sequence_batching", NULL, false},
                              {"ensemble_scheduling", ensemble, false},
                              {"instance_group", instance_group, true},
                              {"default_model_filename", file_name, false},
                              {"cc_model_filenames", NULL, true},
                              {"metric_tags", nothing, true},
                              {"parameters", parameters, true},
                              {"model_warmup", nothing, true}, /* every size is warmed up anyway */
                              {"model_operations", NULL, false},
                              {"model_transaction_policy", transaction_policy, false},
                              {"model_repository_agents", NULL, false},
                              {"response_cache", cache_enable, false},
                              {"model_metrics", NULL, false}};

/* An ensemble has ports of its own, and no model of its own. */
static lamina_status settle_ensemble(reader *r)
{
    lmn_serve_config *c = r->c;
    const bool named = c->platform && strcmp(c->platform, "ensemble") == 0;
    const lmn_batch_config *b = &c->model.batch;
    if (!c->n_steps)
        return named ? lmn_fail(r->err, LAMINA_E_INVALID, "an ensemble needs ensemble_scheduling")
                     : LAMINA_OK;
    if (!named && c->platform && *c->platform)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"ensemble_scheduling\" needs the platform \"ensemble\"");
    if (b->dynamic || b->n_instances || c->model.cache_bytes || (c->backend && *c->backend))
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "an ensemble has no dynamic_batching, instance_group, response_cache or "
                        "backend: they belong to the models of its steps");
    if (!c->n_in || !c->n_out)
        return lmn_fail(r->err, LAMINA_E_INVALID, "an ensemble must say its input and output");
    for (uint32_t i = 0; i < c->n_in + c->n_out; i++) {
        const lmn_config_port *p = i < c->n_in ? &c->in[i] : &c->out[i - c->n_in];
        if (p->dtype == LAMINA_DTYPE_NONE || p->rank < 0 || p->rank == LAMINA_MAX_RANK)
            return lmn_fail(r->err, LAMINA_E_INVALID,
                            "an ensemble must say data_type and dims of its ports");
    }
    if (!c->has_max_batch) c->model.batch.max_batch_size = 0;
    return LAMINA_OK;
}

/* What fields say about each other. */
static lamina_status settle(reader *r)
{
    lmn_serve_config *c = r->c;
    lmn_batch_config *b = &c->model.batch;
    const uint32_t n_levels = b->n_levels ? b->n_levels : 1;
    LMN_TRY(settle_ensemble(r));
    if (b->dynamic && c->has_max_batch && b->max_batch_size == 0)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"dynamic_batching\" needs a max_batch_size above 0");
    if (c->has_max_batch && b->n_preferred && b->preferred[b->n_preferred - 1] > b->max_batch_size)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"preferred_batch_size\" %lld is above max_batch_size %lld",
                        (long long)b->preferred[b->n_preferred - 1], (long long)b->max_batch_size);
    if (b->default_level > b->n_levels)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"default_priority_level\" is above priority_levels");
    if (b->n_levels && !b->default_level)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"priority_levels\" needs a default_priority_level");
    if (r->last_level > b->n_levels)
        return lmn_fail(r->err, LAMINA_E_INVALID,
                        "\"priority_queue_policy\" names level %u, there are %u", r->last_level,
                        b->n_levels);
    for (uint32_t i = 0; i < n_levels; i++)
        if (!r->given[i]) b->level[i] = r->fallback;
    if (!b->n_instances) b->n_instances = 1;
    return LAMINA_OK;
}

void lmn_serve_config_init(lmn_serve_config *c)
{
    *c = (lmn_serve_config){.file = "model.onnx", .n_latest = 1};
    c->model.batch.max_batch_size = -1;
    c->model.batch.n_instances = 1;
    c->model.warm_up = true;
}

lamina_status lmn_serve_config_read(lmn_arena *arena, lmn_span text, bool json, lmn_serve_config *c,
                                    lamina_error *err)
{
    lamina_error ignored;
    lmn_cfg_tree t = {.arena = arena, .err = err ? err : &ignored};
    reader r = {.arena = arena, .c = c, .json = json, .err = t.err};
    lmn_serve_config_init(c);
    c->model.batch.n_instances = 0; /* groups add theirs */
    LMN_TRY(json ? lmn_cfg_read_json(&t, text) : lmn_cfg_read_text(&t, text));
    LMN_TRY(each(&r, t.root, MODEL, LMN_COUNT(MODEL), c));
    return settle(&r);
}
