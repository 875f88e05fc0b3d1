/*
 * Weights that a node wants in another order or type (ops/prepack.h): bf16, for sessions that
 * multiply in it, and panels of f32, for sessions that keep what is packed. Where packing f32 pays
 * was measured (docs/decisions/0034): products of 4 to 256 rows by weights as they lie, and of more
 * than 32 rows by transposed ones.
 */
#include "devices/cpu/cpu_half.h"
#include "devices/cpu/cpu_int8.h"
#include "devices/cpu/cpu_tools.h"

#include "kernels/hgemm/hgemm_plan.h"

enum {
    LEAST_ROWS = 4,  /* fewer stream plain weights */
    MOST_ROWS = 256, /* more pack what lies right in passing, at no cost */
    DOT_ROWS = 32,   /* of transposed weights so many rows are summed in another order */
    LEAST_K = 32,
    FLAG_NT = 1,
    FLAG_CONV = 2
};
/* Of what the functions below write: another order of bytes is another number. */
#define LAYOUT_VERSION 1

static void pack_half(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    const lmn_hgemm_row *h = row;
    const bool nt = flags & FLAG_NT;
    const int64_t all = lmn_count(w), k = w->dims[nt], n = w->dims[!nt];
    const lmn_hgemm_rows r = {.dst = dst, .src = w->data, .m = 1, .k = all, .padded = all};
    if (flags & FLAG_CONV)
        h->rows_f32(&r);
    else
        lmn_hgemm_prepack(h, LMN_HGEMM_B_F32 | (nt ? LMN_HGEMM_TRANS_B : 0), w->data, nt ? k : n, k,
                          n, dst);
}

static void pack_panels(const void *row, int32_t flags, const lamina_tensor *w, void *dst)
{
    const lmn_gemm_row *g = row;
    const bool nt = flags & FLAG_NT;
    const int64_t k = w->dims[nt], n = w->dims[!nt];
    (nt ? g->pack_nt : g->pack_nn)(dst, w->data, nt ? k : n, k, n);
}

/* nr: columns of the row's panels. */
static lamina_status ask(const lamina_node *node, lmn_pack_job *job, int64_t nr, lmn_packed **out,
                         lamina_error *err)
{
    const lmn_krow *head = job->row; /* every row begins with one */
    const lamina_tensor *w = job->w;
    static const char *const ORDERS[] = {"kn", "nk", "flat"};
    const int64_t rows = w->dims[0], cols = lmn_count(w) / lmn_max_i64(1, rows);
    (void)lmn_format(job->layout, sizeof job->layout, "%s.%s:%s.%d.%d %s %lldx%lld", head->family,
                     head->dtype, head->variant, LAYOUT_VERSION, (int)nr, ORDERS[job->flags],
                     (long long)rows, (long long)cols);
    if (node->prepack->want(node->prepack, job, out) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

/* Rows of op(A), -1 = not known before a run. */
static int64_t rows_of(const lamina_node *node)
{
    const lmn_fact *a = node->in[0];
    if (!a || a->kind != LMN_FACT_TENSOR || a->rank < 1) return -1;
    const int32_t k_axis = lmn_attr_i(node->op, "transA", 0) ? 0 : a->rank - 1;
    int64_t rows = 1;
    for (int32_t i = 0; i < a->rank; i++) {
        if (i == k_axis) continue;
        if (!lmn_dim_is_const(a->dims[i])) return -1;
        const int64_t d = lmn_dim_value(a->dims[i]);
        if (d < 0 || (d && rows > LMN_CPU_EXTENT_MAX / d)) return -1;
        rows *= d;
    }
    return rows;
}

static bool wants_panels(const lmn_cpu_dev *dev, const lamina_node *node)
{
    const lmn_gemm_row *row = dev->kset.gemm_f32;
    if (!node->prepack || !node->prepack->kept || node->op->n_in < 2) return false;
    if (lmn_cpu_is_conv(node) || row->head.isa == LMN_ISA_REF) return false;
    const lamina_tensor *w = node->in_const[1];
    if (!w || w->dtype != LAMINA_F32 || w->rank != 2) return false;
    const bool nt = lmn_attr_i(node->op, "transB", 0) != 0;
    const int64_t m = rows_of(node), k = w->dims[nt], n = w->dims[!nt];
    if (k < LEAST_K || n < row->nr) return false;
    return m < 0 || (nt ? m > DOT_ROWS : m >= LEAST_ROWS && m <= MOST_ROWS);
}

static lamina_status ask_panels(const lmn_cpu_dev *dev, const lamina_node *node, lmn_cpu_weights *s,
                                lamina_error *err)
{
    const lmn_gemm_row *row = dev->kset.gemm_f32;
    const lamina_tensor *w = node->in_const[1];
    const bool nt = lmn_attr_i(node->op, "transB", 0) != 0;
    const int64_t k = w->dims[nt], n = w->dims[!nt];
    lmn_pack_job job = {.w = w, .pack = pack_panels, .row = row, .flags = nt ? FLAG_NT : 0};
    job.bytes = (uint64_t)(lmn_round_up_i64(n, row->nr) * k) * sizeof(float);
    return ask(node, &job, row->nr, &s->panels, err);
}

static lamina_status ask_half(const lmn_cpu_dev *dev, const lamina_node *node, lmn_cpu_weights *s,
                              lamina_error *err)
{
    const lmn_hgemm_row *row = lmn_cpu_hgemm(dev, LAMINA_BF16);
    const lamina_tensor *w = node->in_const[1];
    const bool nt = lmn_attr_i(node->op, "transB", 0) != 0, conv = lmn_cpu_is_conv(node);
    const int64_t all = lmn_count(w), k = w->dims[nt], n = w->dims[!nt];
    lmn_pack_job job = {.w = w, .pack = pack_half, .row = row};
    job.flags = conv ? FLAG_CONV : nt ? FLAG_NT : 0;
    job.bytes = (uint64_t)(conv ? all : lmn_hgemm_packed_elems(row, k, n)) * sizeof(uint16_t);
    return ask(node, &job, row->nr, &s->half, err);
}

lamina_status lmn_cpu_weights_init(const lmn_cpu_dev *dev, const lamina_node *node, void *state,
                                   lamina_error *err)
{
    lmn_cpu_weights *s = state;
    if (LMN_KSET_SHORTENS && lmn_cpu_wants_int8(dev, node))
        return lmn_cpu_int8_init(dev, node, s, err);
    if (LMN_KSET_SHORTENS && lmn_cpu_wants_bf16(dev, node)) {
        lmn_cpu_trial_open(&s->trial, node->precision);
        return ask_half(dev, node, s, err);
    }
    return wants_panels(dev, node) ? ask_panels(dev, node, s, err) : LAMINA_OK;
}

void lmn_cpu_weights_finish(const lmn_cpu_dev *dev, void *state)
{
    lmn_cpu_int8_finish(dev, state);
}

const float *lmn_cpu_panels(const lmn_cpu_weights *w, const lmn_gemm_shape *s, lamina_status *st)
{
    const bool dots = (s->flags & LMN_GEMM_TRANS_B) && s->m <= DOT_ROWS;
    if (!w->panels || s->m < LEAST_ROWS || (dots && !(s->flags & LMN_GEMM_CHAIN))) return NULL;
    const float *panels = lmn_packed_data(w->panels);
    if (!panels) *st = LAMINA_E_NOMEM;
    return panels;
}
