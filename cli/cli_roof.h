/*
 * How far work is from what the machine could do with it: the roofline. The least time of a node is
 * that of its operations at the peak of their type, or that of its bytes, whichever is more. Bytes
 * are taken to come from memory unless they came faster than memory gives them: then from the
 * farthest cache that could have given them.
 */
#ifndef LAMINA_CLI_ROOF_H
#define LAMINA_CLI_ROOF_H

#include "cli_machine.h"

/* Time and work of one node, or of all of one operator and kernel. */
typedef struct cli_row {
    const char *op, *kernel, *name;
    double ns, flops, bytes; /* over all calls */
    uint64_t calls;
    double least_ns;   /* on the roof */
    const char *bound; /* "compute", or the name of a level; "" when nothing is known */
} cli_row;

/* Sets least_ns and bound. */
void cli_roof_judge(const cli_machine *m, cli_row *r);
/* Nanoseconds above the roof. */
double cli_roof_lost(const cli_row *r);
/* Of the operations of a kernel row's name, "gemm.f32:avx512". */
int cli_roof_type(const char *kernel);
/* Bytes a second that a level gives and takes. */
double cli_level_rate(const cli_level *l);

/* The roofline as a plot: nodes as dots as large as their time, `runs` of them profiled; kinds are
   sums by operator, the largest loss first. Reports failure itself. */
typedef struct cli_roof_plot {
    const cli_machine *machine;
    const char *title;
    const cli_row *node, *kind;
    size_t n_nodes, n_kinds;
    double runs;
} cli_roof_plot;
int cli_roof_svg(const cli_roof_plot *p, const char *path);

#endif
