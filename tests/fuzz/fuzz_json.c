/*
 * Fuzz target: the JSON parser. Every token is decoded and written again; what was accepted must be
 * accepted after the writer too, with the same tokens.
 */
#include "base/json.h"

#include <stdlib.h>

/* Write token t; a number as the double it is. `key` holds the last key. */
static void echo(lmn_jsonw *w, const lmn_json_token *t, const char *key, char *text)
{
    double d;
    switch (t->kind) {
    case LMN_JSON_OBJECT: lmn_jsonw_object(w, key); break;
    case LMN_JSON_ARRAY: lmn_jsonw_array(w, key); break;
    case LMN_JSON_OBJECT_END:
    case LMN_JSON_ARRAY_END: lmn_jsonw_end(w); break;
    case LMN_JSON_STRING: lmn_jsonw_strn(w, key, text, lmn_json_string(t, text)); break;
    case LMN_JSON_NUMBER:
        if (!lmn_json_f64(t, &d)) d = 0;
        lmn_jsonw_f64(w, key, d);
        break;
    case LMN_JSON_TRUE: lmn_jsonw_bool(w, key, true); break;
    case LMN_JSON_FALSE: lmn_jsonw_bool(w, key, false); break;
    case LMN_JSON_NULL: lmn_jsonw_null(w, key); break;
    default: break;
    }
}

/* Tokens of the text, written to `out` if there is one; -1 when it is refused. */
static long walk(lmn_span in, lmn_strbuf *out, char *text)
{
    lmn_json j;
    lmn_json_token t;
    lmn_jsonw w;
    lamina_error err;
    long n = 0;
    bool keyed = false;
    lmn_json_init(&j, in, &err);
    if (out) lmn_jsonw_init(&w, out, 1);
    for (;; n++) {
        lmn_json_kind kind = lmn_json_next(&j, &t);
        if (kind == LMN_JSON_ERROR) return -1;
        if (kind == LMN_JSON_END) return n;
        if (kind >= LMN_JSON_KEY && kind <= LMN_JSON_NUMBER &&
            (t.text.p < in.p || t.text.n > (size_t)(in.p + in.n - t.text.p)))
            abort();
        if (out && kind != LMN_JSON_KEY) echo(&w, &t, keyed ? "k" : NULL, text);
        if (kind == LMN_JSON_KEY) (void)lmn_json_string(&t, text);
        keyed = kind == LMN_JSON_KEY;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmn_strbuf out;
    char *text = malloc(size + 1);
    if (!text) return 0;
    lmn_strbuf_init(&out, &lmn_libc_allocator, 1 << 24);
    long n = walk((lmn_span){data, size}, &out, text);
    if (n >= 0 && out.status == LAMINA_OK) {
        const lmn_span again = {(const uint8_t *)lmn_strbuf_text(&out), out.n};
        if (walk(again, NULL, text = realloc(text, out.n + 1)) != n) abort();
    }
    lmn_strbuf_finish(&out);
    free(text);
    return 0;
}
