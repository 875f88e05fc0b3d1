/*
 * Folders of replaceable files on Linux. A file is judged through its descriptor, so that nothing
 * can be put in its place between the look and the use.
 */
#include "base/os/os_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define PATH_BYTES 4096

static lamina_status failed(lamina_error *err, const char *what, const char *path)
{
    const int e = errno;
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    if (e == ELOOP) return lmn_fail_os(err, LAMINA_E_PERM, e, "\"%s\" is a symbolic link", shown);
    const lamina_status st = e == EACCES || e == EPERM || e == EROFS ? LAMINA_E_PERM : LAMINA_E_IO;
    return lmn_fail_os(err, st, e, "cannot %s \"%s\"", what, shown);
}

/* Owned by this user and writable by nobody else. */
static lamina_status mine(const struct stat *st, const char *path, lamina_error *err)
{
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    if (st->st_uid != geteuid())
        return lmn_fail(err, LAMINA_E_PERM, "\"%s\" belongs to another user", shown);
    if (st->st_mode & (S_IWGRP | S_IWOTH))
        return lmn_fail(err, LAMINA_E_PERM, "others may write to \"%s\"", shown);
    return LAMINA_OK;
}

static void make_levels(const char *path, int levels)
{
    char part[PATH_BYTES];
    for (int up = levels - 1; up >= 0; up--) {
        size_t n = strlen(path);
        for (int i = 0; i < up; i++)
            while (n && path[--n] != '/') {
            }
        if (n == 0 || n >= sizeof part) continue;
        memcpy(part, path, n);
        part[n] = 0;
        (void)mkdir(part, 0700); /* whether it worked shows when the folder is opened */
    }
}

lamina_status lmn_os_cache_folder(const char *path, int levels, bool make, lamina_error *err)
{
    struct stat st;
    if (make) make_levels(path, levels);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY | O_NOFOLLOW);
    if (fd < 0 && errno == ENOTDIR && lstat(path, &st) == 0 && S_ISLNK(st.st_mode)) errno = ELOOP;
    if (fd < 0) return failed(err, "use the folder", path);
    const lamina_status rc =
        fstat(fd, &st) == 0 ? mine(&st, path, err) : failed(err, "examine", path);
    (void)close(fd);
    return rc;
}

lamina_status lmn_os_cache_open(const char *path, int *out, uint64_t *bytes, lamina_error *err)
{
    struct stat st;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0) return failed(err, "open", path);
    lamina_status rc = fstat(fd, &st) == 0 ? LAMINA_OK : failed(err, "examine", path);
    if (rc == LAMINA_OK && (!S_ISREG(st.st_mode) || st.st_nlink > 1))
        rc = lmn_fail(err, LAMINA_E_PERM, "the cached file is no regular file of one name");
    if (rc == LAMINA_OK) rc = mine(&st, path, err);
    if (rc != LAMINA_OK) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    *bytes = (uint64_t)st.st_size;
    return LAMINA_OK;
}

lamina_status lmn_os_cache_lock(const char *path, int *out, lamina_error *err)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (fd < 0) return failed(err, "open", path);
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *out = fd;
        return LAMINA_OK;
    }
    const lamina_status rc =
        errno == EWOULDBLOCK
            ? lmn_fail(err, LAMINA_E_BUSY, "another session is writing to the folder")
            : failed(err, "lock", path);
    (void)close(fd);
    return rc;
}

lamina_status lmn_os_cache_room(const char *folder, uint64_t bytes, lamina_error *err)
{
    struct rlimit most;
    struct statvfs fs;
    /* past this limit a write raises a signal and returns no error */
    if (getrlimit(RLIMIT_FSIZE, &most) == 0 && most.rlim_cur != RLIM_INFINITY &&
        bytes > (uint64_t)most.rlim_cur)
        return lmn_fail(err, LAMINA_E_LIMIT, "files of this process are limited to %llu bytes",
                        (unsigned long long)most.rlim_cur);
    if (statvfs(folder, &fs) == 0 && bytes > (uint64_t)fs.f_bavail * fs.f_frsize)
        return lmn_fail(err, LAMINA_E_LIMIT, "the disk has no room for %llu bytes",
                        (unsigned long long)bytes);
    return LAMINA_OK;
}

bool lmn_os_cache_facts(const char *path, uint64_t *bytes, uint64_t *used_ns)
{
    struct stat st;
    if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *bytes = (uint64_t)st.st_size;
    *used_ns = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
    return true;
}

void lmn_os_cache_touch(int fd)
{
    (void)futimens(fd, NULL);
}

uint64_t lmn_os_cache_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}
