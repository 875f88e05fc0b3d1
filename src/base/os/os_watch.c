/*
 * inotify and poll.
 */
#include "base/os/os_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

int lmn_watch_open(const char *dir)
{
    const int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0) return -1;
    if (inotify_add_watch(fd, dir, IN_MOVED_TO) >= 0) return fd;
    (void)close(fd);
    return -1;
}

void lmn_watch_close(int watch)
{
    if (watch >= 0) (void)close(watch);
}

bool lmn_watch_wait(int watch, uint32_t ms)
{
    struct pollfd p = {.fd = watch, .events = POLLIN};
    char news[4096];
    bool any = false;
    const int timeout = ms > 60000 ? 60000 : (int)ms;
    if (poll(&p, watch >= 0 ? 1 : 0, timeout) <= 0 || !(p.revents & POLLIN)) return false;
    while (read(watch, news, sizeof news) > 0) any = true;
    return any;
}

int lmn_watch_open_many(void)
{
    return inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
}

bool lmn_watch_add(int watch, const char *dir)
{
    return watch >= 0 && inotify_add_watch(watch, dir,
                                           IN_CLOSE_WRITE | IN_MOVE | IN_DELETE | IN_CREATE |
                                               IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR) >= 0;
}

uint32_t lmn_watch_news(int watch)
{
    _Alignas(struct inotify_event) char news[4096];
    uint32_t all = 0;
    for (ssize_t n; watch >= 0 && (n = read(watch, news, sizeof news)) > 0;)
        for (ssize_t at = 0; at + (ssize_t)sizeof(struct inotify_event) <= n;) {
            const struct inotify_event *e = (const void *)(news + at);
            const bool folder = e->mask & IN_ISDIR && e->mask & (IN_CREATE | IN_MOVED_TO);
            at += (ssize_t)(sizeof *e + e->len);
            if (folder || e->mask & IN_Q_OVERFLOW) all |= LMN_WATCH_FOLDER;
            if (e->mask & (IN_CLOSE_WRITE | IN_MOVE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF))
                all |= LMN_WATCH_DONE;
        }
    return all;
}
