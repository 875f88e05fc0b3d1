/*
 * Reading and writing ONNX models: bytes to a lamina_model (graph in canonical operators, functions
 * inlined, captures explicit, constants pointing into the file where they may).
 *
 * Every problem of the import is collected in model->diags; the load fails with the first error
 * unless `collect` is set, in which case the model comes back for inspection only.
 */
#ifndef LMN_FORMATS_ONNX_H
#define LMN_FORMATS_ONNX_H

#include "formats/onnx/onnx_tensor.h"
#include "graph/model.h"

/* Highest operator sets whose meaning is known (onnx 1.23). */
#define LMN_ONNX_MAX_OPSET 28
#define LMN_ONNX_MAX_OPSET_ML 5
#define LMN_ONNX_MAX_IR 14

/* Where the bytes are: exactly one of path, data and storage is set. */
typedef struct lmn_onnx_source {
    const char *path;
    const void *data; /* lent until the last reference to the model's constants is gone */
    size_t data_bytes;
    const lmn_onnx_storage *storage; /* borrowed until return */
    const char *dir;                 /* folder of external data; NULL = that of path, or none */
} lmn_onnx_source;

/* opts: limits, refuse_hard_links, collect; NULL = defaults. err may be NULL. */
lamina_status lmn_onnx_load(lamina_engine *e, const lmn_onnx_source *src,
                            const lamina_load_opts *opts, lamina_model **out, lamina_error *err);

/* Write the graph as it was imported (before any pass) to an ONNX file; see lamina_model_save. */
lamina_status lmn_onnx_save(const lamina_model *m, const char *path, const lamina_save_opts *opts,
                            lamina_error *err);

#endif
