/*
 * From names and files on the command line to values of a model's inputs.
 */
#include "cli_inputs.h"

#include <string.h>

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

int cli_inputs_add(cli_inputs *in, const char *verb, const char *text, bool raw)
{
    const char *eq = strchr(text, '=');
    if (in->n == CLI_MAX_GIVEN) return cli_usage(verb, "at most %d inputs", CLI_MAX_GIVEN);
    cli_given *g = &in->given[in->n++];
    if (!eq && !raw && ends_with(text, ".npz")) {
        *g = (cli_given){.file = text};
        return CLI_OK;
    }
    if (!eq || eq == text) return cli_usage(verb, "inputs are NAME=FILE, not \"%s\"", text);
    *g = (cli_given){.name = text, .n_name = (size_t)(eq - text), .file = eq + 1, .raw = raw};
    if (!raw) return CLI_OK;
    if (strncmp(g->file, "file:", 5) != 0)
        return cli_usage(verb, "--in takes NAME=file:FILE, not \"%s\"", text);
    g->file += 5;
    return CLI_OK;
}

static bool named(const cli_given *g, const char *name)
{
    return g->name && strlen(name) == g->n_name && !strncmp(name, g->name, g->n_name);
}

const cli_given *cli_inputs_find(const cli_inputs *in, const char *name)
{
    for (int i = 0; i < in->n; i++)
        if (named(&in->given[i], name)) return &in->given[i];
    return NULL;
}

int cli_inputs_check(const cli_inputs *in, const lamina_model *m)
{
    for (int k = 0; k < in->n; k++) {
        const cli_given *g = &in->given[k];
        bool found = !g->name || (g->raw && in->n == 1); /* the only input, by any name */
        char names[512] = "";
        size_t o = 0;
        for (size_t i = 0; !found && i < lamina_model_input_count(m); i++) {
            lamina_port p = {.size = sizeof p};
            if (lamina_model_input(m, i, &p) != LAMINA_OK) continue;
            found = named(g, p.name);
            if (!p.has_default && o < sizeof names)
                o += (size_t)snprintf(names + o, sizeof names - o, "%s%s", o ? ", " : "", p.name);
        }
        if (!found)
            return cli_fail("the model has no input \"%.*s\"; its inputs: %s", (int)g->n_name,
                            g->name, names);
    }
    return CLI_OK;
}

int cli_inputs_load(const cli_inputs *in, lamina_engine *e, const lamina_port *p,
                    lamina_tensor **out)
{
    lamina_error err;
    char path[4096];
    const cli_given *g = cli_inputs_find(in, p->name);
    if (g) {
        const bool member = ends_with(g->file, ".npz"); /* the member named like the input */
        (void)snprintf(path, sizeof path, "%s%s%s", g->file, member ? ":" : "",
                       member ? p->name : "");
        if (lamina_tensor_load(e, path, cli_port_kind(p), out, &err) == LAMINA_OK) return CLI_OK;
        return cli_fail("input \"%s\": %s", p->name, err.msg);
    }
    for (int i = 0; i < in->n; i++) {
        if (in->given[i].name) continue;
        (void)snprintf(path, sizeof path, "%s:%s", in->given[i].file, p->name);
        if (lamina_tensor_load(e, path, p->kind, out, NULL) == LAMINA_OK) return CLI_OK;
    }
    return CLI_OK;
}
