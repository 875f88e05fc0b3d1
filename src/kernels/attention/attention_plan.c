/*
 * Blocks of keys over rows of queries. The pieces of a worker's scratch: scaled queries, weighted
 * values, greatest scores, sums, spans, one block of scores, packed keys and packed values; in bf16
 * also the weights of a block. Queries, keys, values and weights are then of 16 bits, padded with 0
 * to the row's groups.
 */
#include "kernels/attention/attention_plan.h"

#include "kernels/hgemm/hgemm_plan.h"
#include "kernels/split.h"

#include <math.h>

/* Tuned on Zen 4. */
enum {
    ROWS = 512,      /* of a chunk: keys and values are packed once for so many */
    ROWS_LEAST = 64, /* fewer pack the same keys too often */
    STRIP = 16,
    BLOCK = 384,
    BLOCK_LEAST = 48,
    AREA = 49152,      /* elements of a packed block of keys or values */
    FEW_SCORES = 8192, /* of a block without packing */
    FEW_BLOCK = 1024,
    PART_LEAST = 1024, /* keys of a part */
    WANT_CHUNKS = 8,
    QUERIES_AHEAD = 8
};
enum { AT_Q, AT_O, AT_TOP, AT_SUM, AT_LO, AT_HI, AT_S, AT_K, AT_V, AT_P };

static void place(lmn_attention_plan *p, int32_t piece, int64_t elems, size_t bytes)
{
    p->at[piece] = p->scratch_bytes;
    p->scratch_bytes = lmn_align_up(p->scratch_bytes + (size_t)elems * bytes, 64);
}

/* k of a product in bf16, in whole groups. */
static int64_t whole_k(const lmn_attention_plan *p, int64_t k)
{
    return lmn_round_up_i64(k, lmn_max_i64(2, p->half->group));
}
/* From row to row of the weights: not a multiple of 4 KiB. */
static int64_t weight_step(const lmn_attention_plan *p)
{
    return whole_k(p, p->block) + 32;
}

static void plan_scratch(lmn_attention_plan *p)
{
    const lmn_attention_shape *s = &p->shape;
    const int64_t nr = p->gemm->nr;
    place(p, AT_Q, p->rows * (p->half ? whole_k(p, s->d) : s->d), p->half ? 2 : sizeof(float));
    place(p, AT_O, p->rows * s->dv, sizeof(float));
    place(p, AT_TOP, p->rows, sizeof(float));
    place(p, AT_SUM, p->rows, sizeof(float));
    place(p, AT_LO, p->rows, sizeof(int64_t));
    place(p, AT_HI, p->rows, sizeof(int64_t));
    /* a row of queries is scaled here before it is rounded */
    place(p, AT_S, lmn_max_i64(p->strip * p->block, p->half ? s->d : 0), sizeof(float));
    if (p->half) {
        place(p, AT_K, lmn_hgemm_packed_elems(p->half, s->d, p->block), 2);
        place(p, AT_V, lmn_hgemm_packed_elems(p->half, p->block, s->dv), 2);
        place(p, AT_P, p->strip * weight_step(p), 2);
        return;
    }
    place(p, AT_K, p->few ? 0 : lmn_round_up_i64(p->block, nr) * s->d, sizeof(float));
    place(p, AT_V, p->few ? 0 : lmn_round_up_i64(s->dv, nr) * p->block, sizeof(float));
}

static void plan_few(lmn_attention_plan *p, int64_t total)
{
    p->few = true;
    p->rows = p->strip = total;
    p->block = lmn_min_i64(FEW_BLOCK, FEW_SCORES / total);
    if (p->n_chunks >= WANT_CHUNKS || p->shape.keys < 2 * PART_LEAST) return;
    const int64_t want =
        lmn_min_i64(lmn_ceil_div_i64(WANT_CHUNKS, p->n_chunks), p->shape.keys / PART_LEAST);
    p->part_keys = lmn_round_up_i64(lmn_ceil_div_i64(p->shape.keys, want), p->block);
    p->parts = lmn_ceil_div_i64(p->shape.keys, p->part_keys);
    p->n_merges = p->parts > 1 ? p->n_chunks : 0;
    p->shared_bytes =
        p->parts > 1 ? (size_t)(p->n_chunks * p->parts * total * (p->shape.dv + 2)) * sizeof(float)
                     : 0;
    p->n_chunks *= p->parts;
}

static void plan_rows(lmn_attention_plan *p, int64_t total)
{
    const lmn_attention_shape *s = &p->shape;
    const int64_t mr = p->half ? p->half->mr : p->gemm->mr,
                  wide = lmn_max_i64(s->d, lmn_max_i64(1, s->dv));
    int64_t most = lmn_min_i64(ROWS, lmn_max_i64(STRIP, 65536 / wide));
    while (most > ROWS_LEAST && lmn_ceil_div_i64(total, most) * p->n_chunks < WANT_CHUNKS)
        most /= 2;
    p->strip = lmn_max_i64(1, STRIP / mr) * mr;
    p->rows = lmn_split_even(total, most, p->strip);
    p->block =
        lmn_max_i64(BLOCK_LEAST, lmn_min_i64(BLOCK, AREA / wide / BLOCK_LEAST * BLOCK_LEAST));
    /* Even blocks; a few keys more than one block are one. */
    const int64_t slack = p->block + p->block / 2;
    p->block = s->keys <= slack ? s->keys : lmn_split_even(s->keys, p->block, BLOCK_LEAST);
    p->row_blocks = lmn_ceil_div_i64(total, p->rows);
    p->n_chunks *= p->row_blocks;
}

static void plan(const lmn_gemm_row *gemm, const lmn_hgemm_row *half, const lmn_attention_row *row,
                 const lmn_attention_shape *s, lmn_attention_plan *out)
{
    *out = (lmn_attention_plan){.gemm = gemm, .row = row, .shape = *s};
    out->group = s->k_heads == s->v_heads && s->k_heads > 0 ? s->heads / s->k_heads : 1;
    const int64_t total = out->group * s->queries;
    if (s->batch == 0 || s->heads == 0 || s->queries == 0) return;
    lmn_assert(s->keys > 0 && s->d > 0);
    out->n_chunks = s->batch * (s->heads / out->group);
    out->row_blocks = out->parts = 1;
    out->part_keys = s->keys;
    out->half = total > LMN_ATTENTION_FEW ? half : NULL;
    if (total <= LMN_ATTENTION_FEW)
        plan_few(out, total);
    else
        plan_rows(out, total);
    out->block = lmn_min_i64(out->block, s->keys);
    plan_scratch(out);
}

void lmn_attention_f32_plan(const lmn_gemm_row *gemm, const lmn_attention_row *row,
                            const lmn_attention_shape *s, lmn_attention_plan *out)
{
    plan(gemm, NULL, row, s, out);
}

void lmn_attention_bf16_plan(const lmn_gemm_row *gemm, const lmn_hgemm_row *half,
                             const lmn_attention_row *row, const lmn_attention_shape *s,
                             lmn_attention_plan *out)
{
    lmn_assert(half->rows_f32 && half->elem == 2);
    plan(gemm, half, row, s, out);
}

/* What one chunk works on. */
typedef struct work {
    const lmn_attention_plan *p;
    const lmn_attention_args *a;
    int64_t b, h0;   /* batch row, first head */
    int64_t row0, m; /* rows of the group: row r is query r % queries of head h0 + r / queries */
    int64_t k0, k1;  /* keys */
    const float *k, *v;
    void *q, *packed_k, *packed_v; /* f32, or of 16 bits as `weights` */
    uint16_t *weights;
    float *o, *top, *sum, *s;
    int64_t *lo, *hi;
} work;

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
    w.k = a->k + w.b * a->k_step[0] + w.h0 / (s->heads / s->k_heads) * a->k_step[1];
    w.v = a->v + w.b * a->v_step[0] + w.h0 / (s->heads / s->v_heads) * a->v_step[1];
    w.q = at + p->at[AT_Q], w.o = (float *)(void *)(at + p->at[AT_O]);
    w.top = (float *)(void *)(at + p->at[AT_TOP]), w.sum = (float *)(void *)(at + p->at[AT_SUM]);
    w.lo = (int64_t *)(void *)(at + p->at[AT_LO]), w.hi = (int64_t *)(void *)(at + p->at[AT_HI]);
    w.s = (float *)(void *)(at + p->at[AT_S]);
    w.packed_k = at + p->at[AT_K], w.packed_v = at + p->at[AT_V];
    w.weights = (uint16_t *)(void *)(at + p->at[AT_P]);
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

/* Row r of the scaled queries. */
static void open_query(const work *w, const float *from, int64_t r)
{
    const lmn_attention_plan *p = w->p;
    const int64_t d = p->shape.d, step = w->a->q_step[3];
    float *to = p->half ? w->s : (float *)w->q + r * d;
    scale_row(to, from, step, d, w->a->scale);
    if (!p->half) return;
    const int64_t padded = whole_k(p, d);
    p->half->rows_f32(&(lmn_hgemm_rows){
        .dst = (uint16_t *)w->q + r * padded, .src = to, .m = 1, .k = d, .padded = padded});
}

/* A query's lines, which lie too far from its neighbours' for the hardware to foresee. */
static void fetch_query(const float *from, int64_t d)
{
    enum { LINE = 16 };
    for (int64_t c = 0; c < d; c += LINE) __builtin_prefetch(from + c);
}

/* Scaled queries, spans, and the state before any key. */
static void open_rows(const work *w)
{
    const lmn_attention_shape *s = &w->p->shape;
    const lmn_attention_args *a = w->a;
    for (int64_t r = 0; r < w->m; r++) {
        const int64_t h = w->h0 + (w->row0 + r) / s->queries, i = (w->row0 + r) % s->queries;
        float *o = w->o + r * s->dv;
        const float *q = a->q + w->b * a->q_step[0] + h * a->q_step[1] + i * a->q_step[2];
        if (a->q_step[3] == 1 && i + QUERIES_AHEAD < s->queries)
            fetch_query(q + QUERIES_AHEAD * a->q_step[2], s->d);
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
        p->row->weigh(&(lmn_attention_weigh){soft, w->weights, weight_step(p), whole_k(p, n)});
        return;
    }
    p->row->soften(&soft);
    if (!p->half) return;
    p->half->rows_f32(&(lmn_hgemm_rows){.dst = w->weights,
                                        .ld_dst = weight_step(p),
                                        .src = w->s,
                                        .ld = p->block,
                                        .m = m,
                                        .k = n,
                                        .padded = whole_k(p, n)});
}

/* One strip against keys key .. key+n-1 of the packed block of `whole` keys, in bf16. Where a strip
   sees less than the block, weights of 0 meet the values behind its keys. */
static void strip_half(const work *w, int64_t r, int64_t m, int64_t key, int64_t n, int64_t whole)
{
    const lmn_attention_plan *p = w->p;
    const lmn_hgemm_row *half = p->half;
    const int64_t d = whole_k(p, p->shape.d), dv = p->shape.dv, step = weight_step(p);
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
                                   .k = whole_k(p, n),
                                   .beta = 1});
}

/* The same in f32; values are packed, or lie where they do. */
static void strip_run(const work *w, const float *v, int64_t r, int64_t m, int64_t key, int64_t n,
                      int64_t whole)
{
    const lmn_attention_plan *p = w->p;
    const int64_t nr = p->gemm->nr, d = p->shape.d, dv = p->shape.dv;
    const bool direct = v != w->packed_v;
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
                                     .b = v,
                                     .ldb = direct ? w->a->ldv : nr,
                                     .b_panel = direct ? nr : nr * whole,
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
    lmn_hgemm_prepack(p->half, LMN_HGEMM_B_F32 | (s->k_turned ? 0 : LMN_HGEMM_TRANS_B),
                      w->k + (s->k_turned ? key : key * ldk), ldk, s->d, n, w->packed_k);
    lmn_hgemm_prepack(p->half, LMN_HGEMM_B_F32 | (s->v_turned ? LMN_HGEMM_TRANS_B : 0),
                      w->v + (s->v_turned ? key : key * ldv), ldv, n, s->dv, w->packed_v);
}

/* Keys key .. key+n-1, packed, and where the values stand: those that are dense stay there. */
static const float *pack_f32(const work *w, int64_t key, int64_t n)
{
    const lmn_attention_plan *p = w->p;
    const lmn_attention_shape *s = &p->shape;
    const int64_t ldk = w->a->ldk, ldv = w->a->ldv;
    if (s->k_turned)
        p->gemm->pack_nn(w->packed_k, w->k + key, ldk, s->d, n);
    else
        p->gemm->pack_nt(w->packed_k, w->k + key * ldk, ldk, s->d, n);
    if (!s->v_turned && ldv == s->dv) return w->v + key * ldv;
    if (s->v_turned)
        p->gemm->pack_nt(w->packed_v, w->v + key, ldv, n, s->dv);
    else
        p->gemm->pack_nn(w->packed_v, w->v + key * ldv, ldv, n, s->dv);
    return w->packed_v;
}

static void run_packed(const work *w)
{
    const lmn_attention_plan *p = w->p;
    int64_t lo, hi;
    reach(w, 0, w->m, &lo, &hi);
    for (int64_t key = hi > 0 ? lo / p->block * p->block : 0; key < hi; key += p->block) {
        const int64_t n = lmn_min_i64(p->block, hi - key);
        const float *v = NULL;
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
                strip_run(w, v, r, m, key, lmn_min_i64(n, last - key), n);
        }
    }
}

static void run_few(const work *w)
{
    const lmn_attention_plan *p = w->p;
    const lmn_attention_shape *s = &p->shape;
    const int64_t ldk = w->a->ldk, ldv = w->a->ldv;
    int64_t lo, hi;
    reach(w, 0, w->m, &lo, &hi);
    lo = hi > 0 ? lmn_max_i64(w->k0, lo / p->block * p->block) : 0, hi = lmn_min_i64(hi, w->k1);
    for (int64_t key = lo; key < hi; key += p->block) {
        const int64_t n = lmn_min_i64(p->block, hi - key);
        lmn_gemm_block t = {.a = w->q, .lda = s->d, .ldb = ldk, .c = w->s, .ldc = p->block};
        t.m = w->m, t.n = n, t.k = s->d;
        t.b = w->k + (s->k_turned ? key : key * ldk);
        (s->k_turned ? p->gemm->small_nn : p->gemm->small_nt)(&t);
        soften(w, 0, w->m, key, n);
        t = (lmn_gemm_block){.a = w->s, .lda = p->block, .ldb = ldv, .c = w->o, .ldc = s->dv};
        t.m = w->m, t.n = s->dv, t.k = n, t.beta = 1;
        t.b = w->v + (s->v_turned ? key : key * ldv);
        (s->v_turned ? p->gemm->small_nt : p->gemm->small_nn)(&t);
    }
}

/* The results of the chunk's rows, to where they belong. */
static void close_rows(const work *w)
{
    const int64_t queries = w->p->shape.queries, dv = w->p->shape.dv;
    for (int64_t r = 0, left; r < w->m; r += left) {
        const int64_t h = w->h0 + (w->row0 + r) / queries, i = (w->row0 + r) % queries;
        left = lmn_min_i64(w->m - r, queries - i);
        w->p->row->finish(&(lmn_attention_finish){.o = w->o + r * dv,
                                                  .sum = w->sum + r,
                                                  .m = left,
                                                  .dv = dv,
                                                  .y = w->a->y + w->b * w->a->y_step[0] +
                                                       h * w->a->y_step[1] + i * w->a->y_step[2],
                                                  .ldy = w->a->y_step[2],
                                                  .zero_empty = w->a->zero_empty,
                                                  .zero_nan = w->a->zero_nan});
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
