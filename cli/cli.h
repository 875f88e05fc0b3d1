/*
 * What the verbs of `lamina` share: options, messages, loading. The program uses the public API
 * alone.
 */
#ifndef LAMINA_CLI_H
#define LAMINA_CLI_H

#include "lamina/lamina.h"

#include <stdio.h>

/* Exit codes of every verb. */
enum { CLI_OK = 0, CLI_FAULT = 1, CLI_USAGE = 2 };

typedef struct cli_verb {
    const char *name, *summary;
    const char *help;                  /* usage, options, examples */
    int (*run)(int argc, char **argv); /* argv[0] is the verb */
} cli_verb;

/* All verbs, NULL name ends. */
extern const cli_verb cli_verbs[];
int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_inspect(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_info(int argc, char **argv);
int cli_convert(int argc, char **argv);
int cli_quantize(int argc, char **argv);
int cli_logd(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_cache(int argc, char **argv);
int cli_tune(int argc, char **argv);
int cli_bench_serve(int argc, char **argv);
int cli_serve(int argc, char **argv);
extern const char cli_help_run[], cli_help_check[], cli_help_inspect[], cli_help_bench[],
    cli_help_info[], cli_help_convert[], cli_help_quantize[], cli_help_logd[], cli_help_trace[],
    cli_help_cache[], cli_help_tune[], cli_help_bench_serve[], cli_help_serve[];

/* "lamina: error: ..." on stderr; returns CLI_FAULT. */
__attribute__((format(printf, 1, 2))) int cli_fail(const char *fmt, ...);
/* The same for `msg`, of something at `path`, which is named once. */
int cli_fail_at(const char *path, const char *msg);
/* What the file is whose bytes `err` finds damaged, where it is something else; else NULL. */
const char *cli_guess(const char *path, const lamina_error *err);
/* The same for a model that did not load, with that guess. */
int cli_fail_load(const char *path, const lamina_error *err);
/* Can a result be written there, before what it is of is measured? NULL: nowhere, and yes. Reports
 * failure itself; what lies there stays as it is. */
int cli_writable(const char *path);
/* Says what is wrong with the command line and how to get help; returns CLI_USAGE. */
__attribute__((format(printf, 2, 3))) int cli_usage(const char *verb, const char *fmt, ...);

/*
 * The next option of a verb: advances *i. Returns the option's letter in `spec` order, 0 for an
 * operand (in *value), -1 at the end, -2 on an error already reported. spec rows: name, takes a
 * value.
 */
typedef struct cli_opt {
    const char *name; /* "--threads"; NULL ends */
    bool value;
} cli_opt;
int cli_next(const char *verb, const cli_opt *spec, int argc, char **argv, int *i,
             const char **value);

/* "http://NAME:PORT/..." with a number for the name; false: nobody knows it. What is no such
   address is copied. */
bool cli_resolve(const char *url, char *out, size_t cap);

/* An engine with `threads` (0 = automatic) and the environment's caps; reports failure itself. */
int cli_engine(uint32_t threads, lamina_engine **out);
/* What an engine warns of, as lines on stderr. */
extern const lamina_log_sink cli_warnings;
/* The same, writing into a trace; NULL: none. `log`: as cli_engine's, cli_warnings, or NULL. */
int cli_engine_traced(uint32_t threads, lamina_trace *trace, const lamina_log_sink *log,
                      lamina_engine **out);
/* The trace that --trace FILE asks for; reports failure itself. */
int cli_trace_to(const char *path, lamina_trace **out);
/* The libraries named by --plugin, in order. */
typedef struct cli_plugins {
    const char *paths[32];
    int n;
} cli_plugins;
/* Remember one; CLI_USAGE after reporting when there are too many. */
int cli_plugins_add(cli_plugins *p, const char *verb, const char *path);
/* Load them all; reports failure itself. */
int cli_plugins_load(const cli_plugins *p, lamina_engine *e);
/* "float32[N,3,224,224]". */
void cli_port_text(const lamina_port *p, char *buf, size_t cap);
/* Whole number option; false after reporting. */
bool cli_number(const char *verb, const char *opt, const char *text, long lo, long hi, long *out);
/* --precision: a lamina_precision; false after reporting. */
bool cli_precision(const char *verb, const char *text, uint32_t *out);
/* Where --prepack-cache of a session lies: "auto", "off" or a folder, made absolute in buf; NULL
   after reporting. */
const char *cli_prepack_cache(const char *verb, const char *text, char *buf, size_t cap);
/* A real number >= 0; false after reporting. */
bool cli_real(const char *verb, const char *opt, const char *text, double *out);
/* The row of `names` (NULL ends) closest to `text`, NULL if none is near. Rows lie `stride` bytes
   apart and begin with the name. */
const char *cli_nearest(const void *names, size_t stride, const char *text);
/* A line on stderr while work takes long; NULL (which stop accepts) when stderr is no terminal. */
typedef struct cli_progress cli_progress;
cli_progress *cli_progress_start(const char *what, const char *of);
void cli_progress_stop(cli_progress *p);
/* Seeded values: floats in [0,1), bytes to 63, wider integers 0 or 1, which any table has rows for;
   dims that are not fixed come from `dim` ("N=4" entries) or are 1. NULL for a sequence. */
typedef struct cli_dims {
    const char *names[32];
    int64_t values[32];
    int n;
} cli_dims;
bool cli_dims_add(cli_dims *d, const char *text);
/* Every one given is one that an input has; else reports and lists those that there are. */
int cli_dims_check(const cli_dims *d, const lamina_model *m);
lamina_tensor *cli_random_input(lamina_engine *e, const lamina_port *p, const cli_dims *d,
                                uint64_t seed);
/* "1.23 GFLOP": three digits and a decimal prefix. */
void cli_si(char buf[16], double x, const char *unit);
/* JSON string with quotes and escapes; never ends a <script>, bad UTF-8 becomes U+FFFD. */
void cli_json_string(FILE *f, const char *s);
/* Prefix, then the number; what JSON has no number for is a string. */
void cli_json_number(FILE *f, const char *prefix, double v);
double cli_now_s(void);

#endif
