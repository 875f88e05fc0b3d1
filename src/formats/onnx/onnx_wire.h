/*
 * ONNX messages as they stand in the file: spans into its bytes, arrays in the import arena,
 * nothing interpreted. Only the structure is checked here (lengths, wire types, nesting, counts);
 * what it means is judged by onnx_import.c.
 *
 * Bounds: every message counts against lmn_onnx_wire.left, so a file of tiny messages cannot make
 * the arena much larger than the limits allow; graphs nest at most max_depth deep.
 */
#ifndef LMN_FORMATS_ONNX_WIRE_H
#define LMN_FORMATS_ONNX_WIRE_H

#include "base/error.h"
#include "base/pbwire.h"
#include "base/alloc.h"
#include "lamina/model.h"

typedef struct lmn_onnx_graph lmn_onnx_graph;

typedef struct lmn_onnx_spans {
    lmn_span *v;
    size_t n;
} lmn_onnx_spans;

typedef struct lmn_onnx_kv {
    lmn_span key, value;
} lmn_onnx_kv;

typedef struct lmn_onnx_tensor {
    lmn_span name, raw;
    lmn_span body; /* the whole message: typed fields are read from it when needed */
    int32_t dtype;
    size_t n_dims;
    const int64_t *dims;
    size_t n_ext;
    const lmn_onnx_kv *ext;
    bool external, has_raw, segmented;
} lmn_onnx_tensor;

typedef struct lmn_onnx_sparse {
    lmn_onnx_tensor values, indices;
    size_t n_dims;
    const int64_t *dims;
} lmn_onnx_sparse;

typedef struct lmn_onnx_value_info {
    lmn_span name, type; /* type: a TypeProto; p NULL = not given */
} lmn_onnx_value_info;

typedef struct lmn_onnx_attr {
    lmn_span name, ref; /* ref: ref_attr_name */
    lmn_span body;      /* the whole message: lists are read from it when needed */
    int32_t type;       /* AttributeType; taken from the field that is set if the file gives none */
    float f;
    int64_t i;
    size_t n_numbers; /* entries of lists that are not packed, ints and floats */
    bool packed;      /* a packed list, whose entries are not counted */
    lmn_span s, type_proto;
    lmn_onnx_tensor *t;
    lmn_onnx_sparse *sparse;
    lmn_onnx_graph *g;
} lmn_onnx_attr;

typedef struct lmn_onnx_node {
    lmn_span name, op, domain, overload;
    lmn_onnx_spans in, out;
    lmn_onnx_attr *attrs;
    size_t n_attrs;
} lmn_onnx_node;

struct lmn_onnx_graph {
    lmn_span name, doc;
    lmn_onnx_node *nodes;
    size_t n_nodes;
    lmn_onnx_tensor *inits;
    size_t n_inits;
    lmn_onnx_sparse *sparse;
    size_t n_sparse;
    lmn_onnx_value_info *in, *out, *info;
    size_t n_in, n_out, n_info;
};

typedef struct lmn_onnx_opset {
    lmn_span domain;
    int64_t version;
} lmn_onnx_opset;

typedef struct lmn_onnx_opsets {
    lmn_onnx_opset *v;
    size_t n;
} lmn_onnx_opsets;

typedef struct lmn_onnx_function {
    lmn_span name, domain, overload;
    lmn_onnx_spans in, out, attr_names;
    lmn_onnx_attr *defaults;
    size_t n_defaults;
    lmn_onnx_node *nodes;
    size_t n_nodes;
    lmn_onnx_opsets opsets;
} lmn_onnx_function;

typedef struct lmn_onnx_model {
    int64_t ir_version, model_version;
    lmn_span producer_name, producer_version, domain, doc;
    lmn_onnx_opsets opsets;
    lmn_onnx_graph *graph; /* NULL = none in the file */
    lmn_onnx_function *functions;
    size_t n_functions;
    lmn_onnx_kv *meta;
    size_t n_meta;
    size_t n_nodes; /* all nodes of graphs, not of functions */
} lmn_onnx_model;

/* State of one reading. The status of the first failure stays in `status`, its sentence in err. */
typedef struct lmn_onnx_wire {
    lmn_arena *arena;
    const lamina_load_opts *limits;
    lamina_error *err;
    lamina_status status;
    uint64_t left; /* messages that may still come */
    uint64_t nodes_left;
    uint32_t depth; /* graphs open now */
} lmn_onnx_wire;

lamina_status lmn_onnx_wire_model(lmn_onnx_wire *w, lmn_span bytes, lmn_onnx_model *out);
lamina_status lmn_onnx_wire_tensor(lmn_onnx_wire *w, lmn_span bytes, lmn_onnx_tensor *out);
lamina_status lmn_onnx_wire_sparse(lmn_onnx_wire *w, lmn_span bytes, lmn_onnx_sparse *out);

static inline bool lmn_span_eq(lmn_span a, lmn_span b)
{
    return a.n == b.n && (a.n == 0 || __builtin_memcmp(a.p, b.p, a.n) == 0);
}
static inline bool lmn_span_is(lmn_span a, const char *s)
{
    return a.n == __builtin_strlen(s) && (a.n == 0 || __builtin_memcmp(a.p, s, a.n) == 0);
}
/* Repeated numbers of field `num` in a message, packed or not: as 64-bit words (varint) or
   32/64-bit patterns. Count only if `out` is NULL. False when the bytes are bad or more than `cap`
   come. */
bool lmn_onnx_numbers(lmn_span body, uint32_t num, uint8_t wire, uint64_t *out, size_t cap,
                      size_t *n);

#endif
