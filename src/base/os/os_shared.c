/*
 * Shared files by mmap and flock.
 */
#include "base/os/os_shared.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static lamina_status failed(lamina_error *err, const char *what, const char *path)
{
    const int e = errno;
    char shown[200];
    (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    const lamina_status st = e == EACCES || e == EPERM || e == EROFS ? LAMINA_E_PERM : LAMINA_E_IO;
    return lmn_fail_os(err, st, e, "cannot %s \"%s\"", what, shown);
}

static lamina_status map(lmn_shared *s, const char *path, lamina_error *err)
{
    void *p = mmap(NULL, s->n, PROT_READ | PROT_WRITE, MAP_SHARED, s->fd, 0);
    if (p == MAP_FAILED) return failed(err, "map", path);
    s->p = p;
    return LAMINA_OK;
}

lamina_status lmn_shared_create(const char *path, size_t n, lmn_shared *out, lamina_error *err)
{
    lmn_shared s = {.n = n};
    s.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (s.fd < 0 && errno == EEXIST) return lmn_fail(err, LAMINA_E_STATE, "the file exists");
    if (s.fd < 0) return failed(err, "make", path);
    lamina_status st = LAMINA_OK;
    if (flock(s.fd, LOCK_SH | LOCK_NB) != 0) st = failed(err, "lock", path);
    const int e = st == LAMINA_OK ? posix_fallocate(s.fd, 0, (off_t)n) : 0;
    if (e) {
        errno = e; /* it returns what others set */
        st = failed(err, "reserve space for", path);
    }
    if (st == LAMINA_OK) st = map(&s, path, err);
    if (st != LAMINA_OK) {
        (void)close(s.fd);
        (void)unlink(path);
        return st;
    }
    *out = s;
    return LAMINA_OK;
}

lamina_status lmn_shared_open(const char *path, size_t least, size_t most, lmn_shared *out,
                              lamina_error *err)
{
    lmn_shared s = {0};
    struct stat about;
    s.fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (s.fd < 0) {
        const int e = errno;
        const lamina_status st = failed(err, "open", path);
        if (e == ENOENT) return LAMINA_E_STATE;
        if (e == EMFILE || e == ENFILE || e == ENOMEM || st == LAMINA_E_PERM) return st;
        return LAMINA_E_CORRUPT; /* a folder, a link, a device */
    }
    lamina_status st = LAMINA_OK;
    if (fstat(s.fd, &about) != 0)
        st = failed(err, "look at", path);
    else if (!S_ISREG(about.st_mode) || about.st_size < 0 || (uint64_t)about.st_size < least ||
             (uint64_t)about.st_size > most)
        st = lmn_fail(err, LAMINA_E_CORRUPT, "\"%.200s\" is no file of such a size", path);
    else
        s.n = (size_t)about.st_size;
    if (st == LAMINA_OK) st = map(&s, path, err);
    if (st != LAMINA_OK) {
        (void)close(s.fd);
        return st;
    }
    *out = s;
    return LAMINA_OK;
}

static lamina_status claim(lmn_shared *s, const char *path, bool *fresh, lamina_error *err)
{
    struct stat about;
    if (flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK) return failed(err, "lock", path);
        return lmn_fail(err, LAMINA_E_BUSY, "\"%.200s\" is in use by another process", path);
    }
    if (fstat(s->fd, &about) != 0) return failed(err, "look at", path);
    if (!S_ISREG(about.st_mode))
        return lmn_fail(err, LAMINA_E_INVALID, "\"%.200s\" is no regular file", path);
    *fresh = (uint64_t)about.st_size != s->n;
    if (*fresh) {
        if (ftruncate(s->fd, 0) != 0) return failed(err, "empty", path);
        errno = posix_fallocate(s->fd, 0, (off_t)s->n); /* it returns what others set */
        if (errno) return failed(err, "reserve space for", path);
    }
    return map(s, path, err);
}

lamina_status lmn_shared_claim(const char *path, size_t n, lmn_shared *out, bool *fresh,
                               lamina_error *err)
{
    lmn_shared s = {.n = n};
    s.fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0660);
    if (s.fd < 0) return failed(err, "open", path);
    const lamina_status st = claim(&s, path, fresh, err);
    if (st != LAMINA_OK) {
        (void)close(s.fd);
        return st;
    }
    *out = s;
    return LAMINA_OK;
}

void lmn_shared_close(lmn_shared *s)
{
    if (!s->p) return;
    (void)munmap(s->p, s->n);
    (void)close(s->fd);
    *s = (lmn_shared){0};
}

bool lmn_shared_alone(const lmn_shared *s)
{
    return flock(s->fd, LOCK_EX | LOCK_NB) == 0;
}

bool lmn_shared_whole(const lmn_shared *s)
{
    struct stat about;
    return fstat(s->fd, &about) == 0 && about.st_size >= 0 && (uint64_t)about.st_size >= s->n;
}

uint64_t lmn_shared_age_s(const lmn_shared *s)
{
    struct stat about;
    struct timespec now;
    if (fstat(s->fd, &about) != 0 || clock_gettime(CLOCK_REALTIME, &now) != 0) return 0;
    return now.tv_sec > about.st_mtim.tv_sec ? (uint64_t)(now.tv_sec - about.st_mtim.tv_sec) : 0;
}

/* Keeps no state: all that is needed stands in the signal. What it cannot mend happens again, with
 * the handler gone. */
static void mend(int signo, siginfo_t *info, void *context)
{
    const int e = errno;
    (void)context;
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    void *at = (void *)((uintptr_t)info->si_addr & ~(page - 1));
    const bool ours = info->si_code == BUS_ADRERR;
    if (!ours || mmap(at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
                      0) == MAP_FAILED)
        (void)signal(signo, SIG_DFL);
    errno = e;
}

void lmn_shared_mend_bus(void)
{
    struct sigaction a = {0};
    a.sa_sigaction = mend;
    a.sa_flags = SA_SIGINFO;
    (void)sigemptyset(&a.sa_mask);
    (void)sigaction(SIGBUS, &a, NULL);
}
