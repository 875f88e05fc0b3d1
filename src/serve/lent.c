/*
 * Regions of one connection: few, so they stand in an array. What all connections hold is bounded
 * by one counter.
 */
#include "serve/lent.h"

#include <string.h>

#define TAG "lent memory"

lmn_lent *lmn_lent_make(const lamina_allocator *alloc, lmn_atomic(uint64_t) * held)
{
    lmn_lent *l = lmn_calloc(alloc, 1, sizeof *l, TAG);
    if (!l) return NULL;
    l->alloc = alloc;
    l->held = held;
    return l;
}

static void give_back(lmn_lent *l, lmn_lent_region *r)
{
    (void)lmn_atomic_sub(l->held, r->memory.bytes, relaxed);
    lmn_passed_unmap(&r->memory);
}

void lmn_lent_free(lmn_lent *l)
{
    if (!l) return;
    for (uint32_t i = 0; i < l->n; i++) give_back(l, &l->region[i]);
    lmn_cfree(l->alloc, l, 1, sizeof *l, TAG);
}

const lmn_lent_region *lmn_lent_find(const lmn_lent *l, lmn_span name)
{
    for (uint32_t i = 0; l && i < l->n; i++)
        if (strlen(l->region[i].name) == name.n && !memcmp(l->region[i].name, name.p, name.n))
            return &l->region[i];
    return NULL;
}

bool lmn_lent_drop(lmn_lent *l, lmn_span name)
{
    const lmn_lent_region *found = lmn_lent_find(l, name);
    if (!found) return false;
    lmn_lent_region *r = &l->region[found - l->region];
    give_back(l, r);
    *r = l->region[--l->n];
    return true;
}

lamina_status lmn_lent_add(lmn_lent *l, lmn_span name, int fd, uint64_t most, uint64_t most_held,
                           lamina_error *err)
{
    lmn_passed memory;
    LMN_TRY(lmn_passed_map(fd, most, &memory, err));
    (void)lmn_lent_drop(l, name);
    const uint64_t held = lmn_atomic_add(l->held, memory.bytes, relaxed) + memory.bytes;
    if (l->n == LMN_LENT_MOST || held > most_held) {
        (void)lmn_atomic_sub(l->held, memory.bytes, relaxed);
        lmn_passed_unmap(&memory);
        return lmn_fail(err, LAMINA_E_LIMIT,
                        "at most %u regions of a connection, and %llu bytes in all", LMN_LENT_MOST,
                        (unsigned long long)most_held);
    }
    lmn_lent_region *r = &l->region[l->n++];
    memset(r->name, 0, sizeof r->name);
    memcpy(r->name, name.p, name.n < LMN_LENT_NAME ? name.n : LMN_LENT_NAME);
    r->memory = memory;
    return LAMINA_OK;
}

lamina_status lmn_lent_check(const lmn_lent_part *p, lamina_error *err)
{
    const size_t all = p->region->memory.bytes;
    if (p->offset <= all && p->bytes <= all - p->offset) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_RANGE,
                    "%zu bytes at %zu lie past the end of the region \"%s\", which has %zu",
                    p->bytes, p->offset, p->region->name, all);
}

void lmn_lent_write(const lmn_lent *l, lmn_span only, lmn_jsonw *w)
{
    lmn_jsonw_array(w, NULL);
    for (uint32_t i = 0; l && i < l->n; i++) {
        const lmn_lent_region *r = &l->region[i];
        if (only.n && lmn_lent_find(l, only) != r) continue;
        lmn_jsonw_object(w, NULL);
        lmn_jsonw_str(w, "name", r->name);
        lmn_jsonw_u64(w, "offset", 0);
        lmn_jsonw_u64(w, "byte_size", r->memory.bytes);
        lmn_jsonw_end(w);
    }
    lmn_jsonw_end(w);
}
