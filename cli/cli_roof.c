/*
 * The roofline as numbers (cli_roof.h). The type of a node's operations is that of the kernel row
 * that serves it; what the reference serves counts as float32.
 */
#include "cli_roof.h"

#include <string.h>

int cli_roof_type(const char *kernel)
{
    const char *dot = strchr(kernel, '.');
    for (int t = 0; dot && t < CLI_TYPES; t++) {
        const size_t n = strlen(cli_type_name(t));
        if (!strncmp(dot + 1, cli_type_name(t), n) && (dot[1 + n] == ':' || !dot[1 + n])) return t;
    }
    return CLI_F32;
}

double cli_level_rate(const cli_level *l)
{
    return l->read > l->copy ? l->read : l->copy;
}

void cli_roof_judge(const cli_machine *m, cli_row *r)
{
    double peak = cli_machine_peak(m, cli_roof_type(r->kernel));
    if (!(peak > 0)) peak = cli_machine_peak(m, CLI_F32);
    r->least_ns = 0;
    r->bound = "";
    if (!(peak > 0) || !m->n_levels || !(r->flops + r->bytes > 0)) return;
    const double compute = 1e9 * r->flops / peak;
    int k = m->n_levels - 1;
    double moving = 1e9 * r->bytes / cli_level_rate(&m->levels[k]);
    while (moving > r->ns && k > 0) moving = 1e9 * r->bytes / cli_level_rate(&m->levels[--k]);
    r->least_ns = compute > moving ? compute : moving;
    r->bound = compute > moving ? "compute" : m->levels[k].name;
}

double cli_roof_lost(const cli_row *r)
{
    return r->ns > r->least_ns ? r->ns - r->least_ns : 0;
}
