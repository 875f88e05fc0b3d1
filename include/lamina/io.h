/*
 * lamina/io.h - values from files and to files: .npy, .npz members, ONNX TensorProto (.pb).
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_IO_H
#define LAMINA_IO_H

#include "lamina/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/**
 * Read a value from a file; the kind of file is the end of its name: ".npy", ".npz" or ".pb".
 *
 * @param path  borrowed until return. For ".npz", "file.npz:member" names the member.
 * @param kind  what a ".pb" file holds: LAMINA_KIND_TENSOR, _SEQUENCE, _MAP, or _NONE for an
 * optional.
 * @param out   on success a ref owned by the caller. On failure untouched.
 * @param err   borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID; E_IO, E_PERM; E_PARSE, E_CORRUPT; E_UNSUPPORTED (a type or
 *         compression that is not read); E_LIMIT; E_NOMEM.
 *
 * Shapes:   as in the file.   Units: none.
 * Threads:  any.              Memory: the data.   Blocking: reads the file.
 * Source:   NEP 1 (npy), onnx.proto TensorProto, SequenceProto, OptionalProto.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_load(lamina_engine *engine,
                                                             const char *path, lamina_kind kind,
                                                             lamina_tensor **out,
                                                             lamina_error *err);

/**
 * Write a tensor as ".npy" or ".pb", by the end of the name; replaces the file by rename.
 *
 * @param t     borrowed; a tensor; ".npy" cannot hold strings.
 * @param path  borrowed until return.
 * @param err   borrowed; NULL allowed.
 * @return LAMINA_OK; E_INVALID; E_DTYPE; E_IO, E_PERM; E_NOMEM. After an error the old file stands.
 *
 * Threads:  any.   Memory: a buffer of the file.   Blocking: writes and syncs.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_tensor_save(const lamina_tensor *t,
                                                             const char *path, lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_IO_H */
