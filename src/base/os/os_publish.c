/*
 * Shared files on Linux, and names and numbers of processes.
 */
#include "base/os/os_publish.h"

#include "base/os/os_env.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static lamina_status failed(lamina_error *err, const char *what, const char *path, int e)
{
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    const lamina_status st = e == EACCES || e == EPERM   ? LAMINA_E_PERM
                             : e == ENOSPC || e == EFBIG ? LAMINA_E_LIMIT
                                                         : LAMINA_E_IO;
    return lmn_fail_os(err, st, e, "cannot %s \"%s\"", what, shown);
}

static int open_new(lmn_os_pub *s, const char *path)
{
    if (!path) return (int)syscall(SYS_memfd_create, "lamina", 1u /* MFD_CLOEXEC */);
    (void)lmn_format(s->path, sizeof s->path, "%s", path);
    for (uint32_t i = 0; i < 100; i++) {
        (void)lmn_format(s->tmp, sizeof s->tmp, "%s.%u.%u.tmp", path, (unsigned)getpid(), i);
        const int fd = open(s->tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    return -1;
}

lamina_status lmn_os_pub_create(lmn_os_pub *s, const char *path, uint64_t bytes, lamina_error *err)
{
    const char *shown = path ? path : "memory";
    memset(s, 0, sizeof *s);
    s->fd = -1;
    if (path && strlen(path) >= sizeof s->path)
        return lmn_fail(err, LAMINA_E_INVALID, "a path of %zu bytes is too long", strlen(path));
    const int fd = open_new(s, path);
    if (fd < 0) {
        const int e = errno;
        s->tmp[0] = 0;
        return failed(err, "create", shown, e);
    }
    s->fd = fd;
    int e = posix_fallocate(fd, 0, (off_t)bytes);
    if (e == 0) {
        void *p = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            s->p = p;
            s->bytes = (size_t)bytes;
            return LAMINA_OK;
        }
        e = errno;
    }
    lmn_os_pub_close(s);
    return failed(err, "make room for", shown, e);
}

lamina_status lmn_os_pub_sync(lmn_os_pub *s, lamina_error *err)
{
    return fsync(s->fd) == 0 ? LAMINA_OK : failed(err, "write", s->tmp, errno);
}

lamina_status lmn_os_pub_publish(lmn_os_pub *s, lamina_error *err)
{
    if (!s->tmp[0]) return LAMINA_OK;
    if (rename(s->tmp, s->path) != 0) return failed(err, "put a file at", s->path, errno);
    s->tmp[0] = 0;
    return LAMINA_OK;
}

void lmn_os_pub_close(lmn_os_pub *s)
{
    if (s->p) (void)munmap(s->p, s->bytes);
    if (s->fd >= 0) (void)close(s->fd);
    if (s->tmp[0]) (void)unlink(s->tmp);
    s->p = NULL;
    s->fd = -1;
    s->tmp[0] = 0;
}

lamina_status lmn_os_patch(const char *path, uint64_t offset, const void *bytes, size_t n,
                           lamina_error *err)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) return failed(err, "open", path, errno);
    ssize_t got;
    do got = pwrite(fd, bytes, n, (off_t)offset);
    while (got < 0 && errno == EINTR);
    const int e = errno;
    (void)close(fd);
    return got == (ssize_t)n ? LAMINA_OK : failed(err, "write to", path, got < 0 ? e : EIO);
}

uint64_t lmn_os_process_start(uint32_t pid)
{
    char path[32], text[1024];
    (void)lmn_format(path, sizeof path, "/proc/%u/stat", pid);
    if (lmn_os_text_read(path, text, sizeof text) <= 0) return 0;
    const char *p = strrchr(text, ')'); /* the name before it may hold anything */
    if (!p || !p[1] || p[2] == 'Z' || p[2] == 'X') return 0;
    for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
    return p ? strtoull(p + 1, NULL, 10) : 0;
}

void lmn_os_thread_name(char buf[16])
{
    if (pthread_getname_np(pthread_self(), buf, 16) != 0) buf[0] = 0;
}
