/*
 * Packers: B of either layout into panels GEMM_NR wide (gemm.h). Included by gemm_tmpl.h.
 */
#ifndef LMN_KERNELS_GEMM_PACK_TMPL_H
#define LMN_KERNELS_GEMM_PACK_TMPL_H

static void pack_nn_run(vf_real *restrict packed, const vf_real *restrict b, int64_t ldb, int64_t k,
                        int64_t n)
{
    /* Rows are short and far apart: the hardware sees no stream, so later rows are asked for. */
    const int64_t whole = n / GEMM_NR, rest = n % GEMM_NR, panel = k * GEMM_NR, ahead = 12 * ldb;
    for (int64_t p = 0; p < k; p++) {
        const vf_real *src = b + p * ldb;
        vf_real *dst = packed + p * GEMM_NR;
        for (int64_t q = 0; q < whole; q++, src += GEMM_NR, dst += panel) {
            for (int v = 0; v < GEMM_NR; v += LINE) __builtin_prefetch(src + ahead + v);
            for (int v = 0; v < GEMM_NR; v += VF_LANES) vf_store(dst + v, vf_load(src + v));
        }
        for (int64_t v = 0; rest && v < GEMM_NR; v += VF_LANES)
            vf_store(dst + v, vf_loadm(src + v, vm_first(rest - v)));
    }
}

/* VF_LANES columns of B (rows of its transpose) by all k, into the panel. */
VF_INLINE void pack_nt_columns(vf_real *restrict dst, const vf_real *restrict b, int64_t ldb,
                               int64_t k, int64_t n)
{
    vf r[VF_LANES];
    for (int64_t p = 0; p < k; p += VF_LANES) {
        const vm tail = vm_first(k - p);
        if (n >= VF_LANES && k - p >= VF_LANES)
            for (int i = 0; i < VF_LANES; i++) r[i] = vf_load(b + i * ldb + p);
        else
            for (int i = 0; i < VF_LANES; i++)
                r[i] = i < n ? vf_loadm(b + i * ldb + p, tail) : vf_zero();
        vf_transpose(r);
        if (k - p >= VF_LANES)
            for (int i = 0; i < VF_LANES; i++) vf_store(dst + (p + i) * GEMM_NR, r[i]);
        else
            for (int i = 0; i < k - p; i++) vf_store(dst + (p + i) * GEMM_NR, r[i]);
    }
}

static void pack_nt_run(vf_real *restrict packed, const vf_real *restrict b, int64_t ldb, int64_t k,
                        int64_t n)
{
    for (int64_t j = 0; j < (n + GEMM_NR - 1) / GEMM_NR * GEMM_NR; j += VF_LANES) {
        vf_real *dst = packed + j / GEMM_NR * GEMM_NR * k + j % GEMM_NR;
        /* Past the last column only the pointer would be wrong, so it is not formed. */
        pack_nt_columns(dst, j < n ? b + j * ldb : b, ldb, k, j < n ? n - j : 0);
    }
}

#endif
