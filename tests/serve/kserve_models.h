/*
 * Signatures that the tests and the fuzzer of KServe bodies share.
 */
#ifndef LMN_TESTS_KSERVE_MODELS_H
#define LMN_TESTS_KSERVE_MODELS_H

#include "serve/kserve.h"

#include <string.h>

#define PORT_ANY(text, type)                                          \
    {                                                                 \
        .name = (text), .dtype = (type), .rank = -1, .optional = true \
    }

static const char *const KM_LABELS[] = {"cat", "dog", "axolotl"};
static const lmn_serve_port KM_X[] = {
    {.name = "x", .dtype = LAMINA_F32, .rank = 2, .dims = {-1, 4}}};
static const lmn_serve_port KM_FLAT[] = {
    {.name = "x", .dtype = LAMINA_F32, .rank = 1, .dims = {4}}};
static const lmn_serve_port KM_AB[] = {{.name = "a", .dtype = LAMINA_I32, .rank = -1},
                                       {.name = "b", .dtype = LAMINA_I32, .rank = -1}};
static const lmn_serve_port KM_S[] = {
    {.name = "s", .dtype = LAMINA_STRING, .rank = 1, .dims = {-1}}};
static const lmn_serve_port KM_ALL[] = {
    PORT_ANY("f32", LAMINA_F32),   PORT_ANY("f64", LAMINA_F64),   PORT_ANY("f16", LAMINA_F16),
    PORT_ANY("bf16", LAMINA_BF16), PORT_ANY("i8", LAMINA_I8),     PORT_ANY("u8", LAMINA_U8),
    PORT_ANY("i16", LAMINA_I16),   PORT_ANY("u16", LAMINA_U16),   PORT_ANY("i32", LAMINA_I32),
    PORT_ANY("u32", LAMINA_U32),   PORT_ANY("i64", LAMINA_I64),   PORT_ANY("u64", LAMINA_U64),
    PORT_ANY("bool", LAMINA_BOOL), PORT_ANY("str", LAMINA_STRING)};
static const lmn_serve_port KM_YZ[] = {
    {.name = "y", .dtype = LAMINA_F32, .rank = -1, .labels = KM_LABELS, .n_labels = 3},
    {.name = "z", .dtype = LAMINA_STRING, .rank = -1}};

#define KM_MODEL(text, ports, batch)                                                             \
    {                                                                                            \
        .model = (text), .version = "1", .platform = "onnx_lamina", .in = (ports), .out = KM_YZ, \
        .n_in = sizeof(ports) / sizeof((ports)[0]), .n_out = 2, .max_batch_size = (batch)        \
    }
static const lmn_signature KM_MODELS[] = {KM_MODEL("one", KM_X, 8), KM_MODEL("two", KM_AB, 0),
                                          KM_MODEL("any", KM_ALL, 0), KM_MODEL("text", KM_S, 0),
                                          KM_MODEL("flat", KM_FLAT, 0)};

static inline const lmn_signature *km_model(const char *name)
{
    for (size_t i = 0; i < sizeof KM_MODELS / sizeof KM_MODELS[0]; i++)
        if (strcmp(KM_MODELS[i].model, name) == 0) return &KM_MODELS[i];
    return NULL;
}

#endif
