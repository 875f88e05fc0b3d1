/*
 * Settings over HTTP: GET shows them, POST on the admin address changes what its JSON object names
 * and answers what holds then. null takes a setting back.
 */
#include "serve/server_int.h"

#define MAX_LIST 4u /* values of one setting */

static bool is_scalar(lmn_json_kind k)
{
    return k == LMN_JSON_STRING || k == LMN_JSON_NUMBER || k == LMN_JSON_TRUE ||
           k == LMN_JSON_FALSE;
}

/* Numbers and truths by their text. */
static lmn_span text_of(const lmn_json_token *t)
{
    if (t->kind == LMN_JSON_TRUE) return (lmn_span){(const uint8_t *)"true", 4};
    if (t->kind == LMN_JSON_FALSE) return (lmn_span){(const uint8_t *)"false", 5};
    return t->text;
}

/* One value: a scalar, a list of strings, null. */
static lamina_status read_value(lmn_json *j, lmn_span text[MAX_LIST], lmn_setting_value *v,
                                lamina_error *err)
{
    lmn_json_token t;
    const lmn_json_kind first = lmn_json_next(j, &t);
    *v = (lmn_setting_value){LMN_SETTING_LIST, text, 0};
    if (first == LMN_JSON_NULL) return LAMINA_OK;
    if (is_scalar(first) && !t.escaped) {
        v->kind = first == LMN_JSON_NUMBER   ? LMN_SETTING_U32
                  : first == LMN_JSON_STRING ? LMN_SETTING_TEXT
                                             : LMN_SETTING_BOOL;
        text[v->n++] = text_of(&t);
        return LAMINA_OK;
    }
    while (first == LMN_JSON_ARRAY && lmn_json_next(j, &t) == LMN_JSON_STRING && !t.escaped &&
           v->n < MAX_LIST)
        text[v->n++] = t.text;
    if (first == LMN_JSON_ARRAY && t.kind == LMN_JSON_ARRAY_END && v->n) return LAMINA_OK;
    if (t.kind == LMN_JSON_ERROR) return LAMINA_E_PARSE;
    return lmn_fail(err, LAMINA_E_PARSE,
                    "a setting is a text, a number, true or false, a list of texts, or null");
}

lamina_status lmn_settings_edit_json(lmn_settings_edit *e, lmn_span body, lamina_error *err)
{
    lmn_json j;
    lmn_json_token t;
    lmn_span text[MAX_LIST];
    lmn_setting_value v;
    lmn_json_init(&j, body, err);
    if (lmn_json_next(&j, &t) == LMN_JSON_ERROR) return LAMINA_E_PARSE;
    if (t.kind != LMN_JSON_OBJECT)
        return lmn_fail(err, LAMINA_E_PARSE, "the body must be a JSON object of settings");
    while (lmn_json_next(&j, &t) == LMN_JSON_KEY) {
        const lmn_span name = t.text;
        LMN_TRY(read_value(&j, text, &v, err));
        LMN_TRY(lmn_settings_edit_set(e, name, &v, err));
    }
    return t.kind == LMN_JSON_OBJECT_END && lmn_json_next(&j, &t) == LMN_JSON_END ? LAMINA_OK
                                                                                  : LAMINA_E_PARSE;
}

static void write_setting(lmn_jsonw *w, const lmn_setting *s)
{
    switch (s->kind) {
    case LMN_SETTING_LIST:
        lmn_jsonw_array(w, s->name);
        lmn_jsonw_str(w, NULL, s->value);
        lmn_jsonw_end(w);
        break;
    case LMN_SETTING_BOOL: lmn_jsonw_bool(w, s->name, s->value[0] == 't'); break;
    case LMN_SETTING_U32: {
        uint64_t v = 0;
        for (const char *p = s->value; *p; p++) v = v * 10 + (uint64_t)(*p - '0');
        lmn_jsonw_u64(w, s->name, v);
        break;
    }
    default: lmn_jsonw_str(w, s->name, s->value);
    }
}

void lmn_settings_request(lmn_serve_loop *l, lmn_http_request *r, bool log, lmn_span model)
{
    lamina_server *s = l->server;
    lmn_setting rows[LMN_SETTINGS_ROWS];
    lmn_settings_edit e;
    lamina_error err = {0};
    if (r->method == LMN_HTTP_POST) {
        if (r->listener != s->admin) {
            lmn_serve_error(l, r, LMN_ROUTE_SERVER, 403,
                            "settings are changed on the admin address only", 0);
            return;
        }
        if (log)
            lmn_log_edit_begin(s, &e);
        else
            lmn_trace_edit_begin(s, model, &e);
        if (lmn_settings_edit_json(&e, r->body, &err) != LAMINA_OK ||
            lmn_settings_edit_commit(s, &e, &err) != LAMINA_OK) {
            lmn_serve_error(l, r, LMN_ROUTE_SERVER, 400, err.msg, 0);
            return;
        }
    }
    const uint32_t n = log ? lmn_log_settings_get(s, rows) : lmn_trace_settings_get(s, model, rows);
    lmn_jsonw w = lmn_serve_json(l);
    lmn_jsonw_object(&w, NULL);
    for (uint32_t i = 0; i < n; i++) write_setting(&w, &rows[i]);
    lmn_jsonw_end(&w);
    lmn_serve_text(l, r, LMN_ROUTE_SERVER, "application/json");
}
