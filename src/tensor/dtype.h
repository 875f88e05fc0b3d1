/*
 * Element types: facts and exact conversions. Sub-byte types are packed with the first element in the
 * low bits (ONNX TensorProto int32_data rule). f16, bf16, fp8, fp4 and E8M0 are storage types:
 * arithmetic happens in f32 or f64 and is rounded once, to nearest even.
 */
#ifndef LMN_TENSOR_DTYPE_H
#define LMN_TENSOR_DTYPE_H

#include "base/types.h"

typedef enum lmn_dclass {
    LMN_CLASS_NONE, LMN_CLASS_FLOAT, LMN_CLASS_SINT, LMN_CLASS_UINT, LMN_CLASS_BOOL,
    LMN_CLASS_STRING, LMN_CLASS_COMPLEX
} lmn_dclass;

/* Bit set of element types: bit n is dtype n. */
typedef uint32_t lmn_dset;
#define LMN_DBIT(dt) (1u << (uint32_t)(dt))
#define LMN_D_FLOAT (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F64) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
#define LMN_D_SINT (LMN_DBIT(LAMINA_I8) | LMN_DBIT(LAMINA_I16) | LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
#define LMN_D_UINT (LMN_DBIT(LAMINA_U8) | LMN_DBIT(LAMINA_U16) | LMN_DBIT(LAMINA_U32) | LMN_DBIT(LAMINA_U64))
#define LMN_D_INT (LMN_D_SINT | LMN_D_UINT)
#define LMN_D_NUM (LMN_D_FLOAT | LMN_D_INT)
#define LMN_D_FP8 (LMN_DBIT(LAMINA_F8E4M3FN) | LMN_DBIT(LAMINA_F8E4M3FNUZ) | LMN_DBIT(LAMINA_F8E5M2) | LMN_DBIT(LAMINA_F8E5M2FNUZ))
#define LMN_D_SUB (LMN_DBIT(LAMINA_U4) | LMN_DBIT(LAMINA_I4) | LMN_DBIT(LAMINA_U2) | LMN_DBIT(LAMINA_I2) | LMN_DBIT(LAMINA_F4E2M1))
#define LMN_D_COMPLEX (LMN_DBIT(LAMINA_C64) | LMN_DBIT(LAMINA_C128))
#define LMN_D_BOOL LMN_DBIT(LAMINA_BOOL)
#define LMN_D_STRING LMN_DBIT(LAMINA_STRING)
#define LMN_D_ALL (LMN_D_NUM | LMN_D_FP8 | LMN_D_SUB | LMN_D_COMPLEX | LMN_D_BOOL | LMN_D_STRING | LMN_DBIT(LAMINA_F8E8M0))

lmn_dclass lmn_dtype_class(lamina_dtype dt);
/* Bytes of one element; 0 for sub-byte types and unknown values; sizeof(lmn_str) for STRING. */
size_t lmn_dtype_bytes(lamina_dtype dt);
bool lmn_dtype_valid(lamina_dtype dt);
/* From a name as lamina_dtype_name prints it; LAMINA_DTYPE_NONE if unknown. */
lamina_dtype lmn_dtype_from_name(const char *name);

float lmn_f16_to_f32(uint16_t h);
uint16_t lmn_f32_to_f16(float f);
uint16_t lmn_f64_to_f16(double d); /* one rounding */
float lmn_bf16_to_f32(uint16_t h);
uint16_t lmn_f32_to_bf16(float f);
uint16_t lmn_f64_to_bf16(double d);
/* fp8 (4 kinds), fp4 and E8M0 through one door. `saturate` as in the Cast operator. */
float lmn_f8_to_f32(lamina_dtype kind, uint8_t v);
uint8_t lmn_f32_to_f8(lamina_dtype kind, float f, bool saturate);
float lmn_f4_to_f32(uint8_t v);
uint8_t lmn_f32_to_f4(float f);

/* Sub-byte element i of packed data; sign-extended for I4 and I2, raw bits otherwise. */
int32_t lmn_sub_get(lamina_dtype dt, const void *data, int64_t i);
void lmn_sub_set(lamina_dtype dt, void *data, int64_t i, int32_t v);

/*
 * Convert n dense elements between any two non-string types, as ONNX Cast does: float to int
 * truncates toward zero (out of range: wraps as int64 conversion does on x86, NaN gives 0 for narrow
 * types), int to narrower int wraps, anything to bool is != 0, one rounding to small floats.
 */
void lmn_convert(lamina_dtype dst_dt, void *dst, lamina_dtype src_dt, const void *src, int64_t n,
                 bool saturate);

#endif
