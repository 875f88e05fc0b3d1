/*
 * Shared parts of the string operators.
 */
#include "ops/strings.h"

#include <string.h>

lamina_status lmn_need_strings(lmn_eval *ec, int32_t i, const lamina_tensor **t)
{
    LMN_TRY(lmn_need(ec, i, t));
    if ((*t)->dtype == LAMINA_STRING) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_DTYPE, "input %d must hold strings, it is %s", i,
                         lamina_dtype_name((*t)->dtype));
}

lamina_status lmn_str_pool_make(lmn_eval *ec, size_t bytes, lmn_str_pool *p)
{
    *p = (lmn_str_pool){lmn_scratch(ec, bytes + 1), bytes};
    return p->at ? LAMINA_OK
                 : lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for %zu bytes of text", bytes);
}

bool lmn_str_equal(const lmn_str *a, const lmn_str *b)
{
    return a->n == b->n && (a->n == 0 || memcmp(a->p, b->p, a->n) == 0);
}

int32_t lmn_attr_strings(const lmn_opnode *n, const char *name, const lmn_str **out)
{
    const lmn_attr *a = lmn_attr_find(n, name);
    const bool is = a && a->type == LMN_ATTR_STRINGS;
    *out = is ? a->u.strings : NULL;
    return is ? a->n : 0;
}
