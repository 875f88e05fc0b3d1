/*
 * lamina run: inputs from files, pictures, raw bytes or a seed; outputs printed, saved, or answered
 * by a recipe.
 */
#include "cli_recipe.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

const char cli_help_run[] =
    "usage: lamina run MODEL [--input NAME=FILE]... [--in NAME=file:FILE]... [--image FILE] "
    "[--recipe NAME]\n"
    "                  [--labels FILE] [--random SEED] [--dim NAME=N]... [--output DIR] [--threads "
    "N]\n"
    "                  [--profile FILE.json] [--json] [--quiet]\n\n"
    "  --input NAME=FILE   a value from .npy, .npz:member or .pb\n"
    "  --in NAME=file:F    the bytes of F, made an input by the recipe\n"
    "  --image FILE        a PNG or JPEG, made an input by the recipe (default recipe: imagenet)\n"
    "  --recipe NAME       how inputs are made and outputs answered: a path or the name of "
    "recipes/NAME.recipe\n"
    "  --labels FILE       names of classes: JSON array, FILE.json:KEY, or one a line\n"
    "  --random SEED       inputs not given come from this seed\n"
    "  --output DIR        save every output as DIR/NAME.npy\n"
    "  --profile FILE      save a trace of the run for Perfetto or chrome://tracing\n\n"
    "examples:\n"
    "  lamina run magika.onnx --in bytes=file:/bin/ls --recipe magika\n"
    "  lamina run efficientnet-lite0.onnx --image coffee.png --labels names.json\n"
    "  lamina run model.onnx --input x=a.npy --output out/\n"
    "  lamina run model.onnx --random 1 --dim N=4 --json\n";

#define MAX_IO 512
#define MAX_GIVEN 64

typedef struct given {
    const char *name, *file; /* NAME=FILE split: name is not terminated at '=' */
    size_t n_name;
    bool raw;
} given;

typedef struct job {
    const char *path, *image, *labels, *out_dir, *profile;
    given in[MAX_GIVEN];
    int n_in;
    bool has_recipe, random, json, quiet;
    long seed, threads;
    cli_dims dims;
    recipe recipe;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    lamina_tensor *t_in[MAX_IO], *t_out[MAX_IO];
    size_t n_t_in, n_t_out;
} job;

static const recipe_line *line_for(const job *j, bool output, const char *port, size_t index)
{
    for (int i = 0; j->has_recipe && i < j->recipe.n; i++) {
        const recipe_line *l = &j->recipe.line[i];
        if (l->output == output && (l->port[0] ? !strcmp(l->port, port) : index == 0)) return l;
    }
    return NULL;
}

static lamina_tensor *from_file(job *j, const given *g, const lamina_port *p, size_t index)
{
    lamina_error err;
    lamina_tensor *t = NULL;
    if (g->raw) {
        const recipe_line *l = line_for(j, false, p->name, index);
        if (l && recipe_find(l, "bytes")) return recipe_bytes(j->e, l, g->file);
        return (void)cli_fail("input \"%s\": --in file: needs a recipe with a bytes line", p->name),
               NULL;
    }
    if (lamina_tensor_load(j->e, g->file, p->kind, &t, &err) != LAMINA_OK)
        return (void)cli_fail("input \"%s\": %s", p->name, err.msg), NULL;
    return t;
}

static const given *find_given(const job *j, const char *name)
{
    for (int i = 0; i < j->n_in; i++)
        if (strlen(name) == j->in[i].n_name && !strncmp(name, j->in[i].name, j->in[i].n_name))
            return &j->in[i];
    return NULL;
}

static int make_input(job *j, size_t i, const lamina_port *p)
{
    const given *g = find_given(j, p->name);
    if (!g && i == 0 && j->n_in == 1 && j->in[0].raw)
        g = &j->in[0]; /* the only input, by any name */
    const recipe_line *l = line_for(j, false, p->name, i);
    if (g)
        j->t_in[i] = from_file(j, g, p, i);
    else if (j->image && l && recipe_find(l, "image"))
        j->t_in[i] = recipe_image(j->e, l, j->image);
    else if (p->optional)
        return CLI_OK;
    else if (j->random)
        j->t_in[i] = cli_random_input(j->e, p, &j->dims, (uint64_t)j->seed + i);
    else {
        char text[256];
        cli_port_text(p, text, sizeof text);
        return cli_fail("input \"%s\" (%s) is missing; give --input %s=FILE, or --random SEED",
                        p->name, text, p->name);
    }
    return j->t_in[i] ? CLI_OK : CLI_FAULT;
}

static int make_inputs(job *j)
{
    j->n_t_in = lamina_model_input_count(j->m);
    j->n_t_out = lamina_model_output_count(j->m);
    if (j->n_t_in > MAX_IO || j->n_t_out > MAX_IO)
        return cli_fail("more than %d inputs or outputs", MAX_IO);
    for (size_t i = 0; i < j->n_t_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(j->m, i, &p) != LAMINA_OK)
            return cli_fail("input %zu is not described", i);
        int rc = make_input(j, i, &p);
        if (rc != CLI_OK) return rc;
    }
    return CLI_OK;
}

static double element(const lamina_tensor *t, int64_t i)
{
    const void *d = lamina_tensor_data(t);
    switch (lamina_tensor_dtype(t)) {
    case LAMINA_F32: return (double)((const float *)d)[i];
    case LAMINA_F64: return ((const double *)d)[i];
    case LAMINA_I64: return (double)((const int64_t *)d)[i];
    case LAMINA_I32: return (double)((const int32_t *)d)[i];
    case LAMINA_U8:
    case LAMINA_BOOL: return (double)((const uint8_t *)d)[i];
    case LAMINA_I8: return (double)((const int8_t *)d)[i];
    default: return 0;
    }
}

static void print_output(const job *j, const char *name, const lamina_tensor *t, bool first)
{
    const int64_t n = lamina_tensor_count(t), show = n < 8 ? n : 8;
    if (j->json) {
        printf("%s{\"name\": ", first ? "" : ", ");
        cli_json_string(stdout, name);
        printf(", \"type\": \"%s\", \"shape\": [", lamina_dtype_name(lamina_tensor_dtype(t)));
    } else {
        printf("%s %s[", name, lamina_dtype_name(lamina_tensor_dtype(t)));
    }
    for (int32_t k = 0; k < lamina_tensor_rank(t); k++)
        printf("%s%lld", k ? "," : "", (long long)lamina_tensor_dims(t)[k]);
    printf(j->json ? "], \"values\": [" : "]");
    for (int64_t i = 0; i < (j->json ? n : show) && lamina_tensor_data(t); i++)
        printf("%s%.9g", j->json ? (i ? ", " : "") : " ", element(t, i));
    printf(j->json ? "]}" : show < n ? " ...\n" : "\n");
}

static int save_output(const job *j, const char *name, const lamina_tensor *t)
{
    char path[4096];
    lamina_error err;
    int n = snprintf(path, sizeof path, "%s/", j->out_dir);
    for (const char *s = name; *s && n > 0 && n < 4000; s++)
        path[n++] = *s == '/' || *s == ':' ? '_' : *s;
    if (n < 0) return cli_fail("the output folder's name is too long");
    (void)snprintf(path + n, sizeof path - (size_t)n, ".npy");
    if (lamina_tensor_save(t, path, &err) != LAMINA_OK) return cli_fail("%s", err.msg);
    return CLI_OK;
}

static int answer(job *j)
{
    int rc = CLI_OK;
    bool first = true;
    if (j->out_dir && mkdir(j->out_dir, 0777) != 0) (void)0; /* it may exist; saving tells */
    bool answered = false;
    for (size_t i = 0; i < j->n_t_out; i++) answered |= line_for(j, true, "", i) != NULL;
    if (j->json && !answered) printf("{\"outputs\": [");
    for (size_t i = 0; rc == CLI_OK && i < j->n_t_out; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_output(j->m, i, &p) != LAMINA_OK) return CLI_FAULT;
        const recipe_line *l = line_for(j, true, p.name, i);
        if (l)
            rc = recipe_answer(&j->recipe, l, j->m, j->t_out[i], j->labels, j->json);
        else if (!j->quiet && !answered)
            print_output(j, p.name, j->t_out[i], first);
        first = false;
        if (rc == CLI_OK && j->out_dir) rc = save_output(j, p.name, j->t_out[i]);
    }
    if (j->json && !answered) printf("]}\n");
    return rc;
}

static int execute(job *j)
{
    lamina_error err;
    int rc = cli_engine((uint32_t)j->threads, &j->e);
    if (rc != CLI_OK) return rc;
    if (lamina_model_load(j->e, j->path, NULL, &j->m, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    const lamina_session_opts so = {.size = sizeof so, .profile = j->profile != NULL};
    if (lamina_session_create(j->m, &so, &j->s, &err) != LAMINA_OK)
        return cli_fail("%s: %s", j->path, err.msg);
    if ((rc = make_inputs(j)) != CLI_OK) return rc;
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    if (lamina_session_run(j->s, (const lamina_tensor *const *)j->t_in, j->n_t_in, j->t_out,
                           j->n_t_out, &o) != LAMINA_OK)
        return cli_fail("%s: %s", j->path, err.msg);
    if (j->profile && lamina_session_trace_save(j->s, j->profile, &err) != LAMINA_OK)
        return cli_fail("%s", err.msg);
    return answer(j);
}

static int parse_given(job *j, const char *v, bool raw)
{
    const char *eq = strchr(v, '=');
    if (!eq || eq == v || j->n_in == MAX_GIVEN)
        return cli_usage("run", "inputs are NAME=FILE, not \"%s\"", v);
    given *g = &j->in[j->n_in++];
    *g = (given){.name = v, .n_name = (size_t)(eq - v), .file = eq + 1, .raw = raw};
    if (!raw) return CLI_OK;
    if (strncmp(g->file, "file:", 5) != 0)
        return cli_usage("run", "--in takes NAME=file:FILE, not \"%s\"", v);
    g->file += 5;
    return CLI_OK;
}

static int parse(job *j, int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--input", true},  {"--in", true},     {"--image", true},
                                   {"--recipe", true}, {"--labels", true}, {"--random", true},
                                   {"--dim", true},    {"--output", true}, {"--threads", true},
                                   {"--json", false},  {"--quiet", false}, {"--profile", true},
                                   {NULL, false}};
    const char *v, *recipe_name = NULL;
    int i = 1, o;
    while ((o = cli_next("run", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && j->path) return cli_usage("run", "one model at a time, not also %s", v);
        if (o == 0) j->path = v;
        if ((o == 1 || o == 2) && parse_given(j, v, o == 2) != CLI_OK) return CLI_USAGE;
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
    }
    if (!j->path) return cli_usage("run", "which model?");
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
    return rc;
}
