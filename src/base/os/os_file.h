/*
 * Files as bytes: map a regular file read-only, or read it whole. The paths are of two kinds: one
 * that a person gave (any file), and one that stands inside another file (resolved strictly below a
 * folder: no absolute path, no "..", no symbolic link, no special file).
 *
 * Replace mapped files by rename: truncating one in place while it is mapped raises SIGBUS.
 */
#ifndef LMN_BASE_OS_FILE_H
#define LMN_BASE_OS_FILE_H

#include "base/error.h"
#include "base/types.h"

/* Open a regular file; *fd is owned (lmn_os_close), *bytes is its size now. */
lamina_status lmn_os_open(const char *path, int *fd, uint64_t *bytes, lamina_error *err);
/* The same for `rel` strictly beneath folder `dir` ("" = the working directory). */
lamina_status lmn_os_open_beneath(const char *dir, const char *rel, int *fd, uint64_t *bytes,
                                  lamina_error *err);
void lmn_os_close(int fd);
uint32_t lmn_os_links(int fd); /* hard links of an open file, 0 = cannot be told */

/* Which file, and which state of it: two that are equal have the same bytes, unless the file was
   written twice within the granularity of its clock. All zero: cannot be told. */
typedef struct lmn_os_file_id {
    uint64_t dev, ino, bytes, mtime_ns, ctime_ns;
} lmn_os_file_id;
void lmn_os_file_identify(int fd, lmn_os_file_id *out);
/* Where an open file lies; "" when that cannot be told or is too long. */
void lmn_os_file_path(int fd, char *buf, size_t cap);

/* Map the first `bytes` > 0 bytes, shared and read-only; undone by lmn_os_unmap. The fd may go. */
lamina_status lmn_os_map(int fd, uint64_t bytes, lmn_span *out, lamina_error *err);
void lmn_os_unmap(lmn_span map);
/* Read exactly n bytes at `offset`. */
lamina_status lmn_os_read_at(int fd, uint64_t offset, void *buf, size_t n, lamina_error *err);

#endif
