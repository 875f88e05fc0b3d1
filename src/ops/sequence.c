/*
 * Shared parts of the operators on sequences and maps.
 */
#include "ops/sequence.h"

#include <string.h>

void lmn_infer_sequence(lmn_infer *ic, int32_t o, const lmn_fact *item)
{
    lmn_fact *f = &ic->out[o];
    const lamina_dtype dt = f->dtype;
    *f = item ? *item : lmn_fact_unknown();
    if (!f->dtype) f->dtype = dt;
    f->kind = LMN_FACT_SEQUENCE;
    f->n_elems = -1;
    f->elems = NULL;
}

lmn_fact lmn_infer_item(const lmn_infer *ic, int32_t i)
{
    lmn_fact f = lmn_fact_unknown();
    if (!lmn_infer_has(ic, i) || ic->in[i]->kind != LMN_FACT_SEQUENCE) return f;
    f = *ic->in[i];
    f.kind = f.key ? LMN_FACT_MAP : LMN_FACT_TENSOR;
    return f;
}

lamina_status lmn_need_sequence(lmn_eval *ec, int32_t i, const lamina_tensor **seq)
{
    *seq = lmn_in(ec, i);
    if (*seq && (*seq)->kind == LAMINA_KIND_SEQUENCE) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_INVALID, "input %d must be a sequence", i);
}

lamina_status lmn_seq_position(lmn_eval *ec, int32_t i, int64_t n, bool allow_end, int64_t *pos)
{
    const int64_t places = n + (allow_end ? 1 : 0);
    LMN_TRY(lmn_int(ec, i, places - 1, pos));
    if (*pos < -n || *pos >= places)
        return lmn_eval_fail(ec, LAMINA_E_RANGE, "position %lld is outside a sequence of %lld",
                             (long long)*pos, (long long)n);
    if (*pos < 0) *pos += n;
    return LAMINA_OK;
}

lamina_status lmn_infer_map(lmn_infer *ic, int32_t i)
{
    if (!lmn_infer_has(ic, i) || ic->in[i]->kind == LMN_FACT_MAP) return LAMINA_OK;
    return lmn_infer_fail(ic, LAMINA_E_DTYPE, NULL, "input %d must be a map", i);
}

lamina_status lmn_need_map(lmn_eval *ec, int32_t i, lamina_dtype key, const lamina_tensor **keys,
                           const lamina_tensor **values)
{
    const lamina_tensor *map = lmn_in(ec, i);
    if (!map || map->kind != LAMINA_KIND_MAP)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "input %d must be a map", i);
    *keys = map->items[0];
    *values = map->items[1];
    if ((*keys)->dtype == key) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_DTYPE, "the keys of the map are %s, must be %s",
                         lamina_dtype_name((*keys)->dtype), lamina_dtype_name(key));
}

lamina_status lmn_seq_items(lmn_eval *ec, int64_t n, lamina_tensor ***items)
{
    size_t bytes;
    *items = NULL;
    if (n >= 0 && lmn_mul_size((size_t)n + 1, sizeof **items, &bytes))
        *items = lmn_scratch(ec, bytes);
    if (!*items)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %lld sequence items", (long long)n);
    memset(*items, 0, bytes);
    return LAMINA_OK;
}

void lmn_seq_unref(lamina_tensor **items, int64_t n)
{
    for (int64_t k = 0; items && k < n; k++) lamina_tensor_unref(items[k]);
}
