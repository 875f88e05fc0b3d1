/*
 * hgemm rows that widen 16 bits to f32 and multiply there: panels of f32 for the gemm.f32 block
 * kernel of the same ISA, and two streaming kernels that widen B in passing. Before including it,
 * include simd_<isa>.h and define HG_NR, HG_DOT_M, half_load(p), half_loadn(p, n) (n lanes, the
 * rest +0) and half_storen(p, v, n) with one rounding.
 */
#ifndef LMN_KERNELS_HGEMM_WIDE_TMPL_H
#define LMN_KERNELS_HGEMM_WIDE_TMPL_H

#include "kernels/gemm/gemm.h"
#include "kernels/hgemm/hgemm.h"

VF_INLINE vf half_some(const uint16_t *p, int64_t n)
{
    return n >= VF_LANES ? half_load(p) : half_loadn(p, n);
}

/* The block of gemm.h: its b_panel and rows of panels are those of packed f32. */
VF_INLINE lmn_gemm_block wide_block(const lmn_hgemm_block *t)
{
    return (lmn_gemm_block){.a = t->a,
                            .lda = t->lda,
                            .b = t->b,
                            .ldb = HG_NR,
                            .b_panel = t->b_panel,
                            .c = t->c,
                            .ldc = t->ldc,
                            .m = t->m,
                            .n = t->n,
                            .k = t->k,
                            .beta = t->beta};
}

static void pack_nn_run(const lmn_hgemm_pack *p)
{
    const uint16_t *b = p->src;
    for (int64_t j = 0; j < p->n; j += HG_NR) {
        float *dst = (float *)p->dst + j / HG_NR * p->panel;
        const int64_t n = lmn_min_i64(HG_NR, p->n - j);
        for (int64_t k = 0; k < p->k; k++, dst += HG_NR) {
            const uint16_t *src = b + k * p->ld + j;
            for (int64_t v = 0; v < HG_NR; v += VF_LANES)
                vf_store(dst + v, v < n ? half_some(src + v, n - v) : vf_zero());
        }
    }
}

static void pack_nt_run(const lmn_hgemm_pack *p)
{
    for (int64_t j = 0; j < lmn_round_up_i64(p->n, HG_NR); j += VF_LANES) {
        float *dst = (float *)p->dst + j / HG_NR * p->panel + j % HG_NR;
        const int64_t n = p->n - j;
        for (int64_t k = 0; k < p->k; k += VF_LANES) {
            vf r[VF_LANES];
            for (int i = 0; i < VF_LANES; i++)
                r[i] = i < n ? half_some((const uint16_t *)p->src + (j + i) * p->ld + k, p->k - k)
                             : vf_zero();
            vf_transpose(r);
            for (int i = 0; i < VF_LANES && i < p->k - k; i++)
                vf_store(dst + (k + i) * HG_NR, r[i]);
        }
    }
}

static void rows_run(const lmn_hgemm_rows *r)
{
    for (int64_t i = 0; i < r->m; i++) {
        const uint16_t *src = (const uint16_t *)r->src + i * r->ld;
        float *dst = (float *)r->dst + i * r->ld_dst;
        int64_t k = 0;
        for (; k + VF_LANES <= r->k; k += VF_LANES) vf_store(dst + k, half_load(src + k));
        for (; k < r->padded; k += VF_LANES)
            vf_storem(dst + k, vm_first(r->padded - k),
                      k < r->k ? half_loadn(src + k, r->k - k) : vf_zero());
    }
}

static void narrow_run(uint16_t *dst, int64_t ld_dst, const float *src, int64_t ld, int64_t m,
                       int64_t n)
{
    for (int64_t i = 0; i < m; i++, dst += ld_dst, src += ld) {
        int64_t j = 0;
        for (; j + VF_LANES <= n; j += VF_LANES) half_storen(dst + j, vf_load(src + j), VF_LANES);
        if (j < n) half_storen(dst + j, vf_loadm(src + j, vm_first(n - j)), n - j);
    }
}

/*
 * small_nn: C += A B by four rows of B at a time, a strip of columns so that C stays in L1. One
 * fused multiply-add for each k, in order.
 */
enum { STRIP_COLUMNS = 1024 };

VF_INLINE void strip_vector(const lmn_hgemm_small *t, int64_t k, int64_t j, const int kk,
                            const bool tail)
{
    const int64_t n = t->n - j;
    const vm mask = vm_first(n);
    vf b[4];
    for (int q = 0; q < kk; q++) {
        const uint16_t *src = t->b + (k + q) * t->ldb + j;
        b[q] = tail ? half_some(src, n) : half_load(src);
    }
    for (int64_t i = 0; i < t->m; i++) {
        const float *a = (const float *)t->a + i * t->lda + k;
        float *c = t->c + i * t->ldc + j;
        vf sum = k == 0 ? vf_zero() : tail ? vf_loadm(c, mask) : vf_load(c);
        for (int q = 0; q < kk; q++) sum = vf_fma(vf_bcast(a + q), b[q], sum);
        if (tail)
            vf_storem(c, mask, sum);
        else
            vf_store(c, sum);
    }
}

VF_INLINE void strip_step(const lmn_hgemm_small *t, int64_t k, int64_t j0, int64_t j1, const int kk)
{
    int64_t j = j0;
    for (; j + VF_LANES <= j1; j += VF_LANES) {
        for (int q = 0; q < kk && k + kk + q < t->k; q++)
            __builtin_prefetch(t->b + (k + kk + q) * t->ldb + j, 0, 2);
        strip_vector(t, k, j, kk, false);
    }
    if (j < j1) strip_vector(t, k, j, kk, true);
}

static void small_nn_run(const lmn_hgemm_small *t)
{
    for (int64_t i = 0; t->k == 0 && i < t->m; i++)
        for (int64_t j = 0; j < t->n; j++) t->c[i * t->ldc + j] = 0.0f;
    for (int64_t j = 0; j < t->n; j += STRIP_COLUMNS) {
        const int64_t end = lmn_min_i64(t->n, j + STRIP_COLUMNS);
        int64_t k = 0;
        for (; k + 4 <= t->k; k += 4) strip_step(t, k, j, end, 4);
        for (; k < t->k; k++) strip_step(t, k, j, end, 1);
    }
}

/* small_nt: C[i][j] = dot(row i of A, row j of B), four rows of B at a time. */
#define EACH_DOT(M) M(0) M(1) M(2) M(3) M(4) M(5)

VF_INLINE void dot_run(const lmn_hgemm_small *t, int64_t i0, int64_t j0, const int mr, const int nr)
{
    const float *a = (const float *)t->a + i0 * t->lda;
    const uint16_t *b = t->b + j0 * t->ldb;
    vf acc[6][4], w[4];
#define DOT_OPEN(i) \
    acc[i][0] = vf_zero(), acc[i][1] = vf_zero(), acc[i][2] = vf_zero(), acc[i][3] = vf_zero();
#define DOT_W(q) w[q] = (q) < nr ? half_some(b + (q)*t->ldb + k, t->k - k) : vf_zero();
#define DOT_STEP(i, LOAD)                                    \
    if ((i) < mr) {                                          \
        const vf av = LOAD(a + (i)*t->lda + k);              \
        acc[i][0] = vf_fma(av, w[0], acc[i][0]);             \
        if (nr > 1) acc[i][1] = vf_fma(av, w[1], acc[i][1]); \
        if (nr > 2) acc[i][2] = vf_fma(av, w[2], acc[i][2]); \
        if (nr > 3) acc[i][3] = vf_fma(av, w[3], acc[i][3]); \
    }
#define DOT_WHOLE(i) DOT_STEP(i, vf_load)
#define DOT_TAIL_LOAD(p) vf_loadm(p, tail)
#define DOT_PART(i) DOT_STEP(i, DOT_TAIL_LOAD)
#define DOT_CLOSE_Q(i, q) \
    if ((q) < nr) c[q] = vf_hsum(acc[i][q]);
#define DOT_CLOSE(i)                                                            \
    if ((i) < mr) {                                                             \
        float *c = t->c + (i0 + (i)) * t->ldc + j0;                             \
        DOT_CLOSE_Q(i, 0) DOT_CLOSE_Q(i, 1) DOT_CLOSE_Q(i, 2) DOT_CLOSE_Q(i, 3) \
    }
    EACH_DOT(DOT_OPEN)
    int64_t k = 0;
    for (; k + VF_LANES <= t->k; k += VF_LANES) {
        DOT_W(0) DOT_W(1) DOT_W(2) DOT_W(3) EACH_DOT(DOT_WHOLE)
    }
    if (k < t->k) {
        const vm tail = vm_first(t->k - k);
        DOT_W(0) DOT_W(1) DOT_W(2) DOT_W(3) EACH_DOT(DOT_PART)
    }
    EACH_DOT(DOT_CLOSE)
}

VF_INLINE void dot_rows(const lmn_hgemm_small *t, int64_t j, const int nr)
{
    int64_t i = 0;
    for (; i + HG_DOT_M <= t->m; i += HG_DOT_M) dot_run(t, i, j, HG_DOT_M, nr);
    for (; i + 2 <= t->m; i += 2) dot_run(t, i, j, 2, nr);
    if (i < t->m) dot_run(t, i, j, 1, nr);
}

static void small_nt_run(const lmn_hgemm_small *t)
{
    const int64_t in_fours = t->m > 1 ? t->n / 4 * 4 : 0; /* one row: memory prefers one stream */
    int64_t j = 0;
    for (; j < in_fours; j += 4) dot_rows(t, j, 4);
    for (; j < t->n; j++) dot_rows(t, j, 1);
}

/* The functions of one row, named after its type and ISA. */
#define HG_DEFINE(dt, isa)                                                               \
    lmn_gemm_block_fn lmn_gemm_f32_block_##isa;                                          \
    lmn_hgemm_block_fn lmn_hgemm_##dt##_block_##isa;                                     \
    lmn_hgemm_small_fn lmn_hgemm_##dt##_small_nn_##isa, lmn_hgemm_##dt##_small_nt_##isa; \
    lmn_hgemm_pack_fn lmn_hgemm_##dt##_pack_nn_##isa, lmn_hgemm_##dt##_pack_nt_##isa;    \
    lmn_hgemm_rows_fn lmn_hgemm_##dt##_rows_##isa, lmn_hgemm_##dt##_widen_##isa;         \
    lmn_hgemm_narrow_fn lmn_hgemm_##dt##_narrow_##isa;                                   \
    void lmn_hgemm_##dt##_block_##isa(const lmn_hgemm_block *t)                          \
    {                                                                                    \
        const lmn_gemm_block w = wide_block(t);                                          \
        lmn_gemm_f32_block_##isa(&w);                                                    \
    }                                                                                    \
    void lmn_hgemm_##dt##_small_nn_##isa(const lmn_hgemm_small *t)                       \
    {                                                                                    \
        small_nn_run(t);                                                                 \
    }                                                                                    \
    void lmn_hgemm_##dt##_small_nt_##isa(const lmn_hgemm_small *t)                       \
    {                                                                                    \
        small_nt_run(t);                                                                 \
    }                                                                                    \
    void lmn_hgemm_##dt##_pack_nn_##isa(const lmn_hgemm_pack *p)                         \
    {                                                                                    \
        pack_nn_run(p);                                                                  \
    }                                                                                    \
    void lmn_hgemm_##dt##_pack_nt_##isa(const lmn_hgemm_pack *p)                         \
    {                                                                                    \
        pack_nt_run(p);                                                                  \
    }                                                                                    \
    void lmn_hgemm_##dt##_rows_##isa(const lmn_hgemm_rows *r)                            \
    {                                                                                    \
        rows_run(r);                                                                     \
    }                                                                                    \
    void lmn_hgemm_##dt##_widen_##isa(const lmn_hgemm_rows *r)                           \
    {                                                                                    \
        rows_run(r);                                                                     \
    }                                                                                    \
    void lmn_hgemm_##dt##_narrow_##isa(uint16_t *dst, int64_t ld_dst, const float *src,  \
                                       int64_t ld, int64_t m, int64_t n)                 \
    {                                                                                    \
        narrow_run(dst, ld_dst, src, ld, m, n);                                          \
    }

#endif
