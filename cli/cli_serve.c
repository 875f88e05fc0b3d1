/*
 * lamina serve: a model server. Signals, what a service manager wants to be told; the server itself
 * is lamina/serve.h.
 */
#include "cli_serve.h"

#include "lamina/log.h"
#include "lamina/trace.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* --- the service manager --- */

/* Sockets that systemd opened for us, numbers 3 and on, instead of our own. */
static void take_sockets(cli_serve_job *j)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid()) return;
    const long n = strtol(fds, NULL, 10);
    for (long i = 0; i < n && j->opts.n_listen < CLI_SERVE_LISTEN; i++) {
        char *text = j->activated[j->opts.n_listen];
        (void)snprintf(text, sizeof j->activated[0], "fd:%ld", 3 + i);
        j->listen[j->opts.n_listen++] = text;
    }
}

/* sd_notify; nothing happens without a manager. */
static void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const size_t n = path ? strlen(path) : 0;
    if (!n || n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@')) return;
    memcpy(to.sun_path, path, n);
    if (path[0] == '@') to.sun_path[0] = 0;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)(const void *)&to,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n));
    (void)close(fd);
}

/* --- running --- */

static void sleep_ms(uint64_t ms)
{
    const struct timespec t = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

/* Blocked before any thread is there, so that this one alone is told. */
static void block_signals(sigset_t *set, bool hangup)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGTERM);
    (void)sigaddset(set, SIGINT);
    if (hangup) (void)sigaddset(set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, set, NULL);
}

/* A connection is a descriptor; the soft limit is for programs that use select. */
static void allow_descriptors(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0) return;
    r.rlim_cur = r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}

/* Until a signal says that it is over; others read tokens and certificates again. What went wrong
 * is told by the log; `lines`: that is to be seen already. */
static void await_end(lamina_server *s, const sigset_t *set, bool lines)
{
    int signo = 0;
    lamina_error err = {0};
    while (sigwait(set, &signo) != 0 || signo == SIGHUP) {
        if (signo == SIGHUP && lamina_server_reload(s, &err) != LAMINA_OK && !lines)
            fprintf(stderr, "lamina: %s\n", err.msg);
        signo = 0;
    }
}

/* Without its plug-in a server still speaks HTTP/1.1, and says what it does not. */
static void open_http2(cli_serve_job *j, lamina_engine *e)
{
    lamina_error err = {0};
    if (lamina_http2_open(e, &j->opts.http2, &err) == LAMINA_OK) return;
    (void)snprintf(j->no_http2, sizeof j->no_http2, "%s", err.msg);
    if (j->opts.log)
        (void)lamina_log(j->opts.log, LAMINA_LOG_WARN, "HTTP/1.1 alone, no gRPC: %s", err.msg);
}

static int serve(cli_serve_job *j, lamina_engine *e)
{
    sigset_t set;
    lamina_server *s = NULL;
    lamina_error err = {0};
    block_signals(&set, j->tls.cert || j->opts.tokens);
    allow_descriptors();
    open_http2(j, e);
    j->tls.http2 = j->opts.http2;
    if (j->tls.cert && lamina_tls_open(e, &j->tls, &j->opts.tls, &err) != LAMINA_OK)
        return cli_fail("--tls %s %s: %s", j->tls.cert, j->tls.key, err.msg);
    cli_serve_confine(j);
    if (lamina_server_start(e, &j->opts, &s, &err) != LAMINA_OK) {
        const char *what = cli_guess(j->opts.models, &err);
        return what ? cli_fail_load(j->opts.models, &err) : cli_fail("%s", err.msg);
    }
    if (j->json)
        cli_serve_print_json(j, s);
    else
        cli_serve_print_text(j, s);
    (void)fflush(stdout);
    notify("READY=1");
    await_end(s, &set, j->opts.log_fd != 0);
    notify("STOPPING=1");
    (void)signal(SIGTERM, SIG_DFL); /* a second one ends us at once */
    (void)signal(SIGINT, SIG_DFL);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    lamina_server_drain(s);
    sleep_ms(j->drain_delay_ms);
    lamina_server_stop(s, (uint32_t)j->drain_ms);
    return CLI_OK;
}

int cli_serve(int argc, char **argv)
{
    cli_serve_job j = {
        .opts = {.size = sizeof j.opts,
                 .log_format = isatty(STDERR_FILENO) ? LAMINA_LOG_LOGFMT : LAMINA_LOG_JSON},
        .log_sample = -1,
        .tls = {.size = sizeof j.tls},
        .nursery = {.line = -1, .time_ms = 60000},
        .drain_delay_ms = 500,
        .drain_ms = 30000};
    lamina_engine *e = NULL;
    lamina_logger *log = NULL;
    lamina_trace *trace = NULL;
    lamina_error err = {0};
    int rc = cli_serve_args(&j, argc, argv);
    if (rc != CLI_OK) return rc;
    take_sockets(&j);
    j.opts.listen = j.listen;
    if ((rc = cli_serve_nursery(&j)) != CLI_OK) return rc;
    if (j.log_dir) {
        const lamina_logger_opts lo = {.size = sizeof lo, .dir = j.log_dir, .name = "serve"};
        if (lamina_logger_open(&lo, &log, &err) != LAMINA_OK) return cli_fail("%s", err.msg);
        j.opts.log = log;
    }
    /* what GET /v2/admin/trace shows; the variable asks for one that others read */
    const lamina_trace_opts to = {
        .size = sizeof to, .lane_events = 4096, .level = LAMINA_TRACE_LEVEL_RUNS};
    if (j.opts.admin && !getenv("LAMINA_TRACE") &&
        lamina_trace_create(NULL, &to, &trace, &err) != LAMINA_OK)
        fprintf(stderr, "lamina: no /v2/admin/trace: %s\n", err.msg);
    rc = cli_engine_traced(j.opts.n_threads, trace, NULL, &e);
    if (rc == CLI_OK) {
        rc = serve(&j, e);
        lamina_tls_close(j.opts.tls);
        lamina_http2_close(j.opts.http2);
        lamina_engine_destroy(e);
    }
    lamina_trace_destroy(trace);
    lamina_logger_close(log);
    cli_nursery_stop(&j.nursery);
    return rc;
}
