/*
 * TensorProto and its kin to values and back. A store knows where bytes live: the mapped model
 * file, the external data files below its folder, and how much heap constants may still take.
 *
 * Invariant: no allocation follows from dims alone; the data must be there first (sparse tensors,
 * which may be larger than their data, have a bound of their own).
 */
#ifndef LMN_FORMATS_ONNX_TENSOR_H
#define LMN_FORMATS_ONNX_TENSOR_H

#include "base/map.h"
#include "formats/onnx/onnx_wire.h"
#include "tensor/tensor.h"

/* Dense bytes that one sparse tensor may become. */
#define LMN_ONNX_MAX_SPARSE_BYTES ((uint64_t)256 << 20)

/* Floats of this many bytes are not copied for their address' sake (lmn_graph_settle). */
#define LMN_ONNX_FAR_BYTES ((size_t)64 << 10)

/*
 * A place that models are read from other than files. Handles are closed before the call returns.
 */
typedef struct lmn_onnx_storage {
    void *ctx; /* borrowed, passed back */
    /* Open the model (name NULL) or one of its external data files by the name that the model
       gives, which is relative and without ".."; *bytes receives its size. */
    lamina_status (*open)(void *ctx, const char *name, void **handle, uint64_t *bytes);
    /* Read exactly n bytes. */
    lamina_status (*pread)(void *ctx, void *handle, uint64_t offset, void *buf, size_t n);
    void (*close)(void *ctx, void *handle);
} lmn_onnx_storage;

typedef struct lmn_onnx_store {
    lamina_engine *engine;
    const lamina_load_opts *limits;
    uint64_t heap_left;  /* of limits->max_const_bytes */
    lamina_tensor *file; /* the bytes of the model as uint8[n], ref held; NULL = always copy */
    const char *dir;     /* folder of external data; NULL = none */
    const lmn_onnx_storage *source; /* or the caller's storage; NULL = none */
    lmn_arena arena;                /* names of files */
    lmn_map files;                  /* location -> lamina_tensor of a mapped file, refs held */
    size_t n_external, n_odd;       /* external tensors of some size; those at an odd offset */
    const char *first_odd;          /* name of the first, in the arena */
} lmn_onnx_store;

void lmn_onnx_store_init(lmn_onnx_store *s, lamina_engine *e, const lamina_load_opts *limits);
void lmn_onnx_store_finish(lmn_onnx_store *s); /* values made from it live on */

/* Limits with defaults where *in (NULL allowed) leaves zero. */
lamina_status lmn_onnx_limits(const lamina_load_opts *in, lamina_load_opts *out);

/* One value of the message; on success a new ref. */
lamina_status lmn_onnx_tensor_make(lmn_onnx_store *s, const lmn_onnx_tensor *t, lamina_tensor **out,
                                   lamina_error *err);
lamina_status lmn_onnx_sparse_make(lmn_onnx_store *s, const lmn_onnx_sparse *t, lamina_tensor **out,
                                   lamina_error *err);
/* The range of an external file that t names (onnx_external.c); `bytes` > 0 are needed. */
lamina_status lmn_onnx_external_make(lmn_onnx_store *s, const lmn_onnx_tensor *t, size_t bytes,
                                     lamina_tensor **out, lamina_error *err);
/* A zeroed heap tensor of t's type and dims, charged to the store. */
lamina_status lmn_onnx_heap(lmn_onnx_store *s, const lmn_onnx_tensor *t, lamina_tensor **out,
                            lamina_error *err);
/* Bytes [offset, offset + bytes) of `file` (uint8[n]) as t's type and dims: a view where the
   address is aligned for the type or the tensor is large, else a copy. The range must have been
   checked. */
lamina_status lmn_onnx_view(lmn_onnx_store *s, lamina_tensor *file, size_t offset, size_t bytes,
                            const lmn_onnx_tensor *t, lamina_tensor **out, lamina_error *err);

#endif
