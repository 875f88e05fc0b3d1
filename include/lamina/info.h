/*
 * lamina/info.h - what this library is and what it chose for this machine, as rows of text.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_INFO_H
#define LAMINA_INFO_H

#include "lamina/base.h"

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
 * Read row i of the report: version, build, CPU, limits of the container, one row a kernel variant,
 * one a device.
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

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_INFO_H */
