/*
 * The roof of this machine, measured: float32 multiply-adds and bytes read from memory a second.
 */
#ifndef LAMINA_CLI_ROOF_H
#define LAMINA_CLI_ROOF_H

typedef struct cli_roof {
    double flops; /* a second, all threads together; a multiply-add counts 2 */
    double bytes; /* a second, read from memory */
    int threads;
    const char *isa; /* what the multiply-adds were made of */
} cli_roof;

/* Takes about 0.2 s. All fields 0 when no memory is to be had. */
cli_roof cli_roof_measure(int threads);

#endif
