/*
 * What this machine can do, measured: operations a second of every type and instruction set that
 * the library may use, bytes a second and latency of every level of its memory, by a given number
 * of threads at once. Kept in the user's cache folder, one file a machine and number of threads; a
 * file is believed when version, machine and checksum are right, and measured anew otherwise.
 */
#ifndef LAMINA_CLI_MACHINE_H
#define LAMINA_CLI_MACHINE_H

#include "cli.h"

#include <stdint.h>

enum { CLI_F32, CLI_F64, CLI_BF16, CLI_I8, CLI_TYPES };

typedef struct cli_peak {
    int type; /* CLI_F32 .. */
    char isa[16];
    double ops; /* a second, all threads together; a multiply-add counts 2 */
} cli_peak;

typedef struct cli_level {
    char name[8];             /* "L1", "L2", "L3", "memory" */
    double bytes;             /* what it holds; of memory what was walked */
    double read, write, copy; /* bytes a second, all threads; a copy counts both ways */
    double ns;                /* of a load whose address is the one before */
} cli_level;

typedef struct cli_machine {
    uint64_t id; /* of features, caches, processors, build */
    int64_t when;
    int threads;
    int n_peaks, n_levels;
    cli_peak peaks[12];
    cli_level levels[4]; /* the nearest first; the last one is memory */
    bool cached;
    const char *note; /* why it was not taken from, or could not be put into the cache; or NULL */
} cli_machine;

/* Cached or, when `anew` or there is no good file, measured (about a second) and cached. */
int cli_machine_get(lamina_engine *e, int threads, bool anew, cli_machine *out);
/* lamina info --measure: one thread, then as many as the engine takes. */
int cli_machine_report(lamina_engine *e, bool anew, bool json);
const char *cli_type_name(int type);
/* Operations a second of the best instruction set for a type; 0: none was measured. */
double cli_machine_peak(const cli_machine *m, int type);

/* ---- cli_machine_file.c ---------------------------------------------------------------------- */

/* Fills `out`; false and a note (NULL: there is no file) when it is not to be believed. */
bool cli_machine_read(uint64_t id, int threads, cli_machine *out, const char **note);
/* NULL, or why it could not be written. */
const char *cli_machine_write(const cli_machine *m);

/* ---- cli_machine_loops.c --------------------------------------------------------------------- */

typedef struct cli_burst {
    int type;
    const char *isa; /* a word of "cpu.isa"; "" is always there */
    double ops;      /* of one call */
    void (*run)(void);
} cli_burst;
/* A row without a function ends them. */
extern const cli_burst cli_bursts[];

typedef struct cli_stream {
    const char *isa;
    /* `passes` times over n bytes at a multiple of 512 from an address that is a multiple of 64. */
    void (*read)(char *p, size_t n, int passes);
    void (*write)(char *p, size_t n, int passes);
    void (*copy)(char *p, size_t n, int passes); /* the first half into the second */
} cli_stream;
/* The widest first; the last is always there. */
extern const cli_stream cli_streams[];

#endif
