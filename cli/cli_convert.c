/*
 * lamina convert: a model written anew, then read back, so that what is said about it is true of
 * the file.
 */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

const char cli_help_convert[] =
    "usage: lamina convert IN OUT [--dim NAME=N]... [--fold] [--strip] [--dedupe]\n"
    "                      [--f16 | --bf16] [--external FILE | --inline] [--plugin FILE]...\n"
    "                      [--json]\n\n"
    "Writes a model as a new ONNX file and reads it back. Functions are inlined; nodes of old\n"
    "operator sets are written in the form of newer ones. OUT is replaced at once or not at all,\n"
    "and may be IN.\n\n"
    "  --dim NAME=N     fix a symbolic dimension\n"
    "  --fold           compute what is constant, merge equal nodes, drop dead ones\n"
    "  --strip          leave out doc strings, metadata, node names and types of inner values\n"
    "  --dedupe         write equal weights once\n"
    "  --f16, --bf16    store float32 weights of 64 elements and more in 16 bits; the model casts\n"
    "                   them back, one that would overflow stays as it is\n"
    "  --external FILE  put the weights into FILE, in the folder of OUT\n"
    "  --inline         put the weights into OUT; the default\n"
    "  --plugin FILE    operators of a shared library (lamina/plugin.h)\n"
    "  --json           the summary as one JSON object\n\n"
    "examples:\n"
    "  lamina convert model.onnx small.onnx --fold --dedupe --strip\n"
    "  lamina convert bert.onnx bert128.onnx --dim batch=1 --dim seq=128 --fold\n"
    "  lamina convert big.onnx big16.onnx --bf16 --external big16.bin\n";

#define MAX_DIMS 32

typedef struct job {
    const char *in, *out;
    lamina_save_opts save;
    char names[MAX_DIMS][256];
    const char *dim_names[MAX_DIMS];
    int64_t dim_values[MAX_DIMS];
    cli_plugins plugins;
    bool json, inside;
} job;

static int add_dim(job *j, const char *text)
{
    const char *eq = strrchr(text, '=');
    const size_t i = j->save.n_dims;
    long n;
    if (!eq || eq == text || (size_t)(eq - text) >= sizeof j->names[0])
        return cli_usage("convert", "--dim needs NAME=N, not %s", text);
    if (!cli_number("convert", "--dim", eq + 1, 0, INT32_MAX, &n)) return CLI_USAGE;
    if (i == MAX_DIMS) return cli_usage("convert", "takes at most %d --dim", MAX_DIMS);
    (void)snprintf(j->names[i], sizeof j->names[i], "%.*s", (int)(eq - text), text);
    j->dim_names[i] = j->names[i];
    j->dim_values[i] = n;
    j->save.n_dims++;
    return CLI_OK;
}

static int narrow(job *j, lamina_dtype to)
{
    if (j->save.weights && j->save.weights != to)
        return cli_usage("convert", "--f16 and --bf16 exclude each other");
    j->save.weights = to;
    return CLI_OK;
}

static int operand(job *j, const char *v)
{
    if (j->in && j->out)
        return cli_usage("convert", "takes a model and a file to write, not %s", v);
    *(j->in ? &j->out : &j->in) = v;
    return CLI_OK;
}

static int parse(int argc, char **argv, job *j)
{
    static const cli_opt SPEC[] = {{"--dim", true},      {"--fold", false},   {"--strip", false},
                                   {"--dedupe", false},  {"--f16", false},    {"--bf16", false},
                                   {"--external", true}, {"--inline", false}, {"--json", false},
                                   {"--plugin", true},   {NULL, false}};
    const char *v;
    int i = 1, o, rc = CLI_OK;
    while (rc == CLI_OK && (o = cli_next("convert", SPEC, argc, argv, &i, &v)) != -1) {
        switch (o) {
        case 0: rc = operand(j, v); break;
        case 1: rc = add_dim(j, v); break;
        case 2: j->save.fold = true; break;
        case 3: j->save.strip = true; break;
        case 4: j->save.dedupe = true; break;
        case 5: rc = narrow(j, LAMINA_F16); break;
        case 6: rc = narrow(j, LAMINA_BF16); break;
        case 7: j->save.external = v; break;
        case 8: j->inside = true; break;
        case 9: j->json = true; break;
        case 10: rc = cli_plugins_add(&j->plugins, "convert", v); break;
        default: rc = CLI_USAGE; break;
        }
    }
    if (rc != CLI_OK) return rc;
    if (!j->out) return cli_usage("convert", "needs a model and a file to write");
    if (j->save.external && j->inside)
        return cli_usage("convert", "--external and --inline exclude each other");
    j->save.dim_names = j->dim_names;
    j->save.dim_values = j->dim_values;
    return CLI_OK;
}

static void summary(const job *j, const lamina_model *was, const lamina_model *is)
{
    lamina_model_info a = {.size = sizeof a}, b = {.size = sizeof b};
    if (lamina_model_get_info(was, &a) != LAMINA_OK || lamina_model_get_info(is, &b) != LAMINA_OK)
        return;
    if (!j->json) {
        char before[16], after[16];
        cli_si(before, (double)a.weight_bytes, "B");
        cli_si(after, (double)b.weight_bytes, "B");
        printf("%s: opset %d, %llu nodes (were %llu), %s of weights (were %s)\n", j->out, b.opset,
               (unsigned long long)b.n_nodes, (unsigned long long)a.n_nodes, after, before);
        return;
    }
    printf("{\"input\": ");
    cli_json_string(stdout, j->in);
    printf(", \"output\": ");
    cli_json_string(stdout, j->out);
    printf(", \"external\": ");
    if (j->save.external)
        cli_json_string(stdout, j->save.external);
    else
        printf("null");
    printf(",\n \"ir_version\": %lld, \"opset\": [%d, %d], \"nodes\": [%llu, %llu],"
           " \"weight_bytes\": [%llu, %llu]}\n",
           (long long)b.ir_version, a.opset, b.opset, (unsigned long long)a.n_nodes,
           (unsigned long long)b.n_nodes, (unsigned long long)a.weight_bytes,
           (unsigned long long)b.weight_bytes);
}

static int convert(lamina_engine *e, const job *j)
{
    lamina_model *was = NULL, *is = NULL;
    lamina_error err = {0};
    int rc = CLI_OK;
    if (lamina_model_load(e, j->in, NULL, &was, &err) != LAMINA_OK)
        return cli_fail_load(j->in, &err);
    if (lamina_model_save(was, j->out, &j->save, &err) != LAMINA_OK)
        rc = cli_fail("%s: not written: %s", j->out, err.msg);
    else if (lamina_model_load(e, j->out, NULL, &is, &err) != LAMINA_OK)
        rc = cli_fail("what was written cannot be read back: %s", err.msg);
    else
        summary(j, was, is);
    lamina_model_unref(is);
    lamina_model_unref(was);
    return rc;
}

int cli_convert(int argc, char **argv)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return cli_fail("out of memory");
    j->save.size = sizeof j->save;
    int rc = parse(argc, argv, j);
    lamina_engine *e = NULL;
    if (rc == CLI_OK) rc = cli_engine(0, &e);
    if (rc == CLI_OK) rc = cli_plugins_load(&j->plugins, e);
    if (rc == CLI_OK) rc = convert(e, j);
    lamina_engine_destroy(e);
    free(j);
    return rc;
}
