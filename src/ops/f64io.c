/*
 * Scratch copies of tensors in f64, and the small argument checks that the users of them share.
 */
#include "ops/f64io.h"

lamina_status lmn_f64_alloc(lmn_eval *ec, int64_t n, double **out)
{
    size_t bytes;
    if (n < 0 || !lmn_mul_size((size_t)n, sizeof(double), &bytes))
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "a work area of %lld values is too large",
                             (long long)n);
    *out = lmn_scratch(ec, bytes ? bytes : sizeof(double));
    if (!*out)
        return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for a work area of %zu bytes", bytes);
    return LAMINA_OK;
}

lamina_status lmn_f64_all(lmn_eval *ec, const lamina_tensor *t, double **out)
{
    int64_t n = lmn_count(t);
    LMN_TRY(lmn_f64_alloc(ec, n, out));
    lmn_f64_load(t, 0, n, *out);
    return LAMINA_OK;
}

lamina_status lmn_scalar_i64(lmn_eval *ec, int32_t i, int64_t *out)
{
    const lamina_tensor *t = lmn_in(ec, i);
    if (!t || lmn_count(t) != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "input %d must hold exactly one integer", i);
    *out = lmn_get_i64(t, 0);
    return LAMINA_OK;
}

bool lmn_shape_is(const lamina_tensor *t, int32_t rank, const int64_t *dims)
{
    if (t->rank != rank) return false;
    for (int32_t i = 0; i < rank; i++)
        if (dims[i] >= 0 && t->dims[i] != dims[i]) return false;
    return true;
}
