/*
 * conformance DIR... [--filter TEXT] [--json FILE] [--min N] [--list-failures] [--threads N]
 *
 * Runs every ONNX test case (a folder with model.onnx and test_data_set_N) below the folders, each
 * in a process of its own with a time limit, and counts pass, mismatch, load error, run error,
 * crash and time-out. Exit 1 when fewer than --min pass or anything crashes or hangs.
 *
 * A case passes when it loads, runs, and every output has the expected kind, type, shape and
 * values. Tolerance: rtol 1e-3 and atol 1e-5 scaled by the largest expected magnitude; small floats
 * 5e-3. The only cases compared without values are those of random operators (RANDOM below).
 */
#include "lamina/lamina.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tensor/tensor.h"

#define LIMIT_S 60

enum { R_PASS, R_MISMATCH, R_LOAD, R_RUN, R_CRASH, R_TIMEOUT, R_N };
static const char *const NAMES[R_N] = {"pass",      "mismatch", "load error",
                                       "run error", "crash",    "time-out"};

/* Cases of random operators: the standard fixes type and shape, not values. */
static const char *const RANDOM[] = {"test_bernoulli", "test_training_dropout", "test_random",
                                     "test_multinomial"};

typedef struct totals {
    int n[R_N], total;
    bool list;
    const char *filter;
    uint32_t threads;
} totals;

static bool is_random(const char *name)
{
    for (size_t i = 0; i < sizeof RANDOM / sizeof *RANDOM; i++)
        if (strncmp(name, RANDOM[i], strlen(RANDOM[i])) == 0) return true;
    return false;
}

static bool is_small_float(lamina_dtype dt)
{
    return dt == LAMINA_F16 || dt == LAMINA_BF16 ||
           (dt >= LAMINA_F8E4M3FN && dt <= LAMINA_F8E5M2FNUZ);
}

static double magnitude(const lamina_tensor *t, int64_t n)
{
    double m = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = fabs(lmn_get_f64(t, i));
        if (isfinite(v) && v > m) m = v;
    }
    return m;
}

static bool floats_equal(const lamina_tensor *got, const lamina_tensor *want, int64_t n, char *why,
                         size_t cap)
{
    const bool small = is_small_float(want->dtype);
    const double rtol = small ? 5e-3 : 1e-3,
                 atol = (small ? 1e-3 : 1e-5) * fmax(1.0, magnitude(want, n));
    for (int64_t i = 0; i < n; i++) {
        double g = lmn_get_f64(got, i), w = lmn_get_f64(want, i);
        if (isnan(g) && isnan(w)) continue;
        if (g == w) continue;
        if (!isfinite(g) || !isfinite(w) || fabs(g - w) > atol + rtol * fabs(w)) {
            (void)snprintf(why, cap, "element %lld is %.9g, expected %.9g", (long long)i, g, w);
            return false;
        }
    }
    return true;
}

static bool values_equal(const lamina_tensor *got, const lamina_tensor *want, char *why, size_t cap)
{
    const int64_t n = lamina_tensor_count(want);
    lmn_dclass c = lmn_dtype_class(want->dtype);
    if (c == LMN_CLASS_STRING) {
        for (int64_t i = 0; i < n; i++) {
            size_t a, b;
            const char *x = lamina_tensor_string(got, i, &a),
                       *y = lamina_tensor_string(want, i, &b);
            if (a == b && memcmp(x, y, a) == 0) continue;
            (void)snprintf(why, cap, "string %lld is \"%.40s\", expected \"%.40s\"", (long long)i,
                           x, y);
            return false;
        }
        return true;
    }
    if (c == LMN_CLASS_FLOAT) return floats_equal(got, want, n, why, cap);
    if (c == LMN_CLASS_COMPLEX) {
        if (memcmp(got->data, want->data, want->data_bytes) == 0) return true;
        (void)snprintf(why, cap, "complex values differ");
        return false;
    }
    for (int64_t i = 0; i < n; i++)
        if (lmn_get_i64(got, i) != lmn_get_i64(want, i)) {
            (void)snprintf(why, cap, "element %lld is %lld, expected %lld", (long long)i,
                           (long long)lmn_get_i64(got, i), (long long)lmn_get_i64(want, i));
            return false;
        }
    return true;
}

static bool value_equal(const lamina_tensor *got, const lamina_tensor *want, bool values, char *why,
                        size_t cap)
{
    if (got->kind != want->kind) return (void)snprintf(why, cap, "kind differs"), false;
    if (want->kind == LAMINA_KIND_NONE) return true;
    if (want->kind == LAMINA_KIND_SEQUENCE) {
        if (got->n_items != want->n_items)
            return (void)snprintf(why, cap, "sequence length differs"), false;
        for (int64_t i = 0; i < want->n_items; i++)
            if (!value_equal(got->items[i], want->items[i], values, why, cap)) return false;
        return true;
    }
    if (got->dtype != want->dtype)
        return (void)snprintf(why, cap, "type is %s, expected %s", lamina_dtype_name(got->dtype),
                              lamina_dtype_name(want->dtype)),
               false;
    if (!lmn_dims_equal(got->rank, got->dims, want->rank, want->dims)) {
        int o = snprintf(why, cap, "shape is [");
        for (int32_t i = 0; i < got->rank; i++)
            o += snprintf(why + o, cap - (size_t)o, "%lld ", (long long)got->dims[i]);
        o += snprintf(why + o, cap - (size_t)o, "], expected [");
        for (int32_t i = 0; i < want->rank; i++)
            o += snprintf(why + o, cap - (size_t)o, "%lld ", (long long)want->dims[i]);
        (void)snprintf(why + o, cap - (size_t)o, "]");
        return false;
    }
    return !values || values_equal(got, want, why, cap);
}

static lamina_status read_value(lamina_engine *e, const char *dir, const char *kind, size_t i,
                                lamina_kind as, lamina_tensor **out, lamina_error *err)
{
    char path[8192];
    (void)snprintf(path, sizeof path, "%s/%s_%zu.pb", dir, kind, i);
    if (access(path, R_OK) != 0) return LAMINA_E_IO;
    return lamina_tensor_load(e, path, as, out, err);
}

static lamina_kind port_kind(const lamina_port *p)
{
    return p->kind == LAMINA_KIND_SEQUENCE ? p->kind
           : p->optional                   ? LAMINA_KIND_NONE
                                           : LAMINA_KIND_TENSOR;
}

static int run_set(lamina_engine *e, lamina_model *m, lamina_session *s, const char *dir,
                   bool values, char *why, size_t cap)
{
    enum { MAX_IO = 512 };
    static lamina_tensor *in[MAX_IO], *out[MAX_IO];
    lamina_error err = {0};
    size_t n_in = lamina_model_input_count(m), n_out = lamina_model_output_count(m);
    if (n_in > MAX_IO || n_out > MAX_IO) return R_RUN;
    for (size_t i = 0; i < n_in; i++) {
        lamina_port p = {.size = sizeof p};
        in[i] = NULL;
        if (lamina_model_input(m, i, &p) != LAMINA_OK) return R_RUN;
        lamina_status st = read_value(e, dir, "input", i, port_kind(&p), &in[i], &err);
        if (st == LAMINA_E_IO) continue; /* takes the initialiser's default */
        if (st != LAMINA_OK) return (void)snprintf(why, cap, "input %zu: %s", i, err.msg), R_RUN;
        if (in[i]->kind == LAMINA_KIND_NONE && p.kind != LAMINA_KIND_NONE && !p.optional)
            return R_RUN;
    }
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    if (lamina_session_run(s, (const lamina_tensor *const *)in, n_in, out, n_out, &o) != LAMINA_OK)
        return (void)snprintf(why, cap, "%s", err.msg), R_RUN;
    int result = R_PASS;
    for (size_t i = 0; i < n_out && result == R_PASS; i++) {
        lamina_port p = {.size = sizeof p};
        lamina_tensor *want = NULL;
        if (lamina_model_output(m, i, &p) != LAMINA_OK) return R_RUN;
        lamina_status st = read_value(e, dir, "output", i, port_kind(&p), &want, &err);
        if (st != LAMINA_OK) return (void)snprintf(why, cap, "output %zu: %s", i, err.msg), R_RUN;
        char text[512] = "";
        if (!value_equal(out[i], want, values, text, sizeof text)) {
            result = R_MISMATCH;
            (void)snprintf(why, cap, "output %zu (%s): %s", i, p.name, text);
        }
        lamina_tensor_unref(want);
    }
    for (size_t i = 0; i < n_in; i++) lamina_tensor_unref(in[i]);
    for (size_t i = 0; i < n_out; i++) lamina_tensor_unref(out[i]);
    return result;
}

static int run_case(const char *dir, const char *name, const totals *t, char *why, size_t cap)
{
    char path[4096];
    lamina_engine *e = NULL;
    lamina_model *m = NULL;
    lamina_session *s = NULL;
    lamina_error err = {0};
    const lamina_engine_opts eo = {.size = sizeof eo, .n_threads = t->threads};
    if (lamina_engine_create(&eo, &e) != LAMINA_OK) return R_LOAD;
    (void)snprintf(path, sizeof path, "%s/model.onnx", dir);
    int result = R_LOAD, set = 0;
    if (lamina_model_load(e, path, NULL, &m, &err) == LAMINA_OK &&
        lamina_session_create(m, NULL, &s, &err) == LAMINA_OK) {
        for (result = R_PASS; result == R_PASS; set++) {
            (void)snprintf(path, sizeof path, "%s/test_data_set_%d", dir, set);
            if (access(path, R_OK) != 0) break;
            result = run_set(e, m, s, path, !is_random(name), why, cap);
        }
        if (set == 0) result = R_RUN, (void)snprintf(why, cap, "no test_data_set_0");
    } else {
        (void)snprintf(why, cap, "%s", err.msg);
    }
    lamina_session_destroy(s);
    lamina_model_unref(m);
    if (result == R_PASS) lamina_engine_destroy(e);
    return result;
}

static int isolate(const char *dir, const char *name, const totals *t, char *why, size_t cap)
{
    int fd[2];
    why[0] = 0;
    if (pipe(fd) != 0) return R_CRASH;
    (void)fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char text[1024] = "";
        (void)close(fd[0]);
        (void)alarm(LIMIT_S);
        int r = run_case(dir, name, t, text, sizeof text);
        if (write(fd[1], text, strlen(text)) < 0) _exit(R_CRASH);
        (void)close(fd[1]);
        exit(r); /* not _exit: the leak check of a sanitizer build runs here */
    }
    (void)close(fd[1]);
    size_t n = 0;
    ssize_t k;
    while (n + 1 < cap && (k = read(fd[0], why + n, cap - 1 - n)) > 0) n += (size_t)k;
    why[n] = 0;
    (void)close(fd[0]);
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) < 0) return R_CRASH;
    if (WIFSIGNALED(status)) return WTERMSIG(status) == SIGALRM ? R_TIMEOUT : R_CRASH;
    int code = WEXITSTATUS(status);
    return code < R_CRASH ? code : R_CRASH;
}

static void visit(const char *dir, totals *t)
{
    char path[4096], why[1024];
    (void)snprintf(path, sizeof path, "%s/model.onnx", dir);
    if (access(path, R_OK) == 0) {
        const char *name = strrchr(dir, '/');
        name = name ? name + 1 : dir;
        if (t->filter && !strstr(name, t->filter)) return;
        int r = isolate(dir, name, t, why, sizeof why);
        t->n[r]++;
        t->total++;
        if (r != R_PASS && t->list) printf("%-10s %s: %s\n", NAMES[r], name, why);
        return;
    }
    struct dirent **list = NULL;
    int n = scandir(dir, &list, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (list[i]->d_name[0] != '.') {
            (void)snprintf(path, sizeof path, "%s/%s", dir, list[i]->d_name);
            struct stat sb;
            if (stat(path, &sb) == 0 && S_ISDIR(sb.st_mode)) visit(path, t);
        }
        free(list[i]);
    }
    free(list);
}

static void write_json(const char *file, const totals *t)
{
    FILE *f = fopen(file, "w");
    if (!f) return;
    (void)fprintf(f, "{\"total\": %d", t->total);
    for (int i = 0; i < R_N; i++) (void)fprintf(f, ", \"%s\": %d", NAMES[i], t->n[i]);
    (void)fprintf(f, "}\n");
    (void)fclose(f);
}

int main(int argc, char **argv)
{
    totals t = {.list = false, .threads = 1};
    int min = 0;
    const char *json = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--filter") && i + 1 < argc)
            t.filter = argv[++i];
        else if (!strcmp(argv[i], "--json") && i + 1 < argc)
            json = argv[++i];
        else if (!strcmp(argv[i], "--min") && i + 1 < argc)
            min = atoi(argv[++i]);
        else if (!strcmp(argv[i], "--threads") && i + 1 < argc)
            t.threads = (uint32_t)atoi(argv[++i]);
        else if (!strcmp(argv[i], "--list-failures"))
            t.list = true;
        else if (argv[i][0] != '-')
            visit(argv[i], &t);
        else
            return fprintf(stderr, "conformance: unknown option %s\n", argv[i]), 2;
    }
    printf("%d of %d pass", t.n[R_PASS], t.total);
    for (int i = 1; i < R_N; i++) printf(", %d %s", t.n[i], NAMES[i]);
    printf("\n");
    if (json) write_json(json, &t);
    return t.n[R_PASS] < min || t.n[R_CRASH] || t.n[R_TIMEOUT];
}
