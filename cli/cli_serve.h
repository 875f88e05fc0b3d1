/*
 * What the parts of `lamina serve` share: cli_serve_args.c has help and options, cli_serve_print.c
 * says what is served and where, cli_serve_confine.c what the process may still touch; cli_serve.c
 * runs it.
 */
#ifndef LAMINA_CLI_SERVE_H
#define LAMINA_CLI_SERVE_H

#include "cli.h"
#include "cli_nursery.h"

#include "lamina/serve.h"

enum { CLI_SERVE_LISTEN = 16, CLI_SERVE_LOAD = 256 };

typedef enum cli_probe_mode { CLI_PROBE_AUTO, CLI_PROBE_ALWAYS, CLI_PROBE_NEVER } cli_probe_mode;

typedef struct cli_serve_job {
    lamina_server_opts opts;
    const char *listen[CLI_SERVE_LISTEN], *load[CLI_SERVE_LOAD];
    char activated[CLI_SERVE_LISTEN][32];
    const char *log_dir; /* NULL: lines to standard error */
    uint64_t drain_delay_ms, drain_ms;
    lamina_tls_opts tls; /* cert NULL: none */
    cli_sandbox sandbox;
    cli_probe_mode probe;
    cli_nursery nursery;
    bool no_sandbox, json;
    long log_sample;    /* -1: as --log says */
    char no_http2[600]; /* why there is none */
    char otlp[600];
} cli_serve_job;

/* Options into the job; CLI_USAGE after reporting. */
int cli_serve_args(cli_serve_job *j, int argc, char **argv);
/* Where it listens, and the models: on stdout. */
void cli_serve_print_json(const cli_serve_job *j, lamina_server *s);
void cli_serve_print_text(const cli_serve_job *j, lamina_server *s);
/* Before anything is open and before there are threads; reports failure itself. */
int cli_serve_nursery(cli_serve_job *j);
/* After what is opened for writing is open, before there are threads. */
void cli_serve_confine(cli_serve_job *j);

#endif
