/*
 * Tensors as the rooms above see them. One struct serves caller tensors, graph constants and the
 * slots of a running plan; kernels and operators see only dtype, dims and data.
 *
 * Invariants: dense (strides row-major) unless `strided`; data_bytes == lmn_dense_bytes(dtype,
 * count); `buf` keeps the data alive and is NULL for slots whose memory the plan owns; a STRING
 * tensor's data is lmn_str[count], whose bytes live in blocks the buffer owns.
 */
#ifndef LMN_TENSOR_TENSOR_H
#define LMN_TENSOR_TENSOR_H

#include "base/atomic.h"
#include "base/engine.h"
#include "lamina/tensor.h"
#include "tensor/dtype.h"

/* One string element: bytes are zero-terminated and owned by the tensor's buffer. NULL p = "". */
typedef struct lmn_str {
    char *p;
    size_t n;
} lmn_str;

/* Reference-counted bytes. `release` runs when the last reference goes. */
typedef struct lmn_buffer {
    lmn_atomic(int32_t) refs;
    lamina_engine *engine;
    void *data;
    size_t bytes;
    size_t n_str; /* > 0: data is lmn_str[n_str], each string a block of its own */
    size_t lead;  /* > 0: a tensor struct lies this many bytes before, in the same block */
    lamina_release_fn release; /* NULL = the bytes are this buffer's own allocation */
    void *release_ctx;
} lmn_buffer;

/* New buffer with its own zeroed or (zero == false) uninitialised bytes, 64-byte aligned. */
lamina_status lmn_buffer_create(lamina_engine *e, size_t bytes, bool zero, lmn_buffer **out);
/* New buffer of n empty strings. */
lamina_status lmn_buffer_strings(lamina_engine *e, size_t n, lmn_buffer **out);
/* Buffer over foreign memory. */
lamina_status lmn_buffer_wrap(lamina_engine *e, void *data, size_t bytes, lamina_release_fn release,
                              void *ctx, lmn_buffer **out);
lmn_buffer *lmn_buffer_ref(lmn_buffer *b);
void lmn_buffer_unref(lmn_buffer *b); /* NULL is fine */

struct lamina_tensor {
    lmn_atomic(int32_t) refs; /* 0 for plan slots: they are never ref'd from outside */
    lamina_kind kind;
    lamina_dtype dtype;
    int32_t rank;
    int64_t dims[LMN_MAX_RANK];
    int64_t strides[LMN_MAX_RANK]; /* elements */
    bool strided;                  /* strides are not dense row-major */
    void *data;
    size_t data_bytes;
    lmn_buffer *buf; /* ref held, or NULL */
    lamina_engine *engine;
    int64_t n_items; /* KIND_SEQUENCE; KIND_MAP: 2, keys and values */
    lamina_tensor **items;
};

/* Elements of dims; false on overflow or a negative extent. */
bool lmn_dims_count(int32_t rank, const int64_t *dims, int64_t *out);
/* Bytes of `count` dense elements (sub-byte types packed, rounded up); false on overflow. For
   STRING: sizeof(lmn_str) each. */
bool lmn_dense_bytes(lamina_dtype dtype, int64_t count, size_t *out);
void lmn_dense_strides(int32_t rank, const int64_t *dims, int64_t *strides);
static inline int64_t lmn_count(const lamina_tensor *t)
{
    int64_t n = 1;
    for (int32_t i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}
/* Do the elements lie where their type wants them? Large weights of a mapped file may not. */
static inline bool lmn_tensor_aligned(const lamina_tensor *t)
{
    const size_t bytes = lmn_dtype_bytes(t->dtype);
    return t->kind != LAMINA_KIND_TENSOR || bytes <= 1 || (uintptr_t)t->data % bytes == 0;
}
bool lmn_dims_equal(int32_t rank_a, const int64_t *a, int32_t rank_b, const int64_t *b);

/* A tensor without data (data NULL): the start of a slot. Fails only on rank or size overflow. */
lamina_status lmn_tensor_describe(lamina_tensor *t, lamina_engine *e, lamina_dtype dtype,
                                  int32_t rank, const int64_t *dims);
/* Heap tensor with dense memory of its own in one block, zeroed if `zero` (strings always are). */
lamina_status lmn_tensor_new(lamina_engine *e, lamina_dtype dtype, int32_t rank,
                             const int64_t *dims, bool zero, lamina_tensor **out);
/* Make `out` a heap tensor that shares src's buffer (ref) with other dims; src must own a buffer
   (E_STATE) and be dense (E_UNSUPPORTED); bytes outside src's data are E_RANGE. */
lamina_status lmn_tensor_view(lamina_tensor *src, int32_t rank, const int64_t *dims,
                              size_t byte_offset, lamina_dtype dtype, lamina_tensor **out);
/* Deep copy into a new dense heap tensor (strings and sequences too; strided sources are packed).
 */
lamina_status lmn_tensor_clone(lamina_engine *e, const lamina_tensor *src, lamina_tensor **out);
/* A map of rank 1 keys (I64, STRING) to as many values, which both get references. That no key is
   there twice is the caller's promise. */
lamina_status lmn_map_new(lamina_engine *e, lamina_tensor *keys, lamina_tensor *values,
                          lamina_tensor **out);
/* Is no key there twice? E_INVALID if one is, E_NOMEM. */
lamina_status lmn_map_check_keys(lamina_engine *e, const lamina_tensor *keys);
/* Type of a map's keys, or of the maps of a sequence; DTYPE_NONE where there is none. */
lamina_dtype lmn_map_key(const lamina_tensor *t);
/* Pack a strided tensor's elements into dense dst (data_bytes big). */
void lmn_tensor_pack(const lamina_tensor *src, void *dst);

/* Element access for code that is not hot: exact for integers, widening for floats. Index is the
   dense row-major element number. Strings are not readable here. */
double lmn_get_f64(const lamina_tensor *t, int64_t i);
int64_t lmn_get_i64(const lamina_tensor *t,
                    int64_t i); /* floats truncate toward zero, saturating */
uint64_t lmn_get_u64(const lamina_tensor *t, int64_t i);
void lmn_set_f64(lamina_tensor *t, int64_t i,
                 double v); /* rounds once to the type; ints saturate */
void lmn_set_i64(lamina_tensor *t, int64_t i, int64_t v); /* ints wrap (two's complement) */

#endif
