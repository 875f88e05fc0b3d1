/*
 * Keys and values of a JSON object in the body of an infer request: a key that means something may
 * stand once, a value must be of the kind that the protocol says, and the sentence names the key.
 */
#include "serve/kserve_read_int.h"

lamina_status lmn_kserve_bad_json(const lmn_kserve_reader *d)
{
    return d->err->status ? d->err->status : LAMINA_E_PARSE;
}

lamina_status lmn_kserve_want(lmn_kserve_reader *d, lmn_json_kind kind, const char *key,
                              const char *what, lmn_json_token *t)
{
    const lmn_json_kind got = lmn_json_next(&d->j, t);
    if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
    if (got == kind) return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be %s", key, what);
}

lamina_status lmn_kserve_want_text(lmn_kserve_reader *d, const char *key, lmn_span *out)
{
    lmn_json_token t;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_STRING, key, "a string", &t));
    if (!t.escaped) {
        *out = t.text;
        return LAMINA_OK;
    }
    uint8_t *p = lmn_arena_bump(d->arena, t.text.n, 1);
    if (!p) return lmn_fail(d->err, LAMINA_E_NOMEM, "no memory for the request");
    *out = (lmn_span){p, lmn_json_string(&t, p)};
    return LAMINA_OK;
}

lamina_status lmn_kserve_want_bool(lmn_kserve_reader *d, const char *key, bool *out)
{
    lmn_json_token t;
    const lmn_json_kind got = lmn_json_next(&d->j, &t);
    if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
    if (got != LMN_JSON_TRUE && got != LMN_JSON_FALSE)
        return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be true or false", key);
    *out = got == LMN_JSON_TRUE;
    return LAMINA_OK;
}

lamina_status lmn_kserve_want_count(lmn_kserve_reader *d, const char *key, int64_t max,
                                    int64_t *out)
{
    lmn_json_token t;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_NUMBER, key, "a number", &t));
    if (lmn_json_i64(&t, out) && *out >= 0 && *out <= max) return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_INVALID, "\"%s\" must be an integer from 0 to %lld", key,
                    (long long)max);
}

lamina_status lmn_kserve_once(lmn_kserve_reader *d, uint32_t *seen, uint32_t key, const char *name)
{
    if (*seen & 1u << key)
        return lmn_fail(d->err, LAMINA_E_INVALID, "the key \"%s\" stands twice in one object",
                        name);
    *seen |= 1u << key;
    return LAMINA_OK;
}

uint32_t lmn_kserve_key_of(const lmn_json_token *t, const char *const *names, uint32_t n)
{
    uint32_t i = 0;
    while (i < n && !lmn_json_is(t, names[i])) i++;
    return i;
}

lamina_status lmn_kserve_next_key(lmn_kserve_reader *d, lmn_kserve_keys *k, bool *more)
{
    const lmn_json_kind got = lmn_json_next(&d->j, &k->t);
    *more = got == LMN_JSON_KEY;
    if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
    if (!*more) return LAMINA_OK;
    k->at = lmn_kserve_key_of(&k->t, k->names, k->n);
    return k->at < k->n ? lmn_kserve_once(d, &k->seen, k->at, k->names[k->at]) : LAMINA_OK;
}
