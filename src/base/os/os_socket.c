/*
 * Stream sockets on Linux. TCP_NODELAY is set on listening sockets: what they accept inherits it,
 * which saves a call for each connection.
 */
#include "base/os/os_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(sizeof(struct sockaddr_un) <= sizeof((lmn_address *)0)->bytes, "UNIX paths fit");
_Static_assert(sizeof(lmn_span) == sizeof(struct iovec) &&
                   offsetof(lmn_span, p) == offsetof(struct iovec, iov_base) &&
                   offsetof(lmn_span, n) == offsetof(struct iovec, iov_len),
               "spans are what the system calls an iovec");

enum { PASSED_MOST = 4 }; /* descriptors that one message may bring */

static const struct sockaddr *as_sockaddr(const lmn_address *a)
{
    return (const struct sockaddr *)(const void *)a->bytes;
}

static int family(const lmn_address *a)
{
    return as_sockaddr(a)->sa_family;
}

static bool parse_port(const char *s, uint16_t *out)
{
    uint32_t v = 0;
    const size_t n = strlen(s);
    if (n == 0 || n > 5) return false;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9') return false;
        v = v * 10 + (uint32_t)(s[i] - '0');
    }
    *out = (uint16_t)v;
    return v <= 65535;
}

static bool parse_unix(const char *path, lmn_address *out)
{
    struct sockaddr_un *u = (struct sockaddr_un *)(void *)out->bytes;
    const size_t n = strlen(path);
    if (n == 0 || n >= sizeof u->sun_path) return false;
    u->sun_family = AF_UNIX;
    memcpy(u->sun_path, path, n + 1);
    out->n = (uint32_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return true;
}

static bool parse_host(const char *host, uint16_t port, lmn_address *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)out->bytes;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)out->bytes;
    if (strcmp(host, "localhost") == 0) host = "127.0.0.1";
    if (strcmp(host, "*") == 0) host = "0.0.0.0";
    if (host[0] != '[') {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        out->n = sizeof *v4;
        return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
    }
    char text[64];
    const size_t n = strlen(host);
    if (n < 3 || n >= sizeof text || host[n - 1] != ']') return false;
    memcpy(text, host + 1, n - 2);
    text[n - 2] = 0;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    out->n = sizeof *v6;
    return inet_pton(AF_INET6, text, &v6->sin6_addr) == 1;
}

lamina_status lmn_address_parse(const char *where, lmn_address *out, lamina_error *err)
{
    char shown[80], host[64] = "127.0.0.1";
    const char *colon = strrchr(where, ':');
    uint16_t port = 0;
    bool ok;
    memset(out, 0, sizeof *out);
    if (strncmp(where, "unix:", 5) == 0) {
        ok = parse_unix(where + 5, out);
    } else {
        const size_t n = colon ? (size_t)(colon - where) : 0;
        ok = n < sizeof host && parse_port(colon ? colon + 1 : where, &port);
        if (ok && colon) {
            memcpy(host, where, n);
            host[n] = 0;
        }
        ok = ok && parse_host(host, port, out);
    }
    if (ok) return LAMINA_OK;
    (void)lmn_format_name(shown, sizeof shown, where, strlen(where));
    return lmn_fail(err, LAMINA_E_INVALID,
                    "\"%s\" is no address; write 127.0.0.1:8000, [::1]:8000, *:8000 or unix:/path",
                    shown);
}

bool lmn_address_is_unix(const lmn_address *a)
{
    return family(a) == AF_UNIX;
}

uint16_t lmn_address_port(const lmn_address *a)
{
    if (family(a) == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)a->bytes)->sin_port);
    if (family(a) == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)a->bytes)->sin6_port);
    return 0;
}

void lmn_address_set_port(lmn_address *a, uint16_t port)
{
    if (family(a) == AF_INET) ((struct sockaddr_in *)(void *)a->bytes)->sin_port = htons(port);
    if (family(a) == AF_INET6) ((struct sockaddr_in6 *)(void *)a->bytes)->sin6_port = htons(port);
}

bool lmn_address_is_local(const lmn_address *a)
{
    if (family(a) == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)a->bytes;
        return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
    }
    if (family(a) == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(
            &((const struct sockaddr_in6 *)(const void *)a->bytes)->sin6_addr);
    return family(a) == AF_UNIX;
}

static void set(int fd, int level, int name)
{
    const int one = 1;
    (void)setsockopt(fd, level, name, &one, sizeof one);
}

/* Is a UNIX socket left behind by a process that is no more? Then it goes. */
static void remove_stale(const lmn_address *a)
{
    struct stat st;
    const char *path = ((const struct sockaddr_un *)(const void *)a->bytes)->sun_path;
    if (lstat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) return;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return;
    if (connect(fd, as_sockaddr(a), a->n) != 0 && errno == ECONNREFUSED) (void)unlink(path);
    (void)close(fd);
}

static lamina_status bound(int fd, const lmn_address *a, bool share)
{
    if (family(a) == AF_UNIX) {
        remove_stale(a);
        (void)fchmod(fd, 0600); /* the path takes the mode of the socket */
    } else {
        set(fd, SOL_SOCKET, SO_REUSEADDR);
        if (share) set(fd, SOL_SOCKET, SO_REUSEPORT);
        set(fd, IPPROTO_TCP, TCP_NODELAY);
    }
    if (bind(fd, as_sockaddr(a), a->n) == 0 && listen(fd, SOMAXCONN) == 0) return LAMINA_OK;
    if (errno == EADDRINUSE) return LAMINA_E_BUSY;
    return errno == EACCES || errno == EPERM ? LAMINA_E_PERM : LAMINA_E_OS;
}

static void say_peer(const lmn_address *a, char peer[LMN_PEER_BYTES])
{
    const char *text = NULL;
    if (family(a) == AF_INET)
        text = inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)a->bytes)->sin_addr,
                         peer, LMN_PEER_BYTES);
    if (family(a) == AF_INET6)
        text =
            inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)a->bytes)->sin6_addr,
                      peer, LMN_PEER_BYTES);
    if (!text) memcpy(peer, "unix", 5);
}

static lamina_status cannot_listen(const lmn_address *a, lamina_status st, int e, lamina_error *err)
{
    char host[LMN_PEER_BYTES], shown[200];
    const char *fix = e == EADDRINUSE      ? "; it is taken: free it or take another"
                      : e == EADDRNOTAVAIL ? "; this machine has no such address"
                      : e == EACCES && lmn_address_port(a)
                          ? "; ports below 1024 are for root or CAP_NET_BIND_SERVICE"
                          : "";
    if (lmn_address_is_unix(a)) {
        const char *path = ((const struct sockaddr_un *)(const void *)a->bytes)->sun_path;
        (void)lmn_format_name(shown, sizeof shown, path, strlen(path));
    } else {
        const bool v6 = family(a) == AF_INET6;
        say_peer(a, host);
        (void)lmn_format(shown, sizeof shown, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
                         lmn_address_port(a));
    }
    return lmn_fail_os(err, st, e, "cannot listen at %s%s", shown, fix);
}

lamina_status lmn_sock_listen(const lmn_address *a, bool share, int *out, lamina_error *err)
{
    const int fd = socket(family(a), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return lmn_fail_os(err, LAMINA_E_OS, errno, "cannot make a socket");
    const lamina_status st = bound(fd, a, share);
    if (st != LAMINA_OK) {
        const int e = errno;
        (void)close(fd);
        return cannot_listen(a, st, e, err);
    }
    *out = fd;
    return LAMINA_OK;
}

lamina_status lmn_sock_adopt(int fd, lamina_error *err)
{
    int listens = 0;
    socklen_t n = sizeof listens;
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) != 0 || !listens)
        return lmn_fail(err, LAMINA_E_INVALID, "descriptor %d is no listening socket", fd);
    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    set(fd, IPPROTO_TCP, TCP_NODELAY); /* fails on a UNIX socket, which has no need of it */
    return LAMINA_OK;
}

void lmn_sock_address(int fd, lmn_address *out)
{
    socklen_t n = sizeof out->bytes;
    memset(out, 0, sizeof *out);
    if (getsockname(fd, (struct sockaddr *)(void *)out->bytes, &n) == 0) out->n = n;
}

void lmn_address_remove(const lmn_address *a)
{
    if (!lmn_address_is_unix(a)) return;
    (void)unlink(((const struct sockaddr_un *)(const void *)a->bytes)->sun_path);
}

int lmn_sock_accept(int listener, char peer[LMN_PEER_BYTES])
{
    lmn_address a = {.n = 0};
    for (;;) {
        socklen_t n = sizeof a.bytes;
        const int fd =
            accept4(listener, (struct sockaddr *)(void *)a.bytes, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            say_peer(&a, peer);
            return fd;
        }
        switch (errno) {
        case EINTR:
        case ECONNABORTED: continue; /* the next may be there */
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM: return LMN_SOCK_FULL;
        default: return LMN_SOCK_AGAIN;
        }
    }
}

static int64_t failed(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? LMN_SOCK_AGAIN : LMN_SOCK_LOST;
}

int64_t lmn_sock_recv(int fd, void *buf, size_t cap)
{
    for (;;) {
        const ssize_t n = recv(fd, buf, cap, 0);
        if (n >= 0) return n;
        if (errno != EINTR) return failed();
    }
}

/* Keep the first descriptor, close what else came. */
static void take_passed(struct msghdr *m, int *passed)
{
    int all[PASSED_MOST], n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        const size_t bytes = c->cmsg_len - CMSG_LEN(0);
        for (size_t i = 0; i < bytes / sizeof(int) && n < PASSED_MOST; i++)
            memcpy(&all[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    for (int i = 0; i < n; i++)
        if (i)
            (void)close(all[i]);
        else
            *passed = all[i];
}

int64_t lmn_sock_recv_passed(int fd, void *buf, size_t cap, int *passed)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(PASSED_MOST * sizeof(int))];
    struct iovec v = {.iov_base = buf, .iov_len = cap};
    struct msghdr m = {.msg_iov = &v,
                       .msg_iovlen = 1,
                       .msg_control = control,
                       .msg_controllen = sizeof control}; /* what does not fit the system closes */
    for (;;) {
        const ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
        if (n >= 0) {
            take_passed(&m, passed);
            return n;
        }
        if (errno != EINTR) return failed();
    }
}

int64_t lmn_sock_send(int fd, const lmn_span *spans, uint32_t n_spans)
{
    const struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)spans, .msg_iovlen = n_spans};
    for (;;) {
        const ssize_t n = n_spans == 1 ? send(fd, spans->p, spans->n, MSG_NOSIGNAL)
                                       : sendmsg(fd, &m, MSG_NOSIGNAL);
        if (n >= 0) return n;
        if (errno != EINTR) return failed();
    }
}

void lmn_sock_finish(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}

/* Linux runs a listener's filter over a segment from its TCP header on; byte 13 holds the flags.
 * What is accepted inherits the filter, which lets all through that comes later on a connection. */
void lmn_sock_refuse(int fd)
{
    struct sock_filter no_syn[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0), BPF_STMT(BPF_RET | BPF_K, UINT32_MAX)};
    const struct sock_fprog filter = {.len = sizeof no_syn / sizeof *no_syn, .filter = no_syn};
    int domain = 0;
    socklen_t n = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) == 0 &&
        (domain == AF_INET || domain == AF_INET6))
        (void)setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

bool lmn_sock_peer_of(int fd, lmn_sock_peer *out)
{
    struct ucred is = {.pid = 0};
    socklen_t n = sizeof is;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &is, &n) != 0 || is.pid <= 0) return false;
    *out = (lmn_sock_peer){.pid = is.pid, .uid = is.uid};
    return true;
}

void lmn_sock_close(int fd)
{
    if (fd >= 0) (void)close(fd);
}

lamina_status lmn_sock_connect(const lmn_address *a, int *out, lamina_error *err)
{
    const int fd = socket(family(a), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return lmn_fail_os(err, LAMINA_E_OS, errno, "cannot make a socket");
    set(fd, IPPROTO_TCP, TCP_NODELAY);
    if (connect(fd, as_sockaddr(a), a->n) != 0 && errno != EINPROGRESS && errno != EINTR) {
        const int e = errno;
        (void)close(fd);
        return lmn_fail_os(err, LAMINA_E_IO, e, "cannot connect");
    }
    *out = fd;
    return LAMINA_OK;
}

lamina_status lmn_sock_connected(int fd, lamina_error *err)
{
    int e = 0;
    socklen_t n = sizeof e;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n) != 0) e = errno;
    return e == 0 ? LAMINA_OK : lmn_fail_os(err, LAMINA_E_IO, e, "cannot connect");
}
