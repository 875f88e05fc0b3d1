/*
 * Growing files by pwrite.
 */
#include "base/os/os_append.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static lamina_status failed(lamina_error *err, const char *what)
{
    const int e = errno;
    const lamina_status st = e == EACCES || e == EPERM || e == EROFS ? LAMINA_E_PERM : LAMINA_E_IO;
    return lmn_fail_os(err, st, e, "cannot %s", what);
}

static lamina_status failed_at(lamina_error *err, const char *what, const char *path)
{
    const int e = errno;
    char shown[200], text[240];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    (void)lmn_format(text, sizeof text, "%s \"%s\"", what, shown);
    errno = e;
    return failed(err, text);
}

lamina_status lmn_append_open(const char *path, lmn_append *out, uint64_t *bytes, lamina_error *err)
{
    struct stat about;
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    if (fd < 0) return failed_at(err, "open", path);
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode)) {
        (void)close(fd);
        return lmn_fail(err, LAMINA_E_INVALID, "\"%.200s\" is no regular file", path);
    }
    *out = (lmn_append){fd, {(uint64_t)about.st_dev, (uint64_t)about.st_ino}};
    *bytes = (uint64_t)about.st_size;
    return LAMINA_OK;
}

void lmn_append_close(lmn_append *f)
{
    if (f->fd >= 0) (void)close(f->fd);
    f->fd = -1;
}

lamina_status lmn_append_write(const lmn_append *f, uint64_t offset, const void *bytes, size_t n,
                               lamina_error *err)
{
    const uint8_t *p = bytes;
    while (n) {
        const ssize_t k = pwrite(f->fd, p, n, (off_t)offset);
        if (k < 0 && errno == EINTR) continue;
        if (k == 0) errno = ENOSPC;
        if (k <= 0) return failed(err, "write");
        p += k;
        offset += (uint64_t)k;
        n -= (size_t)k;
    }
    return LAMINA_OK;
}

lamina_status lmn_append_cut(const lmn_append *f, uint64_t bytes, lamina_error *err)
{
    return ftruncate(f->fd, (off_t)bytes) == 0 ? LAMINA_OK : failed(err, "cut a file");
}

lamina_status lmn_append_size(const lmn_append *f, uint64_t *bytes, lamina_error *err)
{
    struct stat about;
    if (fstat(f->fd, &about) != 0) return failed(err, "look at a file");
    *bytes = (uint64_t)about.st_size;
    return LAMINA_OK;
}

lamina_status lmn_append_sync(const lmn_append *f, lamina_error *err)
{
    /* What cannot be synced (a pipe's file system, some overlays) is as safe as it gets. */
    if (fdatasync(f->fd) == 0 || errno == EINVAL || errno == EROFS) return LAMINA_OK;
    return failed(err, "sync");
}

bool lmn_file_identify(const char *path, lmn_file_id *out)
{
    struct stat about;
    if (stat(path, &about) != 0) return false;
    *out = (lmn_file_id){(uint64_t)about.st_dev, (uint64_t)about.st_ino};
    return true;
}

lamina_status lmn_file_move(const char *from, const char *to, lamina_error *err)
{
    return rename(from, to) == 0 ? LAMINA_OK : failed_at(err, "move", from);
}
