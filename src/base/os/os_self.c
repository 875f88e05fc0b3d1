/*
 * The process about itself.
 */
#include "base/os/os_self.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FORK_PAGE 4096

void *lmn_fork_page(void)
{
#ifdef MADV_WIPEONFORK
    void *p = mmap(NULL, FORK_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return NULL;
    if (madvise(p, FORK_PAGE, MADV_WIPEONFORK) == 0) return p;
    (void)munmap(p, FORK_PAGE);
#endif
    return NULL;
}

void lmn_fork_page_free(void *page)
{
    if (page) (void)munmap(page, FORK_PAGE);
}

uint32_t lmn_self_pid(void)
{
    return (uint32_t)getpid();
}

uint32_t lmn_self_tid(void)
{
    return (uint32_t)syscall(SYS_gettid);
}

const char *lmn_self_name(void)
{
    return program_invocation_short_name;
}

int lmn_errno_get(void)
{
    return errno;
}

void lmn_errno_set(int e)
{
    errno = e;
}

void lmn_sleep_ms(uint32_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

void lmn_sleep_us(uint32_t us)
{
    const struct timespec ts = {us / 1000000, (long)(us % 1000000) * 1000};
    (void)nanosleep(&ts, NULL);
}

static const char *hex(const char *p, uint64_t *out)
{
    uint64_t v = 0;
    for (;; p++) {
        const int d = *p >= '0' && *p <= '9'   ? *p - '0'
                      : *p >= 'a' && *p <= 'f' ? *p - 'a' + 10
                                               : -1;
        if (d < 0) break;
        v = v << 4 | (uint64_t)d;
    }
    *out = v;
    return p;
}

/* "from-to rwxs offset dev inode   path" */
static lmn_mapping parse(const char *p)
{
    lmn_mapping m = {0};
    uint64_t from, to;
    p = hex(p, &from);
    p = hex(p + (*p == '-'), &to);
    m.from = (uintptr_t)from;
    m.to = (uintptr_t)to;
    const char *mode = p + (*p == ' ');
    if (strnlen(mode, 4) == 4) {
        m.write = mode[1] == 'w';
        m.shared = mode[3] == 's';
        p = mode + 4;
    }
    p = hex(p + (*p == ' '), &m.offset);
    for (int i = 0; i < 2; i++) { /* device, inode */
        while (*p == ' ') p++;
        while (*p && *p != ' ') p++;
    }
    while (*p == ' ') p++;
    m.path = p;
    return m;
}

bool lmn_mappings(bool (*each)(void *ctx, const lmn_mapping *m), void *ctx)
{
    char buf[2048];
    size_t n = 0;
    bool more = true, cut = false;
    const int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    while (more) {
        const ssize_t k = read(fd, buf + n, sizeof buf - 1 - n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) break;
        n += (size_t)k;
        buf[n] = 0;
        char *line = buf;
        for (char *end; more && (end = memchr(line, '\n', n - (size_t)(line - buf))) != NULL;) {
            *end = 0;
            if (!cut) {
                const lmn_mapping m = parse(line);
                more = each(ctx, &m);
            }
            cut = false;
            line = end + 1;
        }
        n -= (size_t)(line - buf);
        if (n == sizeof buf - 1) { /* a row that does not fit: its start will do */
            const lmn_mapping m = parse(buf);
            if (!cut) more = each(ctx, &m);
            cut = true;
            n = 0;
        } else {
            memmove(buf, line, n);
        }
    }
    (void)close(fd);
    return true;
}
