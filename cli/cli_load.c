/*
 * lamina bench serve: offered load and true latency of a server, ours or any other that speaks
 * HTTP/1.1. The load is the library's (lamina/loadgen.h); here are options, the lines while it
 * runs, the table and the plot.
 */
#include "cli_load.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

const char cli_help_bench_serve[] =
    "usage: lamina bench serve URL [--rate R] [--duration TIME] [--connections N] [--model NAME]\n"
    "                          [--rows N] [--binary] [--body FILE] [--header LINE]...\n"
    "                          [--token TOKEN] [--warmup TIME] [--timeout TIME] [--steady]\n"
    "                          [--seed N] [--ca FILE] [--cert FILE KEY] [--server-name NAME]\n"
    "                          [--svg FILE] [--json]\n\n"
    "Sends requests to a server and prints how many were answered and how fast. With a rate the "
    "load\n"
    "is open: requests are due at instants that do not wait for answers, and latency counts from\n"
    "when a request was due. So a server that stalls is seen to stall. Without a rate every\n"
    "connection sends its next request when it has its answer, which measures throughput and says\n"
    "little about latency.\n\n"
    "The URL is that of a server that speaks KServe v2 (http://127.0.0.1:8000): the request is\n"
    "made from what it says of the model. Or, with --body or a path, that of anything.\n\n"
    "  --rate R           requests a second, at Poisson distances\n"
    "  --duration TIME    10s (default), 2m\n"
    "  --connections N    most that are open at once; default 64\n"
    "  --model NAME       default the first that is ready\n"
    "  --rows N           of the batch dimension of a request; default 1\n"
    "  --binary           tensors as bytes, not as JSON\n"
    "  --body FILE        what to POST to the URL, application/json unless --header says else\n"
    "  --header LINE      a field more, \"Name: value\"\n"
    "  --token TOKEN      Authorization: Bearer TOKEN\n"
    "  --warmup TIME      before measuring; default 1s\n"
    "  --timeout TIME     of a request from when it was due; default 10s\n"
    "  --steady           equal distances instead of Poisson's\n"
    "  --seed N           of values and arrivals; default 0\n"
    "  --ca FILE          https: PEM certificates to trust; default those of the system. The "
    "server's\n"
    "                     certificate is always checked\n"
    "  --cert FILE KEY    https: who we are, for servers that ask\n"
    "  --server-name NAME  https: the name that its certificate must have; default that of the "
    "URL\n"
    "  --svg FILE         a plot: rate and latency by second, and the distribution\n"
    "  --json             everything, as one JSON object\n\n"
    "exit codes: 0 every request was answered 2xx or refused with 429 or 503, 1 some were not,\n"
    "2 usage\n\n"
    "examples:\n"
    "  lamina bench serve http://127.0.0.1:8000 --rate 2000 --duration 30s\n"
    "  lamina bench serve http://127.0.0.1:8000 --connections 64 --binary --rows 8\n"
    "  lamina bench serve http://127.0.0.1:8000/v2/models/m/infer --body request.json --rate 500\n"
    "  lamina bench serve https://localhost:8443 --ca cert.pem\n"
    "  lamina bench serve http+unix:/run/lamina.sock --model resnet --svg load.svg\n";

static uint32_t stop_word;

static void on_signal(int signo)
{
    (void)signo;
    __atomic_store_n(&stop_word, 1, __ATOMIC_RELAXED);
}

/* "http://HOST:PORT/PATH", https:// or "http+unix:/SOCKET": the address, and the path or "". */
static int take_url(cli_load *l, const char *url)
{
    static const char plain[] = "http://", secure[] = "https://", on_unix[] = "http+unix:";
    if (strncmp(url, on_unix, sizeof on_unix - 1) == 0) {
        const int n = snprintf(l->address, sizeof l->address, "unix:%s", url + sizeof on_unix - 1);
        return n < (int)sizeof l->address ? CLI_OK
                                          : cli_usage("bench serve", "the URL is too long");
    }
    const bool tls = strncmp(url, secure, sizeof secure - 1) == 0;
    if (strncmp(url, plain, sizeof plain - 1) == 0) url += sizeof plain - 1;
    if (tls) url += sizeof secure - 1;
    if (!tls && (l->ca || l->cert || l->server_name))
        return cli_usage("bench serve", "--ca, --cert and --server-name go with https://");
    const size_t n = strcspn(url, "/");
    if (n == 0 || n + 16 > sizeof l->address || strlen(url + n) >= sizeof l->path)
        return cli_usage("bench serve", "\"%.80s\" is no URL such as http://127.0.0.1:8000", url);
    const bool port = url[n - 1] != ']' && memchr(url, ':', n);
    (void)snprintf(l->address, sizeof l->address, "%s%.*s%s", tls ? secure : "", (int)n, url,
                   port || tls ? "" : ":80");
    (void)snprintf(l->path, sizeof l->path, "%s", strcmp(url + n, "/") ? url + n : "");
    return CLI_OK;
}

/* "30s", "2m", "500ms", "10". */
static int take_time(const char *opt, const char *text, double *out)
{
    char number[32];
    const size_t n = strspn(text, "0123456789.");
    const char *unit = text + n;
    const double scale = !strcmp(unit, "") || !strcmp(unit, "s") ? 1
                         : !strcmp(unit, "ms")                   ? 1e-3
                         : !strcmp(unit, "m")                    ? 60
                                                                 : 0;
    if (n == 0 || n >= sizeof number || scale == 0)
        return cli_usage("bench serve", "%s wants a time such as 30s, 2m or 500ms, not \"%s\"", opt,
                         text);
    (void)snprintf(number, sizeof number, "%.*s", (int)n, text);
    if (!cli_real("bench serve", opt, number, out)) return CLI_USAGE;
    *out *= scale;
    return CLI_OK;
}

static int take_option(cli_load *l, int o, const char *v)
{
    switch (o) {
    case 1: return cli_real("bench serve", "--rate", v, &l->rate) ? CLI_OK : CLI_USAGE;
    case 2: return take_time("--duration", v, &l->duration);
    case 3:
        return cli_number("bench serve", "--connections", v, 1, 20000, &l->connections) ? CLI_OK
                                                                                        : CLI_USAGE;
    case 4: l->model = v; return CLI_OK;
    case 5:
        return cli_number("bench serve", "--rows", v, 1, 1L << 24, &l->rows) ? CLI_OK : CLI_USAGE;
    case 6: l->binary = true; return CLI_OK;
    case 7: l->body_path = v; return CLI_OK;
    case 8:
        if (l->n_fields == CLI_LOAD_FIELDS - 1)
            return cli_usage("bench serve", "too many --header");
        l->fields[l->n_fields++] = v;
        return CLI_OK;
    case 9: l->token = v; return CLI_OK;
    case 10: return take_time("--warmup", v, &l->warmup);
    case 11: return take_time("--timeout", v, &l->timeout);
    case 12: l->steady = true; return CLI_OK;
    case 13:
        return cli_number("bench serve", "--seed", v, 0, 1L << 40, &l->seed) ? CLI_OK : CLI_USAGE;
    case 14: l->svg = v; return CLI_OK;
    case 16: l->ca = v; return CLI_OK;
    case 17: l->cert = v; return CLI_OK;
    case 18: l->server_name = v; return CLI_OK;
    default: l->json = true; return CLI_OK;
    }
}

static int read_body(cli_load *l)
{
    FILE *f = fopen(l->body_path, "rb");
    if (!f) return cli_fail("%s: %s", l->body_path, strerror(errno));
    size_t cap = 1 << 16, n = 0, got;
    char *p = malloc(cap);
    while (p && (got = fread(p + n, 1, cap - n, f)) > 0) {
        n += got;
        if (n < cap) continue;
        char *more = cap < (1u << 30) ? realloc(p, cap *= 2) : NULL;
        if (!more) free(p);
        p = more;
    }
    const bool bad = ferror(f) != 0;
    (void)fclose(f);
    if (!p) return cli_fail("%s is larger than 1 GiB", l->body_path);
    l->own_body = p, l->body = p, l->body_bytes = n;
    return bad ? cli_fail("%s: %s", l->body_path, strerror(errno)) : CLI_OK;
}

/* The request of a model, from what the server says of it. */
static int make_example(cli_load *l)
{
    lamina_error err = {0};
    lamina_example e;
    const lamina_client_opts opts = {.size = sizeof opts,
                                     .timeout_s = l->timeout > 0 ? l->timeout : 10,
                                     .token = l->token,
                                     .ca = l->ca,
                                     .cert = l->cert,
                                     .key = l->key,
                                     .server_name = l->server_name};
    if (lamina_client_open(l->address, &opts, &l->client, &err) != LAMINA_OK ||
        lamina_client_example(l->client, l->model, l->rows, (uint64_t)l->seed, l->binary, &e,
                              &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    l->target = e.target, l->body = e.body, l->body_bytes = e.body_bytes;
    if (e.json_bytes > 0) {
        l->type = "application/octet-stream";
        (void)snprintf(l->json_field, sizeof l->json_field, "Inference-Header-Content-Length: %lld",
                       (long long)e.json_bytes);
        l->fields[l->n_fields++] = l->json_field;
    }
    return CLI_OK;
}

static void on_second(void *ctx, uint32_t second, const lamina_loadgen_second *s)
{
    const cli_load *l = ctx;
    if (l->json) return;
    (void)fprintf(
        stderr, "%5u s  %8llu/s ok  %7llu refused  %6llu failed  p50 %8.3f ms  p99 %8.3f ms\n",
        second + 1, (unsigned long long)s->n_ok, (unsigned long long)s->n_refused,
        (unsigned long long)s->n_failed, (double)s->p50_ns * 1e-6, (double)s->p99_ns * 1e-6);
}

static int run_load(cli_load *l)
{
    lamina_error err = {0};
    char token[600];
    if (l->token) {
        (void)snprintf(token, sizeof token, "Authorization: Bearer %.500s", l->token);
        l->fields[l->n_fields++] = token;
    }
    const lamina_loadgen_opts o = {.size = sizeof o,
                                   .address = l->address,
                                   .target = l->target,
                                   .content_type = l->type,
                                   .fields = l->fields,
                                   .n_fields = l->n_fields,
                                   .body = l->body,
                                   .body_bytes = l->body_bytes,
                                   .n_connections = (uint32_t)l->connections,
                                   .rate = l->rate,
                                   .steady = l->steady,
                                   .duration_s = l->duration,
                                   .warmup_s = l->warmup > 0 ? l->warmup : -1,
                                   .timeout_s = l->timeout,
                                   .seed = (uint64_t)l->seed,
                                   .stop = &stop_word,
                                   .progress = on_second,
                                   .progress_ctx = l,
                                   .ca = l->ca,
                                   .cert = l->cert,
                                   .key = l->key,
                                   .server_name = l->server_name};
    (void)signal(SIGINT, on_signal);
    (void)signal(SIGTERM, on_signal);
    if (lamina_loadgen_run(&o, &l->load, &err) != LAMINA_OK) return cli_fail("%s", err.msg);
    l->stats.size = sizeof l->stats;
    return lamina_loadgen_get_stats(l->load, &l->stats) == LAMINA_OK ? CLI_OK : CLI_FAULT;
}

static int all_of_it(cli_load *l)
{
    int rc = cli_writable(l->svg);
    if (rc != CLI_OK) return rc;
    l->target = l->path;
    if (l->body_path)
        rc = read_body(l);
    else if (!l->path[0])
        rc = make_example(l);
    if (rc == CLI_OK && !l->target[0]) l->target = "/";
    if (rc == CLI_OK) rc = run_load(l);
    if (rc != CLI_OK) return rc;
    (l->json ? cli_load_json : cli_load_text)(l);
    if (l->svg) rc = cli_load_svg(l, l->svg);
    const lamina_loadgen_stats *s = &l->stats;
    const uint64_t bad = s->n_other + s->n_timeout + s->n_broken + s->n_unsent;
    return rc != CLI_OK ? rc : bad || s->n_due == 0 ? CLI_FAULT : CLI_OK;
}

int cli_bench_serve(int argc, char **argv)
{
    static const cli_opt SPEC[] = {
        {"--rate", true},   {"--duration", true}, {"--connections", true},
        {"--model", true},  {"--rows", true},     {"--binary", false},
        {"--body", true},   {"--header", true},   {"--token", true},
        {"--warmup", true}, {"--timeout", true},  {"--steady", false},
        {"--seed", true},   {"--svg", true},      {"--json", false},
        {"--ca", true},     {"--cert", true},     {"--server-name", true},
        {NULL, false}};
    cli_load *l = calloc(1, sizeof *l);
    const char *value, *url = NULL;
    int rc = l ? CLI_OK : cli_fail("out of memory");
    if (l) l->connections = 64, l->duration = 10, l->warmup = 1, l->timeout = 10;
    for (int i = 1, o;
         rc == CLI_OK && (o = cli_next("bench serve", SPEC, argc, argv, &i, &value)) != -1;) {
        if (o == -2)
            rc = CLI_USAGE;
        else if (o == 17 && i == argc)
            rc = cli_usage("bench serve", "--cert wants FILE and KEY");
        else if (o > 0)
            rc = take_option(l, o, value), l->key = o == 17 ? argv[i++] : l->key;
        else if (url)
            rc = cli_usage("bench serve", "one URL, not \"%s\" as well", value);
        else
            url = value;
    }
    if (rc == CLI_OK && !url) rc = cli_usage("bench serve", "the URL of which server?");
    if (rc == CLI_OK) rc = take_url(l, url);
    if (rc == CLI_OK) l->url = url, rc = all_of_it(l);
    if (l) {
        lamina_loadgen_free(l->load);
        lamina_client_close(l->client);
        free(l->own_body);
    }
    free(l);
    return rc;
}
