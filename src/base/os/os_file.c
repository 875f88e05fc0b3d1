/*
 * Files on Linux: openat2 where the kernel has it, else one component after the other with
 * O_NOFOLLOW, which refuses the same things.
 */
#include "base/os/os_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__has_include)
#if __has_include(<linux/openat2.h>)
#include <linux/openat2.h>
#define HAVE_OPENAT2 1
#endif
#endif

/* Non-blocking so that a FIFO in the place of a file cannot hang us before fstat refuses it. */
#define OPEN_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

static lamina_status errno_status(int e)
{
    if (e == EACCES || e == EPERM) return LAMINA_E_PERM;
    if (e == ENOMEM || e == EMFILE || e == ENFILE) return LAMINA_E_OS;
    return LAMINA_E_IO;
}

static lamina_status checked(int fd, const char *shown, int *out, uint64_t *bytes,
                             lamina_error *err)
{
    if (fd < 0) {
        int e = errno;
        if (e == ELOOP || e == EXDEV)
            return lmn_fail_os(err, LAMINA_E_PERM, e,
                               "\"%s\" leaves its folder or passes through a symbolic link", shown);
        return lmn_fail_os(err, errno_status(e), e, "cannot open \"%s\"", shown);
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        int e = errno;
        (void)close(fd);
        return lmn_fail_os(err, LAMINA_E_IO, e, "cannot examine \"%s\"", shown);
    }
    if (!S_ISREG(st.st_mode)) {
        (void)close(fd);
        return lmn_fail(err, LAMINA_E_IO, "\"%s\" is %s; name a file", shown,
                        S_ISDIR(st.st_mode) ? "a folder" : "a device or a pipe");
    }
    *out = fd;
    *bytes = (uint64_t)st.st_size;
    return LAMINA_OK;
}

lamina_status lmn_os_open(const char *path, int *fd, uint64_t *bytes, lamina_error *err)
{
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    return checked(open(path, OPEN_FLAGS), shown, fd, bytes, err);
}

/* Is rel a plain relative path: no empty, "." or ".." component? */
static bool plain_relative(const char *rel)
{
    size_t len = strlen(rel);
    if (len == 0 || len >= PATH_MAX) return false;
    for (const char *p = rel;;) {
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 2 && p[0] == '.' && p[1] == '.')) return false;
        if (!p[n]) return true;
        p += n + 1;
    }
}

static int walk(int dir, const char *rel)
{
    char part[NAME_MAX + 1];
    int at = dir; /* the caller closes dir itself */
    for (const char *p = rel;;) {
        size_t n = strcspn(p, "/");
        bool last = !p[n];
        int next = -1;
        if (n > NAME_MAX) {
            errno = ENAMETOOLONG;
        } else {
            memcpy(part, p, n);
            part[n] = 0;
            next = openat(at, part, O_NOFOLLOW | (last ? OPEN_FLAGS : OPEN_FLAGS | O_DIRECTORY));
        }
        int e = errno;
        if (at != dir) (void)close(at);
        errno = e;
        if (next < 0 || last) return next;
        at = next;
        p += n + 1;
    }
}

static int open_beneath(int dir, const char *rel)
{
#ifdef HAVE_OPENAT2
    struct open_how how = {.flags = OPEN_FLAGS,
                           .resolve =
                               RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
    long fd = syscall(SYS_openat2, dir, rel, &how, sizeof how);
    if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return (int)fd;
#endif
    return walk(dir, rel);
}

lamina_status lmn_os_open_beneath(const char *dir, const char *rel, int *fd, uint64_t *bytes,
                                  lamina_error *err)
{
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, rel, strlen(rel));
    if (!plain_relative(rel))
        return lmn_fail(err, LAMINA_E_PERM,
                        "\"%s\" is not a plain relative path below the folder of the model", shown);
    int d = open(*dir ? dir : ".", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
    if (d < 0)
        return lmn_fail_os(err, errno_status(errno), errno, "cannot open the folder of \"%s\"",
                           shown);
    int f = open_beneath(d, rel);
    int e = errno;
    (void)close(d);
    errno = e;
    return checked(f, shown, fd, bytes, err);
}

void lmn_os_close(int fd)
{
    if (fd >= 0) (void)close(fd);
}

uint32_t lmn_os_links(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 ? (uint32_t)st.st_nlink : 0;
}

static uint64_t nanoseconds(const struct timespec *t)
{
    return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec;
}

void lmn_os_file_identify(int fd, lmn_os_file_id *out)
{
    struct stat st;
    *out = (lmn_os_file_id){0};
    if (fstat(fd, &st) != 0) return;
    *out = (lmn_os_file_id){.dev = (uint64_t)st.st_dev,
                            .ino = (uint64_t)st.st_ino,
                            .bytes = (uint64_t)st.st_size,
                            .mtime_ns = nanoseconds(&st.st_mtim),
                            .ctime_ns = nanoseconds(&st.st_ctim)};
}

void lmn_os_file_path(int fd, char *buf, size_t cap)
{
    char link[40];
    (void)lmn_format(link, sizeof link, "/proc/self/fd/%d", fd);
    const ssize_t n = readlink(link, buf, cap);
    buf[n > 0 && (size_t)n < cap ? (size_t)n : 0] = 0;
}

lamina_status lmn_os_map(int fd, uint64_t bytes, lmn_span *out, lamina_error *err)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return lmn_fail(err, LAMINA_E_RANGE, "cannot map %llu bytes", (unsigned long long)bytes);
    void *p = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) return lmn_fail_os(err, LAMINA_E_OS, errno, "cannot map the file");
    *out = (lmn_span){p, (size_t)bytes};
    return LAMINA_OK;
}

void lmn_os_unmap(lmn_span map)
{
    if (map.p) (void)munmap((void *)(uintptr_t)map.p, map.n);
}

lamina_status lmn_os_read_at(int fd, uint64_t offset, void *buf, size_t n, lamina_error *err)
{
    uint8_t *p = buf;
    while (n) {
        ssize_t got = pread(fd, p, n, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return lmn_fail_os(err, LAMINA_E_IO, errno, "cannot read");
        if (got == 0) return lmn_fail(err, LAMINA_E_IO, "the file ends too early");
        p += got;
        n -= (size_t)got;
        offset += (uint64_t)got;
    }
    return LAMINA_OK;
}
