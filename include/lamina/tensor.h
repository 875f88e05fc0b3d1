/*
 * lamina/tensor.h - values: dense tensors, sequences, maps, optionals. Reference counted, immutable
 * in shape and type once made; element data may be written by whoever made the tensor, before
 * sharing.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_TENSOR_H
#define LAMINA_TENSOR_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Highest rank of a tensor. */
#define LAMINA_MAX_RANK 8

/* A value that flows through a model. */
typedef struct lamina_tensor lamina_tensor;

/* What a value is. An optional without content is KIND_NONE; with content it is that content. */
typedef int32_t lamina_kind;
enum {
    LAMINA_KIND_TENSOR = 0,
    LAMINA_KIND_SEQUENCE = 1, /* of tensors, or of maps */
    LAMINA_KIND_NONE = 2,
    LAMINA_KIND_MAP = 3 /* distinct keys, one scalar for each */
};

/**
 * Wrap caller memory as a dense row-major tensor, without copying.
 *
 * @param engine  borrowed; must outlive the tensor.
 * @param dtype   any but STRING. Types below 8 bits are packed, first element in the low bits.
 * @param rank    0..LAMINA_MAX_RANK.
 * @param dims    borrowed until return; rank extents >= 0. NULL allowed for rank 0.
 * @param data    lent until the last reference is gone, aligned to its element; NULL only for an
 *                empty tensor.
 * @param out     on success a ref owned by the caller (lamina_tensor_unref). On failure untouched.
 * @return LAMINA_OK; E_INVALID (NULL argument, negative extent, misaligned data), E_RANGE (rank,
 * size overflows), E_DTYPE, E_NOMEM.
 *
 * Shapes:   out has `dims`, dense.            Units: elements (dims).
 * Threads:  any.                              Memory: one small block.   Blocking: none.
 * Source:   ONNX TensorProto layout.          Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_from(lamina_engine *engine,
                                                             lamina_dtype dtype, int32_t rank,
                                                             const int64_t *dims, const void *data,
                                                             lamina_tensor **out);

/* Called once when the last reference to wrapped memory is gone. */
typedef void (*lamina_release_fn)(void *ctx);

/* Who must be told when wrapped memory is no longer read. */
typedef struct lamina_owner {
    lamina_release_fn release; /* called exactly once after success, from the thread that drops the
                                  last reference; never on failure */
    void *ctx;                 /* passed to release */
} lamina_owner;

/**
 * As lamina_tensor_from, for memory that somebody must be told about, and with strides.
 *
 * @param strides  borrowed; elements, may be negative or zero; NULL = dense. For types below 8 bits
 *                 only dense.
 * @param owner    borrowed until return; NULL = nobody.
 * @return as lamina_tensor_from.
 *
 * Shapes:   out has `dims` and `strides`.     Units: elements.
 * Threads:  any.                              Memory: one small block.   Blocking: none.
 * Source:   DLPack 1.0 strides.               Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_wrap(
    lamina_engine *engine, lamina_dtype dtype, int32_t rank, const int64_t *dims,
    const int64_t *strides, const void *data, const lamina_owner *owner, lamina_tensor **out);

/**
 * Make a dense tensor with memory of its own, zeroed (strings: empty).
 *
 * @param dtype  any, STRING included.
 * @param out    on success a ref owned by the caller. On failure untouched.
 * @return as lamina_tensor_from.
 *
 * Shapes:   out has `dims`, dense, data aligned to 64 bytes.   Units: elements.
 * Threads:  any.                              Memory: one block.         Blocking: none.
 * Source:   none.                             Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_create(lamina_engine *engine,
                                                               lamina_dtype dtype, int32_t rank,
                                                               const int64_t *dims,
                                                               lamina_tensor **out);

/**
 * Take another reference.
 *
 * @param t  borrowed; NULL gives NULL.
 * @return t.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API lamina_tensor *lamina_tensor_ref(lamina_tensor *t);

/**
 * Drop a reference; the last one releases the tensor.
 *
 * @param t  owned ref; NULL does nothing.
 *
 * Threads: any.   Memory: frees.   Blocking: none.   Since: 0.1
 */
LAMINA_API void lamina_tensor_unref(lamina_tensor *t);

/* The functions below take NULL for an empty optional: no type, rank 0, nothing in it. */

/** What the value is: tensor, sequence, map or empty optional. @return LAMINA_KIND_*. Since: 0.1 */
LAMINA_API lamina_kind lamina_tensor_kind(const lamina_tensor *t);

/** Element type (of a sequence: of its elements; of a map: of its values). @return LAMINA_*.
 * Since: 0.1 */
LAMINA_API lamina_dtype lamina_tensor_dtype(const lamina_tensor *t);

/** Number of dimensions. @return 0..LAMINA_MAX_RANK; 0 for a sequence or map. Since: 0.1 */
LAMINA_API int32_t lamina_tensor_rank(const lamina_tensor *t);

/** Extents. @return lent until the tensor is gone; rank entries. Since: 0.1 */
LAMINA_API const int64_t *lamina_tensor_dims(const lamina_tensor *t);

/** Strides in elements. @return lent until the tensor is gone; rank entries. Since: 0.1 */
LAMINA_API const int64_t *lamina_tensor_strides(const lamina_tensor *t);

/** Number of elements (of a sequence: of items; of a map: of entries). @return >= 0. Since: 0.1 */
LAMINA_API int64_t lamina_tensor_count(const lamina_tensor *t);

/** Bytes of the dense data; 0 for strings, sequences and maps. @return bytes. Since: 0.1 */
LAMINA_API size_t lamina_tensor_bytes(const lamina_tensor *t);

/** First element. @return lent until the tensor is gone; NULL if empty, STRING or no tensor. Since:
 * 0.1 */
LAMINA_API const void *lamina_tensor_data(const lamina_tensor *t);

/** As lamina_tensor_data, to write: a tensor from lamina_tensor_create before it is shared, an
 * output of a run, or what lamina_call_output gave, until execute returns. @return NULL too if
 * somebody else holds the tensor or its memory, or lent it. Since: 0.1 */
LAMINA_API void *lamina_tensor_mutable_data(lamina_tensor *t);

/**
 * Read one string.
 *
 * @param t      borrowed; dtype STRING, dense.
 * @param index  0 <= index < count, row-major.
 * @param bytes  receives the length; may be NULL.
 * @return lent until the tensor is gone; zero-terminated, may hold zeros inside; NULL if index or
 *         type are wrong.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API const char *lamina_tensor_string(const lamina_tensor *t, int64_t index, size_t *bytes);

/**
 * Write one string of a tensor made by lamina_tensor_create, before it is shared.
 *
 * @param s      borrowed until return; `bytes` bytes are copied.
 * @return LAMINA_OK; E_DTYPE (not a string tensor); E_RANGE (index); E_NOMEM.
 *
 * Threads: one writer.   Memory: a copy of the bytes.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_set_string(lamina_tensor *t, int64_t index,
                                                                   const char *s, size_t bytes);

/**
 * Make a sequence value.
 *
 * @param dtype    element type of the items (an empty sequence still has one).
 * @param items    borrowed; n_items tensors, or n_items maps with keys of one type; each gets a new
 *                 reference, or with strides a dense copy; NULL for n_items == 0.
 * @param out      on success a ref owned by the caller. On failure untouched.
 * @return LAMINA_OK; E_INVALID (tensors and maps mixed, an item of another kind); E_DTYPE (an item
 * of another type); E_NOMEM.
 *
 * Threads: any.   Memory: one block.   Blocking: none.   Source: ONNX SequenceProto.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_sequence_create(lamina_engine *engine,
                                                                 lamina_dtype dtype,
                                                                 int64_t n_items,
                                                                 lamina_tensor *const *items,
                                                                 lamina_tensor **out);

/** Item of a sequence. @return lent until the sequence is gone; NULL if out of range. Since: 0.1 */
LAMINA_API lamina_tensor *lamina_sequence_item(const lamina_tensor *seq, int64_t index);

/**
 * Make a map: to each key a scalar. The order of the entries is kept and has no meaning.
 *
 * @param keys    borrowed; I64 or STRING, rank 1, no key twice.
 * @param values  borrowed; any type, rank 1, as many as keys. Both get a new reference, or with
 *                strides a dense copy.
 * @param out     on success a ref owned by the caller. On failure untouched.
 * @return LAMINA_OK; E_INVALID (NULL, no tensor, a key twice); E_DTYPE (keys of another type);
 * E_SHAPE (not rank 1, not as many values as keys); E_NOMEM.
 *
 * Threads: any.   Memory: two small blocks.   Blocking: none.   Source: ONNX MapProto.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_map_create(lamina_engine *engine,
                                                            lamina_tensor *keys,
                                                            lamina_tensor *values,
                                                            lamina_tensor **out);

/** Keys of a map: rank 1, I64 or STRING. @return lent until the map is gone; NULL if it is no map.
 * Since: 0.1 */
LAMINA_API lamina_tensor *lamina_map_keys(const lamina_tensor *map);

/** Values of a map: rank 1, value i belongs to key i. @return lent until the map is gone; NULL if
 * it is no map. Since: 0.1 */
LAMINA_API lamina_tensor *lamina_map_values(const lamina_tensor *map);

/**
 * Make an optional without content.
 *
 * @param dtype  element type the optional would hold.
 * @param out    on success a ref owned by the caller. On failure untouched.
 * @return LAMINA_OK; E_INVALID; E_NOMEM.
 *
 * Threads: any.   Memory: one block.   Blocking: none.   Source: ONNX OptionalProto.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_none_create(lamina_engine *engine,
                                                             lamina_dtype dtype,
                                                             lamina_tensor **out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_TENSOR_H */
