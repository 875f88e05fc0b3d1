/*
 * Fuzz target: recipes of the program, a line at a time: parsed, then carried out on a small
 * file and on made-up outputs. Labels and pictures, which name further files, are left out.
 */
#include "cli_recipe.h"

#include "base/engine.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_fail(const char *fmt, ...)
{
    (void)fmt;
    return CLI_FAULT;
}

void cli_json_string(FILE *f, const char *s)
{
    (void)fputs(s, f);
}

static void answer(lamina_engine *e, const recipe *r, const recipe_line *l)
{
    const int64_t dims[3] = {1, 5, 7};
    lamina_tensor *t = NULL;
    if (lamina_tensor_create(e, LAMINA_F32, 3, dims, &t) != LAMINA_OK) return;
    float *v = lamina_tensor_mutable_data(t);
    for (int i = 0; i < 35; i++) v[i] = (float)(i * 11 % 7);
    (void)recipe_answer(r, l, NULL, t, NULL, true);
    lamina_tensor_unref(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *null;
    lamina_engine e;
    char line[1024];
    recipe r = {0};
    if (!null) null = freopen("/dev/null", "w", stdout); /* answers go to stdout */
    if (!null || lmn_engine_init(&e, NULL) != LAMINA_OK) return 0;
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        const size_t n = end ? (size_t)(end - (data + at)) : size - at;
        const size_t kept = n < sizeof line ? n : sizeof line - 1;
        memcpy(line, data + at, kept);
        line[kept] = 0;
        at += n + 1;
        recipe_line l;
        if (!recipe_parse_line(line, &l)) continue;
        if (l.output && !recipe_find(&l, "labels"))
            answer(&e, &r, &l);
        else if (!l.output && recipe_find(&l, "bytes"))
            lamina_tensor_unref(recipe_bytes(&e, &l, "/etc/passwd"));
    }
    lmn_engine_finish(&e);
    return 0;
}
