/*
 * Names of hosts into numbers, before the sandbox closes: a server asks no name server later.
 */
#include "cli.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool cli_resolve(const char *url, char *out, size_t cap)
{
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char host[256], number[64];
    const char *p = strncmp(url, "http://", 7) == 0 ? url + 7 : NULL;
    const char *end = p ? p + strcspn(p, "/") : NULL, *colon = end;
    while (p && colon > p && *colon != ':') colon--;
    if (!p || *p == '[' || colon == p || (size_t)(colon - p) >= sizeof host)
        return snprintf(out, cap, "%s", url) < (int)cap; /* not for us, or a number */
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - p), p);
    if (getaddrinfo(host, NULL, &want, &found) != 0) return false;
    const bool six = found->ai_family == AF_INET6;
    const bool ok = getnameinfo(found->ai_addr, found->ai_addrlen, number, sizeof number, NULL, 0,
                                NI_NUMERICHOST) == 0;
    freeaddrinfo(found);
    return ok && snprintf(out, cap, "http://%s%s%s%s", six ? "[" : "", number, six ? "]" : "",
                          colon) < (int)cap;
}
