/*
 * What the bench programs share: a model opened from the command line with inputs made for it.
 * A failure prints its sentence and ends the program.
 */
#ifndef LAMINA_BENCH_INPUT_H
#define LAMINA_BENCH_INPUT_H

#include "lamina/lamina.h"

#define BENCH_MAX_IO 64

typedef struct bench_model {
    lamina_engine *engine;
    lamina_model *model;
    lamina_tensor *in[BENCH_MAX_IO];
    size_t n_in, n_out;
} bench_model;

/* End the program with a sentence unless st is LAMINA_OK. */
void bench_must(lamina_status st, const lamina_error *err, const char *what);
/* Load a model on `threads` threads. */
void bench_open(bench_model *m, const char *path, uint32_t threads);
/* With a trace, that outlives it. */
void bench_open_traced(bench_model *m, const char *path, uint32_t threads, lamina_trace *trace);
/* Make its inputs, dropping older ones: floats in [0,1), integers 1; dims that are not fixed come
   from the n "NAME=SIZE" texts, else are 1. */
void bench_inputs(bench_model *m, char *const *dims, int n);
lamina_session *bench_session(const bench_model *m, const lamina_session_opts *opts);
/* One run; the outputs are dropped. */
void bench_run(const bench_model *m, lamina_session *s);
void bench_close(bench_model *m);
double bench_now(void); /* seconds, monotonic */
double bench_cpu(void); /* CPU seconds of the process */
int bench_by_value(const void *a, const void *b);

#endif
