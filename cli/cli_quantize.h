/*
 * What lamina quantize says about a model that it made: a table for people, JSON for the rest.
 */
#ifndef LAMINA_CLI_QUANTIZE_H
#define LAMINA_CLI_QUANTIZE_H

#include "cli.h"
#include "lamina/quantize.h"

typedef struct quantize_summary {
    const char *in, *out, *mode;
    const lamina_quantizer *q;
    const lamina_model *was, *is;
    uint64_t file_bytes[2]; /* of in and out */
    long n_sets;            /* compared */
    bool random;            /* among them random ones */
} quantize_summary;

void quantize_table(const quantize_summary *s);
void quantize_json(FILE *f, const quantize_summary *s);

#endif
