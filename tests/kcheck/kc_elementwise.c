/*
 * kcheck drivers of elementwise, nbits and norm: every kind of operation on guarded buffers, judged
 * by the portable row, whose body is the f64 definition.
 */
#include "kcheck/kcheck.h"

#include "kernels/elementwise/elementwise.h"
#include "kernels/nbits/nbits.h"
#include "kernels/norm/norm.h"

/* A few ulp of the result, and what a change of some ulp in an argument near 0 or 1 can do. */
static double near_bound(double want)
{
    return 1e-6 * fabs(want) + 1e-7;
}

static void judge(kc_ctx *kc, const kc_mat *got, const kc_mat *want, const char *what)
{
    double *w = kc_doubles(kc, want->rows * want->cols),
           *bound = kc_doubles(kc, want->rows * want->cols);
    for (int64_t i = 0; i < want->rows; i++) {
        for (int64_t j = 0; j < want->cols; j++) {
            const double v = want->p[i * want->ld + j];
            w[i * want->cols + j] = v;
            bound[i * want->cols + j] = near_bound(v);
        }
    }
    kc_expect(kc, got, w, bound, what);
}

static void check_unary(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_elementwise_row *row = (const lmn_elementwise_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 10 : 100;
    for (int c = 0; c < n_cases * LMN_UN_KIND_COUNT; c++) {
        kc_case(kc);
        const int64_t n = kc_extent(kc, 16, 100);
        const kc_mat x = kc_input(kc, KC_REAL, 1, n, n), got = kc_output(kc, 1, n, n),
                     want = kc_output(kc, 1, n, n);
        lmn_unary_block b = {
            .kind = (lmn_unary_kind)(c % LMN_UN_KIND_COUNT), .x = x.p, .y = want.p, .n = n};
        char what[48];
        b.p0 = b.kind == LMN_UN_CLIP ? -0.5f : 0.2f, b.p1 = 0.5f;
        snprintf(what, sizeof what, "unary %d n %d", (int)b.kind, (int)n);
        lmn_elementwise_f32_rows[0].unary(&b);
        b.y = got.p;
        KC_CALL(kc, row->unary(&b));
        judge(kc, &got, &want, what);
    }
}

static void check_binary(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_elementwise_row *row = (const lmn_elementwise_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 30 : 300;
    for (int c = 0; c < n_cases * LMN_BIN_KIND_COUNT; c++) {
        kc_case(kc);
        const int64_t n = kc_extent(kc, 16, 100), one = kc_int(kc, 0, 2);
        const kc_mat a = kc_input(kc, KC_REAL, 1, one == 1 ? 1 : n, n + 1),
                     b = kc_input(kc, KC_REAL, 1, one == 2 ? 1 : n, n + 1);
        const kc_mat got = kc_output(kc, 1, n, n), want = kc_output(kc, 1, n, n);
        lmn_binary_block t = {
            .kind = (lmn_binary_kind)(c % LMN_BIN_KIND_COUNT), .a = a.p, .b = b.p};
        char what[48];
        t.a_one = one == 1, t.b_one = one == 2, t.y = want.p, t.n = n;
        snprintf(what, sizeof what, "binary %d one %d n %d", (int)t.kind, (int)one, (int)n);
        lmn_elementwise_f32_rows[0].binary(&t);
        t.y = got.p;
        KC_CALL(kc, row->binary(&t));
        judge(kc, &got, &want, what);
    }
}

/* Folds of rows and of columns; a NaN is met now and then. */
static void check_folds(kc_ctx *kc, const lmn_norm_row *row, const kc_mat *x, int64_t rows,
                        int64_t n)
{
    const kc_mat across = kc_output(kc, rows, 1, 1), down = kc_output(kc, 1, n, n);
    double *w = kc_doubles(kc, rows + n), *bound = kc_doubles(kc, rows + n);
    lmn_norm_block b = {.x = x->p, .step = n, .fold = (lmn_norm_fold)kc_int(kc, 0, 3)};
    const bool most = b.fold == LMN_FOLD_MAX || b.fold == LMN_FOLD_MIN;
    if (most && kc_int(kc, 0, 3) == 0) x->p[kc_int(kc, 0, (int32_t)(rows * n) - 1)] = NAN;
    for (int64_t i = 0; i < rows + n; i++) {
        const int64_t len = i < rows ? n : rows;
        const float *at = x->p + (i < rows ? i * n : i - rows);
        double mag = 0, sum = 0, best = at[0];
        for (int64_t k = 0; k < len; k++) {
            const double v = at[i < rows ? k : k * n];
            sum += v, mag += fabs(v);
            if (!isnan(best) && (isnan(v) || (b.fold == LMN_FOLD_MAX ? v > best : v < best)))
                best = v;
        }
        if (b.fold == LMN_FOLD_MEAN) sum /= (double)len, mag /= (double)len;
        w[i] = most ? best : sum;
        bound[i] = most ? 0 : kc_dot_bound(len + 1, mag);
    }
    b.rows = rows, b.n = n, b.y = across.p;
    KC_CALL(kc, row->folds(&b));
    kc_expect(kc, &across, w, bound, "folds");
    b.rows = n, b.n = rows, b.y = down.p;
    KC_CALL(kc, row->folds_down(&b));
    kc_expect(kc, &down, w + rows, bound + rows, "folds_down");
}

/* Rows as planes of channels, with and without known means. */
static void check_planes(kc_ctx *kc, const lmn_norm_row *row, const lmn_norm_block *layer)
{
    const int64_t rows = layer->rows, n = layer->n, channels = kc_int(kc, 1, 3);
    const kc_mat scale = kc_input(kc, KC_REAL, 1, channels, channels),
                 bias = kc_input(kc, KC_REAL, 1, channels, channels),
                 center = kc_input(kc, KC_REAL, 1, channels, channels),
                 got = kc_output(kc, rows, n, n), want = kc_output(kc, rows, n, n);
    double *w = kc_doubles(kc, rows * n), *bound = kc_doubles(kc, rows * n);
    lmn_norm_block b = *layer;
    b.scale = scale.p, b.bias = bias.p, b.channels = channels, b.row = kc_int(kc, 0, 4);
    b.center = kc_int(kc, 0, 1) ? center.p : NULL;
    b.y = want.p, lmn_norm_f32_rows[0].planes(&b);
    b.y = got.p;
    KC_CALL(kc, row->planes(&b));
    for (int64_t i = 0; i < rows * n; i++) {
        const int64_t c = (b.row + i / n) % channels;
        w[i] = want.p[i];
        bound[i] = 1e-4 * (fabs(scale.p[c]) + fabs(bias.p[c]) + fabs(w[i])) + 1e-6;
    }
    kc_expect(kc, &got, w, bound, "planes");
}

static void check_norm(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_norm_row *row = (const lmn_norm_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 100 : 1000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const int64_t rows = kc_int(kc, 1, 4), n = lmn_max_i64(1, kc_extent(kc, 16, 100));
        const bool whole = kc_int(kc, 0, 1);
        const kc_mat x = kc_input(kc, KC_REAL, rows, n, n), scale = kc_input(kc, KC_REAL, 1, n, n),
                     bias = kc_input(kc, KC_REAL, 1, n, n);
        const kc_mat soft = kc_output(kc, rows, n, n), want = kc_output(kc, rows, n, n),
                     layer = kc_output(kc, rows, n, n), want_layer = kc_output(kc, rows, n, n);
        lmn_norm_block b = {.x = x.p, .rows = rows, .n = n, .scale = scale.p, .eps = 0.1f};
        b.bias = whole ? bias.p : NULL;
        b.y = want.p, lmn_norm_f32_rows[0].softmax(&b);
        b.y = want_layer.p, lmn_norm_f32_rows[0].layer(&b);
        b.y = soft.p;
        KC_CALL(kc, row->softmax(&b));
        judge(kc, &soft, &want, "softmax");
        b.rows = n, b.n = rows, b.step = n;
        b.y = want.p, lmn_norm_f32_rows[0].softmax_down(&b);
        b.y = soft.p;
        KC_CALL(kc, row->softmax_down(&b));
        judge(kc, &soft, &want, "softmax_down");
        b.rows = rows, b.n = n;
        b.y = layer.p;
        KC_CALL(kc, row->layer(&b));
        double *w = kc_doubles(kc, rows * n), *bound = kc_doubles(kc, rows * n);
        for (int64_t i = 0; i < rows * n; i++) {
            w[i] = want_layer.p[i];
            bound[i] = 1e-4 * (fabs(scale.p[i % n]) + fabs(w[i])) + 1e-6;
        }
        kc_expect(kc, &layer, w, bound, "layer");
        b.y = want.p, lmn_norm_f32_rows[0].rms(&b);
        b.y = layer.p;
        KC_CALL(kc, row->rms(&b));
        judge(kc, &layer, &want, "rms");
        b.y = want.p, lmn_norm_f32_rows[0].log_softmax(&b);
        b.y = soft.p;
        KC_CALL(kc, row->log_softmax(&b));
        for (int64_t i = 0; i < rows * n; i++)
            w[i] = want.p[i], bound[i] = 2e-6 * fabs(w[i]) + 2e-6;
        kc_expect(kc, &soft, w, bound, "log_softmax");
        check_planes(kc, row, &b);
        check_folds(kc, row, &x, rows, n);
    }
}

/* Any bytes are weights; they end where the guard page begins. */
static void check_nbits(kc_ctx *kc, const lmn_krow *head)
{
    const lmn_nbits_row *row = (const lmn_nbits_row *)(const void *)head;
    const int n_cases = kc_quick(kc) ? 100 : 1000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        const int64_t n = lmn_max_i64(1, kc_extent(kc, 16, 200)), block = 16 << kc_int(kc, 0, 3);
        const int64_t blocks = (n + block - 1) / block, words = (n + 3) / 4;
        const bool four = kc_int(kc, 0, 1);
        const kc_mat q = kc_input(kc, KC_REAL, 1, words, words),
                     s = kc_input(kc, KC_REAL, 1, blocks, blocks),
                     zp = kc_input(kc, KC_REAL, 1, blocks, blocks);
        const kc_mat got = kc_output(kc, 1, n, n), want = kc_output(kc, 1, n, n);
        const uint8_t *bytes =
            (const uint8_t *)(const void *)(q.p + words) - (four ? (n + 1) / 2 : n);
        const lmn_nbits_row *ref = &lmn_nbits_f32_rows[0];
        (four ? ref->expand4 : ref->expand8)(want.p, bytes, n, block, s.p, zp.p);
        KC_CALL(kc, (four ? row->expand4 : row->expand8)(got.p, bytes, n, block, s.p, zp.p));
        judge(kc, &got, &want, "expand");
    }
}

const kc_driver kc_nbits_expand = {"nbits", "expand", check_nbits, NULL};
const kc_driver kc_elementwise_unary = {"elementwise", "unary", check_unary, NULL};
const kc_driver kc_elementwise_binary = {"elementwise", "binary", check_binary, NULL};
const kc_driver kc_norm_rows = {"norm", "rows", check_norm, NULL};
