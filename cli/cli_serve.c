/*
 * lamina serve: a model server. Options, signals, what a service manager wants to be told; the
 * server itself is lamina/serve.h.
 */
#include "cli_nursery.h"

#include "cli.h"

#include "lamina/log.h"
#include "lamina/serve.h"
#include "lamina/trace.h"

#include <errno.h>
#include <execinfo.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

const char cli_help_serve[] =
    "usage: lamina serve MODELS [OPTION]...\n\n"
    "Serves a model over HTTP with the KServe v2 protocol; where liblamina-h2.so is (beside the\n"
    "program or in $LAMINA_PLUGIN_PATH) also over HTTP/2 and gRPC, on the same addresses; it says\n"
    "at the start what it speaks. MODELS is a model's file, or a folder laid out as\n"
    "MODELS/<model>/<version>/model.onnx, with config.json or Triton's config.pbtxt beside the\n"
    "versions.\n\n"
    "  --listen ADDR         HOST:PORT, [V6]:PORT, PORT of 127.0.0.1, unix:/PATH or fd:N; default\n"
    "                        127.0.0.1:8000; port 0: any\n"
    "  --admin ADDR          where load and unload requests are answered: unix:/PATH or loopback\n"
    "  --tokens FILE         a token a line; requests then need Authorization: Bearer TOKEN;\n"
    "                        SIGHUP: read it again, and the files of TLS\n"
    "  --tls CERT KEY        PEM files: speak TLS, but on UNIX sockets\n"
    "  --client-ca FILE      clients must show a certificate that one of these signed\n"
    "  --insecure            other machines may come without token and certificate\n"
    "  --loops N             threads that read and answer; default 1\n"
    "  --threads N           threads for models; default: what this process may use\n"
    "  --max-batch N         most rows that run together; 0: no batches. Default: found out, or\n"
    "                        as the model's configuration says\n"
    "  --delay TIME          how long a request may wait for company: 500us, 2ms; default 0\n"
    "  --queue ROWS          rows that may wait for a model; default max(64, 4 x batch)\n"
    "  --instances N         of each model\n"
    "  --precision P         exact (default), bf16, strict or int8\n"
    "  --model-control MODE  none (default): what is there at the start; poll: what is there now;\n"
    "                        explicit: what --load names, then load and unload requests\n"
    "  --load NAME           with explicit: a model to load at the start, * for all\n"
    "  --poll-interval TIME  how often poll looks; default 1s\n"
    "  --probe MODE          try models in a process of their own first: always, never, auto\n"
    "                        (default: with poll and explicit)\n"
    "  --probe-time TIME     that a model may take there; default 60s\n"
    "  --probe-memory SIZE   that it may take there; default what this machine has\n"
    "  --max-body SIZE       of a request; default 64M\n"
    "  --max-connections N   default 10000\n"
    "  --log WHERE           what happens, and requests: json or text, as lines to standard "
    "error,\n"
    "                        or DIR, into a ring there: `lamina logd DIR`. Default: no requests,\n"
    "                        as text to a terminal and as JSON to anything else\n"
    "  --log-sample N        of N requests one is logged; default 1 with --log, else 0: none\n"
    "  --otlp URL            send traces and metrics to an OpenTelemetry collector at\n"
    "                        http://HOST:PORT\n"
    "  --trace-rate N        of N requests that their client does not trace one is; default 1000\n"
    "  --drain-delay TIME    SIGTERM: how long to serve on while not ready; default 500ms\n"
    "  --drain-timeout TIME  and how long requests may take then; default 30s\n"
    "  --no-sandbox          do not give up writing and executing files, reading others than\n"
    "                        models and tokens, and system calls that no server needs\n"
    "  --json                print where it listens, and the models, as one line of JSON\n\n"
    "Runs until SIGTERM or SIGINT, which end it without cutting a request; a second one ends it\n"
    "at once. Says READY=1 and STOPPING=1 to systemd, and takes sockets from it. Exit codes: 0\n"
    "ended by a signal, 1 the models or an address are at fault, 2 usage.\n\n"
    "examples:\n"
    "  lamina serve model.onnx\n"
    "  lamina serve models/ --model-control poll --listen 0.0.0.0:8000 --tokens tokens.txt\n"
    "  lamina serve models/ --listen 0.0.0.0:8443 --tls cert.pem key.pem --tokens tokens.txt\n"
    "  lamina serve models/ --model-control explicit --load '*' --admin unix:/run/lamina.sock\n";

enum { MAX_LISTEN = 16, MAX_LOAD = 256, MAX_BESIDE = 4, MAX_OWN = 32 };
enum { MAX_READ = 3 + 2 * MAX_BESIDE + MAX_OWN };

typedef enum probe_mode { PROBE_AUTO, PROBE_ALWAYS, PROBE_NEVER } probe_mode;

typedef struct serve_job {
    lamina_server_opts opts;
    const char *listen[MAX_LISTEN], *load[MAX_LOAD];
    char activated[MAX_LISTEN][32];
    const char *log_dir; /* NULL: lines to standard error */
    uint64_t drain_delay_ms, drain_ms;
    lamina_tls_opts tls; /* cert NULL: none */
    cli_sandbox sandbox;
    probe_mode probe;
    cli_nursery nursery;
    bool no_sandbox, json;
    long log_sample;    /* -1: as --log says */
    char no_http2[600]; /* why there is none */
    char otlp[600];
} serve_job;

/* A whole number and one of the units. */
static bool with_unit(const char *option, const char *text, const char *const *units,
                      const uint64_t *factors, uint64_t most, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    for (size_t i = 0; !errno && end != text && text[0] >= '0' && text[0] <= '9' && units[i]; i++)
        if (strcmp(end, units[i]) == 0 && !__builtin_mul_overflow((uint64_t)v, factors[i], out) &&
            *out <= most)
            return true;
    (void)cli_usage("serve", "%s wants a value such as %s, not \"%s\"", option,
                    strcmp(units[0], "us") == 0 ? "500us, 2ms or 1s" : "64M", text);
    return false;
}

/* In microseconds. */
static bool read_time(const char *option, const char *text, uint64_t *out)
{
    static const char *const UNITS[] = {"us", "ms", "s", "m", NULL};
    static const uint64_t US[] = {1, 1000, 1000000, 60000000};
    return with_unit(option, text, UNITS, US, 3600000000u, out);
}

static bool read_size(const char *option, const char *text, uint64_t *out)
{
    static const char *const UNITS[] = {"", "K", "M", "G", NULL};
    static const uint64_t BYTES[] = {1, 1u << 10, 1u << 20, 1u << 30};
    return with_unit(option, text, UNITS, BYTES, (uint64_t)1 << 40, out) && *out;
}

static bool read_control(const char *text, lamina_model_control *out)
{
    static const char *const NAMES[] = {"none", "explicit", "poll"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, NAMES[i]) == 0) return *out = (lamina_model_control)i, true;
    (void)cli_usage("serve", "--model-control is none, explicit or poll, not \"%s\"", text);
    return false;
}

static bool read_probe(const char *text, probe_mode *out)
{
    static const char *const NAMES[] = {"auto", "always", "never"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, NAMES[i]) == 0) return *out = (probe_mode)i, true;
    (void)cli_usage("serve", "--probe is always, never or auto, not \"%s\"", text);
    return false;
}

static bool add_name(const char *option, const char **list, uint32_t *n, uint32_t most,
                     const char *value)
{
    if (*n == most) {
        (void)cli_usage("serve", "at most %u times %s", most, option);
        return false;
    }
    list[(*n)++] = value;
    return true;
}

static bool number(const char *option, const char *text, long hi, uint32_t *out)
{
    long v = 0;
    if (!cli_number("serve", option, text, 1, hi, &v)) return false;
    return *out = (uint32_t)v, true;
}

static const cli_opt SPEC[] = {{"--listen", true},       {"--admin", true},
                               {"--tokens", true},       {"--insecure", false},
                               {"--loops", true},        {"--threads", true},
                               {"--max-batch", true},    {"--delay", true},
                               {"--queue", true},        {"--instances", true},
                               {"--precision", true},    {"--model-control", true},
                               {"--load", true},         {"--poll-interval", true},
                               {"--max-body", true},     {"--max-connections", true},
                               {"--log", true},          {"--log-sample", true},
                               {"--drain-delay", true},  {"--drain-timeout", true},
                               {"--no-sandbox", false},  {"--json", false},
                               {"--tls", true},          {"--client-ca", true},
                               {"--probe", true},        {"--probe-time", true},
                               {"--probe-memory", true}, {"--otlp", true},
                               {"--trace-rate", true},   {NULL, false}};

/* A folder of one of the names is "./json". */
static void read_log(serve_job *j, const char *text)
{
    const bool json = strcmp(text, "json") == 0, lines = json || strcmp(text, "text") == 0;
    j->log_dir = lines ? NULL : text;
    j->opts.log_format = json ? LAMINA_LOG_JSON : LAMINA_LOG_LOGFMT;
    if (j->log_sample < 0) j->opts.log_sample = 1;
}

static bool read_option(serve_job *j, int option, const char *v)
{
    lamina_server_opts *o = &j->opts;
    uint64_t us = 0;
    long n = 0;
    switch (option) {
    case 1: return add_name("--listen", j->listen, &o->n_listen, MAX_LISTEN, v);
    case 2: return o->admin = v, true;
    case 3: return o->tokens = v, true;
    case 4: return o->insecure = true;
    case 5: return number("--loops", v, 256, &o->n_loops);
    case 6: return number("--threads", v, 1024, &o->n_threads);
    case 7:
        if (!cli_number("serve", "--max-batch", v, 0, 1 << 20, &n)) return false;
        return o->max_batch = n ? n : -1, true;
    case 8: return read_time("--delay", v, &o->delay_us);
    case 9:
        if (!cli_number("serve", "--queue", v, 1, 1 << 24, &n)) return false;
        return o->queue_rows = (uint64_t)n, true;
    case 10: return number("--instances", v, 256, &o->n_instances);
    case 11: return cli_precision("serve", v, &o->precision);
    case 12: return read_control(v, &o->control);
    case 13: return add_name("--load", j->load, &o->n_load, MAX_LOAD, v);
    case 14:
        if (!read_time("--poll-interval", v, &us)) return false;
        return o->poll_ms = us < 1000 ? 1 : (uint32_t)(us / 1000), true;
    case 15: return read_size("--max-body", v, &o->max_body_bytes);
    case 16: return number("--max-connections", v, 10000000, &o->max_connections);
    case 17: return read_log(j, v), true;
    case 18:
        if (!cli_number("serve", "--log-sample", v, 0, 1000000000, &n)) return false;
        return j->log_sample = n, true;
    case 19: return read_time("--drain-delay", v, &us) && (j->drain_delay_ms = us / 1000, true);
    case 20: return read_time("--drain-timeout", v, &us) && (j->drain_ms = us / 1000, true);
    case 21: return j->no_sandbox = true;
    case 22: return j->json = true;
    case 23: return j->tls.cert = v, true;
    case 24: return j->tls.client_ca = v, true;
    case 25: return read_probe(v, &j->probe);
    case 26:
        if (!read_time("--probe-time", v, &us)) return false;
        return j->nursery.time_ms = us < 1000 ? 1 : us / 1000, true;
    case 27: return read_size("--probe-memory", v, &j->nursery.memory);
    case 28:
        if (cli_resolve(v, j->otlp, sizeof j->otlp)) return o->otlp = j->otlp, true;
        (void)cli_usage("serve", "--otlp: \"%s\" names no host that is known here", v);
        return false;
    default: return number("--trace-rate", v, 1000000000, &o->otlp_rate);
    }
}

static int read_args(serve_job *j, int argc, char **argv)
{
    int i = 1;
    const char *value;
    for (int o; (o = cli_next("serve", SPEC, argc, argv, &i, &value)) != -1;) {
        if (o == -2) return CLI_USAGE;
        if (o > 0) {
            if (!read_option(j, o, value)) return CLI_USAGE;
            if (o == 23 && i == argc) return cli_usage("serve", "--tls wants CERT and KEY");
            if (o == 23) j->tls.key = argv[i++];
            continue;
        }
        if (j->opts.models) return cli_usage("serve", "one file or folder, not also \"%s\"", value);
        j->opts.models = value;
    }
    if (!j->opts.models) return cli_usage("serve", "which model, or folder of models?");
    if (j->opts.n_load && j->opts.control != LAMINA_CONTROL_EXPLICIT)
        return cli_usage("serve", "--load goes with --model-control explicit");
    if (j->opts.otlp_rate && !j->opts.otlp)
        return cli_usage("serve", "--trace-rate goes with --otlp");
    if (j->tls.client_ca && !j->tls.cert) return cli_usage("serve", "--client-ca goes with --tls");
    if (j->log_sample >= 0) j->opts.log_sample = (uint32_t)j->log_sample;
    if (!j->log_dir) j->opts.log_fd = STDERR_FILENO;
    j->opts.load = j->load;
    return CLI_OK;
}

/* --- the service manager --- */

/* Sockets that systemd opened for us, numbers 3 and on, instead of our own. */
static void take_sockets(serve_job *j)
{
    const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
    if (!pid || !fds || strtol(pid, NULL, 10) != (long)getpid()) return;
    const long n = strtol(fds, NULL, 10);
    for (long i = 0; i < n && j->opts.n_listen < MAX_LISTEN; i++) {
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

/* --- what is printed --- */

/* "http://127.0.0.1:8000" or "unix:/path". */
static void url_of(const serve_job *j, const lamina_server *s, uint32_t i, char *buf, size_t cap)
{
    const char *where = j->opts.n_listen ? j->listen[i] : "127.0.0.1:8000";
    const char *colon = strrchr(where, ':');
    const uint16_t port = lamina_server_port(s, i);
    if (!port)
        (void)snprintf(buf, cap, "%s", where);
    else if (!colon || strncmp(where, "fd:", 3) == 0)
        (void)snprintf(buf, cap, "http%s://127.0.0.1:%u", j->tls.cert ? "s" : "", port);
    else
        (void)snprintf(buf, cap, "http%s://%.*s:%u", j->tls.cert ? "s" : "", (int)(colon - where),
                       where, port);
}

static void print_json(const serve_job *j, lamina_server *s)
{
    const uint32_t n = j->opts.n_listen ? j->opts.n_listen : 1;
    lamina_server_model_info m = {.size = sizeof m};
    char url[300];
    printf("{\"listen\":[");
    for (uint32_t i = 0; i < n; i++) {
        url_of(j, s, i, url, sizeof url);
        printf("%s{\"url\":", i ? "," : "");
        cli_json_string(stdout, url);
        printf(",\"port\":%u}", lamina_server_port(s, i));
    }
    printf("],\"sandbox\":[%s%s%s", j->sandbox.no_new_privs ? "\"no_new_privs\"" : "",
           j->sandbox.landlock ? ",\"landlock\"" : "", j->sandbox.seccomp ? ",\"seccomp\"" : "");
    printf("],\"http2\":");
    if (j->opts.http2)
        cli_json_string(stdout, lamina_http2_name(j->opts.http2));
    else
        printf("null");
    if (j->opts.admin) printf(",\"admin_port\":%u,\"models\":[", lamina_server_port(s, n));
    if (!j->opts.admin) printf(",\"models\":[");
    for (uint32_t i = 0; lamina_server_model(s, i, &m) == LAMINA_OK; i++) {
        printf("%s{\"name\":", i ? "," : "");
        cli_json_string(stdout, m.name);
        printf(",\"version\":%llu,\"ready\":%s,\"max_batch\":%lld,\"inline\":%s,\"reason\":",
               (unsigned long long)m.version, m.ready ? "true" : "false", (long long)m.max_batch,
               m.runs_inline ? "true" : "false");
        cli_json_string(stdout, m.reason);
        printf("}");
    }
    printf("]}\n");
}

static void print_curl(const serve_job *j, const char *url, const lamina_server_model_info *m)
{
    const bool socket = strncmp(url, "unix:", 5) == 0;
    printf("\ntry it:\n  curl -s%s%s%s%s%s %s/v2/models/%s/infer -d '%s'\n",
           socket ? " --unix-socket " : "", socket ? url + 5 : "",
           !socket && j->tls.cert ? " -k" : "",
           !socket && j->tls.client_ca ? " --cert \"$CERT\" --key \"$KEY\"" : "",
           j->opts.tokens ? " -H \"Authorization: Bearer $TOKEN\"" : "",
           socket ? "http://localhost" : url, m->name, m->example);
}

static void print_text(const serve_job *j, lamina_server *s)
{
    const uint32_t n = j->opts.n_listen ? j->opts.n_listen : 1;
    lamina_server_model_info m = {.size = sizeof m}, shown = {.size = 0};
    char url[300];
    uint32_t i = 0;
    for (uint32_t k = 0; k < n; k++) {
        url_of(j, s, k, url, sizeof url);
        printf("listening on %s\n", url);
    }
    if (j->opts.http2)
        printf("HTTP/1.1, HTTP/2 and gRPC (%s)\n", lamina_http2_name(j->opts.http2));
    else
        printf("HTTP/1.1 alone, no gRPC: %s\n", j->no_http2);
    for (; lamina_server_model(s, i, &m) == LAMINA_OK; i++) {
        if (i >= 20) continue;
        printf("  %-24s ", m.name);
        if (!m.ready)
            printf("not ready: %s\n", m.reason[0] ? m.reason : "not loaded");
        else if (m.max_batch)
            printf("version %llu, batches of up to %lld rows%s\n", (unsigned long long)m.version,
                   (long long)m.max_batch, m.runs_inline ? ", runs inline" : "");
        else
            printf("version %llu, no batches%s\n", (unsigned long long)m.version,
                   m.runs_inline ? ", runs inline" : "");
        if (!shown.size && m.ready && m.example[0] && !strchr(m.example, '\'')) shown = m;
    }
    if (i > 20) printf("  and %u more\n", i - 20);
    url_of(j, s, 0, url, sizeof url);
    if (shown.size) print_curl(j, url, &shown);
    if (strncmp(url, "http", 4) == 0) printf("\nstatus: %s/   metrics: %s/metrics\n", url, url);
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

/* The folder of "unix:/run/x.sock"; false: it is no such address, or has none. */
static bool folder_of_socket(const char *where, char *buf, size_t cap)
{
    const char *slash = where && strncmp(where, "unix:", 5) == 0 ? strrchr(where, '/') : NULL;
    if (!slash) return false;
    const int n = slash == where + 5 ? 1 : (int)(slash - where - 5);
    return snprintf(buf, cap, "%.*s", n, where + 5) < (int)cap;
}

/* Files that are replaced have other inodes, and links lead elsewhere: so the folders that what is
 * read again lies in, as named and as meant. */
static size_t folders_of_files(const serve_job *j, char (*buf)[PATH_MAX], const char **out)
{
    const char *files[MAX_BESIDE] = {j->tls.cert, j->tls.key, j->tls.client_ca, j->opts.tokens};
    size_t n = 0;
    for (size_t i = 0; i < MAX_BESIDE; i++) {
        for (int meant = 0; files[i] && meant < 2; meant++) {
            if (meant ? !realpath(files[i], buf[n])
                      : snprintf(buf[n], PATH_MAX, "%s", files[i]) >= PATH_MAX)
                continue;
            char *slash = strrchr(buf[n], '/');
            if (!slash)
                (void)snprintf(buf[n], PATH_MAX, ".");
            else
                slash[slash == buf[n]] = 0; /* "/" stays */
            out[n] = buf[n];
            n++;
        }
    }
    return n;
}

/* What loading models reads. */
static size_t readable(const serve_job *j, char *cache, size_t cap, const char **out)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME"),
               *tune = getenv("LAMINA_TUNE");
    size_t n = 0;
    out[n++] = j->opts.models;
    cache[0] = 0;
    if (xdg && *xdg)
        (void)snprintf(cache, cap, "%s/lamina", xdg);
    else if (home && *home)
        (void)snprintf(cache, cap, "%s/.cache/lamina", home);
    if (*cache) out[n++] = cache; /* choices of `lamina tune` */
    if (tune && *tune) out[n++] = tune;
    return n;
}

/* --- what a profile needs --- */

typedef struct own_files {
    const char **out;
    size_t n;
    char exe[PATH_MAX];
} own_files;

static int note_file(struct dl_phdr_info *info, size_t size, void *ctx)
{
    own_files *o = ctx;
    (void)size;
    if (o->n < MAX_OWN && info->dlpi_name && info->dlpi_name[0] == '/')
        o->out[o->n++] = info->dlpi_name;
    return 0;
}

/* Files that this process is made of: GET /v2/admin/profile names functions by their symbols. Names
 * of libraries stay where they are. */
static size_t files_of_ours(own_files *o)
{
    void *first[2];
    (void)backtrace(first, 2); /* loads what walks the stack, while it can be read */
    const ssize_t k = readlink("/proc/self/exe", o->exe, sizeof o->exe - 1);
    if (k > 0) {
        o->exe[k] = 0;
        o->out[o->n++] = o->exe;
    }
    (void)dl_iterate_phdr(note_file, o);
    return o->n;
}

/* Before anything is open and before there are threads. */
static int start_nursery(serve_job *j)
{
    char cache[1000];
    const char *read[MAX_READ];
    const cli_sandbox sandbox = {.read = read, .n_read = readable(j, cache, sizeof cache, read)};
    const bool changes = j->opts.control != LAMINA_CONTROL_NONE;
    if (j->probe == PROBE_NEVER || (j->probe == PROBE_AUTO && !changes)) return CLI_OK;
    if (!j->nursery.memory)
        j->nursery.memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    if (!cli_nursery_start(&j->nursery, &j->opts, j->no_sandbox ? NULL : &sandbox))
        return cli_fail("no process to try models in: %s", strerror(errno));
    j->opts.probe = cli_nursery_try;
    j->opts.probe_ctx = &j->nursery;
    return CLI_OK;
}

/* After what is opened for writing is open, before there are threads. */
static void enter_sandbox(serve_job *j)
{
    char cache[1000], folders[MAX_LISTEN + 1][1000], beside[2 * MAX_BESIDE][PATH_MAX];
    const char *read[MAX_READ], *sockets[MAX_LISTEN + 1];
    own_files own = {0};
    if (j->no_sandbox) return;
    j->sandbox.read = read;
    j->sandbox.n_read = readable(j, cache, sizeof cache, read);
    j->sandbox.n_read += folders_of_files(j, beside, read + j->sandbox.n_read);
    own.out = read + j->sandbox.n_read;
    if (j->opts.admin) j->sandbox.n_read += files_of_ours(&own);
    j->sandbox.sockets = sockets;
    for (uint32_t i = 0; i <= j->opts.n_listen; i++) {
        const char *where = i < j->opts.n_listen ? j->listen[i] : j->opts.admin;
        char *folder = folders[j->sandbox.n_sockets];
        if (folder_of_socket(where, folder, sizeof folders[0]))
            sockets[j->sandbox.n_sockets++] = folder;
    }
    cli_sandbox_enter(&j->sandbox);
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
static void open_http2(serve_job *j, lamina_engine *e)
{
    lamina_error err = {0};
    if (lamina_http2_open(e, &j->opts.http2, &err) == LAMINA_OK) return;
    (void)snprintf(j->no_http2, sizeof j->no_http2, "%s", err.msg);
    if (j->opts.log)
        (void)lamina_log(j->opts.log, LAMINA_LOG_WARN, "HTTP/1.1 alone, no gRPC: %s", err.msg);
}

static int serve(serve_job *j, lamina_engine *e)
{
    sigset_t set;
    lamina_server *s = NULL;
    lamina_error err = {0};
    block_signals(&set, j->tls.cert || j->opts.tokens);
    allow_descriptors();
    open_http2(j, e);
    j->tls.http2 = j->opts.http2;
    if (j->tls.cert && lamina_tls_open(e, &j->tls, &j->opts.tls, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    enter_sandbox(j);
    if (lamina_server_start(e, &j->opts, &s, &err) != LAMINA_OK) return cli_fail("%s", err.msg);
    if (j->json)
        print_json(j, s);
    else
        print_text(j, s);
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
    serve_job j = {
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
    int rc = read_args(&j, argc, argv);
    if (rc != CLI_OK) return rc;
    take_sockets(&j);
    j.opts.listen = j.listen;
    if ((rc = start_nursery(&j)) != CLI_OK) return rc;
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
    rc = cli_engine_traced(j.opts.n_threads, trace, &e);
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
