/*
 * Help and options of `lamina serve`.
 */
#include "cli_serve.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
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

static bool read_probe(const char *text, cli_probe_mode *out)
{
    static const char *const NAMES[] = {"auto", "always", "never"};
    for (int i = 0; i < 3; i++)
        if (strcmp(text, NAMES[i]) == 0) return *out = (cli_probe_mode)i, true;
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
static void read_log(cli_serve_job *j, const char *text)
{
    const bool json = strcmp(text, "json") == 0, lines = json || strcmp(text, "text") == 0;
    j->log_dir = lines ? NULL : text;
    j->opts.log_format = json ? LAMINA_LOG_JSON : LAMINA_LOG_LOGFMT;
    if (j->log_sample < 0) j->opts.log_sample = 1;
}

static bool read_option(cli_serve_job *j, int option, const char *v)
{
    lamina_server_opts *o = &j->opts;
    uint64_t us = 0;
    long n = 0;
    switch (option) {
    case 1: return add_name("--listen", j->listen, &o->n_listen, CLI_SERVE_LISTEN, v);
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
    case 13: return add_name("--load", j->load, &o->n_load, CLI_SERVE_LOAD, v);
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

int cli_serve_args(cli_serve_job *j, int argc, char **argv)
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
