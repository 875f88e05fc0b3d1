/*
 * test_kserve.c - bodies of infer requests by the table kserve_cases.txt; where tensors lie;
 * answers of every type as JSON and binary, classification, what JSON cannot say; memory that
 * fails.
 */
#include "t.h"

#include "base/text.h"
#include "kserve_models.h"
#include "tensor/tensor.h"

/* What a request became, as the table writes it. */
static void print_text(lmn_strbuf *b, lmn_span s)
{
    char text[400];
    lmn_strbuf_add(b, text, lmn_format_name(text, sizeof text, s.p, s.n));
}

static void print_element(lmn_strbuf *b, const lmn_infer_tensor *t, int64_t i)
{
    char buf[LMN_NUMBER_BYTES];
    lamina_tensor view = {.kind = LAMINA_KIND_TENSOR, .dtype = t->dtype, .rank = 0};
    view.data = (uint8_t *)(uintptr_t)t->data + (size_t)i * lmn_dtype_bytes(t->dtype);
    if (t->dtype == LAMINA_STRING) {
        lmn_strbuf_char(b, '\'');
        print_text(b, ((const lmn_span *)t->data)[i]);
        lmn_strbuf_char(b, '\'');
    } else if (t->dtype == LAMINA_F64) {
        lmn_strbuf_add(b, buf, lmn_format_f64(buf, lmn_get_f64(&view, 0)));
    } else if (LMN_D_FLOAT & LMN_DBIT(t->dtype)) {
        lmn_strbuf_add(b, buf, lmn_format_f32(buf, (float)lmn_get_f64(&view, 0)));
    } else if (t->dtype == LAMINA_U64) {
        lmn_strbuf_add(b, buf, lmn_u64_write(buf, lmn_get_u64(&view, 0)));
    } else {
        lmn_strbuf_add(b, buf, lmn_i64_write(buf, lmn_get_i64(&view, 0)));
    }
}

static void print_input(lmn_strbuf *b, const char *name, const lmn_infer_tensor *t)
{
    int64_t n = 1;
    size_t bytes = 0;
    lmn_strbuf_printf(b, " %s[", name);
    for (int32_t i = 0; i < t->rank; i++) {
        lmn_strbuf_printf(b, "%s%lld", i ? "," : "", (long long)t->dims[i]);
        n *= t->dims[i];
    }
    lmn_strbuf_str(b, "]=");
    for (int64_t i = 0; i < n; i++) {
        if (i) lmn_strbuf_char(b, ' ');
        print_element(b, t, i);
        bytes += t->dtype == LAMINA_STRING ? ((const lmn_span *)t->data)[i].n
                                           : lmn_dtype_bytes(t->dtype);
    }
    T_EQ(t->bytes, bytes);
    T_EQ((uintptr_t)t->data % (t->dtype == LAMINA_STRING ? 8 : lmn_dtype_bytes(t->dtype)), 0);
}

static void print_request(lmn_strbuf *b, const lmn_signature *s, const lmn_infer *r)
{
    if (r->id.n) {
        lmn_strbuf_str(b, " id=");
        print_text(b, r->id);
    }
    if (r->priority) lmn_strbuf_printf(b, " priority=%u", r->priority);
    if (r->timeout_ns) lmn_strbuf_printf(b, " timeout=%llu", (unsigned long long)r->timeout_ns);
    if (r->binary_out) lmn_strbuf_str(b, " binary");
    for (uint32_t i = 0; i < r->n_in; i++) print_input(b, s->in[r->in[i].port].name, &r->in[i]);
    for (uint32_t i = 0; i < r->n_out; i++) {
        lmn_strbuf_printf(b, " >%s", s->out[r->out[i].port].name);
        if (r->out[i].binary) lmn_strbuf_str(b, ":b");
        if (r->out[i].n_classes) lmn_strbuf_printf(b, ":c%u", r->out[i].n_classes);
    }
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t unhex(const char *s, uint8_t *out)
{
    size_t n = 0;
    for (; hex(s[0]) >= 0 && hex(s[1]) >= 0; s += 2)
        out[n++] = (uint8_t)(hex(s[0]) * 16 + hex(s[1]));
    return n;
}

static size_t unescape(const char *s, uint8_t *out)
{
    size_t n = 0;
    for (; *s; s++) {
        if (*s == '%' && hex(s[1]) >= 0 && hex(s[2]) >= 0) {
            out[n++] = (uint8_t)(hex(s[1]) * 16 + hex(s[2]));
            s += 2;
        } else {
            out[n++] = (uint8_t)*s;
        }
    }
    return n;
}

/* The body of a case in a block of its very size. */
static lmn_span body_of(char *text, int64_t *json_bytes)
{
    uint8_t bytes[8192];
    size_t n;
    *json_bytes = -1;
    char *tail = strstr(text, " ++ ");
    if (strncmp(text, "raw:", 4) == 0) {
        *json_bytes = 0;
        n = unhex(text + 4, bytes);
    } else {
        if (tail) *tail = 0;
        n = unescape(text, bytes);
        if (tail) {
            *json_bytes = (int64_t)n;
            n += unhex(tail + 4, bytes + n);
        }
    }
    uint8_t *copy = malloc(n + 1);
    memcpy(copy, bytes, n);
    return (lmn_span){copy, n};
}

static void one_case(t_env *env, char *line, int number, lmn_arena *arena, lmn_infer *r)
{
    lamina_error err;
    lmn_strbuf got, want;
    int64_t json_bytes;
    char *body = strstr(line, " | "), *answer = body ? strstr(body + 3, " | ") : NULL;
    if (!answer) {
        t_fail(__FILE__, __LINE__, "line %d makes no sense", number);
        return;
    }
    *body = *answer = 0;
    body += 3, answer += 3;
    const lmn_signature *s = km_model(line);
    const lmn_span bytes = body_of(body, &json_bytes);
    lmn_strbuf_init(&got, &env->engine->alloc, 65536);
    lmn_strbuf_init(&want, &env->engine->alloc, 65536);
    const lmn_arena_mark mark = lmn_arena_mark_here(arena);
    const lamina_status st = lmn_kserve_read(s, bytes, json_bytes, arena, r, &err);
    if (*answer == '!') {
        if (st == LAMINA_OK || err.status != st || !strstr(err.msg, answer + 1))
            t_fail(__FILE__, __LINE__, "line %d: status %d, \"%s\"", number, (int)st, err.msg);
    } else if (st != LAMINA_OK) {
        t_fail(__FILE__, __LINE__, "line %d: %s", number, err.msg);
    } else {
        uint8_t plain[4096];
        lmn_strbuf_add(&want, plain, unescape(answer, plain));
        print_request(&got, s, r);
        const char *text = lmn_strbuf_text(&got);
        if (strcmp(text + (*text == ' '), lmn_strbuf_text(&want)) != 0)
            t_fail(__FILE__, __LINE__, "line %d: %s", number, text);
    }
    t_now.n_checks++;
    lmn_arena_rewind(arena, mark);
    lmn_strbuf_finish(&got);
    lmn_strbuf_finish(&want);
    free((void *)(uintptr_t)bytes.p);
}

static void test_cases(t_env *env)
{
    static lmn_infer r;
    char line[8192];
    lmn_arena arena;
    int number = 0, cases = 0;
    FILE *f = fopen(T_SOURCE_DIR "/tests/serve/kserve_cases.txt", "r");
    T_REQUIRE(f != NULL);
    lmn_arena_init(&arena, &env->engine->alloc, 1 << 20);
    while (fgets(line, sizeof line, f)) {
        number++;
        line[strcspn(line, "\n")] = 0;
        if (line[0] == 0 || line[0] == '#') continue;
        strcat(line, " "); /* an editor may take the blank behind the last bar away */
        char *end = line + strlen(line) - 1;
        if (end - line < 3 || strncmp(end - 2, " | ", 3) != 0) *end = 0;
        one_case(env, line, number, &arena, &r);
        cases++;
    }
    T_CHECK(cases > 200);
    lmn_arena_finish(&arena);
    fclose(f);
}

/* Aligned binary tensors are not copied, others are. */
static void test_in_place(t_env *env)
{
    static const char HEAD[] = "{\"inputs\":[{\"name\":\"f32\",\"shape\":[2],\"datatype\":\"FP32\","
                               "\"parameters\":{\"binary_data_size\":8}}]}";
    static lmn_infer r;
    static _Alignas(8) uint8_t body[256];
    lmn_arena arena;
    const size_t head = sizeof HEAD - 1;
    lmn_arena_init(&arena, &env->engine->alloc, 1 << 20);
    for (size_t shift = 0; shift < 4; shift++) {
        uint8_t *at = body + shift;
        memcpy(at, HEAD, head);
        memset(at + head, 0, 8);
        T_OK(lmn_kserve_read(km_model("any"), (lmn_span){at, head + 8}, (int64_t)head, &arena, &r,
                             NULL));
        const bool aligned = (uintptr_t)(at + head) % 4 == 0;
        T_EQ(r.in[0].data == at + head, aligned);
    }
    T_EQ(lmn_kserve_read(km_model("any"), (lmn_span){body, 10}, 11, &arena, &r, NULL),
         LAMINA_E_INVALID);
    lmn_arena_finish(&arena);
}

/* Every allocation fails in turn: a status, and the next request is served. */
static void test_no_memory(t_env *env)
{
    static const char BODY[] =
        "{\"id\":\"\\u0061\",\"inputs\":[{\"name\":\"\\u0066\\u00332\",\"shape\":[2],\"datatype\":"
        "\"FP32\",\"data\":[1,2]},{\"name\":\"str\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":["
        "\"\\u0061\"]}]}";
    static lmn_infer r;
    for (int nth = 1;; nth++) {
        lmn_arena arena;
        lmn_arena_init(&arena, &env->engine->alloc, 1 << 20);
        t_fail_alloc(env, nth);
        const lamina_status st =
            lmn_kserve_read(km_model("any"), (lmn_span){(const uint8_t *)BODY, sizeof BODY - 1}, -1,
                            &arena, &r, NULL);
        const bool done = t_fail_pending(env);
        T_EQ(st == LAMINA_OK, done);
        if (!done) T_EQ(st, LAMINA_E_NOMEM);
        lmn_arena_finish(&arena);
        if (done) break;
    }
}

static lamina_tensor *tensor(t_env *env, lamina_dtype dt, int32_t rank, const int64_t *dims,
                             const void *data)
{
    lamina_tensor *t = NULL;
    T_OK(lmn_tensor_new(env->engine, dt, rank, dims, true, &t));
    if (t && data) memcpy(t->data, data, t->data_bytes);
    return t;
}

/* The answer to r with result y (and no other), JSON first; "" on failure. */
static void answer(t_env *env, lmn_infer *r, lamina_tensor *y, lmn_strbuf *out, int64_t *json_bytes)
{
    lmn_span pieces[1 + LMN_INFER_MAX_PORTS];
    uint32_t n = 0;
    lamina_error err = {0};
    lmn_arena arena;
    lmn_arena_init(&arena, &env->engine->alloc, 1 << 20);
    lamina_tensor *result[2] = {y, NULL};
    r->result = result;
    r->n_result = 2;
    lmn_strbuf_reset(out);
    if (lmn_kserve_write(km_model("one"), r, &arena, pieces, &n, json_bytes, &err) == LAMINA_OK)
        for (uint32_t i = 0; i < n; i++) lmn_strbuf_add(out, pieces[i].p, pieces[i].n);
    else
        lmn_strbuf_str(out, err.msg);
    lmn_arena_finish(&arena);
}

#define HEAD "{\"model_name\":\"one\",\"model_version\":\"1\",\"outputs\":[{\"name\":\"y\","

static void test_answers(t_env *env)
{
    static const struct {
        lamina_dtype dt;
        int64_t n;
        union {
            float f[8];
            double d[4];
            uint16_t h[8];
            int8_t i8[8];
            uint8_t u8[8];
            int64_t i64[4];
            uint64_t u64[4];
            uint32_t u32[8];
        } data;
        const char *text;
    } CASES[] = {
        {LAMINA_F32,
         4,
         {.f = {1, 0.1f, -0.0f, 1e-20f}},
         "\"FP32\",\"shape\":[4],\"data\":[1,0.1,-0,1e-20]}]}"},
        {LAMINA_F32,
         3,
         {.f = {NAN, INFINITY, -INFINITY}},
         "\"FP32\",\"shape\":[3],\"data\":[null,1e39,-1e39]}]}"},
        {LAMINA_F64,
         3,
         {.d = {0.1, NAN, -INFINITY}},
         "\"FP64\",\"shape\":[3],\"data\":[0.1,null,-1e999]}]}"},
        {LAMINA_F16, 2, {.h = {0x3c00, 0x7c00}}, "\"FP16\",\"shape\":[2],\"data\":[1,1e39]}]}"},
        {LAMINA_BF16, 1, {.h = {0x3f80}}, "\"BF16\",\"shape\":[1],\"data\":[1]}]}"},
        {LAMINA_I8, 2, {.i8 = {-128, 5}}, "\"INT8\",\"shape\":[2],\"data\":[-128,5]}]}"},
        {LAMINA_U8, 2, {.u8 = {255, 0}}, "\"UINT8\",\"shape\":[2],\"data\":[255,0]}]}"},
        {LAMINA_BOOL, 2, {.u8 = {1, 0}}, "\"BOOL\",\"shape\":[2],\"data\":[true,false]}]}"},
        {LAMINA_U32, 1, {.u32 = {4294967295}}, "\"UINT32\",\"shape\":[1],\"data\":[4294967295]}]}"},
        {LAMINA_I64,
         1,
         {.i64 = {INT64_MIN}},
         "\"INT64\",\"shape\":[1],\"data\":[-9223372036854775808]}]}"},
        {LAMINA_U64,
         1,
         {.u64 = {UINT64_MAX}},
         "\"UINT64\",\"shape\":[1],\"data\":[18446744073709551615]}]}"},
        {LAMINA_F32, 0, {.f = {0}}, "\"FP32\",\"shape\":[0],\"data\":[]}]}"}};
    static lmn_infer_tensor asked;
    lmn_infer r = {.out = &asked};
    lmn_strbuf got, want;
    int64_t json_bytes;
    lmn_strbuf_init(&got, &env->engine->alloc, 65536);
    lmn_strbuf_init(&want, &env->engine->alloc, 65536);
    r.n_out = 1;
    for (size_t i = 0; i < T_COUNT(CASES); i++) {
        lamina_tensor *y = tensor(env, CASES[i].dt, 1, &CASES[i].n, &CASES[i].data);
        lmn_strbuf_reset(&want);
        lmn_strbuf_printf(&want, "%s\"datatype\":%s", HEAD, CASES[i].text);
        r.out[0] = (lmn_infer_tensor){.port = 0};
        answer(env, &r, y, &got, &json_bytes);
        T_STR_EQ(lmn_strbuf_text(&got), lmn_strbuf_text(&want));
        T_EQ(json_bytes, -1);
        r.out[0].binary = true;
        answer(env, &r, y, &got, &json_bytes);
        T_EQ(got.n, (size_t)json_bytes + y->data_bytes);
        if (y->data_bytes) T_MEM_EQ(got.p + json_bytes, y->data, y->data_bytes);
        lamina_tensor_unref(y);
    }
    lmn_strbuf_finish(&got);
    lmn_strbuf_finish(&want);
}

static void test_texts_and_classes(t_env *env)
{
    static const float SCORES[] = {0.5f, 2, 2, NAN, -1, 7, 0, 0.25f};
    static lmn_infer_tensor asked;
    lmn_infer r = {.out = &asked};
    lmn_strbuf got;
    int64_t json_bytes;
    lamina_tensor *s = tensor(env, LAMINA_STRING, 2, (int64_t[]){1, 2}, NULL);
    lamina_tensor *c = tensor(env, LAMINA_F32, 2, (int64_t[]){2, 4}, SCORES);
    lmn_strbuf_init(&got, &env->engine->alloc, 65536);
    T_OK(lamina_tensor_set_string(s, 0, "a\"\xff\n", 4));
    r.n_out = 1;
    r.id = (lmn_span){(const uint8_t *)"q\"", 2};
    r.out[0] = (lmn_infer_tensor){.port = 0};
    answer(env, &r, s, &got, &json_bytes);
    T_STR_EQ(
        lmn_strbuf_text(&got),
        "{\"model_name\":\"one\",\"model_version\":\"1\",\"id\":\"q\\\"\",\"outputs\":[{\"name\":"
        "\"y\",\"datatype\":\"BYTES\",\"shape\":[1,2],\"data\":[\"a\\\"\xef\xbf\xbd\\n\",\"\"]}]}");
    r.id.n = 0;
    r.out[0].binary = true;
    answer(env, &r, s, &got, &json_bytes);
    T_EQ(got.n, (size_t)json_bytes + 12);
    T_MEM_EQ(got.p + json_bytes, "\4\0\0\0a\"\xff\n\0\0\0\0", 12);
    r.out[0] = (lmn_infer_tensor){.port = 0, .n_classes = 3};
    answer(env, &r, c, &got, &json_bytes);
    T_STR_EQ(lmn_strbuf_text(&got), HEAD
             "\"datatype\":\"BYTES\",\"shape\":[2,3],\"data\":[\"2:1:dog\",\"2:2:axolotl\",\"0.5:0:"
             "cat\",\"7:1:dog\",\"0.25:3\",\"0:2:axolotl\"]}]}");
    r.out[0].n_classes = 1000;
    answer(env, &r, c, &got, &json_bytes);
    T_CHECK(strstr(lmn_strbuf_text(&got), "\"shape\":[2,4]") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&got), "\"nan:3\"") != NULL);
    answer(env, &r, s, &got, &json_bytes);
    T_CHECK(strstr(lmn_strbuf_text(&got), "output \"y\" holds no numbers") != NULL);
    answer(env, &r, NULL, &got, &json_bytes);
    T_CHECK(strstr(lmn_strbuf_text(&got), "output \"y\" has no value") != NULL);
    r.n_out = 0; /* all: the second was not computed */
    answer(env, &r, c, &got, &json_bytes);
    T_CHECK(strstr(lmn_strbuf_text(&got), "output \"z\" has no value") != NULL);
    lmn_strbuf_finish(&got);
    lamina_tensor_unref(s);
    lamina_tensor_unref(c);
}

/* The best of many, against sorting them all. */
static void test_many_classes(t_env *env)
{
    enum { N = 1000, K = 17 };
    static float v[N];
    static lmn_infer_tensor asked;
    lmn_infer r = {.out = &asked};
    char want[64];
    lmn_strbuf got;
    int64_t json_bytes;
    lmn_strbuf_init(&got, &env->engine->alloc, 65536);
    for (int i = 0; i < N; i++) v[i] = (float)(t_rand(env) % 500);
    lamina_tensor *c = tensor(env, LAMINA_F32, 2, (int64_t[]){1, N}, v);
    r.n_out = 1;
    r.out[0] = (lmn_infer_tensor){.port = 0, .n_classes = K};
    answer(env, &r, c, &got, &json_bytes);
    const char *p = strstr(lmn_strbuf_text(&got), "[\"");
    for (int k = 0; k < K && p; k++) {
        int best = 0;
        for (int i = 1; i < N; i++)
            if (v[i] > v[best]) best = i;
        (void)lmn_format(want, sizeof want, "\"%g:%d%s%s\"", (double)v[best], best,
                         best < 3 ? ":" : "", best < 3 ? KM_LABELS[best] : "");
        p = strstr(p, want);
        T_CHECK(p != NULL);
        v[best] = -1;
    }
    lmn_strbuf_finish(&got);
    lamina_tensor_unref(c);
}

static void test_metadata(t_env *env)
{
    static const uint64_t VERSIONS[] = {1, 20};
    lmn_strbuf b;
    lmn_jsonw w;
    lmn_strbuf_init(&b, &env->engine->alloc, 65536);
    lmn_jsonw_init(&w, &b, 0);
    lmn_kserve_model_metadata(&w, km_model("one"), VERSIONS, 2);
    T_STR_EQ(
        lmn_strbuf_text(&b),
        "{\"name\":\"one\",\"versions\":[\"1\",\"20\"],\"platform\":\"onnx_lamina\",\"inputs\":[{"
        "\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[-1,4]}],\"outputs\":[{\"name\":\"y\","
        "\"datatype\":\"FP32\",\"shape\":[-1]},{\"name\":\"z\",\"datatype\":\"BYTES\",\"shape\":["
        "-1]}]}");
    lmn_strbuf_reset(&b);
    lmn_jsonw_init(&w, &b, 0);
    lmn_kserve_server_metadata(&w);
    T_CHECK(strstr(lmn_strbuf_text(&b), "{\"name\":\"lamina\",\"version\":\"") != NULL);
    T_CHECK(strstr(lmn_strbuf_text(&b), "\"binary_tensor_data\"") != NULL);
    lmn_strbuf_finish(&b);
}

/* A kept arena takes no more memory, however many requests it saw; small ones and their answers
 * have room in its first block. */
static void test_steady_state(t_env *env)
{
    static const char BODY[] = "{\"inputs\":[{\"name\":\"x\",\"shape\":[1,4],\"datatype\":\"FP32\","
                               "\"data\":[1,2,3,4]}],\"outputs\":[{\"name\":\"y\"}]}";
    static lmn_infer r;
    static const float Y[10] = {0.1f};
    lamina_tensor *y = tensor(env, LAMINA_F32, 1, (int64_t[]){10}, Y);
    lmn_span pieces[1 + LMN_INFER_MAX_PORTS];
    uint32_t n;
    int64_t json_bytes;
    lmn_arena arena;
    long long allocs = 0;
    lmn_arena_init(&arena, &env->engine->alloc, 1 << 20);
    for (int i = 0; i < 100; i++) {
        const lmn_arena_mark mark = lmn_arena_mark_here(&arena);
        T_OK(lmn_kserve_read(km_model("one"), (lmn_span){(const uint8_t *)BODY, sizeof BODY - 1},
                             -1, &arena, &r, NULL));
        r.result[0] = y;
        r.n_result = 1;
        T_OK(lmn_kserve_write(km_model("one"), &r, &arena, pieces, &n, &json_bytes, NULL));
        T_CHECK(arena.taken_bytes <= 2048);
        lmn_arena_rewind(&arena, mark);
        if (i == 1) allocs = env->n_allocs;
    }
    T_EQ(env->n_allocs, allocs);
    lmn_arena_finish(&arena);
    lamina_tensor_unref(y);
}

T_MAIN(T_TEST(test_cases), T_TEST(test_in_place), T_TEST(test_no_memory), T_TEST(test_answers),
       T_TEST(test_texts_and_classes), T_TEST(test_many_classes), T_TEST(test_metadata),
       T_TEST(test_steady_state))
