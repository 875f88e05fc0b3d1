/*
 * lamina/info.h - what this library is and what it chose for this machine, as rows of text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_INFO_H
#define LAMINA_INFO_H

#include "lamina/plugin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One fact: "cpu.isa" = "avx2 avx512". */
typedef struct lamina_info_row {
    size_t size; /* set by the caller */
    char key[64];
    char value[192];
} lamina_info_row;

/**
 * Read row i of the report: version, build, CPU, limits of the container, tuned choices, one row a
 * kernel variant, one a device, one a plug-in.
 *
 * @param engine  borrowed.
 * @param i       0 upwards until E_RANGE.
 * @param out     filled; out->size must be sizeof(lamina_info_row).
 * @return LAMINA_OK; E_RANGE (no such row); E_INVALID.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_engine_info(const lamina_engine *engine, size_t i,
                                                             lamina_info_row *out);

/* An operator that an engine knows. Strings are lent until the engine is gone, never NULL. */
typedef struct lamina_operator {
    size_t size;                  /* set by the caller */
    const char *domain, *name;    /* "" = ai.onnx */
    const char *plugin;           /* plug-in that brought it, "" = built in */
    int32_t since, last;          /* versions of its domain that have it; last 0 = no end known */
    uint32_t n_inputs, n_outputs; /* ports of its newest version */
    /* Rows of the CPU device that may serve it, whatever this machine has: "gemm.f32: ref avx2,
       norm.f32: ref avx2". "own" = fast code beside the rows; "" = the reference alone. */
    char kernels[256];
} lamina_operator;

/**
 * Describe operator i: the built-in ones first, then those of plug-ins in the order of loading.
 *
 * @param engine  borrowed.
 * @param i       0 upwards until E_RANGE.
 * @param out     filled; out->size must be sizeof(lamina_operator).
 * @return LAMINA_OK; E_RANGE (no such operator); E_INVALID.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_engine_operator(const lamina_engine *engine,
                                                                 size_t i, lamina_operator *out);

/**
 * Describe a port of operator i.
 *
 * @param engine  borrowed.
 * @param i       as lamina_engine_operator().
 * @param output  an output, else an input.
 * @param k       0 <= k < n_inputs or n_outputs.
 * @param out     filled; the name is lent until the engine is gone.
 * @return LAMINA_OK; E_RANGE (no such port); E_INVALID.
 *
 * Threads: any.   Memory: none.   Blocking: none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_engine_operator_port(const lamina_engine *engine,
                                                                      size_t i, bool output,
                                                                      size_t k,
                                                                      lamina_op_port *out);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_INFO_H */
