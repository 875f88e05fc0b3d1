/*
 * What the parts of `lamina trace` share: a trace that is read, its events printed.
 */
#ifndef LAMINA_CLI_TRACE_H
#define LAMINA_CLI_TRACE_H

#include "cli.h"

/* Open a trace and take in what it holds; reports failure itself. */
int cli_trace_open(const char *path, lamina_trace_reader **out);
/* What is new; reports failure itself. */
int cli_trace_more(lamina_trace_reader *r);
lamina_trace_info cli_trace_about(lamina_trace_reader *r);
/* "1.234 ms". */
void cli_trace_duration(char buf[24], double ns);
/* Text that may come from anywhere: what a terminal would obey is shown as "?". */
void cli_trace_text(FILE *f, const char *s);
/* A value of an argument; json: as JSON. */
void cli_trace_value(FILE *f, const lamina_trace_arg *a, bool json);
/* `dropped`, and what a killed program was in, on stderr. */
void cli_trace_remarks(lamina_trace_reader *r);

/* The verbs; argv[0] is the part's name. */
int cli_trace_cat(int argc, char **argv);
int cli_trace_export(int argc, char **argv);
int cli_trace_top(int argc, char **argv);

#endif
