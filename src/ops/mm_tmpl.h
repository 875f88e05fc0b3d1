/*
 * Block kernel of the reference matrix product for one accumulator type. Included by mm.c with
 * MM_T (element type), MM_V (vector of 4) and MM_NAME(x) defined; undefines them at the end.
 * Packed layouts: A as [row / 4][k][4], B as [column / 4][k][4], zero padded; C is MM_MB x MM_NB.
 */
typedef MM_T MM_V __attribute__((vector_size(4 * sizeof(MM_T))));

static void MM_NAME(micro)(const MM_T *a, const MM_T *b, int64_t kb, MM_T *c)
{
    MM_V acc[4], bv;
    for (int r = 0; r < 4; r++) memcpy(&acc[r], c + r * MM_NB, sizeof bv);
    MM_V s0 = acc[0], s1 = acc[1], s2 = acc[2], s3 = acc[3];
    for (int64_t k = 0; k < kb; k++) {
        memcpy(&bv, b + 4 * k, sizeof bv);
        s0 += a[4 * k] * bv;
        s1 += a[4 * k + 1] * bv;
        s2 += a[4 * k + 2] * bv;
        s3 += a[4 * k + 3] * bv;
    }
    acc[0] = s0, acc[1] = s1, acc[2] = s2, acc[3] = s3;
    for (int r = 0; r < 4; r++) memcpy(c + r * MM_NB, &acc[r], sizeof bv);
}

static void MM_NAME(block)(const void *ap, const void *bp, int64_t mb, int64_t nb, int64_t kb,
                           void *cp)
{
    const MM_T *a = ap, *b = bp;
    MM_T *c = cp;
    for (int64_t j = 0; j < nb; j += 4)
        for (int64_t i = 0; i < mb; i += 4)
            MM_NAME(micro)(a + i * kb, b + j * kb, kb, c + i * MM_NB + j);
}

/* Lines of contiguous memory become packed panels: `line` runs along the panel's 4-wide direction
   or along k. src(l, e): line l, element e; lines are along k when `k_lines` is false. */
static void MM_NAME(pack)(const mm_pack *p, MM_T *dst, MM_T *tmp)
{
    size_t es = lmn_dtype_bytes(p->dt);
    int64_t wide = (p->width + 3) & ~(int64_t)3;
    for (int64_t i = p->width & ~(int64_t)3; i < wide; i++)
        for (int64_t k = 0; k < p->kb; k++) dst[(i & ~(int64_t)3) * p->kb + 4 * k + (i & 3)] = 0;
    if (p->ks == 1 || p->ws != 1) { /* lines along k */
        for (int64_t i = 0; i < p->width; i++) {
            MM_T *q = dst + (i & ~(int64_t)3) * p->kb + (i & 3);
            const uint8_t *s = p->src + (size_t)(i * p->ws) * es;
            if (p->ks == 1)
                lmn_convert(MM_DT(p->dt), tmp, p->dt, s, p->kb, false);
            else
                for (int64_t k = 0; k < p->kb; k++)
                    lmn_convert(MM_DT(p->dt), tmp + k, p->dt, s + (size_t)(k * p->ks) * es, 1,
                                false);
            for (int64_t k = 0; k < p->kb; k++) q[4 * k] = tmp[k];
        }
        return;
    }
    for (int64_t k = 0; k < p->kb; k++) { /* lines along the panel */
        lmn_convert(MM_DT(p->dt), tmp, p->dt, p->src + (size_t)(k * p->ks) * es, p->width, false);
        for (int64_t i = 0; i < p->width; i++)
            dst[(i & ~(int64_t)3) * p->kb + 4 * k + (i & 3)] = tmp[i];
    }
}

#undef MM_T
#undef MM_V
#undef MM_NAME
#undef MM_DT
