/*
 * Configurations of models: what config.json and config.pbtxt may say, what they may not, and that
 * both say the same. Refusals are told apart by a part of their sentence.
 */
#include "serve/config.h"
#include "t.h"

typedef struct bad_case {
    const char *text, *why;
} bad_case;

static lamina_status read_config(lmn_arena *a, const char *text, bool json, lmn_serve_config *c,
                                 lamina_error *err)
{
    *err = (lamina_error){0};
    return lmn_serve_config_read(a, (lmn_span){(const uint8_t *)text, strlen(text)}, json, c, err);
}

static const char FULL_TEXT[] =
    "# a comment\n"
    "name: \"res\" 'net'\n"
    "platform: \"onnxruntime_onnx\"\n"
    "max_batch_size: 0x10\n"
    "input [ { name: \"x\", data_type: TYPE_FP32; dims: [ 3, -1 ] } ]\n"
    "input { name: \"mask\" data_type: TYPE_BOOL dims: 1 optional: true }\n"
    "output: < name: \"y\" data_type: TYPE_FP32 dims: [ 10 ] label_filename: \"labels.txt\" >\n"
    "dynamic_batching { preferred_batch_size: [ 8, 4 ] max_queue_delay_microseconds: 100\n"
    "  preserve_ordering: true priority_levels: 3 default_priority_level: 2\n"
    "  default_queue_policy { max_queue_size: 7 }\n"
    "  priority_queue_policy { key: 1 value: { timeout_action: DELAY\n"
    "    default_timeout_microseconds: 5 allow_timeout_override: true } } }\n"
    "instance_group [ { count: 2 kind: KIND_CPU }, { count: 1 } ]\n"
    "version_policy: { specific: { versions: [ 1, 3 ] } }\n"
    "parameters { key: \"intra_op_thread_count\" value { string_value: \"2\" } }\n"
    "parameters: { key: \"note\" value: { string_value: \"a\\n\\x41\\101\\u00e9\" } }\n"
    "model_warmup [ { name: \"w\" batch_size: 1 } ]\n"
    "response_cache { enable: false }\n";

static const char FULL_JSON[] =
    "{\"name\":\"resnet\",\"platform\":\"onnxruntime_onnx\",\"max_batch_size\":16,"
    "\"input\":[{\"name\":\"x\",\"data_type\":\"TYPE_FP32\",\"dims\":[\"3\",-1]},"
    "{\"name\":\"mask\",\"data_type\":\"TYPE_BOOL\",\"dims\":[1],\"optional\":true}],"
    "\"output\":[{\"name\":\"y\",\"data_type\":\"TYPE_FP32\",\"dims\":[10],"
    "\"label_filename\":\"labels.txt\"}],"
    "\"dynamic_batching\":{\"preferred_batch_size\":[8,4],\"max_queue_delay_microseconds\":\"100\","
    "\"preserve_ordering\":true,\"priority_levels\":\"3\",\"default_priority_level\":\"2\","
    "\"default_queue_policy\":{\"max_queue_size\":7},"
    "\"priority_queue_policy\":{\"1\":{\"timeout_action\":\"DELAY\","
    "\"default_timeout_microseconds\":\"5\",\"allow_timeout_override\":true}}},"
    "\"instance_group\":[{\"count\":2,\"kind\":\"KIND_CPU\"},{\"count\":1}],"
    "\"version_policy\":{\"specific\":{\"versions\":[\"1\",\"3\"]}},"
    "\"parameters\":{\"intra_op_thread_count\":{\"string_value\":\"2\"},"
    "\"note\":{\"string_value\":\"a\\nAA\\u00e9\"}},"
    "\"model_warmup\":[],\"metric_tags\":null,\"response_cache\":{\"enable\":false}}";

static void check_full(const lmn_serve_config *c)
{
    const lmn_batch_config *b = &c->model.batch;
    T_STR_EQ(c->name, "resnet");
    T_STR_EQ(c->file, "model.onnx");
    T_EQ(b->max_batch_size, 16);
    T_EQ(c->n_in, 2);
    T_EQ(c->in[0].rank, 2);
    T_EQ(c->in[0].dims[0], 3);
    T_EQ(c->in[0].dims[1], -1);
    T_EQ(c->in[1].dtype, LAMINA_BOOL);
    T_CHECK(c->in[1].optional && !c->in[0].optional);
    T_STR_EQ(c->out[0].labels, "labels.txt");
    T_CHECK(b->dynamic && b->preserve_ordering);
    T_EQ(b->n_preferred, 2);
    T_EQ(b->preferred[0], 4);
    T_EQ(b->preferred[1], 8);
    T_EQ(b->delay_ns, 100000);
    T_EQ(b->n_levels, 3);
    T_EQ(b->default_level, 2);
    T_EQ(b->level[0].action, LMN_BATCH_DEFER);
    T_EQ(b->level[0].default_timeout_ns, 5000);
    T_EQ(b->level[0].max_queue_size, 0);
    T_EQ(b->level[2].max_queue_size, 7);
    T_EQ(b->n_instances, 3);
    T_EQ(c->policy, LMN_VERSIONS_SPECIFIC);
    T_EQ(c->n_versions, 2);
    T_EQ(c->versions[1], 3);
    T_EQ(c->model.n_threads, 2);
    T_EQ(c->n_parameters, 2);
    T_STR_EQ(c->parameters[1].value, "a\nAA\xc3\xa9");
}

static void test_full(t_env *env)
{
    for (int json = 0; json < 2; json++) {
        lmn_arena a;
        lmn_serve_config c;
        lamina_error err;
        lmn_arena_init(&a, &env->alloc, 1 << 20);
        T_CASE(json ? "json" : "text");
        if (T_OK_ERR(read_config(&a, json ? FULL_JSON : FULL_TEXT, json, &c, &err), &err))
            check_full(&c);
        lmn_arena_finish(&a);
    }
}

static void test_defaults(t_env *env)
{
    lmn_arena a;
    lmn_serve_config c;
    lamina_error err;
    lmn_arena_init(&a, &env->alloc, 1 << 20);
    for (int json = 0; json < 2; json++) {
        T_OK_ERR(read_config(&a, json ? "{}" : " # nothing", json, &c, &err), &err);
        T_CHECK(!c.name && !c.has_max_batch && !c.model.batch.dynamic && c.model.warm_up);
        T_EQ(c.model.batch.max_batch_size, -1);
        T_EQ(c.model.batch.n_instances, 1);
        T_EQ(c.n_latest, 1);
    }
    T_OK_ERR(read_config(&a, "dynamic_batching { default_queue_policy { max_queue_size: 9 } }",
                         false, &c, &err),
             &err);
    T_EQ(c.model.batch.level[0].max_queue_size, 9);
    lmn_arena_finish(&a);
}

#define ENSEMBLE \
    "ensemble_scheduling { step { model_name: \"a\" output_map { key: \"y\" value: \"y\" } } }\n"

static const bad_case BAD_TEXT[] = {
    {"nonsense: 1", "\"nonsense\" is no field"},
    {"name: \"a\" name: \"b\"", "twice"},
    {"name: 1", "must be a string"},
    {"name \"a\"", "colon"},
    {"name: \"a", "does not end"},
    {"name: \"a\n\"", "line 1: a string"},
    {"name: \"\\q\"", "escape"},
    {"name: \"\\x00\"", "escape"},
    {"name: \"\\ud800\"", "escape"},
    {"name:", "missing"},
    {": 1", "name of a field"},
    {"}", "name of a field"},
    {"input {", "does not end"},
    {"input { name: \"x\" ]", "name of a field"},
    {"input [ { name: \"x\" } ", "list does not end"},
    {"input { dims: 1 }", "no name"},
    {"input { name: \"x\" dims: 0 }", "-1 or more"},
    {"input { name: \"x\" dims: [1,1,1,1,1,1,1,1,1] }", "dimensions"},
    {"input { name: \"x\" data_type: TYPE_FP8 }", "TYPE_FP32"},
    {"input { name: \"x\" } input { name: \"x\" }", "another"},
    {"input { name: \"x\" reshape { shape: 1 } }", "not supported"},
    {"sequence_batching { }", "not supported"},
    {"ensemble_scheduling { }", "has no step"},
    {"platform: \"ensemble\"", "needs ensemble_scheduling"},
    {"ensemble_scheduling { step { } }", "no model_name"},
    {"ensemble_scheduling { step { model_name: \"\" } }", "no model_name"},
    {"ensemble_scheduling { step { model_name: \"a\" } }", "no output_map"},
    {"ensemble_scheduling { step { model_name: \"a\" model_version: 0 } }", "-1 or more"},
    {"ensemble_scheduling { step { model_name: \"a\" model_namespace: \"n\" } }", "not supported"},
    {"ensemble_scheduling { step { input_map { key: \"x\" value: \"\" } } }", "empty name"},
    {"ensemble_scheduling { step { input_map { key: \"x\" } } }", "a key and a value"},
    {"ensemble_scheduling { step { input_map { key: \"x\" value: \"a\" } input_map { key: \"x\" "
     "value: \"b\" } } }",
     "one key twice"},
    {ENSEMBLE, "its input and output"},
    {ENSEMBLE "platform: \"onnx_lamina\"", "needs the platform"},
    {ENSEMBLE "dynamic_batching { } max_batch_size: 2", "belong to the models"},
    {ENSEMBLE "instance_group { }", "belong to the models"},
    {ENSEMBLE "input { name: \"x\" dims: 1 } output { name: \"y\" dims: 1 }", "data_type"},
    {ENSEMBLE "input { name: \"x\" data_type: TYPE_FP32 } output { name: \"y\" }", "dims"},
    {"platform: \"tensorflow_graphdef\"", "ONNX"},
    {"backend: \"python\"", "ONNX"},
    {"max_batch_size: -1", "whole number"},
    {"max_batch_size: 1.5", "whole number"},
    {"max_batch_size: \"8\"", "whole number"},
    {"max_batch_size: 99999999999999999999", "whole number"},
    {"max_batch_size: 0xfffffffffffffffff", "whole number"},
    {"max_batch_size: 8 8", "name of a field"},
    {"max_batch_size: 4 dynamic_batching { preferred_batch_size: 8 }", "above max_batch_size"},
    {"max_batch_size: 0 dynamic_batching { }", "needs a max_batch_size"},
    {"dynamic_batching { preferred_batch_size: [4, 4] }", "twice"},
    {"dynamic_batching { preferred_batch_size: [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17] }",
     "more than 16"},
    {"dynamic_batching { priority_levels: 2 }", "default_priority_level"},
    {"dynamic_batching { default_priority_level: 1 }", "above priority_levels"},
    {"dynamic_batching { priority_levels: 33 }", "whole number"},
    {"dynamic_batching { priority_queue_policy { key: 1 value { } } }", "names level 1"},
    {"dynamic_batching { priority_queue_policy { key: 1 } }", "a key and a value"},
    {"dynamic_batching { preserve_ordering: maybe }", "true or false"},
    {"instance_group { kind: KIND_GPU }", "CPU"},
    {"instance_group { gpus: 0 }", "not supported"},
    {"instance_group { count: 0 }", "whole number"},
    {"instance_group { count: 200 } instance_group { count: 200 }", "256"},
    {"version_policy { latest { } all { } }", "one policy"},
    {"version_policy { specific { versions: 0 } }", "whole number"},
    {"response_cache { enable: 3 }", "true or false"},
    {"model_transaction_policy { decoupled: true }", "must be false"},
    {"parameters { key: \"run\" value { string_value: \"here\" } }", "inline"},
    {"parameters { key: \"max_queue_bytes\" value { string_value: \"0\" } }", "above 0"},
    {"parameters { key: \"rejoin_microseconds\" value { string_value: \"0\" } }", "from 1"},
    {"parameters { key: \"a\" value { } } parameters { key: \"a\" value { } }", "twice"},
    {"default_model_filename: \"../m\"", "name of a file"},
    {"default_model_filename: \"a/b\"", "name of a file"},
    {"[ext.name]: 1", "extensions"},
    {"a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{}", "too deep"},
};

static const bad_case BAD_JSON[] = {
    {"", ""},
    {"[]", "no JSON object"},
    {"{} {}", ""},
    {"{\"nonsense\":1}", "no field"},
    {"{\"name\":\"a\",\"name\":\"b\"}", "twice"},
    {"{\"name\":\"a\\u0000b\"}", "zero"},
    {"{\"na\\u0000me\":\"a\"}", "zero"},
    {"{\"input\":[[{}]]}", "stands in a list"},
    {"{\"input\":{\"name\":[\"x\",\"y\"]}}", "twice"},
    {"{\"max_batch_size\":1e2}", "whole number"},
    {"{\"max_batch_size\":true}", "whole number"},
    {"{\"dynamic_batching\":7}", "message"},
    {"{\"parameters\":[1]}", "object"},
    {"{\"parameters\":{\"a\":\"b\"}}", "message"},
    {"{\"dynamic_batching\":{\"priority_levels\":1,\"default_priority_level\":1,"
     "\"priority_queue_policy\":{\"x\":{}}}}",
     "no priority level"},
    {"{\"sequence_batching\":{}}", "not supported"},
    {"{\"ensemble_scheduling\":{\"step\":[{\"model_name\":\"a\",\"output_map\":[\"y\"]}]}}",
     "object"},
    {"{\"ensemble_scheduling\":{\"step\":[{\"model_name\":\"a\",\"output_map\":{\"y\":1}}]}}",
     "string"},
};

static void test_bad(t_env *env)
{
    for (size_t i = 0; i < T_COUNT(BAD_TEXT) + T_COUNT(BAD_JSON); i++) {
        const bool json = i >= T_COUNT(BAD_TEXT);
        const bad_case *k = json ? &BAD_JSON[i - T_COUNT(BAD_TEXT)] : &BAD_TEXT[i];
        lmn_arena a;
        lmn_serve_config c;
        lamina_error err;
        lmn_arena_init(&a, &env->alloc, 1 << 20);
        T_CASE(k->text);
        const lamina_status st = read_config(&a, k->text, json, &c, &err);
        T_CHECK(st != LAMINA_OK);
        T_EQ(st, err.status);
        if (!T_CHECK(strstr(err.msg, k->why) != NULL)) printf("    said: %s\n", err.msg);
        lmn_arena_finish(&a);
    }
}

/* Every allocation fails in turn. */
static void test_memory(t_env *env)
{
    for (int nth = 1;; nth++) {
        lmn_arena a;
        lmn_serve_config c;
        lamina_error err;
        lmn_arena_init(&a, &env->alloc, 1 << 20);
        t_fail_alloc(env, nth);
        const lamina_status st = read_config(&a, FULL_TEXT, false, &c, &err);
        const bool over = t_fail_pending(env);
        t_fail_alloc(env, 0);
        T_EQ(st, over ? LAMINA_OK : LAMINA_E_NOMEM);
        lmn_arena_finish(&a);
        if (over) break;
    }
}

static void test_fits(t_env *env)
{
    static const lmn_serve_port IN[] = {{"x", LAMINA_F32, 2, {-1, 16}, false, NULL, 0}};
    static const lmn_serve_port OUT[] = {{"y", LAMINA_F32, 2, {-1, 10}, false, NULL, 0}};
    const lmn_signature s = {"m", "1", "onnx_lamina", IN, OUT, 1, 1, 8};
    static const bad_case CASES[] = {
        {"input { name: \"x\" data_type: TYPE_FP32 dims: 16 }", NULL},
        {"input { name: \"x\" dims: -1 } output { name: \"y\" }", NULL},
        {"input { name: \"z\" }", "no input \"z\""},
        {"output { name: \"x\" }", "no output"},
        {"input { name: \"x\" data_type: TYPE_INT8 }", "TYPE_FP32, the configuration"},
        {"input { name: \"x\" dims: [1, 16] }", "beside the batch"},
        {"output { name: \"y\" dims: 11 }", "is 10"},
    };
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        lmn_arena a;
        lmn_serve_config c;
        lamina_error err;
        lmn_arena_init(&a, &env->alloc, 1 << 20);
        T_CASE(CASES[i].text);
        T_OK_ERR(read_config(&a, CASES[i].text, false, &c, &err), &err);
        const lamina_status st = lmn_serve_config_fits(&c, &s, &err);
        T_EQ(st, CASES[i].why ? LAMINA_E_INVALID : LAMINA_OK);
        if (CASES[i].why) T_CHECK(strstr(err.msg, CASES[i].why) != NULL);
        lmn_arena_finish(&a);
    }
}

static void test_write(t_env *env)
{
    static const lmn_serve_port IN[] = {{"x", LAMINA_F32, 3, {-1, 3, -1}, false, NULL, 0}};
    static const lmn_serve_port OUT[] = {{"y", LAMINA_F32, 2, {-1, 10}, false, NULL, 0}};
    const lmn_signature s = {"resnet", "1", "onnx_lamina", IN, OUT, 1, 1, 16};
    lmn_arena a;
    lmn_serve_config c;
    lamina_error err;
    lmn_strbuf b;
    lmn_jsonw w;
    lmn_arena_init(&a, &env->alloc, 1 << 20);
    lmn_strbuf_init(&b, &env->alloc, 1 << 16);
    T_OK_ERR(read_config(&a, FULL_TEXT, false, &c, &err), &err);
    lmn_jsonw_init(&w, &b, 0);
    lmn_serve_config_write(&w, &c, &s, &c.model);
    T_CHECK(strstr(lmn_strbuf_text(&b), "\"dims\":[3,-1]") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&b), "\"preferred_batch_size\":[4,8]") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&b), "\"label_filename\":\"labels.txt\"") != NULL);
    /* what is shown can be read */
    lmn_serve_config again;
    T_OK_ERR(read_config(&a, lmn_strbuf_text(&b), true, &again, &err), &err);
    T_EQ(again.model.batch.level[0].default_timeout_ns, 5000);
    T_EQ(again.n_versions, 2);
    lmn_strbuf_finish(&b);
    lmn_arena_finish(&a);
}

static void test_ensemble(t_env *env)
{
    static const char TEXT[] =
        "platform: \"ensemble\"\n"
        "input { name: \"in\" data_type: TYPE_FP32 dims: 4 }\n"
        "output { name: \"out\" data_type: TYPE_FP32 dims: 4 }\n"
        "ensemble_scheduling { step [ { model_name: \"a\" model_version: -1\n"
        "  input_map { key: \"x\" value: \"in\" } input_map { key: \"w\" value: \"in\" }\n"
        "  output_map { key: \"y\" value: \"m\" } },\n"
        " { model_name: \"b\" model_version: 3 input_map { key: \"x\" value: \"m\" }\n"
        "  output_map { key: \"y\" value: \"out\" } } ] }";
    static const char JSON[] =
        "{\"platform\":\"ensemble\",\"input\":[{\"name\":\"in\",\"data_type\":\"TYPE_FP32\","
        "\"dims\":[4]}],\"output\":[{\"name\":\"out\",\"data_type\":\"TYPE_FP32\",\"dims\":[4]}],"
        "\"ensemble_scheduling\":{\"step\":[{\"model_name\":\"a\",\"model_version\":\"-1\","
        "\"input_map\":{\"x\":\"in\",\"w\":\"in\"},\"output_map\":{\"y\":\"m\"}},"
        "{\"model_name\":\"b\",\"model_version\":3,\"input_map\":{\"x\":\"m\"},"
        "\"output_map\":{\"y\":\"out\"}}]}}";
    for (int json = 0; json < 2; json++) {
        lmn_arena a;
        lmn_serve_config c;
        lamina_error err;
        lmn_arena_init(&a, &env->alloc, 1 << 20);
        T_OK_ERR(read_config(&a, json ? JSON : TEXT, json, &c, &err), &err);
        T_EQ(c.n_steps, 2);
        T_EQ(c.model.batch.max_batch_size, 0);
        T_STR_EQ(c.steps[0].model, "a");
        T_EQ(c.steps[0].version, 0);
        T_EQ(c.steps[0].n_in, 2);
        T_STR_EQ(c.steps[0].in[1].port, "w");
        T_STR_EQ(c.steps[0].out[0].tensor, "m");
        T_EQ(c.steps[1].version, 3);
        T_STR_EQ(c.steps[1].in[0].tensor, "m");
        lmn_arena_finish(&a);
    }
}

T_MAIN(T_TEST(test_ensemble), T_TEST(test_full), T_TEST(test_defaults), T_TEST(test_bad),
       T_TEST(test_memory), T_TEST(test_fits), T_TEST(test_write))
