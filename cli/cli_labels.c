/*
 * Label lists: a JSON array of strings (at the top or under a key), lines of text, or a metadata
 * entry of the model.
 */
#include "cli_recipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LABEL_FILE (16u << 20)

static char *read_all(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    char *p = malloc(MAX_LABEL_FILE + 1);
    size_t n = p ? fread(p, 1, MAX_LABEL_FILE, f) : 0;
    (void)fclose(f);
    if (p) p[n] = 0;
    return p;
}

static bool push(label_list *l, char *s)
{
    if ((l->n & (l->n - 1)) == 0) {
        char **v = realloc(l->v, (l->n ? 2 * l->n : 1) * sizeof *v);
        if (!v) return false;
        l->v = v;
    }
    l->v[l->n++] = s;
    return true;
}

/* Decode the JSON string at *p (after its quote) in place; NULL if it does not end. */
static char *json_string(char **p)
{
    char *start = *p, *o = *p;
    for (char *s = *p; *s; s++) {
        if (*s == '"') {
            *o = 0;
            *p = s + 1;
            return start;
        }
        if (*s == '\\' && s[1]) {
            s++;
            *o++ = *s == 'n' ? '\n' : *s == 't' ? '\t' : *s;
        } else {
            *o++ = *s;
        }
    }
    return NULL;
}

static bool json_array(char *p, label_list *l)
{
    for (;;) {
        p += strspn(p, " \t\r\n,");
        if (*p == ']') return true;
        if (*p != '"') return false;
        p++;
        char *s = json_string(&p);
        if (!s || !push(l, s)) return false;
    }
}

static bool split_lines(char *p, label_list *l)
{
    while (*p) {
        char *end = p + strcspn(p, "\n");
        bool more = *end != 0;
        *end = 0;
        if (end > p && end[-1] == '\r') end[-1] = 0;
        if (!push(l, p)) return false;
        p = end + more;
    }
    return true;
}

static bool parse(const char *key, label_list *l)
{
    char *p = l->text + strspn(l->text, " \t\r\n");
    if (*p == '{' && key) {
        char want[128];
        (void)snprintf(want, sizeof want, "\"%.100s\"", key);
        p = strstr(p, want);
        p = p ? strchr(p, '[') : NULL;
        return p && json_array(p + 1, l);
    }
    if (*p == '[') return json_array(p + 1, l);
    return split_lines(l->text, l);
}

static char *metadata(const lamina_model *m, const char *name)
{
    const char *k, *v;
    for (size_t i = 0; lamina_model_meta(m, i, &k, &v) == LAMINA_OK; i++)
        if (!strcmp(k, name)) return strdup(v);
    return NULL;
}

bool labels_read(const char *spec, const char *dir, const lamina_model *m, label_list *out)
{
    char path[2048];
    const char *key = NULL;
    *out = (label_list){0};
    if (strncmp(spec, "meta:", 5) == 0) {
        out->text = metadata(m, spec + 5);
        if (!out->text)
            return (void)cli_fail("the model has no metadata \"%s\" for labels", spec + 5), false;
    } else {
        const bool relative = spec[0] != '/' && *dir;
        (void)snprintf(path, sizeof path, "%s%s%s", relative ? dir : "", relative ? "/" : "", spec);
        char *colon = strrchr(path, ':');
        if (colon) {
            *colon = 0;
            key = colon + 1;
        }
        out->text = read_all(path);
    }
    if (!out->text)
        return (void)cli_fail("the labels %s cannot be read: %s", spec, strerror(errno)), false;
    if (parse(key, out)) return true;
    labels_free(out);
    return (void)cli_fail("the labels %s are no list of strings", spec), false;
}

void labels_free(label_list *l)
{
    free(l->text);
    free(l->v);
    *l = (label_list){0};
}
