/*
 * Open addressing with linear probing, at most half full.
 */
#include "ops/lookup.h"

#include <string.h>

lamina_status lmn_lookup_make(lmn_eval *ec, int64_t n, const lmn_token_run *keys, lmn_lookup *l)
{
    size_t cap = 16, bytes;
    while (cap < 2 * (size_t)n && cap <= SIZE_MAX / 4) cap *= 2;
    *l = (lmn_lookup){.mask = cap - 1, .keys = keys};
    if (lmn_mul_size(cap, sizeof *l->slot, &bytes)) l->slot = lmn_scratch(ec, bytes);
    if (!l->slot) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld keys", (long long)n);
    memset(l->slot, 0, bytes);
    return LAMINA_OK;
}

static uint64_t mix(uint64_t h, const void *p, size_t n)
{
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) h = (h ^ b[i]) * 0x100000001B3u;
    return h;
}

static uint64_t hash(const lmn_token_run *k)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (int64_t i = 0; i < k->len; i++) {
        const int64_t at = k->first + i * k->step;
        if (k->t.num)
            h = mix(h, &k->t.num[at], sizeof k->t.num[at]);
        else
            h = mix(mix(h, k->t.str[at].p, k->t.str[at].n), "\xFF", 1);
    }
    return h ^ h >> 29;
}

static bool equal(const lmn_token_run *a, const lmn_token_run *b)
{
    if (a->len != b->len) return false;
    for (int64_t i = 0; i < a->len; i++) {
        const int64_t x = a->first + i * a->step, y = b->first + i * b->step;
        if (a->t.num) {
            if (a->t.num[x] != b->t.num[y]) return false;
            continue;
        }
        const lmn_str *s = &a->t.str[x], *u = &b->t.str[y];
        if (s->n != u->n || (s->n && memcmp(s->p, u->p, s->n) != 0)) return false;
    }
    return true;
}

static size_t place(const lmn_lookup *l, const lmn_token_run *key)
{
    size_t i = (size_t)hash(key) & l->mask;
    while (l->slot[i] && !equal(&l->keys[l->slot[i] - 1], key)) i = (i + 1) & l->mask;
    return i;
}

void lmn_lookup_add(lmn_lookup *l, int64_t id)
{
    l->slot[place(l, &l->keys[id])] = id + 1;
}

int64_t lmn_lookup_find(const lmn_lookup *l, const lmn_token_run *key)
{
    return l->slot[place(l, key)] - 1;
}
