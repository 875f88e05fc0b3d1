/*
 * Reading recipes and doing what their steps say.
 */
#include "cli_recipe.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_SIDE 16384
#define MAX_PIXELS (1 << 24)

static FILE *open_recipe(const char *name)
{
    char path[2048], exe[1024];
    FILE *f = strchr(name, '/') ? fopen(name, "r") : NULL;
    const char *env = getenv("LAMINA_RECIPES");
    if (!f && env && snprintf(path, sizeof path, "%s/%s.recipe", env, name) > 0)
        f = fopen(path, "r");
    if (!f && snprintf(path, sizeof path, "recipes/%s.recipe", name) > 0) f = fopen(path, "r");
    ssize_t n = f ? -1 : readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (n > 0) {
        exe[n] = 0;
        char *slash = strrchr(exe, '/');
        if (slash) *slash = 0;
        static const char *const PLACES[] = {"../share/lamina/recipes", "../../recipes"};
        for (int i = 0; !f && i < 2; i++)
            if (snprintf(path, sizeof path, "%s/%s/%s.recipe", exe, PLACES[i], name) > 0)
                f = fopen(path, "r");
    }
    return f;
}

/* Next word or "quoted text" of *s into out; false at the end of the step. */
static bool next_word(const char **s, char *out, size_t cap)
{
    size_t n = 0;
    while (isspace((unsigned char)**s)) (*s)++;
    if (!**s) return false;
    if (**s == '"') {
        for ((*s)++; **s && **s != '"'; (*s)++)
            if (n + 1 < cap) out[n++] = **s;
        if (**s) (*s)++;
    } else {
        for (; **s && !isspace((unsigned char)**s); (*s)++)
            if (n + 1 < cap) out[n++] = **s;
    }
    out[n] = 0;
    return true;
}

static bool is_known(const char *w)
{
    static const char *const WORDS[] = {
        "bytes", "strip", "head", "tail", "pad",     "i32", "f32",    "image", "short",  "height",
        "size",  "crop",  "sub",  "div",  "softmax", "top", "labels", "ctc",   "append", "block"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (!strcmp(w, WORDS[i])) return true;
    return false;
}

static bool is_number(const char *s)
{
    char *end;
    (void)strtod(s, &end);
    return end != s && !*end;
}

/* Words that take a number have one. */
static bool numbers_fit(const recipe_step *s)
{
    static const char *const WORDS[] = {"head", "tail", "pad", "block", "short", "height",
                                        "size", "crop", "sub", "div",   "top"};
    for (size_t i = 0; i < sizeof WORDS / sizeof *WORDS; i++)
        if (!strcmp(s->word, WORDS[i])) return is_number(s->arg);
    return true;
}

bool recipe_parse_line(const char *text, recipe_line *out)
{
    char word[160];
    *out = (recipe_line){.n = 0};
    if (!next_word(&text, word, sizeof word)) return false;
    if (strcmp(word, "input") && strcmp(word, "output")) return false;
    out->output = word[0] == 'o';
    while (*text && out->n < RECIPE_MAX_STEPS) {
        char step[512];
        bool quoted = false;
        size_t k = 0;
        for (; *text && (quoted || *text != ','); text++) {
            if (*text == '"') quoted = !quoted;
            if (k + 1 < sizeof step) step[k++] = *text;
        }
        if (*text) text++;
        step[k] = 0;
        const char *p = step;
        if (!next_word(&p, word, sizeof word)) continue;
        if (out->n == 0 && !out->port[0] && !is_known(word)) {
            (void)snprintf(out->port, sizeof out->port, "%.60s", word);
            if (!next_word(&p, word, sizeof word)) continue;
        }
        if (!is_known(word)) return false;
        recipe_step *s = &out->step[out->n++];
        (void)snprintf(s->word, sizeof s->word, "%.20s", word);
        if (next_word(&p, s->arg, sizeof s->arg)) (void)next_word(&p, s->arg2, sizeof s->arg2);
        if (!numbers_fit(s)) return false;
    }
    return out->n > 0;
}

bool recipe_read(const char *name, recipe *r)
{
    char line[1024];
    FILE *f = open_recipe(name);
    *r = (recipe){.n = 0};
    if (!f)
        return (void)cli_fail(
                   "there is no recipe \"%s\": give a path, or put NAME.recipe into ./recipes",
                   name),
               false;
    bool ok = true;
    for (int at = 1; ok && fgets(line, sizeof line, f); at++) {
        line[strcspn(line, "\r\n#")] = 0;
        if (!line[strspn(line, " \t")]) continue;
        ok = r->n < 8 && recipe_parse_line(line, &r->line[r->n]);
        if (!ok) (void)cli_fail("recipe %s, line %d is not understood: %s", name, at, line);
        r->n++;
    }
    (void)fclose(f);
    return ok;
}

const recipe_step *recipe_find(const recipe_line *l, const char *word)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->step[i].word, word)) return &l->step[i];
    return NULL;
}

static double number(const recipe_line *l, const char *word, double def)
{
    const recipe_step *s = recipe_find(l, word);
    return s && s->arg[0] ? strtod(s->arg, NULL) : def;
}

/* A whole number within [0, 2^31); what is none, or is outside, is `def`. */
static int whole(const recipe_line *l, const char *word, int def)
{
    const double v = number(l, word, def);
    return v >= 0 && v < 0x1p31 ? (int)v : def;
}

/* ---- bytes ------------------------------------------------------------------------------------
 */

static bool is_space(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* First and last `block` bytes of the file, the white space at its ends stripped if asked. */
static bool read_ends(FILE *f, size_t block, bool strip, unsigned char *head, size_t *n_head,
                      unsigned char *tail, size_t *n_tail)
{
    if (fseek(f, 0, SEEK_END) != 0) return false;
    long bytes = ftell(f);
    if (bytes < 0) return false;
    size_t n = (size_t)bytes < block ? (size_t)bytes : block;
    if (fseek(f, 0, SEEK_SET) != 0) return false;
    *n_head = fread(head, 1, n, f);
    if (fseek(f, bytes - (long)n, SEEK_SET) != 0) return false;
    *n_tail = fread(tail, 1, n, f);
    if (!strip) return true;
    size_t k = 0;
    while (k < *n_head && is_space(head[k])) k++;
    memmove(head, head + k, *n_head -= k);
    while (*n_tail && is_space(tail[*n_tail - 1])) (*n_tail)--;
    return true;
}

lamina_tensor *recipe_bytes(lamina_engine *e, const recipe_line *l, const char *path)
{
    const size_t head = (size_t)whole(l, "head", 0), tail = (size_t)whole(l, "tail", 0);
    const size_t block = (size_t)whole(l, "block", 4096);
    const double wanted = number(l, "pad", 0);
    const int32_t pad = fabs(wanted) < 0x1p31 ? (int32_t)wanted : 0;
    if (head + tail == 0 || head > block || tail > block || block > 1u << 24)
        return (void)cli_fail("the recipe's head and tail must be 1 to block bytes"), NULL;
    FILE *f = fopen(path, "rb");
    if (!f) return (void)cli_fail("cannot open %s: %s", path, strerror(errno)), NULL;
    unsigned char *a = malloc(2 * block), *b = a ? a + block : NULL;
    size_t na = 0, nb = 0;
    bool ok = a && read_ends(f, block, recipe_find(l, "strip") != NULL, a, &na, b, &nb);
    (void)fclose(f);
    const bool f32 = recipe_find(l, "f32") != NULL;
    lamina_tensor *t = NULL;
    const int64_t dims[2] = {1, (int64_t)(head + tail)};
    if (ok && lamina_tensor_create(e, f32 ? LAMINA_F32 : LAMINA_I32, 2, dims, &t) == LAMINA_OK) {
        void *d = lamina_tensor_mutable_data(t);
        for (size_t i = 0; i < head + tail; i++) {
            int32_t v = pad;
            if (i < head && i < na) v = a[i];
            if (i >= head && tail - (i - head) <= nb) v = b[nb - (tail - (i - head))];
            if (f32)
                ((float *)d)[i] = (float)v;
            else
                ((int32_t *)d)[i] = v;
        }
    }
    free(a);
    if (!t) (void)cli_fail("%s cannot be read", path);
    return t;
}

/* ---- pictures ---------------------------------------------------------------------------------
 */

/* The centre of a w x h picture, cw x ch big, in the order and scale the recipe wants. */
static void fill_image(const recipe_line *l, const recipe_step *kind, const float *pix,
                       const int *size, const int *crop, float *dst)
{
    const int w = size[0], cw = crop[0], ch = crop[1];
    const int x0 = (w - cw) / 2, y0 = (size[1] - ch) / 2;
    const bool bgr = !strcmp(kind->arg, "bgr"), nhwc = !strcmp(kind->arg2, "nhwc");
    const double sub = number(l, "sub", 0), div = number(l, "div", 1);
    for (int y = 0; y < ch; y++)
        for (int x = 0; x < cw; x++)
            for (int c = 0; c < 3; c++) {
                float v = pix[((size_t)(y + y0) * (size_t)w + (size_t)(x + x0)) * 3 +
                              (size_t)(bgr ? 2 - c : c)];
                size_t at = nhwc ? ((size_t)y * (size_t)cw + (size_t)x) * 3 + (size_t)c
                                 : ((size_t)c * (size_t)ch + (size_t)y) * (size_t)cw + (size_t)x;
                dst[at] = (float)((v - sub) / div);
            }
}

lamina_tensor *recipe_image(lamina_engine *e, const recipe_line *l, const char *path)
{
    int w, h;
    const recipe_step *kind = recipe_find(l, "image");
    unsigned char *src = kind ? image_read(path, &w, &h) : NULL;
    if (!src) return NULL;
    int dw = w, dh = h;
    const int shorter = whole(l, "short", 0), height = whole(l, "height", 0);
    const recipe_step *size = recipe_find(l, "size");
    if (shorter > MAX_SIDE || height > MAX_SIDE) {
        dw = dh = 0;
    } else if (shorter > 0) {
        dw = w < h ? shorter : (int)((double)w * shorter / h + 0.5);
        dh = w < h ? (int)((double)h * shorter / w + 0.5) : shorter;
    } else if (height > 0) {
        dh = height;
        dw = (int)ceil((double)w * height / h);
    } else if (size) {
        dw = (int)strtol(size->arg, NULL, 10);
        dh = (int)strtol(size->arg2, NULL, 10);
    }
    const int crop = whole(l, "crop", 0);
    const int cw = crop > 0 ? crop : dw, ch = crop > 0 ? crop : dh;
    float *pix = NULL;
    if (dw < 1 || dh < 1 || dw > MAX_SIDE || dh > MAX_SIDE || cw > dw || ch > dh ||
        (int64_t)dw * dh > MAX_PIXELS)
        (void)cli_fail("%s: %d x %d pixels do not fit the recipe", path, w, h);
    else
        pix = image_resize(src, w, h, dw, dh);
    free(src);
    lamina_tensor *t = NULL;
    const bool nhwc = !strcmp(kind->arg2, "nhwc");
    const int64_t dims[4] = {1, nhwc ? ch : 3, nhwc ? cw : ch, nhwc ? 3 : cw};
    if (pix && lamina_tensor_create(e, LAMINA_F32, 4, dims, &t) == LAMINA_OK)
        fill_image(l, kind, pix, (const int[]){dw, dh}, (const int[]){cw, ch},
                   lamina_tensor_mutable_data(t));
    free(pix);
    return t;
}

/* ---- answers ----------------------------------------------------------------------------------
 */

static const char *label(const label_list *l, size_t i, char *buf, size_t cap)
{
    if (i < l->n) return l->v[i];
    (void)snprintf(buf, cap, "#%zu", i);
    return buf;
}

static int answer_top(const recipe_line *l, const float *x, size_t n, const label_list *labels,
                      bool json)
{
    double sum = 0, top = -INFINITY;
    const bool soft = recipe_find(l, "softmax") != NULL;
    for (size_t i = 0; i < n; i++) top = fmax(top, (double)x[i]);
    for (size_t i = 0; soft && i < n; i++) sum += exp((double)x[i] - top);
    size_t k = (size_t)whole(l, "top", 1), last = SIZE_MAX;
    if (json) printf("[");
    for (size_t r = 0; r < k && r < n; r++) {
        size_t best = SIZE_MAX; /* the next in order (value down, index up) after `last` */
        for (size_t i = 0; i < n; i++) {
            bool after = last == SIZE_MAX || x[i] < x[last] || (x[i] == x[last] && i > last);
            if (after && (best == SIZE_MAX || x[i] > x[best])) best = i;
        }
        if (best == SIZE_MAX) break;
        last = best;
        char buf[32];
        double p = soft ? exp((double)x[best] - top) / sum : (double)x[best];
        if (json) {
            printf("%s{\"label\": ", r ? ", " : "");
            cli_json_string(stdout, label(labels, best, buf, sizeof buf));
            printf(", \"index\": %zu, \"score\": %.6g}", best, p);
        } else {
            printf("%-24s %.3f\n", label(labels, best, buf, sizeof buf), p);
        }
    }
    if (json) printf("]");
    return CLI_OK;
}

#define CTC_LABEL 32 /* bytes of one label, the zero included */

/* Greedy CTC: argmax a step, repeats merged, blanks dropped. Label i stands for class i + 1 (blank
 * 0). */
static int answer_ctc(const recipe_line *l, const float *x, size_t steps, size_t classes,
                      const label_list *labels, bool json)
{
    const size_t blank = (size_t)whole(l, "blank", 0);
    const recipe_step *ctc = recipe_find(l, "ctc"), *append = recipe_find(l, "append");
    const size_t none = ctc->arg2[0] ? (size_t)strtoul(ctc->arg2, NULL, 10) : blank;
    size_t before = none, bytes = 0;
    char *text = calloc(steps + 1, CTC_LABEL);
    if (!text) return cli_fail("out of memory");
    for (size_t s = 0; s < steps; s++) {
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            if (x[s * classes + c] > x[s * classes + best]) best = c;
        if (best != before && best != none) {
            const size_t i = best > none ? best - 1 : best;
            const char *one = i < labels->n ? labels->v[i] : append ? append->arg : "";
            (void)snprintf(text + bytes, CTC_LABEL, "%.31s", one);
            bytes += strlen(text + bytes);
        }
        before = best;
    }
    if (json)
        cli_json_string(stdout, text);
    else
        (void)puts(text);
    free(text);
    return CLI_OK;
}

int recipe_answer(const recipe *r, const recipe_line *l, const lamina_model *m,
                  const lamina_tensor *t, const char *labels_override, bool json)
{
    label_list labels = {0};
    const recipe_step *ls = recipe_find(l, "labels");
    const char *spec = labels_override                 ? labels_override
                       : ls && strcmp(ls->arg, "FILE") ? ls->arg
                                                       : NULL;
    if (lamina_tensor_dtype(t) != LAMINA_F32 || lamina_tensor_rank(t) < 1)
        return cli_fail("the recipe reads float32 outputs only");
    if (spec && !labels_read(spec, labels_override ? "" : r->dir, m, &labels)) return CLI_FAULT;
    const int32_t rank = lamina_tensor_rank(t);
    const size_t classes = (size_t)lamina_tensor_dims(t)[rank - 1],
                 n = (size_t)lamina_tensor_count(t);
    const float *x = lamina_tensor_data(t);
    int rc = CLI_OK;
    if (recipe_find(l, "ctc"))
        rc = answer_ctc(l, x, classes ? n / classes : 0, classes, &labels, json);
    else
        rc = answer_top(l, x, n, &labels, json);
    labels_free(&labels);
    return rc;
}
