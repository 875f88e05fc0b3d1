/*
 * 8-bit products with int32 results and with results requantised to u8, and f32 rows with weights
 * of 4 and 8 bits (groups of 32 or 128), where they lie and in panels, beside a plain read of the
 * weights. Those of one thread: others are measured through models.
 */
#include "kb.h"

#include "kernels/kset.h"
#include "kernels/nbits/nbits.h"
#include "kernels/nbits/nbpanel.h"
#include "kernels/qgemm/qgemm_plan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct shape {
    const char *set;
    int32_t m, n, k;
    bool nt, bytes; /* weights [n][k]; results of u8 */
} shape;

static const shape shapes[] = {
    {"squares", 64, 64, 64, false, true},
    {"squares", 128, 128, 128, false, true},
    {"squares", 256, 256, 256, false, true},
    {"squares", 512, 512, 512, false, true},
    {"squares", 1024, 1024, 1024, false, true},
    {"transformer", 128, 768, 768, true, true},
    {"transformer", 128, 3072, 768, true, true},
    {"transformer", 128, 768, 3072, true, true},
    {"transformer", 512, 3072, 768, false, true},
    {"attention", 512, 512, 64, true, true},
    {"attention", 512, 64, 512, false, true},
    {"int32", 256, 256, 256, false, false},
    {"int32", 128, 768, 3072, false, false},
    {"int32", 512, 512, 64, true, false},
    {"small NT", 1, 1024, 1024, true, true},
    {"small NT", 4, 1024, 1024, true, true},
    {"small NT", 16, 1024, 1024, true, true},
    {"small NT", 32, 1024, 1024, true, true},
    {"small NT", 1, 4096, 4096, true, true},
    {"small NT", 4, 4096, 4096, true, true},
    {"small NT", 16, 4096, 4096, true, true},
    {"small NT", 32, 4096, 4096, true, true},
    {"small NN", 1, 1024, 1024, false, true},
    {"small NN", 4, 1024, 1024, false, true},
    {"small NN", 16, 1024, 1024, false, true},
    {"small NN", 4, 4096, 4096, false, true},
    {"small NN", 16, 4096, 4096, false, true},
    {"skinny", 4096, 16, 4096, false, true},
    {"skinny", 4096, 4096, 16, false, true},
    {"skinny", 16, 16, 65536, false, true},
    {"edge", 7, 13, 17, false, true},
    {"edge", 17, 33, 65, false, true},
    {"edge", 31, 63, 127, false, true},
    {"edge", 127, 129, 131, false, true},
    {"edge", 1000, 1000, 1000, false, true},
};

typedef struct product {
    int64_t m, n, k;
    bool nt, bytes;
    uint8_t *a;
    int8_t *b;
    void *c, *packed;
    kb_dnn *dnn;
    const lmn_qgemm_row *row;
    lmn_qgemm_plan plan;
    uint8_t *scratch;
    struct lmn_workpool *pool;
    int32_t threads;
} product;

static void random_bytes(void *p, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ((uint8_t *)p)[i] = (uint8_t)(seed >> 24);
    }
}

/* What brings most sums of k random products into a byte. */
static float factor(const product *p)
{
    return (float)(0.01 / sqrt((double)p->k));
}

/* Integers are right or wrong; a byte may be off by one, for libraries round in more than one way.
 */
static double sum_error(void *arg)
{
    const product *p = arg;
    const int64_t all = p->m * p->n, step = all <= 500 ? 1 : all / 499;
    double wrong = 0;
    for (int64_t e = 0; e < all; e += step) {
        const int64_t i = e / p->n, j = e % p->n;
        int64_t sum = 0;
        for (int64_t q = 0; q < p->k; q++)
            sum += p->a[i * p->k + q] * p->b[p->nt ? j * p->k + q : q * p->n + j];
        if (!p->bytes && ((int32_t *)p->c)[e] != sum) wrong = 2;
        const double y = fmin(255, fmax(0, (double)sum * factor(p)));
        if (p->bytes && !(fabs(((uint8_t *)p->c)[e] - y) <= 1.01)) wrong = 2;
    }
    memset(p->c, 0x5a, (size_t)(all * (p->bytes ? 1 : 4)));
    return wrong;
}

static void sums_chunk(void *arg, int64_t chunk, int32_t who)
{
    const product *p = arg;
    const lmn_qgemm_args args = {.a = p->a,
                                 .b = p->packed ? p->packed : p->b,
                                 .b_signed = true,
                                 .lda = p->k,
                                 .ldb = p->nt ? p->k : p->n,
                                 .out = p->bytes ? LMN_QGEMM_BYTES : LMN_QGEMM_I32,
                                 .mul = factor(p),
                                 .div = 1.0f,
                                 .hi = 255,
                                 .c = p->c,
                                 .ldc = p->n};
    lmn_qgemm_chunk(&p->plan, &args, chunk,
                    p->scratch + (size_t)who * kb_apart(p->plan.scratch_bytes));
}

static void plan_sums(product *p)
{
    const lmn_qgemm_shape s = {.m = p->m,
                               .n = p->n,
                               .k = p->k,
                               .n_batch = 1,
                               .trans_b = p->nt && !p->packed,
                               .packed = p->packed,
                               .threads = p->threads};
    lmn_qgemm_plan_make(p->row, &s, &p->plan);
}

static void run_sums(void *arg)
{
    product *p = arg;
    plan_sums(p);
    kb_chunks(p->pool, p->plan.n_chunks, sums_chunk, p);
}

static void run_dnn(void *arg)
{
    kb_dnn_run(((product *)arg)->dnn);
}

static void release(void *arg)
{
    product *p = arg;
    if (p->dnn) kb_dnn_release(p->dnn);
    free(p->packed), free(p->scratch);
    free(p);
}

static product *add(kb_case *c, const product *base, const char *name, kb_kind kind, bool ours)
{
    kb_contender *k = kb_add(c, name, kind, ours);
    product *p = kb_alloc(sizeof *p);
    *p = *base;
    k->run = ours ? run_sums : run_dnn, k->arg = p, k->release = release, k->error = sum_error;
    return p;
}

static void add_ours(kb_case *c, const product *base, kb_kind kind)
{
    product *p = add(c, base, "lamina", kind, true);
    if (kind == KB_PACKED) {
        p->packed = kb_alloc((size_t)lmn_qgemm_packed_bytes(p->row, p->k, p->n));
        lmn_qgemm_prepack(p->row, p->nt, true, (const uint8_t *)p->b, p->nt ? p->k : p->n, p->k,
                          p->n, p->packed);
    }
    if (kind == KB_ALONE) p->pool = NULL, p->threads = 1;
    plan_sums(p);
    p->scratch = kb_alloc(kb_apart(p->plan.scratch_bytes) * (size_t)p->threads);
}

static void run_shape(kb_run *run, const shape *s, const lmn_qgemm_row *row,
                      struct lmn_workpool *pool)
{
    char name[64];
    (void)snprintf(name, sizeof name, "%dx%dx%d %s", s->m, s->n, s->k, s->nt ? "NT" : "NN");
    const double ops = 2.0 * s->m * s->n * s->k, peak = row->head.isa & LMN_ISA_AMX ? 32 : 4;
    if (!kb_wants(run, s->set, name, ops)) return;
    product p = {.m = s->m, .n = s->n, .k = s->k, .nt = s->nt, .bytes = s->bytes, .row = row};
    p.pool = pool, p.threads = run->threads;
    p.a = kb_alloc((size_t)(p.m * p.k)), p.b = kb_alloc((size_t)(p.k * p.n));
    p.c = kb_alloc((size_t)(p.m * p.n) * 4);
    random_bytes(p.a, (size_t)(p.m * p.k), 1), random_bytes(p.b, (size_t)(p.k * p.n), 2);
    kb_case c = {.domain = "int8", .set = s->set, .name = name, .ops = ops, .peak = peak};
    kb_dnn_product d = {.m = p.m, .n = p.n, .k = p.k, .a = p.a, .b = p.b, .c = p.c};
    d.trans_b = p.nt, d.factor = p.bytes ? factor(&p) : 0;
    d.a_type = KB_DNN_U8, d.b_type = KB_DNN_S8, d.c_type = p.bytes ? KB_DNN_U8 : KB_DNN_S32;
    for (int packed = 0; packed < 2; packed++) {
        const kb_kind kind = packed ? KB_PACKED : KB_PLAIN;
        add_ours(&c, &p, kind);
        d.packed = packed;
        kb_dnn *made = kb_dnn_make(&d);
        if (made) add(&c, &p, "oneDNN", kind, false)->dnn = made;
    }
    if (pool) add_ours(&c, &p, KB_ALONE);
    kb_measure(run, &c);
    free(p.a), free(p.b), free(p.c);
}

/* ---- packed weights ---------------------------------------------------------------------------
 */

typedef struct weights {
    lmn_nbdot_block d;
    lmn_nbits_block e;
    const lmn_nbdot_row *rounded;
    const lmn_nbits_row *exact;
    int64_t k;
    const float *x;
    uint8_t *rows; /* of x, as the kernel takes them */
    lmn_nbpanel_block p;
} weights;

static void run_rounded(void *arg)
{
    const weights *w = arg;
    for (int64_t i = 0; i < w->d.m; i++)
        w->rounded->pack(w->rows + i * w->d.a_step, w->x + i * w->k, w->k, w->d.w.bits, w->d.m > 1);
    w->rounded->run(&w->d);
}

static void run_panels(void *arg)
{
    const weights *w = arg;
    const lmn_nbpanel_fns *f = lmn_nbpanel_of(w->rounded);
    for (int64_t i = 0; i < w->p.m; i++)
        lmn_nbpanel_pack(f, w->rows, w->x + i * w->k, w->p.m, i, w->k, &w->p.w);
    f->run(&w->p);
}

static void run_exact(void *arg)
{
    const weights *w = arg;
    for (int64_t i = 0; i < w->e.m && w->d.w.bits == 4; i++)
        lmn_nbits_halves((float *)(void *)w->rows + i * w->k, w->x + i * w->k, w->e.groups);
    w->exact->mul(&w->e);
}

static void run_read(void *arg)
{
    const weights *w = arg;
    const lmn_nbdot_weights *of = &w->d.w;
    kb_read_bytes(of->q, (size_t)(w->d.n * of->row_bytes));
    kb_read_bytes(of->scale, (size_t)(w->d.n * of->n_blocks) * sizeof(float));
}

static void run_read_panels(void *arg)
{
    const lmn_nbpanel_block *p = &((const weights *)arg)->p;
    kb_read_bytes(p->w.p, (size_t)(lmn_nbpanel_strips(p->n) * lmn_nbpanel_strip_bytes(&p->w)));
}

/* Some results against f64 sums; half a step a group is allowed where rows are rounded. */
static double weights_error(const weights *w, bool rounded)
{
    const int64_t all = w->d.m * w->d.n, step = all <= 200 ? 1 : all / 199;
    double worst = 0;
    for (int64_t at = 0; at < all; at += step) {
        const int64_t i = at / w->d.n, j = at % w->d.n;
        double sum = 0, bound = 0;
        for (int64_t g = 0; g < w->d.groups; g++) {
            double top = 0, size = 0;
            for (int64_t k = g * 32; k < g * 32 + 32; k++) {
                const uint8_t *q = w->d.w.q + j * w->d.w.row_bytes;
                const int v = w->d.w.bits == 8 ? q[k] : (q[k / 2] >> (k % 2 * 4)) & 15;
                const double x = w->x[i * w->k + k];
                const double by = (v - lmn_nbits_zp_at(&w->e, j, g >> w->d.w.shift)) *
                                  (double)w->d.w.scale[j * w->d.w.n_blocks + (g >> w->d.w.shift)];
                sum += x * by, size += fabs(by), top = fmax(top, fabs(x));
            }
            bound += size * top * (rounded ? 0.51 / 127 : 0) + size * top * (double)w->k * 0x1p-24;
        }
        const double off = fabs(w->d.y[at] - sum) / bound;
        if (!(off <= worst)) worst = off;
    }
    memset(w->d.y, 0xff, sizeof *w->d.y * (size_t)all);
    return worst;
}
static double rounded_error(void *arg)
{
    return weights_error(arg, true);
}
static double exact_error(void *arg)
{
    return weights_error(arg, false);
}

/* The weights in panels, which are to be freed. */
static uint8_t *make_panels(weights *w)
{
    const lmn_nbdot_weights *of = &w->d.w;
    lmn_nbpanel_block *p = &w->p;
    *p = (lmn_nbpanel_block){.a = w->rows, .m = w->d.m, .n = w->d.n, .groups = w->d.groups};
    p->y = w->d.y, p->ldy = w->d.ldy;
    p->w = (lmn_nbpanels){.n_blocks = of->n_blocks, .bits = of->bits, .shift = of->shift};
    uint8_t *panels =
        kb_alloc((size_t)(lmn_nbpanel_strips(w->d.n) * lmn_nbpanel_strip_bytes(&p->w)));
    lmn_nbpanel_make(panels, &p->w, of, w->d.n);
    p->w.p = panels, p->end = lmn_nbpanel_places(p);
    return panels;
}

static void contend(kb_case *c, weights *w, const char *name, void (*run)(void *),
                    double (*error)(void *))
{
    const kb_kind kind = !error ? KB_ROOF : run == run_panels ? KB_PACKED : KB_PLAIN;
    kb_contender *k = kb_add(c, name, kind, error != NULL);
    k->run = run, k->arg = w, k->error = error;
}

typedef struct layer {
    int32_t bits, group;
    int64_t n, k;
} layer;

/* Two cases, each beside a read of what it reads: the weights as they come, and in panels. */
static void contend_all(kb_run *run, weights *w, kb_case *c, const char *set)
{
    const kb_case empty = *c;
    char panels_set[40];
    if (kb_wants(run, set, c->name, c->ops)) {
        c->set = set;
        contend(c, w, "lamina, rounded rows", run_rounded, rounded_error);
        contend(c, w, "lamina, f32 rows", run_exact, exact_error);
        if (c->bytes > 0) contend(c, w, "read", run_read, NULL);
        kb_measure(run, c);
    }
    (void)snprintf(panels_set, sizeof panels_set, "%s panels", set);
    if (!kb_wants(run, panels_set, c->name, c->ops)) return;
    uint8_t *panels = make_panels(w);
    *c = empty, c->set = panels_set;
    contend(c, w, "lamina, rounded rows", run_panels, rounded_error);
    if (c->bytes > 0) contend(c, w, "read", run_read_panels, NULL);
    kb_measure(run, c);
    free(panels);
}

static void run_weights(kb_run *run, const lmn_kset *set, const layer *l, int64_t m)
{
    const int32_t bits = l->bits, group = l->group;
    const int64_t n = l->n, k = l->k;
    char name[64], in[32];
    (void)snprintf(name, sizeof name, "%dx%dx%d int%d g%d", (int)m, (int)n, (int)k, bits, group);
    (void)snprintf(in, sizeof in, "int%d M=%d", bits, (int)m);
    const double ops = 2.0 * (double)m * (double)n * (double)k;
    if (run->only && !strstr(name, run->only)) return; /* before many bytes are made */
    weights w = {.rounded = set->nbdot_i8, .exact = set->nbits_f32, .k = k};
    lmn_nbdot_weights *of = &w.d.w;
    of->bits = bits, of->n_blocks = k / group, of->row_bytes = k * bits / 8;
    while (32 << of->shift < group) of->shift++;
    const size_t q_bytes = (size_t)(n * of->row_bytes);
    uint8_t *q = kb_alloc(q_bytes);
    float *scale = kb_alloc((size_t)(n * of->n_blocks) * sizeof *scale);
    float *x = kb_alloc((size_t)(m * k) * sizeof *x), *y = kb_alloc((size_t)(m * n) * sizeof *y);
    random_bytes(q, q_bytes, 3);
    kb_random_f32(scale, n * of->n_blocks, 4), kb_random_f32(x, m * k, 5);
    of->q = q, of->scale = scale, w.x = x;
    w.d.m = m, w.d.n = n, w.d.groups = k / 32, w.d.y = y, w.d.ldy = n;
    w.d.a_step = lmn_nbdot_packed_bytes(k);
    const int64_t most = lmn_nbpanel_of(w.rounded)->tile_m;
    w.rows = kb_alloc((size_t)(m * k) * sizeof *x + (size_t)lmn_nbpanel_a_bytes(most, m, k, bits));
    w.d.a = w.rows;
    w.e = (lmn_nbits_block){.w = *of, .a = x, .a_step = k, .m = m, .n = n, .groups = k / 32};
    w.e.y = y, w.e.ldy = n;
    if (bits == 4) w.e.a = (const float *)(const void *)w.rows;
    kb_case c = {.domain = "weights", .name = name, .ops = ops, .peak = 4};
    if (m == 1) c.bytes = (double)q_bytes + 4.0 * (double)(n * of->n_blocks);
    contend_all(run, &w, &c, in);
    free(q), free(scale), free(x), free(y), free(w.rows);
}

void kb_int8(kb_run *run)
{
    lmn_kset set;
    kb_choose(&set);
    struct lmn_workpool *pool = kb_pool(run->threads);
    for (size_t i = 0; i < LMN_COUNT(shapes); i++) run_shape(run, &shapes[i], set.qgemm_i8, pool);
    kb_pool_release(pool);
}

void kb_weights(kb_run *run)
{
    static const int64_t rows[] = {1, 4, 8, 16};
    /* The last two are larger than a third cache: weights of models come from memory. */
    static const layer layers[] = {{4, 32, 4096, 4096}, {4, 32, 11008, 4096}, {4, 128, 11008, 4096},
                                   {8, 32, 4096, 4096}, {8, 32, 11008, 4096}, {4, 32, 65536, 4096},
                                   {8, 32, 65536, 4096}};
    lmn_kset set;
    if (run->threads > 1) return;
    kb_choose(&set);
    for (size_t i = 0; i < LMN_COUNT(rows); i++)
        for (size_t j = 0; j < LMN_COUNT(layers); j++) run_weights(run, &set, &layers[j], rows[i]);
}
