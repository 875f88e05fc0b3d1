/*
 * Options, messages and inputs that several verbs need.
 */
#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int cli_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fputs("lamina: error: ", stderr);
    (void)vfprintf(stderr, fmt, ap);
    (void)fputc('\n', stderr);
    va_end(ap);
    return CLI_FAULT;
}

int cli_fail_at(const char *path, const char *msg)
{
    return strstr(msg, path) ? cli_fail("%s", msg) : cli_fail("%s: %s", path, msg);
}

int cli_writable(const char *path)
{
    if (!path) return CLI_OK;
    struct stat st;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode)) return cli_fail("%s: %s", path, strerror(EISDIR));
        return access(path, W_OK) ? cli_fail("%s: %s", path, strerror(errno)) : CLI_OK;
    }
    const char *slash = strrchr(path, '/');
    const size_t n = slash ? (size_t)(slash - path) + 1 : 0;
    char folder[4096] = ".";
    if (n >= sizeof folder) return cli_fail("%s: %s", path, strerror(ENAMETOOLONG));
    if (n) memcpy(folder, path, n), folder[n] = 0;
    return access(folder, W_OK | X_OK) ? cli_fail("%s: %s", path, strerror(errno)) : CLI_OK;
}

int cli_usage(const char *verb, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)fprintf(stderr, "lamina %s: ", verb);
    (void)vfprintf(stderr, fmt, ap);
    (void)fprintf(stderr, "; see `lamina help %s`\n", verb);
    va_end(ap);
    return CLI_USAGE;
}

/* Edits between two words, up to 31 letters of each. */
static int distance(const char *a, const char *b)
{
    int row[33];
    for (int j = 0; j <= 32; j++) row[j] = j;
    int n = 0;
    for (int i = 0; a[i] && i < 31; i++) {
        int corner = row[0];
        row[0] = i + 1;
        for (n = 0; b[n] && n < 31; n++) {
            const int change = corner + (a[i] != b[n]);
            corner = row[n + 1];
            int least = change < row[n] + 1 ? change : row[n] + 1;
            row[n + 1] = least < corner + 1 ? least : corner + 1;
        }
    }
    return row[n];
}

const char *cli_nearest(const void *names, size_t stride, const char *text)
{
    const char *best = NULL;
    int least = (int)strlen(text) / 2 + 1;
    for (const char *p = names;; p += stride) {
        const char *name;
        memcpy(&name, p, sizeof name);
        if (!name) return best;
        const int d = distance(name, text);
        if (d < least) {
            least = d;
            best = name;
        }
    }
}

int cli_next(const char *verb, const cli_opt *spec, int argc, char **argv, int *i,
             const char **value)
{
    if (*i >= argc) return -1;
    const char *a = argv[(*i)++];
    *value = a;
    if (a[0] != '-' || !a[1]) return 0;
    const char *eq = strchr(a, '=');
    size_t n = eq ? (size_t)(eq - a) : strlen(a);
    for (int k = 0; spec[k].name; k++) {
        if (strlen(spec[k].name) != n || strncmp(spec[k].name, a, n) != 0) continue;
        if (!spec[k].value) {
            if (!eq) return k + 1;
            (void)cli_usage(verb, "%s takes no value", spec[k].name);
            return -2;
        }
        if (eq)
            *value = eq + 1;
        else if (*i < argc)
            *value = argv[(*i)++];
        else {
            (void)cli_usage(verb, "%s needs a value", spec[k].name);
            return -2;
        }
        return k + 1;
    }
    char name[64];
    (void)snprintf(name, sizeof name, "%.*s", (int)n, a);
    const char *near = cli_nearest(spec, sizeof *spec, name);
    if (near)
        (void)cli_usage(verb, "there is no option %s, did you mean %s?", name, near);
    else
        (void)cli_usage(verb, "there is no option %s", name);
    return -2;
}

static void warn(void *ctx, lamina_log_level level, const char *line)
{
    (void)ctx;
    if (level >= LAMINA_LOG_WARN) (void)fprintf(stderr, "lamina: warning: %s\n", line);
}

const lamina_log_sink cli_warnings = {.abi = LAMINA_LOG_ABI, .write = warn};

int cli_engine(uint32_t threads, lamina_engine **out)
{
    return cli_engine_traced(threads, NULL, &cli_warnings, out);
}

int cli_engine_traced(uint32_t threads, lamina_trace *trace, const lamina_log_sink *log,
                      lamina_engine **out)
{
    const lamina_engine_opts o = {
        .size = sizeof o, .n_threads = threads, .trace = trace, .log = log};
    const lamina_status st = lamina_engine_create(&o, out);
    return st == LAMINA_OK ? CLI_OK : cli_fail("no engine: %s", lamina_status_text(st));
}

bool cli_precision(const char *verb, const char *text, uint32_t *out)
{
    static const char *const NAMES[] = {"exact", "bf16", "auto", "strict", "int8"};
    for (uint32_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        if (strcmp(NAMES[i], text) != 0) continue;
        *out = i;
        return true;
    }
    (void)cli_usage(verb, "--precision is exact, bf16, int8, auto or strict, not \"%s\"", text);
    return false;
}

const char *cli_prepack_cache(const char *verb, const char *text, char *buf, size_t cap)
{
    char here[2048];
    if (!strcmp(text, "auto") || !strcmp(text, "off") || text[0] == '/') return text;
    if (!*text || !getcwd(here, sizeof here) ||
        (size_t)snprintf(buf, cap, "%s/%s", here, text) >= cap) {
        (void)cli_usage(verb, "--prepack-cache is auto, off or a folder, not \"%s\"", text);
        return NULL;
    }
    return buf;
}

int cli_plugins_add(cli_plugins *p, const char *verb, const char *path)
{
    const int most = (int)(sizeof p->paths / sizeof p->paths[0]);
    if (p->n == most) return cli_usage(verb, "at most %d plug-ins", most);
    p->paths[p->n++] = path;
    return CLI_OK;
}

int cli_plugins_load(const cli_plugins *p, lamina_engine *e)
{
    lamina_error err;
    for (int i = 0; i < p->n; i++)
        if (lamina_plugin_load(e, p->paths[i], &err) != LAMINA_OK) return cli_fail("%s", err.msg);
    return CLI_OK;
}

void cli_port_text(const lamina_port *p, char *buf, size_t cap)
{
    size_t o = 0;
    const char *of = p->kind == LAMINA_KIND_SEQUENCE ? "sequence of " : "";
    const char *dtype = p->dtype ? lamina_dtype_name(p->dtype) : "?";
    if (p->key) {
        (void)snprintf(buf, cap, "%smap(%s,%s)", of, lamina_dtype_name(p->key), dtype);
        return;
    }
    int n = snprintf(buf, cap, "%s%s[", of, dtype);
    o += n > 0 ? (size_t)n : 0;
    for (int32_t i = 0; i < p->rank && o < cap; i++) {
        const char *comma = i ? "," : "";
        if (p->dims[i] >= 0)
            n = snprintf(buf + o, cap - o, "%s%lld", comma, (long long)p->dims[i]);
        else
            n = snprintf(buf + o, cap - o, "%s%s", comma, *p->dim_names[i] ? p->dim_names[i] : "?");
        o += n > 0 ? (size_t)n : 0;
    }
    if (o < cap) (void)snprintf(buf + o, cap - o, "%s]", p->rank < 0 ? "..." : "");
}

bool cli_number(const char *verb, const char *opt, const char *text, long lo, long hi, long *out)
{
    char *end = NULL;
    errno = 0;
    long v = strtol(text, &end, 10);
    if (errno || end == text || *end || v < lo || v > hi) {
        (void)cli_usage(verb, "%s wants a whole number from %ld to %ld, not \"%s\"", opt, lo, hi,
                        text);
        return false;
    }
    *out = v;
    return true;
}

bool cli_real(const char *verb, const char *opt, const char *text, double *out)
{
    char *end = NULL;
    const double v = strtod(text, &end);
    if (end == text || *end || !(v >= 0) || v > 1e300) {
        (void)cli_usage(verb, "%s wants a number, not \"%s\"", opt, text);
        return false;
    }
    *out = v;
    return true;
}

bool cli_dims_add(cli_dims *d, const char *text)
{
    const char *eq = strchr(text, '=');
    char *end = NULL;
    if (!eq || eq == text || d->n == 32) return false;
    long long v = strtoll(eq + 1, &end, 10);
    if (end == eq + 1 || *end || v < 0) return false;
    d->names[d->n] = text;
    d->values[d->n++] = v;
    return true;
}

/* What a free dimension is called: its symbol, or INPUT.AXIS if it has none. */
static size_t dim_name(const lamina_port *p, int32_t axis, char name[300])
{
    if (*p->dim_names[axis])
        (void)snprintf(name, 300, "%.250s", p->dim_names[axis]);
    else
        (void)snprintf(name, 300, "%.250s.%d", p->name, axis);
    return strlen(name);
}

static int64_t dim_of(const cli_dims *d, const lamina_port *p, int32_t axis)
{
    char name[300];
    const size_t n = dim_name(p, axis, name);
    for (int i = 0; i < d->n; i++)
        if (strncmp(d->names[i], name, n) == 0 && d->names[i][n] == '=') return d->values[i];
    return 1;
}

/* Has the port a free dimension of that name? Those it has are added to `all`. */
static bool has_dim(const lamina_port *p, const char *given, char *all, size_t cap)
{
    bool found = false;
    char name[300];
    for (int32_t i = 0; i < p->rank; i++) {
        if (p->dims[i] >= 0) continue;
        const size_t n = dim_name(p, i, name), used = strlen(all);
        found = found || (strncmp(given, name, n) == 0 && given[n] == '=');
        (void)snprintf(all + used, cap - used, "%s%s", used ? ", " : "", name);
    }
    return found;
}

int cli_dims_check(const cli_dims *d, const lamina_model *m)
{
    for (int i = 0; i < d->n; i++) {
        bool found = false;
        char all[400] = "";
        lamina_port p = {.size = sizeof p};
        for (size_t k = 0; lamina_model_input(m, k, &p) == LAMINA_OK; k++)
            found = has_dim(&p, d->names[i], all, sizeof all) || found;
        if (found) continue;
        return cli_fail("--dim %s: no input has that free dimension; %s%s", d->names[i],
                        *all ? "there are: " : "all are fixed", all);
    }
    return CLI_OK;
}

/* SplitMix64: enough for test inputs, the same on every machine. */
static uint64_t next_random(uint64_t *s)
{
    uint64_t z = (*s += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

lamina_tensor *cli_random_input(lamina_engine *e, const lamina_port *p, const cli_dims *d,
                                uint64_t seed)
{
    int64_t dims[LAMINA_MAX_RANK];
    for (int32_t i = 0; i < p->rank; i++) dims[i] = p->dims[i] >= 0 ? p->dims[i] : dim_of(d, p, i);
    lamina_tensor *t = NULL;
    if (p->kind != LAMINA_KIND_TENSOR) return NULL;
    if (lamina_tensor_create(e, p->dtype, p->rank < 0 ? 0 : p->rank, dims, &t) != LAMINA_OK)
        return NULL;
    const int64_t n = lamina_tensor_count(t);
    void *data = lamina_tensor_mutable_data(t);
    for (int64_t i = 0; i < n && data; i++) {
        uint64_t r = next_random(&seed);
        double u = (double)(r >> 11) * 0x1p-53;
        switch (p->dtype) {
        case LAMINA_F32: ((float *)data)[i] = (float)u; break;
        case LAMINA_F64: ((double *)data)[i] = u; break;
        case LAMINA_BOOL: ((uint8_t *)data)[i] = r & 1; break;
        case LAMINA_F16: ((uint16_t *)data)[i] = r & 0x3bff; break;  /* any in [0, 1) */
        case LAMINA_BF16: ((uint16_t *)data)[i] = r & 0x3f7f; break; /* as well */
        case LAMINA_U8:
        case LAMINA_I8: ((uint8_t *)data)[i] = (uint8_t)(r & 63); break;
        case LAMINA_I32: ((int32_t *)data)[i] = r & 1; break; /* an index into any table */
        case LAMINA_I64: ((int64_t *)data)[i] = r & 1; break;
        default: break; /* zeros */
        }
    }
    return t;
}

void cli_si(char buf[16], double x, const char *unit)
{
    static const char PREFIX[] = " kMGTPE";
    int p = 0;
    while (x >= 999.5 && p < 6) {
        x /= 1000;
        p++;
    }
    char pre[2] = {p ? PREFIX[p] : 0, 0};
    const int digits = p == 0 || x >= 99.95 ? 0 : x >= 9.995 ? 1 : 2;
    (void)snprintf(buf, 16, "%.*f%s%s%.5s", digits, x, p || *unit ? " " : "", pre, unit);
}

/* Length of the UTF-8 sequence at s (RFC 3629), 0 if there is none. */
static int utf8_length(const unsigned char *s)
{
    const int n = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (s[0] > 0xf4) return 0;
    for (int i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return n;
}

void cli_json_string(FILE *f, const char *text)
{
    (void)fputc('"', f);
    for (const unsigned char *s = (const unsigned char *)text; *s;) {
        const int n = utf8_length(s);
        if (*s == '"' || *s == '\\')
            (void)fprintf(f, "\\%c", *s);
        else if (*s < 0x20 || *s == '<' || *s == 0x7f)
            (void)fprintf(f, "\\u%04x", *s);
        else if (n == 0)
            (void)fputs("\\ufffd", f);
        else
            (void)fwrite(s, 1, (size_t)n, f);
        s += n ? n : 1;
    }
    (void)fputc('"', f);
}

void cli_json_number(FILE *f, const char *prefix, double v)
{
    if (v - v == 0)
        (void)fprintf(f, "%s%.9g", prefix, v);
    else
        (void)fprintf(f, "%s\"%s\"", prefix, v != v ? "NaN" : v > 0 ? "Infinity" : "-Infinity");
}

double cli_now_s(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}
