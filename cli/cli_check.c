/*
 * lamina check: every problem of a model at once; with --data, a comparison with ONNX test data.
 */
#include "cli_finding.h"
#include "cli_needs.h"
#include "cli_value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char cli_help_check[] =
    "usage: lamina check MODEL [--ops] [--data DIR]... [--rtol R] [--atol A] [--threads N]\n"
    "                    [--plugin F]... [--json]\n\n"
    "Loads the model and prints every error and lint: node, operator, reason, fix. A lint is what\n"
    "runs, but costs time, memory or portability; its name stands at the end. With --data it also\n"
    "runs the model on DIR/input_N.pb and compares with DIR/output_N.pb, the layout of ONNX\n"
    "test data; a folder of test_data_set_N folders is taken whole.\n\n"
    "  --ops        what the model needs: operators with domain, version and types, and the "
    "kernel\n"
    "               row that serves each on this machine, or why its reference does\n"
    "  --data DIR   test data; may be given several times\n"
    "  --rtol R     relative tolerance; default 0.001, more for types shorter than float16\n"
    "  --atol A     absolute tolerance; default 0.00001 of the largest expected magnitude, at\n"
    "               least 0.00001. Integers, booleans and strings must be equal.\n"
    "  --threads N  threads of the run\n"
    "  --plugin F   operators of a shared library (lamina/plugin.h)\n"
    "  --json       everything, as one JSON object\n\n"
    "Exit code 1: an error was found or an output differs.\n\n"
    "examples:\n"
    "  lamina check model.onnx\n"
    "  lamina check model.onnx --ops\n"
    "  lamina check model.onnx --data test_data_set_0 --rtol 1e-4 --json\n";

#define MAX_IO 512
#define MAX_SETS 64

typedef struct checker {
    const char *path, *data[MAX_SETS];
    int n_data, n_sets, n_differ;
    bool json, ops;
    long threads;
    cli_plugins plugins;
    cli_tolerance tol;
    cli_findings found;
    lamina_engine *e;
    lamina_model *m;
    lamina_session *s;
    size_t n_in, n_out;
    lamina_tensor *in[MAX_IO], *out[MAX_IO];
} checker;

/* ---- test data --------------------------------------------------------------------------------
 */

static bool load_value(checker *c, const char *dir, const char *what, size_t i,
                       const lamina_port *p, lamina_tensor **out, lamina_error *err)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%.4000s/%s_%zu.pb", dir, what, i);
    *out = NULL;
    return access(path, R_OK) != 0 ||
           lamina_tensor_load(c->e, path, cli_port_kind(p), out, err) == LAMINA_OK;
}

static void print_difference(const checker *c, const char *name, const cli_difference *d,
                             bool first)
{
    if (!c->json) {
        printf("  %-7s %s", d->equal ? "equal" : "DIFFERS", name);
        if (d->n)
            printf(" (%" PRId64 " elements, largest difference %.3g absolute, %.3g relative)", d->n,
                   d->max_abs, d->max_rel);
        if (d->why[0]) printf(": %s", d->why);
        if (d->where[0])
            printf("\n          %" PRId64 " out of tolerance, the first at %s: got %s, want %s",
                   d->n_differ, d->where, d->got, d->want);
        printf("\n");
        return;
    }
    printf("%s\n    {\"name\": ", first ? "" : ",");
    cli_json_string(stdout, name);
    printf(", \"equal\": %s, \"elements\": %" PRId64 ", \"out_of_tolerance\": %" PRId64,
           d->equal ? "true" : "false", d->n, d->n_differ);
    cli_json_number(stdout, ", \"max_abs\": ", d->max_abs);
    cli_json_number(stdout, ", \"max_rel\": ", d->max_rel);
    const char *const names[] = {"first", "got", "want", "why"};
    const char *const texts[] = {d->where, d->got, d->want, d->why};
    for (int i = 0; i < 4; i++) {
        if (!texts[i][0]) continue;
        printf(", \"%s\": ", names[i]);
        cli_json_string(stdout, texts[i]);
    }
    printf("}");
}

static void free_values(checker *c)
{
    for (size_t i = 0; i < c->n_in; i++) lamina_tensor_unref(c->in[i]);
    for (size_t i = 0; i < c->n_out; i++) lamina_tensor_unref(c->out[i]);
    memset(c->in, 0, sizeof c->in);
    memset(c->out, 0, sizeof c->out);
}

static bool run_set(checker *c, const char *dir, lamina_error *err)
{
    for (size_t i = 0; i < c->n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(c->m, i, &p) != LAMINA_OK) return false;
        if (!load_value(c, dir, "input", i, &p, &c->in[i], err)) return false;
    }
    const lamina_run_opts o = {.size = sizeof o, .error = err};
    cli_progress *tick = cli_progress_start("running on", dir);
    const lamina_status st = lamina_session_run(c->s, (const lamina_tensor *const *)c->in, c->n_in,
                                                c->out, c->n_out, &o);
    cli_progress_stop(tick);
    return st == LAMINA_OK;
}

/* An output that differs is a finding like any other. */
static void note_difference(checker *c, const char *dir, const char *name, const cli_difference *d)
{
    lamina_error e = {.status = LAMINA_E_RANGE};
    if (d->why[0])
        (void)snprintf(e.msg, sizeof e.msg, "output \"%.120s\": %.200s; check the data set", name,
                       d->why);
    else
        (void)snprintf(e.msg, sizeof e.msg,
                       "output \"%.120s\" differs at %.60s: got %.60s, want %.60s; run with "
                       "LAMINA_ISA=ref: a difference that stays is not a kernel's",
                       name, d->where, d->got, d->want);
    c->found.text = false; /* the text report has just said so */
    (void)cli_findings_error(&c->found, dir, &e);
    c->found.text = !c->json;
}

static bool compare_outputs(checker *c, const char *dir, lamina_error *err)
{
    bool first = true, equal = true;
    for (size_t i = 0; i < c->n_out; i++) {
        lamina_port p = {.size = sizeof p};
        lamina_tensor *want = NULL;
        cli_difference d = {.equal = true};
        if (lamina_model_output(c->m, i, &p) != LAMINA_OK) return false;
        if (!load_value(c, dir, "output", i, &p, &want, err)) {
            d.equal = false;
            (void)snprintf(d.why, sizeof d.why, "%.250s", err->msg);
        } else if (!want) {
            d.equal = false;
            (void)snprintf(d.why, sizeof d.why, "there is no output_%zu.pb to compare with", i);
        } else {
            cli_compare(c->out[i], want, &c->tol, &d);
        }
        lamina_tensor_unref(want);
        print_difference(c, p.name, &d, first);
        if (!d.equal) note_difference(c, dir, p.name, &d);
        first = false;
        equal &= d.equal;
    }
    return equal;
}

static void check_set(checker *c, const char *dir)
{
    lamina_error err = {0};
    if (c->json) {
        printf("%s\n  {\"dir\": ", c->n_sets ? "," : "");
        cli_json_string(stdout, dir);
    } else {
        printf("%s\n", dir);
    }
    c->n_sets++;
    const bool ran = run_set(c, dir, &err);
    if (c->json) printf(", \"outputs\": [");
    const bool equal = ran && compare_outputs(c, dir, &err);
    c->n_differ += !equal;
    if (c->json) {
        printf("], \"equal\": %s, \"error\": ", equal ? "true" : "false");
        if (ran)
            printf("null}");
        else
            cli_json_string(stdout, err.msg), printf("}");
    }
    if (!ran) (void)cli_findings_error(&c->found, dir, &err);
    free_values(c);
}

/* A data folder, or the test_data_set_N folders in it. */
static void check_folder(checker *c, const char *dir)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%.4000s/output_0.pb", dir);
    const int before = c->n_sets;
    if (access(path, R_OK) == 0) {
        check_set(c, dir);
        return;
    }
    for (int k = 0; k < 1000; k++) {
        (void)snprintf(path, sizeof path, "%.4000s/test_data_set_%d", dir, k);
        if (access(path, R_OK) != 0) break;
        check_set(c, path);
    }
    if (c->n_sets > before) return;
    lamina_error err = {.status = LAMINA_E_IO};
    (void)snprintf(err.msg, sizeof err.msg,
                   "holds neither output_0.pb nor test_data_set_0; name a folder of test data");
    (void)cli_findings_error(&c->found, dir, &err);
    c->n_differ++;
}

/* ---- the verb ---------------------------------------------------------------------------------
 */

static int check_all(checker *c)
{
    lamina_error err;
    int rc = cli_engine((uint32_t)c->threads, &c->e);
    if (rc == CLI_OK) rc = cli_plugins_load(&c->plugins, c->e);
    if (rc != CLI_OK) return rc;
    c->found.text = !c->json;
    const lamina_load_opts o = {.size = sizeof o, .collect = true, .lint = true};
    lamina_status st = lamina_model_load(c->e, c->path, &o, &c->m, &err);
    const char *what = st == LAMINA_OK ? NULL : cli_guess(c->path, &err);
    if (what) (void)snprintf(err.msg, sizeof err.msg, "this is no ONNX file but %s", what);
    if (st == LAMINA_OK) rc = cli_findings_diags(&c->found, c->path, c->m);
    if (st == LAMINA_OK && rc == CLI_OK) st = lamina_session_create(c->m, NULL, &c->s, &err);
    if (st != LAMINA_OK) rc = cli_findings_error(&c->found, c->path, &err);
    if (rc == CLI_OK) {
        c->n_in = lamina_model_input_count(c->m);
        c->n_out = lamina_model_output_count(c->m);
        if (c->n_in > MAX_IO || c->n_out > MAX_IO)
            rc = cli_fail("%s: more than %d inputs or outputs", c->path, MAX_IO);
    }
    if (c->json) {
        printf("{\"version\": 1, \"model\": ");
        cli_json_string(stdout, c->path);
        printf(", ");
    }
    if (c->ops && c->m && cli_needs(c->m, c->s, c->json) != CLI_OK) rc = CLI_FAULT;
    if (c->json) printf("\"data\": [");
    for (int i = 0; rc == CLI_OK && i < c->n_data; i++) check_folder(c, c->data[i]);
    if (c->n_differ) rc = CLI_FAULT;
    if (c->json) {
        printf("%s], ", c->n_sets ? "\n" : "");
        cli_findings_json(&c->found);
        printf(", \"fine\": %s}\n", rc ? "false" : "true");
    } else if (rc == CLI_OK) {
        const size_t lints = c->found.n - c->found.errors;
        printf("%s: fine", c->path);
        if (lints) printf(", %zu lint%s", lints, lints == 1 ? "" : "s");
        printf("\n");
    } else {
        printf("%s: %zu error%s\n", c->path, c->found.errors, c->found.errors == 1 ? "" : "s");
    }
    return rc;
}

int cli_check(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--data", true}, {"--json", false},   {"--rtol", true},
                                   {"--atol", true}, {"--threads", true}, {"--plugin", true},
                                   {"--ops", false}, {NULL, false}};
    static checker c = {.tol = {-1, -1}};
    const char *v;
    int i = 1, o;
    while ((o = cli_next("check", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && c.path) return cli_usage("check", "one model at a time, not also %s", v);
        if (o == 0) c.path = v;
        if (o == 1 && c.n_data == MAX_SETS)
            return cli_usage("check", "at most %d data folders", MAX_SETS);
        if (o == 1) c.data[c.n_data++] = v;
        if (o == 2) c.json = true;
        if (o == 3 && !cli_real("check", "--rtol", v, &c.tol.rtol)) return CLI_USAGE;
        if (o == 4 && !cli_real("check", "--atol", v, &c.tol.atol)) return CLI_USAGE;
        if (o == 5 && !cli_number("check", "--threads", v, 1, 1024, &c.threads)) return CLI_USAGE;
        if (o == 7) c.ops = true;
        if (o == 6 && cli_plugins_add(&c.plugins, "check", v) != CLI_OK) return CLI_USAGE;
    }
    if (!c.path) return cli_usage("check", "which model?");
    const int rc = check_all(&c);
    free(c.found.v);
    lamina_session_destroy(c.s);
    lamina_model_unref(c.m);
    lamina_engine_destroy(c.e);
    return rc;
}
