/*
 * lamina/prepack.h - the folder of packed weights. A session whose option prepack_cache names a
 * folder keeps there, in the order in which its kernels read them, the weights for which that pays
 * (lamina/session.h); later sessions, of any process, map the file and pack nothing. The folder is
 * a cache: files may be removed at any time, and whatever is damaged, stale or of another machine
 * is made anew. What is listed here is what a person wants to know about it.
 *
 * The folder belongs to one user; of anything else it is said why it is not used. Files are
 * replaced by rename, packed weights in them never change. As with every mapped file, who truncates
 * one in place ends the processes that map it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_PREPACK_H
#define LAMINA_PREPACK_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One file of the folder. Strings are lent until the callback returns. */
typedef struct lamina_prepack_file {
    size_t size;          /* sizeof(lamina_prepack_file) of the library */
    const char *name;     /* in the folder */
    const char *model;    /* file of the model it was made for, or its name; "" if unknown */
    uint64_t bytes;       /* on disk */
    uint64_t n_tensors;   /* packed weights in it */
    uint64_t made_ns;     /* when it was written, since 1970 */
    uint64_t used_ns;     /* when a session last mapped it */
    lamina_status status; /* LAMINA_OK, or what is wrong with it */
    const char *problem;  /* the sentence to that; "" if nothing */
} lamina_prepack_file;

/* Receives the files in order of their names. */
typedef void (*lamina_prepack_fn)(void *ctx, const lamina_prepack_file *file);

/**
 * Look at every file of a folder of packed weights.
 *
 * @param dir     borrowed; NULL or "auto": $XDG_CACHE_HOME/lamina/prepack, or that below
 *                $HOME/.cache; else an absolute path.
 * @param verify  read all packed weights and compare their checksums; without it heads and tables
 *                alone are looked at.
 * @param each    called for every file, NULL = for none; may not call into the same folder.
 * @param ctx     passed back.
 * @param err     borrowed; NULL allowed.
 * @return LAMINA_OK, also where there is no such folder yet or files in it are damaged; E_INVALID
 *         (a relative path, or no place for the user's); E_PERM (the folder belongs to another
 *         user or others may write to it); E_IO; E_NOMEM.
 *
 * Shapes:   none.              Units: bytes, nanoseconds.
 * Threads:  any.   Memory: a list of names, from the C library.   Blocking: reads files.
 * Source:   none.  Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_prepack_list(const char *dir, bool verify,
                                                              lamina_prepack_fn each, void *ctx,
                                                              lamina_error *err);

/**
 * Remove every file of packed weights, and what writers that died have left. Sessions that map a
 * file keep what they have until they end.
 *
 * @param dir      borrowed; as above.
 * @param n_files  files removed; NULL allowed.
 * @param n_bytes  their bytes; NULL allowed.
 * @param err      borrowed; NULL allowed.
 * @return LAMINA_OK, also where there is nothing; E_BUSY (a session is writing); as above.
 *
 * Shapes:   none.              Units: bytes.
 * Threads:  any.   Memory: a list of names.   Blocking: removes files.
 * Source:   none.  Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_prepack_clear(const char *dir, uint64_t *n_files,
                                                               uint64_t *n_bytes,
                                                               lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_PREPACK_H */
