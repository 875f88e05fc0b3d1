/*
 * Inputs named on the command line: NAME=FILE, FILE.npz, and NAME=file:FILE for raw bytes.
 */
#ifndef LAMINA_CLI_INPUTS_H
#define LAMINA_CLI_INPUTS_H

#include "cli_value.h"

#define CLI_MAX_GIVEN 64
#define CLI_MAX_IO 512

typedef struct cli_given {
    const char *name, *file; /* the name is n_name bytes long; NULL = whatever the .npz holds */
    size_t n_name;
    bool raw;
} cli_given;

typedef struct cli_inputs {
    cli_given given[CLI_MAX_GIVEN];
    int n;
} cli_inputs;

/* CLI_OK, or CLI_USAGE after reporting. */
int cli_inputs_add(cli_inputs *in, const char *verb, const char *text, bool raw);
/* Every name is an input of the model; CLI_FAULT after reporting. */
int cli_inputs_check(const cli_inputs *in, const lamina_model *m);
/* The entry for an input, NULL if none. */
const cli_given *cli_inputs_find(const cli_inputs *in, const char *name);
/* The value for port p; *out stays NULL when no entry serves it. CLI_FAULT after reporting. */
int cli_inputs_load(const cli_inputs *in, lamina_engine *e, const lamina_port *p,
                    lamina_tensor **out);

#endif
