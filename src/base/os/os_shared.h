/*
 * Files that processes share as memory. Whoever has one open may hold its lock, which the system
 * lets go when the last descriptor is gone, however the process ended: so "is anybody there?" has
 * an answer that no process id gives.
 *
 * A mapped file that somebody cuts short raises SIGBUS on access: lmn_shared_mend_bus.
 */
#ifndef LMN_BASE_OS_SHARED_H
#define LMN_BASE_OS_SHARED_H

#include "base/error.h"

typedef struct lmn_shared {
    int fd;
    uint8_t *p; /* n bytes, readable and writable */
    size_t n;
} lmn_shared;

/* A new file of n zero bytes, whose space is reserved; mapped, and its lock held together with
 * others. E_STATE when there is one of that name. */
lamina_status lmn_shared_create(const char *path, size_t n, lmn_shared *out, lamina_error *err);
/* A regular file that is there, of `least` to `most` bytes, mapped; no lock is taken. E_CORRUPT: it
 * is something else or of another size; E_STATE: it is not there; E_PERM; E_IO: try again later. */
lamina_status lmn_shared_open(const char *path, size_t least, size_t most, lmn_shared *out,
                              lamina_error *err);
/* The file `path` of n bytes, made if there is none (or one of another size), mapped, its lock held
 * alone; *fresh: it is zero. E_BUSY: somebody holds it. */
lamina_status lmn_shared_claim(const char *path, size_t n, lmn_shared *out, bool *fresh,
                               lamina_error *err);
/* Unmap and close; a zeroed record is fine. */
void lmn_shared_close(lmn_shared *s);
/* Take the lock alone; false while anybody else holds it. */
bool lmn_shared_alone(const lmn_shared *s);
/* Is the file still as long as what is mapped? */
bool lmn_shared_whole(const lmn_shared *s);
/* Seconds since the file was changed by a system call. */
uint64_t lmn_shared_age_s(const lmn_shared *s);

/* From now on a SIGBUS in this process, which says that a mapped page is no longer in its file,
 * puts a page of zeros there and goes on. */
void lmn_shared_mend_bus(void);

#endif
