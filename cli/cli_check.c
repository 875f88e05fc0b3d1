/*
 * lamina check: every problem of a model at once; with --data, a comparison with ONNX test data.
 */
#include "cli.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

const char cli_help_check[] =
    "usage: lamina check MODEL [--data DIR]... [--json]\n\n"
    "Loads the model and prints every error and lint: node, operator, reason, fix. With --data, "
    "runs it on\n"
    "DIR/input_N.pb and compares with DIR/output_N.pb (an ONNX test_data_set folder).\n\n"
    "examples:\n"
    "  lamina check model.onnx\n"
    "  lamina check model.onnx --data test_data_set_0 --json\n";

#define MAX_IO 512
#define MAX_SETS 32

static void print_diag(const lamina_diag *d)
{
    printf("%s: ", d->error ? "error" : "lint");
    if (*d->node || *d->op) printf("node \"%s\" (%s", d->node, d->op);
    if (d->opset && (*d->node || *d->op)) printf(", opset %d", d->opset);
    if (*d->node || *d->op) printf("): ");
    printf("%s%s%s\n", d->what, *d->fix ? "; " : "", d->fix);
}

static void print_diag_json(const lamina_diag *d, bool first)
{
    printf("%s\n  {\"severity\": \"%s\", \"status\": \"%s\", \"opset\": %d, \"node\": ",
           first ? "" : ",", d->error ? "error" : "lint", lamina_status_name(d->status), d->opset);
    cli_json_string(stdout, d->node);
    printf(", \"op\": ");
    cli_json_string(stdout, d->op);
    printf(", \"what\": ");
    cli_json_string(stdout, d->what);
    printf(", \"fix\": ");
    cli_json_string(stdout, d->fix);
    printf("}");
}

static size_t report(const lamina_model *m, bool json)
{
    size_t errors = 0, n = lamina_model_diag_count(m);
    if (json) printf("{\"diagnostics\": [");
    for (size_t i = 0; i < n; i++) {
        lamina_diag d = {.size = sizeof d};
        if (lamina_model_diag(m, i, &d) != LAMINA_OK) continue;
        errors += d.error;
        if (json)
            print_diag_json(&d, i == 0);
        else
            print_diag(&d);
    }
    if (json) printf("%s], \"errors\": %zu}\n", n ? "\n" : "", errors);
    return errors;
}

/* Largest |got - want| over atol + rtol |want| as a ratio; > 1 fails. f32 and f64 only, bytes
 * otherwise. */
static double distance(const lamina_tensor *got, const lamina_tensor *want, double rtol)
{
    int64_t n = lamina_tensor_count(want);
    if (lamina_tensor_dtype(got) != lamina_tensor_dtype(want) ||
        lamina_tensor_rank(got) != lamina_tensor_rank(want) ||
        (lamina_tensor_rank(want) > 0 &&
         memcmp(lamina_tensor_dims(got), lamina_tensor_dims(want),
                (size_t)lamina_tensor_rank(want) * sizeof(int64_t))))
        return INFINITY;
    lamina_dtype dt = lamina_tensor_dtype(want);
    const void *g = lamina_tensor_data(got), *w = lamina_tensor_data(want);
    if (dt != LAMINA_F32 && dt != LAMINA_F64)
        return !lamina_tensor_bytes(want) || !memcmp(g, w, lamina_tensor_bytes(want)) ? 0
                                                                                      : INFINITY;
    double scale = 0, worst = 0;
    for (int64_t i = 0; i < n; i++) {
        double x = fabs(dt == LAMINA_F32 ? (double)((const float *)w)[i] : ((const double *)w)[i]);
        if (isfinite(x) && x > scale) scale = x;
    }
    for (int64_t i = 0; i < n; i++) {
        double a = dt == LAMINA_F32 ? (double)((const float *)g)[i] : ((const double *)g)[i];
        double b = dt == LAMINA_F32 ? (double)((const float *)w)[i] : ((const double *)w)[i];
        if (a == b || (isnan(a) && isnan(b))) continue;
        double r = fabs(a - b) / (1e-5 * fmax(1, scale) + rtol * fabs(b));
        if (!(r <= worst)) worst = isnan(r) ? INFINITY : r;
    }
    return worst;
}

static bool load_value(lamina_engine *e, const char *dir, const char *what, size_t i,
                       lamina_kind kind, lamina_tensor **out)
{
    char path[4200];
    lamina_error err;
    (void)snprintf(path, sizeof path, "%.4000s/%s_%zu.pb", dir, what, i);
    *out = NULL;
    if (access(path, R_OK) != 0) return true;
    if (lamina_tensor_load(e, path, kind, out, &err) == LAMINA_OK) return true;
    (void)cli_fail("%s", err.msg);
    return false;
}

static int compare(lamina_engine *e, lamina_model *m, lamina_session *s, const char *dir,
                   double rtol)
{
    static lamina_tensor *in[MAX_IO], *out[MAX_IO];
    lamina_error err;
    size_t n_in = lamina_model_input_count(m), n_out = lamina_model_output_count(m);
    if (n_in > MAX_IO || n_out > MAX_IO) return cli_fail("more than %d inputs or outputs", MAX_IO);
    for (size_t i = 0; i < n_in; i++) {
        lamina_port p = {.size = sizeof p};
        if (lamina_model_input(m, i, &p) != LAMINA_OK ||
            !load_value(e, dir, "input", i, p.kind, &in[i]))
            return CLI_FAULT;
    }
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    if (lamina_session_run(s, (const lamina_tensor *const *)in, n_in, out, n_out, &o) != LAMINA_OK)
        return cli_fail("%s: %s", dir, err.msg);
    int rc = CLI_OK;
    for (size_t i = 0; i < n_out; i++) {
        lamina_port p = {.size = sizeof p};
        lamina_tensor *want;
        if (lamina_model_output(m, i, &p) != LAMINA_OK ||
            !load_value(e, dir, "output", i, p.kind, &want))
            return CLI_FAULT;
        double r = want ? distance(out[i], want, rtol) : INFINITY;
        printf("%s: output \"%s\": %s (error %.3g of the tolerance)\n", dir, p.name,
               r <= 1 ? "equal" : "DIFFERS", r);
        if (!(r <= 1)) rc = CLI_FAULT;
        lamina_tensor_unref(want);
        lamina_tensor_unref(out[i]);
    }
    for (size_t i = 0; i < n_in; i++) lamina_tensor_unref(in[i]);
    return rc;
}

static int check_all(const char *path, const char **data, int n_data, double rtol, bool json)
{
    lamina_engine *e = NULL;
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    lamina_error err;
    int rc = cli_engine(0, &e);
    if (rc != CLI_OK) return rc;
    const lamina_load_opts o = {.size = sizeof o, .collect = true};
    if (lamina_model_load(e, path, &o, &m, &err) != LAMINA_OK) {
        rc = cli_fail("%s", err.msg);
    } else if (report(m, json)) {
        rc = CLI_FAULT;
    } else if (lamina_session_create(m, NULL, &s, &err) != LAMINA_OK) {
        rc = cli_fail("%s", err.msg);
    } else {
        for (int i = 0; i < n_data; i++)
            if (compare(e, m, s, data[i], rtol) != CLI_OK) rc = CLI_FAULT;
        if (rc == CLI_OK && !json) printf("%s: fine\n", path);
    }
    lamina_session_destroy(s);
    lamina_model_unref(m);
    lamina_engine_destroy(e);
    return rc;
}

int cli_check(int argc, char **argv)
{
    static const cli_opt SPEC[] = {{"--data", true}, {"--json", false}, {NULL, false}};
    const char *path = NULL, *v, *data[MAX_SETS];
    int n_data = 0, i = 1, o;
    bool json = false;
    while ((o = cli_next("check", SPEC, argc, argv, &i, &v)) != -1) {
        if (o == -2) return CLI_USAGE;
        if (o == 0 && path) return cli_usage("check", "one model at a time, not also %s", v);
        if (o == 0) path = v;
        if (o == 1 && n_data == MAX_SETS)
            return cli_usage("check", "at most %d data sets", MAX_SETS);
        if (o == 1) data[n_data++] = v;
        if (o == 2) json = true;
    }
    if (!path) return cli_usage("check", "which model?");
    return check_all(path, data, n_data, 1e-3, json);
}
