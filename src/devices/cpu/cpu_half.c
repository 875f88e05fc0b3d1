/*
 * The choice of the bf16 row by measurement, and what is computed in bf16 (cpu_half.h). Feature
 * bits say what a CPU can do, not what is fast: vdpbf16ps multiplies twice as fast as FMA on some
 * and half as fast on others. A noisy measurement may choose the slower row, never one that cannot
 * run.
 */
#include "devices/cpu/cpu_half.h"
#include "devices/cpu/cpu_int8.h"
#include "devices/cpu/cpu_tools.h"

#include "base/os/os_ticks.h"

enum {
    PROBE_K = 512, /* a tile this long stays in the first cache */
    PROBE_RUNS = 12,
    LEAST_K = 32, /* products smaller than this gain nothing */
    LEAST_N = 16,
    MOST_WINOGRAD = 128 /* channels */
};

/* Of precision auto: what bf16 may be off, of the results' root mean square. */
#define AUTO_BOUND 0x1p-8f

/* Best time of one tile of either row: pairs of bf16, and f32. */
static void probe(const lmn_hgemm_row *pair, const lmn_hgemm_row *wide, const lamina_allocator *al,
                  uint64_t best[2])
{
    const int64_t m = pair->mr, n = pair->nr;
    const size_t floats = (size_t)((m + n) * PROBE_K + m * n), bytes = floats * sizeof(float);
    float *mem = lmn_alloc(al, bytes, 64, "cpu");
    best[0] = best[1] = UINT64_MAX;
    if (!mem) return;
    memset(mem, 0, bytes);
    lmn_hgemm_block t = {.a = mem, .lda = PROBE_K, .b = mem + m * PROBE_K, .b_panel = n * PROBE_K};
    t.c = mem + (m + n) * PROBE_K, t.ldc = n, t.m = m, t.n = n, t.k = PROBE_K;
    lmn_ticks clock;
    lmn_ticks_start(&clock);
    for (int i = 0; i < 2 * PROBE_RUNS; i++) {
        const uint64_t start = lmn_ticks_now(&clock);
        (i & 1 ? wide : pair)->block(&t);
        const uint64_t took = lmn_ticks_now(&clock) - start;
        if (took < best[i & 1]) best[i & 1] = took;
    }
    lmn_free(al, mem, bytes, 64, "cpu");
}

/* The row of the highest prio that widens and that this CPU can run. */
static const lmn_hgemm_row *widening(const lmn_cpu_dev *dev)
{
    const lmn_hgemm_row *best = NULL;
    for (int32_t i = 0; i < lmn_hgemm_bf16_n_rows; i++) {
        const lmn_hgemm_row *r = &lmn_hgemm_bf16_rows[i];
        if (r->elem != 4 || r->head.isa & ~dev->engine->cpu.isa) continue;
        if (!best || r->head.prio > best->head.prio) best = r;
    }
    return best;
}

const lmn_hgemm_row *lmn_cpu_hgemm(const lmn_cpu_dev *dev, lamina_dtype dt)
{
    const lmn_hgemm_row *row = dt == LAMINA_F16 ? dev->kset.hgemm_f16 : dev->kset.hgemm_bf16;
    const lmn_hgemm_row *wide = dt == LAMINA_BF16 ? widening(dev) : NULL;
    if (dev->pinned || row->group != 2 || !wide || wide->mr != row->mr) return row;
    lmn_atomic(int32_t) *choice = (lmn_atomic(int32_t) *)(uintptr_t)&dev->bf16_choice;
    int32_t known = lmn_atomic_load(choice, acquire);
    if (!known) {
        uint64_t best[2];
        probe(row, wide, &dev->engine->alloc, best);
        const int32_t found = best[0] <= best[1] ? 1 : 2;
        if (lmn_atomic_cas(choice, &known, found, acq_rel)) known = found;
    }
    return known == 1 ? row : wide;
}

static bool all_ones(const lmn_opnode *op, const char *name)
{
    const int64_t *v;
    for (int32_t i = lmn_attr_ints(op, name, &v) - 1; i >= 0; i--)
        if (v[i] != 1) return false;
    return true;
}

/* 3x3 of stride 1 by few channels: Winograd in f32 is as fast, and exact. */
static bool goes_winograd(const lamina_node *node, const lamina_tensor *w)
{
    return lmn_cpu_is_conv(node) && w->rank == 4 && w->dims[2] == 3 && w->dims[3] == 3 &&
           w->dims[1] >= 16 && w->dims[1] <= MOST_WINOGRAD && all_ones(node->op, "strides") &&
           all_ones(node->op, "dilations");
}

bool lmn_cpu_may_bf16(const lmn_cpu_dev *dev, const lamina_node *node)
{
    const lamina_precision p = node->precision;
    const bool asked =
        p == LAMINA_PRECISION_BF16 || p == LAMINA_PRECISION_AUTO || p == LAMINA_PRECISION_INT8;
    return LMN_KSET_SHORTENS && asked && lmn_cpu_hgemm(dev, LAMINA_BF16)->rows_f32 != NULL;
}

bool lmn_cpu_wants_bf16(const lmn_cpu_dev *dev, const lamina_node *node)
{
    if (!node->prepack || node->op->n_in < 2 || !lmn_cpu_may_bf16(dev, node)) return false;
    const lamina_tensor *w = node->in_const[1];
    if (!w || w->dtype != LAMINA_F32 || w->rank < 2) return false;
    if (lmn_attr_i(node->op, "group", 1) != 1 || (!lmn_cpu_is_conv(node) && w->rank != 2))
        return false;
    if (goes_winograd(node, w)) return false;
    const int64_t n = lamina_tensor_count(w);
    return n / lmn_max_i64(1, w->dims[0]) >= LEAST_N && n >= LEAST_K * LEAST_N;
}

void lmn_cpu_trial_open(lmn_cpu_trial *t, lamina_precision precision)
{
    const bool settled = precision != LAMINA_PRECISION_AUTO;
    t->bound = AUTO_BOUND;
    lmn_atomic_store(&t->verdict, settled ? LMN_CPU_SHORT : LMN_CPU_UNTRIED, relaxed);
}

void lmn_cpu_trial_judge(lmn_cpu_trial *t, const float *exact, const float *half, int64_t n)
{
    double off = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        const double e = exact[i], d = half[i] - e;
        off += d * d, size += e * e;
    }
    int32_t untried = LMN_CPU_UNTRIED; /* of runs at the same time the first one's verdict stays */
    const int32_t found = off <= size * t->bound * t->bound ? LMN_CPU_SHORT : LMN_CPU_F32;
    (void)lmn_atomic_cas(&t->verdict, &untried, found, relaxed);
}

void lmn_cpu_name_bf16(const lmn_cpu_dev *dev, const lamina_node *node, char *text, size_t cap)
{
    const lmn_krow *row = &lmn_cpu_hgemm(dev, LAMINA_BF16)->head;
    const bool tried = node->precision == LAMINA_PRECISION_AUTO;
    (void)lmn_format(text, cap, "%s.%s:%s%s", row->family, row->dtype, row->variant,
                     tried ? " or f32" : "");
}

bool lmn_cpu_takes_product(const lmn_cpu_dev *dev, const lamina_node *node, const lmn_krow *f32,
                           char *text, size_t cap)
{
    const lmn_fact *f = node->op->n_in > 0 ? node->in[0] : NULL;
    const bool half = f && f->kind == LMN_FACT_TENSOR && lmn_cpu_is_half(f->dtype);
    const bool plain = node->op->def->domain[0] == 0; /* fused nodes are of f32 */
    if (!(half && plain) && !lmn_cpu_takes_f32(node, 0, f32, text, cap)) return false;
    if (!half && lmn_cpu_wants_int8(dev, node))
        lmn_cpu_name_int8(dev, text, cap);
    else if (!half && lmn_cpu_wants_bf16(dev, node))
        lmn_cpu_name_bf16(dev, node, text, cap);
    if (!half) return true;
    const lmn_krow *row = &lmn_cpu_hgemm(dev, f->dtype)->head;
    (void)lmn_format(text, cap, "%s.%s:%s", row->family, row->dtype, row->variant);
    return true;
}

void lmn_cpu_widen(const lmn_hgemm_row *row, float *dst, const void *src, int64_t n)
{
    const lmn_hgemm_rows r = {.dst = dst, .src = src, .m = 1, .k = n, .padded = n};
    row->widen(&r);
}
