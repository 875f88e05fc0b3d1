/*
 * Fuzz target: TensorProto, SequenceProto, MapProto and OptionalProto values. What is read must be
 * writable, and read back equal.
 */
#include "formats/onnx/onnx_value.h"

#include "pb_mutate.h"

#include <stdlib.h>

static void same(const lamina_tensor *a, const lamina_tensor *b)
{
    if (a->kind != b->kind || a->dtype != b->dtype || a->data_bytes != b->data_bytes) abort();
    if (a->kind == LAMINA_KIND_TENSOR && a->dtype != LAMINA_STRING && a->data_bytes &&
        memcmp(a->data, b->data, a->data_bytes) != 0)
        abort();
}

static void try_value(lamina_engine *e, lmn_span bytes, uint8_t kind)
{
    lamina_tensor *t = NULL, *again = NULL;
    lmn_fact hint = lmn_fact_unknown();
    hint.kind = kind;
    if (lmn_onnx_value_read(e, bytes, &hint, &t, NULL) != LAMINA_OK) return;
    lmn_strbuf out;
    lmn_strbuf_init(&out, &e->alloc, 1u << 26);
    if (lmn_onnx_value_write(t, "x", &out) == LAMINA_OK) {
        hint.kind = t->kind == LAMINA_KIND_TENSOR     ? LMN_FACT_TENSOR
                    : t->kind == LAMINA_KIND_SEQUENCE ? LMN_FACT_SEQUENCE
                    : t->kind == LAMINA_KIND_MAP      ? LMN_FACT_MAP
                                                      : LMN_FACT_OPTIONAL;
        hint.dtype = t->dtype;
        if (lmn_onnx_value_read(e, (lmn_span){(const uint8_t *)out.p, out.n}, &hint, &again,
                                NULL) != LAMINA_OK)
            abort();
        same(t, again);
        lamina_tensor_unref(again);
    }
    lmn_strbuf_finish(&out);
    lamina_tensor_unref(t);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    return pbm_mutate(data, size, max_size, seed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lamina_engine e;
    if (lmn_engine_init(&e, NULL) != LAMINA_OK) return 0;
    for (uint8_t kind = LMN_FACT_TENSOR; kind <= LMN_FACT_MAP; kind++)
        try_value(&e, (lmn_span){data, size}, kind);
    lmn_engine_finish(&e);
    return 0;
}
