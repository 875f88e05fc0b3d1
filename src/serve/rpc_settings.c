/*
 * TraceSetting and LogSettings of gRPC on the settings that HTTP shows: a request without settings
 * asks, one with them changes, on the admin address alone.
 */
#include "serve/rpc_int.h"

#include "base/pbwire.h"

#include <string.h>

#define MAX_VALUES 4u /* of one setting */

/* One setting that is to change. */
typedef struct given {
    lmn_span name, text[MAX_VALUES];
    lmn_setting_value value;
} given;

/* SettingValue: of a trace a list of texts = 1; of the log bool = 1, uint32 = 2, text = 3. */
static bool read_value(given *g, lmn_span value, bool log, char number[16])
{
    lmn_pb c = lmn_pb_of(value);
    lmn_pb_field f;
    g->value = (lmn_setting_value){LMN_SETTING_LIST, g->text, 0};
    while (lmn_pb_next(&c, &f)) {
        if (g->value.n == MAX_VALUES || (log && g->value.n)) return false;
        if (f.wire == LMN_PB_BYTES && f.num == (log ? 3 : 1)) {
            if (log) g->value.kind = LMN_SETTING_TEXT;
            g->text[g->value.n++] = f.s;
        } else if (log && f.wire == LMN_PB_VARINT && (f.num == 1 || f.num == 2)) {
            const char *truth = f.u ? "true" : "false";
            g->value.kind = f.num == 1 ? LMN_SETTING_BOOL : LMN_SETTING_U32;
            const size_t n = f.num == 1 ? lmn_format(number, 16, "%s", truth)
                                        : lmn_format(number, 16, "%u", (unsigned)f.u);
            g->text[g->value.n++] = (lmn_span){(const uint8_t *)number, n};
        } else {
            return false;
        }
    }
    return !c.bad;
}

static bool read_entry(given *g, lmn_span entry, bool log, char number[16])
{
    lmn_pb c = lmn_pb_of(entry);
    lmn_pb_field f;
    lmn_span value = {NULL, 0};
    g->name = value;
    while (lmn_pb_next(&c, &f)) {
        if (f.wire != LMN_PB_BYTES || f.num < 1 || f.num > 2) return false;
        if (f.num == 1) g->name = f.s;
        if (f.num == 2) value = f.s;
    }
    return !c.bad && read_value(g, value, log, number);
}

/* All that the message changes; *any: something. */
static lamina_status edit(lmn_settings_edit *e, lmn_span message, bool *any, lamina_error *err)
{
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    given g;
    char number[16];
    *any = false;
    while (lmn_pb_next(&c, &f)) {
        if (f.num != 1) continue;
        *any = true;
        if (f.wire != LMN_PB_BYTES || !read_entry(&g, f.s, e->log, number))
            return lmn_fail(err, LAMINA_E_PARSE, "the message is damaged, or is another one");
        LMN_TRY(lmn_settings_edit_set(e, g.name, &g.value, err));
    }
    if (c.bad) return lmn_fail(err, LAMINA_E_PARSE, "the message is damaged");
    return LAMINA_OK;
}

/* ---- answers ---- */

static size_t put_bytes(uint8_t *p, uint32_t field, const void *s, size_t n)
{
    p[0] = (uint8_t)(field << 3 | LMN_PB_BYTES);
    p[1] = (uint8_t)n; /* < 128 */
    memcpy(p + 2, s, n);
    return n + 2;
}

static size_t put_value(uint8_t *p, const lmn_setting *row, bool log)
{
    uint32_t u = 0;
    const size_t n = strlen(row->value);
    if (!log) return put_bytes(p, 1, row->value, n);
    if (row->kind != LMN_SETTING_BOOL && row->kind != LMN_SETTING_U32)
        return put_bytes(p, 3, row->value, n);
    if (row->kind == LMN_SETTING_BOOL) {
        p[0] = 1 << 3 | LMN_PB_VARINT;
        p[1] = row->value[0] == 't';
        return 2;
    }
    for (const char *d = row->value; *d >= '0' && *d <= '9'; d++) u = 10 * u + (uint32_t)(*d - '0');
    p[0] = 2 << 3 | LMN_PB_VARINT;
    return 1 + lmn_pb_put_varint(p + 1, u);
}

static void say_rows(lmn_serve_loop *l, lmn_http_request *r, const lmn_setting *rows, uint32_t n,
                     bool log)
{
    uint8_t out[LMN_SETTINGS_ROWS * 128], entry[120], value[40];
    size_t k = 0;
    for (uint32_t i = 0; i < n; i++) {
        const size_t name = strlen(rows[i].name);
        if (name > 64) continue;
        size_t e = put_bytes(entry, 1, rows[i].name, name);
        e += put_bytes(entry + e, 2, value, put_value(value, &rows[i], log));
        k += put_bytes(out + k, 1, entry, e);
    }
    lmn_rpc_say(l, r, LMN_ROUTE_SERVER, (lmn_span){out, k});
}

static void fail(lmn_serve_loop *l, lmn_http_request *r, const lamina_error *err)
{
    const lmn_rpc_code c = err->status == LAMINA_E_UNSUPPORTED ? LMN_RPC_UNIMPLEMENTED
                           : err->status == LAMINA_E_LIMIT     ? LMN_RPC_EXHAUSTED
                                                               : LMN_RPC_INVALID;
    lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, c, err->msg);
}

/* Change what the message changes. False: it was answered. */
static bool apply(lmn_serve_loop *l, lmn_http_request *r, lmn_settings_edit *e, lmn_span message)
{
    lamina_error err = {0};
    bool any;
    lamina_status st = edit(e, message, &any, &err);
    if (any && r->listener != l->server->admin) {
        lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_FORBIDDEN,
                     "settings are changed on the admin address only");
        return false;
    }
    if (st == LAMINA_OK && any) st = lmn_settings_edit_commit(l->server, e, &err);
    if (st != LAMINA_OK) fail(l, r, &err);
    return st == LAMINA_OK;
}

void lmn_rpc_log_settings(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_setting rows[LMN_SETTINGS_ROWS];
    lmn_settings_edit e;
    if (!lmn_serve_may(l, r, (lmn_span){NULL, 0})) {
        lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_FORBIDDEN, "this token is for models alone");
        return;
    }
    lmn_log_edit_begin(l->server, &e);
    if (apply(l, r, &e, message)) say_rows(l, r, rows, lmn_log_settings_get(l->server, rows), true);
}

void lmn_rpc_trace_setting(lmn_serve_loop *l, lmn_http_request *r, lmn_span message)
{
    lmn_setting rows[LMN_SETTINGS_ROWS];
    lmn_settings_edit e;
    lmn_pb c = lmn_pb_of(message);
    lmn_pb_field f;
    lmn_span model = {NULL, 0};
    bool known;
    while (lmn_pb_next(&c, &f))
        if (f.num == 2 && f.wire == LMN_PB_BYTES) model = f.s;
    if (!lmn_serve_may(l, r, model)) {
        lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_FORBIDDEN, "this token is for other models");
        return;
    }
    if (model.n && (!lmn_repo_name_ok(model) || !lmn_repo_find(&l->view, model, 0, &known))) {
        lmn_rpc_fail(l, r, LMN_ROUTE_SERVER, LMN_RPC_NOT_FOUND, "there is no model of that name");
        return;
    }
    lmn_trace_edit_begin(l->server, model, &e);
    if (apply(l, r, &e, message))
        say_rows(l, r, rows, lmn_trace_settings_get(l->server, model, rows), false);
}
