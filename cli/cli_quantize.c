/*
 * lamina quantize: a float32 model in 8 or 4 bits, written, read back, and compared with what it
 * was.
 */
#include "cli_quantize.h"

#include "cli_samples.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char cli_help_quantize[] =
    "usage: lamina quantize MODEL -o OUT (--static | --dynamic | --int4) [--data PATH]...\n"
    "                       [--random N] [--dim NAME=N]... [--recipe NAME] [--per-tensor]\n"
    "                       [--activations uint8|int8|float32] [--calibrate minmax|percentile=P]\n"
    "                       [--block 16|32|64|128|256] [--symmetric] [--exclude NODE,...]\n"
    "                       [--ops OP,...] [--external FILE] [--report FILE] [--threads N]\n"
    "                       [--plugin FILE]... [--json]\n\n"
    "Writes the model with quantised weights and says, layer by layer, how far it is from the\n"
    "float32 one. What is written are operators of ONNX and, for int4, of com.microsoft.\n\n"
    "  -o, --output OUT  the file to write; may be MODEL\n"
    "  --static          weights and activations in 8 bits: Conv, Gemm, MatMul and what lies\n"
    "                    between; the ranges of activations come from --data or --random\n"
    "  --dynamic         Gemm, MatMul: 8-bit weights, activations quantised at each run\n"
    "  --int4            Gemm, MatMul: 4-bit weights in blocks (MatMulNBits)\n"
    "  --data PATH       inputs: an .npz with a member for each, an .npy for a single one, a PNG "
    "or\n"
    "                    JPEG, a folder of such or of ONNX test data; samples may lie along one\n"
    "                    axis more, or along the first\n"
    "  --random N        N random sets of inputs: good for speed, not for ranges\n"
    "  --dim NAME=N      free dimensions of random inputs; INPUT.AXIS=N if one has no name\n"
    "  --recipe NAME     how a picture becomes an input; default imagenet\n"
    "  --per-channel     8 bits: a scale for each output channel of a weight; the default\n"
    "  --per-tensor      8 bits: one scale for a weight\n"
    "  --activations T   static: uint8 (default) or int8; int4: float32, where engines are not\n"
    "                    to round them to 8 bits a block as they multiply\n"
    "  --calibrate M     static: minmax (default), or percentile=P: the range that P per cent of\n"
    "                    the values lie in\n"
    "  --block N         int4: weights that share a scale; default 32\n"
    "  --symmetric       int4: no zero points\n"
    "  --exclude NODES   leave these alone, names between commas; may be given several times\n"
    "  --ops OPS         quantise only these operators\n"
    "  --external FILE   put the weights into FILE, in the folder of OUT\n"
    "  --report FILE     the report as JSON, too\n"
    "  --json            the report as JSON\n"
    "  --threads N, --plugin FILE   as in lamina run\n\n"
    "Without --data and --random the report of --dynamic and --int4 is made with one random "
    "input.\n\n"
    "examples:\n"
    "  lamina quantize efficientnet.onnx -o small.onnx --static --data pictures/\n"
    "  lamina quantize bert.onnx -o bert8.onnx --dynamic --exclude /pooler/dense/Gemm\n"
    "  lamina quantize llama.onnx -o llama4.onnx --int4 --block 64 --report llama4.json\n";

#define MAX_NAMES 256

typedef struct name_list {
    const char *v[MAX_NAMES];
    size_t n;
} name_list;

typedef struct job {
    const char *in, *out, *report;
    lamina_quantize_opts opts;
    lamina_save_opts save;
    name_list exclude, ops;
    cli_samples samples;
    cli_plugins plugins;
    bool json, per_channel;
    bool static_only; /* an option was given that only static mode has a use for */
    long threads, block;
    lamina_engine *e;
    lamina_model *m, *made;
    lamina_quantizer *q;
} job;

/* Names between commas; the text is the program's own and may be cut. */
static int add_names(name_list *l, const char *option, const char *text)
{
    for (char *s = (char *)(uintptr_t)text; s;) {
        char *comma = strchr(s, ',');
        if (comma) *comma++ = 0;
        if (l->n == MAX_NAMES)
            return cli_usage("quantize", "%s takes at most %d names", option, MAX_NAMES);
        if (*s) l->v[l->n++] = s;
        s = comma;
    }
    return CLI_OK;
}

static int set_mode(job *j, lamina_quantize_mode mode)
{
    if (j->opts.mode && j->opts.mode != (uint32_t)mode)
        return cli_usage("quantize", "--static, --dynamic and --int4 exclude each other");
    j->opts.mode = mode;
    return CLI_OK;
}

static int set_calibration(job *j, const char *v)
{
    j->static_only = true;
    if (!strcmp(v, "minmax")) return j->opts.percentile = 0, CLI_OK;
    if (strncmp(v, "percentile=", 11) != 0)
        return cli_usage("quantize", "--calibrate wants minmax or percentile=P, not \"%s\"", v);
    if (!cli_real("quantize", "--calibrate percentile", v + 11, &j->opts.percentile))
        return CLI_USAGE;
    if (j->opts.percentile > 50 && j->opts.percentile <= 100) return CLI_OK;
    return cli_usage("quantize", "a percentile is above 50 and at most 100, not %s", v + 11);
}

static int set_activations(job *j, const char *v)
{
    j->opts.int8_activations = !strcmp(v, "int8"), j->opts.f32_activations = !strcmp(v, "float32");
    if (j->opts.f32_activations) return CLI_OK;
    j->static_only = true;
    if (j->opts.int8_activations || !strcmp(v, "uint8")) return CLI_OK;
    return cli_usage("quantize", "--activations wants uint8, int8 or float32, not \"%s\"", v);
}

static int set_model(job *j, const char *v)
{
    if (j->in) return cli_usage("quantize", "one model at a time, not also %s", v);
    j->in = v;
    return CLI_OK;
}

enum {
    O_MODEL,
    O_OUT,
    O_OUTPUT,
    O_STATIC,
    O_DYNAMIC,
    O_INT4,
    O_DATA,
    O_RANDOM,
    O_DIM,
    O_RECIPE,
    O_CHANNEL,
    O_TENSOR,
    O_ACT,
    O_CALIBRATE,
    O_BLOCK,
    O_SYMMETRIC,
    O_EXCLUDE,
    O_OPS,
    O_EXTERNAL,
    O_REPORT,
    O_THREADS,
    O_PLUGIN,
    O_JSON
};
static const cli_opt SPEC[] = {{"-o", true},
                               {"--output", true},
                               {"--static", false},
                               {"--dynamic", false},
                               {"--int4", false},
                               {"--data", true},
                               {"--random", true},
                               {"--dim", true},
                               {"--recipe", true},
                               {"--per-channel", false},
                               {"--per-tensor", false},
                               {"--activations", true},
                               {"--calibrate", true},
                               {"--block", true},
                               {"--symmetric", false},
                               {"--exclude", true},
                               {"--ops", true},
                               {"--external", true},
                               {"--report", true},
                               {"--threads", true},
                               {"--plugin", true},
                               {"--json", false},
                               {NULL, false}};

/* Options about data, files and the engine; false if it is none of them. */
static bool parse_outer(job *j, int o, const char *v, int *rc)
{
    const char *verb = "quantize";
    switch (o) {
    case O_MODEL: *rc = set_model(j, v); return true;
    case O_OUT:
    case O_OUTPUT: j->out = v; return true;
    case O_DATA: *rc = cli_samples_add(&j->samples, v); return true;
    case O_RANDOM:
        if (!cli_number(verb, "--random", v, 1, 100000, &j->samples.n_random)) *rc = CLI_USAGE;
        return true;
    case O_DIM:
        if (!cli_dims_add(&j->samples.dims, v))
            *rc = cli_usage(verb, "--dim wants NAME=N, not \"%s\"", v);
        return true;
    case O_RECIPE:
        if (!recipe_read(v, &j->samples.recipe)) *rc = CLI_FAULT;
        return true;
    case O_EXTERNAL: j->save.external = v; return true;
    case O_REPORT: j->report = v; return true;
    case O_THREADS:
        if (!cli_number(verb, "--threads", v, 1, 1024, &j->threads)) *rc = CLI_USAGE;
        return true;
    case O_PLUGIN: *rc = cli_plugins_add(&j->plugins, verb, v); return true;
    case O_JSON: j->json = true; return true;
    default: return false;
    }
}

static int parse_one(job *j, int o, const char *v)
{
    int rc = CLI_OK;
    if (parse_outer(j, o, v, &rc)) return rc;
    switch (o) {
    case O_STATIC: return set_mode(j, LAMINA_QUANTIZE_STATIC);
    case O_DYNAMIC: return set_mode(j, LAMINA_QUANTIZE_DYNAMIC);
    case O_INT4: return set_mode(j, LAMINA_QUANTIZE_INT4);
    case O_CHANNEL: j->per_channel = true; return CLI_OK;
    case O_TENSOR: j->opts.per_tensor = true; return CLI_OK;
    case O_ACT: return set_activations(j, v);
    case O_CALIBRATE: return set_calibration(j, v);
    case O_BLOCK:
        if (!cli_number("quantize", "--block", v, 16, 256, &j->block)) return CLI_USAGE;
        j->opts.block = (uint32_t)j->block;
        return CLI_OK;
    case O_SYMMETRIC: j->opts.symmetric = true; return CLI_OK;
    case O_EXCLUDE: return add_names(&j->exclude, "--exclude", v);
    case O_OPS: return add_names(&j->ops, "--ops", v);
    default: return CLI_USAGE;
    }
}

/* What the mode has no use for is a mistake, not a wish to ignore. */
static int check_mode(const job *j)
{
    const uint32_t mode = j->opts.mode;
    const bool fixed = mode == LAMINA_QUANTIZE_STATIC, int4 = mode == LAMINA_QUANTIZE_INT4;
    if (!mode) return cli_usage("quantize", "how? --static, --dynamic or --int4");
    if (!int4 && (j->opts.block || j->opts.symmetric))
        return cli_usage("quantize", "--block and --symmetric are of --int4");
    if (int4 && (j->opts.per_tensor || j->per_channel))
        return cli_usage("quantize", "--int4 has a scale for each block: --block N");
    if (j->opts.per_tensor && j->per_channel)
        return cli_usage("quantize", "--per-channel and --per-tensor exclude each other");
    if (!fixed && j->static_only)
        return cli_usage("quantize", "--calibrate and --activations uint8 or int8 are of --static");
    if (!int4 && j->opts.f32_activations)
        return cli_usage("quantize", "--activations float32 is of --int4");
    if (fixed && !j->samples.n && !j->samples.n_random)
        return cli_usage("quantize", "--static needs inputs to see what values occur: --data PATH, "
                                     "or --random N");
    if (int4 && (j->opts.block & (j->opts.block - 1)))
        return cli_usage("quantize", "--block wants 16, 32, 64, 128 or 256");
    return CLI_OK;
}

static int parse(int argc, char **argv, job *j)
{
    const char *v;
    int i = 1, o, rc = CLI_OK;
    while (rc == CLI_OK && (o = cli_next("quantize", SPEC, argc, argv, &i, &v)) != -1)
        rc = o == -2 ? CLI_USAGE : parse_one(j, o, v);
    if (rc != CLI_OK) return rc;
    if (!j->in) return cli_usage("quantize", "which model?");
    if (!j->out) return cli_usage("quantize", "where to? -o OUT");
    if ((rc = check_mode(j)) != CLI_OK) return rc;
    if (!j->samples.n && !j->samples.n_random) j->samples.n_random = 1;
    j->opts.exclude = j->exclude.v;
    j->opts.n_exclude = j->exclude.n;
    j->opts.ops = j->ops.v;
    j->opts.n_ops = j->ops.n;
    return CLI_OK;
}

/* ---- work -------------------------------------------------------------------------------------
 */

static int calibrate_set(void *ctx, const char *what, const lamina_tensor *const *in, size_t n)
{
    lamina_error err;
    job *j = ctx;
    if (lamina_quantizer_calibrate(j->q, in, n, &err) == LAMINA_OK) return CLI_OK;
    return cli_fail("%s: %s", what, err.msg);
}

static int compare_set(void *ctx, const char *what, const lamina_tensor *const *in, size_t n)
{
    lamina_error err;
    job *j = ctx;
    if (lamina_quantizer_compare(j->q, in, n, &err) == LAMINA_OK) return CLI_OK;
    return cli_fail("%s: %s", what, err.msg);
}

static int each_set(job *j, const char *what, cli_sample_fn fn)
{
    cli_progress *tick = cli_progress_start(what, j->in);
    const int rc = cli_samples_each(&j->samples, j->e, j->m, fn, j);
    cli_progress_stop(tick);
    return rc;
}

static uint64_t file_size(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static int tell(job *j, uint64_t was_bytes, const lamina_model *is)
{
    static const char *const MODES[] = {"", "static", "dynamic", "int4"};
    const quantize_summary s = {.in = j->in,
                                .out = j->out,
                                .mode = MODES[j->opts.mode],
                                .q = j->q,
                                .was = j->m,
                                .is = is,
                                .file_bytes = {was_bytes, file_size(j->out)},
                                .n_sets = j->samples.n_seen,
                                .random = j->samples.n_random > 0};
    if (j->json)
        quantize_json(stdout, &s);
    else
        quantize_table(&s);
    if (!j->report) return CLI_OK;
    FILE *f = fopen(j->report, "w");
    if (!f) return cli_fail("%s cannot be written", j->report);
    quantize_json(f, &s);
    return fclose(f) == 0 ? CLI_OK : cli_fail("%s cannot be written", j->report);
}

static int quantize(job *j)
{
    lamina_error err = {0};
    lamina_model *is = NULL;
    if (lamina_model_load(j->e, j->in, NULL, &j->m, &err) != LAMINA_OK)
        return cli_fail_load(j->in, &err);
    if (lamina_quantizer_create(j->m, &j->opts, &j->q, &err) != LAMINA_OK)
        return cli_fail_at(j->in, err.msg);
    int rc = CLI_OK;
    if (j->opts.mode == LAMINA_QUANTIZE_STATIC) rc = each_set(j, "calibrating", calibrate_set);
    if (rc != CLI_OK) return rc;
    if (lamina_quantizer_finish(j->q, &j->made, &err) != LAMINA_OK)
        return cli_fail_at(j->in, err.msg);
    if ((rc = each_set(j, "comparing", compare_set)) != CLI_OK) return rc;
    const uint64_t was = file_size(j->in);
    if (lamina_model_save(j->made, j->out, &j->save, &err) != LAMINA_OK)
        return cli_fail("%s: not written: %s", j->out, err.msg);
    if (lamina_model_load(j->e, j->out, NULL, &is, &err) != LAMINA_OK)
        return cli_fail("what was written cannot be read back: %s", err.msg);
    rc = tell(j, was, is);
    lamina_model_unref(is);
    return rc;
}

int cli_quantize(int argc, char **argv)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return cli_fail("out of memory");
    j->save.size = sizeof j->save;
    j->opts.size = sizeof j->opts;
    int rc = parse(argc, argv, j);
    if (rc == CLI_OK) rc = cli_engine((uint32_t)j->threads, &j->e);
    if (rc == CLI_OK) rc = cli_plugins_load(&j->plugins, j->e);
    if (rc == CLI_OK) rc = quantize(j);
    lamina_quantizer_destroy(j->q);
    lamina_model_unref(j->made);
    lamina_model_unref(j->m);
    lamina_engine_destroy(j->e);
    cli_samples_free(&j->samples);
    free(j);
    return rc;
}
