/*
 * lamina tune: other paths and blocks than the rules choose, measured for one model on this
 * machine; what is faster is kept for later sessions. The measuring is the library's
 * (lamina/tune.h); here are options, the lines while it runs, and the table.
 */
#include "cli_inputs.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char cli_help_tune[] =
    "usage: lamina tune MODEL [--input NAME=FILE]... [--dim NAME=N]... [--seed N] [--threads N]\n"
    "                   [--budget TIME] [--out FILE] [--precision P] [--same-bits] [--dry-run]\n"
    "                   [--plugin FILE]... [--explain] [--json]\n\n"
    "Runs the model again and again, each time with another way to read operands or to cut work\n"
    "for each of its products and convolutions (f32, 8 bits), next to runs as they are. A way that "
    "is\n"
    "more than 3 % faster, and again faster when all of them are tried together in whole runs, is\n"
    "kept in a file that later sessions read. Choices hold for this machine, this version, these\n"
    "shapes and this number of threads; anything else runs as before.\n\n"
    "Results stay the same bit for bit, but for convolutions that leave or take Winograd's way\n"
    "(\"other bits\" in the table; --same-bits leaves them out).\n\n"
    "  --input NAME=FILE  a value from .npy, .npz or .pb; shapes are what matters\n"
    "  --dim NAME=N       free dimensions of seeded inputs; default 1\n"
    "  --seed N           of the inputs; default 0\n"
    "  --threads N        tune for N threads; default what the machine gives\n"
    "  --budget TIME      time for the search: 30s, 5m; default 60s. Verifying comes on top\n"
    "  --out FILE         append to FILE; default the user's cache folder (lamina info says "
    "where)\n"
    "  --precision P      exact, bf16, auto or strict: lamina help run\n"
    "  --same-bits        only choices that change no bit\n"
    "  --dry-run          measure and report, keep nothing\n"
    "  --plugin FILE      operators of a shared library (lamina/plugin.h)\n"
    "  --explain          every problem, and why it was not tuned\n"
    "  --json             everything, as one JSON object\n\n"
    "Ctrl-C ends the search; what has won by then is verified and kept. Once more keeps nothing.\n"
    "LAMINA_TUNE=off makes sessions ignore the file, LAMINA_TUNE=FILE makes them read another.\n\n"
    "examples:\n"
    "  lamina tune resnet50.onnx --threads 1\n"
    "  lamina tune bert.onnx --dim B=1 --dim S=128 --budget 2m --explain\n"
    "  lamina tune yolov8n.onnx --dry-run --json\n";

#define MOST_PROBLEMS 512

/* A problem as the notes told of it. */
typedef struct problem {
    char node[64], kernel[32], what[112], choice[64];
    uint32_t n_choices;
    bool decided, won, kept, other_bits;
    double share, gain; /* gain: of the search, then of the whole runs */
} problem;

typedef struct tuning {
    const char *path, *out;
    lamina_engine *engine;
    lamina_model *model;
    lamina_tensor *in[CLI_MAX_IO];
    size_t n_in;
    long threads, seed;
    double budget_s;
    uint32_t precision;
    cli_dims dims;
    cli_plugins plugins;
    cli_inputs inputs;
    bool json, explain, dry_run, same_bits;
    bool terminal, line; /* stderr is one; a progress line stands there */
    int told;            /* signals passed on */
    problem *problems;
    uint32_t n;
} tuning;

/* ---- while it runs ----------------------------------------------------------------------------
 */

static volatile sig_atomic_t n_signals;

static void on_signal(int signo)
{
    (void)signo;
    n_signals++;
}

static void wipe(tuning *t)
{
    if (t->line) (void)fputs("\r\033[K", stderr);
    t->line = false;
}

static void show_progress(tuning *t, const lamina_tune_note *n)
{
    if (!t->terminal) return;
    (void)fprintf(stderr, "\r\033[K%s: %3.0f %%, about %.0f s left",
                  n->stage == LAMINA_TUNE_SEARCHING ? "searching" : "verifying", 100 * n->progress,
                  n->eta_s);
    (void)fflush(stderr);
    t->line = true;
}

static void show_problem(tuning *t, const problem *p, uint32_t stage)
{
    if (t->json) return;
    wipe(t);
    if (stage == LAMINA_TUNE_DECIDED && p->won)
        (void)fprintf(stderr, "%-40.40s %-24.24s %.3f x\n", p->what, p->choice, p->gain);
    if (stage == LAMINA_TUNE_DECIDED && !p->won && p->n_choices)
        (void)fprintf(stderr, "%-40.40s stays as it is\n", p->what);
    if (stage == LAMINA_TUNE_DROPPED)
        (void)fprintf(stderr, "%-40.40s not confirmed in whole runs: %.3f x\n", p->what, p->gain);
}

static bool on_note(void *ctx, const lamina_tune_note *n)
{
    tuning *t = ctx;
    if (n->stage == LAMINA_TUNE_SEARCHING || n->stage == LAMINA_TUNE_VERIFYING) {
        show_progress(t, n);
    } else if (n->index < MOST_PROBLEMS) {
        problem *p = &t->problems[n->index];
        if (n->index >= t->n) t->n = n->index + 1;
        (void)snprintf(p->node, sizeof p->node, "%s", n->node);
        (void)snprintf(p->kernel, sizeof p->kernel, "%s", n->kernel);
        (void)snprintf(p->what, sizeof p->what, "%s", n->problem);
        (void)snprintf(p->choice, sizeof p->choice, "%s", n->choice);
        p->n_choices = n->n_choices, p->share = n->share, p->gain = n->gain;
        p->other_bits = n->other_bits;
        p->decided = p->decided || n->stage == LAMINA_TUNE_DECIDED;
        if (n->stage == LAMINA_TUNE_DECIDED) p->won = strcmp(n->choice, "rule") != 0;
        p->kept = n->stage == LAMINA_TUNE_KEPT;
        show_problem(t, p, n->stage);
    }
    if (n_signals <= t->told) return true;
    t->told++;
    wipe(t);
    (void)fputs(t->told == 1 ? "lamina: stopping; what has won is verified first\n"
                             : "lamina: nothing is kept\n",
                stderr);
    return false;
}

/* ---- afterwards -------------------------------------------------------------------------------
 */

static const char *outcome(const problem *p)
{
    if (p->kept) return p->other_bits ? "kept, other bits" : "kept";
    if (p->won) return "not confirmed in whole runs";
    if (!p->n_choices) return p->share < 0.01 ? "too small to matter" : "nothing to choose from";
    if (!p->decided) return "not measured";
    return "nothing is 3 % faster";
}

static void print_row(const problem *p)
{
    char gain[24] = "";
    if (p->gain > 0 && p->n_choices) (void)snprintf(gain, sizeof gain, "%.3f x", p->gain);
    printf("%-9.9s %-40.40s %5.1f %%  %-24.24s %-9s %s\n", p->kernel, p->what, 100 * p->share,
           p->kept ? p->choice : "rule", gain, outcome(p));
}

static void print_text(const tuning *t, const lamina_tune_result *r)
{
    bool head = false;
    for (uint32_t i = 0; i < t->n; i++) {
        if (!t->problems[i].kept && !t->explain) continue;
        if (!head)
            printf("%-9s %-40s %7s  %-24s %-9s\n", "kernel", "problem", "share", "choice", "gain");
        head = true;
        print_row(&t->problems[i]);
    }
    printf("%s%u of %u problems tuned, %llu runs%s\n", head ? "\n" : "", r->n_tuned, r->n_problems,
           (unsigned long long)r->n_runs,
           r->stopped       ? "; stopped before the end of the search"
           : r->out_of_time ? "; the budget ended the search, a larger one may find more"
                            : "");
    if (r->n_tuned)
        printf("model    %.3f ms before, %.3f ms after: %.3f x as fast\n", r->before_ns * 1e-6,
               r->after_ns * 1e-6, r->before_ns / r->after_ns);
    else if (r->n_problems)
        printf("model    %.3f ms: the rules stay\n", r->before_ns * 1e-6);
    if (r->path[0]) printf("kept in  %s\n", r->path);
    if (t->dry_run) printf("dry run: nothing was written\n");
}

static void print_json(const tuning *t, const lamina_tune_result *r)
{
    printf("{\"model\": ");
    cli_json_string(stdout, t->path);
    printf(", \"problems\": %u, \"tuned\": %u, \"small\": %u, \"runs\": %llu, \"before_ms\": %.6f, "
           "\"after_ms\": %.6f, \"stopped\": %s, \"out_of_time\": %s, \"dry_run\": %s, \"file\": ",
           r->n_problems, r->n_tuned, r->n_small, (unsigned long long)r->n_runs,
           r->before_ns * 1e-6, r->after_ns * 1e-6, r->stopped ? "true" : "false",
           r->out_of_time ? "true" : "false", t->dry_run ? "true" : "false");
    cli_json_string(stdout, r->path);
    printf(",\n \"table\": [");
    for (uint32_t i = 0; i < t->n; i++) {
        const problem *p = &t->problems[i];
        printf("%s\n  {\"kernel\": \"%s\", \"node\": ", i ? "," : "", p->kernel);
        cli_json_string(stdout, p->node);
        printf(", \"problem\": \"%s\", \"share\": %.4f, \"choices\": %u, \"choice\": \"%s\", "
               "\"gain\": %.4f, \"other_bits\": %s, \"outcome\": \"%s\"}",
               p->what, p->share, p->n_choices, p->kept ? p->choice : "rule", p->gain,
               p->kept && p->other_bits ? "true" : "false", outcome(p));
    }
    printf("]}\n");
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

/* "90", "90s", "2m", "1h". */
static bool budget(const char *text, double *out)
{
    char number[32];
    size_t n = strlen(text);
    double unit = 1;
    if (n && strchr("smh", text[n - 1])) {
        unit = text[n - 1] == 'm' ? 60 : text[n - 1] == 'h' ? 3600 : 1;
        n--;
    }
    if (n == 0 || n >= sizeof number) return false;
    memcpy(number, text, n);
    number[n] = 0;
    char *end;
    *out = strtod(number, &end) * unit;
    return !*end && *out > 0 && *out <= 86400;
}

static int make_inputs(tuning *t)
{
    t->n_in = lamina_model_input_count(t->model);
    if (t->n_in > CLI_MAX_IO) return cli_fail("%s: more than %d inputs", t->path, CLI_MAX_IO);
    if (cli_inputs_check(&t->inputs, t->model) != CLI_OK) return CLI_FAULT;
    if (cli_dims_check(&t->dims, t->model) != CLI_OK) return CLI_FAULT;
    for (size_t i = 0; i < t->n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(t->model, i, &p) != LAMINA_OK) return CLI_FAULT;
        if (cli_inputs_load(&t->inputs, t->engine, &p, &t->in[i]) != CLI_OK) return CLI_FAULT;
        if (t->in[i] || p.optional) continue;
        t->in[i] = cli_random_input(t->engine, &p, &t->dims, (uint64_t)t->seed + i);
        if (!t->in[i])
            return cli_fail("%s: input \"%s\" cannot be made from a seed; give --input", t->path,
                            p.name);
    }
    return CLI_OK;
}

static int measure(tuning *t)
{
    lamina_error err;
    lamina_tune_result r = {.size = sizeof r};
    const struct sigaction catch = {.sa_handler = on_signal};
    struct sigaction before;
    const lamina_tune_opts o = {.size = sizeof o,
                                .path = t->out,
                                .budget_ns = (uint64_t)(t->budget_s * 1e9),
                                .n_threads = (uint32_t)t->threads,
                                .precision = t->precision,
                                .dry_run = t->dry_run,
                                .same_bits = t->same_bits,
                                .note = on_note,
                                .ctx = t};
    (void)sigaction(SIGINT, &catch, &before);
    const lamina_status st =
        lamina_tune(t->model, (const lamina_tensor *const *)t->in, t->n_in, &o, &r, &err);
    (void)sigaction(SIGINT, &before, NULL);
    wipe(t);
    if (st != LAMINA_OK) return cli_fail_at(t->path, err.msg);
    (t->json ? print_json : print_text)(t, &r);
    return CLI_OK;
}

static int tune_model(tuning *t)
{
    lamina_error err;
    int rc = cli_engine((uint32_t)t->threads, &t->engine);
    if (rc == CLI_OK) rc = cli_plugins_load(&t->plugins, t->engine);
    if (rc == CLI_OK && lamina_model_load(t->engine, t->path, NULL, &t->model, &err) != LAMINA_OK)
        rc = cli_fail_load(t->path, &err);
    if (rc == CLI_OK) rc = make_inputs(t);
    t->problems = calloc(MOST_PROBLEMS, sizeof *t->problems);
    if (rc == CLI_OK && !t->problems) rc = cli_fail("out of memory");
    if (rc == CLI_OK) rc = measure(t);
    for (size_t k = 0; k < t->n_in; k++) lamina_tensor_unref(t->in[k]);
    free(t->problems);
    lamina_model_unref(t->model);
    lamina_engine_destroy(t->engine);
    return rc;
}

/* `o` as cli_next gives it. */
static int take_option(tuning *t, int o, const char *v)
{
    switch (o) {
    case 1: return cli_inputs_add(&t->inputs, "tune", v, false);
    case 2:
        if (!cli_dims_add(&t->dims, v))
            return cli_usage("tune", "--dim wants NAME=N, not \"%s\"", v);
        break;
    case 3: return cli_number("tune", "--seed", v, 0, 1L << 40, &t->seed) ? CLI_OK : CLI_USAGE;
    case 4: return cli_number("tune", "--threads", v, 1, 1024, &t->threads) ? CLI_OK : CLI_USAGE;
    case 5:
        if (!budget(v, &t->budget_s))
            return cli_usage("tune", "--budget wants a time such as 90s or 5m, not \"%s\"", v);
        break;
    case 6: t->out = v; break;
    case 7: return cli_precision("tune", v, &t->precision) ? CLI_OK : CLI_USAGE;
    case 8: t->same_bits = true; break;
    case 9: t->dry_run = true; break;
    case 10: return cli_plugins_add(&t->plugins, "tune", v);
    case 11: t->explain = true; break;
    default: t->json = true; break;
    }
    return CLI_OK;
}

int cli_tune(int argc, char **argv)
{
    static const cli_opt SPEC[] = {
        {"--input", true},    {"--dim", true},    {"--seed", true},      {"--threads", true},
        {"--budget", true},   {"--out", true},    {"--precision", true}, {"--same-bits", false},
        {"--dry-run", false}, {"--plugin", true}, {"--explain", false},  {"--json", false},
        {NULL, false}};
    static tuning t = {.budget_s = 60};
    const char *v;
    int i = 1, o;
    while ((o = cli_next("tune", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && t.path) return cli_usage("tune", "one model at a time, not also %s", v);
        if (o == 0) t.path = v;
        if (o > 0 && take_option(&t, o, v) != CLI_OK) return CLI_USAGE;
    }
    if (!t.path) return cli_usage("tune", "which model?");
    if (t.out && !strcmp(t.out, "off"))
        return cli_usage("tune", "--out off keeps nothing; say --dry-run");
    t.terminal = isatty(STDERR_FILENO);
    return tune_model(&t);
}
