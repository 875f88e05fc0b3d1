/*
 * Inputs of the two start programs from their command line: NAME:f32:1,3,224,224, NAME:i64:1,16 or
 * NAME:i32:8=FILE (its bytes). Both fill them alike, so that they do the same work and print the
 * same value.
 */
#ifndef LAMINA_BENCH_START_ARGS_H
#define LAMINA_BENCH_START_ARGS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define START_MAX 64

/* CPU time of this thread in nanoseconds. */
static double start_cpu_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* One batch of runs a call; prints the nanoseconds of a run of every batch but the first two. */
static int start_batches(int n, int runs, int (*run)(void *ctx), void *ctx)
{
    for (int b = 0; b < n + 2; b++) {
        const double t0 = start_cpu_ns();
        for (int i = 0; i < runs; i++)
            if (run(ctx)) return 1;
        if (b >= 2) printf("%.1f ", (start_cpu_ns() - t0) / runs);
    }
    return printf("\n") < 0;
}

typedef struct start_input {
    const char *name; /* cut out of the argument */
    int type;         /* number of the ONNX type */
    int rank;
    int64_t dims[8];
    size_t bytes;
    void *data;
} start_input;

/* Floats 0.5 and integers 1, or the bytes of the file after the '='. */
static void start_fill(start_input *in, size_t count, const char *file)
{
    FILE *f = file ? fopen(file + 1, "rb") : NULL;
    in->data = malloc(in->bytes + 1);
    if (!in->data || (file && !f)) exit(1);
    if (f && fread(in->data, 1, in->bytes, f) != in->bytes) exit(1);
    if (f) fclose(f);
    for (size_t i = 0; !f && i < count; i++)
        if (in->type == 1)
            ((float *)in->data)[i] = 0.5f;
        else if (in->type == 6)
            ((int32_t *)in->data)[i] = 1;
        else
            ((int64_t *)in->data)[i] = 1;
}

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
        for (char *c = argv[n + 3]; c < type; c++)
            if (*c == 1) *c = ':'; /* a name may hold what ends it */
        in[n].type = type[1] == 'f' ? 1 : type[2] == '3' ? 6 : 7;
        *type = 0;
        while (*at && at[1] && *at != '=' && at[1] != '=' && in[n].rank < 8) {
            in[n].dims[in[n].rank] = strtoll(at + 1, &at, 10);
            count *= (size_t)in[n].dims[in[n].rank++];
        }
        in[n].bytes = count * (in[n].type == 7 ? sizeof(int64_t) : sizeof(float));
        start_fill(&in[n], count, strchr(at, '='));
    }
    return n;
}

#endif
