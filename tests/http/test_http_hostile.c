/*
 * The probes of hostile.txt against a server over loopback: sent whole, then byte by byte. What
 * must come back is exactly the listed statuses, and then the end of the connection.
 */
#include "http_rig.h"

static char script[1 << 20];

/* "text" with escapes, n times; returns where the line ended. */
static void unescape(const char *line, char **out, const char *end)
{
    long times = 1;
    char *begin = *out;
    if (*line == '*') times = strtol(line + 1, (char **)(uintptr_t)&line, 10);
    line = strchr(line, '"') + 1;
    for (; *line && *line != '"'; line++) {
        if (*line != '\\') {
            *(*out)++ = *line;
            continue;
        }
        switch (*++line) {
        case 'r': *(*out)++ = '\r'; break;
        case 'n': *(*out)++ = '\n'; break;
        case 't': *(*out)++ = '\t'; break;
        case '0': *(*out)++ = 0; break;
        case 'x': {
            const char hex[3] = {line[1], line[2], 0};
            *(*out)++ = (char)strtol(hex, NULL, 16);
            line += 2;
            break;
        }
        default: *(*out)++ = *line;
        }
    }
    const size_t n = (size_t)(*out - begin);
    for (long i = 1; i < times && *out + n < end; i++, *out += n) memcpy(*out, begin, n);
}

/* The statuses in an answer, "200 400". Bodies hold no status line. */
static void statuses(const char *answer, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = 0;
    while ((answer = strstr(answer, "HTTP/1.1 ")) != NULL && n + 5 < cap) {
        answer += 9;
        n += (size_t)snprintf(out + n, cap - n, "%s%.3s", n ? " " : "", answer);
    }
}

static void probe(rig *g, const char *name, const char *want, const char *bytes, size_t n,
                  bool slowly)
{
    static char answer[1 << 16];
    char got[64];
    const int fd = rig_connect(g);
    T_CASE(name);
    T_REQUIRE(fd >= 0);
    if (slowly) {
        const int on = 1;
        setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
        for (size_t i = 0; i < n && rig_send(fd, bytes + i, 1); i++) {
        }
    } else {
        (void)rig_send(fd, bytes, n);
    }
    T_CHECK(rig_read_all(fd, answer, sizeof answer) >= 0);
    statuses(answer, got, sizeof got);
    T_STR_EQ(got, want);
    close(fd);
}

static void test_hostile(t_env *env)
{
    static char bytes[1 << 21];
    char name[128] = "", want[64] = "";
    rig g;
    int n_probes = 0;
    FILE *f = fopen(T_SOURCE_DIR "/tests/http/hostile.txt", "rb");
    T_REQUIRE(f);
    script[fread(script, 1, sizeof script - 1, f)] = 0;
    fclose(f);
    T_REQUIRE(rig_start(&g, env, "127.0.0.1:0", NULL, 1));
    char *at = bytes;
    for (char *line = strtok(script, "\n");; line = strtok(NULL, "\n")) {
        if (line && (*line == '"' || *line == '*')) {
            unescape(line, &at, bytes + sizeof bytes);
            continue;
        }
        if (line && *line == '#') continue;
        if (at > bytes) {
            const size_t n = (size_t)(at - bytes);
            probe(&g, name, want, bytes, n, false);
            if (n < 600) probe(&g, name, want, bytes, n, true);
            n_probes++;
            at = bytes;
        }
        if (!line) break;
        const char *colon = strchr(line, ':'); /* "400: what it is" */
        snprintf(want, sizeof want, "%.*s", (int)(colon - line), line);
        snprintf(name, sizeof name, "%s", colon + 2);
    }
    T_CASE(NULL);
    T_CHECK(n_probes > 80);
    rig_stop(&g);
}

T_MAIN(T_TEST(test_hostile))
