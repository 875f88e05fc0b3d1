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
