/*
 * The walk over groups behind the optimiser operators (see optim.h).
 */
#include "ops/optim.h"
#include "ops/f64io.h"
#include "ops/wide.h"

enum { BLOCK = 256 };

lamina_status lmn_optim_infer(lmn_infer *ic, int32_t n_states)
{
    const int32_t groups = 2 + n_states, n = (ic->node->n_in - 2) / groups;
    if ((ic->node->n_in - 2) % groups != 0 || n < 1 || ic->node->n_out > n * (1 + n_states))
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL,
                              "has %d inputs after R and T, must be %d for each tensor",
                              ic->node->n_in - 2, groups);
    for (int32_t o = 0; o < ic->node->n_out; o++) {
        const int32_t group = o / n == 0 ? 0 : o / n + 1; /* gradients have no output */
        if (lmn_infer_has(ic, 2 + group * n + o % n)) lmn_infer_same(ic, o, 2 + group * n + o % n);
    }
    return LAMINA_OK;
}

lamina_status lmn_optim_args(lmn_eval *ec, double *rate, int64_t *count)
{
    LMN_TRY(lmn_eval_ready(ec));
    if (lmn_count(ec->in[0]) != 1)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "R must hold one value");
    *rate = lmn_get_f64(ec->in[0], 0);
    return lmn_scalar_i64(ec, 1, count);
}

lamina_status lmn_optim_eval(lmn_eval *ec, int32_t n_states, const lmn_optim *o,
                             lmn_optim_step *step)
{
    const int32_t groups = 2 + n_states, n = (ec->n_in - 2) / groups;
    double buf[4][BLOCK];
    if (n < 1 || (ec->n_in - 2) % groups != 0)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "the inputs are not %d for each tensor", groups);
    for (int32_t i = 0; i < n; i++) {
        const lamina_tensor *in[4] = {0};
        lamina_tensor *out[3] = {0};
        for (int32_t g = 0; g < groups; g++) {
            in[g] = lmn_in(ec, 2 + g * n + i);
            if (!in[g] || !lmn_dims_equal(in[g]->rank, in[g]->dims, in[0]->rank, in[0]->dims))
                return lmn_eval_fail(
                    ec, LAMINA_E_SHAPE,
                    "the values, gradients and states of tensor %d differ in shape", i);
        }
        for (int32_t g = 0; g <= n_states; g++)
            LMN_TRY(lmn_out(ec, g * n + i, in[0]->dtype, in[0]->rank, in[0]->dims, &out[g]));
        const int64_t count = lmn_count(in[0]);
        for (int64_t at = 0; at < count; at += BLOCK) {
            const int64_t m = lmn_min_i64(BLOCK, count - at);
            for (int32_t g = 0; g < groups; g++) lmn_f64_load(in[g], at, m, buf[g]);
            for (int64_t k = 0; k < m; k++)
                step(o, &buf[0][k], buf[1][k], &buf[2][k], n_states > 1 ? &buf[3][k] : NULL);
            for (int32_t g = 0; g <= n_states; g++)
                if (out[g]) lmn_f64_store(out[g], at, m, buf[g == 0 ? 0 : g + 1]);
        }
    }
    return LAMINA_OK;
}
