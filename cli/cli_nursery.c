/*
 * Trying models in processes that have nothing to lose. The line is a socket of messages: a path
 * goes there, an outcome comes back. What a child says is foreign: a status within range and
 * printable text, no more. The nursery ends with the server, since its line does, and its children
 * end with it.
 */
#include "cli_nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a sanitizer reserves is more than any limit. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

typedef struct outcome {
    int32_t status;
    char msg[LAMINA_ERROR_MSG_BYTES];
} outcome;

/* --- the child: one file --- */

static void limit(int what, uint64_t most)
{
    const struct rlimit r = {(rlim_t)most, (rlim_t)most};
    (void)setrlimit(what, &r);
}

static void be_a_child(const cli_nursery *n, const lamina_server_opts *opts,
                       const cli_sandbox *sandbox, const char *path, int out)
{
    outcome o = {.status = LAMINA_E_OS};
    lamina_engine *engine = NULL;
    lamina_error err = {0};
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_FSIZE, 0);
    limit(RLIMIT_NOFILE, 64);
    if (n->memory && !SANITIZED) limit(RLIMIT_AS, n->memory);
    if (sandbox) cli_sandbox_enter_alone();
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = opts->n_threads};
    o.status = lamina_engine_create(&eo, &engine);
    if (o.status == LAMINA_OK) o.status = lamina_server_try(engine, opts, path, &err);
    (void)snprintf(o.msg, sizeof o.msg, "%s",
                   err.msg[0] ? err.msg : lamina_status_text((lamina_status)o.status));
    const ssize_t sent = write(out, &o, sizeof o);
    _exit(sent == (ssize_t)sizeof o ? 0 : 1);
}

/* --- the nursery --- */

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000u + (uint64_t)t.tv_nsec / 1000000u;
}

/* What the child said, when it has ended well. */
static bool is_outcome(outcome *o, size_t n)
{
    if (n != sizeof *o || o->status > LAMINA_OK || !memchr(o->msg, 0, sizeof o->msg)) return false;
    for (char *p = o->msg; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 127) *p = '?';
    return true;
}

/* Its end, or the end of its time, or of the server: false. */
static bool await_child(const cli_nursery *n, int in, outcome *o, size_t *got, bool *late)
{
    const uint64_t until = now_ms() + n->time_ms;
    struct pollfd fds[2] = {{.fd = in, .events = POLLIN}, {.fd = n->line, .events = POLLRDHUP}};
    for (;;) {
        const uint64_t now = now_ms();
        *late = now >= until;
        if (*late) return true;
        if (poll(fds, 2, (int)(until - now < 60000 ? until - now : 60000)) < 0 && errno != EINTR)
            return true;
        if (fds[1].revents) return false;
        if (!fds[0].revents) continue;
        const ssize_t k = read(in, (char *)o + *got, sizeof *o - *got);
        if (k > 0) *got += (size_t)k;
        if (k == 0 || *got == sizeof *o) return true;
    }
}

static void judge(const cli_nursery *n, int how, bool late, size_t got, outcome *o)
{
    char limit_text[64] = "";
    if (late) {
        o->status = LAMINA_E_TIMEOUT;
        (void)snprintf(o->msg, sizeof o->msg,
                       "tried on its own, it was not ready within %llu ms (--probe-time)",
                       (unsigned long long)n->time_ms);
        return;
    }
    if (WIFEXITED(how) && is_outcome(o, got)) return;
    if (n->memory)
        (void)snprintf(limit_text, sizeof limit_text, ", with a limit of %llu MB of memory",
                       (unsigned long long)(n->memory >> 20));
    o->status = LAMINA_E_INVALID;
    if (WIFSIGNALED(how))
        (void)snprintf(o->msg, sizeof o->msg,
                       "tried on its own, it ended its process by signal %d (%s)%s", WTERMSIG(how),
                       strsignal(WTERMSIG(how)), limit_text);
    else
        (void)snprintf(o->msg, sizeof o->msg, "tried on its own, it ended its process%s",
                       limit_text);
}

static void try_one(const cli_nursery *n, const lamina_server_opts *opts,
                    const cli_sandbox *sandbox, const char *path, outcome *o)
{
    int pipes[2], how = 0;
    size_t got = 0;
    bool late = false;
    *o = (outcome){.status = LAMINA_E_OS, .msg = "the system gives no process to try a model in"};
    if (pipe2(pipes, O_CLOEXEC) != 0) return;
    const pid_t child = fork();
    if (child == 0) {
        (void)close(pipes[0]);
        (void)close(n->line);
        be_a_child(n, opts, sandbox, path, pipes[1]);
    }
    (void)close(pipes[1]);
    if (child > 0) {
        const bool server_lives = await_child(n, pipes[0], o, &got, &late);
        if (late || !server_lives) (void)kill(child, SIGKILL);
        while (waitpid(child, &how, 0) < 0 && errno == EINTR) {
        }
        if (!server_lives) _exit(0);
        judge(n, how, late, got, o);
    }
    (void)close(pipes[0]);
}

/* What the server has open is none of our business; what is printed is its own. */
static void drop_descriptors(cli_nursery *n)
{
    if (dup2(n->line, 3) == 3) n->line = 3;
    const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0 && dup2(null, 0) == 0) (void)dup2(null, 1);
    if (close_range(4, ~0u, 0) == 0) return;
    for (int fd = 4; fd < 1024; fd++) (void)close(fd);
}

static void be_a_nursery(cli_nursery *n, const lamina_server_opts *opts, cli_sandbox *sandbox)
{
    char path[PATH_MAX + 1];
    outcome o;
    (void)signal(SIGINT, SIG_IGN); /* a terminal tells all of its group: the server decides */
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_NAME, "lamina-nursery");
    /* where memory runs out, let the system take a child and not the server */
    const int score = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (score >= 0) {
        (void)!write(score, "1000", 4);
        (void)close(score);
    }
    drop_descriptors(n);
    if (sandbox) cli_sandbox_enter(sandbox);
    for (;;) {
        const ssize_t k = recv(n->line, path, PATH_MAX, 0);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) _exit(0);
        path[k] = 0;
        try_one(n, opts, sandbox, path, &o);
        if (send(n->line, &o, sizeof o, MSG_NOSIGNAL) != (ssize_t)sizeof o) _exit(0);
    }
}

/* --- the server's side --- */

bool cli_nursery_start(cli_nursery *n, const lamina_server_opts *opts, const cli_sandbox *sandbox)
{
    int ends[2];
    cli_sandbox own;
    if (sandbox) own = *sandbox;
    (void)fflush(NULL);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return false;
    n->pid = fork();
    if (n->pid == 0) {
        (void)close(ends[0]);
        n->line = ends[1];
        be_a_nursery(n, opts, sandbox ? &own : NULL);
    }
    (void)close(ends[1]);
    if (n->pid < 0) {
        (void)close(ends[0]);
        return false;
    }
    n->line = ends[0];
    return true;
}

lamina_status cli_nursery_try(void *ctx, const char *path, lamina_error *err)
{
    const cli_nursery *n = ctx;
    const size_t len = strlen(path);
    outcome o;
    memset(err, 0, sizeof *err);
    ssize_t k = -1;
    if (len < PATH_MAX && send(n->line, path, len, MSG_NOSIGNAL) == (ssize_t)len) do
            k = recv(n->line, &o, sizeof o, 0);
        while (k < 0 && errno == EINTR);
    if (k != (ssize_t)sizeof o) {
        o.status = LAMINA_E_OS;
        (void)snprintf(o.msg, sizeof o.msg,
                       "the process in which models are tried is gone: no more are loaded");
    }
    if (o.status == LAMINA_OK) return LAMINA_OK;
    err->status = (lamina_status)o.status;
    (void)snprintf(err->msg, sizeof err->msg, "%.*s", (int)sizeof o.msg - 1, o.msg);
    return err->status;
}

void cli_nursery_stop(cli_nursery *n)
{
    if (n->line < 0) return;
    (void)close(n->line);
    n->line = -1;
    while (waitpid(n->pid, NULL, 0) < 0 && errno == EINTR) {
    }
}
