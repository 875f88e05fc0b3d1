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
    const lamina_allocator *a = &lmn_libc_allocator;
    lmn_tokens *first = NULL, *again = NULL;
    lamina_error err = {0};
    const lmn_span text = {data, size};
    const lamina_status st = lmn_tokens_parse(a, text, 2, NULL, &first, &err);
    if ((st == LAMINA_OK) != (err.msg[0] == 0) || (st == LAMINA_OK) != (first != NULL)) abort();
    if (!first) return 0;
    for (uint32_t i = 0; i < first->n; i++) judge(&first->token[i]);
    /* read again, every token goes on with what it left behind */
    if (lmn_tokens_parse(a, text, 2, first, &again, &err) != LAMINA_OK) abort();
    lmn_tokens_unref(first);
    if (again->n == 0) abort();
    for (uint32_t i = 0; i < again->n; i++)
        if (lmn_atomic_load(&again->token[i].use->refs, relaxed) == 0) abort();
    lmn_tokens_unref(again);
    return 0;
}
