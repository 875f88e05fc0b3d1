/*
 * Fuzz target: files of tokens. What is taken must hold what requests lean on: lines that were read
 * have their tokens, names are short and plain, rates have a window that they divide, every list of
 * models has names alone.
 */
#include "base/alloc.h"
#include "serve/server_int.h"

#include <stdlib.h>
#include <string.h>

static void judge(lmn_token *t)
{
    if (strlen(t->name) >= sizeof t->name || strpbrk(t->name, "\"\\\n ")) abort();
    if (t->rate && t->window_ns / t->rate == 0) abort();
    if (t->rate && lmn_token_take(t, 1) != 0) abort(); /* the first may always come */
    for (size_t i = 0; t->models && i < t->models_bytes; i += strlen(t->models + i) + 1) {
        const lmn_span name = {(const uint8_t *)t->models + i, strlen(t->models + i)};
        if (!lmn_repo_name_ok(name) || !lmn_token_has_model(t, name)) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lamina_server *s = calloc(1, sizeof *s);
    lamina_error err = {0};
    if (!s) return 0;
    s->alloc = &lmn_libc_allocator;
    const lamina_status st = lmn_tokens_parse(s, (lmn_span){data, size}, &err);
    if ((st == LAMINA_OK) != (err.msg[0] == 0)) abort();
    for (uint32_t i = 0; st == LAMINA_OK && i < s->n_tokens; i++) judge(&s->tokens[i]);
    lmn_tokens_free(s);
    free(s);
    return 0;
}
