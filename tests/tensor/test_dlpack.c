/*
 * test_dlpack.c - DLPack in and out: every type there and back over one memory, what is refused,
 * and who releases what.
 */
#include "lamina/dlpack.h"
#include "t.h"
#include "tensor/tensor.h"

static void test_round_trip(t_env *env)
{
    const int64_t d[2] = {3, 5};
    for (lamina_dtype dt = 1; dt < LAMINA_DTYPE_COUNT; dt++) {
        lamina_tensor *t = NULL, *back = NULL;
        lamina_dl_managed_versioned *m = T_UNTOUCHED;
        lamina_dl_managed *old = T_UNTOUCHED;
        T_CASE(lamina_dtype_name(dt));
        T_OK(lamina_tensor_create(env->engine, dt, 2, d, &t));
        T_REQUIRE(t);
        if (dt == LAMINA_STRING) {
            T_EQ(lamina_tensor_to_dlpack(t, &m), LAMINA_E_DTYPE);
            T_EQ(lamina_tensor_to_dlpack_legacy(t, &old), LAMINA_E_DTYPE);
            T_CHECK(m == T_UNTOUCHED && old == T_UNTOUCHED);
            lamina_tensor_unref(t);
            continue;
        }
        T_OK(lamina_tensor_to_dlpack(t, &m));
        T_OK(lamina_tensor_to_dlpack_legacy(t, &old));
        T_CHECK(m->major == 1 && m->flags == LAMINA_DL_READ_ONLY);
        T_CHECK(m->tensor.dtype.bits == lamina_dtype_bits(dt) && m->tensor.dtype.lanes == 1);
        T_CHECK(m->tensor.shape[1] == 5 && m->tensor.strides[0] == 5 && m->tensor.ndim == 2);
        const void *data = lamina_tensor_data(t);
        lamina_tensor_unref(t); /* the structs keep it */
        T_OK(lamina_tensor_from_dlpack(env->engine, m, &back));
        T_CHECK(lamina_tensor_dtype(back) == dt && lamina_tensor_data(back) == data);
        lamina_tensor_unref(back);
        T_OK(lamina_tensor_from_dlpack_legacy(env->engine, old, &back));
        T_CHECK(lamina_tensor_dtype(back) == dt && lamina_tensor_data(back) == data);
        lamina_tensor_unref(back);
        T_NOTHING_HELD(env);
    }
}

static void test_edges(t_env *env)
{
    lamina_tensor *t = NULL, *back = NULL, *seq = NULL;
    lamina_dl_managed_versioned *m = T_UNTOUCHED;
    const int64_t none[2] = {0, 4};
    T_OK(lamina_sequence_create(env->engine, LAMINA_F32, 0, NULL, &seq));
    T_EQ(lamina_tensor_to_dlpack(seq, &m), LAMINA_E_INVALID);
    T_EQ(lamina_tensor_to_dlpack(NULL, &m), LAMINA_E_INVALID);
    T_CHECK(m == T_UNTOUCHED);
    lamina_tensor_unref(seq);
    /* A scalar and an empty tensor; a struct that nobody imports is deleted by its owner. */
    T_OK(lamina_tensor_create(env->engine, LAMINA_F64, 0, NULL, &t));
    T_OK(lamina_tensor_to_dlpack(t, &m));
    lamina_tensor_unref(t);
    T_OK(lamina_tensor_from_dlpack(env->engine, m, &back));
    T_EQ(lamina_tensor_count(back), 1);
    lamina_tensor_unref(back);
    T_OK(lamina_tensor_create(env->engine, LAMINA_F64, 2, none, &t));
    T_OK(lamina_tensor_to_dlpack(t, &m));
    lamina_tensor_unref(t);
    T_CHECK(m->tensor.data == NULL);
    m->deleter(m);
}

static void count_delete(lamina_dl_managed_versioned *m)
{
    ++*(int *)m->ctx;
}

static void test_import(t_env *env)
{
    int deleted = 0;
    float data[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    int64_t shape[2] = {2, 3}, strides[2] = {1, 2}, bad[2] = {2, -3};
    const lamina_dl_managed_versioned good = {
        .major = 1,
        .minor = 9,
        .ctx = &deleted,
        .deleter = count_delete,
        .tensor = {data, {LAMINA_DL_CPU, 0}, 2, {LAMINA_DL_FLOAT, 32, 1}, shape, strides, 8}};
    lamina_dl_managed_versioned m = good;
    lamina_tensor *t = NULL, *out = T_UNTOUCHED;
    T_OK(lamina_tensor_from_dlpack(env->engine, &m, &t));
    T_REQUIRE(t);
    T_CHECK(lmn_get_f64(t, 0) == 2 && lmn_get_f64(t, 1) == 4 && lmn_get_f64(t, 3) == 3);
    lamina_tensor_unref(t);
    T_EQ(deleted, 1);
    m.deleter = NULL;
    m.tensor.strides = NULL;
    T_OK(lamina_tensor_from_dlpack(env->engine, &m, &t));
    T_CHECK(lmn_get_f64(t, 1) == 3);
    lamina_tensor_unref(t);

#define REFUSE(change, status)                                          \
    do {                                                                \
        T_CASE(#change);                                                \
        m = good;                                                       \
        change;                                                         \
        T_EQ(lamina_tensor_from_dlpack(env->engine, &m, &out), status); \
        T_CHECK(out == T_UNTOUCHED && deleted == 1);                    \
        T_NOTHING_HELD(env);                                            \
    } while (0)
    REFUSE(m.major = 2, LAMINA_E_VERSION);
    REFUSE(m.flags = LAMINA_DL_SUBBYTE_PADDED, LAMINA_E_UNSUPPORTED);
    REFUSE(m.tensor.device.type = 2, LAMINA_E_UNSUPPORTED);
    REFUSE(m.tensor.dtype.lanes = 4, LAMINA_E_UNSUPPORTED);
    REFUSE(m.tensor.dtype.bits = 24, LAMINA_E_DTYPE);
    REFUSE(m.tensor.dtype.code = 3, LAMINA_E_DTYPE);
    REFUSE(m.tensor.ndim = 9, LAMINA_E_RANGE);
    REFUSE(m.tensor.ndim = -1, LAMINA_E_RANGE);
    REFUSE(m.tensor.shape = NULL, LAMINA_E_INVALID);
    REFUSE(m.tensor.shape = bad, LAMINA_E_INVALID);
    REFUSE(m.tensor.data = NULL, LAMINA_E_INVALID);
    REFUSE(m.tensor.byte_offset = 2, LAMINA_E_INVALID);
    REFUSE(m.tensor.byte_offset = UINT64_MAX - 3, LAMINA_E_RANGE);
    REFUSE(t_fail_alloc(env, 1), LAMINA_E_NOMEM);
    REFUSE(t_fail_alloc(env, 2), LAMINA_E_NOMEM);
}

T_MAIN(T_TEST(test_round_trip), T_TEST(test_edges), T_TEST(test_import))
