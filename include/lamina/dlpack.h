/*
 * lamina/dlpack.h - tensors to and from other frameworks without a copy: the DLPack ABI, version 1.
 *
 * The structs below are those of DLPack under names of their own, equal in layout, so that this
 * header can stand beside <dlpack/dlpack.h>; cast pointers between the two.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_DLPACK_H
#define LAMINA_DLPACK_H

#include "lamina/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Version of DLPack that is written, and the one major version that is read. */
#define LAMINA_DL_MAJOR 1u
#define LAMINA_DL_MINOR 1u

/* Device types that the host can read; others exist. */
enum { LAMINA_DL_CPU = 1, LAMINA_DL_CUDA_HOST = 3 };

/* Element type codes (DLDataTypeCode). */
enum {
    LAMINA_DL_INT = 0,
    LAMINA_DL_UINT = 1,
    LAMINA_DL_FLOAT = 2,
    LAMINA_DL_BFLOAT = 4,
    LAMINA_DL_COMPLEX = 5,
    LAMINA_DL_BOOL = 6,
    LAMINA_DL_F8E4M3FN = 10,
    LAMINA_DL_F8E4M3FNUZ = 11,
    LAMINA_DL_F8E5M2 = 12,
    LAMINA_DL_F8E5M2FNUZ = 13,
    LAMINA_DL_F8E8M0 = 14,
    LAMINA_DL_F4E2M1 = 17
};

/* Bits of lamina_dl_managed_versioned.flags. */
#define LAMINA_DL_READ_ONLY ((uint64_t)1)
#define LAMINA_DL_COPIED ((uint64_t)2)
#define LAMINA_DL_SUBBYTE_PADDED ((uint64_t)4) /* one element a byte: refused on import */

/* DLDevice */
typedef struct lamina_dl_device {
    int32_t type; /* LAMINA_DL_CPU ... */
    int32_t id;
} lamina_dl_device;

/* DLDataType */
typedef struct lamina_dl_dtype {
    uint8_t code;
    uint8_t bits;
    uint16_t lanes;
} lamina_dl_dtype;

/* DLTensor */
typedef struct lamina_dl_tensor {
    void *data;
    lamina_dl_device device;
    int32_t ndim;
    lamina_dl_dtype dtype;
    int64_t *shape;
    int64_t *strides; /* elements; NULL = dense row-major */
    uint64_t byte_offset;
} lamina_dl_tensor;

/* DLManagedTensor: the form before version 1. */
typedef struct lamina_dl_managed {
    lamina_dl_tensor tensor;
    void *ctx;
    void (*deleter)(struct lamina_dl_managed *self); /* may be NULL */
} lamina_dl_managed;

/* DLManagedTensorVersioned */
typedef struct lamina_dl_managed_versioned {
    uint32_t major, minor;
    void *ctx;
    void (*deleter)(struct lamina_dl_managed_versioned *self); /* may be NULL */
    uint64_t flags;
    lamina_dl_tensor tensor;
} lamina_dl_managed_versioned;

/**
 * Lend a tensor to another framework. The data are shared and must not be written: the struct says
 * so by LAMINA_DL_READ_ONLY.
 *
 * @param t    borrowed; a reference is held until the consumer calls out->deleter(out).
 * @param out  on success owned by the caller, who hands it on or calls its deleter. On failure
 *             untouched.
 * @return LAMINA_OK; E_INVALID (NULL, or no tensor); E_DTYPE (STRING); E_NOMEM.
 *
 * Shapes:   those of t, strides always written.   Units: elements (strides).
 * Threads:  any; the deleter may run on any thread.
 * Memory:   one small block; t's engine must outlive it.   Blocking: none.
 * Source:   DLPack 1.1.                           Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status
lamina_tensor_to_dlpack(lamina_tensor *t, lamina_dl_managed_versioned **out);

/**
 * As lamina_tensor_to_dlpack, in the form before version 1, which cannot say "read-only".
 *
 * @param t    borrowed.
 * @param out  as above.
 * @return as above.
 *
 * Threads: any.   Memory: one small block.   Blocking: none.   Source: DLPack 0.8.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_to_dlpack_legacy(lamina_tensor *t,
                                                                         lamina_dl_managed **out);

/**
 * Borrow a tensor of another framework, without a copy.
 *
 * @param engine  borrowed; must outlive the tensor.
 * @param src     taken over on success: its deleter runs once, when the last reference to *out is
 *                gone. On failure it stays the caller's, who must call its deleter.
 * @param out     on success a ref owned by the caller (lamina_tensor_unref). On failure untouched.
 * @return LAMINA_OK; E_INVALID (NULL, negative extent, misaligned data, strides of a sub-byte
 * type); E_VERSION (another major version); E_UNSUPPORTED (device memory, lanes, padded sub-byte
 *         elements); E_DTYPE (no such element type here); E_RANGE (rank, size); E_NOMEM.
 *
 * Shapes:   those of src, strides kept.           Units: elements (strides).
 * Threads:  any; the deleter runs on the thread that drops the last reference.
 * Memory:   two small blocks.                     Blocking: none.
 * Source:   DLPack 1.1.                           Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_from_dlpack(
    lamina_engine *engine, lamina_dl_managed_versioned *src, lamina_tensor **out);

/**
 * As lamina_tensor_from_dlpack, for the form before version 1.
 *
 * @param engine  borrowed; must outlive the tensor.
 * @param src     as above.
 * @param out     as above.
 * @return as above, never E_VERSION.
 *
 * Threads: any.   Memory: two small blocks.   Blocking: none.   Source: DLPack 0.8.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_from_dlpack_legacy(lamina_engine *engine,
                                                                           lamina_dl_managed *src,
                                                                           lamina_tensor **out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_DLPACK_H */
