/*
 * lamina: one program, one file a verb.
 */
#include "cli.h"

#include <string.h>

const cli_verb cli_verbs[] = {
    {"run", "run a model on inputs and print or save the outputs", cli_help_run, cli_run},
    {"check", "list every problem of a model, or compare it with test data", cli_help_check,
     cli_check},
    {"inspect", "show nodes, shapes, parameters and cost of a model", cli_help_inspect,
     cli_inspect},
    {"bench", "measure a model, or the machine itself", cli_help_bench, cli_bench},
    {"bench serve", "load a model server and measure what it answers", cli_help_bench_serve,
     cli_bench_serve},
    {"serve", "serve models over HTTP", cli_help_serve, cli_serve},
    {"tune", "find faster ways for a model on this machine", cli_help_tune, cli_tune},
    {"convert", "write a model anew: fixed shapes, folded, smaller", cli_help_convert, cli_convert},
    {"quantize", "write a model in 8 or 4 bits and report its accuracy", cli_help_quantize,
     cli_quantize},
    {"cache", "list, verify or clear the packed weights that are kept", cli_help_cache, cli_cache},
    {"trace", "record what a program does, and look at it live or afterwards", cli_help_trace,
     cli_trace},
    {"logd", "collect what processes log into one file", cli_help_logd, cli_logd},
    {"info", "show the build, the CPU and what was chosen for it", cli_help_info, cli_info},
    {NULL, NULL, NULL, NULL},
};

static const cli_verb *find_verb(const char *name)
{
    for (const cli_verb *v = cli_verbs; v->name; v++)
        if (strcmp(v->name, name) == 0) return v;
    return NULL;
}

/* The verb that the arguments begin with, the longest; *n is how many of them it takes. */
static const cli_verb *verb_of(int argc, char **argv, int *n)
{
    char two[64] = "";
    if (argc > 1) (void)snprintf(two, sizeof two, "%s %s", argv[0], argv[1]);
    const cli_verb *v = find_verb(two);
    *n = v ? 2 : 1;
    return v ? v : find_verb(argv[0]);
}

static void overview(FILE *f)
{
    (void)fputs("lamina - runs ONNX models on the CPU\n\nusage: lamina VERB [OPTIONS]\n\n", f);
    for (const cli_verb *v = cli_verbs; v->name; v++)
        (void)fprintf(f, "  %-12s %s\n", v->name, v->summary);
    (void)fputs("  help         explain a verb: lamina help run\n\n"
                "exit codes: 0 fine, 1 the model or the data is at fault, 2 usage\n",
                f);
}

static int unknown(const char *name)
{
    const char *near = cli_nearest(cli_verbs, sizeof *cli_verbs, name);
    (void)fprintf(stderr, "lamina: there is no verb \"%s\"%s%s%s; see `lamina help`\n", name,
                  near ? ", did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return CLI_USAGE;
}

static int help(int argc, char **argv)
{
    int n;
    if (argc == 0) return overview(stdout), CLI_OK;
    const cli_verb *v = verb_of(argc, argv, &n);
    if (!v) return unknown(argv[0]);
    return (void)fputs(v->help, stdout), CLI_OK;
}

int main(int argc, char **argv)
{
    if (argc < 2) return overview(stderr), CLI_USAGE;
    if (!strcmp(argv[1], "--version")) return printf("lamina %s\n", lamina_version()), CLI_OK;
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
        return help(argc - 2, argv + 2);
    int n;
    const cli_verb *v = verb_of(argc - 1, argv + 1, &n);
    if (!v) return unknown(argv[1]);
    for (int i = 2; i < argc; i++)
        if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) return help(n, argv + 1);
    return v->run(argc - n, argv + n);
}
