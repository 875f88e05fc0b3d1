/*
 * What people see: the schedule of a failure, one line an operation with the value read or written
 * and how stale it was, and the string that replays it.
 */
#include <string.h>

#include "stmc_int.h"

#define C (&stmc_now)
#define MOST_PRINTED 100

const char *stmc_op_name(stmc_op op)
{
    static const char *const NAMES[] = {"load",       "store",      "exchange", "add",   "sub",
                                        "or",         "and",        "cas",      "fence", "heavy",
                                        "futex wait", "futex wake", "yield"};
    return NAMES[op];
}

const char *stmc_order_name(stmc_order order)
{
    static const char *const NAMES[] = {"relaxed", "acquire", "release", "acq_rel", "seq_cst"};
    return NAMES[order];
}

static void print_step(const step *s)
{
    const pending *op = &s->op;
    const char *file = strrchr(op->site->file, '/');
    printf("  %-8d %-10s %-8s %-24s ", s->thread, stmc_op_name(op->op),
           op->op == STMC_YIELD ? "" : stmc_order_name(op->order),
           op->loc >= 0 ? op->site->text : "");
    char what[80] = "";
    if (op->op == STMC_STORE)
        snprintf(what, sizeof what, "= %llu", (unsigned long long)op->value);
    else if (op->op == STMC_CAS)
        snprintf(what, sizeof what, op->result ? "%llu -> %llu" : "found %llu, kept",
                 (unsigned long long)op->expected, (unsigned long long)op->value);
    else if (op->op == STMC_WAIT)
        snprintf(what, sizeof what, op->result ? "value differs" : "sleeps");
    else if (s->read)
        snprintf(what, sizeof what, "-> %llu", (unsigned long long)op->result);
    printf("%-22s", what);
    if (s->read && s->read < s->newest && !s->written) printf(" stale by %u", s->newest - s->read);
    printf("  %s:%d\n", file ? file + 1 : op->site->file, op->site->line);
}

void stmc_print_failure(void)
{
    printf("%s: FAILED in run %llu: %s\n", C->scene->name, (unsigned long long)C->n_runs,
           C->failure);
    printf("  thread   operation  order    location                 value\n");
    const int from = C->n_steps > MOST_PRINTED ? C->n_steps - MOST_PRINTED : 0;
    if (from) printf("  (%d operations before)\n", from);
    for (int i = from; i < C->n_steps; i++) print_step(&C->steps[i]);
    printf("  replay: --only='%s' %s--replay=", C->scene->name,
           C->opt.mode == SEARCH_RANDOM    ? "--random "
           : C->opt.mode == SEARCH_BOUNDED ? "--preemptions=9999 "
                                           : "");
    for (int i = 0; i < C->n_choices; i++) printf("%s%u", i ? "." : "", C->choices[i].at);
    printf("%s\n", C->n_choices ? "" : "0");
}
