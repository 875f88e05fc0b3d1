/*
 * lamina/op.h - what a device may ask of a node before running it, and of a call while running it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_OP_H
#define LAMINA_OP_H

#include "lamina/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A node as it is compiled: operator, attributes, what is known of its inputs and outputs. */
typedef struct lamina_node lamina_node;
/* One execution of a node: its input tensors and its outputs. */
typedef struct lamina_call lamina_call;

/** Operator name, such as "Conv". @return lent until the node is gone. Since: 0.1 */
LAMINA_API const char *lamina_node_op(const lamina_node *node);
/** Operator domain, "" for ai.onnx. @return lent until the node is gone. Since: 0.1 */
LAMINA_API const char *lamina_node_domain(const lamina_node *node);
/** Name of the node in the file, "" if none. @return lent until the node is gone. Since: 0.1 */
LAMINA_API const char *lamina_node_name(const lamina_node *node);
/** Number of inputs, absent ones counted. @return count. Since: 0.1 */
LAMINA_API int32_t lamina_node_input_count(const lamina_node *node);
/** Number of outputs. @return count. Since: 0.1 */
LAMINA_API int32_t lamina_node_output_count(const lamina_node *node);
/** Element type of input i. @return LAMINA_DTYPE_NONE if absent or unknown. Since: 0.1 */
LAMINA_API lamina_dtype lamina_node_input_dtype(const lamina_node *node, int32_t i);
/** Shape of input i. @param dims receives rank extents, -1 = not known yet. @return rank, -1 =
 * unknown. Since: 0.1 */
LAMINA_API int32_t lamina_node_input_shape(const lamina_node *node, int32_t i, int64_t *dims);
/** Data of input i if constant. @return lent until the session is gone, or NULL. Since: 0.1 */
LAMINA_API const lamina_tensor *lamina_node_input_const(const lamina_node *node, int32_t i);
/** Integer attribute. @return its value, or def. Since: 0.1 */
LAMINA_API int64_t lamina_node_attr_int(const lamina_node *node, const char *name, int64_t def);
/** Float attribute. @return its value, or def. Since: 0.1 */
LAMINA_API float lamina_node_attr_float(const lamina_node *node, const char *name, float def);
/** String attribute. @return lent until the node is gone, or def. Since: 0.1 */
LAMINA_API const char *lamina_node_attr_string(const lamina_node *node, const char *name,
                                               const char *def);
/** Integer list attribute. @return entries at *out (lent), 0 if absent. Since: 0.1 */
LAMINA_API int32_t lamina_node_attr_ints(const lamina_node *node, const char *name,
                                         const int64_t **out);

/** Input i of the call. @return lent until execute returns; NULL if absent. Since: 0.1 */
LAMINA_API const lamina_tensor *lamina_call_input(const lamina_call *call, int32_t i);
/** Number of inputs. @return count. Since: 0.1 */
LAMINA_API int32_t lamina_call_input_count(const lamina_call *call);
/**
 * Make output i ready: type, shape, uninitialised dense memory to be filled through
 * lamina_tensor_mutable_data. It may be the memory of an input that dies here (elementwise
 * operators only): read an element before writing the same one.
 *
 * @param out  on success lent until execute returns; NULL if nobody wants this output.
 * @return LAMINA_OK; E_RANGE; E_NOMEM.
 *
 * Threads: the one that executes.   Memory: planned, or from the engine.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_call_output(lamina_call *call, int32_t i,
                                                             lamina_dtype dtype, int32_t rank,
                                                             const int64_t *dims,
                                                             lamina_tensor **out);
/** Scratch memory until execute returns, 64-byte aligned. @return NULL on exhaustion. Since: 0.1 */
LAMINA_API void *lamina_call_scratch(lamina_call *call, size_t bytes);
/** Compute this call by the operator's reference evaluation. @return its status. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_call_reference(lamina_call *call);
/** Has the run been cancelled? @return true: stop soon. Since: 0.1 */
LAMINA_API bool lamina_call_cancelled(const lamina_call *call);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_OP_H */
