/*
 * bench_memory_runs MODEL [NAME=SIZE]... [--then [NAME=SIZE]...]...: holds a model and does one
 * step a line of its standard input, then says "ok": "load", "run K" (inputs of the Kth list of
 * sizes), "trim". What memory that takes is read from outside; the process ends with its input.
 */
#include "bench_input.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
    char line[64];
    bench_model m = {0};
    lamina_session *s = NULL;
    if (argc < 2) return fprintf(stderr, "usage: MODEL [NAME=SIZE]... [--then ...]\n"), 2;
    while (fgets(line, sizeof line, stdin)) {
        if (!strncmp(line, "load", 4)) {
            bench_open(&m, argv[1], 1);
            s = bench_session(&m, NULL);
        } else if (!strncmp(line, "run", 3) && s) {
            int from = 2, k = atoi(line + 3), to;
            for (; k > 0 && from < argc; from++) k -= !strcmp(argv[from], "--then");
            for (to = from; to < argc && strcmp(argv[to], "--then") != 0;) to++;
            bench_inputs(&m, argv + from, to - from);
            bench_run(&m, s);
        } else if (!strncmp(line, "trim", 4) && s) {
            (void)lamina_session_trim(s, 0);
        } else {
            return fprintf(stderr, "what is \"%s\"?\n", line), 2;
        }
        printf("ok\n");
        (void)fflush(stdout);
    }
    lamina_session_destroy(s);
    bench_close(&m);
    return 0;
}
