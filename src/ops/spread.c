/*
 * Parameters spread over data (spread.h).
 */
#include "ops/spread.h"
#include "ops/wide.h"

#include <string.h>

lamina_status lmn_spread_init(lmn_eval *ec, int32_t rank, const int64_t *dims,
                              const lamina_tensor *p, int32_t axis, lmn_spread *out)
{
    memset(out, 0, sizeof *out);
    out->rank = rank;
    memcpy(out->dims, dims, (size_t)rank * sizeof dims[0]);
    if (lmn_count(p) == 1) return LAMINA_OK;
    if (p->rank == 1 && axis >= 0 && axis < rank && p->dims[0] == dims[axis]) {
        out->strides[axis] = 1;
        return LAMINA_OK;
    }
    bool fits = p->rank == rank;
    int64_t stride = 1;
    for (int32_t d = rank - 1; fits && d >= 0; d--) {
        fits = p->dims[d] == 1 || p->dims[d] == dims[d];
        out->strides[d] = p->dims[d] == 1 ? 0 : stride;
        stride *= p->dims[d];
    }
    if (fits) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "a scale or zero point of %lld elements does not fit",
                         (long long)lmn_count(p));
}

lamina_status lmn_spread_right(lmn_eval *ec, int32_t rank, const int64_t *dims,
                               const lamina_tensor *p, lmn_spread *out)
{
    memset(out, 0, sizeof *out);
    out->rank = rank;
    memcpy(out->dims, dims, (size_t)rank * sizeof dims[0]);
    bool fits = p->rank <= rank;
    int64_t stride = 1;
    for (int32_t d = rank - 1, e = p->rank - 1; fits && e >= 0; d--, e--) {
        fits = p->dims[e] == 1 || p->dims[e] == dims[d];
        out->strides[d] = p->dims[e] == 1 ? 0 : stride;
        stride *= p->dims[e];
    }
    if (fits) return LAMINA_OK;
    return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                         "a parameter of rank %d does not broadcast to the data", p->rank);
}

lamina_status lmn_spread_apply(lmn_eval *ec, const lmn_spread *s, const lamina_tensor *p, char op,
                               double *v)
{
    const double *q;
    LMN_TRY(lmn_wide_in(ec, p, &q));
    const int64_t n = lmn_count(p) == 0 ? 0 : 1;
    int64_t total = n, at = 0, i[LMN_MAX_RANK] = {0};
    for (int32_t d = 0; d < s->rank; d++) total *= s->dims[d];
    for (int64_t e = 0; e < total; e++) {
        v[e] = op == '-' ? v[e] - q[at] : op == '+' ? v[e] + q[at] : v[e] * q[at];
        for (int32_t d = s->rank - 1; d >= 0; d--) {
            at += s->strides[d];
            if (++i[d] < s->dims[d]) break;
            at -= s->strides[d] * s->dims[d];
            i[d] = 0;
        }
    }
    return LAMINA_OK;
}
