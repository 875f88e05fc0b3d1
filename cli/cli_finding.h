/*
 * Findings of `lamina check`: one problem or lint each, with the file concerned, the node in it,
 * the reason and the fix; out of the model's diagnostics and out of the library's sentences.
 */
#ifndef LAMINA_CLI_FINDING_H
#define LAMINA_CLI_FINDING_H

#include "cli.h"

typedef struct cli_finding {
    bool error; /* false: a lint */
    lamina_status status;
    int32_t opset;
    char where[512], node[256], op[128], lint[40];
    char reason[LAMINA_ERROR_MSG_BYTES], fix[LAMINA_ERROR_MSG_BYTES];
} cli_finding;

typedef struct cli_findings {
    cli_finding *v; /* free() it */
    size_t n, cap, errors;
    bool text; /* print each as it comes */
} cli_findings;

/* Both return CLI_FAULT if an error was added. `where`: a path. */
int cli_findings_diags(cli_findings *l, const char *where, const lamina_model *m);
int cli_findings_error(cli_findings *l, const char *where, const lamina_error *err);
/* The list as the value of "diagnostics", then the counts. */
void cli_findings_json(const cli_findings *l);

#endif
