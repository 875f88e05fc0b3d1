/*
 * lamina/quantize.h - a float32 model made smaller: 8-bit weights and activations, or 4-bit
 * weights.
 *
 * A quantizer is made for a model, fed with calibration data (static mode only), finished into a
 * new model, and asked how far that one is from the first.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_QUANTIZE_H
#define LAMINA_QUANTIZE_H

#include "lamina/model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lamina_quantizer lamina_quantizer;

/* What becomes of the nodes with constant float32 weights. */
typedef enum lamina_quantize_mode {
    LAMINA_QUANTIZE_STATIC = 1,  /* Conv, Gemm, MatMul and what lies between in 8 bits, with ranges
                                    from calibration data; QuantizeLinear, DequantizeLinear */
    LAMINA_QUANTIZE_DYNAMIC = 2, /* Gemm, MatMul: 8-bit weights, activations quantised at each run;
                                    DynamicQuantizeLinear, MatMulInteger */
    LAMINA_QUANTIZE_INT4 = 3     /* Gemm, MatMul: 4-bit weights in blocks; MatMulNBits of
                                    com.microsoft, which may round its activations to 8 bits */
} lamina_quantize_mode;

/* Options of lamina_quantizer_create(). Set `size` and `mode`, leave the rest zero: the defaults.
   Append only. */
typedef struct lamina_quantize_opts {
    size_t size;       /* sizeof(lamina_quantize_opts) */
    uint32_t mode;     /* lamina_quantize_mode */
    uint32_t block;    /* int4: weights that share a scale, 16 to 256, a power of two; 0 = 32 */
    double percentile; /* static: part of the values in per cent that a range covers, above 50;
                          0 = all of them (least and greatest value) */
    const char *const *exclude; /* n_exclude names of nodes to leave alone */
    size_t n_exclude;
    const char *const *ops; /* n_ops operators to quantise; none = all that the mode knows */
    size_t n_ops;
    bool per_tensor;       /* static, dynamic: one scale for a weight, not one a channel */
    bool symmetric;        /* int4: no zero points */
    bool int8_activations; /* static: int8, not uint8 */
    bool f32_activations;  /* int4: nothing says that activations may be rounded to 8 bits: no
                              accuracy_level of 4 */
} lamina_quantize_opts;

/**
 * Choose what will be quantised. Constants are folded first; in static mode also the arithmetic
 * after a convolution into its weights. Subgraphs (If, Loop, Scan) are left as they are.
 *
 * @param model  borrowed; not changed; what it points into (lamina_model_load_memory) must outlive
 *               the quantizer and the model made by it.
 * @param opts   borrowed until return.
 * @param out    on success owned, released by lamina_quantizer_destroy. On failure untouched.
 * @param err    borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID (options, a node or operator that is not there); E_STATE (loaded
 * with errors); E_UNSUPPORTED (nothing to quantise); E_NOMEM.
 *
 * Shapes:   exclude [n_exclude], ops [n_ops].   Units: per cent, elements.
 * Threads:  any.   Memory: a copy of the graph, not of the weights.   Blocking: folds constants.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_quantizer_create(const lamina_model *model,
                                                                  const lamina_quantize_opts *opts,
                                                                  lamina_quantizer **out,
                                                                  lamina_error *err);

/**
 * Run the model on one set of inputs and widen the ranges of its activations by what is seen.
 * Static mode, any number of times before lamina_quantizer_finish. Values that are not finite are
 * ignored.
 *
 * @param inputs   borrowed until return; by position as lamina_model_input().
 * @param err      borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID; E_STATE (not static, or finished); as lamina_session_run.
 *
 * Shapes:   any that the model declares.   Units: none.
 * Threads:  one at a time.   Memory: all activations that will be quantised.   Blocking: computes.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_quantizer_calibrate(
    lamina_quantizer *q, const lamina_tensor *const *inputs, size_t n_inputs, lamina_error *err);

/**
 * Make the quantised model. Once.
 *
 * @param out  on success a ref owned by the caller (lamina_model_unref). On failure untouched.
 * @param err  borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID; E_STATE (finished before; static and never calibrated); E_NOMEM.
 *
 * Shapes:   none.   Units: none.
 * Threads:  one at a time.   Memory: the new weights.   Blocking: computes them.
 * Source:   docs/quantize.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_quantizer_finish(lamina_quantizer *q,
                                                                  lamina_model **out,
                                                                  lamina_error *err);

/**
 * Run both models on one set of inputs and add what differs to the layers. After
 * lamina_quantizer_finish, any number of times.
 *
 * @param inputs   borrowed until return; by position as lamina_model_input().
 * @param err      borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID; E_STATE (not finished); as lamina_session_run.
 *
 * Shapes:   any that the model declares.   Units: none.
 * Threads:  one at a time.   Memory: the outputs of all layers, twice.   Blocking: computes.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_quantizer_compare(
    lamina_quantizer *q, const lamina_tensor *const *inputs, size_t n_inputs, lamina_error *err);

/* One quantised node, or (after them) one output of the model. Errors are those of the value in the
   quantised model, so with what came down from the layers before. Strings are lent until the
   quantizer is gone, never NULL. */
typedef struct lamina_quantize_layer {
    size_t size;           /* set by the caller */
    const char *name, *op; /* of the node; an output has the operator "" */
    double weight_rel_l2;  /* |wq - w| / |w| over the weights of the node; 0 = none */
    uint64_t n_values;     /* compared so far; the figures below are 0 without any */
    double max_abs;        /* largest |got - want| */
    double rel_l2;         /* |got - want| / |want| */
    double sqnr_db;        /* -20 log10(rel_l2); infinite if equal */
    double cosine;         /* of the angle between got and want */
    uint64_t n_rows,
        n_top1; /* outputs [N, classes]: rows, and those with the same greatest class */
} lamina_quantize_layer;

/** Number of layers and outputs. @return count; 0 before lamina_quantizer_finish. Since: 0.1 */
LAMINA_API size_t lamina_quantizer_layer_count(const lamina_quantizer *q);
/** Describe layer i. @return LAMINA_OK; E_INVALID; E_RANGE. Threads: one at a time. Since: 0.1 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_quantizer_layer(const lamina_quantizer *q,
                                                                 size_t i,
                                                                 lamina_quantize_layer *out);

/** Release a quantizer; NULL does nothing. The model made by it lives on. Threads: one. Since: 0.1
 */
LAMINA_API void lamina_quantizer_destroy(lamina_quantizer *q);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_QUANTIZE_H */
