/*
 * lamina/model.h - loading a model and looking at it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_MODEL_H
#define LAMINA_MODEL_H

#include "lamina/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A model read from a file: immutable, shared by sessions. */
typedef struct lamina_model lamina_model;

/* What a file may ask of us; every limit is checked before the allocation it bounds. */
typedef struct lamina_load_opts {
    size_t size;              /* sizeof(lamina_load_opts) */
    uint32_t max_depth;       /* nesting of subgraphs and functions; default 64 */
    uint32_t reserved;        /* must be 0 */
    uint64_t max_nodes;       /* after inlining; default 1,000,000 */
    uint64_t max_values;      /* default 4,000,000 */
    uint64_t max_string;      /* bytes of one name or string; default 16 MiB */
    uint64_t max_elems;       /* elements of one tensor; default 2^40 */
    uint64_t max_const_bytes; /* bytes made while reading (typed fields, sparse, misaligned data);
                                 default 4 GiB */
    bool refuse_hard_links;   /* external data files with more than one link are refused */
    bool collect;             /* return the model even with errors, for lamina_model_diag() */
    bool lint;                /* look for what runs but costs time, memory or portability */
} lamina_load_opts;

/**
 * Load a model from a file (ONNX, opset 1-28). The file is mapped, not copied; replace it by
 * rename.
 *
 * @param engine  borrowed; must outlive the model.
 * @param path    borrowed until return.
 * @param opts    borrowed until return; NULL = defaults.
 * @param out     on success a ref owned by the caller (lamina_model_unref). On failure untouched.
 * @param err     borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID; E_IO, E_PERM; E_PARSE, E_CORRUPT (no model, or a broken one);
 * E_VERSION; E_UNSUPPORTED (operator, type); E_LIMIT; E_SHAPE, E_DTYPE (the graph contradicts
 * itself); E_NOMEM.
 *
 * Shapes:   none.   Units: bytes, counts.
 * Threads:  any.    Memory: the graph; weights stay in the mapped file.   Blocking: reads the file.
 * Source:   onnx.proto, IR version 3-14; docs/ExternalData.md.           Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_load(lamina_engine *engine, const char *path,
                                                            const lamina_load_opts *opts,
                                                            lamina_model **out, lamina_error *err);

/**
 * Load a model from memory. External data cannot be found this way and is E_IO.
 *
 * @param data  lent until the last reference to the model and its sessions is gone.
 * @return as lamina_model_load.
 *
 * Shapes:   none.   Units: bytes.
 * Threads:  any.    Memory: the graph; weights stay in `data`.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_load_memory(lamina_engine *engine,
                                                                   const void *data, size_t bytes,
                                                                   const lamina_load_opts *opts,
                                                                   lamina_model **out,
                                                                   lamina_error *err);

/* How a model is written; zeroed = as it is, in one file. */
typedef struct lamina_save_opts {
    size_t size;          /* sizeof(lamina_save_opts) */
    const char *external; /* name of a file beside the model for the weights; NULL = inside */
    const char *const *dim_names; /* n_dims symbolic dimensions to fix */
    const int64_t *dim_values;    /* n_dims extents */
    size_t n_dims;
    lamina_dtype weights; /* LAMINA_F16 or LAMINA_BF16: float32 weights of 64 elements and more are
                             stored so and cast back by the model; one that would overflow stays.
                             0 = as they are */
    uint32_t reserved;    /* must be 0 */
    bool fold;            /* compute what is constant, merge equal nodes, drop dead ones */
    bool strip;           /* leave out doc strings, metadata, node names, types of inner values */
    bool dedupe;          /* equal weights once */
} lamina_save_opts;

/**
 * Write a model as an ONNX file. Functions are inlined, and nodes of old operator sets stand in the
 * form of newer ones: the file imports the lowest set, not below the model's, that has all of them.
 * Files are replaced atomically, the external one first: on failure what was at `path` is still
 * there. The file that the model was loaded from may be replaced too.
 *
 * @param model  borrowed; not changed.
 * @param path   borrowed until return.
 * @param opts   borrowed until return; NULL = defaults.
 * @param err    borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID (options, unknown dimension); E_RANGE (extent); E_STATE (loaded with
 * errors); E_SHAPE (the extents contradict the graph); E_UNSUPPORTED (no form in ONNX); E_LIMIT (2
 * GiB without external data); E_IO, E_PERM; E_NOMEM.
 *
 * Shapes:   dim_names, dim_values [n_dims].   Units: bytes, elements.
 * Threads:  any.    Memory: the graph, not the weights.   Blocking: writes and syncs the files.
 * Source:   onnx.proto, IR version 8 and newer; docs/ExternalData.md.           Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_save(const lamina_model *model,
                                                            const char *path,
                                                            const lamina_save_opts *opts,
                                                            lamina_error *err);

/** Take another reference. @return model. Threads: any. Since: 0.1 */
LAMINA_API lamina_model *lamina_model_ref(lamina_model *model);

/** Drop a reference; NULL does nothing. Threads: any. Since: 0.1 */
LAMINA_API void lamina_model_unref(lamina_model *model);

/* A graph input or output. Strings are lent until the model is gone. */
typedef struct lamina_port {
    size_t size; /* set by the caller to sizeof(lamina_port) */
    const char *name;
    lamina_kind kind;
    bool optional;                          /* input with a default, or an optional type */
    lamina_dtype dtype;                     /* LAMINA_DTYPE_NONE = unknown */
    int32_t rank;                           /* -1 = unknown */
    int64_t dims[LAMINA_MAX_RANK];          /* -1 = not fixed */
    const char *dim_names[LAMINA_MAX_RANK]; /* symbol of a dim that is not fixed, else "" */
    bool has_default;                       /* input that a weight of the file fills when absent */
    lamina_dtype key; /* of a map or a sequence of maps: type of the keys; else DTYPE_NONE */
} lamina_port;

/** Number of graph inputs (weights that are also inputs come last). @return count. Since: 0.1 */
LAMINA_API size_t lamina_model_input_count(const lamina_model *model);
/** Number of graph outputs. @return count. Since: 0.1 */
LAMINA_API size_t lamina_model_output_count(const lamina_model *model);
/** Describe input i. @return LAMINA_OK; E_RANGE. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_input(const lamina_model *model, size_t i,
                                                             lamina_port *out);
/** Describe output i. @return LAMINA_OK; E_RANGE. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_output(const lamina_model *model, size_t i,
                                                              lamina_port *out);

/* Facts about the file. Strings are lent until the model is gone, never NULL. */
typedef struct lamina_model_info {
    size_t size; /* set by the caller */
    const char *producer_name, *producer_version, *domain, *doc, *graph_name;
    int64_t ir_version, model_version;
    int32_t opset;         /* of the default domain */
    uint64_t n_nodes;      /* in the file */
    uint64_t weight_bytes; /* of all initialisers */
    uint64_t n_meta;       /* entries for lamina_model_meta */
    const char *graph_doc; /* `doc` is that of the model */
} lamina_model_info;

/** Read the facts. @return LAMINA_OK; E_INVALID. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_get_info(const lamina_model *model,
                                                                lamina_model_info *out);
/** Metadata entry i. @return LAMINA_OK; E_RANGE. Strings lent until the model is gone. Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_meta(const lamina_model *model, size_t i,
                                                            const char **key, const char **value);

/* One problem or lint found at load. Strings are lent until the model is gone, never NULL. */
typedef struct lamina_diag {
    size_t size; /* set by the caller */
    bool error;  /* false: a lint, the model runs */
    lamina_status status;
    const char *node, *op; /* "" = the model itself */
    int32_t opset;
    const char *what, *fix;
    const char *lint; /* which lint, "cast-island"; "" of an error */
} lamina_diag;

/** Number of diagnostics. @return count. Since: 0.1 */
LAMINA_API size_t lamina_model_diag_count(const lamina_model *model);
/** Diagnostic i. @return LAMINA_OK; E_RANGE. Threads: any. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_model_diag(const lamina_model *model, size_t i,
                                                            lamina_diag *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_MODEL_H */
