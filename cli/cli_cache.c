/*
 * lamina cache: the folder in which sessions keep packed weights (lamina/prepack.h).
 */
#include "cli.h"

#include <string.h>
#include <time.h>

const char cli_help_cache[] =
    "usage: lamina cache list|verify|clear [--prepack-cache DIR] [--json]\n\n"
    "Looks after the folder in which `run` and `bench` keep packed weights when they are given\n"
    "--prepack-cache. Files may be removed at any time: what is missing is packed again.\n\n"
    "  list                 every file: size, tensors, when it was last used, model\n"
    "  verify               the same after reading all weights and comparing their checksums;\n"
    "                       exit code 1 if a file is damaged\n"
    "  clear                remove them all\n"
    "  --prepack-cache DIR  the folder; default auto: $XDG_CACHE_HOME/lamina/prepack\n"
    "  --json               one JSON object\n\n"
    "examples:\n"
    "  lamina bench bert.onnx --precision bf16 --prepack-cache auto\n"
    "  lamina cache list\n"
    "  lamina cache verify --prepack-cache /var/tmp/packed --json\n";

typedef struct look {
    bool json;
    int n, n_bad;
    uint64_t bytes;
} look;

static void show_json(const look *l, const lamina_prepack_file *f)
{
    printf("%s\n {\"name\": ", l->n ? "," : "");
    cli_json_string(stdout, f->name);
    printf(", \"model\": ");
    cli_json_string(stdout, f->model);
    printf(", \"bytes\": %llu, \"tensors\": %llu, \"made\": %llu, \"used\": %llu, \"problem\": ",
           (unsigned long long)f->bytes, (unsigned long long)f->n_tensors,
           (unsigned long long)(f->made_ns / 1000000000u),
           (unsigned long long)(f->used_ns / 1000000000u));
    if (f->status == LAMINA_OK)
        printf("null}");
    else
        cli_json_string(stdout, f->problem), printf("}");
}

static void show_text(const look *l, const lamina_prepack_file *f)
{
    char used[32] = "";
    const time_t at = (time_t)(f->used_ns / 1000000000u);
    struct tm when;
    if (gmtime_r(&at, &when)) (void)strftime(used, sizeof used, "%Y-%m-%d %H:%M", &when);
    if (!l->n) printf("%-21s %10s %8s  %-17s model\n", "file", "MB", "tensors", "used (UTC)");
    printf("%-21s %10.1f %8llu  %-17s %s\n", f->name, (double)f->bytes * 1e-6,
           (unsigned long long)f->n_tensors, used, f->status == LAMINA_OK ? f->model : f->problem);
}

static void show(void *ctx, const lamina_prepack_file *f)
{
    look *l = ctx;
    (l->json ? show_json : show_text)(l, f);
    l->n++, l->bytes += f->bytes;
    l->n_bad += f->status != LAMINA_OK;
}

static int list(const char *dir, bool verify, bool json)
{
    lamina_error err;
    look l = {.json = json};
    if (json) printf("{\"files\": [");
    if (lamina_prepack_list(dir, verify, show, &l, &err) != LAMINA_OK) {
        if (json) printf("]}\n");
        return cli_fail("%s", err.msg);
    }
    if (json)
        printf("], \"bytes\": %llu, \"damaged\": %d}\n", (unsigned long long)l.bytes, l.n_bad);
    else
        printf("%d file%s, %.1f MB%s\n", l.n, l.n == 1 ? "" : "s", (double)l.bytes * 1e-6,
               verify && !l.n_bad ? ", all as they were written" : "");
    return verify && l.n_bad ? CLI_FAULT : CLI_OK;
}

static int clear(const char *dir, bool json)
{
    lamina_error err;
    uint64_t files = 0, bytes = 0;
    if (lamina_prepack_clear(dir, &files, &bytes, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    printf(json ? "{\"removed\": %llu, \"bytes\": %llu}\n" : "%llu files removed, %llu bytes\n",
           (unsigned long long)files, (unsigned long long)bytes);
    return CLI_OK;
}

int cli_cache(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--prepack-cache", true}, {"--json", false}, {NULL, false}};
    static const char *const WHAT[] = {"list", "verify", "clear", NULL};
    const char *v, *what = NULL, *dir = "auto";
    char path[4096];
    bool json = false;
    int i = 1, o;
    while ((o = cli_next("cache", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && what) return cli_usage("cache", "one thing at a time, not also %s", v);
        if (o == 0) what = v;
        if (o == 1 && !(dir = cli_prepack_cache("cache", v, path, sizeof path))) return CLI_USAGE;
        json |= o == 2;
    }
    if (!what) return cli_usage("cache", "list, verify or clear?");
    if (!strcmp(what, "clear")) return clear(dir, json);
    if (!strcmp(what, "list") || !strcmp(what, "verify")) return list(dir, what[0] == 'v', json);
    const char *near = cli_nearest(WHAT, sizeof *WHAT, what);
    return cli_usage("cache", "there is no \"%s\"%s%s", what, near ? ", did you mean " : "",
                     near ? near : "");
}
