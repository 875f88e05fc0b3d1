/*
 * lamina info: the build, the machine as the library sees it.
 */
#include "cli.h"

#include "lamina/info.h"

const char cli_help_info[] =
    "usage: lamina info [--json]\n\n"
    "Prints version, compiler, CPU features, container limits and the kernel rows chosen.\n"
    "LAMINA_ISA caps the instruction set; LAMINA_KERNEL=family.dtype:row pins a row.\n\n"
    "examples:\n  lamina info\n  LAMINA_ISA=avx2 lamina info --json\n";

int cli_info(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--json", false}, {NULL, false}};
    const char *v;
    int i = 1, o;
    bool json = false;
    while ((o = cli_next("info", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0) return cli_usage("info", "takes no operand, not %s", v);
        json = true;
    }
    lamina_engine *e;
    int rc = cli_engine(0, &e);
    if (rc != CLI_OK) return rc;
    lamina_info_row row = {.size = sizeof row};
    if (json) printf("{");
    for (size_t k = 0; lamina_engine_info(e, k, &row) == LAMINA_OK; k++) {
        if (!json) {
            printf("%-28s %s\n", row.key, row.value);
            continue;
        }
        printf("%s\n  ", k ? "," : "");
        cli_json_string(stdout, row.key);
        printf(": ");
        cli_json_string(stdout, row.value);
    }
    if (json) printf("\n}\n");
    lamina_engine_destroy(e);
    return CLI_OK;
}
