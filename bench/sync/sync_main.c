/*
 * bench_sync SUBJECT [--rounds N] [--items N] [--seconds S] [--only TEXT]: measures every contender
 * of a subject once a round, in turning order, and prints one JSON object with every sample. What
 * was lost, doubled or out of order is counted and makes the exit code 1. bench/sync.py judges.
 */
#include "sync_crew.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct subject {
    const char *name;
    bool (*run)(const sync_options *o);
} SUBJECTS[] = {{"spsc", sync_spsc},   {"trips", sync_trips_run}, {"mpmc", sync_mpmc},
                {"stall", sync_stall}, {"pool", sync_pool},       {"alloc", sync_alloc},
                {"locks", sync_locks}, {"soak", sync_soak}};

static int usage(void)
{
    (void)fputs("usage: bench_sync SUBJECT [--rounds N] [--items N] [--seconds S] [--only TEXT]\n"
                "subjects:",
                stderr);
    for (size_t i = 0; i < sizeof SUBJECTS / sizeof *SUBJECTS; i++)
        (void)fprintf(stderr, " %s", SUBJECTS[i].name);
    (void)fputc('\n', stderr);
    return 2;
}

int main(int argc, char **argv)
{
    sync_options o = {.rounds = 9, .seconds = 5};
    const struct subject *s = NULL;
    for (size_t i = 0; argc > 1 && i < sizeof SUBJECTS / sizeof *SUBJECTS; i++)
        if (!strcmp(argv[1], SUBJECTS[i].name)) s = &SUBJECTS[i];
    if (!s || argc % 2 != 0) return usage();
    for (int i = 2; i < argc; i += 2) {
        const char *v = argv[i + 1];
        if (!strcmp(argv[i], "--rounds"))
            o.rounds = (uint32_t)strtoul(v, NULL, 10);
        else if (!strcmp(argv[i], "--items"))
            o.items = strtoull(v, NULL, 10);
        else if (!strcmp(argv[i], "--seconds"))
            o.seconds = strtod(v, NULL);
        else if (!strcmp(argv[i], "--only"))
            o.only = v;
        else
            return usage();
    }
    printf("{\"subject\": \"%s\", \"rounds\": %u, ", s->name, o.rounds);
    sync_print_place("before", sync_probe());
    printf(", \"rows\": [");
    const bool ok = s->run(&o);
    printf("\n], ");
    sync_print_place("after", sync_probe());
    printf(", \"missing\": [");
    for (const char *const *m = sync_missing; *m; m++)
        printf("%s\"%s\"", m == sync_missing ? "" : ", ", *m);
    printf("]}\n");
    return ok ? 0 : 1;
}
