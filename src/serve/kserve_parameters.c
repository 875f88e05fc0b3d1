/*
 * "parameters" in the body of an infer request, of its inputs and of its outputs. What asks for
 * something that is not done is refused; what means nothing here is passed over if it is a scalar.
 */
#include "serve/kserve_read_int.h"

#include <string.h>

/* A parameter that means nothing here: it may be any scalar. */
static lamina_status pass_parameter(lmn_kserve_reader *d)
{
    lmn_json_token t;
    switch (lmn_json_next(&d->j, &t)) {
    case LMN_JSON_ERROR: return lmn_kserve_bad_json(d);
    case LMN_JSON_STRING:
    case LMN_JSON_NUMBER:
    case LMN_JSON_TRUE:
    case LMN_JSON_FALSE: return LAMINA_OK;
    default:
        return lmn_fail(d->err, LAMINA_E_INVALID,
                        "a parameter must be a string, a number, true or false");
    }
}

/* What asks for something that is not done: refused unless it asks for nothing. */
static lamina_status refuse_parameter(lmn_kserve_reader *d, const char *what)
{
    lmn_json_token t;
    int64_t n = 1;
    const lmn_json_kind got = lmn_json_next(&d->j, &t);
    if (got == LMN_JSON_ERROR) return lmn_kserve_bad_json(d);
    if (got == LMN_JSON_FALSE || (got == LMN_JSON_STRING && t.text.n == 0) ||
        (got == LMN_JSON_NUMBER && lmn_json_i64(&t, &n) && n == 0))
        return LAMINA_OK;
    return lmn_fail(d->err, LAMINA_E_UNSUPPORTED, "%s are not supported", what);
}

static bool begins(const lmn_json_token *t, const char *with)
{
    const size_t n = strlen(with);
    return t->text.n >= n && memcmp(t->text.p, with, n) == 0;
}

static lamina_status want_size(lmn_kserve_reader *d, const char *key, size_t *out)
{
    int64_t n = 0;
    LMN_TRY(lmn_kserve_want_count(d, key, INT64_MAX, &n));
    *out = (size_t)n;
    return LAMINA_OK;
}

/* Where in the memory that the client has lent the bytes of a tensor lie, or are to go. */
static lamina_status lent_parameter(lmn_kserve_reader *d, lmn_kserve_keys *k, lmn_lent_part *part)
{
    static const char *const KEYS[] = {"shared_memory_region", "shared_memory_byte_size",
                                       "shared_memory_offset"};
    const uint32_t which = lmn_kserve_key_of(&k->t, KEYS, LMN_COUNT(KEYS));
    lmn_span name;
    if (which == LMN_COUNT(KEYS))
        return lmn_fail(d->err, LAMINA_E_INVALID, "there is no such parameter of shared memory");
    LMN_TRY(lmn_kserve_once(d, &k->seen, 8 + which, KEYS[which]));
    if (which == 1) return want_size(d, KEYS[which], &part->bytes);
    if (which == 2) return want_size(d, KEYS[which], &part->offset);
    LMN_TRY(lmn_kserve_want_text(d, KEYS[which], &name));
    return lmn_lent_find(d->r->lent, name, &part->region, d->err);
}

/* All of its parameters are there, and it lies within its region. */
static lamina_status lent_end(lmn_kserve_reader *d, uint32_t seen, const lmn_lent_part *part)
{
    if (!(seen & 7u << 8)) return LAMINA_OK;
    return lmn_kserve_lent_whole(part, seen & 2u << 8, d->err);
}

/* The next parameter of an input or output that does not tell of lent memory; *more false at their
 * end, when what was told of that is whole. */
static lamina_status next_parameter(lmn_kserve_reader *d, lmn_kserve_keys *k, lmn_lent_part *part,
                                    bool *more)
{
    for (;;) {
        LMN_TRY(lmn_kserve_next_key(d, k, more));
        if (!*more) return lent_end(d, k->seen, part);
        if (!d->r->lent || !begins(&k->t, "shared_memory_")) return LAMINA_OK;
        LMN_TRY(lent_parameter(d, k, part));
    }
}

/* A parameter without a meaning here; those that begin so ask for `what`, which is not done. */
static lamina_status other_parameter(lmn_kserve_reader *d, const lmn_kserve_keys *k,
                                     const char *begin, const char *what)
{
    return begins(&k->t, begin) ? refuse_parameter(d, what) : pass_parameter(d);
}

lamina_status lmn_kserve_request_parameters(lmn_kserve_reader *d)
{
    static const char *const KEYS[] = {"priority", "timeout", "binary_data_output"};
    lmn_json_token t;
    lmn_kserve_keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_OBJECT, "parameters", "an object", &t));
    for (;;) {
        int64_t n = 0;
        LMN_TRY(lmn_kserve_next_key(d, &k, &more));
        if (!more) return LAMINA_OK;
        if (k.at == 0) {
            LMN_TRY(lmn_kserve_want_count(d, KEYS[0], UINT32_MAX, &n));
            d->r->priority = (uint32_t)n;
        } else if (k.at == 1) {
            LMN_TRY(lmn_kserve_want_count(d, KEYS[1], INT64_MAX / 1000, &n));
            d->r->timeout_ns = (uint64_t)n * 1000;
        } else if (k.at == 2) {
            LMN_TRY(lmn_kserve_want_bool(d, KEYS[2], &d->r->binary_out));
        } else {
            LMN_TRY(other_parameter(d, &k, "sequence_", "sequences"));
        }
    }
}

lamina_status lmn_kserve_input_parameters(lmn_kserve_reader *d, lmn_lent_part *lent,
                                          int64_t *binary_bytes)
{
    static const char *const KEYS[] = {"binary_data_size"};
    lmn_json_token t;
    lmn_kserve_keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_OBJECT, "parameters", "an object", &t));
    for (;;) {
        LMN_TRY(next_parameter(d, &k, lent, &more));
        if (!more) return LAMINA_OK;
        if (k.at == 0)
            LMN_TRY(lmn_kserve_want_count(d, KEYS[0], INT64_MAX, binary_bytes));
        else
            LMN_TRY(other_parameter(d, &k, "shared_memory_", "shared memory regions"));
    }
}

lamina_status lmn_kserve_output_parameters(lmn_kserve_reader *d, lmn_infer_tensor *out)
{
    static const char *const KEYS[] = {"binary_data", "classification"};
    lmn_json_token t;
    lmn_kserve_keys k = {.names = KEYS, .n = LMN_COUNT(KEYS)};
    bool more;
    LMN_TRY(lmn_kserve_want(d, LMN_JSON_OBJECT, "parameters", "an object", &t));
    for (;;) {
        int64_t n;
        LMN_TRY(next_parameter(d, &k, &out->lent, &more));
        if (!more) return LAMINA_OK;
        if (k.at == 0) {
            LMN_TRY(lmn_kserve_want_bool(d, KEYS[0], &out->binary));
        } else if (k.at == 1) {
            LMN_TRY(lmn_kserve_want_count(d, KEYS[1], UINT32_MAX, &n));
            out->n_classes = (uint32_t)n;
        } else {
            LMN_TRY(other_parameter(d, &k, "shared_memory_", "shared memory regions"));
        }
    }
}
