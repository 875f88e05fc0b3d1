/*
 * Facts of the element types: one row a type, in the order of the numbers, so that a type is its
 * own index. Names are those of numpy and ml_dtypes.
 */
#include "tensor/dtype.h"

#include "tensor/tensor.h"

#include <string.h>

typedef struct dtype_row {
    const char *name;
    uint8_t bits; /* 0 = no fixed size */
    uint8_t class;
} dtype_row;

static const dtype_row ROWS[LAMINA_DTYPE_COUNT] = {
    [LAMINA_DTYPE_NONE] = {"none", 0, LMN_CLASS_NONE},
    [LAMINA_F32] = {"float32", 32, LMN_CLASS_FLOAT},
    [LAMINA_U8] = {"uint8", 8, LMN_CLASS_UINT},
    [LAMINA_I8] = {"int8", 8, LMN_CLASS_SINT},
    [LAMINA_U16] = {"uint16", 16, LMN_CLASS_UINT},
    [LAMINA_I16] = {"int16", 16, LMN_CLASS_SINT},
    [LAMINA_I32] = {"int32", 32, LMN_CLASS_SINT},
    [LAMINA_I64] = {"int64", 64, LMN_CLASS_SINT},
    [LAMINA_STRING] = {"string", 0, LMN_CLASS_STRING},
    [LAMINA_BOOL] = {"bool", 8, LMN_CLASS_BOOL},
    [LAMINA_F16] = {"float16", 16, LMN_CLASS_FLOAT},
    [LAMINA_F64] = {"float64", 64, LMN_CLASS_FLOAT},
    [LAMINA_U32] = {"uint32", 32, LMN_CLASS_UINT},
    [LAMINA_U64] = {"uint64", 64, LMN_CLASS_UINT},
    [LAMINA_C64] = {"complex64", 64, LMN_CLASS_COMPLEX},
    [LAMINA_C128] = {"complex128", 128, LMN_CLASS_COMPLEX},
    [LAMINA_BF16] = {"bfloat16", 16, LMN_CLASS_FLOAT},
    [LAMINA_F8E4M3FN] = {"float8_e4m3fn", 8, LMN_CLASS_FLOAT},
    [LAMINA_F8E4M3FNUZ] = {"float8_e4m3fnuz", 8, LMN_CLASS_FLOAT},
    [LAMINA_F8E5M2] = {"float8_e5m2", 8, LMN_CLASS_FLOAT},
    [LAMINA_F8E5M2FNUZ] = {"float8_e5m2fnuz", 8, LMN_CLASS_FLOAT},
    [LAMINA_U4] = {"uint4", 4, LMN_CLASS_UINT},
    [LAMINA_I4] = {"int4", 4, LMN_CLASS_SINT},
    [LAMINA_F4E2M1] = {"float4_e2m1fn", 4, LMN_CLASS_FLOAT},
    [LAMINA_F8E8M0] = {"float8_e8m0fnu", 8, LMN_CLASS_FLOAT},
    [LAMINA_U2] = {"uint2", 2, LMN_CLASS_UINT},
    [LAMINA_I2] = {"int2", 2, LMN_CLASS_SINT},
};

bool lmn_dtype_valid(lamina_dtype dt)
{
    return dt > LAMINA_DTYPE_NONE && dt < LAMINA_DTYPE_COUNT;
}

const char *lamina_dtype_name(lamina_dtype dtype)
{
    return lmn_dtype_valid(dtype) ? ROWS[dtype].name : "unknown";
}

uint32_t lamina_dtype_bits(lamina_dtype dtype)
{
    return lmn_dtype_valid(dtype) ? ROWS[dtype].bits : 0;
}

lmn_dclass lmn_dtype_class(lamina_dtype dt)
{
    return lmn_dtype_valid(dt) ? (lmn_dclass)ROWS[dt].class : LMN_CLASS_NONE;
}

size_t lmn_dtype_bytes(lamina_dtype dt)
{
    return dt == LAMINA_STRING ? sizeof(lmn_str) : lamina_dtype_bits(dt) / 8;
}

lamina_dtype lmn_dtype_from_name(const char *name)
{
    for (lamina_dtype dt = LAMINA_DTYPE_NONE + 1; dt < LAMINA_DTYPE_COUNT; dt++)
        if (strcmp(name, ROWS[dt].name) == 0) return dt;
    return LAMINA_DTYPE_NONE;
}
