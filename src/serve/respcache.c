/*
 * The response cache: lmn_lru with the bytes of a request as the key and references to its results
 * as the value.
 */
#include "serve/respcache.h"

#include "tensor/tensor.h"

#include <string.h>

#define TAG "response cache"
#define MAX_KEY ((size_t)64 << 10)

typedef struct kept {
    const lamina_allocator *alloc;
    uint32_t n;
    lamina_tensor *result[LMN_INFER_MAX_PORTS];
} kept;

static void drop(void *ctx, void *value, size_t bytes)
{
    kept *k = value;
    (void)ctx, (void)bytes;
    for (uint32_t i = 0; i < k->n; i++) lamina_tensor_unref(k->result[i]);
    lmn_cfree(k->alloc, k, 1, sizeof *k, TAG);
}

lamina_status lmn_respcache_init(lmn_respcache *c, lamina_engine *engine, size_t max_bytes)
{
    const lmn_lru_opts o = {.alloc = &engine->alloc,
                            .max_bytes = max_bytes,
                            .max_entries = max_bytes / 256 + 1,
                            .n_shards = 1,
                            .drop = drop};
    c->engine = engine;
    return lmn_lru_init(&c->lru, &o);
}

void lmn_respcache_finish(lmn_respcache *c)
{
    lmn_lru_finish(&c->lru);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint8_t *put(uint8_t *p, const void *bytes, size_t n)
{
    if (n) memcpy(p, bytes, n);
    return p + n;
}

/* The key of r, 0 bytes: it has none. Released by free_key. */
static lmn_span make_key(const lmn_respcache *c, const lmn_infer *r)
{
    size_t n = 2 * sizeof(uint32_t) + r->n_out * sizeof(uint32_t);
    const lmn_span none = {NULL, 0};
    for (uint32_t i = 0; i < r->n_in; i++) {
        const lmn_infer_tensor *t = &r->in[i];
        if (t->dtype == LAMINA_STRING || t->bytes > MAX_KEY) return none;
        n += sizeof t->port + sizeof t->dtype + sizeof t->rank + sizeof t->dims + t->bytes;
        if (n > MAX_KEY) return none;
    }
    uint8_t *key = lmn_alloc(&c->engine->alloc, n, 16, TAG), *p = key;
    if (!key) return none;
    p = put(p, &r->n_in, sizeof r->n_in);
    p = put(p, &r->n_out, sizeof r->n_out);
    for (uint32_t i = 0; i < r->n_out; i++) p = put(p, &r->out[i].port, sizeof r->out[i].port);
    for (uint32_t i = 0; i < r->n_in; i++) {
        const lmn_infer_tensor *t = &r->in[i];
        int64_t dims[LAMINA_MAX_RANK] = {0};
        memcpy(dims, t->dims, (size_t)t->rank * sizeof dims[0]);
        p = put(p, &t->port, sizeof t->port);
        p = put(p, &t->dtype, sizeof t->dtype);
        p = put(p, &t->rank, sizeof t->rank);
        p = put(p, dims, sizeof dims);
        p = put(p, t->data, t->bytes);
    }
    lmn_assert((size_t)(p - key) == n);
    return (lmn_span){key, n};
}

static void free_key(const lmn_respcache *c, lmn_span key)
{
    lmn_free(&c->engine->alloc, (void *)(uintptr_t)key.p, key.n, 16, TAG);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* Copies the results of the request: they may be views that hold a whole batch. */
static lamina_status build(void *ctx, lmn_span key, void **value, size_t *bytes, lamina_error *err)
{
    const lmn_infer *r = ctx;
    lamina_engine *e = NULL;
    (void)err;
    for (uint32_t i = 0; i < r->n_result; i++)
        if (r->result[i]) e = r->result[i]->engine;
    if (!e) return LAMINA_E_STATE;
    kept *k = lmn_calloc(&e->alloc, 1, sizeof *k, TAG);
    if (!k) return LAMINA_E_NOMEM;
    k->alloc = &e->alloc;
    *bytes = key.n + sizeof *k;
    for (; k->n < r->n_result; k->n++) {
        if (!r->result[k->n]) continue;
        const lamina_status st = lmn_tensor_clone(e, r->result[k->n], &k->result[k->n]);
        if (st != LAMINA_OK) {
            drop(NULL, k, 0);
            return st;
        }
        *bytes += sizeof(lamina_tensor) + r->result[k->n]->data_bytes;
    }
    *value = k;
    return LAMINA_OK;
}

bool lmn_respcache_find(lmn_respcache *c, lmn_infer *r)
{
    const lmn_span key = make_key(c, r);
    if (!key.n) return false;
    lmn_lru_entry *e = lmn_lru_find(&c->lru, key);
    free_key(c, key);
    if (!e) return false;
    const kept *k = lmn_lru_value(e);
    for (uint32_t i = 0; i < k->n; i++) r->result[i] = lamina_tensor_ref(k->result[i]);
    r->n_result = k->n;
    r->status = LAMINA_OK;
    lmn_lru_let_go(e);
    return true;
}

void lmn_respcache_keep(lmn_respcache *c, const lmn_infer *r)
{
    const lmn_span key = make_key(c, r);
    if (!key.n) return;
    const lmn_lru_ask ask = {.build = build, .ctx = (void *)(uintptr_t)r};
    lmn_lru_entry *e;
    if (lmn_lru_get(&c->lru, key, &ask, &e, NULL) == LAMINA_OK) lmn_lru_let_go(e);
    free_key(c, key);
}
