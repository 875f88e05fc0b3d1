/*
 * The machinery of the tables of fields: values of each kind, messages, maps.
 */
#include "serve/config_fields.h"

#include "base/text.h"

#include <string.h>

lamina_status lmn_cfg_bad(lmn_cfg_reader *r, const lmn_cfg_node *n, const char *fmt, ...)
{
    char what[LAMINA_ERROR_MSG_BYTES], name[80];
    va_list ap;
    va_start(ap, fmt);
    (void)lmn_vformat(what, sizeof what, fmt, ap);
    va_end(ap);
    (void)lmn_format_name(name, sizeof name, n->name, strlen(n->name));
    if (!n->line) return lmn_fail(r->err, LAMINA_E_INVALID, "\"%s\" %s", name, what);
    return lmn_fail(r->err, LAMINA_E_INVALID, "line %u: \"%s\" %s", n->line, name, what);
}

lamina_status lmn_cfg_no_memory(lmn_cfg_reader *r)
{
    return lmn_fail(r->err, LAMINA_E_NOMEM, "out of memory while reading a configuration");
}

lamina_status lmn_cfg_each(lmn_cfg_reader *r, const lmn_cfg_node *msg, const lmn_cfg_field *rows,
                           size_t n_rows, void *into)
{
    uint64_t seen = 0;
    if (msg->kind != LMN_CFG_MESSAGE) return lmn_cfg_bad(r, msg, "must be a message");
    for (const lmn_cfg_node *n = msg->first; n; n = n->next) {
        size_t i = 0;
        while (i < n_rows && strcmp(rows[i].name, n->name) != 0) i++;
        if (i == n_rows) return lmn_cfg_bad(r, n, "is no field that this server knows");
        if (!rows[i].take) {
            (void)lmn_cfg_bad(r, n, "is not supported");
            if (r->err) r->err->status = LAMINA_E_UNSUPPORTED;
            return LAMINA_E_UNSUPPORTED;
        }
        if (!rows[i].many && (seen >> i & 1)) return lmn_cfg_bad(r, n, "stands there twice");
        seen |= (uint64_t)1 << i;
        LMN_TRY(rows[i].take(r, n, into));
    }
    return LAMINA_OK;
}

lamina_status lmn_cfg_number(lmn_cfg_reader *r, const lmn_cfg_node *n, int64_t lo, int64_t hi,
                             int64_t *out)
{
    const char *s = n->text;
    bool ok = n->kind == LMN_CFG_WORD || (r->json && n->kind == LMN_CFG_STRING);
    if (ok && s[0] == '0' && (s[1] | 0x20) == 'x') {
        int64_t v = 0;
        const size_t len = strlen(s);
        ok = len > 2 && len <= 17;
        for (const char *p = s + 2; ok && *p; p++) {
            const char lower = (char)(*p | 0x20);
            ok = (*p >= '0' && *p <= '9') || (lower >= 'a' && lower <= 'f');
            v = v * 16 + (*p <= '9' ? *p - '0' : lower - 'a' + 10);
        }
        *out = v;
    } else if (ok) {
        ok = lmn_parse_i64(s, strlen(s), out);
    }
    if (ok && *out >= lo && *out <= hi) return LAMINA_OK;
    return lmn_cfg_bad(r, n, "must be a whole number from %lld to %lld", (long long)lo,
                       (long long)hi);
}

lamina_status lmn_cfg_boolean(lmn_cfg_reader *r, const lmn_cfg_node *n, bool *out)
{
    if (n->kind == LMN_CFG_WORD) {
        *out = strcmp(n->text, "true") == 0 || strcmp(n->text, "True") == 0 ||
               strcmp(n->text, "t") == 0 || strcmp(n->text, "1") == 0;
        if (*out || strcmp(n->text, "false") == 0 || strcmp(n->text, "False") == 0 ||
            strcmp(n->text, "f") == 0 || strcmp(n->text, "0") == 0)
            return LAMINA_OK;
    }
    return lmn_cfg_bad(r, n, "must be true or false");
}

lamina_status lmn_cfg_string(lmn_cfg_reader *r, const lmn_cfg_node *n, const char **out)
{
    if (n->kind != LMN_CFG_STRING) return lmn_cfg_bad(r, n, "must be a string");
    *out = n->text;
    return LAMINA_OK;
}

lamina_status lmn_cfg_choice(lmn_cfg_reader *r, const lmn_cfg_node *n, const char *const *names,
                             uint32_t *out)
{
    const bool ok = n->kind == LMN_CFG_WORD || (r->json && n->kind == LMN_CFG_STRING);
    for (*out = 0; ok && names[*out]; ++*out)
        if (strcmp(names[*out], n->text) == 0) return LAMINA_OK;
    return lmn_cfg_bad(r, n, "has a value that is not known");
}

lamina_status lmn_cfg_nothing(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    (void)r, (void)n, (void)into;
    return LAMINA_OK;
}

lamina_status lmn_cfg_must_be_false(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    bool on = false;
    (void)into;
    LMN_TRY(lmn_cfg_boolean(r, n, &on));
    return on ? lmn_cfg_bad(r, n, "is not supported, it must be false") : LAMINA_OK;
}

static lamina_status keyed_key(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    (void)r;
    return ((lmn_cfg_keyed *)into)->key = n, LAMINA_OK;
}

static lamina_status keyed_value(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into)
{
    (void)r;
    return ((lmn_cfg_keyed *)into)->value = n, LAMINA_OK;
}

lamina_status lmn_cfg_entry(lmn_cfg_reader *r, const lmn_cfg_node *n, lmn_cfg_keyed *out)
{
    static const lmn_cfg_field ROWS[] = {{"key", keyed_key, false}, {"value", keyed_value, false}};
    *out = (lmn_cfg_keyed){NULL, NULL};
    LMN_TRY(lmn_cfg_each(r, n, ROWS, LMN_COUNT(ROWS), out));
    return out->key && out->value ? LAMINA_OK : lmn_cfg_bad(r, n, "needs a key and a value");
}

lamina_status lmn_cfg_pairs(lmn_cfg_reader *r, const lmn_cfg_node *n, lmn_cfg_pair_fn *take,
                            void *into)
{
    lmn_cfg_keyed e;
    const char *key = "";
    if (!r->json) {
        LMN_TRY(lmn_cfg_entry(r, n, &e));
        LMN_TRY(lmn_cfg_string(r, e.key, &key));
        return take(r, n, key, e.value, into);
    }
    if (n->kind != LMN_CFG_MESSAGE) return lmn_cfg_bad(r, n, "must be an object");
    for (const lmn_cfg_node *v = n->first; v; v = v->next) LMN_TRY(take(r, n, v->name, v, into));
    return LAMINA_OK;
}
