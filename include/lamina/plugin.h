/*
 * lamina/plugin.h - operators from outside: a shared library exports one table, `lamina_plugin_v1`,
 * and an engine loads it. A plug-in links against nothing: whatever it asks of the engine goes
 * through the function table that every callback receives.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_PLUGIN_H
#define LAMINA_PLUGIN_H

#include "lamina/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAMINA_OP_ABI 1u
/* Name under which a library exports its lamina_plugin. */
#define LAMINA_PLUGIN_SYMBOL "lamina_plugin_v1"

/*
 * An extent while shapes are inferred: >= 0 is the number itself, LAMINA_DIM_UNKNOWN is not known,
 * anything below stands for an expression such as "N + 1" and is only good within this callback.
 */
typedef int64_t lamina_dim;
#define LAMINA_DIM_UNKNOWN ((lamina_dim)-1)

/* The shapes of one node while they are inferred. */
typedef struct lamina_shapes lamina_shapes;

/* What a plug-in may ask of the engine. A later version is longer: `size` says how much is there.
   Nodes, calls, tensors and texts are lent until the callback returns. */
typedef struct lamina_op_host {
    size_t size;
    /* The node, in both callbacks; the functions of lamina/op.h without their prefix. */
    int32_t (*input_count)(const lamina_node *node);
    int32_t (*output_count)(const lamina_node *node);
    int64_t (*attr_int)(const lamina_node *node, const char *name, int64_t def);
    float (*attr_float)(const lamina_node *node, const char *name, float def);
    const char *(*attr_string)(const lamina_node *node, const char *name, const char *def);
    int32_t (*attr_ints)(const lamina_node *node, const char *name, const int64_t **out);
    /* Inference only. Type of input i, LAMINA_DTYPE_NONE = absent or not known. */
    lamina_dtype (*input_dtype)(const lamina_node *node, int32_t i);
    const lamina_tensor *(*input_const)(const lamina_node *node, int32_t i); /* NULL = not known */
    /* Shape of input i into dims[LAMINA_MAX_RANK]; gives the rank, -1 = not known. */
    int32_t (*input_dims)(lamina_shapes *s, int32_t i, lamina_dim *dims);
    lamina_dim (*dim_add)(lamina_shapes *s, lamina_dim a, lamina_dim b);
    lamina_dim (*dim_sub)(lamina_shapes *s, lamina_dim a, lamina_dim b);
    lamina_dim (*dim_mul)(lamina_shapes *s, lamina_dim a, lamina_dim b);
    lamina_dim (*dim_div)(lamina_shapes *s, lamina_dim a, lamina_dim b); /* toward -infinity */
    /* Output o has this shape; rank -1 = not known. dtype LAMINA_DTYPE_NONE = as the ports say. */
    lamina_status (*output)(lamina_shapes *s, int32_t o, lamina_dtype dtype, int32_t rank,
                            const lamina_dim *dims);
    /* Refuse the node with one sentence; gives `status`: `return h->refuse(...)`. */
    lamina_status (*refuse)(lamina_shapes *s, lamina_status status, const char *sentence);
    /* Evaluation only: as lamina_call_*. Inputs are dense, NULL = absent. */
    const lamina_tensor *(*call_input)(const lamina_call *call, int32_t i);
    lamina_status (*call_output)(lamina_call *call, int32_t i, lamina_dtype dtype, int32_t rank,
                                 const int64_t *dims, lamina_tensor **out);
    void *(*call_scratch)(lamina_call *call, size_t bytes);
    bool (*call_cancelled)(const lamina_call *call);
    /* Fail with one sentence; gives `status`. */
    lamina_status (*call_fail)(lamina_call *call, lamina_status status, const char *sentence);
    /* Tensors: as lamina_tensor_*. */
    lamina_dtype (*dtype)(const lamina_tensor *t);
    int32_t (*rank)(const lamina_tensor *t);
    const int64_t *(*dims)(const lamina_tensor *t);
    int64_t (*count)(const lamina_tensor *t);
    const void *(*data)(const lamina_tensor *t);
    void *(*mutable_data)(lamina_tensor *t); /* of what call_output gave; NULL if empty */
    const char *(*string)(const lamina_tensor *t, int64_t index, size_t *bytes);
    lamina_status (*set_string)(lamina_tensor *t, int64_t index, const char *utf8, size_t bytes);
} lamina_op_host;

/* Set of element types, for lamina_op_port. */
#define LAMINA_TYPE(dtype) (1u << (dtype))

enum { LAMINA_PORT_OPTIONAL = 1, LAMINA_PORT_VARIADIC = 2 /* the last port, one type for all */ };
typedef struct lamina_op_port {
    const char *name; /* NULL ends the list */
    uint32_t types;   /* LAMINA_TYPE(LAMINA_F32) | ... */
    uint32_t flags;   /* LAMINA_PORT_* */
    char var;         /* 'A'..'Z': equal letters mean equal types; 0 = on its own */
} lamina_op_port;

/* Kinds of attributes, with the numbers of AttributeProto.AttributeType (onnx.proto). */
enum { LAMINA_ATTR_FLOAT = 1, LAMINA_ATTR_INT = 2, LAMINA_ATTR_STRING = 3, LAMINA_ATTR_INTS = 7 };
typedef struct lamina_op_attr {
    const char *name; /* NULL ends the list */
    int32_t type;     /* LAMINA_ATTR_* */
    int32_t required; /* 1 = it has no default */
} lamina_op_attr;

enum { LAMINA_OP_IMPURE = 1 /* two calls may differ: never folded or merged */ };

/*
 * An operator. Callbacks run on any thread, several at once, and must not keep what they are lent.
 * What `eval` makes is held against `ports` and `infer` after every call.
 */
typedef struct lamina_op_v1 {
    size_t size; /* sizeof(lamina_op_v1) */
    const char *domain, *name;
    int32_t since;  /* first version of the domain that has it, >= 1 */
    uint32_t flags; /* LAMINA_OP_* */
    const lamina_op_port *inputs, *outputs;
    const lamina_op_attr *attrs; /* NULL = none */
    /* Types and counts have been checked. Optional: NULL = every output has input 0's shape. */
    lamina_status (*infer)(const lamina_op_host *h, const lamina_node *node, lamina_shapes *s);
    /* Make every output by call_output, then fill it. */
    lamina_status (*eval)(const lamina_op_host *h, const lamina_node *node, lamina_call *call);
} lamina_op_v1;

/* What a library exports: `LAMINA_API const lamina_plugin lamina_plugin_v1 = {...};` */
typedef struct lamina_plugin {
    uint32_t abi;     /* LAMINA_OP_ABI */
    const char *name; /* of the plug-in, for messages */
    size_t n_ops;
    const lamina_op_v1 *const *ops;
} lamina_plugin;

/**
 * Load a library of operators into an engine, before the models that use them. Its operators are
 * found by domain and name like built-in ones, which they cannot replace. The library runs code of
 * its own in this process: load only what you trust. It is unloaded with the engine. A library that
 * the engine has already is not loaded again, which is no error.
 *
 * @param engine  borrowed.
 * @param path    of the shared library, borrowed until return.
 * @param err     borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID (NULL, or a table that is not well-formed); E_IO (no such file);
 *         E_UNSUPPORTED (no shared library of this machine, or none that exports
 *         `lamina_plugin_v1`); E_VERSION (another abi); E_STATE (an operator of this name exists);
 *         E_LIMIT (too many operators or ports); E_NOMEM. On failure nothing was added.
 *
 * Shapes:   none.     Units: none.
 * Threads:  one load at a time on an engine; other threads may use the engine meanwhile.
 * Memory:   the library, and some hundred bytes an operator from the allocator.
 * Blocking: reads the file, runs its constructors.   Source: dlopen(3).   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_plugin_load(lamina_engine *engine,
                                                             const char *path, lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_PLUGIN_H */
