/*
 * The program: options, peers, domains. One line of JSON says who is here, one more every case.
 * bench_kernels [--domain=f32] [--set=NAME] [--only=TEXT] [--threads=N] [--samples=N] [--budget=S]
 * [--quick]. Exit 1 if a result was wrong.
 */
#include "kb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    void (*run)(kb_run *run);
} domains[] = {
    {"f32", kb_f32},   {"math", kb_math}, {"conv", kb_conv},
    {"bf16", kb_bf16}, {"int8", kb_int8}, {"weights", kb_weights},
};

static bool option(const char *arg, const char *key, const char **value)
{
    const size_t n = strlen(key);
    if (strncmp(arg, key, n) != 0 || arg[n] != '=') return false;
    *value = arg + n + 1;
    return true;
}

static bool parse(int argc, char **argv, kb_run *run)
{
    for (int i = 1; i < argc; i++) {
        const char *v = NULL;
        if (option(argv[i], "--set", &run->set) || option(argv[i], "--only", &run->only) ||
            option(argv[i], "--domain", &run->domain))
            continue;
        if (option(argv[i], "--threads", &v))
            run->threads = atoi(v);
        else if (option(argv[i], "--samples", &v))
            run->samples = atoi(v);
        else if (option(argv[i], "--budget", &v))
            run->budget = atof(v);
        else if (strcmp(argv[i], "--quick") == 0)
            run->quick = true;
        else
            return false;
    }
    return run->threads > 0 && run->samples > 0;
}

int main(int argc, char **argv)
{
    kb_run run = {.threads = 1, .samples = 15, .budget = 6};
    if (!parse(argc, argv, &run)) {
        fprintf(stderr, "bench_kernels: no such option; see bench/kernels/kb_main.c\n");
        return 2;
    }
    kb_peers_open(run.threads);
    kb_peers_print();
    for (size_t i = 0; i < sizeof domains / sizeof *domains; i++)
        if (!run.domain || strcmp(run.domain, domains[i].name) == 0) domains[i].run(&run);
    return run.wrong ? 1 : 0;
}
