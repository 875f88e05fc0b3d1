/*
 * STFT (ai.onnx, since 17): Fourier transforms of windowed frames of [batch, length, 1 or 2], every
 * frame_step values. The frame is frame_length, else the window, else the whole signal long.
 * onesided (the default) keeps the first n / 2 + 1 bins and takes real signals only.
 */
#include "ops/fft.h"
#include "ops/f64io.h"
#include "ops/wide.h"

static lmn_dim scalar_dim(lmn_infer *ic, int32_t i)
{
    const lmn_dim *elems;
    return lmn_infer_elems(ic, i, &elems) == 1 ? elems[0] : LMN_DIM_UNKNOWN;
}

static lamina_status infer_stft(lmn_infer *ic)
{
    const lmn_fact *x = ic->in[0];
    const bool has_window = ic->node->n_in > 2 && ic->in[2],
               has_length = ic->node->n_in > 3 && ic->in[3];
    if (lmn_infer_has(ic, 0) && x->rank >= 0 && x->rank != 3)
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL, "the signal has rank %d, must be 3",
                              x->rank);
    const lmn_dim len = x->rank == 3 ? x->dims[1] : LMN_DIM_UNKNOWN;
    lmn_dim n = has_length ? scalar_dim(ic, 3) : has_window ? LMN_DIM_UNKNOWN : len;
    if (has_window && ic->in[2]->rank == 1 && !lmn_dim_unify(ic->dims, n, ic->in[2]->dims[0], &n))
        return lmn_infer_fail(ic, LAMINA_E_SHAPE, NULL,
                              "frame_length is not the length of the window");
    const lmn_dim step = scalar_dim(ic, 1);
    lmn_fact *y = &ic->out[0];
    y->rank = 4;
    y->dims[0] = x->rank == 3 ? x->dims[0] : LMN_DIM_UNKNOWN;
    y->dims[1] = lmn_dim_add(
        ic->dims, lmn_dim_floordiv(ic->dims, lmn_dim_sub(ic->dims, len, n), step), lmn_dim_c(1));
    y->dims[2] = n;
    if (lmn_attr_i(ic->node, "onesided", 1))
        y->dims[2] =
            lmn_dim_add(ic->dims, lmn_dim_floordiv(ic->dims, n, lmn_dim_c(2)), lmn_dim_c(1));
    y->dims[3] = lmn_dim_c(2);
    return LAMINA_OK;
}

static lamina_status eval_stft(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    const lamina_tensor *x = ec->in[0], *window = lmn_in(ec, 2);
    const bool onesided = lmn_attr_i(ec->node, "onesided", 1) != 0;
    int64_t step, n;
    lmn_fft fft;
    lamina_tensor *y;
    double *z, *work, *win = NULL;
    if (x->rank != 3 || (x->dims[2] != 1 && x->dims[2] != 2) || (window && window->rank != 1))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "the signal must be [batch, length, 1 or 2] and the window a vector");
    if (onesided && x->dims[2] == 2)
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "a onesided transform takes a real signal");
    LMN_TRY(lmn_scalar_i64(ec, 1, &step));
    n = window ? window->dims[0] : x->dims[1];
    if (lmn_in(ec, 3)) LMN_TRY(lmn_scalar_i64(ec, 3, &n));
    if (step < 1 || n < 1 || n > x->dims[1] || (window && window->dims[0] != n))
        return lmn_eval_fail(ec, LAMINA_E_RANGE,
                             "frames of %lld values every %lld do not fit a signal of %lld or the "
                             "window",
                             (long long)n, (long long)step, (long long)x->dims[1]);
    const int64_t parts = x->dims[2], frames = (x->dims[1] - n) / step + 1,
                  bins = onesided ? n / 2 + 1 : n;
    const int64_t dims[4] = {x->dims[0], frames, bins, 2};
    LMN_TRY(lmn_fft_plan(ec, n, false, &fft));
    LMN_TRY(lmn_out(ec, 0, x->dtype, 4, dims, &y));
    if (!y) return LAMINA_OK;
    LMN_TRY(lmn_f64_alloc(ec, 2 * n, &z));
    LMN_TRY(lmn_f64_alloc(ec, 2 * lmn_fft_work(&fft), &work));
    if (window) LMN_TRY(lmn_f64_all(ec, window, &win));
    for (int64_t f = 0; f < x->dims[0] * frames; f++) {
        const int64_t at = f / frames * x->dims[1] + f % frames * step;
        if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED;
        for (int64_t k = 0; k < n; k++) {
            z[2 * k + 1] = 0.0;
            lmn_f64_load(x, (at + k) * parts, parts, z + 2 * k);
            if (win) z[2 * k] *= win[k], z[2 * k + 1] *= win[k];
        }
        lmn_fft_run(&fft, z, work);
        lmn_f64_store(y, f * bins * 2, bins * 2, z);
    }
    return LAMINA_OK;
}

#define LENGTH (LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
static const lmn_port IN[] = {{"signal", 'T', 0, LMN_D_FLOAT},
                              {"frame_step", 'L', 0, LENGTH},
                              {"window", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},
                              {"frame_length", 'L', LMN_PORT_OPTIONAL, LENGTH},
                              {0}};
static const lmn_port OUT[] = {{"output", 'T', 0, LMN_D_FLOAT}, {0}};
static const lmn_attr_schema ATTRS[] = {{"onesided", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_STFT = {
    .name = "STFT",
    .domain = "",
    .since = 17,
    .flags = LMN_OP_DYNAMIC,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_stft,
    .eval = eval_stft,
};
