/*
 * test_tensor.c - values: creation, wrapping, views, strings, sequences, copies, element access,
 * and that a failure at any allocation leaves nothing behind.
 */
#include "t.h"
#include "tensor/tensor.h"

#include <pthread.h>

static void test_create(t_env *env)
{
    for (lamina_dtype dt = 1; dt < LAMINA_DTYPE_COUNT; dt++) {
        const int64_t dims[3] = {2, 3, 5};
        lamina_tensor *t = NULL;
        size_t bytes;
        T_CASE(lamina_dtype_name(dt));
        const long long before = env->n_allocs;
        T_OK(lamina_tensor_create(env->engine, dt, 3, dims, &t));
        T_REQUIRE(t);
        T_EQ(env->n_allocs - before, 1);
        T_CHECK(lmn_dense_bytes(dt, 30, &bytes));
        T_EQ(lamina_tensor_kind(t), LAMINA_KIND_TENSOR);
        T_EQ(lamina_tensor_dtype(t), dt);
        T_EQ(lamina_tensor_rank(t), 3);
        T_EQ(lamina_tensor_count(t), 30);
        T_EQ(lamina_tensor_dims(t)[2], 5);
        T_EQ(lamina_tensor_strides(t)[0], 15);
        T_EQ((uintptr_t)t->data % LMN_TENSOR_ALIGN, 0);
        T_EQ(lamina_tensor_bytes(t), dt == LAMINA_STRING ? 0 : bytes);
        T_CHECK((lamina_tensor_data(t) == NULL) == (dt == LAMINA_STRING));
        for (size_t i = 0; i < bytes; i++)
            if (((uint8_t *)t->data)[i]) t_fail(__FILE__, __LINE__, "byte %zu is not 0", i);
        lamina_tensor_unref(t);
        T_NOTHING_HELD(env);
    }
}

static void test_refused(t_env *env)
{
    const int64_t d2[2] = {2, 3}, neg[2] = {2, -1}, huge[3] = {1ll << 31, 1ll << 31, 4},
                  empty_huge[4] = {0, 1ll << 31, 1ll << 31, 4}, big[1] = {INT64_MAX / 2};
    float data[6] = {0};
    const struct {
        const char *name;
        lamina_dtype dt;
        int32_t rank;
        const int64_t *dims;
        lamina_status want;
    } cases[] = {
        {"no dims", LAMINA_F32, 2, NULL, LAMINA_E_INVALID},
        {"negative", LAMINA_F32, 2, neg, LAMINA_E_INVALID},
        {"rank 9", LAMINA_F32, 9, d2, LAMINA_E_RANGE},
        {"rank -1", LAMINA_F32, -1, d2, LAMINA_E_RANGE},
        {"type 0", LAMINA_DTYPE_NONE, 2, d2, LAMINA_E_DTYPE},
        {"type 27", LAMINA_DTYPE_COUNT, 2, d2, LAMINA_E_DTYPE},
        {"count overflows", LAMINA_U8, 3, huge, LAMINA_E_RANGE},
        {"strides overflow", LAMINA_U8, 4, empty_huge, LAMINA_E_RANGE},
        {"bytes overflow", LAMINA_F64, 1, big, LAMINA_E_RANGE},
        {"no such memory", LAMINA_U8, 1, big, LAMINA_E_NOMEM},
    };
    for (size_t i = 0; i < T_COUNT(cases); i++) {
        lamina_tensor *out = T_UNTOUCHED;
        T_CASE(cases[i].name);
        T_EQ(lamina_tensor_create(env->engine, cases[i].dt, cases[i].rank, cases[i].dims, &out),
             cases[i].want);
        T_CHECK(out == T_UNTOUCHED);
        T_NOTHING_HELD(env);
    }
    lamina_tensor *out = T_UNTOUCHED;
    T_CASE("arguments");
    T_EQ(lamina_tensor_create(NULL, LAMINA_F32, 2, d2, &out), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_create(env->engine, LAMINA_F32, 2, d2, NULL), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_from(env->engine, LAMINA_STRING, 2, d2, data, &out), LAMINA_E_DTYPE);
    T_EQ(lamina_tensor_from(env->engine, LAMINA_F32, 2, d2, NULL, &out), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_from(env->engine, LAMINA_F32, 2, d2, (char *)data + 2, &out),
         LAMINA_E_INVALID);
    T_CHECK(out == T_UNTOUCHED);
}

static void count_release(void *ctx)
{
    ++*(int *)ctx;
}

static void test_wrap(t_env *env)
{
    int32_t data[6] = {0, 1, 2, 3, 4, 5};
    int released = 0;
    const int64_t d[2] = {3, 2}, transposed[2] = {1, 3}, dense[2] = {2, 1}, odd_one[3] = {99, 2, 1},
                  d1[3] = {1, 3, 2}, wild[2] = {INT64_MAX, 1}, zero[2] = {0, 0}, d0[2] = {0, 2};
    lamina_tensor *t = NULL, *out = T_UNTOUCHED;
    T_OK(lamina_tensor_wrap(env->engine, LAMINA_I32, 2, d, transposed, data,
                            &(lamina_owner){count_release, &released}, &t));
    T_CHECK(t->strided && lamina_tensor_data(t) == data);
    int32_t packed[6];
    lmn_tensor_pack(t, packed);
    T_MEM_EQ(packed, ((const int32_t[]){0, 3, 1, 4, 2, 5}), sizeof packed);
    for (int i = 0; i < 6; i++) T_EQ(lmn_get_i64(t, i), packed[i]);
    lamina_tensor_ref(t);
    lamina_tensor_unref(t);
    T_EQ(released, 0);
    lamina_tensor_unref(t);
    T_EQ(released, 1);

    T_OK(lamina_tensor_wrap(env->engine, LAMINA_I32, 2, d, dense, data, NULL, &t));
    T_CHECK(!t->strided);
    lamina_tensor_unref(t);
    T_OK(lamina_tensor_wrap(env->engine, LAMINA_I32, 3, d1, odd_one, data, NULL, &t));
    T_CHECK(!t->strided && t->strides[0] == 6);
    lamina_tensor_unref(t);
    T_OK(lamina_tensor_wrap(env->engine, LAMINA_I32, 2, d, zero, data + 4, NULL, &t));
    lmn_tensor_pack(t, packed);
    T_CHECK(packed[0] == 4 && packed[5] == 4);
    lamina_tensor_unref(t);
    T_OK(lamina_tensor_wrap(env->engine, LAMINA_I32, 2, d0, wild, NULL, NULL, &t));
    T_CHECK(!t->strided && lamina_tensor_data(t) == NULL);
    lamina_tensor_unref(t);
    T_EQ(lamina_tensor_wrap(env->engine, LAMINA_I32, 2, d, wild, data,
                            &(lamina_owner){count_release, &released}, &out),
         LAMINA_E_RANGE);
    T_EQ(lamina_tensor_wrap(env->engine, LAMINA_I4, 2, d, transposed, data,
                            &(lamina_owner){count_release, &released}, &out),
         LAMINA_E_INVALID);
    T_CHECK(out == T_UNTOUCHED && released == 1);
}

/* Every permutation-like stride pattern of rank 3, signs included, against index arithmetic. */
static void test_pack_random(t_env *env)
{
    for (int round = 0; round < 300; round++) {
        int64_t dims[4], strides[4];
        int16_t data[4096], packed[4096];
        const int rank = (int)t_rand_int(env, 1, 4);
        int64_t base = 2048, count = 1;
        for (int i = 0; i < 4096; i++) data[i] = (int16_t)i;
        for (int i = 0; i < rank; i++) {
            dims[i] = t_rand_int(env, 1, 5);
            strides[i] = t_rand_int(env, -100, 100);
            count *= dims[i];
        }
        if (t_rand(env) & 1) strides[rank - 1] = 1;
        lamina_tensor *t = NULL;
        T_OK(lamina_tensor_wrap(env->engine, LAMINA_I16, rank, dims, strides, data + base, NULL,
                                &t));
        T_REQUIRE(t);
        lmn_tensor_pack(t, packed);
        for (int64_t i = 0; i < count; i++) {
            int64_t rest = i, at = base;
            for (int k = rank - 1; k >= 0; k--) {
                at += rest % dims[k] * strides[k];
                rest /= dims[k];
            }
            T_EQ(packed[i], data[at]);
            T_EQ(lmn_get_i64(t, i), data[at]);
        }
        lamina_tensor_unref(t);
    }
}

static void test_view(t_env *env)
{
    const int64_t d[2] = {4, 3}, flat[1] = {6}, all[1] = {12}, more[1] = {13};
    lamina_tensor *t = NULL, *v = NULL, *out = T_UNTOUCHED;
    T_OK(lamina_tensor_create(env->engine, LAMINA_F32, 2, d, &t));
    T_REQUIRE(t);
    for (int i = 0; i < 12; i++) lmn_set_f64(t, i, i);
    T_OK(lmn_tensor_view(t, 1, flat, 24, LAMINA_F32, &v));
    T_EQ(lmn_tensor_view(t, 1, all, 4, LAMINA_F32, &out), LAMINA_E_RANGE);
    T_EQ(lmn_tensor_view(t, 1, more, 0, LAMINA_F32, &out), LAMINA_E_RANGE);
    T_EQ(lmn_tensor_view(t, 1, all, 0, LAMINA_STRING, &out), LAMINA_E_DTYPE);
    T_EQ(lmn_tensor_view(t, 1, all, SIZE_MAX, LAMINA_F32, &out), LAMINA_E_RANGE);
    lamina_tensor_unref(t); /* the view keeps the block */
    T_REQUIRE(v);
    T_CHECK(lmn_get_f64(v, 0) == 6 && lmn_get_f64(v, 5) == 11);
    lamina_tensor_unref(v);
    lamina_tensor slot;
    T_OK(lmn_tensor_describe(&slot, env->engine, LAMINA_F32, 1, all));
    T_EQ(lmn_tensor_view(&slot, 1, all, 0, LAMINA_F32, &out), LAMINA_E_STATE);
    T_CHECK(out == T_UNTOUCHED);
}

static void test_strings(t_env *env)
{
    const int64_t d[1] = {3};
    lamina_tensor *t = NULL, *copy = NULL;
    size_t n = 9;
    T_OK(lamina_tensor_create(env->engine, LAMINA_STRING, 1, d, &t));
    T_REQUIRE(t);
    T_STR_EQ(lamina_tensor_string(t, 0, &n), "");
    T_EQ(n, 0);
    T_OK(lamina_tensor_set_string(t, 0, "first", 5));
    T_OK(lamina_tensor_set_string(t, 0, "a\0b", 3));
    T_OK(lamina_tensor_set_string(t, 2, "last one", 4));
    T_OK(lamina_tensor_set_string(t, 1, NULL, 0));
    T_EQ(lamina_tensor_set_string(t, 3, "x", 1), LAMINA_E_RANGE);
    T_EQ(lamina_tensor_set_string(t, -1, "x", 1), LAMINA_E_RANGE);
    T_EQ(lamina_tensor_set_string(t, 0, NULL, 1), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_set_string(t, 0, "x", SIZE_MAX), LAMINA_E_NOMEM);
    T_CHECK(lamina_tensor_string(t, 3, &n) == NULL);
    T_OK(lmn_tensor_clone(env->engine, t, &copy));
    lamina_tensor_unref(t);
    T_REQUIRE(copy);
    T_MEM_EQ(lamina_tensor_string(copy, 0, &n), "a\0b", 4);
    T_EQ(n, 3);
    T_STR_EQ(lamina_tensor_string(copy, 1, NULL), "");
    T_STR_EQ(lamina_tensor_string(copy, 2, NULL), "last");
    lamina_tensor_unref(copy);

    float f = 1;
    T_OK(lamina_tensor_from(env->engine, LAMINA_F32, 0, NULL, &f, &t));
    T_CHECK(lamina_tensor_string(t, 0, NULL) == NULL);
    T_EQ(lamina_tensor_set_string(t, 0, "x", 1), LAMINA_E_DTYPE);
    lamina_tensor_unref(t);
}

static void test_sequence(t_env *env)
{
    const int64_t d[1] = {2};
    lamina_tensor *items[3] = {0}, *seq = NULL, *copy = NULL, *none = NULL, *out = T_UNTOUCHED;
    for (int i = 0; i < 3; i++) {
        T_OK(lamina_tensor_create(env->engine, LAMINA_I64, 1, d, &items[i]));
        lmn_set_i64(items[i], 1, 10 + i);
    }
    T_OK(lamina_sequence_create(env->engine, LAMINA_I64, 3, items, &seq));
    T_EQ(lamina_sequence_create(env->engine, LAMINA_F32, 3, items, &out), LAMINA_E_DTYPE);
    T_EQ(lamina_sequence_create(env->engine, LAMINA_I64, 1, NULL, &out), LAMINA_E_INVALID);
    T_EQ(lamina_sequence_create(env->engine, LAMINA_I64, -1, items, &out), LAMINA_E_INVALID);
    T_EQ(lamina_sequence_create(env->engine, LAMINA_I64, 1, &seq, &out), LAMINA_E_INVALID);
    for (int i = 0; i < 3; i++) lamina_tensor_unref(items[i]);
    T_EQ(lamina_tensor_kind(seq), LAMINA_KIND_SEQUENCE);
    T_EQ(lamina_tensor_count(seq), 3);
    T_EQ(lamina_tensor_rank(seq), 0);
    T_EQ(lamina_tensor_bytes(seq), 0);
    T_CHECK(lamina_tensor_data(seq) == NULL);
    T_CHECK(!lamina_sequence_item(seq, 3) && !lamina_sequence_item(seq, -1));
    T_OK(lmn_tensor_clone(env->engine, seq, &copy));
    T_CHECK(lamina_sequence_item(copy, 2) != lamina_sequence_item(seq, 2));
    lamina_tensor_unref(seq);
    T_EQ(lmn_get_i64(lamina_sequence_item(copy, 2), 1), 12);
    T_CHECK(lamina_sequence_item(lamina_sequence_item(copy, 2), 0) == NULL);
    lamina_tensor_unref(copy);

    T_OK(lamina_sequence_create(env->engine, LAMINA_STRING, 0, NULL, &seq));
    T_EQ(lamina_tensor_count(seq), 0);
    T_EQ(lamina_tensor_dtype(seq), LAMINA_STRING);
    lamina_tensor_unref(seq);
    T_OK(lamina_none_create(env->engine, LAMINA_F32, &none));
    T_EQ(lamina_tensor_kind(none), LAMINA_KIND_NONE);
    T_EQ(lamina_tensor_count(none), 0);
    T_OK(lmn_tensor_clone(env->engine, none, &copy));
    T_EQ(lamina_tensor_kind(copy), LAMINA_KIND_NONE);
    lamina_tensor_unref(copy);
    lamina_tensor_unref(none);
    T_CHECK(lamina_tensor_ref(NULL) == NULL);
    lamina_tensor_unref(NULL);
}

static lamina_tensor *vector(t_env *env, lamina_dtype dtype, int64_t n, int64_t first)
{
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(env->engine, dtype, 1, &n, &t));
    for (int64_t i = 0; t && dtype != LAMINA_STRING && i < n; i++) lmn_set_i64(t, i, first + i);
    return t;
}

static void test_map(t_env *env)
{
    lamina_tensor *keys = vector(env, LAMINA_I64, 3, 7), *map = NULL, *seq = NULL, *copy = NULL;
    lamina_tensor *values = vector(env, LAMINA_F32, 3, 1), *two = vector(env, LAMINA_F32, 2, 1);
    lamina_tensor *words = vector(env, LAMINA_STRING, 3, 0), *out = T_UNTOUCHED, *mixed[2];
    T_REQUIRE(keys && values && two && words);
    T_EQ(lamina_map_create(env->engine, NULL, values, &out), LAMINA_E_INVALID);
    T_EQ(lamina_map_create(env->engine, values, keys, &out), LAMINA_E_DTYPE);
    T_EQ(lamina_map_create(env->engine, keys, two, &out), LAMINA_E_SHAPE);
    T_EQ(lamina_map_create(env->engine, words, values, &out), LAMINA_E_INVALID); /* "" thrice */
    for (int64_t i = 0; i < 3; i++) T_OK(lamina_tensor_set_string(words, i, "abc", (size_t)i));
    T_OK(lamina_map_create(env->engine, words, values, &copy));
    T_REQUIRE(T_OK(lamina_map_create(env->engine, keys, values, &map)));
    T_EQ(lamina_tensor_kind(map), LAMINA_KIND_MAP);
    T_EQ(lamina_tensor_dtype(map), LAMINA_F32);
    T_EQ(lamina_tensor_count(map), 3);
    T_EQ(lamina_tensor_rank(map), 0);
    T_CHECK(!lamina_tensor_data(map) && !lamina_tensor_bytes(map));
    T_CHECK(lamina_map_keys(map) == keys && lamina_map_values(map) == values);
    T_CHECK(!lamina_map_keys(keys) && !lamina_map_values(NULL) && !lamina_sequence_item(map, 0));
    mixed[0] = map, mixed[1] = copy;
    T_EQ(lamina_sequence_create(env->engine, LAMINA_F32, 2, mixed, &out), LAMINA_E_DTYPE);
    mixed[1] = values;
    T_EQ(lamina_sequence_create(env->engine, LAMINA_F32, 2, mixed, &out), LAMINA_E_INVALID);
    T_EQ(lamina_map_create(env->engine, keys, map, &out), LAMINA_E_INVALID);
    lamina_tensor_unref(copy);
    T_OK(lamina_sequence_create(env->engine, LAMINA_F32, 1, mixed, &seq));
    lmn_set_i64(keys, 1, 7);
    T_EQ(lamina_map_create(env->engine, keys, values, &out), LAMINA_E_INVALID);
    T_OK(lmn_tensor_clone(env->engine, seq, &copy));
    lamina_tensor_unref(seq), lamina_tensor_unref(map), lamina_tensor_unref(keys);
    lamina_tensor_unref(values), lamina_tensor_unref(two), lamina_tensor_unref(words);
    T_EQ(lmn_get_i64(lamina_map_keys(lamina_sequence_item(copy, 0)), 2), 9);
    lamina_tensor_unref(copy);
    T_NOTHING_HELD(env);
}

/* Operators take the items of a sequence as dense. */
static void test_sequence_strided(t_env *env)
{
    static const float data[6] = {0, 1, 2, 3, 4, 5};
    static const int64_t dims[2] = {3, 2}, strides[2] = {1, 3};
    lamina_tensor *t = NULL, *seq = NULL;
    T_OK(lamina_tensor_wrap(env->engine, LAMINA_F32, 2, dims, strides, data, NULL, &t));
    T_OK(lamina_sequence_create(env->engine, LAMINA_F32, 1, &t, &seq));
    lamina_tensor_unref(t);
    const lamina_tensor *item = lamina_sequence_item(seq, 0);
    T_CHECK(item && !item->strided && ((const float *)item->data)[1] == 3.0f);
    lamina_tensor_unref(seq);
}

static void test_elements(t_env *env)
{
    const int64_t d[1] = {5};
    for (lamina_dtype dt = 1; dt < LAMINA_DTYPE_COUNT; dt++) {
        if (dt == LAMINA_STRING) continue;
        lamina_tensor *t = NULL;
        T_CASE(lamina_dtype_name(dt));
        T_OK(lamina_tensor_create(env->engine, dt, 1, d, &t));
        T_REQUIRE(t);
        lmn_set_f64(t, 3, 1);
        T_CHECK(lmn_get_f64(t, 3) == 1);
        T_EQ(lmn_get_i64(t, 3), 1);
        T_EQ(lmn_get_u64(t, 3), 1);
        lmn_set_i64(t, 4, 1);
        T_EQ(lmn_get_i64(t, 4), 1);
        T_EQ(lmn_get_i64(t, 3), 1);
        const lmn_dclass c = lmn_dtype_class(dt);
        const int bits = (int)lamina_dtype_bits(dt);
        lmn_set_f64(t, 2, 1e300);
        if (c == LMN_CLASS_SINT) T_EQ(lmn_get_i64(t, 2), INT64_MAX >> (64 - bits));
        if (c == LMN_CLASS_UINT) T_EQ(lmn_get_u64(t, 2), UINT64_MAX >> (64 - bits));
        lmn_set_f64(t, 2, -1e300);
        if (c == LMN_CLASS_SINT) T_EQ(lmn_get_i64(t, 2), INT64_MIN >> (64 - bits));
        if (c == LMN_CLASS_UINT) T_EQ(lmn_get_u64(t, 2), 0);
        lmn_set_f64(t, 2, NAN);
        if (c == LMN_CLASS_SINT || c == LMN_CLASS_UINT) T_EQ(lmn_get_i64(t, 2), 0);
        lmn_set_i64(t, 2, -1); /* wraps */
        if (c == LMN_CLASS_SINT) T_EQ(lmn_get_i64(t, 2), -1);
        if (c == LMN_CLASS_UINT) T_EQ(lmn_get_u64(t, 2), UINT64_MAX >> (64 - bits));
        lamina_tensor_unref(t);
    }
    lamina_tensor *t = NULL;
    T_CASE("reading floats as integers");
    T_OK(lamina_tensor_create(env->engine, LAMINA_F64, 1, d, &t));
    T_REQUIRE(t);
    const double in[5] = {-1.9, 1e30, -1e30, NAN, 0x1p63};
    const int64_t want[5] = {-1, INT64_MAX, INT64_MIN, 0, INT64_MAX};
    const uint64_t want_u[5] = {0, UINT64_MAX, 0, 0, (uint64_t)1 << 63};
    for (int i = 0; i < 5; i++) {
        lmn_set_f64(t, i, in[i]);
        T_EQ(lmn_get_i64(t, i), want[i]);
        T_EQ(lmn_get_u64(t, i), want_u[i]);
    }
    lamina_tensor_unref(t);
}

/* One of everything; false when an allocation failed, with nothing left behind. */
static bool build_all(t_env *env)
{
    const int64_t d[2] = {2, 2}, by_column[2] = {1, 2}, four[1] = {4};
    int32_t data[4] = {1, 2, 3, 4};
    lamina_tensor *strs = NULL, *strided = NULL, *view = NULL, *seq = NULL, *copy = NULL,
                  *copy2 = NULL, *none = NULL;
    bool ok = lamina_tensor_create(env->engine, LAMINA_STRING, 2, d, &strs) == LAMINA_OK;
    ok = ok && lamina_tensor_set_string(strs, 3, "text", 4) == LAMINA_OK;
    ok = ok && lamina_tensor_set_string(strs, 3, "other", 5) == LAMINA_OK;
    ok = ok && lmn_tensor_view(strs, 1, four, 0, LAMINA_STRING, &view) == LAMINA_OK;
    ok = ok && lamina_tensor_wrap(env->engine, LAMINA_I32, 2, d, by_column, data, NULL, &strided) ==
                   LAMINA_OK;
    ok = ok && lmn_tensor_clone(env->engine, strided, &copy) == LAMINA_OK;
    ok = ok && lamina_sequence_create(env->engine, LAMINA_STRING, 1, &strs, &seq) == LAMINA_OK;
    ok = ok && lmn_tensor_clone(env->engine, seq, &copy2) == LAMINA_OK;
    ok = ok && lamina_none_create(env->engine, LAMINA_F32, &none) == LAMINA_OK;
    lamina_tensor *all[] = {strs, strided, view, seq, copy, copy2, none};
    for (size_t i = 0; i < T_COUNT(all); i++) lamina_tensor_unref(all[i]);
    return ok;
}

static void test_allocation_failure(t_env *env)
{
    for (int nth = 1;; nth++) {
        t_fail_alloc(env, nth);
        const bool ok = build_all(env);
        T_NOTHING_HELD(env);
        T_EQ(ok, t_fail_pending(env));
        if (ok) break;
        T_REQUIRE(nth < 100);
    }
}

/* Only the sole holder of memory that is the tensor's own may write it. */
static void test_mutable_data(t_env *env)
{
    const int64_t d[1] = {4};
    static const float lent[4];
    lamina_tensor *t = NULL, *v = NULL, *w = NULL;
    T_OK(lamina_tensor_create(env->engine, LAMINA_F32, 1, d, &t));
    T_REQUIRE(t);
    T_CHECK(lamina_tensor_mutable_data(t) == lamina_tensor_data(t));
    lamina_tensor_ref(t);
    T_CHECK(!lamina_tensor_mutable_data(t));
    lamina_tensor_unref(t);
    T_OK(lmn_tensor_view(t, 1, d, 0, LAMINA_F32, &v));
    T_REQUIRE(v);
    T_CHECK(!lamina_tensor_mutable_data(t) && !lamina_tensor_mutable_data(v));
    lamina_tensor_unref(t);
    T_CHECK(lamina_tensor_mutable_data(v) != NULL); /* the last holder */
    lamina_tensor_unref(v);
    T_OK(lamina_tensor_from(env->engine, LAMINA_F32, 1, d, lent, &w));
    T_REQUIRE(w);
    T_CHECK(lamina_tensor_data(w) == lent && !lamina_tensor_mutable_data(w));
    lamina_tensor_unref(w);
    T_NOTHING_HELD(env);
}

enum { THREADS = 4, TURNS = 2000 };

static void *share(void *arg)
{
    lamina_tensor *t = arg;
    const int64_t d[1] = {16};
    for (int i = 0; i < TURNS; i++) {
        lamina_tensor *v = NULL;
        lamina_tensor_ref(t);
        if (lmn_tensor_view(t, 1, d, 0, LAMINA_I32, &v) == LAMINA_OK) {
            if (lmn_get_i64(v, 7) != 7) t_fail(__FILE__, __LINE__, "element 7 changed");
            lamina_tensor_unref(v);
        }
        lamina_tensor_unref(t);
    }
    lamina_tensor_unref(t);
    return NULL;
}

/* Run under TSan too: the last reference may go on any thread. */
static void test_threads(t_env *env)
{
    const int64_t d[1] = {16};
    pthread_t thread[THREADS];
    lamina_tensor *t = NULL;
    T_OK(lamina_tensor_create(env->engine, LAMINA_I32, 1, d, &t));
    T_REQUIRE(t);
    for (int i = 0; i < 16; i++) lmn_set_i64(t, i, i);
    for (int i = 0; i < THREADS; i++)
        T_EQ(pthread_create(&thread[i], NULL, share, lamina_tensor_ref(t)), 0);
    lamina_tensor_unref(t);
    for (int i = 0; i < THREADS; i++) T_EQ(pthread_join(thread[i], NULL), 0);
    T_NOTHING_HELD(env);
}

T_MAIN(T_TEST(test_create), T_TEST(test_refused), T_TEST(test_wrap), T_TEST(test_pack_random),
       T_TEST(test_view), T_TEST(test_strings), T_TEST(test_sequence), T_TEST(test_map),
       T_TEST(test_sequence_strided), T_TEST(test_elements), T_TEST(test_allocation_failure),
       T_TEST(test_mutable_data), T_TEST(test_threads))
