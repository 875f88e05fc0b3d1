/*
 * kcheck drivers of attention: the steps on a block of scores beside the portable row, and the
 * driver on guarded operands in any layout, judged in f64 with a bound made of the error of a score
 * (a dot product), of its exponential and of the sums.
 */
#include "kcheck/kcheck.h"

#include "kernels/attention/attention_plan.h"
#include "kernels/hgemm/hgemm_half.h"

static int64_t *key_limits(kc_ctx *kc, int64_t m, int64_t from, int64_t to)
{
    int64_t *v = kc_buffer(kc, (size_t)m * sizeof *v);
    for (int64_t i = 0; i < m; i++) v[i] = kc_int(kc, from, to);
    return v;
}

static void expect_rel(kc_ctx *kc, const kc_mat *got, const kc_mat *want, double rel,
                       const char *what)
{
    double *w = kc_doubles(kc, got->rows * got->cols), *e = kc_doubles(kc, got->rows * got->cols);
    for (int64_t i = 0; i < got->rows * got->cols; i++) {
        w[i] = want->p[i / got->cols * want->ld + i % got->cols];
        e[i] = rel * fabs(w[i]) + 1e-37;
    }
    kc_expect(kc, got, w, e, what);
}

static void soften_case(kc_ctx *kc, const lmn_attention_row *row)
{
    const int64_t m = kc_int(kc, 1, 5), n = kc_int(kc, 1, 90), ld = n + kc_int(kc, 0, 3),
                  dv = kc_extent(kc, 16, 70), key = kc_int(kc, 0, 100);
    const kc_style style = (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1);
    const bool fresh = kc_int(kc, 0, 2) == 0;
    const kc_mat s = kc_input(kc, style, m, n, ld), s2 = kc_copy(kc, &s),
                 o = kc_input(kc, KC_REAL, m, dv, dv), o2 = kc_copy(kc, &o),
                 top = kc_input(kc, KC_REAL, 1, m, m), top2 = kc_copy(kc, &top),
                 sum = kc_input(kc, KC_REAL, 1, m, m), sum2 = kc_copy(kc, &sum);
    for (int64_t i = 0; i < m; i++) {
        top.p[i] = top2.p[i] = fresh ? -INFINITY : top.p[i];
        sum.p[i] = sum2.p[i] = fresh ? 0.0f : 1.0f + fabsf(sum.p[i]);
    }
    lmn_attention_soft b = {.s = s.p,
                            .ld = ld,
                            .m = m,
                            .n = n,
                            .key = key,
                            .top = top.p,
                            .sum = sum.p,
                            .o = o.p,
                            .dv = dv};
    b.lo = key_limits(kc, m, key - 20, key + n + 5),
    b.hi = key_limits(kc, m, key - 5, key + n + 40);
    KC_CALL(kc, row->soften(&b));
    b.s = s2.p, b.top = top2.p, b.sum = sum2.p, b.o = o2.p;
    lmn_attention_f32_rows[0].soften(&b);
    expect_rel(kc, &s, &s2, 1e-6, "weights");
    expect_rel(kc, &top, &top2, 0, "top");
    expect_rel(kc, &sum, &sum2, 1e-5, "sum");
    expect_rel(kc, &o, &o2, 1e-6, "values");
}

/* Weights of 16 bits beside those of the portable row; the state as soften leaves it. */
static void weigh_case(kc_ctx *kc, const lmn_attention_row *row)
{
    const int64_t m = kc_int(kc, 1, 5), n = kc_int(kc, 1, 90), whole = n + kc_int(kc, 0, 31),
                  ld = whole + kc_int(kc, 0, 3), dv = kc_extent(kc, 16, 70);
    const kc_mat s = kc_input(kc, (kc_style)kc_int(kc, 0, KC_STYLE_COUNT - 1), m, n, n),
                 o = kc_input(kc, KC_REAL, m, dv, dv), o2 = kc_copy(kc, &o),
                 top = kc_input(kc, KC_REAL, 1, m, m), top2 = kc_copy(kc, &top),
                 sum = kc_input(kc, KC_REAL, 1, m, m), sum2 = kc_copy(kc, &sum),
                 got = kc_output(kc, m, whole, whole), want = kc_output(kc, m, whole, whole);
    uint16_t *to = kc_buffer(kc, (size_t)(m * ld) * sizeof *to);
    for (int64_t i = 0; i < m * ld; i++) to[i] = 0x1234;
    for (int64_t i = 0; i < m; i++) {
        if (kc_int(kc, 0, 1)) top.p[i] = top2.p[i] = -INFINITY;
        sum.p[i] = sum2.p[i] = top.p[i] == -INFINITY ? 0.0f : 1.0f + fabsf(sum.p[i]);
        memset(want.p + i * whole, 0, (size_t)whole * sizeof(float));
        memcpy(want.p + i * whole, s.p + i * n, (size_t)n * sizeof(float));
    }
    lmn_attention_weigh w = {.to = to, .ld = ld, .whole = whole};
    w.soft = (lmn_attention_soft){
        .s = s.p, .ld = n, .m = m, .n = n, .top = top.p, .sum = sum.p, .o = o.p, .dv = dv};
    w.soft.lo = key_limits(kc, m, -20, n + 5), w.soft.hi = key_limits(kc, m, -5, n + 40);
    KC_CALL(kc, row->weigh(&w));
    w.soft.s = want.p, w.soft.ld = whole, w.soft.top = top2.p, w.soft.sum = sum2.p;
    w.soft.o = o2.p;
    lmn_attention_f32_rows[0].soften(&w.soft);
    for (int64_t i = 0; i < m * ld; i++) {
        const int64_t r = i / ld, c = i % ld;
        if (c < whole)
            got.p[r * whole + c] = hgemm_from_bf16(to[i]);
        else if (to[i] != 0x1234)
            kc_fail(kc, "behind row %d of weights something was written", (int)r);
    }
    expect_rel(kc, &got, &want, 0x1.02p-8, "weights of 16 bits");
    expect_rel(kc, &top, &top2, 0, "top");
    expect_rel(kc, &sum, &sum2, 1e-5, "sum");
    expect_rel(kc, &o, &o2, 1e-6, "values");
}

static void end_case(kc_ctx *kc, const lmn_attention_row *row)
{
    const int64_t m = kc_int(kc, 1, 4), parts = kc_int(kc, 1, 5), dv = kc_extent(kc, 16, 70);
    const kc_mat top = kc_input(kc, KC_REAL, parts, m, m), sum = kc_input(kc, KC_REAL, parts, m, m),
                 o = kc_input(kc, KC_REAL, parts * m, dv, dv);
    kc_mat out[2][4];
    for (int64_t i = 0; i < parts * m; i++) {
        if (kc_int(kc, 0, 3) == 0) top.p[i] = -INFINITY;
        sum.p[i] = top.p[i] == -INFINITY ? 0.0f : 0.1f + fabsf(sum.p[i]);
        if (kc_int(kc, 0, 15) == 0) sum.p[i] = NAN;
    }
    for (int k = 0; k < 2; k++) {
        const lmn_attention_row *use = k ? &lmn_attention_f32_rows[0] : row;
        out[k][0] = kc_output(kc, 1, m, m), out[k][1] = kc_output(kc, 1, m, m);
        out[k][2] = kc_output(kc, m, dv, dv), out[k][3] = kc_output(kc, m, dv, dv + 1);
        const lmn_attention_merge join = {.top = top.p,
                                          .sum = sum.p,
                                          .o = o.p,
                                          .parts = parts,
                                          .step = m,
                                          .o_step = m * dv,
                                          .m = m,
                                          .dv = dv,
                                          .to_top = out[k][0].p,
                                          .to_sum = out[k][1].p,
                                          .to_o = out[k][2].p};
        KC_CALL(kc, use->merge(&join));
        const lmn_attention_finish end = {.o = o.p,
                                          .sum = sum.p,
                                          .m = m,
                                          .dv = dv,
                                          .y = out[k][3].p,
                                          .ldy = dv + 1,
                                          .zero_empty = m & 1,
                                          .zero_nan = parts & 1};
        KC_CALL(kc, use->finish(&end));
    }
    expect_rel(kc, &out[0][0], &out[1][0], 0, "merged top");
    expect_rel(kc, &out[0][1], &out[1][1], 1e-5, "merged sum");
    expect_rel(kc, &out[0][3], &out[1][3], 1e-6, "finished");
    for (int64_t i = 0; i < m * dv; i++) { /* sums of both signs: an absolute bound */
        const float *g = out[0][2].p + i, *w = out[1][2].p + i;
        if (!kc_near(*g, *w, 1e-4)) kc_fail(kc, "merged value %g, want %g", (double)*g, (double)*w);
    }
}

static void check_rows(kc_ctx *kc, const lmn_krow *head)
{
    const int n_cases = kc_quick(kc) ? 200 : 3000;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        if (c % 4 == 1 && ((const lmn_attention_row *)(const void *)head)->weigh)
            weigh_case(kc, (const lmn_attention_row *)(const void *)head);
        else if (c % 4)
            soften_case(kc, (const lmn_attention_row *)(const void *)head);
        else
            end_case(kc, (const lmn_attention_row *)(const void *)head);
    }
}

/* ---- the driver ----------------------------------------------------------------------------- */

typedef struct plan_case {
    lmn_attention_shape s;
    lmn_attention_args a;
    int64_t before, behind; /* keys a query sees past and before its own; < 0 = all */
    bool masked;
    bool half;               /* products in bf16 */
    const lmn_hgemm_row *io; /* operands of 16 bits, NULL = f32 */
    kc_mat q, k, v;
} plan_case;

static bool is_f16(const lmn_hgemm_row *io)
{
    return strcmp(io->head.dtype, "f16") == 0;
}

/* The operand as the plan reads it: in 16 bits beside a guard page, whose values m then has. */
static const void *as_given(kc_ctx *kc, const plan_case *t, kc_mat *m)
{
    if (!t->io) return m->p;
    const int64_t n = m->rows > 0 ? (m->rows - 1) * m->ld + m->cols : 0;
    uint16_t *h = kc_buffer(kc, (size_t)n * sizeof *h);
    for (int64_t i = 0; i < n; i++) {
        const bool in = i % m->ld < m->cols;
        h[i] = in ? is_f16(t->io) ? hgemm_to_f16(m->p[i]) : hgemm_to_bf16(m->p[i]) : 0x7fff;
        if (in) m->p[i] = is_f16(t->io) ? hgemm_from_f16(h[i]) : hgemm_from_bf16(h[i]);
    }
    return h;
}

/* Rounding both factors of a product to bf16, u = 2^-8 each, of its size. */
static const double half_bound = 0x1.01p-7;

static void case_span(const void *ctx, int64_t b, int64_t h, int64_t i, int64_t *lo, int64_t *hi)
{
    const plan_case *t = ctx;
    *lo = t->behind < 0 ? 0 : lmn_max_i64(0, i + h - t->behind);
    *hi = t->before < 0 ? t->s.keys : lmn_min_i64(t->s.keys, i + b + t->before);
}

/* A mask that anyone can compute: some keys are hidden, some lifted, query 3 sees nothing. */
static float case_mask(const plan_case *t, int64_t h, int64_t i, int64_t j)
{
    if (!t->masked) return 0.0f;
    return i == 3 || (i * 7 + j * 5 + h) % 11 == 0 ? -INFINITY : (float)((i + 3 * j) % 5) * 0.25f;
}

static void case_edit(const void *ctx, const lmn_attention_scores *e)
{
    for (int64_t i = 0; i < e->m; i++)
        for (int64_t j = 0; j < e->n; j++)
            e->s[i * e->ld + j] += case_mask(ctx, e->h, e->i0 + i, e->key + j);
}

static double value_at(const kc_mat *m, bool turned, int64_t group, int64_t rows, int64_t cols,
                       int64_t r, int64_t c)
{
    return turned ? m->p[(group * cols + c) * m->ld + r] : m->p[(group * rows + r) * m->ld + c];
}

/* One result row and its bound, in f64. */
static void judge_row(const plan_case *t, int64_t b, int64_t h, int64_t i, double *s, double *want,
                      double *bound)
{
    const lmn_attention_shape *p = &t->s;
    const int64_t kg = b * p->k_heads + h / (p->heads / p->k_heads),
                  vg = b * p->v_heads + h / (p->heads / p->v_heads);
    const float *q = t->q.p + ((b * p->heads + h) * p->queries + i) * t->q.ld;
    int64_t lo, hi;
    double top = t->a.sink ? t->a.sink[h] : -INFINITY, sum = 0, worst = 0;
    case_span(t, b, h, i, &lo, &hi);
    for (int64_t j = lo; j < hi; j++) {
        double dot = 0, mag = 0;
        for (int64_t c = 0; c < p->d; c++) {
            const double k = value_at(&t->k, p->k_turned, kg, p->keys, p->d, j, c);
            dot += q[c] * k, mag += fabs(q[c] * k);
        }
        s[j] = (double)t->a.scale * dot + case_mask(t, h, i, j);
        double err = kc_dot_bound(t->half ? 2 * p->d + 5 : p->d + 3, mag * t->a.scale + 2);
        if (t->half) err += half_bound * mag * t->a.scale;
        worst = err > worst ? err : worst;
        top = s[j] > top ? s[j] : top;
    }
    for (int64_t j = lo; j < hi; j++) sum += exp(s[j] - top);
    if (t->a.sink) sum += exp(t->a.sink[h] - top);
    const bool empty = !(top > -INFINITY);
    for (int64_t c = 0; c < p->dv; c++) {
        double y = 0, mag = 0;
        for (int64_t j = lo; j < hi && !empty; j++) {
            const double v = value_at(&t->v, p->v_turned, vg, p->keys, p->dv, j, c);
            y += exp(s[j] - top) / sum * v, mag += exp(s[j] - top) / sum * fabs(v);
        }
        want[c] = !empty ? y : t->a.zero_empty || hi <= lo ? 0 : NAN;
        bound[c] = (2 * worst + kc_dot_bound(p->keys + 64, 2)) * mag + 1e-37;
        if (t->half) /* a weight is e^(2 worst) off, and rounded; the least ones are flushed */
            bound[c] =
                (expm1(2 * worst) + half_bound + kc_dot_bound(2 * p->keys + 64, 2)) * mag + 1e-30;
        if (t->io) /* one rounding more */
            bound[c] += (is_f16(t->io) ? 0x1p-11 : 0x1p-8) * (fabs(want[c]) + bound[c]) + 0x1p-25;
    }
}

/* heads x rows x cols, or turned; ld by the case. */
static kc_mat operand(kc_ctx *kc, int64_t heads, int64_t rows, int64_t cols, bool turned)
{
    const int64_t width = turned ? rows : cols, pad = kc_int(kc, 0, 1) * kc_int(kc, 1, 9);
    return kc_input(kc, KC_REAL, heads * (turned ? cols : rows), width, width + pad);
}

static void random_shape(kc_ctx *kc, lmn_attention_shape *s)
{
    const int64_t group = kc_int(kc, 1, 3), kv = kc_int(kc, 1, 2);
    *s = (lmn_attention_shape){.batch = kc_int(kc, 1, 2), .heads = group * kv};
    s->k_heads = kc_int(kc, 0, 4) ? kv : 1;
    s->v_heads = kv;
    s->queries = kc_int(kc, 0, 2) ? kc_int(kc, 1, 5) : kc_int(kc, 6, 90);
    s->keys = kc_int(kc, 0, 3) ? kc_int(kc, 1, 120) : kc_int(kc, 300, 900);
    if (kc_int(kc, 0, 15) == 0) s->keys = kc_int(kc, 2048, 5000), s->queries = 1;
    s->d = lmn_max_i64(1, kc_extent(kc, 16, 130)), s->dv = lmn_max_i64(1, kc_extent(kc, 16, 130));
    s->k_turned = kc_int(kc, 0, 3) == 0, s->v_turned = kc_int(kc, 0, 3) == 0;
}

/* All chunks and merges, forwards or backwards: y. */
static void run_plan(kc_ctx *kc, const lmn_attention_plan *p, lmn_attention_args *a, bool back)
{
    void *scratch = kc_buffer(kc, p->scratch_bytes);
    a->shared = kc_buffer(kc, p->shared_bytes);
    for (int64_t c = 0; c < p->n_chunks; c++)
        KC_CALL(kc, lmn_attention_f32_chunk(p, a, back ? p->n_chunks - 1 - c : c, scratch));
    for (int64_t c = 0; c < p->n_merges; c++)
        KC_CALL(kc, lmn_attention_f32_merge(p, a, back ? p->n_merges - 1 - c : c, scratch));
}

static void plan_operands(kc_ctx *kc, plan_case *t)
{
    const lmn_attention_shape *s = &t->s;
    t->q = operand(kc, s->batch * s->heads, s->queries, s->d, false);
    t->k = operand(kc, s->batch * s->k_heads, s->keys, s->d, s->k_turned);
    t->v = operand(kc, s->batch * s->v_heads, s->keys, s->dv, s->v_turned);
    lmn_attention_args *a = &t->a;
    *a = (lmn_attention_args){.q = as_given(kc, t, &t->q),
                              .k = as_given(kc, t, &t->k),
                              .v = as_given(kc, t, &t->v),
                              .ldk = t->k.ld,
                              .ldv = t->v.ld,
                              .scale = 0.3f,
                              .ctx = t};
    a->q_step[3] = 1, a->q_step[2] = t->q.ld, a->q_step[1] = s->queries * t->q.ld;
    a->q_step[0] = s->heads * a->q_step[1];
    a->k_step[1] = (s->k_turned ? s->d : s->keys) * t->k.ld,
    a->k_step[0] = s->k_heads * a->k_step[1];
    a->v_step[1] = (s->v_turned ? s->dv : s->keys) * t->v.ld,
    a->v_step[0] = s->v_heads * a->v_step[1];
    a->zero_empty = kc_int(kc, 0, 1), a->zero_nan = false;
    a->span = t->before >= 0 || t->behind >= 0 ? case_span : NULL;
    a->edit = t->masked ? case_edit : NULL;
    if (kc_int(kc, 0, 4) == 0) a->sink = kc_input(kc, KC_REAL, 1, s->heads, s->heads).p;
}

/* The best row of hgemm that multiplies pairs, NULL = none here. */
static const lmn_hgemm_row *pair_row(kc_ctx *kc)
{
    lmn_kset set;
    (void)lmn_kset_choose(kc_cpu(kc), NULL, &set);
    return set.hgemm_bf16->rows_f32 ? set.hgemm_bf16 : NULL;
}

static void make_plan(kc_ctx *kc, const lmn_krow *head, bool half, const lmn_hgemm_row *io,
                      const lmn_attention_shape *s, lmn_attention_plan *p)
{
    const lmn_attention_row *row = (const lmn_attention_row *)(const void *)head;
    lmn_kset set;
    (void)lmn_kset_choose(kc_cpu(kc), NULL, &set);
    if (io)
        lmn_attention_short_plan(set.gemm_f32, io, half ? io : NULL, row, s, p);
    else if (half)
        lmn_attention_bf16_plan(set.gemm_f32, pair_row(kc), row, s, p);
    else
        lmn_attention_f32_plan(set.gemm_f32, row, s, p);
}

/* The result of all chunks, in one order or the other, rows ld apart. */
static kc_mat plan_result(kc_ctx *kc, const lmn_attention_plan *p, plan_case *t, int64_t ld,
                          bool back)
{
    const lmn_attention_shape *s = &t->s;
    const int64_t rows = s->batch * s->heads * s->queries, n = (rows - 1) * ld + s->dv;
    const kc_mat y = kc_output(kc, rows, s->dv, ld);
    uint16_t *h = t->io ? kc_buffer(kc, (size_t)n * sizeof *h) : NULL;
    for (int64_t i = 0; h && i < n; i++) h[i] = 0x1234;
    t->a.y = h ? (void *)h : y.p, t->a.y_step[2] = ld, t->a.y_step[1] = s->queries * ld;
    t->a.y_step[0] = s->heads * t->a.y_step[1];
    run_plan(kc, p, &t->a, back);
    for (int64_t i = 0; h && i < n; i++)
        if (i % ld < s->dv)
            y.p[i] = is_f16(t->io) ? hgemm_from_f16(h[i]) : hgemm_from_bf16(h[i]);
        else if (h[i] != 0x1234)
            kc_fail(kc, "behind row %d of the result something was written", (int)(i / ld));
    return y;
}

static void plan_check(kc_ctx *kc, const lmn_krow *head, plan_case *t)
{
    random_shape(kc, &t->s);
    if (t->io) t->s.k_turned = t->s.v_turned = false;
    if (kc_int(kc, 0, 3) == 0) t->behind = kc_int(kc, 0, 50);
    t->masked = kc_int(kc, 0, 2) == 0;
    plan_operands(kc, t);
    const lmn_attention_shape *s = &t->s;
    const int64_t rows = s->batch * s->heads * s->queries;
    lmn_attention_plan p;
    make_plan(kc, head, t->half, t->io, s, &p);
    t->half = p.half != NULL;
    const kc_mat y = plan_result(kc, &p, t, s->dv + 2, false);
    double *want = kc_doubles(kc, rows * s->dv), *bound = kc_doubles(kc, rows * s->dv),
           *scores = kc_doubles(kc, s->keys);
    for (int64_t r = 0; r < rows; r++)
        judge_row(t, r / s->queries / s->heads, r / s->queries % s->heads, r % s->queries, scores,
                  want + r * s->dv, bound + r * s->dv);
    kc_expect(kc, &y, want, bound, t->half ? "attention in bf16" : "attention");
    const kc_mat y2 = plan_result(kc, &p, t, s->dv, true);
    kc_expect_bits(kc, &y2, &y, "backwards");
}

/* In f32, with products in bf16, and by operands of 16 bits of either kind. */
static void check_plan(kc_ctx *kc, const lmn_krow *head)
{
    const int n_cases = kc_quick(kc) ? 60 : 1500;
    lmn_kset set;
    (void)lmn_kset_choose(kc_cpu(kc), NULL, &set);
    const struct {
        bool half;
        const lmn_hgemm_row *io;
    } kinds[] = {{false, NULL},
                 {true, NULL},
                 {false, set.hgemm_bf16},
                 {true, set.hgemm_bf16},
                 {false, set.hgemm_f16}};
    for (size_t kind = 0; kind < LMN_COUNT(kinds); kind++) {
        if (kinds[kind].half && !pair_row(kc)) continue;
        for (int c = 0; c < (kinds[kind].io ? n_cases / 2 : n_cases); c++) {
            kc_case(kc);
            plan_case t = {.before = kc_int(kc, 0, 1) ? -1 : kc_int(kc, 1, 40),
                           .behind = -1,
                           .half = kinds[kind].half,
                           .io = kinds[kind].io};
            plan_check(kc, head, &t);
        }
    }
}

/* ---- timing --------------------------------------------------------------------------------- */

typedef struct bench_case {
    lmn_attention_plan p;
    lmn_attention_args a;
    void *scratch;
} bench_case;

static void bench_run(void *arg)
{
    const bench_case *t = arg;
    for (int64_t c = 0; c < t->p.n_chunks; c++)
        lmn_attention_f32_chunk(&t->p, &t->a, c, t->scratch);
    for (int64_t c = 0; c < t->p.n_merges; c++)
        lmn_attention_f32_merge(&t->p, &t->a, c, t->scratch);
}

static void causal_span(const void *ctx, int64_t b, int64_t h, int64_t i, int64_t *lo, int64_t *hi)
{
    (void)ctx, (void)b, (void)h;
    *lo = 0, *hi = i + 1;
}

static void bench_plan(kc_ctx *kc, const lmn_krow *head)
{
    static const struct {
        int32_t heads, group, queries, keys, d;
        bool causal;
    } sets[] = {{12, 1, 128, 128, 64, false},   {12, 1, 512, 512, 64, false},
                {12, 1, 512, 512, 64, true},    {4, 1, 1024, 1024, 64, false},
                {2, 1, 4096, 4096, 64, false},  {2, 1, 4096, 4096, 64, true},
                {2, 1, 4096, 4096, 128, false}, {8, 1, 512, 512, 128, false},
                {8, 1, 512, 512, 80, false},    {12, 1, 1, 1024, 64, false},
                {32, 1, 1, 4096, 128, false},   {32, 4, 1, 4096, 128, false}};
    for (size_t n_set = 0; n_set < 2 * LMN_COUNT(sets); n_set++) {
        const size_t i = n_set / 2;
        const bool half = n_set % 2;
        if (half && (sets[i].queries == 1 || !pair_row(kc))) continue;
        const int64_t h = sets[i].heads, g = h / sets[i].group, m = sets[i].queries,
                      n = sets[i].keys, d = sets[i].d;
        bench_case t;
        const lmn_attention_shape s = {.batch = 1,
                                       .heads = h,
                                       .k_heads = g,
                                       .v_heads = g,
                                       .queries = m,
                                       .keys = n,
                                       .d = d,
                                       .dv = d};
        char what[64];
        make_plan(kc, head, half, NULL, &s, &t.p);
        t.a = (lmn_attention_args){.q = kc_bench_floats(kc, h * m * d),
                                   .k = kc_bench_floats(kc, g * n * d),
                                   .v = kc_bench_floats(kc, g * n * d),
                                   .y = kc_bench_floats(kc, h * m * d),
                                   .q_step = {0, m * d, d, 1},
                                   .k_step = {0, n * d},
                                   .v_step = {0, n * d},
                                   .y_step = {0, m * d, d},
                                   .ldk = d,
                                   .ldv = d,
                                   .scale = 0.125f,
                                   .span = sets[i].causal ? causal_span : NULL};
        t.scratch = kc_bench_floats(kc, (int64_t)t.p.scratch_bytes / 4);
        t.a.shared = kc_bench_floats(kc, (int64_t)t.p.shared_bytes / 4 + 16);
        snprintf(what, sizeof what, "%dx%d heads %dx%d d%d%s%s", (int)g, (int)(h / g), (int)m,
                 (int)n, (int)d, sets[i].causal ? " causal" : "", half ? " bf16" : "");
        const double flops = 4.0 * (double)(h * m * n * d) * (sets[i].causal ? 0.5 : 1.0);
        kc_time(kc, head, what, flops, m == 1 ? 8.0 * (double)(g * n * d) : 0, bench_run, &t);
        kc_bench_reset(kc);
    }
}

const kc_driver kc_attention_rows = {"attention", "rows", check_rows, NULL};
const kc_driver kc_attention_plan = {"attention", "plan", check_plan, bench_plan};
