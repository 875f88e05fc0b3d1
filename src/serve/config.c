/*
 * The meaning of a configuration's fields, beside those of batching (config_batching.c) and of
 * ensembles (config_ensemble.c).
 */
#include "serve/config_fields.h"

#include "base/text.h"

#include <string.h>

#define CACHE_BYTES ((size_t)64 << 20) /* of a response_cache, for each version */

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

static lamina_status port_name(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_string(r, n, &((lmn_config_port *)into)->name);
}

static lamina_status port_type(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    const bool ok = n->kind == LMN_CFG_WORD || (r->json && n->kind == LMN_CFG_STRING);
    for (size_t i = 0; ok && i < LMN_COUNT(TYPES); i++)
        if (TYPES[i] && strcmp(TYPES[i], n->text) == 0)
            return ((lmn_config_port *)into)->dtype = (lamina_dtype)i, LAMINA_OK;
    return lmn_cfg_bad(r, n, "must be one of TYPE_BOOL, TYPE_UINT8 ... TYPE_FP32, TYPE_STRING");
}

static lamina_status port_dims(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_config_port *p = into;
    if (p->rank < 0) p->rank = 0;
    if (p->rank == LAMINA_MAX_RANK)
        return lmn_cfg_bad(r, n, "has more than %d dimensions", LAMINA_MAX_RANK);
    LMN_TRY(lmn_cfg_number(r, n, -1, INT64_MAX, &p->dims[p->rank]));
    if (p->dims[p->rank] == 0) return lmn_cfg_bad(r, n, "must be -1 or more than 0");
    p->rank++;
    return LAMINA_OK;
}

static lamina_status port_labels(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_string(r, n, &((lmn_config_port *)into)->labels);
}

static lamina_status port_optional(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_boolean(r, n, &((lmn_config_port *)into)->optional);
}

static lamina_status port_format(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const char *const NAMES[] = {"FORMAT_NONE", "FORMAT_NHWC", "FORMAT_NCHW", NULL};
    uint32_t which;
    (void)into; /* a word for readers: the dimensions say it already */
    return lmn_cfg_choice(r, n, NAMES, &which);
}

static lamina_status port(lmn_cfg_reader *r, const lmn_cfg_node *n, bool output)
{
    static const lmn_cfg_field IN[] = {{"name", port_name, false},
                                       {"data_type", port_type, false},
                                       {"dims", port_dims, true},
                                       {"format", port_format, false},
                                       {"optional", port_optional, false},
                                       {"is_shape_tensor", lmn_cfg_must_be_false, false},
                                       {"allow_ragged_batch", lmn_cfg_must_be_false, false},
                                       {"is_non_linear_format_io", lmn_cfg_must_be_false, false},
                                       {"reshape", NULL, false}};
    static const lmn_cfg_field OUT[] = {{"name", port_name, false},
                                        {"data_type", port_type, false},
                                        {"dims", port_dims, true},
                                        {"label_filename", port_labels, false},
                                        {"is_shape_tensor", lmn_cfg_must_be_false, false},
                                        {"is_non_linear_format_io", lmn_cfg_must_be_false, false},
                                        {"reshape", NULL, false}};
    lmn_config_port **list = output ? &r->c->out : &r->c->in;
    uint32_t *count = output ? &r->c->n_out : &r->c->n_in;
    if (*count == LMN_CONFIG_MAX_PORTS)
        return lmn_cfg_bad(r, n, "stands there more than %u times", LMN_CONFIG_MAX_PORTS);
    if (!*list) *list = LMN_ARENA_ARRAY(r->arena, lmn_config_port, LMN_CONFIG_MAX_PORTS);
    if (!*list) return lmn_cfg_no_memory(r);
    lmn_config_port *p = &(*list)[*count];
    p->rank = -1;
    LMN_TRY(lmn_cfg_each(r, n, output ? OUT : IN, output ? LMN_COUNT(OUT) : LMN_COUNT(IN), p));
    if (!p->name || !*p->name) return lmn_cfg_bad(r, n, "has no name");
    for (uint32_t i = 0; i < *count; i++)
        if (strcmp((*list)[i].name, p->name) == 0)
            return lmn_cfg_bad(r, n, "has the name of another");
    ++*count;
    return LAMINA_OK;
}

static lamina_status input(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    (void)into;
    return port(r, n, false);
}

static lamina_status output(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    (void)into;
    return port(r, n, true);
}

/* --- the other parts of a model --- */

static lamina_status group_count(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_number(r, n, 1, 256, into);
}

static lamina_status group_kind(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const char *const NAMES[] = {"KIND_AUTO", "KIND_CPU", "KIND_MODEL", "KIND_GPU", NULL};
    uint32_t which;
    (void)into;
    LMN_TRY(lmn_cfg_choice(r, n, NAMES, &which));
    return which == 3 ? lmn_cfg_bad(r, n, "is KIND_GPU, but this server runs on the CPU")
                      : LAMINA_OK;
}

static lamina_status instance_group(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"name", lmn_cfg_nothing, false},
                                         {"count", group_count, false},
                                         {"kind", group_kind, false},
                                         {"rate_limiter", NULL, false},
                                         {"gpus", NULL, false},
                                         {"secondary_devices", NULL, false},
                                         {"profile", NULL, false},
                                         {"passive", lmn_cfg_must_be_false, false},
                                         {"host_policy", NULL, false}};
    lmn_batch_config *b = &((lmn_serve_config *)into)->model.batch;
    int64_t count = 1;
    LMN_TRY(lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), &count));
    b->n_instances += (uint32_t)count;
    return b->n_instances > 256 ? lmn_cfg_bad(r, n, "asks for more than 256 instances") : LAMINA_OK;
}

static lamina_status latest_count(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    int64_t v;
    LMN_TRY(lmn_cfg_number(r, n, 1, LMN_CONFIG_MAX_VERSIONS, &v));
    return ((lmn_serve_config *)into)->n_latest = (uint32_t)v, LAMINA_OK;
}

static lamina_status specific_version(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_serve_config *c = into;
    int64_t v;
    LMN_TRY(lmn_cfg_number(r, n, 1, INT64_MAX, &v));
    if (c->n_versions == LMN_CONFIG_MAX_VERSIONS)
        return lmn_cfg_bad(r, n, "has more than %u versions", LMN_CONFIG_MAX_VERSIONS);
    if (!c->versions) c->versions = LMN_ARENA_ARRAY(r->arena, uint64_t, LMN_CONFIG_MAX_VERSIONS);
    if (!c->versions) return lmn_cfg_no_memory(r);
    c->versions[c->n_versions++] = (uint64_t)v;
    return LAMINA_OK;
}

static lamina_status policy_latest(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"num_versions", latest_count, false}};
    ((lmn_serve_config *)into)->policy = LMN_VERSIONS_LATEST;
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status policy_all(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    ((lmn_serve_config *)into)->policy = LMN_VERSIONS_ALL;
    return lmn_cfg_each(r, n, NULL, 0, into);
}

static lamina_status policy_specific(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"versions", specific_version, true}};
    ((lmn_serve_config *)into)->policy = LMN_VERSIONS_SPECIFIC;
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status version_policy(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"latest", policy_latest, false},
                                         {"all", policy_all, false},
                                         {"specific", policy_specific, false}};
    if (n->first && n->first->next) return lmn_cfg_bad(r, n, "must name one policy");
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status cache_on(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    bool on = false;
    LMN_TRY(lmn_cfg_boolean(r, n, &on));
    ((lmn_serve_config *)into)->model.cache_bytes = on ? CACHE_BYTES : 0;
    return LAMINA_OK;
}

static lamina_status cache_enable(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"enable", cache_on, false}};
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status transaction_policy(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"decoupled", lmn_cfg_must_be_false, false}};
    return lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), into);
}

static lamina_status parameter_text(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_string(r, n, into);
}

/* Words for this server among the parameters; all others are kept and shown. */
static lamina_status obey(lmn_cfg_reader *r, const lmn_cfg_node *n, const char *key,
                          const char *value)
{
    lmn_model_config *m = &r->c->model;
    const size_t len = strlen(value);
    int64_t v = 0;
    if (strcmp(key, "intra_op_thread_count") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 0 || v > 1024)
            return lmn_cfg_bad(r, n, "intra_op_thread_count must be from 0 to 1024");
        m->n_threads = (uint32_t)v;
    } else if (strcmp(key, "run") == 0) {
        m->where = strcmp(value, "inline") == 0 ? LMN_RUN_INLINE : LMN_RUN_THREADS;
        if (m->where == LMN_RUN_THREADS && strcmp(value, "threads") != 0)
            return lmn_cfg_bad(r, n, "run must be inline or threads");
    } else if (strcmp(key, "max_run_seconds") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 1 || v > 86400)
            return lmn_cfg_bad(r, n, "max_run_seconds must be from 1 to 86400");
        m->max_run_ns = (uint64_t)v * 1000000000u;
    } else if (strcmp(key, "max_queue_bytes") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 1)
            return lmn_cfg_bad(r, n, "max_queue_bytes must be a number of bytes above 0");
        m->batch.max_queue_bytes = (size_t)v;
    } else if (strcmp(key, "rejoin_microseconds") == 0) {
        if (!lmn_parse_i64(value, len, &v) || v < 1 || v > 1000000)
            return lmn_cfg_bad(r, n, "rejoin_microseconds must be from 1 to 1000000");
        m->batch.rejoin_ns = (uint64_t)v * 1000u;
    } else if (strcmp(key, "rows") == 0) {
        if (strcmp(value, "coupled") != 0) return lmn_cfg_bad(r, n, "rows can only be coupled");
        m->coupled = "declared";
    } else if (strcmp(key, "precision") == 0) {
        static const char *const NAMES[] = {"exact", "bf16", "strict", "int8"};
        static const uint32_t VALUES[] = {0, LAMINA_PRECISION_BF16, LAMINA_PRECISION_STRICT,
                                          LAMINA_PRECISION_INT8};
        size_t i = 0;
        while (i < LMN_COUNT(NAMES) && strcmp(NAMES[i], value) != 0) i++;
        if (i == LMN_COUNT(NAMES))
            return lmn_cfg_bad(r, n, "precision: exact, bf16, strict or int8");
        m->precision = VALUES[i];
    }
    return LAMINA_OK;
}

static lamina_status parameter(lmn_cfg_reader *r, const lmn_cfg_node *at, const char *key,
                               const lmn_cfg_node *value, void *into)
{
    static const lmn_cfg_field ROWS[] = {{"string_value", parameter_text, false}};
    lmn_serve_config *c = into;
    const char *s = "";
    if (c->n_parameters == LMN_CONFIG_MAX_PARAMETERS)
        return lmn_cfg_bad(r, at, "has more than %u entries", LMN_CONFIG_MAX_PARAMETERS);
    if (!c->parameters)
        c->parameters = LMN_ARENA_ARRAY(r->arena, lmn_config_parameter, LMN_CONFIG_MAX_PARAMETERS);
    if (!c->parameters) return lmn_cfg_no_memory(r);
    LMN_TRY(lmn_cfg_each(r, value, ROWS, LMN_COUNT(ROWS), &s));
    for (uint32_t i = 0; i < c->n_parameters; i++)
        if (strcmp(c->parameters[i].key, key) == 0) return lmn_cfg_bad(r, at, "says one key twice");
    c->parameters[c->n_parameters++] = (lmn_config_parameter){key, s};
    return obey(r, at, key, s);
}

static lamina_status parameters(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_pairs(r, n, parameter, into);
}

static lamina_status model_name(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    return lmn_cfg_string(r, n, &((lmn_serve_config *)into)->name);
}

static lamina_status platform(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    const char **p = &((lmn_serve_config *)into)->platform;
    LMN_TRY(lmn_cfg_string(r, n, p));
    if (strcmp(*p, "onnxruntime_onnx") == 0 || strcmp(*p, "onnx_lamina") == 0 ||
        strcmp(*p, "ensemble") == 0 || !**p)
        return LAMINA_OK;
    return lmn_cfg_bad(
        r, n, "must be onnx_lamina, onnxruntime_onnx or ensemble: this server runs ONNX models");
}

static lamina_status backend(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    const char **p = &((lmn_serve_config *)into)->backend;
    LMN_TRY(lmn_cfg_string(r, n, p));
    if (strcmp(*p, "onnxruntime") == 0 || strcmp(*p, "lamina") == 0 || !**p) return LAMINA_OK;
    return lmn_cfg_bad(r, n, "must be lamina or onnxruntime: this server runs ONNX models");
}

static lamina_status max_batch(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_serve_config *c = into;
    c->has_max_batch = true;
    return lmn_cfg_number(r, n, 0, 1 << 20, &c->model.batch.max_batch_size);
}

static lamina_status file_name(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    lmn_serve_config *c = into;
    LMN_TRY(lmn_cfg_string(r, n, &c->file));
    if (!*c->file || strchr(c->file, '/') || *c->file == '.' || strlen(c->file) > 128)
        return lmn_cfg_bad(r, n, "must be the name of a file in the version's folder");
    return LAMINA_OK;
}

static const lmn_cfg_field MODEL[] = {
    {"name", model_name, false},
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
    {"dynamic_batching", lmn_cfg_batching, false},
    {"sequence_batching", NULL, false},
    {"ensemble_scheduling", lmn_cfg_ensemble, false},
    {"instance_group", instance_group, true},
    {"default_model_filename", file_name, false},
    {"cc_model_filenames", NULL, true},
    {"metric_tags", lmn_cfg_nothing, true},
    {"parameters", parameters, true},
    {"model_warmup", lmn_cfg_nothing, true}, /* every size is warmed up anyway */
    {"model_operations", NULL, false},
    {"model_transaction_policy", transaction_policy, false},
    {"model_repository_agents", NULL, false},
    {"response_cache", cache_enable, false},
    {"model_metrics", NULL, false}};

/* What fields say about each other. */
static lamina_status settle(lmn_cfg_reader *r)
{
    LMN_TRY(lmn_cfg_settle_ensemble(r));
    LMN_TRY(lmn_cfg_settle_batching(r));
    if (!r->c->model.batch.n_instances) r->c->model.batch.n_instances = 1;
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
    lmn_cfg_reader r = {.arena = arena, .c = c, .json = json, .err = t.err};
    lmn_serve_config_init(c);
    c->model.batch.n_instances = 0; /* groups add theirs */
    LMN_TRY(json ? lmn_cfg_read_json(&t, text) : lmn_cfg_read_text(&t, text));
    LMN_TRY(lmn_cfg_each(&r, t.root, MODEL, LMN_COUNT(MODEL), c));
    return settle(&r);
}
