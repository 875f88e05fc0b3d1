/*
 * lamina info: the build, the machine as the library sees it, what it chose, what it can run.
 */
#include "cli_machine.h"
#include "cli_operators.h"

#include "lamina/serve.h"

#include <string.h>

const char cli_help_info[] =
    "usage: lamina info [--ops [--markdown]] [--plugin F]... [--json]\n"
    "       lamina info --measure [--refresh] [--json]\n\n"
    "Prints version, compiler, CPU features, limits of the container, the kernel row chosen for\n"
    "every family and type, the devices and the plug-ins loaded.\n\n"
    "  --ops       the operators instead: domain, versions read, types of every port, kernel rows\n"
    "  --markdown  that table as a page: docs/operators.md\n"
    "  --plugin F  operators of a shared library (lamina/plugin.h)\n"
    "  --measure   what the machine can do, for one thread and for all: multiply-adds a second of\n"
    "              every type and instruction set, bandwidth and latency of caches and memory;\n"
    "              takes some seconds once, then it is in the user's cache folder\n"
    "  --refresh   measure it anew\n"
    "  --json      one JSON object; with --ops a list\n\n"
    "  LAMINA_ISA=avx2                    use no instruction set above this one: ref, avx2,\n"
    "                                     avx512, amx, neon\n"
    "  LAMINA_KERNEL=family.dtype:row     use this row, such as gemm.f32:avx2\n\n"
    "examples:\n"
    "  lamina info\n"
    "  LAMINA_ISA=avx2 lamina info --json\n"
    "  lamina info --measure --refresh\n"
    "  lamina info --ops | grep QLinear\n"
    "  lamina info --plugin ./custom_op.so\n";

/* "kernel.gemm.f32:avx2" -> length of "kernel.gemm.f32"; 0 for other rows. */
static size_t family(const char *key)
{
    const char *colon = strchr(key, ':');
    return strncmp(key, "kernel.", 7) == 0 && colon ? (size_t)(colon - key) : 0;
}

/* All rows of one family on one line: the chosen one, then those that could be. */
static void kernel_line(const lamina_engine *e, const lamina_info_row *first, size_t at)
{
    const size_t n = family(first->key);
    char chosen[64] = "none", others[1024] = "";
    lamina_info_row r = {.size = sizeof r};
    for (size_t k = at; lamina_engine_info(e, k, &r) == LAMINA_OK; k++) {
        if (family(r.key) != n || strncmp(r.key, first->key, n) != 0) break;
        const size_t used = strlen(others);
        if (used > sizeof others / 2) break;
        if (!strcmp(r.value, "chosen"))
            (void)snprintf(chosen, sizeof chosen, "%s", r.key + n + 1);
        else if (!strcmp(r.value, "usable"))
            (void)snprintf(others + used, sizeof others - used, "%s%s", used ? ", " : "",
                           r.key + n + 1);
        else
            (void)snprintf(others + used, sizeof others - used, "%s%s (%s)", used ? ", " : "",
                           r.key + n + 1, r.value);
    }
    printf("%-22.*s %s%s%s\n", (int)n, first->key, chosen, *others ? ", also " : "", others);
}

/* What `lamina serve` would speak beside HTTP/1.1. */
static void find_http2(lamina_engine *e, char *out, size_t cap)
{
    lamina_http2 *h = NULL;
    lamina_error err = {0};
    if (lamina_http2_open(e, &h, &err) == LAMINA_OK)
        (void)snprintf(out, cap, "%s", lamina_http2_name(h));
    else
        (void)snprintf(out, cap, "none: %s", err.msg);
    lamina_http2_close(h);
}

static void as_text(lamina_engine *e)
{
    char http2[600];
    char last[64] = "";
    lamina_info_row r = {.size = sizeof r};
    for (size_t k = 0; lamina_engine_info(e, k, &r) == LAMINA_OK; k++) {
        const size_t n = family(r.key);
        if (!n) {
            printf("%-22s %s\n", r.key, r.value);
            continue;
        }
        if (strlen(last) == n && strncmp(last, r.key, n) == 0) continue;
        (void)snprintf(last, sizeof last, "%.*s", (int)n, r.key);
        kernel_line(e, &r, k);
    }
    find_http2(e, http2, sizeof http2);
    printf("%-22s %s\n", "serve.http2", http2);
}

static void as_json(lamina_engine *e)
{
    char http2[600];
    lamina_info_row r = {.size = sizeof r};
    printf("{");
    for (size_t k = 0; lamina_engine_info(e, k, &r) == LAMINA_OK; k++) {
        printf("%s\n  ", k ? "," : "");
        cli_json_string(stdout, r.key);
        printf(": ");
        cli_json_string(stdout, r.value);
    }
    find_http2(e, http2, sizeof http2);
    printf(",\n  \"serve.http2\": ");
    cli_json_string(stdout, http2);
    printf("\n}\n");
}

static void report(lamina_engine *e, bool ops, bool markdown, bool json)
{
    if (ops && markdown)
        cli_operators_markdown(e);
    else if (ops)
        (json ? cli_operators_json : cli_operators_text)(e);
    else
        (json ? as_json : as_text)(e);
}

int cli_info(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--json", false},  {"--ops", false},     {"--markdown", false},
                                   {"--plugin", true}, {"--measure", false}, {"--refresh", false},
                                   {NULL, false}};
    const char *v;
    int i = 1, o;
    bool json = false, ops = false, markdown = false, measured = false, anew = false;
    cli_plugins plugins = {.n = 0};
    while ((o = cli_next("info", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0) return cli_usage("info", "takes no operand, not %s", v);
        if (o == 1) json = true;
        if (o == 2) ops = true;
        if (o == 3) markdown = true;
        if (o == 5) measured = true;
        if (o == 6) anew = true;
        if (o == 4 && cli_plugins_add(&plugins, "info", v) != CLI_OK) return CLI_USAGE;
    }
    if (markdown && (json || !ops))
        return cli_usage("info", "--markdown goes with --ops and without --json");
    if (measured ? ops || plugins.n : anew)
        return cli_usage("info", "--measure goes with --refresh and --json alone");
    lamina_engine *e;
    int rc = cli_engine(0, &e);
    if (rc == CLI_OK) {
        rc = cli_plugins_load(&plugins, e);
        if (rc == CLI_OK && measured)
            rc = cli_machine_report(e, anew, json);
        else if (rc == CLI_OK)
            report(e, ops, markdown, json);
        lamina_engine_destroy(e);
    }
    return rc;
}
