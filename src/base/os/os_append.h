/*
 * A file that grows at its end, written at offsets that the caller keeps: what a failed write left
 * behind is cut off or written over. Also the moves that rotation needs.
 */
#ifndef LMN_BASE_OS_APPEND_H
#define LMN_BASE_OS_APPEND_H

#include "base/error.h"

/* Which file a name stands for. */
typedef struct lmn_file_id {
    uint64_t device, inode;
} lmn_file_id;

typedef struct lmn_append {
    int fd; /* -1: none */
    lmn_file_id id;
} lmn_append;

/* Open the regular file `path`, made if it is not there; *bytes is its size. */
lamina_status lmn_append_open(const char *path, lmn_append *out, uint64_t *bytes,
                              lamina_error *err);
void lmn_append_close(lmn_append *f);
/* All n bytes at `offset`, or a status: then a part of them may stand there. */
lamina_status lmn_append_write(const lmn_append *f, uint64_t offset, const void *bytes, size_t n,
                               lamina_error *err);
/* Cut the file to `bytes`. */
lamina_status lmn_append_cut(const lmn_append *f, uint64_t bytes, lamina_error *err);
lamina_status lmn_append_size(const lmn_append *f, uint64_t *bytes, lamina_error *err);
/* To the disk. */
lamina_status lmn_append_sync(const lmn_append *f, lamina_error *err);

/* False when there is no such file. */
bool lmn_file_identify(const char *path, lmn_file_id *out);
/* Replaces what `to` was. */
lamina_status lmn_file_move(const char *from, const char *to, lamina_error *err);

#endif
