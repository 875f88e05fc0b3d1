/*
 * Packed weights (packbits.h). The reference product widens a row of weights to f32 and sums in
 * f64.
 */
#include "ops/packbits.h"
#include "ops/linalg.h"
#include "ops/wide.h"

#include <string.h>

static float zero_point(const lmn_packbits *w, int64_t row, int64_t block)
{
    if (w->zp_f32) return w->zp_f32[row * w->n_blocks + block];
    if (!w->zp) return (float)(1 << (w->bits - 1));
    const int64_t at = w->zp_bytes ? block : row;
    const uint8_t *p = w->zp + (w->zp_bytes ? row * w->zp_bytes : 0) + at * w->bits / 8;
    return (float)((*p >> (at * w->bits % 8)) & ((1 << w->bits) - 1));
}

/* Columns [from, to) of one block, all of one scale; 4- and 2-bit blocks start at whole bytes. */
static void expand(const lmn_packbits *w, const uint8_t *q, int64_t n, float zp, float scale,
                   float *dst)
{
    float value[16];
    int64_t i = 0;
    if (w->bits == 8) {
        for (; i < n; i++) dst[i] = ((float)q[i] - zp) * scale;
        return;
    }
    for (int v = 0; v < 1 << w->bits; v++) value[v] = ((float)v - zp) * scale;
    if (w->bits == 4) {
        for (; i + 2 <= n; i += 2) {
            const uint8_t two = q[i / 2];
            dst[i] = value[two & 15];
            dst[i + 1] = value[two >> 4];
        }
        if (i < n) dst[i] = value[q[i / 2] & 15];
        return;
    }
    for (; i < n; i++) dst[i] = value[(q[i / 4] >> (i % 4 * 2)) & 3];
}

static void grouped_row(const lmn_packbits *w, const uint8_t *q, int64_t row, float *dst)
{
    for (int64_t i = 0; i < w->cols; i++) {
        const int64_t bit = i * w->bits, b = w->group[i];
        const int v = (q[bit / 8] >> (bit % 8)) & ((1 << w->bits) - 1);
        dst[i] = ((float)v - zero_point(w, row, b)) * w->scales[row * w->n_blocks + b];
    }
}

void lmn_packbits_row(const lmn_packbits *w, int64_t row, float *dst)
{
    const uint8_t *q = w->q + row * w->row_bytes;
    if (w->group) {
        grouped_row(w, q, row, dst);
        return;
    }
    for (int64_t b = 0; b < w->n_blocks; b++) {
        const int64_t from = b * w->block, n = lmn_min_i64(w->block, w->cols - from);
        expand(w, q + from * w->bits / 8, n, zero_point(w, row, b),
               w->scales[row * w->n_blocks + b], dst + from);
    }
}

void lmn_packbits_zero_points(const lmn_packbits *w, int64_t row, float *dst)
{
    for (int64_t b = 0; b < w->n_blocks; b++) dst[b] = zero_point(w, row, b);
}

lamina_status lmn_f32_in(lmn_eval *ec, const lamina_tensor *t, const float **out)
{
    const int64_t n = lmn_count(t);
    *out = t->data;
    if (t->dtype == LAMINA_F32) return LAMINA_OK;
    float *copy = lmn_wide_scratch(ec, n > 0 ? n : 1, sizeof *copy);
    if (!copy) return LAMINA_E_NOMEM;
    if (n > 0) lmn_convert(LAMINA_F32, copy, t->dtype, t->data, n, false);
    *out = copy;
    return LAMINA_OK;
}

/* ---- MatMulNBits --------------------------------------------------------------------------------
 */

static lamina_status bad(lmn_eval *ec, const char *what)
{
    return lmn_eval_fail(ec, LAMINA_E_SHAPE, "%s", what);
}

static lamina_status read_zero_points(lmn_eval *ec, lmn_packbits *w)
{
    const lamina_tensor *zp = lmn_in(ec, 3);
    if (!zp) return LAMINA_OK;
    if (zp->dtype != LAMINA_U8) {
        if (lmn_count(zp) != w->rows * w->n_blocks)
            return bad(ec, "zero_points must have one entry a block");
        return lmn_f32_in(ec, zp, &w->zp_f32);
    }
    w->zp_bytes = (w->n_blocks * w->bits + 7) / 8;
    if (lmn_count(zp) != w->rows * w->zp_bytes)
        return bad(ec, "packed zero_points must have whole bytes a row of blocks");
    w->zp = zp->data;
    return LAMINA_OK;
}

static lamina_status read_groups(lmn_eval *ec, lmn_packbits *w)
{
    const lamina_tensor *g = lmn_in(ec, 4);
    if (!g) return LAMINA_OK;
    if (lmn_count(g) < w->cols) return bad(ec, "g_idx must have one entry a column");
    w->group = g->data;
    for (int64_t i = 0; i < w->cols; i++)
        if (w->group[i] < 0 || w->group[i] >= w->n_blocks)
            return bad(ec, "g_idx names a block that does not exist");
    return LAMINA_OK;
}

lamina_status lmn_packbits_read(lmn_eval *ec, lmn_packbits *w)
{
    const lmn_opnode *n = ec->node;
    const lamina_tensor *b = lmn_in(ec, 1), *scales = lmn_in(ec, 2);
    const int64_t bits = lmn_attr_i(n, "bits", 4);
    *w = (lmn_packbits){.q = b->data,
                        .rows = lmn_attr_i(n, "N", 0),
                        .cols = lmn_attr_i(n, "K", 0),
                        .block = lmn_attr_i(n, "block_size", 0)};
    if (bits != 2 && bits != 4 && bits != 8) return bad(ec, "attribute \"bits\" must be 2, 4 or 8");
    if (w->rows <= 0 || w->cols <= 0 || w->block < 8 || w->rows > INT32_MAX ||
        w->cols > INT32_MAX || w->block > INT32_MAX)
        return bad(ec, "attributes N, K and block_size must be positive");
    w->bits = (int32_t)bits;
    w->n_blocks = (w->cols + w->block - 1) / w->block;
    w->row_bytes = w->n_blocks * (w->block * bits / 8);
    if (w->block * bits % 8 != 0 || lmn_count(b) % w->rows != 0 ||
        lmn_count(b) / w->rows != w->row_bytes)
        return bad(ec, "B must be [N, blocks, block_size * bits / 8]");
    if (lmn_count(scales) != w->rows * w->n_blocks)
        return bad(ec, "scales must have one entry a block");
    LMN_TRY(lmn_f32_in(ec, scales, &w->scales));
    LMN_TRY(read_zero_points(ec, w));
    return read_groups(ec, w);
}

/* ---- the reference product ----------------------------------------------------------------------
 */

enum { ROWS_PER_CHUNK = 16 };

typedef struct product {
    lmn_weight_row_fn *row;
    const void *ctx;
    const float *a, *bias;
    double *y;
    float *area; /* a row a worker */
    int64_t m, n, k;
} product;

static double dot(const float *x, const float *y, int64_t n)
{
    double s[4] = {0};
    int64_t i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += (double)x[i + k] * (double)y[i + k];
    for (; i < n; i++) s[0] += (double)x[i] * (double)y[i];
    return (s[0] + s[1]) + (s[2] + s[3]);
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    float *w = p->area + worker * p->k;
    const int64_t end = lmn_min_i64(p->n, (chunk + 1) * ROWS_PER_CHUNK);
    for (int64_t j = chunk * ROWS_PER_CHUNK; j < end; j++) {
        p->row(p->ctx, j, w);
        const double add = p->bias ? (double)p->bias[j] : 0.0;
        for (int64_t i = 0; i < p->m; i++) p->y[i * p->n + j] = dot(p->a + i * p->k, w, p->k) + add;
    }
}

lamina_status lmn_weights_matmul(lmn_eval *ec, lmn_weight_row_fn *row, const void *ctx, int64_t n,
                                 int64_t k, const lamina_tensor *bias)
{
    const lamina_tensor *a = lmn_in(ec, 0);
    int64_t dims[LMN_MAX_RANK];
    lamina_tensor *y;
    if (a->rank < 1 || a->dims[a->rank - 1] != k)
        return lmn_eval_fail(ec, LAMINA_E_SHAPE, "the last extent of A must be %lld", (long long)k);
    if (bias && lmn_count(bias) != n) return bad(ec, "the bias must have one entry a column");
    memcpy(dims, a->dims, sizeof dims);
    dims[a->rank - 1] = n;
    LMN_TRY(lmn_out(ec, 0, a->dtype, a->rank, dims, &y));
    if (!y) return LAMINA_OK;
    product p = {.row = row, .ctx = ctx, .m = lmn_count(a) / k, .n = n, .k = k};
    LMN_TRY(lmn_f32_in(ec, a, &p.a));
    if (bias) LMN_TRY(lmn_f32_in(ec, bias, &p.bias));
    LMN_TRY(lmn_wide_out(ec, y, &p.y));
    p.area = lmn_wide_scratch(ec, k * lmn_par_width(ec->par), sizeof *p.area);
    if (!p.area) return LAMINA_E_NOMEM;
    if (p.m > 0) lmn_par_for(ec->par, (n + ROWS_PER_CHUNK - 1) / ROWS_PER_CHUNK, run_chunk, &p);
    lmn_wide_store(y, p.y);
    return LAMINA_OK;
}

lamina_status lmn_weights_infer(lmn_infer *ic, int64_t n, int64_t k)
{
    if (n <= 0 || k <= 0)
        return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, "attributes N and K must be positive");
    LMN_TRY(lmn_infer_rank_in(ic, 0, 1, LMN_MAX_RANK));
    const lmn_fact *a = lmn_infer_shape_of(ic, 0);
    if (!a) return LAMINA_OK;
    LMN_TRY(lmn_infer_equal(ic, a->dims[a->rank - 1], lmn_dim_c(k),
                            "the last extent of A and attribute \"K\"", NULL));
    lmn_fact *y = lmn_infer_ranked(ic, 0, a->rank);
    if (!y) return LAMINA_OK;
    memcpy(y->dims, a->dims, sizeof y->dims);
    y->dims[a->rank - 1] = lmn_dim_c(n);
    return LAMINA_OK;
}
