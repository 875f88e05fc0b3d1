/*
 * What a served model takes and gives, as protocols show it. Made once when a version is loaded;
 * read-only afterwards, so any thread reads it.
 */
#ifndef LMN_SERVE_SIGNATURE_H
#define LMN_SERVE_SIGNATURE_H

#include "base/types.h"
#include "lamina/tensor.h"

typedef struct lmn_serve_port {
    const char *name;
    lamina_dtype dtype;
    int32_t rank;                  /* batch dimension included; -1 = any */
    int64_t dims[LAMINA_MAX_RANK]; /* -1 = any; the batch dimension is -1 */
    bool optional;                 /* an input that may be left out */
    const char *const *labels;     /* of an output: names of its classes, n_labels; may be NULL */
    uint32_t n_labels;
} lmn_serve_port;

typedef struct lmn_signature {
    const char *model, *version; /* "resnet", "3" */
    const char *platform;        /* "onnx_lamina" */
    const lmn_serve_port *in, *out;
    uint32_t n_in, n_out;
    int64_t max_batch_size; /* 0: the first dimension of tensors is no batch */
} lmn_signature;

#endif
