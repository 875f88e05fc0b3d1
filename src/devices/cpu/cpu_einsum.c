/*
 * Einsum: the reference, whose products of floats run on the dgemm family. Products of two numbers
 * of f32 are exact in f64 and both add in the order of k, so the bits are those of the reference.
 */
#include "devices/cpu/cpu_tools.h"
#include "kernels/gemm/dgemm_plan.h"
#include "ops/mm.h"

typedef struct product {
    lmn_dgemm_plan plan;
    lmn_dgemm_args args;
    lmn_cpu_scratch scratch;
} product;

static void product_chunk(void *arg, int64_t chunk, int32_t worker)
{
    const product *p = arg;
    lmn_dgemm_f64_chunk(&p->plan, &p->args, chunk, lmn_cpu_scratch_of(&p->scratch, worker));
}

/* Elements from item to item; false where that is not one number. */
static bool step_of(const int64_t *off, int64_t n, int64_t *step)
{
    *step = off && n > 1 ? off[1] - off[0] : 0;
    for (int64_t i = 0; off && i < n; i++)
        if (off[i] != off[0] + i * *step) return false;
    return true;
}

static lamina_status run_product(lmn_eval *ec, const lmn_mm *m, const void *row)
{
    const bool turned = m->b_cs != 1;
    product p = {.args = {.a = m->a, .b = m->b, .c = m->out, .lda = m->a_rs, .ldc = m->n}};
    if (m->dt != LAMINA_F64 || m->out_dt != LAMINA_F64 || m->c || m->alpha != 1.0 || m->a_cs != 1 ||
        (turned && m->b_rs != 1) || m->m > LMN_CPU_EXTENT_MAX || m->n > LMN_CPU_EXTENT_MAX ||
        m->k > LMN_CPU_EXTENT_MAX || m->batch > LMN_CPU_EXTENT_MAX ||
        !step_of(m->a_off, m->batch, &p.args.a_batch) ||
        !step_of(m->b_off, m->batch, &p.args.b_batch))
        return LAMINA_E_UNSUPPORTED;
    p.args.a += m->a_off ? m->a_off[0] : 0;
    p.args.b += m->b_off ? m->b_off[0] : 0;
    p.args.ldb = turned ? m->b_cs : m->b_rs;
    p.args.c_batch = m->m * m->n;
    const lmn_gemm_shape s = {.m = m->m,
                              .n = m->n,
                              .k = m->k,
                              .n_batch = m->batch,
                              .flags = LMN_GEMM_CHAIN | (turned ? LMN_GEMM_TRANS_B : 0),
                              .threads = lmn_par_width(ec->par)};
    lmn_dgemm_f64_plan(row, &s, &p.plan);
    LMN_TRY(lmn_cpu_worker_scratch(ec, p.plan.scratch_bytes, &p.scratch));
    lmn_par_for(ec->par, p.plan.n_chunks, product_chunk, &p);
    return LAMINA_OK;
}

static bool supports_einsum(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    return lmn_cpu_takes_f32(node, 0, &dev->kset.dgemm_f64->head, text, cap);
}

static lamina_status run_einsum(const lamina_kernel *k, lmn_eval *ec)
{
    const lmn_dgemm_row *row = k->dev->kset.dgemm_f64;
    const lmn_mm_hook hook = {run_product, row};
    if (row->head.isa != LMN_ISA_REF) ec->mm = &hook; /* that sums in long double */
    const lamina_status st = lmn_cpu_reference(ec);
    ec->mm = NULL;
    return st;
}

const lmn_cpu_binding lmn_cpu_einsum = {.domain = "",
                                        .op = "Einsum",
                                        .families = "dgemm.f64",
                                        .supports = supports_einsum,
                                        .run = run_einsum};
