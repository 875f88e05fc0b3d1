/*
 * What `lamina serve` prints when it is ready: where it listens, its models and, for people, a
 * request to try.
 */
#include "cli_serve.h"

#include <string.h>

/* "http://127.0.0.1:8000" or "unix:/path". */
static void url_of(const cli_serve_job *j, const lamina_server *s, uint32_t i, char *buf,
                   size_t cap)
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

void cli_serve_print_json(const cli_serve_job *j, lamina_server *s)
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

static void print_curl(const cli_serve_job *j, const char *url, const lamina_server_model_info *m)
{
    const bool socket = strncmp(url, "unix:", 5) == 0;
    printf("\ntry it:\n  curl -s%s%s%s%s%s %s/v2/models/%s/infer -d '%s'\n",
           socket ? " --unix-socket " : "", socket ? url + 5 : "",
           !socket && j->tls.cert ? " -k" : "",
           !socket && j->tls.client_ca ? " --cert \"$CERT\" --key \"$KEY\"" : "",
           j->opts.tokens ? " -H \"Authorization: Bearer $TOKEN\"" : "",
           socket ? "http://localhost" : url, m->name, m->example);
}

void cli_serve_print_text(const cli_serve_job *j, lamina_server *s)
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
    if (!i) printf("  no model: none lies at %s/NAME/1/model.onnx\n", j->opts.models);
    url_of(j, s, 0, url, sizeof url);
    if (shown.size) print_curl(j, url, &shown);
    if (strncmp(url, "http", 4) == 0) printf("\nstatus: %s/   metrics: %s/metrics\n", url, url);
}
