/*
 * What the parts of `lamina bench serve` share: cli_load.c has options and the run,
 * cli_load_report.c the table, JSON and the plot.
 */
#ifndef LAMINA_CLI_LOAD_H
#define LAMINA_CLI_LOAD_H

#include "cli.h"

#include "lamina/client.h"
#include "lamina/loadgen.h"

#define CLI_LOAD_FIELDS 32

typedef struct cli_load {
    const char *url, *model, *body_path, *token, *svg, *ca, *cert, *key, *server_name;
    char address[256], path[2048];
    const char *target, *type;
    const void *body;
    size_t body_bytes;
    char *own_body;
    const char *fields[CLI_LOAD_FIELDS + 2]; /* room for those that are made here */
    size_t n_fields;
    char json_field[64];
    double rate, duration, warmup, timeout;
    long connections, rows, seed;
    bool binary, steady, json;
    lamina_client *client;
    lamina_loadgen *load;
    lamina_loadgen_stats stats;
} cli_load;

void cli_load_text(const cli_load *l);
void cli_load_json(const cli_load *l);
/* Reports failure itself. */
int cli_load_svg(const cli_load *l, const char *path);

#endif
