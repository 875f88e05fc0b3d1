/*
 * Values in files: TensorProto in its typed forms, sequences, optionals, npy and npz; written
 * values read back equal, damaged ones are refused.
 */
#include "pbuild.h"

#include "formats/npy/npy.h"
#include "formats/onnx/onnx_value.h"

static lamina_error err;

static lamina_tensor *ramp(t_env *env, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    lamina_tensor *t = NULL;
    if (!T_OK(lamina_tensor_create(env->engine, dt, rank, dims, &t))) return NULL;
    uint8_t *p = t->data;
    for (size_t i = 0; i < t->data_bytes; i++)
        p[i] = dt == LAMINA_BOOL ? i & 1 : (uint8_t)(i * 37 + 1);
    return t;
}

static void same(const lamina_tensor *a, const lamina_tensor *b)
{
    T_EQ(a->dtype, b->dtype);
    T_CHECK(lmn_dims_equal(a->rank, a->dims, b->rank, b->dims));
    if (T_EQ(a->data_bytes, b->data_bytes) && a->data_bytes)
        T_MEM_EQ(a->data, b->data, a->data_bytes);
}

static lamina_tensor *bytes_of(t_env *env, const lmn_strbuf *b)
{
    lamina_tensor *file = NULL;
    const int64_t n = (int64_t)b->n;
    T_OK(lamina_tensor_from(env->engine, LAMINA_U8, 1, &n, b->p, &file));
    return file;
}

static void test_proto_round_trip(t_env *env)
{
    const int64_t dims[] = {3, 5};
    for (lamina_dtype dt = 1; dt < LAMINA_DTYPE_COUNT; dt++) {
        if (dt == LAMINA_STRING) continue;
        T_CASE(lamina_dtype_name(dt));
        lamina_tensor *t = ramp(env, dt, 2, dims), *back = NULL;
        T_REQUIRE(t);
        lmn_strbuf b;
        lmn_strbuf_init(&b, &env->engine->alloc, 1 << 20);
        T_OK(lmn_onnx_value_write(t, "x", &b));
        const lmn_span span = {(const uint8_t *)b.p, b.n};
        if (T_OK_ERR(lmn_onnx_value_read(env->engine, span, NULL, &back, &err), &err))
            same(t, back);
        lamina_tensor_unref(back);
        lmn_strbuf_finish(&b);
        lamina_tensor_unref(t);
    }
}

static void test_proto_strings_and_sequences(t_env *env)
{
    const int64_t two = 2;
    lamina_tensor *s = NULL, *seq = NULL, *back = NULL, *none = NULL;
    T_REQUIRE(T_OK(lamina_tensor_create(env->engine, LAMINA_STRING, 1, &two, &s)));
    T_OK(lamina_tensor_set_string(s, 0, "a\0b", 3));
    T_REQUIRE(T_OK(lamina_sequence_create(env->engine, LAMINA_STRING, 1, &s, &seq)));
    lmn_strbuf b;
    lmn_strbuf_init(&b, &env->engine->alloc, 1 << 20);
    T_OK(lmn_onnx_value_write(seq, "", &b));
    lmn_fact hint = {.kind = LMN_FACT_SEQUENCE, .rank = -1, .n_elems = -1};
    lmn_span span = {(const uint8_t *)b.p, b.n};
    if (T_OK_ERR(lmn_onnx_value_read(env->engine, span, &hint, &back, &err), &err)) {
        size_t n;
        T_EQ(back->n_items, 1);
        T_CHECK(memcmp(lamina_tensor_string(back->items[0], 0, &n), "a\0b", 3) == 0 && n == 3);
        lamina_tensor_unref(back);
    }
    lmn_strbuf_reset(&b);
    T_OK(lamina_none_create(env->engine, LAMINA_I64, &none));
    T_OK(lmn_onnx_value_write(none, "", &b));
    hint.kind = LMN_FACT_OPTIONAL;
    hint.dtype = LAMINA_I64;
    span = (lmn_span){(const uint8_t *)b.p, b.n};
    if (T_OK(lmn_onnx_value_read(env->engine, span, &hint, &back, &err))) {
        T_EQ(back->kind, LAMINA_KIND_NONE);
        T_EQ(back->dtype, LAMINA_I64);
        lamina_tensor_unref(back);
    }
    lmn_strbuf_finish(&b);
    lamina_tensor_unref(none);
    lamina_tensor_unref(seq);
    lamina_tensor_unref(s);
}

/* What is written of `v` and read back as the kind it is, NULL if either fails. */
static lamina_tensor *through_proto(t_env *env, const lamina_tensor *v, uint8_t kind)
{
    lamina_tensor *back = NULL;
    lmn_strbuf b;
    lmn_strbuf_init(&b, &env->engine->alloc, 1 << 20);
    T_OK(lmn_onnx_value_write(v, "name", &b));
    const lmn_fact hint = {.kind = kind, .rank = -1, .n_elems = -1};
    const lmn_span span = {(const uint8_t *)b.p, b.n};
    T_OK_ERR(lmn_onnx_value_read(env->engine, span, &hint, &back, &err), &err);
    lmn_strbuf_finish(&b);
    return back;
}

static void test_proto_maps(t_env *env)
{
    const int64_t two = 2;
    lamina_tensor *keys = NULL, *values = NULL, *map = NULL, *seq = NULL, *back;
    T_REQUIRE(T_OK(lamina_tensor_create(env->engine, LAMINA_I64, 1, &two, &keys)));
    T_REQUIRE(T_OK(lamina_tensor_create(env->engine, LAMINA_STRING, 1, &two, &values)));
    lmn_set_i64(keys, 0, -3);
    T_OK(lamina_tensor_set_string(values, 1, "a\0b", 3));
    T_REQUIRE(T_OK(lamina_map_create(env->engine, keys, values, &map)));
    T_REQUIRE(T_OK(lamina_sequence_create(env->engine, LAMINA_STRING, 1, &map, &seq)));
    if ((back = through_proto(env, seq, LMN_FACT_SEQUENCE)) != NULL) {
        const lamina_tensor *item = lamina_sequence_item(back, 0);
        size_t n = 0;
        T_EQ(lmn_get_i64(lamina_map_keys(item), 0), -3);
        T_CHECK(memcmp(lamina_tensor_string(lamina_map_values(item), 1, &n), "a\0b", 3) == 0);
        T_EQ(n, 3);
        lamina_tensor_unref(back);
    }
    lamina_tensor_unref(seq), lamina_tensor_unref(map);
    T_REQUIRE(T_OK(lamina_map_create(env->engine, keys, keys, &map)));
    if ((back = through_proto(env, map, LMN_FACT_MAP)) != NULL) {
        T_EQ(back->kind, LAMINA_KIND_MAP);
        T_EQ(lmn_get_i64(lamina_map_values(back), 0), -3);
        lamina_tensor_unref(back);
    }
    lamina_tensor_unref(map), lamina_tensor_unref(keys), lamina_tensor_unref(values);
    /* Packed keys 1, 1; no key type; keys without values. */
    static const char *const BAD[] = {"\x10\x07\x1a\x02\x01\x01", "\x1a\x01\x01",
                                      "\x10\x07\x18\x01", "\x10\x07\x18\x01\x22\x01x"};
    for (size_t i = 0; i < T_COUNT(BAD); i++) {
        const lmn_fact hint = {.kind = LMN_FACT_MAP, .rank = -1, .n_elems = -1};
        const lmn_span span = {(const uint8_t *)BAD[i], strlen(BAD[i])};
        back = T_UNTOUCHED;
        T_CHECK(lmn_onnx_value_read(env->engine, span, &hint, &back, &err) != LAMINA_OK);
        T_CHECK(err.msg[0] != 0);
    }
}

/* Typed fields: (type, field, entries) with small numbers, packed and not. */
static void test_typed_fields(t_env *env)
{
    static const struct {
        lamina_dtype dt;
        uint32_t field;
        size_t entries; /* for two elements */
    } rows[] = {{LAMINA_I32, 5, 2},  {LAMINA_U8, 5, 2},    {LAMINA_BOOL, 5, 2}, {LAMINA_F16, 5, 2},
                {LAMINA_I4, 5, 1},   {LAMINA_U2, 5, 1},    {LAMINA_I64, 7, 2},  {LAMINA_U32, 11, 2},
                {LAMINA_U64, 11, 2}, {LAMINA_F8E5M2, 5, 2}};
    for (size_t i = 0; i < T_COUNT(rows); i++)
        for (int packed = 0; packed < 2; packed++) {
            static pb m, list;
            uint8_t v[10];
            lamina_tensor *t = NULL;
            T_CASE(lamina_dtype_name(rows[i].dt));
            m.n = list.n = 0;
            pb_int(&m, 1, 2);
            pb_int(&m, 2, (uint64_t)rows[i].dt);
            for (size_t k = 0; k < rows[i].entries; k++) {
                if (packed)
                    pb_raw(&list, v, lmn_pb_put_varint(v, k));
                else
                    pb_int(&m, rows[i].field, k);
            }
            if (packed) pb_msg(&m, rows[i].field, &list);
            if (T_OK_ERR(lmn_onnx_value_read(env->engine, (lmn_span){m.p, m.n}, NULL, &t, &err),
                         &err) &&
                rows[i].entries == 2)
                T_EQ(((const uint8_t *)t->data)[t->data_bytes / 2], 1);
            lamina_tensor_unref(t);
            pb_int(&m, rows[i].field, 1); /* one too many */
            T_EQ(lmn_onnx_value_read(env->engine, (lmn_span){m.p, m.n}, NULL, &t, &err),
                 LAMINA_E_CORRUPT);
        }
}

static void test_npy_round_trip(t_env *env)
{
    static const lamina_dtype types[] = {LAMINA_BOOL, LAMINA_I8,  LAMINA_U8,   LAMINA_I16,
                                         LAMINA_U16,  LAMINA_I32, LAMINA_U32,  LAMINA_I64,
                                         LAMINA_U64,  LAMINA_F16, LAMINA_BF16, LAMINA_F32,
                                         LAMINA_F64,  LAMINA_C64, LAMINA_C128};
    const int64_t dims[] = {2, 3, 4};
    for (size_t i = 0; i < T_COUNT(types); i++)
        for (int32_t rank = 0; rank <= 3; rank++) {
            T_CASE(lamina_dtype_name(types[i]));
            lamina_tensor *t = ramp(env, types[i], rank, dims), *back = NULL;
            T_REQUIRE(t);
            lmn_strbuf b;
            lmn_strbuf_init(&b, &env->engine->alloc, 1 << 20);
            T_OK(lmn_npy_write(t, &b));
            T_EQ((b.n - t->data_bytes) % 64, 0);
            lamina_tensor *file = bytes_of(env, &b);
            if (T_OK_ERR(lmn_npy_read(file, 0, b.n, &back, &err), &err)) same(t, back);
            lamina_tensor_unref(back);
            for (size_t n = 0; n < b.n; n++) /* every truncation is refused */
                T_CHECK(lmn_npy_read(file, 0, n, &back, &err) != LAMINA_OK);
            lamina_tensor_unref(file);
            lmn_strbuf_finish(&b);
            lamina_tensor_unref(t);
        }
}

/* An .npy of this header over the bytes 0, 1, 2 ... 15. */
static lamina_status read_header(t_env *env, const char *dict, lamina_tensor **out)
{
    lmn_strbuf b;
    lmn_strbuf_init(&b, &env->engine->alloc, 1 << 16);
    const uint8_t magic[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)strlen(dict), 0};
    lmn_strbuf_add(&b, magic, sizeof magic);
    lmn_strbuf_str(&b, dict);
    for (int i = 0; i < 16; i++) lmn_strbuf_char(&b, (char)i);
    lamina_tensor *file = bytes_of(env, &b), *v = NULL;
    lamina_status st = lmn_npy_read(file, 0, b.n, &v, &err);
    if (st == LAMINA_OK) st = lmn_tensor_clone(env->engine, v, out);
    lamina_tensor_unref(v);
    lamina_tensor_unref(file);
    lmn_strbuf_finish(&b);
    return st;
}

static void test_npy_forms(t_env *env)
{
    static const struct {
        const char *dict;
        lamina_status st;
    } bad[] = {{"{'descr': '<U2', 'fortran_order': False, 'shape': (2,), }", LAMINA_E_DTYPE},
               {"{'descr': '|O', 'fortran_order': False, 'shape': (2,), }", LAMINA_E_DTYPE},
               {"{'descr': '<M8[ns]', 'fortran_order': False, 'shape': (2,), }", LAMINA_E_DTYPE},
               {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2,), }",
                LAMINA_E_UNSUPPORTED},
               {"{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }", LAMINA_E_CORRUPT},
               {"{'descr': '<f4', 'fortran_order': False, 'shape': (1152921504606846976,), }",
                LAMINA_E_PARSE},
               {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
                LAMINA_E_RANGE},
               {"{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,), }", LAMINA_E_PARSE},
               {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }",
                LAMINA_E_PARSE},
               {"{'descr': '<f4', 'fortran_order': False, }", LAMINA_E_PARSE},
               {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,", LAMINA_E_PARSE}};
    lamina_tensor *t = NULL;
    for (size_t i = 0; i < T_COUNT(bad); i++) {
        T_CASE(bad[i].dict);
        T_EQ(read_header(env, bad[i].dict, &t), bad[i].st);
    }
    T_CASE("big-endian");
    T_REQUIRE(T_OK_ERR(
        read_header(env, "{'descr': '>u2', 'fortran_order': False, 'shape': (8,)}", &t), &err));
    T_EQ(((const uint16_t *)t->data)[1], 0x0203);
    lamina_tensor_unref(t);
    T_CASE("fortran");
    T_REQUIRE(
        T_OK_ERR(read_header(env, "{'descr':'|u1','fortran_order':True,'shape':(2,3)}", &t), &err));
    T_MEM_EQ(t->data, "\0\2\4\1\3\5", 6);
    lamina_tensor_unref(t);
}

static void test_npz(t_env *env)
{
    const int64_t dims[] = {4, 3};
    lamina_tensor *a = ramp(env, LAMINA_F32, 2, dims), *b = ramp(env, LAMINA_I8, 1, dims),
                  *back = NULL;
    T_REQUIRE(a && b);
    lmn_strbuf buf;
    lmn_strbuf_init(&buf, &env->engine->alloc, 1 << 20);
    T_OK(lmn_npz_write((const lamina_tensor *[]){a, b}, (const char *[]){"first", "second"}, 2,
                       &buf));
    lamina_tensor *file = bytes_of(env, &buf);
    lmn_npz z;
    if (T_OK_ERR(lmn_npz_open(file, &z, &err), &err)) {
        T_EQ(z.n, 2);
        if (T_OK_ERR(lmn_npz_get(&z, "first", &back, &err), &err)) same(a, back);
        lamina_tensor_unref(back);
        back = NULL;
        if (T_OK_ERR(lmn_npz_get(&z, "second", &back, &err), &err)) same(b, back);
        lamina_tensor_unref(back);
        T_EQ(lmn_npz_get(&z, "third", &back, &err), LAMINA_E_RANGE);
    }
    lmn_npz_close(&z);
    lamina_tensor_unref(file);
    for (int i = 0; i < 2000; i++) { /* any byte may lie; only memory safety is promised */
        size_t at = (size_t)t_rand_int(env, 0, (int64_t)buf.n - 1);
        const char old = buf.p[at];
        buf.p[at] = (char)t_rand(env);
        file = bytes_of(env, &buf);
        if (lmn_npz_open(file, &z, &err) == LAMINA_OK && z.n &&
            lmn_npz_get(&z, z.members[0].name, &back, &err) == LAMINA_OK)
            lamina_tensor_unref(back);
        lmn_npz_close(&z);
        lamina_tensor_unref(file);
        buf.p[at] = old;
    }
    lmn_strbuf_finish(&buf);
    lamina_tensor_unref(a);
    lamina_tensor_unref(b);
}

T_MAIN(T_TEST(test_proto_round_trip), T_TEST(test_proto_strings_and_sequences),
       T_TEST(test_proto_maps), T_TEST(test_typed_fields), T_TEST(test_npy_round_trip),
       T_TEST(test_npy_forms), T_TEST(test_npz))
