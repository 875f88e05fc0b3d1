/*
 * The folder of packed weights: where it is, its files, what goes when it is full. The files are
 * packfile.h's, one a model and way of packing, named NAME.pack.
 */
#ifndef LMN_RUNTIME_PACKDIR_H
#define LMN_RUNTIME_PACKDIR_H

#include "lamina/prepack.h"
#include "runtime/packfile.h"

#define LMN_PACKDIR_BYTES 1024 /* of a path to a folder */

typedef struct lmn_packdir {
    char path[LMN_PACKDIR_BYTES];
    int levels; /* folders that may be made: of the user's own place several */
} lmn_packdir;

/* `asked`: "auto" for the user's cache folder, else an absolute path. */
lamina_status lmn_packdir_find(lmn_packdir *d, const char *asked, lamina_error *err);
/* Path of a file in it. */
void lmn_packdir_name(const lmn_packdir *d, uint64_t key, char *buf, size_t cap);
/* Make room for `bytes` below `most`, the least recently used first, but for `keep`; leftovers of
   writers that died go too. The folder's lock is held. E_LIMIT. */
lamina_status lmn_packdir_evict(const lmn_packdir *d, const lamina_allocator *al, uint64_t bytes,
                                uint64_t most, const char *keep, lamina_error *err);
/* The folder's lock, undone by lmn_os_close. */
lamina_status lmn_packdir_lock(const lmn_packdir *d, int *fd, lamina_error *err);
/* Map a file and read its head; unmapped by lmn_os_unmap(out->map). Notes the use. */
lamina_status lmn_packdir_open(const char *path, lmn_packfile *out, lamina_error *err);

#endif
