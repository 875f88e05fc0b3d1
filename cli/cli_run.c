/*
 * lamina run: inputs from files, pictures, raw bytes or a seed; outputs printed, saved, or answered
 * by a recipe.
 */
#include "cli_inputs.h"
#include "cli_recipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char cli_help_run[] =
    "usage: lamina run MODEL [--input NAME=FILE]... [--in NAME=file:FILE]... [--image FILE]\n"
    "                  [--recipe NAME] [--labels FILE] [--random SEED] [--dim NAME=N]...\n"
    "                  [--output DIR] [--threads N] [--profile FILE] [--trace FILE]\n"
    "                  [--precision P] [--prepack-cache DIR] [--plugin FILE]...\n"
    "                  [--json] [--quiet]\n\n"
    "Runs the model once and prints every output, or the answer that a recipe makes of it.\n\n"
    "  --input NAME=FILE   a value from .npy, .npz, .npz:MEMBER or .pb (ONNX TensorProto)\n"
    "  --input FILE.npz    every input of the model that has a member of its name\n"
    "  --in NAME=file:F    the bytes of F, made an input by the recipe\n"
    "  --image FILE        a PNG or JPEG, made an input by the recipe (default recipe: imagenet)\n"
    "  --recipe NAME       how inputs are made and outputs answered: a path, or the name of\n"
    "                      recipes/NAME.recipe\n"
    "  --labels FILE       names of classes: JSON array, FILE.json:KEY, or one a line\n"
    "  --random SEED       inputs not given come from this seed: floats in [0,1), integers 0 or 1\n"
    "  --dim NAME=N        free dimensions of random inputs; INPUT.AXIS=N if one has no name\n"
    "  --output DIR        save every output as DIR/NAME.npy (.pb where npy has no such type)\n"
    "  --threads N         at most N threads, the caller included\n"
    "  --profile FILE      save a trace of the run for Perfetto or chrome://tracing\n"
    "  --trace FILE        write a trace of loading and running: lamina help trace\n"
    "  --precision P       how products of f32 are computed: exact (default), bf16, auto (bf16 "
    "where\n"
    "                      the first run shows that it is near), int8 (MatMul and Gemm in 8 bits\n"
    "                      where that is near, the rest as bf16), strict (one order of sums)\n"
    "  --prepack-cache DIR keep weights packed for this machine in a folder that later runs map:\n"
    "                      auto (the user's), a folder, off (default); lamina help cache\n"
    "  --plugin FILE       operators of a shared library (lamina/plugin.h)\n"
    "  --json              all outputs or answers and times, as one JSON object\n"
    "  --quiet             print no outputs\n\n"
    "examples:\n"
    "  lamina run magika.onnx --in bytes=file:/bin/ls --recipe magika\n"
    "  lamina run efficientnet-lite0.onnx --image coffee.png --labels names.json\n"
    "  lamina run model.onnx --input x=a.npy --output out/\n"
    "  lamina run model.onnx --random 1 --dim N=4 --json\n";

#define MAX_IO CLI_MAX_IO

typedef struct job {
    const char *path, *image, *labels, *out_dir, *profile, *trace_path;
    lamina_trace *trace;
    cli_inputs in;
    bool has_recipe, random, json, quiet;
    long seed, threads;
    uint32_t precision;
    const char *cache;
    char cache_path[4096];
    cli_dims dims;
    cli_plugins plugins;
    recipe recipe;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    lamina_tensor *t_in[MAX_IO], *t_out[MAX_IO];
    size_t n_t_in, n_t_out, n_shown;
    double load_s, run_s;
} job;

static const recipe_line *line_for(const job *j, bool output, const char *port, size_t index)
{
    for (int i = 0; j->has_recipe && i < j->recipe.n; i++) {
        const recipe_line *l = &j->recipe.line[i];
        if (l->output == output && (l->port[0] ? !strcmp(l->port, port) : index == 0)) return l;
    }
    return NULL;
}

static lamina_tensor *from_raw(job *j, const cli_given *g, const lamina_port *p, size_t index)
{
    const recipe_line *l = line_for(j, false, p->name, index);
    if (l && recipe_find(l, "bytes")) return recipe_bytes(j->e, l, g->file);
    return (void)cli_fail("input \"%s\": --in file: needs a recipe with a bytes line", p->name),
           NULL;
}

static int make_input(job *j, size_t i, const lamina_port *p)
{
    const cli_given *g = cli_inputs_find(&j->in, p->name);
    if (!g && i == 0 && j->in.n == 1 && j->in.given[0].raw)
        g = &j->in.given[0]; /* the only input, by any name */
    if (g && g->raw) return (j->t_in[i] = from_raw(j, g, p, i)) ? CLI_OK : CLI_FAULT;
    if (cli_inputs_load(&j->in, j->e, p, &j->t_in[i]) != CLI_OK) return CLI_FAULT;
    if (j->t_in[i]) return CLI_OK;
    const recipe_line *l = line_for(j, false, p->name, i);
    if (j->image && l && recipe_find(l, "image"))
        return (j->t_in[i] = recipe_image(j->e, l, j->image)) ? CLI_OK : CLI_FAULT;
    if (p->optional) return CLI_OK;
    if (j->random) {
        j->t_in[i] = cli_random_input(j->e, p, &j->dims, (uint64_t)j->seed + i);
        if (j->t_in[i]) return CLI_OK;
        return cli_fail("input \"%s\" is a sequence or too large: it cannot be made from a seed",
                        p->name);
    }
    char text[256];
    cli_port_text(p, text, sizeof text);
    return cli_fail("input \"%s\" (%s) is missing; give --input %s=FILE, or --random SEED", p->name,
                    text, p->name);
}

static int make_inputs(job *j)
{
    j->n_t_in = lamina_model_input_count(j->m);
    j->n_t_out = lamina_model_output_count(j->m);
    if (j->n_t_in > MAX_IO || j->n_t_out > MAX_IO)
        return cli_fail("more than %d inputs or outputs", MAX_IO);
    if (cli_inputs_check(&j->in, j->m) != CLI_OK) return CLI_FAULT;
    if (cli_dims_check(&j->dims, j->m) != CLI_OK) return CLI_FAULT;
    for (size_t i = 0; i < j->n_t_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(j->m, i, &p) != LAMINA_OK)
            return cli_fail("input %zu is not described", i);
        int rc = make_input(j, i, &p);
        if (rc != CLI_OK) return rc;
    }
    return CLI_OK;
}

static void print_values(const lamina_tensor *t)
{
    const int64_t n = lamina_tensor_count(t), show = n < 8 ? n : 8;
    char text[128];
    cli_value_type(t, text, sizeof text);
    printf(" %s", text);
    if (lamina_tensor_kind(t) == LAMINA_KIND_SEQUENCE) {
        printf("\n");
        for (int64_t i = 0; i < n; i++) {
            printf("  item %lld", (long long)i);
            print_values(lamina_sequence_item(t, i));
        }
        return;
    }
    const lamina_tensor *keys = lamina_map_keys(t), *values = keys ? lamina_map_values(t) : t;
    for (int64_t i = 0; lamina_tensor_kind(values) == LAMINA_KIND_TENSOR && i < show; i++) {
        if (keys) {
            cli_element_text(keys, i, text, sizeof text);
            printf(" %s:", text);
        }
        cli_element_text(values, i, text, sizeof text);
        printf(" %s", text);
    }
    printf(show < n ? " ...\n" : "\n");
}

static void print_json(const char *name, const lamina_tensor *t)
{
    char type[128];
    cli_value_type(t, type, sizeof type);
    printf("{\"name\": ");
    cli_json_string(stdout, name);
    printf(", \"kind\": \"%s\", \"type\": \"%s\", \"shape\": [",
           lamina_tensor_kind(t) == LAMINA_KIND_TENSOR     ? "tensor"
           : lamina_tensor_kind(t) == LAMINA_KIND_SEQUENCE ? "sequence"
           : lamina_tensor_kind(t) == LAMINA_KIND_MAP      ? "map"
                                                           : "none",
           lamina_dtype_name(lamina_tensor_dtype(t)));
    for (int32_t k = 0; k < lamina_tensor_rank(t); k++)
        printf("%s%lld", k ? ", " : "", (long long)lamina_tensor_dims(t)[k]);
    printf("], \"values\": ");
    cli_value_json(stdout, t);
    printf("}");
}

static int save_output(const job *j, const char *name, const lamina_tensor *t)
{
    char path[4096];
    lamina_error err;
    int n = snprintf(path, sizeof path, "%.2000s/", j->out_dir);
    for (const char *s = name; *s && n < 4000; s++) path[n++] = *s == '/' || *s == ':' ? '_' : *s;
    (void)snprintf(path + n, sizeof path - (size_t)n, ".npy");
    lamina_status st = lamina_tensor_save(t, path, &err);
    if (st == LAMINA_E_DTYPE || st == LAMINA_E_UNSUPPORTED) {
        (void)snprintf(path + n, sizeof path - (size_t)n, ".pb");
        st = lamina_tensor_save(t, path, &err);
    }
    return st == LAMINA_OK ? CLI_OK : cli_fail("%s", err.msg);
}

static int make_folder(const char *dir)
{
    char path[4096];
    const int n = snprintf(path, sizeof path, "%s", dir);
    if (n <= 0 || n >= (int)sizeof path) return cli_fail("the output folder's name is too long");
    for (char *s = path + 1;; s++) {
        if (*s && *s != '/') continue;
        const char end = *s;
        *s = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST)
            return cli_fail("the folder %s cannot be made: %s", path, strerror(errno));
        *s = end;
        if (!end) return CLI_OK;
    }
}

static int answer_one(job *j, size_t i, bool asked)
{
    lamina_port p = {.size = sizeof p};
    if (lamina_model_output(j->m, i, &p) != LAMINA_OK) return CLI_FAULT;
    const recipe_line *l = line_for(j, true, p.name, i);
    int rc = CLI_OK;
    if (j->json && !j->quiet && (l || !asked)) {
        printf("%s\n  ", j->n_shown++ ? "," : "");
        if (l) {
            printf("{\"name\": ");
            cli_json_string(stdout, p.name);
            printf(", \"answer\": ");
            rc = recipe_answer(&j->recipe, l, j->m, j->t_out[i], j->labels, true);
            printf("}");
        } else {
            print_json(p.name, j->t_out[i]);
        }
    } else if (!j->quiet && l) {
        rc = recipe_answer(&j->recipe, l, j->m, j->t_out[i], j->labels, false);
    } else if (!j->quiet && !asked) {
        printf("%s", p.name);
        print_values(j->t_out[i]);
    }
    if (rc == CLI_OK && j->out_dir) rc = save_output(j, p.name, j->t_out[i]);
    return rc;
}

static int answer(job *j)
{
    int rc = j->out_dir ? make_folder(j->out_dir) : CLI_OK;
    bool asked = false; /* with a recipe only what it reads is shown */
    for (int i = 0; j->has_recipe && i < j->recipe.n; i++) asked |= j->recipe.line[i].output;
    if (j->json) {
        printf("{\"model\": ");
        cli_json_string(stdout, j->path);
        printf(", \"load_ms\": %.3f, \"run_ms\": %.3f, \"outputs\": [", j->load_s * 1e3,
               j->run_s * 1e3);
    }
    for (size_t i = 0; rc == CLI_OK && i < j->n_t_out; i++) rc = answer_one(j, i, asked);
    if (j->json) printf("]}\n");
    return rc;
}

static int open_model(job *j)
{
    lamina_error err;
    const lamina_session_opts o = {.size = sizeof o,
                                   .profile = j->profile != NULL,
                                   .precision = j->precision,
                                   .prepack_cache = j->cache};
    const double start = cli_now_s();
    cli_progress *tick = cli_progress_start("loading", j->path);
    lamina_status st = lamina_model_load(j->e, j->path, NULL, &j->m, &err);
    if (st == LAMINA_OK) st = lamina_session_create(j->m, &o, &j->s, &err);
    cli_progress_stop(tick);
    j->load_s = cli_now_s() - start;
    return st == LAMINA_OK ? CLI_OK : cli_fail_load(j->path, &err);
}

static int execute(job *j)
{
    lamina_error err;
    int rc = j->trace_path ? cli_trace_to(j->trace_path, &j->trace) : CLI_OK;
    if (rc == CLI_OK) rc = cli_engine_traced((uint32_t)j->threads, j->trace, &cli_warnings, &j->e);
    if (rc == CLI_OK) rc = cli_plugins_load(&j->plugins, j->e);
    if (rc == CLI_OK) rc = open_model(j);
    if (rc == CLI_OK) rc = make_inputs(j);
    if (rc != CLI_OK) return rc;
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    const double start = cli_now_s();
    cli_progress *tick = cli_progress_start("running", j->path);
    const lamina_status st = lamina_session_run(j->s, (const lamina_tensor *const *)j->t_in,
                                                j->n_t_in, j->t_out, j->n_t_out, &o);
    cli_progress_stop(tick);
    j->run_s = cli_now_s() - start;
    if (st != LAMINA_OK) return cli_fail_at(j->path, err.msg);
    if (j->profile && lamina_session_trace_save(j->s, j->profile, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    return answer(j);
}

static int parse(job *j, int argc, char **argv)
{
    static const cli_opt SPEC[] = {
        {"--input", true},   {"--in", true},     {"--image", true},     {"--recipe", true},
        {"--labels", true},  {"--random", true}, {"--dim", true},       {"--output", true},
        {"--threads", true}, {"--json", false},  {"--quiet", false},    {"--profile", true},
        {"--plugin", true},  {"--trace", true},  {"--precision", true}, {"--prepack-cache", true},
        {NULL, false}};
    const char *v, *recipe_name = NULL;
    int i = 1, o;
    while ((o = cli_next("run", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && j->path) return cli_usage("run", "one model at a time, not also %s", v);
        if (o == 0) j->path = v;
        if ((o == 1 || o == 2) && cli_inputs_add(&j->in, "run", v, o == 2) != CLI_OK)
            return CLI_USAGE;
        if (o == 3) j->image = v;
        if (o == 4) recipe_name = v;
        if (o == 5) j->labels = v;
        if (o == 6 && !cli_number("run", "--random", v, 0, 1L << 40, &j->seed)) return CLI_USAGE;
        j->random |= o == 6;
        if (o == 7 && !cli_dims_add(&j->dims, v))
            return cli_usage("run", "--dim wants NAME=N, not \"%s\"", v);
        if (o == 8) j->out_dir = v;
        if (o == 9 && !cli_number("run", "--threads", v, 1, 1024, &j->threads)) return CLI_USAGE;
        j->json |= o == 10;
        j->quiet |= o == 11;
        if (o == 12) j->profile = v;
        if (o == 14) j->trace_path = v;
        if (o == 15 && !cli_precision("run", v, &j->precision)) return CLI_USAGE;
        if (o == 16 &&
            !(j->cache = cli_prepack_cache("run", v, j->cache_path, sizeof j->cache_path)))
            return CLI_USAGE;
        if (o == 13 && cli_plugins_add(&j->plugins, "run", v) != CLI_OK) return CLI_USAGE;
    }
    if (!j->path) return cli_usage("run", "which model?");
    if (j->labels && !recipe_name && !j->image)
        return cli_usage("run", "--labels goes with --image or --recipe");
    if (!recipe_name && j->image) recipe_name = "imagenet";
    if (recipe_name && !recipe_read(recipe_name, &j->recipe)) return CLI_FAULT;
    j->has_recipe = recipe_name != NULL;
    const char *slash = strrchr(j->path, '/');
    (void)snprintf(j->recipe.dir, sizeof j->recipe.dir, "%.*s", slash ? (int)(slash - j->path) : 1,
                   slash ? j->path : ".");
    return CLI_OK;
}

int cli_run(int argc, char **argv)
{
    static job j;
    int rc = parse(&j, argc, argv);
    if (rc == CLI_OK) rc = execute(&j);
    for (size_t i = 0; i < j.n_t_in; i++) lamina_tensor_unref(j.t_in[i]);
    for (size_t i = 0; i < j.n_t_out; i++) lamina_tensor_unref(j.t_out[i]);
    lamina_session_destroy(j.s);
    lamina_model_unref(j.m);
    lamina_engine_destroy(j.e);
    lamina_trace_destroy(j.trace);
    return rc;
}
