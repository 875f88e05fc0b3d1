/*
 * Blocked reference matrix product (see mm.h). A chunk of the grid is one MM_MB x MM_NB block of
 * one batch entry; it packs its operands block by block along k, so that the work area is bounded
 * whatever the operands' size, type and strides.
 */
#include "ops/mm.h"

#include <string.h>

enum { MM_MB = 64, MM_NB = 64, MM_KB = 256 };

typedef struct mm_pack {
    lamina_dtype dt;
    const uint8_t *src;
    int64_t width, kb;
    int64_t ws, ks; /* strides in elements along the width and along k */
} mm_pack;

#define MM_T double
#define MM_V mm_v4d
#define MM_NAME(x) mm_f64_##x
#define MM_DT(dt) LAMINA_F64
#include "ops/mm_tmpl.h"

#define MM_T uint64_t
#define MM_V mm_v4u
#define MM_NAME(x) mm_u64_##x
#define MM_DT(dt) (lmn_dtype_class(dt) == LMN_CLASS_UINT ? LAMINA_U64 : LAMINA_I64)
#include "ops/mm_tmpl.h"

/* One worker's area: packed A, packed B, accumulators, a line. Doubles and u64 are the same size.
 */
typedef struct mm_area {
    double a[MM_MB * MM_KB], b[MM_NB * MM_KB], c[MM_MB * MM_NB], line[MM_KB], addend[MM_NB];
} mm_area;

typedef struct mm_job {
    const lmn_mm *p;
    mm_area *areas;
    int64_t m_blocks, n_blocks;
    bool ints;
} mm_job;

static void pack_block(const mm_job *j, const mm_pack *k, double *dst, double *line)
{
    if (j->ints)
        mm_u64_pack(k, (uint64_t *)(void *)dst, (uint64_t *)(void *)line);
    else
        mm_f64_pack(k, dst, line);
}

/* One row of the block: alpha, addend, rounding, into the output. */
static void store_row(const mm_job *j, mm_area *w, int64_t row, int64_t col, int64_t nb, int64_t r,
                      int64_t batch)
{
    const lmn_mm *p = j->p;
    double *acc = w->c + r * MM_NB;
    const uint64_t *iacc = (const uint64_t *)(const void *)acc;
    size_t es = lmn_dtype_bytes(p->dt), os = lmn_dtype_bytes(p->out_dt);
    uint8_t *out = (uint8_t *)p->out + (size_t)((batch * p->m + row) * p->n + col) * os;
    lamina_dtype wide = LAMINA_F64;
    bool exact = j->ints && p->alpha == 1.0 && (!p->c || p->beta == 1.0);
    if (j->ints) wide = lmn_dtype_class(p->dt) == LMN_CLASS_UINT ? LAMINA_U64 : LAMINA_I64;
    if (p->c) {
        const uint8_t *c = (const uint8_t *)p->c + (size_t)(row * p->c_rs + col * p->c_cs) * es;
        lamina_dtype to = exact ? wide : LAMINA_F64;
        if (p->c_cs == 1)
            lmn_convert(to, w->addend, p->dt, c, nb, false);
        else
            for (int64_t i = 0; i < nb; i++)
                lmn_convert(to, w->addend + i, p->dt, c + (size_t)(i * p->c_cs) * es, 1, false);
    }
    if (exact) {
        const uint64_t *add = (const uint64_t *)(const void *)w->addend;
        uint64_t *dst = (uint64_t *)(void *)acc;
        for (int64_t i = 0; p->c && i < nb; i++) dst[i] += add[i];
        lmn_convert(p->out_dt, out, wide, acc, nb, false);
        return;
    }
    for (int64_t i = 0; i < nb; i++) {
        double v = !j->ints             ? acc[i]
                   : wide == LAMINA_U64 ? (double)iacc[i]
                                        : (double)(int64_t)iacc[i];
        if (p->alpha != 1.0) v *= p->alpha;
        if (p->c) v += p->beta * w->addend[i];
        acc[i] = v;
    }
    lmn_convert(p->out_dt, out, LAMINA_F64, acc, nb, false);
}

static void run_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const mm_job *j = arg;
    const lmn_mm *p = j->p;
    mm_area *w = &j->areas[worker];
    int64_t col = chunk % j->n_blocks * MM_NB, rest = chunk / j->n_blocks;
    int64_t row = rest % j->m_blocks * MM_MB, batch = rest / j->m_blocks;
    int64_t mb = lmn_min_i64(MM_MB, p->m - row), nb = lmn_min_i64(MM_NB, p->n - col);
    size_t es = lmn_dtype_bytes(p->dt);
    const uint8_t *a = p->a, *b = p->b;
    if (p->k > 0) {
        a += (size_t)((p->a_off ? p->a_off[batch] : 0) + row * p->a_rs) * es;
        b += (size_t)((p->b_off ? p->b_off[batch] : 0) + col * p->b_cs) * es;
    }
    memset(w->c, 0, sizeof w->c); /* all zero bits are 0 and 0.0 */
    for (int64_t k0 = 0; k0 < p->k; k0 += MM_KB) {
        int64_t kb = lmn_min_i64(MM_KB, p->k - k0);
        mm_pack pa = {p->dt, a + (size_t)(k0 * p->a_cs) * es, mb, kb, p->a_rs, p->a_cs};
        mm_pack pb = {p->dt, b + (size_t)(k0 * p->b_rs) * es, nb, kb, p->b_cs, p->b_rs};
        pack_block(j, &pa, w->a, w->line);
        pack_block(j, &pb, w->b, w->line);
        if (j->ints)
            mm_u64_block(w->a, w->b, mb, nb, kb, w->c);
        else
            mm_f64_block(w->a, w->b, mb, nb, kb, w->c);
    }
    for (int64_t r = 0; r < mb; r++) store_row(j, w, row + r, col, nb, r, batch);
}

lamina_status lmn_mm_run(lmn_eval *ec, const lmn_mm *p)
{
    if (p->batch <= 0 || p->m <= 0 || p->n <= 0) return LAMINA_OK;
    if (ec->mm && p->narrow) {
        const lamina_status st = ec->mm->run(ec, p, ec->mm->row);
        if (st != LAMINA_E_UNSUPPORTED) return st;
    }
    lmn_dclass cls = lmn_dtype_class(p->dt);
    int32_t width = lmn_par_width(ec->par);
    mm_job j = {.p = p,
                .m_blocks = (p->m - 1) / MM_MB + 1,
                .n_blocks = (p->n - 1) / MM_NB + 1,
                .ints = cls == LMN_CLASS_SINT || cls == LMN_CLASS_UINT};
    j.areas = lmn_scratch(ec, (size_t)width * sizeof(mm_area));
    if (!j.areas) return lmn_eval_fail(ec, LAMINA_E_NOMEM, "no memory for the matrix product");
    lmn_par_for(ec->par, p->batch * j.m_blocks * j.n_blocks, run_chunk, &j);
    return LAMINA_OK;
}
