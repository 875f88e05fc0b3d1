/*
 * Window functions, computed in f64 and rounded once.
 */
#include "ops/window.h"
#include "ops/shapes.h"
#include "ops/wide.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

lamina_status lmn_window_infer(lmn_infer *ic)
{
    const lmn_dim *e;
    lmn_fact *f;
    LMN_TRY(lmn_infer_typed(ic, 0, lmn_attr_dtype(ic->node, "output_datatype", LAMINA_F32), 1, &f));
    if (lmn_infer_elems(ic, 0, &e) == 1) f->dims[0] = e[0];
    return LAMINA_OK;
}

lamina_status lmn_window_eval(lmn_eval *ec, double a0, double a1, double a2)
{
    const lamina_dtype dt = lmn_attr_dtype(ec->node, "output_datatype", LAMINA_F32);
    const bool periodic = lmn_attr_i(ec->node, "periodic", 1) != 0;
    lamina_tensor *t;
    int64_t size;
    LMN_TRY(lmn_eval_ready(ec));
    if (!lmn_in(ec, 0)) return lmn_eval_fail(ec, LAMINA_E_INVALID, "the size is missing");
    LMN_TRY(lmn_int(ec, 0, 0, &size));
    if (!(LMN_DBIT(dt) & LMN_D_NUM))
        return lmn_eval_fail(ec, LAMINA_E_DTYPE, "a window cannot be %s", lamina_dtype_name(dt));
    LMN_TRY(lmn_check_grown(ec, dt, 1, &size));
    LMN_TRY(lmn_out(ec, 0, dt, 1, &size, &t));
    const double n = (double)(periodic ? size : size - 1);
    for (int64_t i = 0; t && i < size; i++) {
        const double x = 2 * PI * (double)i / n;
        lmn_set_f64(t, i, size == 1 ? 1 : a0 - a1 * cos(x) + a2 * cos(2 * x));
    }
    return LAMINA_OK;
}
