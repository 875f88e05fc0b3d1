/*
 * Inputs of the two start programs from their command line: NAME:f32:1,3,224,224 or NAME:i64:1,16.
 * Both fill them alike, so that they do the same work and print the same value.
 */
#ifndef LAMINA_BENCH_START_ARGS_H
#define LAMINA_BENCH_START_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START_MAX 64

typedef struct start_input {
    const char *name; /* cut out of the argument */
    bool is_float;
    int rank;
    int64_t dims[8];
    size_t bytes;
    void *data;
} start_input;

/* Parses argv[3...]; ends the program on a wrong one. */
static int start_parse(int argc, char **argv, start_input *in)
{
    int n = 0;
    for (; n + 3 < argc && n < START_MAX; n++) {
        char *type = strchr(argv[n + 3], ':');
        char *at = type ? strchr(type + 1, ':') : NULL;
        size_t count = 1;
        if (!at) exit(2);
        in[n].name = argv[n + 3];
        in[n].is_float = type[1] == 'f';
        *type = 0;
        while (*at && in[n].rank < 8) {
            in[n].dims[in[n].rank] = strtoll(at + 1, &at, 10);
            count *= (size_t)in[n].dims[in[n].rank++];
        }
        in[n].bytes = count * (in[n].is_float ? sizeof(float) : sizeof(int64_t));
        in[n].data = malloc(in[n].bytes + 1);
        if (!in[n].data) exit(1);
        for (size_t i = 0; i < count; i++)
            if (in[n].is_float)
                ((float *)in[n].data)[i] = 0.5f;
            else
                ((int64_t *)in[n].data)[i] = 1;
    }
    return n;
}

#endif
