/*
 * Folders and atomic replacement on Linux.
 */
#include "base/os/os_dir.h"

#include "base/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lamina_status failed(lamina_error *err, const char *what, const char *path)
{
    const int e = errno;
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    const lamina_status st = e == EACCES || e == EPERM ? LAMINA_E_PERM : LAMINA_E_IO;
    return lmn_fail_os(err, st, e, "cannot %s \"%s\"", what, shown);
}

int lmn_os_path_kind(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) return LMN_PATH_NONE;
    return S_ISREG(st.st_mode)   ? LMN_PATH_FILE
           : S_ISDIR(st.st_mode) ? LMN_PATH_DIR
                                 : LMN_PATH_OTHER;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

lamina_status lmn_os_dir_list(lmn_arena *arena, const char *path, size_t max_names, char ***names,
                              size_t *n, lamina_error *err)
{
    size_t count = 0, cap = 0;
    char **list = NULL;
    lamina_status st = LAMINA_OK;
    DIR *dir = opendir(path);
    if (!dir) return failed(err, "list", path);
    for (struct dirent *d; st == LAMINA_OK && (errno = 0, d = readdir(dir));) {
        if (strcmp(d->d_name, ".") == 0 || strcmp(d->d_name, "..") == 0) continue;
        void *grown = list;
        st = lmn_grow(arena->alloc, &grown, &cap, count + 1, max_names, sizeof *list, "dir");
        list = grown;
        if (st == LAMINA_E_LIMIT)
            (void)lmn_fail(err, st, "a folder holds more than %zu names", max_names);
        if (st == LAMINA_OK && !(list[count++] = lmn_arena_str(arena, d->d_name)))
            st = LAMINA_E_NOMEM;
    }
    if (st == LAMINA_OK && errno) st = failed(err, "list", path);
    (void)closedir(dir);
    char **kept = st == LAMINA_OK ? lmn_arena_dup(arena, list, count * sizeof *list) : NULL;
    lmn_free(arena->alloc, list, cap * sizeof *list, 16, "dir");
    if (st == LAMINA_OK && !kept) st = LAMINA_E_NOMEM;
    if (st == LAMINA_E_NOMEM) return lmn_fail(err, st, "out of memory while listing a folder");
    if (st != LAMINA_OK) return st;
    if (count > 1) qsort(kept, count, sizeof *kept, by_bytes);
    *names = kept;
    *n = count;
    return LAMINA_OK;
}

lamina_status lmn_os_dir_make(const char *path, lamina_error *err)
{
    if (mkdir(path, 0777) == 0) return LAMINA_OK;
    if (errno == EEXIST && lmn_os_path_kind(path) == LMN_PATH_DIR) return LAMINA_OK;
    return failed(err, "make", path);
}

lamina_status lmn_os_file_remove(const char *path, lamina_error *err)
{
    if (unlink(path) == 0 || errno == ENOENT) return LAMINA_OK;
    return failed(err, "remove", path);
}

lamina_status lmn_os_out_begin(lmn_os_out *o, const char *path, lamina_error *err)
{
    *o = (lmn_os_out){0};
    if (strlen(path) >= sizeof o->path)
        return lmn_fail(err, LAMINA_E_LIMIT, "the name of the file is too long");
    (void)lmn_format(o->path, sizeof o->path, "%s", path);
    /* The process id keeps processes apart, the number threads and leftovers of crashes. */
    for (unsigned i = 0; i < 1000; i++) {
        (void)lmn_format(o->tmp, sizeof o->tmp, "%s.%ld.%u.tmp", path, (long)getpid(), i);
        o->fd = open(o->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (o->fd >= 0) {
            o->open = true;
            return LAMINA_OK;
        }
        if (errno != EEXIST) break;
    }
    return failed(err, "create", o->tmp);
}

lamina_status lmn_os_out_write(lmn_os_out *o, const void *bytes, size_t n, lamina_error *err)
{
    const uint8_t *p = bytes;
    while (n) {
        ssize_t put = write(o->fd, p, n);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return failed(err, "write", o->tmp);
        p += put;
        n -= (size_t)put;
    }
    return LAMINA_OK;
}

/* The rename is durable once the folder is. A file system that cannot sync folders is no error. */
static void sync_folder(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    size_t n = slash ? (slash == path ? 1 : (size_t)(slash - path)) : 0;
    (void)lmn_format(dir, sizeof dir, "%.*s", n ? (int)n : 1, n ? path : ".");
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    (void)close(fd);
}

lamina_status lmn_os_out_commit(lmn_os_out *o, lamina_error *err)
{
    if (fsync(o->fd) != 0) return failed(err, "sync", o->tmp);
    if (rename(o->tmp, o->path) != 0) return failed(err, "replace", o->path);
    (void)close(o->fd);
    o->open = false;
    sync_folder(o->path);
    return LAMINA_OK;
}

void lmn_os_out_finish(lmn_os_out *o)
{
    if (!o->open) return;
    (void)close(o->fd);
    (void)unlink(o->tmp);
    o->open = false;
}

lamina_status lmn_os_file_replace(const char *path, const void *bytes, size_t n, lamina_error *err)
{
    lmn_os_out o;
    lamina_status st = lmn_os_out_begin(&o, path, err);
    if (st == LAMINA_OK) st = lmn_os_out_write(&o, bytes, n, err);
    if (st == LAMINA_OK) st = lmn_os_out_commit(&o, err);
    lmn_os_out_finish(&o);
    return st;
}
