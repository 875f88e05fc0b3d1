/*
 * MelWeightMatrix (ai.onnx, since 17): triangles that turn a one-sided spectrum of
 * floor(dft_length / 2) + 1 bins into num_mel_bins bands between two edges on the mel scale.
 */
#include "ops/shapes.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

static lamina_status infer_melweightmatrix(lmn_infer *ic)
{
    const lmn_dim *bins, *dft;
    lmn_fact *f;
    LMN_TRY(lmn_infer_typed(ic, 0, lmn_attr_dtype(ic->node, "output_datatype", LAMINA_F32), 2, &f));
    if (lmn_infer_elems(ic, 1, &dft) == 1)
        f->dims[0] =
            lmn_dim_add(ic->dims, lmn_dim_floordiv(ic->dims, dft[0], lmn_dim_c(2)), lmn_dim_c(1));
    if (lmn_infer_elems(ic, 0, &bins) == 1) f->dims[1] = bins[0];
    return LAMINA_OK;
}

static double hz_to_mel(double hz)
{
    return 2595 * log1p(hz / 700) / log(10);
}

/* Spectrum bin of edge k of bands + 2 edges. */
static int64_t edge_bin(const double mel[2], int64_t bands, int64_t k, double dft, double rate)
{
    const double step = (mel[1] - mel[0]) / (double)(bands + 2);
    const double hz = 700 * expm1((mel[0] + (double)k * step) / 2595 * log(10));
    return (int64_t)fmin(fmax(floor((dft + 1) * hz / rate), 0), 9e15);
}

static lamina_status fill_band(lmn_eval *ec, lamina_tensor *t, const int64_t edge[3], int64_t band)
{
    const int64_t n = t->dims[0], bands = t->dims[1];
    if (edge[0] > edge[1] || edge[1] > edge[2] || edge[1] >= n || edge[2] > n)
        return lmn_eval_fail(
            ec, LAMINA_E_RANGE,
            "band %lld ends past the spectrum: its edges must rise to at most half "
            "the sample rate",
            (long long)band);
    const int64_t up = edge[1] - edge[0], down = edge[2] - edge[1];
    if (up == 0) lmn_set_f64(t, edge[1] * bands + band, 1);
    for (int64_t j = edge[0]; up && j <= edge[1]; j++)
        lmn_set_f64(t, j * bands + band, (double)(j - edge[0]) / (double)up);
    for (int64_t j = edge[1]; j < edge[2]; j++)
        lmn_set_f64(t, j * bands + band, (double)(edge[2] - j) / (double)down);
    return LAMINA_OK;
}

static lamina_status eval_melweightmatrix(lmn_eval *ec)
{
    const lamina_dtype dt = lmn_attr_dtype(ec->node, "output_datatype", LAMINA_F32);
    const lamina_tensor *low, *high;
    lamina_tensor *t;
    int64_t v[3], edge[3];
    LMN_TRY(lmn_eval_ready(ec));
    for (int32_t i = 0; i < 3; i++) LMN_TRY(lmn_int(ec, i, -1, &v[i]));
    LMN_TRY(lmn_need(ec, 3, &low));
    LMN_TRY(lmn_need(ec, 4, &high));
    if (lmn_count(low) != 1 || lmn_count(high) != 1 || !(LMN_DBIT(dt) & LMN_D_NUM) || v[0] < 0 ||
        v[1] < 0 || v[2] < 1 || v[0] > INT32_MAX)
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "needs numbers of bins, of samples and of hertz of 0 and more");
    const int64_t dims[2] = {v[1] / 2 + 1, v[0]};
    const double mel[2] = {hz_to_mel(lmn_get_f64(low, 0)), hz_to_mel(lmn_get_f64(high, 0))};
    if (!isfinite(mel[0]) || !isfinite(mel[1]))
        return lmn_eval_fail(ec, LAMINA_E_INVALID, "the edges are no frequencies");
    LMN_TRY(lmn_check_grown(ec, dt, 2, dims));
    LMN_TRY(lmn_out(ec, 0, dt, 2, dims, &t));
    if (!t || !t->data_bytes) return LAMINA_OK;
    memset(t->data, 0, t->data_bytes);
    for (int64_t b = 0; b < v[0]; b++) {
        for (int64_t k = 0; k < 3; k++)
            edge[k] = edge_bin(mel, v[0], b + k, (double)v[1], (double)v[2]);
        LMN_TRY(fill_band(ec, t, edge, b));
    }
    return LAMINA_OK;
}

#define INTS (LMN_DBIT(LAMINA_I32) | LMN_DBIT(LAMINA_I64))
static const lmn_port IN[] = {{"num_mel_bins", 'I', 0, INTS},
                              {"dft_length", 'I', 0, INTS},
                              {"sample_rate", 'I', 0, INTS},
                              {"lower_edge_hertz", 'F', 0, LMN_D_FLOAT},
                              {"upper_edge_hertz", 'F', 0, LMN_D_FLOAT},
                              {0}};
static const lmn_port OUT[] = {{"output", 0, 0, LMN_D_NUM}, {0}};
static const lmn_attr_schema ATTRS[] = {{"output_datatype", LMN_ATTR_INT, 0}, {0}};

const lmn_op_def lmn_op_MelWeightMatrix = {
    .name = "MelWeightMatrix",
    .domain = "",
    .since = 17,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_melweightmatrix,
    .eval = eval_melweightmatrix,
};
