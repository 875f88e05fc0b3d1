/*
 * epoll and eventfd. Timeouts are nanoseconds where the kernel has epoll_pwait2 (5.11), else
 * milliseconds, rounded up.
 */
#include "base/os/os_poll.h"

#include "base/os/os_time.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS 1000000000u
#define LONGEST_NS ((uint64_t)3600 * SECOND_NS) /* of one wait; the caller looks again */

lamina_status lmn_poll_open(int *out, lamina_error *err)
{
    *out = epoll_create1(EPOLL_CLOEXEC);
    return *out >= 0 ? LAMINA_OK : lmn_fail_os(err, LAMINA_E_OS, errno, "cannot make an epoll");
}

lamina_status lmn_poll_add(int poll, int fd, uint32_t what, void *who, lamina_error *err)
{
    struct epoll_event e = {.data.ptr = who};
    if (what & LMN_POLL_IN) e.events |= EPOLLIN;
    if (what & LMN_POLL_OUT) e.events |= EPOLLOUT;
    if (what & LMN_POLL_HALF) e.events |= EPOLLRDHUP;
    if (what & LMN_POLL_EDGE) e.events |= EPOLLET;
    if (what & LMN_POLL_ONE) e.events |= EPOLLEXCLUSIVE;
    if (epoll_ctl(poll, EPOLL_CTL_ADD, fd, &e) == 0) return LAMINA_OK;
    return lmn_fail_os(err, LAMINA_E_OS, errno, "cannot wait for a descriptor");
}

void lmn_poll_remove(int poll, int fd)
{
    (void)epoll_ctl(poll, EPOLL_CTL_DEL, fd, NULL);
}

static int milliseconds(uint64_t ns)
{
    return ns > LONGEST_NS ? 3600000 : (int)((ns + 999999) / 1000000);
}

static int wait_for(int poll, struct epoll_event *e, int cap, uint64_t ns)
{
    if (ns == 0) return epoll_wait(poll, e, cap, 0);
    if (ns == UINT64_MAX) return epoll_wait(poll, e, cap, -1);
#ifdef SYS_epoll_pwait2
    if (ns > LONGEST_NS) ns = LONGEST_NS;
    const struct timespec ts = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
    const long n = syscall(SYS_epoll_pwait2, poll, e, cap, &ts, NULL, (size_t)8);
    if (n >= 0 || (errno != ENOSYS && errno != EPERM)) return (int)n;
#endif
    return epoll_wait(poll, e, cap, milliseconds(ns));
}

uint32_t lmn_poll_wait(int poll, lmn_poll_event *out, uint32_t cap, uint64_t timeout_ns)
{
    struct epoll_event e[LMN_POLL_MOST];
    const int n = wait_for(poll, e, (int)cap, timeout_ns);
    for (int i = 0; i < n; i++) {
        const uint32_t got = e[i].events;
        out[i].who = e[i].data.ptr;
        out[i].what = (got & EPOLLIN ? LMN_POLL_IN : 0u) | (got & EPOLLOUT ? LMN_POLL_OUT : 0u) |
                      (got & EPOLLRDHUP ? LMN_POLL_HALF : 0u) |
                      (got & (EPOLLHUP | EPOLLERR) ? LMN_POLL_DEAD : 0u);
    }
    return n > 0 ? (uint32_t)n : 0;
}

uint32_t lmn_poll_one(int fd, uint32_t what, uint64_t timeout_ns)
{
    const uint64_t until =
        timeout_ns > UINT64_MAX - lmn_now_ns() ? UINT64_MAX : lmn_now_ns() + timeout_ns;
    struct pollfd p = {.fd = fd};
    if (what & LMN_POLL_IN) p.events |= POLLIN;
    if (what & LMN_POLL_OUT) p.events |= POLLOUT;
    for (int n = -1; n < 0;) { /* a signal is not the end of the time */
        n = poll(&p, 1, until == UINT64_MAX ? -1 : milliseconds(timeout_ns));
        if (n == 0 || (n < 0 && errno != EINTR)) return 0;
        const uint64_t now = lmn_now_ns();
        timeout_ns = until > now ? until - now : 0;
    }
    return (p.revents & POLLIN ? LMN_POLL_IN : 0u) | (p.revents & POLLOUT ? LMN_POLL_OUT : 0u) |
           (p.revents & (POLLHUP | POLLERR | POLLNVAL) ? LMN_POLL_DEAD : 0u);
}

int64_t lmn_fd_write(int fd, const void *bytes, size_t n)
{
    const ssize_t k = write(fd, bytes, n);
    return k >= 0 ? k : errno == EINTR || errno == EAGAIN ? 0 : -1;
}

bool lmn_fd_is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

lamina_status lmn_wake_open(int *out, lamina_error *err)
{
    *out = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return *out >= 0 ? LAMINA_OK : lmn_fail_os(err, LAMINA_E_OS, errno, "cannot make an eventfd");
}

void lmn_wake(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void lmn_wake_clear(int fd)
{
    uint64_t n;
    while (read(fd, &n, sizeof n) < 0 && errno == EINTR) {
    }
}

void lmn_poll_close(int fd)
{
    if (fd >= 0) (void)close(fd);
}
