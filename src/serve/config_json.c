/*
 * A configuration as JSON: the form that proto3 gives a message (integers and enumerations may be
 * strings, a map is an object), over the strict parser of base. null is as if it were not there.
 */
#include "base/json.h"
#include "serve/config_tree.h"

#include <string.h>

typedef struct reader {
    lmn_cfg_tree *t;
    lmn_json json;
    uint32_t depth;
} reader;

static lamina_status bad(reader *r, const char *what)
{
    return lmn_fail(r->t->err, LAMINA_E_PARSE, "%s", what);
}

/* The text of a scalar; a zero byte would hide what follows it. */
static lamina_status scalar(reader *r, lmn_cfg_node *n, const lmn_json_token *t)
{
    if (t->kind == LMN_JSON_TRUE || t->kind == LMN_JSON_FALSE) {
        n->text = t->kind == LMN_JSON_TRUE ? "true" : "false";
        return LAMINA_OK;
    }
    char *text = lmn_arena_bump(r->t->arena, t->text.n + 1, 1);
    if (!text) return lmn_fail(r->t->err, LAMINA_E_NOMEM, "out of memory");
    size_t len = t->text.n;
    if (t->kind == LMN_JSON_STRING)
        len = lmn_json_string(t, text);
    else
        memcpy(text, t->text.p, len);
    text[len] = 0;
    if (memchr(text, 0, len)) return bad(r, "a text holds a zero character");
    n->text = text;
    return LAMINA_OK;
}

static lamina_status object(reader *r, lmn_cfg_node *into);

static lamina_status value(reader *r, lmn_cfg_node *parent, const char *name,
                           const lmn_json_token *t)
{
    if (t->kind == LMN_JSON_ERROR) return LAMINA_E_PARSE; /* said by the parser */
    if (t->kind == LMN_JSON_NULL) return LAMINA_OK;
    if (t->kind == LMN_JSON_ARRAY) return bad(r, "a list stands in a list");
    const lmn_cfg_kind kind = t->kind == LMN_JSON_OBJECT   ? LMN_CFG_MESSAGE
                              : t->kind == LMN_JSON_STRING ? LMN_CFG_STRING
                                                           : LMN_CFG_WORD;
    lmn_cfg_node *n = lmn_cfg_add(r->t, parent, name, strlen(name), kind, 0);
    if (!n) return LAMINA_E_LIMIT;
    return kind == LMN_CFG_MESSAGE ? object(r, n) : scalar(r, n, t);
}

static lamina_status member(reader *r, lmn_cfg_node *into, const char *name)
{
    lmn_json_token t;
    if (lmn_json_next(&r->json, &t) != LMN_JSON_ARRAY) return value(r, into, name, &t);
    while (lmn_json_next(&r->json, &t) != LMN_JSON_ARRAY_END) LMN_TRY(value(r, into, name, &t));
    return LAMINA_OK;
}

static lamina_status object(reader *r, lmn_cfg_node *into)
{
    lmn_json_token t;
    if (++r->depth > LMN_CFG_MAX_DEPTH) return bad(r, "objects are nested too deep");
    while (lmn_json_next(&r->json, &t) == LMN_JSON_KEY) {
        char name[200];
        if (t.text.n >= sizeof name) return bad(r, "the name of a field is too long");
        const size_t n = lmn_json_string(&t, name);
        name[n] = 0;
        if (memchr(name, 0, n)) return bad(r, "a name holds a zero character");
        LMN_TRY(member(r, into, name));
    }
    r->depth--;
    return t.kind == LMN_JSON_OBJECT_END ? LAMINA_OK : LAMINA_E_PARSE;
}

lamina_status lmn_cfg_read_json(lmn_cfg_tree *t, lmn_span text)
{
    reader r = {.t = t};
    lmn_json_token token;
    t->json = true;
    if (text.n > LMN_CFG_MAX_BYTES)
        return lmn_fail(t->err, LAMINA_E_LIMIT, "the configuration is longer than %zu bytes",
                        LMN_CFG_MAX_BYTES);
    t->root = lmn_cfg_add(t, NULL, "", 0, LMN_CFG_MESSAGE, 0);
    if (!t->root) return LAMINA_E_NOMEM;
    lmn_json_init(&r.json, text, t->err);
    if (lmn_json_next(&r.json, &token) == LMN_JSON_ERROR) return LAMINA_E_PARSE;
    if (token.kind != LMN_JSON_OBJECT) return bad(&r, "the configuration is no JSON object");
    LMN_TRY(object(&r, t->root));
    return lmn_json_next(&r.json, &token) == LMN_JSON_END ? LAMINA_OK : LAMINA_E_PARSE;
}
