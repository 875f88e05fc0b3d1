/*
 * Fuzz target: the ONNX importer under small limits, in both modes, and the value reader. What is
 * accepted must pass the verifier, and nothing may be held afterwards (the leak checker says so).
 */
#include "formats/onnx/onnx.h"
#include "formats/onnx/onnx_value.h"

#include <stdlib.h>

static void try_load(lamina_engine *e, const uint8_t *data, size_t size, bool collect)
{
    lamina_model *m = NULL;
    lamina_error err;
    const lamina_load_opts limits = {.size = sizeof limits,
                                     .max_depth = 8,
                                     .max_nodes = 500,
                                     .max_values = 5000,
                                     .max_string = 4096,
                                     .max_elems = 1u << 16,
                                     .max_const_bytes = 1u << 20,
                                     .collect = collect};
    const lmn_onnx_source src = {.data = data, .data_bytes = size};
    if (lmn_onnx_load(e, &src, &limits, &m, &err) != LAMINA_OK) return;
    if (m->diags.n_errors == 0 && lmn_graph_verify(m->graph, NULL) != LAMINA_OK) abort();
    lmn_model_destroy(m);
}

static void try_value(lamina_engine *e, const uint8_t *data, size_t size, uint8_t kind)
{
    lamina_tensor *t = NULL;
    lmn_fact hint = lmn_fact_unknown();
    hint.kind = kind;
    if (lmn_onnx_value_read(e, (lmn_span){data, size}, &hint, &t, NULL) != LAMINA_OK) return;
    lmn_strbuf out;
    lmn_strbuf_init(&out, &e->alloc, 1u << 26);
    (void)lmn_onnx_value_write(t, "x", &out);
    lmn_strbuf_finish(&out);
    lamina_tensor_unref(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lamina_engine e;
    if (lmn_engine_init(&e, NULL) != LAMINA_OK) return 0;
    try_load(&e, data, size, false);
    try_load(&e, data, size, true);
    for (uint8_t kind = LMN_FACT_TENSOR; kind <= LMN_FACT_OPTIONAL; kind++)
        try_value(&e, data, size, kind);
    lmn_engine_finish(&e);
    return 0;
}
