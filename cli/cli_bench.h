/*
 * What the parts of `lamina bench MODEL` share: cli_bench.c has options and measures,
 * cli_bench_print.c prints.
 */
#ifndef LAMINA_CLI_BENCH_H
#define LAMINA_CLI_BENCH_H

#include "cli_inputs.h"
#include "cli_roof.h"

#define CLI_BENCH_ROWS 512

typedef struct cli_bench_job {
    const char *path, *svg;
    uint32_t precision;
    const char *cache;
    char cache_path[4096];
    lamina_session_stats packed; /* of the first session, whose strings are copied below */
    char packed_file[1200], packed_note[600];
    lamina_engine *engine;
    lamina_model *model;
    lamina_session *session;
    lamina_tensor *in[CLI_MAX_IO];
    size_t n_in, n_out;
    long threads, seed, iterations, warmup, top;
    double seconds;
    cli_dims dims;
    cli_plugins plugins;
    cli_inputs inputs;
    double load_s, first_s;
    double *t; /* seconds of each run, the least first */
    size_t n;
    cli_machine roof;
    bool json, list, of_model; /* of_model: an option that only models have */
} cli_bench_job;

typedef struct cli_profile {
    cli_row op[CLI_BENCH_ROWS];
    cli_row *node; /* n_nodes; as the operators, the largest loss first */
    size_t n_ops, n_nodes;
    double most[CLI_BENCH_ROWS]; /* the longest node of an operator */
    double node_ns, run_ns, roof_ns, runs;
    size_t n_tuned; /* nodes that a tuned choice serves */
} cli_profile;

/* The tables on stdout, and the same as one JSON object. */
void cli_bench_print_text(const cli_bench_job *b, const cli_profile *p);
void cli_bench_print_json(const cli_bench_job *b, const cli_profile *p);

#endif
