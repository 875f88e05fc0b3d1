/*
 * Blocks of keys over rows of queries, by a plan of attention_cut.c.
 */
#include "kernels/attention/attention_parts.h"

#include <math.h>

enum {
    QUERIES_AHEAD = 8,
    WIDEN_ELEMS = 512, /* are widened at a time, and so many ahead asked for: */
    WIDEN_AHEAD = 4096
};

/* What one chunk works on. */
typedef struct work {
    const lmn_attention_plan *p;
    const lmn_attention_args *a;
    int64_t b, h0;   /* batch row, first head */
    int64_t row0, m; /* rows of the group: row r is query r % queries of head h0 + r / queries */
    int64_t k0, k1;  /* keys */
    const void *k, *v;
    void *q, *packed_k, *packed_v; /* f32, or of 16 bits as `weights` */
    float *wide;                   /* a block of keys or values that come in 16 bits */
    uint16_t *weights;
    float *o, *top, *sum, *s;
    int64_t *lo, *hi;
} work;

/* Element i of an operand as it comes. */
static const void *elem_at(const work *w, const void *base, int64_t i)
{
    return (const uint8_t *)base + i * w->p->elem;
}

static work open_work(const lmn_attention_plan *p, const lmn_attention_args *a, int64_t item,
                      void *scratch)
{
    const lmn_attention_shape *s = &p->shape;
    const int64_t groups = s->heads / p->group;
    uint8_t *at = scratch;
    work w = {.p = p, .a = a};
    /* The last rows see the most keys where attention is causal: they go first. */
    w.row0 = (p->row_blocks - 1 - item % p->row_blocks) * p->rows;
    w.m = lmn_min_i64(p->rows, p->group * s->queries - w.row0);
    w.b = item / p->row_blocks / groups;
    w.h0 = item / p->row_blocks % groups * p->group;
    w.k = elem_at(&w, a->k, w.b * a->k_step[0] + w.h0 / (s->heads / s->k_heads) * a->k_step[1]);
    w.v = elem_at(&w, a->v, w.b * a->v_step[0] + w.h0 / (s->heads / s->v_heads) * a->v_step[1]);
    w.q = at + p->at[AT_Q], w.o = (float *)(void *)(at + p->at[AT_O]);
    w.top = (float *)(void *)(at + p->at[AT_TOP]), w.sum = (float *)(void *)(at + p->at[AT_SUM]);
    w.lo = (int64_t *)(void *)(at + p->at[AT_LO]), w.hi = (int64_t *)(void *)(at + p->at[AT_HI]);
    w.s = (float *)(void *)(at + p->at[AT_S]);
    w.packed_k = at + p->at[AT_K], w.packed_v = at + p->at[AT_V];
    w.weights = (uint16_t *)(void *)(at + p->at[AT_P]);
    w.wide = (float *)(void *)(at + p->at[AT_WIDE]);
    return w;
}

/* to[c] = from[c * step] * scale, in pieces that compilers make vectors of. */
static void scale_row(float *restrict to, const float *restrict from, int64_t step, int64_t d,
                      float scale)
{
    enum { PIECE = 16 };
    int64_t c = 0;
    for (; step == 1 && c + PIECE <= d; c += PIECE)
        for (int i = 0; i < PIECE; i++) to[c + i] = from[c + i] * scale;
    for (; c < d; c++) to[c] = from[c * step] * scale;
}

/* n rows of 16 bits, ld apart, as dense rows of f32. */
static void widen(const work *w, const void *from, int64_t ld, int64_t n, int64_t cols, float *to)
{
    w->p->io->widen(&(lmn_hgemm_rows){
        .dst = to, .ld_dst = cols, .src = from, .ld = ld, .m = n, .k = cols, .padded = cols});
}

/* Row r of the scaled queries. */
static void open_query(const work *w, const void *from, int64_t r)
{
    const lmn_attention_plan *p = w->p;
    const int64_t d = p->shape.d, step = w->a->q_step[3];
    float *to = p->half ? w->s : (float *)w->q + r * d;
    if (p->io) {
        float *wide = p->half ? w->s + d : w->s;
        widen(w, from, d, 1, d, wide);
        from = wide;
    }
    scale_row(to, from, step, d, w->a->scale);
    if (!p->half) return;
    const int64_t padded = lmn_attention_whole_k(p, d);
    p->half->rows_f32(&(lmn_hgemm_rows){
        .dst = (uint16_t *)w->q + r * padded, .src = to, .m = 1, .k = d, .padded = padded});
}

/* A row's lines, which the hardware does not foresee: queries lie too far from their neighbours. */
static void fetch_row(const uint8_t *from, int64_t bytes)
{
    enum { LINE = 64 };
    for (int64_t c = 0; c < bytes; c += LINE) __builtin_prefetch(from + c);
}

/* Scaled queries, spans, and the state before any key. */
static void open_rows(const work *w)
{
    const lmn_attention_shape *s = &w->p->shape;
    const lmn_attention_args *a = w->a;
    for (int64_t r = 0; r < w->m; r++) {
        const int64_t h = w->h0 + (w->row0 + r) / s->queries, i = (w->row0 + r) % s->queries;
        float *o = w->o + r * s->dv;
        const void *q = elem_at(w, a->q, w->b * a->q_step[0] + h * a->q_step[1] + i * a->q_step[2]);
        if (a->q_step[3] == 1 && i + QUERIES_AHEAD < s->queries)
            fetch_row(elem_at(w, q, QUERIES_AHEAD * a->q_step[2]), s->d * w->p->elem);
        open_query(w, q, r);
        for (int64_t c = 0; c < s->dv; c++) o[c] = 0.0f;
        w->lo[r] = 0, w->hi[r] = s->keys;
        if (a->span) a->span(a->ctx, w->b, h, i, &w->lo[r], &w->hi[r]);
        w->top[r] = a->sink && w->k0 == 0 ? a->sink[h] : -INFINITY;
        w->sum[r] = (a->sink && w->k0 == 0) || w->hi[r] <= w->lo[r] ? 1.0f : 0.0f;
    }
}

/* The keys that any of m rows from r on sees. */
static void reach(const work *w, int64_t r, int64_t m, int64_t *lo, int64_t *hi)
{
    *lo = INT64_MAX, *hi = 0;
    for (int64_t i = r; i < r + m; i++) {
        if (w->hi[i] <= w->lo[i]) continue;
        *lo = lmn_min_i64(*lo, w->lo[i]);
        *hi = lmn_max_i64(*hi, w->hi[i]);
    }
}

/* Masks of a strip, head by head. */
static void edit(const work *w, int64_t r, int64_t m, int64_t key, int64_t n)
{
    const int64_t queries = w->p->shape.queries;
    for (int64_t i = 0, left; w->a->edit && i < m; i += left) {
        const int64_t row = w->row0 + r + i;
        left = lmn_min_i64(m - i, queries - row % queries);
        const lmn_attention_scores s = {.s = w->s + i * w->p->block,
                                        .ld = w->p->block,
                                        .m = left,
                                        .n = n,
                                        .b = w->b,
                                        .h = w->h0 + row / queries,
                                        .i0 = row % queries,
                                        .key = key};
        w->a->edit(w->a->ctx, &s);
    }
}

/* Weights of a strip: in bf16 they end as rows of 16 bits. */
static void soften(const work *w, int64_t r, int64_t m, int64_t key, int64_t n)
{
    const lmn_attention_plan *p = w->p;
    const int64_t dv = p->shape.dv;
    const lmn_attention_soft soft = {.s = w->s,
                                     .ld = p->block,
                                     .m = m,
                                     .n = n,
                                     .key = key,
                                     .lo = w->lo + r,
                                     .hi = w->hi + r,
                                     .top = w->top + r,
                                     .sum = w->sum + r,
                                     .o = w->o + r * dv,
                                     .dv = dv};
    edit(w, r, m, key, n);
    if (p->half && p->row->weigh) {
        p->row->weigh(&(lmn_attention_weigh){soft, w->weights, lmn_attention_weight_step(p),
                                             lmn_attention_whole_k(p, n)});
        return;
    }
    p->row->soften(&soft);
    if (!p->half) return;
    p->half->rows_f32(&(lmn_hgemm_rows){.dst = w->weights,
                                        .ld_dst = lmn_attention_weight_step(p),
                                        .src = w->s,
                                        .ld = p->block,
                                        .m = m,
                                        .k = n,
                                        .padded = lmn_attention_whole_k(p, n)});
}

/* One strip against keys key .. key+n-1 of the packed block of `whole` keys, in bf16. Where a strip
   sees less than the block, weights of 0 meet the values behind its keys. */
static void strip_half(const work *w, int64_t r, int64_t m, int64_t key, int64_t n, int64_t whole)
{
    const lmn_attention_plan *p = w->p;
    const lmn_hgemm_row *half = p->half;
    const int64_t d = lmn_attention_whole_k(p, p->shape.d), dv = p->shape.dv,
                  step = lmn_attention_weight_step(p);
    half->block(&(lmn_hgemm_block){.a = (const uint16_t *)w->q + r * d,
                                   .lda = d,
                                   .b = w->packed_k,
                                   .b_panel = lmn_hgemm_panel_elems(half, p->shape.d),
                                   .c = w->s,
                                   .ldc = p->block,
                                   .m = m,
                                   .n = n,
                                   .k = d});
    soften(w, r, m, key, n);
    half->block(&(lmn_hgemm_block){.a = w->weights,
                                   .lda = step,
                                   .b = w->packed_v,
                                   .b_panel = lmn_hgemm_panel_elems(half, whole),
                                   .c = w->o + r * dv,
                                   .ldc = dv,
                                   .m = m,
                                   .n = dv,
                                   .k = lmn_attention_whole_k(p, n),
                                   .beta = 1});
}

/* Values of a block: packed, or rows ld apart. */
typedef struct values {
    const float *v;
    int64_t ld, panel;
} values;

/* The same in f32. */
static void strip_run(const work *w, const values *v, int64_t r, int64_t m, int64_t key, int64_t n)
{
    const lmn_attention_plan *p = w->p;
    const int64_t nr = p->gemm->nr, d = p->shape.d, dv = p->shape.dv;
    p->gemm->block(&(lmn_gemm_block){.a = (const float *)w->q + r * d,
                                     .lda = d,
                                     .b = w->packed_k,
                                     .ldb = nr,
                                     .b_panel = nr * d,
                                     .c = w->s,
                                     .ldc = p->block,
                                     .m = m,
                                     .n = n,
                                     .k = d});
    soften(w, r, m, key, n);
    p->gemm->block(&(lmn_gemm_block){.a = w->s,
                                     .lda = p->block,
                                     .b = v->v,
                                     .ldb = v->ld,
                                     .b_panel = v->panel,
                                     .c = w->o + r * dv,
                                     .ldc = dv,
                                     .m = m,
                                     .n = dv,
                                     .k = n,
                                     .beta = 1});
}

/* Keys and values key .. key+n-1, rounded and packed. */
static void pack_half(const work *w, int64_t key, int64_t n)
{
    const lmn_attention_plan *p = w->p;
    const lmn_attention_shape *s = &p->shape;
    const int64_t ldk = w->a->ldk, ldv = w->a->ldv;
    const int32_t from = p->io ? 0 : LMN_HGEMM_B_F32;
    lmn_hgemm_prepack(p->half, from | (s->k_turned ? 0 : LMN_HGEMM_TRANS_B),
                      elem_at(w, w->k, s->k_turned ? key : key * ldk), ldk, s->d, n, w->packed_k);
    lmn_hgemm_prepack(p->half, from | (s->v_turned ? LMN_HGEMM_TRANS_B : 0),
                      elem_at(w, w->v, s->v_turned ? key : key * ldv), ldv, n, s->dv, w->packed_v);
}

/* Keys key .. key+n-1, packed, and where the values stand: those that are dense stay there. */
static values pack_f32(const work *w, int64_t key, int64_t n)
{
    const lmn_attention_plan *p = w->p;
    const lmn_attention_shape *s = &p->shape;
    const int64_t ldk = w->a->ldk, ldv = w->a->ldv, nr = p->gemm->nr;
    const float *k = w->k, *v = w->v;
    if (p->io) {
        widen(w, elem_at(w, k, key * ldk), ldk, n, s->d, w->wide);
        p->gemm->pack_nt(w->packed_k, w->wide, s->d, s->d, n);
        widen(w, elem_at(w, v, key * ldv), ldv, n, s->dv, w->packed_v);
        return (values){w->packed_v, s->dv, nr};
    }
    if (s->k_turned)
        p->gemm->pack_nn(w->packed_k, k + key, ldk, s->d, n);
    else
        p->gemm->pack_nt(w->packed_k, k + key * ldk, ldk, s->d, n);
    if (!s->v_turned && ldv == s->dv) return (values){v + key * ldv, ldv, nr};
    if (s->v_turned)
        p->gemm->pack_nt(w->packed_v, v + key, ldv, n, s->dv);
    else
        p->gemm->pack_nn(w->packed_v, v + key * ldv, ldv, n, s->dv);
    return (values){w->packed_v, nr, nr * n};
}

static void run_packed(const work *w)
{
    const lmn_attention_plan *p = w->p;
    int64_t lo, hi;
    reach(w, 0, w->m, &lo, &hi);
    for (int64_t key = hi > 0 ? lo / p->block * p->block : 0; key < hi; key += p->block) {
        const int64_t n = lmn_min_i64(p->block, hi - key);
        values v = {0};
        if (p->half)
            pack_half(w, key, n);
        else
            v = pack_f32(w, key, n);
        for (int64_t r = 0; r < w->m; r += p->strip) {
            const int64_t m = lmn_min_i64(p->strip, w->m - r);
            int64_t first, last;
            reach(w, r, m, &first, &last);
            if (first >= key + n || last <= key) continue;
            if (p->half)
                strip_half(w, r, m, key, lmn_min_i64(n, last - key), n);
            else
                strip_run(w, &v, r, m, key, lmn_min_i64(n, last - key));
        }
    }
}

/* widen() into scratch, with rows behind them asked for: few queries wait for memory. */
static void widen_ahead(const work *w, const void *from, int64_t ld, int64_t n, int64_t cols)
{
    const int64_t wide = lmn_max_i64(1, cols), piece = lmn_max_i64(1, WIDEN_ELEMS / wide),
                  ahead = WIDEN_AHEAD / wide;
    for (int64_t i = 0, m; i < n; i += m) {
        m = lmn_min_i64(piece, n - i);
        for (int64_t j = i; j < i + m; j++)
            fetch_row(elem_at(w, from, (j + ahead) * ld), cols * w->p->elem);
        widen(w, elem_at(w, from, i * ld), ld, m, cols, w->wide + i * cols);
    }
}

/* n rows of keys or values from row `key` on, as f32, where rows are ld apart; *ld becomes what it
   is then. Turned ones are f32. */
static const float *few_rows(const work *w, const void *from, bool turned, int64_t key, int64_t n,
                             int64_t cols, int64_t *ld)
{
    from = elem_at(w, from, turned ? key : key * *ld);
    if (!w->p->io) return from;
    widen_ahead(w, from, *ld, n, cols);
    *ld = cols;
    return w->wide;
}

static void run_few(const work *w)
{
    const lmn_attention_plan *p = w->p;
    const lmn_attention_shape *s = &p->shape;
    int64_t lo, hi;
    reach(w, 0, w->m, &lo, &hi);
    lo = hi > 0 ? lmn_max_i64(w->k0, lo / p->block * p->block) : 0, hi = lmn_min_i64(hi, w->k1);
    for (int64_t key = lo; key < hi; key += p->block) {
        const int64_t n = lmn_min_i64(p->block, hi - key);
        lmn_gemm_block t = {.a = w->q, .lda = s->d, .ldb = w->a->ldk, .c = w->s, .ldc = p->block};
        t.m = w->m, t.n = n, t.k = s->d;
        t.b = few_rows(w, w->k, s->k_turned, key, n, s->d, &t.ldb);
        (s->k_turned ? p->gemm->small_nn : p->gemm->small_nt)(&t);
        soften(w, 0, w->m, key, n);
        t = (lmn_gemm_block){.a = w->s, .lda = p->block, .ldb = w->a->ldv, .c = w->o, .ldc = s->dv};
        t.m = w->m, t.n = s->dv, t.k = n, t.beta = 1;
        t.b = few_rows(w, w->v, s->v_turned, key, n, s->dv, &t.ldb);
        (s->v_turned ? p->gemm->small_nt : p->gemm->small_nn)(&t);
    }
}

/* The results of the chunk's rows, to where they belong. */
static void close_rows(const work *w)
{
    const lmn_attention_args *a = w->a;
    const int64_t queries = w->p->shape.queries, dv = w->p->shape.dv;
    for (int64_t r = 0, left; r < w->m; r += left) {
        const int64_t h = w->h0 + (w->row0 + r) / queries, i = (w->row0 + r) % queries;
        left = lmn_min_i64(w->m - r, queries - i);
        const int64_t at = w->b * a->y_step[0] + h * a->y_step[1] + i * a->y_step[2];
        float *o = w->o + r * dv;
        const bool narrows = w->p->io != NULL;
        w->p->row->finish(&(lmn_attention_finish){.o = o,
                                                  .sum = w->sum + r,
                                                  .m = left,
                                                  .dv = dv,
                                                  .y = narrows ? o : (float *)a->y + at,
                                                  .ldy = narrows ? dv : a->y_step[2],
                                                  .zero_empty = a->zero_empty,
                                                  .zero_nan = a->zero_nan});
        if (narrows) w->p->io->narrow((uint16_t *)a->y + at, a->y_step[2], o, dv, left, dv);
    }
}

/* The part's tops, sums and weighted values in shared memory: m, m and m * dv elements. */
static float *shared_part(const work *w, int64_t item, int64_t part)
{
    const int64_t elems = w->p->rows * (w->p->shape.dv + 2);
    return (float *)w->a->shared + (item * w->p->parts + part) * elems;
}

void lmn_attention_f32_chunk(const lmn_attention_plan *p, const lmn_attention_args *a,
                             int64_t chunk, void *scratch)
{
    lmn_assert(chunk >= 0 && chunk < p->n_chunks);
    const int64_t item = chunk / p->parts, part = chunk % p->parts;
    work w = open_work(p, a, item, scratch);
    w.k0 = part * p->part_keys, w.k1 = lmn_min_i64(p->shape.keys, w.k0 + p->part_keys);
    if (p->parts > 1) {
        w.top = shared_part(&w, item, part);
        w.sum = w.top + p->rows, w.o = w.sum + p->rows;
    }
    open_rows(&w);
    if (p->few)
        run_few(&w);
    else
        run_packed(&w);
    if (p->parts == 1) close_rows(&w);
}

void lmn_attention_f32_merge(const lmn_attention_plan *p, const lmn_attention_args *a, int64_t item,
                             void *scratch)
{
    lmn_assert(item >= 0 && item < p->n_merges);
    const work w = open_work(p, a, item, scratch);
    const float *from = shared_part(&w, item, 0);
    const int64_t elems = p->rows * (p->shape.dv + 2);
    p->row->merge(&(lmn_attention_merge){.top = from,
                                         .sum = from + p->rows,
                                         .o = from + 2 * p->rows,
                                         .parts = p->parts,
                                         .step = elems,
                                         .o_step = elems,
                                         .m = w.m,
                                         .dv = p->shape.dv,
                                         .to_top = w.top,
                                         .to_sum = w.sum,
                                         .to_o = w.o});
    close_rows(&w);
}
