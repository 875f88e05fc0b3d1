/*
 * Loading and saving by kind of file. Today that is ONNX; GGUF joins here.
 */
#include "base/fpenv.h"
#include "formats/onnx/onnx.h"

/* Rewriting old opsets and inference compute with constants. */
static lamina_status load(lamina_engine *engine, const lmn_onnx_source *src,
                          const lamina_load_opts *opts, lamina_model **out, lamina_error *err)
{
    lmn_fpenv fp;
    lmn_fpenv_enter(&fp);
    const lamina_status st = lmn_onnx_load(engine, src, opts, out, err);
    lmn_fpenv_leave(&fp);
    return st;
}

lamina_status lamina_model_load(lamina_engine *engine, const char *path,
                                const lamina_load_opts *opts, lamina_model **out, lamina_error *err)
{
    if (!engine || !path || !out)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "loading a model needs an engine, a path and a place to go");
    const lmn_onnx_source src = {.path = path};
    return load(engine, &src, opts, out, err);
}

lamina_status lamina_model_load_memory(lamina_engine *engine, const void *data, size_t bytes,
                                       const lamina_load_opts *opts, lamina_model **out,
                                       lamina_error *err)
{
    if (!engine || !data || !out)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "loading a model needs an engine, data and a place to go");
    const lmn_onnx_source src = {.data = data, .data_bytes = bytes};
    return load(engine, &src, opts, out, err);
}

lamina_status lamina_model_save(const lamina_model *model, const char *path,
                                const lamina_save_opts *opts, lamina_error *err)
{
    if (!model || !path || !*path)
        return lmn_fail(err, LAMINA_E_INVALID, "saving needs a model and a path");
    return lmn_onnx_save(model, path, opts, err);
}
