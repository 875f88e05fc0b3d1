/*
 * Folders and the atomic replacement of files. Names are borrowed until return; on failure nothing
 * is held and *err (NULL allowed) has the sentence.
 */
#ifndef LMN_BASE_OS_DIR_H
#define LMN_BASE_OS_DIR_H

#include "base/alloc.h"

/* What a path is; symbolic links are followed. */
enum { LMN_PATH_NONE = 0, LMN_PATH_FILE, LMN_PATH_DIR, LMN_PATH_OTHER };
int lmn_os_path_kind(const char *path);

/* Names in a folder, sorted by byte, without "." and "..", in the arena. E_LIMIT past max_names. */
lamina_status lmn_os_dir_list(lmn_arena *arena, const char *path, size_t max_names, char ***names,
                              size_t *n, lamina_error *err);

/* Make a folder; one that is there is fine. */
lamina_status lmn_os_dir_make(const char *path, lamina_error *err);
/* Remove a file; one that is not there is fine. */
lamina_status lmn_os_file_remove(const char *path, lamina_error *err);

/*
 * Replace a file atomically: a temporary file beside it, fsync, rename, fsync of the folder.
 * Readers see the old file or the new one, whatever happens. Begin, write as often as needed,
 * commit; finish without commit drops the temporary file, and is fine on a zeroed record.
 */
typedef struct lmn_os_out {
    int fd;
    bool open;
    char path[4096], tmp[4096 + 32];
} lmn_os_out;
lamina_status lmn_os_out_begin(lmn_os_out *o, const char *path, lamina_error *err);
lamina_status lmn_os_out_write(lmn_os_out *o, const void *bytes, size_t n, lamina_error *err);
lamina_status lmn_os_out_commit(lmn_os_out *o, lamina_error *err);
void lmn_os_out_finish(lmn_os_out *o);
/* All of it at once. */
lamina_status lmn_os_file_replace(const char *path, const void *bytes, size_t n, lamina_error *err);

#endif
