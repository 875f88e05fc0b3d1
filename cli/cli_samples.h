/*
 * Sets of inputs for a model, one after the other: from .npz and .npy files (several samples in
 * one, along the first axis), pictures, folders of those or of ONNX test data, or a seed.
 */
#ifndef LAMINA_CLI_SAMPLES_H
#define LAMINA_CLI_SAMPLES_H

#include "cli_inputs.h"
#include "cli_recipe.h"

#define CLI_MAX_SOURCES 4096

typedef struct cli_samples {
    char *path[CLI_MAX_SOURCES]; /* owned; in the order given, folders by name */
    int n;
    long n_random;
    cli_dims dims; /* free dimensions of random inputs */
    recipe recipe; /* how pictures become inputs; n == 0: none yet */
    long n_seen;   /* sets handed out by the last call of cli_samples_each */
} cli_samples;

/* A file or a folder. CLI_OK, or CLI_FAULT after reporting. */
int cli_samples_add(cli_samples *s, const char *path);
/* What is done with each set; `what` names it. CLI_OK goes on. */
typedef int (*cli_sample_fn)(void *ctx, const char *what, const lamina_tensor *const *in, size_t n);
/* All sets; the first failure, reported. */
int cli_samples_each(cli_samples *s, lamina_engine *e, const lamina_model *m, cli_sample_fn fn,
                     void *ctx);
void cli_samples_free(cli_samples *s);

#endif
