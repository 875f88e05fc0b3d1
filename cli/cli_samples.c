/*
 * From files to sets of inputs. A value with one axis more than its input, or with a multiple of
 * the input's fixed first extent, holds several samples; they are cut without a copy.
 */
#include "cli_samples.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *s, const char *end)
{
    const size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static bool is_picture(const char *path)
{
    return ends_with(path, ".png") || ends_with(path, ".jpg") || ends_with(path, ".jpeg") ||
           ends_with(path, ".PNG") || ends_with(path, ".JPG") || ends_with(path, ".JPEG");
}

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool has_test_data(const char *dir)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%.4000s/input_0.pb", dir);
    return access(path, R_OK) == 0;
}

static int add_one(cli_samples *s, const char *path)
{
    if (s->n == CLI_MAX_SOURCES) return cli_fail("more than %d files of samples", CLI_MAX_SOURCES);
    if (!(s->path[s->n] = strdup(path))) return cli_fail("out of memory");
    s->n++;
    return CLI_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_folder(cli_samples *s, const char *dir)
{
    const int first = s->n;
    int rc = CLI_OK;
    DIR *d = opendir(dir);
    if (!d) return cli_fail("%s cannot be listed", dir);
    for (struct dirent *x; rc == CLI_OK && (x = readdir(d));) {
        char path[4200];
        (void)snprintf(path, sizeof path, "%.3900s/%.250s", dir, x->d_name);
        if (x->d_name[0] == '.') continue;
        if (ends_with(path, ".npz") || ends_with(path, ".npy") || is_picture(path) ||
            (is_folder(path) && has_test_data(path)))
            rc = add_one(s, path);
    }
    (void)closedir(d);
    if (rc != CLI_OK) return rc;
    if (s->n == first)
        return cli_fail("%s has no samples: .npz, .npy, .png or .jpg files, or folders with "
                        "input_0.pb",
                        dir);
    qsort(s->path + first, (size_t)(s->n - first), sizeof *s->path, by_name);
    return CLI_OK;
}

int cli_samples_add(cli_samples *s, const char *path)
{
    if (is_folder(path)) return has_test_data(path) ? add_one(s, path) : add_folder(s, path);
    if (access(path, R_OK) != 0) return cli_fail("%s: there is no such file or folder", path);
    if (ends_with(path, ".npz") || ends_with(path, ".npy") || is_picture(path))
        return add_one(s, path);
    return cli_fail("%s: samples are .npz, .npy, .png or .jpg files, or folders", path);
}

void cli_samples_free(cli_samples *s)
{
    for (int i = 0; i < s->n; i++) free(s->path[i]);
    s->n = 0;
}

/* ---- one source -------------------------------------------------------------------------------
 */

typedef struct source {
    cli_samples *s;
    lamina_engine *e;
    const lamina_model *m;
    const char *path;
    size_t n;
    lamina_port port[CLI_MAX_IO];
    lamina_tensor *whole[CLI_MAX_IO];
} source;

static int load_value(source *x, size_t i)
{
    char path[4600];
    lamina_error err;
    const lamina_port *p = &x->port[i];
    if (ends_with(x->path, ".npz"))
        (void)snprintf(path, sizeof path, "%.4000s:%.500s", x->path, p->name);
    else if (ends_with(x->path, ".npy"))
        (void)snprintf(path, sizeof path, "%.4000s", x->path);
    else
        (void)snprintf(path, sizeof path, "%.4000s/input_%zu.pb", x->path, i);
    if (lamina_tensor_load(x->e, path, cli_port_kind(p), &x->whole[i], &err) == LAMINA_OK ||
        p->optional) /* the model has a default */
        return CLI_OK;
    char text[256];
    cli_port_text(p, text, sizeof text);
    return cli_fail("input \"%s\" (%s): %s", p->name, text, err.msg);
}

static int load_picture(source *x)
{
    recipe *r = &x->s->recipe;
    if (!r->n && !recipe_read("imagenet", r)) return CLI_FAULT;
    for (int k = 0; k < r->n; k++) {
        const recipe_line *l = &r->line[k];
        if (l->output || !recipe_find(l, "image")) continue;
        for (size_t i = 0; i < x->n; i++) {
            if (l->port[0] ? strcmp(l->port, x->port[i].name) != 0 : i > 0) continue;
            x->whole[i] = recipe_image(x->e, l, x->path);
            return x->whole[i] ? CLI_OK : CLI_FAULT;
        }
    }
    return cli_fail("%s: the recipe has no image line for an input of the model", x->path);
}

static int load_source(source *x)
{
    size_t wanted = 0;
    for (size_t i = 0; i < x->n; i++) wanted += !x->port[i].optional;
    if (ends_with(x->path, ".npy") && wanted != 1)
        return cli_fail("%s: the model has %zu inputs; give an .npz with a member for each",
                        x->path, wanted);
    if (is_picture(x->path)) return load_picture(x);
    for (size_t i = 0; i < x->n; i++) {
        if (x->port[i].optional && ends_with(x->path, ".npy")) continue;
        if (load_value(x, i) != CLI_OK) return CLI_FAULT;
    }
    return CLI_OK;
}

/* Samples in value i; 0 if its shape does not fit. */
static int64_t samples_in(const source *x, size_t i)
{
    const lamina_tensor *t = x->whole[i];
    const lamina_port *p = &x->port[i];
    if (!t || lamina_tensor_kind(t) != LAMINA_KIND_TENSOR || p->rank < 0) return 1;
    const int32_t rank = lamina_tensor_rank(t), more = rank - p->rank;
    const int64_t *d = lamina_tensor_dims(t);
    if (more != 0 && more != 1) return 0;
    for (int32_t k = more ? 0 : 1; k < p->rank; k++)
        if (p->dims[k] >= 0 && d[k + more] != p->dims[k]) return 0;
    if (more) return d[0];
    const int64_t batch = p->rank > 0 ? p->dims[0] : -1;
    if (batch < 0) return 1;
    return batch == 0 ? d[0] == 0 : d[0] % batch ? 0 : d[0] / batch;
}

static int count_samples(const source *x, int64_t *n)
{
    *n = -1;
    for (size_t i = 0; i < x->n; i++) {
        char have[256], want[256];
        if (!x->whole[i]) continue;
        const int64_t here = samples_in(x, i);
        cli_value_type(x->whole[i], have, sizeof have);
        cli_port_text(&x->port[i], want, sizeof want);
        if (here < 1)
            return cli_fail("%s: input \"%s\" is %s, the model wants %s; samples may lie along one "
                            "axis more, or along the first",
                            x->path, x->port[i].name, have, want);
        if (*n >= 0 && here != *n)
            return cli_fail("%s: input \"%s\" has %lld samples, the one before has %lld", x->path,
                            x->port[i].name, (long long)here, (long long)*n);
        *n = here;
    }
    if (*n < 0) *n = 1;
    return CLI_OK;
}

/* Sample k of n of a value: a new reference or a view. */
static lamina_tensor *cut(const source *x, size_t i, int64_t k, int64_t n)
{
    lamina_tensor *t = x->whole[i], *out = NULL;
    const int32_t more = t && n ? lamina_tensor_rank(t) - x->port[i].rank : 0;
    if (!t || x->port[i].rank < 0 || lamina_tensor_kind(t) != LAMINA_KIND_TENSOR ||
        (n == 1 && more == 0))
        return lamina_tensor_ref(t);
    int64_t dims[LAMINA_MAX_RANK];
    const int64_t *d = lamina_tensor_dims(t);
    const size_t bytes = lamina_tensor_bytes(t) / (size_t)n;
    for (int32_t a = 0; a < x->port[i].rank; a++) dims[a] = d[a + more];
    if (!more) dims[0] /= n;
    const char *data = lamina_tensor_data(t);
    if (lamina_tensor_from(x->e, lamina_tensor_dtype(t), x->port[i].rank, dims,
                           data ? data + (size_t)k * bytes : NULL, &out) != LAMINA_OK)
        return NULL;
    return out;
}

static int hand_out(source *x, cli_sample_fn fn, void *ctx)
{
    lamina_tensor *in[CLI_MAX_IO];
    int64_t n;
    int rc = count_samples(x, &n);
    for (int64_t k = 0; rc == CLI_OK && k < n; k++) {
        for (size_t i = 0; i < x->n; i++) in[i] = cut(x, i, k, n);
        rc = fn(ctx, x->path, (const lamina_tensor *const *)in, x->n);
        for (size_t i = 0; i < x->n; i++) lamina_tensor_unref(in[i]);
        x->s->n_seen++;
    }
    return rc;
}

static int random_set(source *x, long seed)
{
    for (size_t i = 0; i < x->n; i++) {
        if (x->port[i].optional) continue;
        const uint64_t own = (uint64_t)seed * CLI_MAX_IO + i;
        x->whole[i] = cli_random_input(x->e, &x->port[i], &x->s->dims, own);
        if (!x->whole[i])
            return cli_fail("input \"%s\" is a sequence or too large: it cannot be made from a "
                            "seed; give --data",
                            x->port[i].name);
    }
    return CLI_OK;
}

static void release(source *x)
{
    for (size_t i = 0; i < x->n; i++) lamina_tensor_unref(x->whole[i]);
    memset(x->whole, 0, sizeof x->whole);
}

int cli_samples_each(cli_samples *s, lamina_engine *e, const lamina_model *m, cli_sample_fn fn,
                     void *ctx)
{
    source *x = calloc(1, sizeof *x);
    if (!x) return cli_fail("out of memory");
    int rc = cli_dims_check(&s->dims, m);
    *x = (source){.s = s, .e = e, .m = m, .n = lamina_model_input_count(m)};
    if (rc == CLI_OK && x->n > CLI_MAX_IO) rc = cli_fail("more than %d inputs", CLI_MAX_IO);
    for (size_t i = 0; rc == CLI_OK && i < x->n; i++) {
        x->port[i].size = sizeof x->port[i];
        if (lamina_model_input(m, i, &x->port[i]) != LAMINA_OK)
            rc = cli_fail("input %zu is not described", i);
    }
    s->n_seen = 0;
    for (int k = 0; rc == CLI_OK && k < s->n; k++) {
        x->path = s->path[k];
        rc = load_source(x);
        if (rc == CLI_OK) rc = hand_out(x, fn, ctx);
        release(x);
    }
    for (long k = 0; rc == CLI_OK && k < s->n_random; k++) {
        rc = random_set(x, k);
        if (rc == CLI_OK)
            rc = fn(ctx, "random input", (const lamina_tensor *const *)x->whole, x->n);
        s->n_seen++;
        release(x);
    }
    free(x);
    return rc;
}
