/*
 * A folder of files that can be made again when they are lost: this user's alone, with a lock for
 * who writes. Whatever is not as it should be (another owner, a symbolic link, writable by others)
 * is refused with a sentence, never repaired. On failure nothing is held; err may be NULL.
 */
#ifndef LMN_BASE_OS_CACHE_H
#define LMN_BASE_OS_CACHE_H

#include "base/os/os_file.h"

/* Is the folder fit? With `make` it is made first, and `levels` - 1 folders above it. */
lamina_status lmn_os_cache_folder(const char *path, int levels, bool make, lamina_error *err);
/* Open a regular file of such a folder, of one link and writable by its owner alone; undone by
   lmn_os_close. E_IO with os_errno ENOENT: it is not there. */
lamina_status lmn_os_cache_open(const char *path, int *fd, uint64_t *bytes, lamina_error *err);
/* E_BUSY: another process or session writes. Undone by lmn_os_close. */
lamina_status lmn_os_cache_lock(const char *path, int *fd, lamina_error *err);
/* May a file of so many bytes be written, by the process's limit and the room on the disk? */
lamina_status lmn_os_cache_room(const char *folder, uint64_t bytes, lamina_error *err);
/* Size of a file, and when it was last used: lmn_os_cache_touch notes that. False: not there. */
bool lmn_os_cache_facts(const char *path, uint64_t *bytes, uint64_t *used_ns);
void lmn_os_cache_touch(int fd);
/* The clock of file times. */
uint64_t lmn_os_cache_now(void);

#endif
