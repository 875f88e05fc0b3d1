/*
 * Chunks of a product. A packed block of B stays in L2 while all rows of the chunk pass over it, a
 * few rows at a time, packed themselves where they lie in another form than the row takes. Long k
 * is cut; sums between the pieces wait in scratch.
 */
#include "kernels/qgemm/qgemm_parts.h"

#include "kernels/split.h"

#include <string.h>

/* One chunk: rows i .. i + m - 1, columns j .. j + n - 1 of an item. */
typedef struct work {
    const lmn_qgemm_plan *p;
    const lmn_qgemm_args *args;
    parts s;
    int64_t item, i, j, m, n;
    const uint8_t *packed; /* B, of the item */
    uint8_t a_flip, b_flip;
    bool a_signed; /* and taken so */
    bool pack_a;   /* rows of A are copied, not used where they lie */
    lmn_qgemm_end end;
} work;

/* A panel of nr columns of a B that lies [n][k], by a row that packs row-major ones. */
static void pack_turned(const lmn_qgemm_row *row, const lmn_qgemm_pack *b)
{
    enum { MOST = 48 };
    uint8_t turned[SLAB * MOST];
    lmn_assert(row->nr <= MOST);
    for (int64_t j = 0; j < b->n; j += row->nr) {
        const int64_t n = lmn_min_i64(row->nr, b->n - j);
        for (int64_t k0 = 0; k0 < b->k; k0 += SLAB) {
            lmn_qgemm_pack one = *b;
            one.k = lmn_min_i64(SLAB, b->k - k0), one.n = n;
            for (int64_t i = 0; i < n; i++)
                for (int64_t k = 0; k < one.k; k++)
                    turned[k * n + i] = b->src[(j + i) * b->ld + k0 + k];
            one.src = turned, one.ld = n, one.sums = b->sums + j;
            one.dst = (uint8_t *)b->dst + j / row->nr * b->step + k0 * row->nr * row->b_bytes;
            row->pack_b(&one);
        }
    }
}

static void pack_panels(const lmn_qgemm_row *row, bool trans_b, const lmn_qgemm_pack *b)
{
    if (trans_b && row->pack_bt)
        row->pack_bt(b);
    else if (trans_b)
        pack_turned(row, b);
    else
        row->pack_b(b);
}

static int64_t packed_panel(const lmn_qgemm_row *row, int64_t k)
{
    return lmn_round_up_i64(k, row->group) * row->nr * row->b_bytes;
}
/* Bytes of the panels alone. */
static int64_t packed_panels(const lmn_qgemm_row *row, int64_t k, int64_t n)
{
    return lmn_ceil_div_i64(n, row->nr) * packed_panel(row, k);
}

int64_t lmn_qgemm_packed_bytes(const lmn_qgemm_row *row, int64_t k, int64_t n)
{
    return packed_panels(row, k, n) + lmn_round_up_i64(lmn_round_up_i64(n, row->nr) * 4, 64);
}

void lmn_qgemm_prepack(const lmn_qgemm_row *row, bool trans_b, bool b_signed, const uint8_t *b,
                       int64_t ldb, int64_t k, int64_t n, void *packed)
{
    void *sums = (uint8_t *)packed + packed_panels(row, k, n);
    memset(sums, 0, (size_t)lmn_round_up_i64(n, row->nr) * 4);
    const lmn_qgemm_pack p = {.dst = packed,
                              .step = packed_panel(row, k),
                              .src = b,
                              .ld = ldb,
                              .k = k,
                              .n = n,
                              .flip = b_signed ? 0 : 0x80,
                              .sums = sums};
    pack_panels(row, trans_b, &p);
}

/* B's k rows from k0 on into panels. */
static void pack_b(const work *w, int64_t k0, int64_t k)
{
    const lmn_qgemm_args *args = w->args;
    const lmn_qgemm_row *row = w->p->row;
    lmn_qgemm_pack b = {.dst = w->s.b, .step = b_panel(w->p), .n = w->n, .flip = w->b_flip};
    b.sums = w->s.col_sum;
    if (!w->p->bring) {
        b.src = args->b + w->item * args->b_batch +
                (w->p->trans_b ? w->j * args->ldb + k0 : k0 * args->ldb + w->j);
        b.ld = args->ldb, b.k = k;
        pack_panels(row, w->p->trans_b, &b);
        return;
    }
    for (int64_t done = 0; done < k; done += SLAB) {
        const lmn_qgemm_slab slab = {.item = w->item,
                                     .k0 = k0 + done,
                                     .k = lmn_min_i64(SLAB, k - done),
                                     .col = w->j,
                                     .n = w->n,
                                     .dst = w->s.slab};
        args->bring(args->bring_ctx, &slab);
        b.src = w->s.slab, b.ld = w->n, b.k = slab.k;
        b.dst = w->s.b + done * row->nr * row->b_bytes;
        row->pack_b(&b);
    }
}

/* The zero points as they are of the packed operands, A as u8 and B as s8. */
static int32_t a_zp_of(const work *w, int32_t zp)
{
    return zp + (w->a_flip ? 128 : 0);
}
static int32_t b_zp_of(const work *w, int32_t zp)
{
    return zp - (w->b_flip ? 128 : 0);
}

enum { WIDE = 16 }; /* arrays of columns hold whole sixteens; compilers vectorise loops of them */

static void fill(float *x, float v, int64_t n)
{
    for (int64_t j = 0; j < n; j += WIDE)
        for (int l = 0; l < WIDE; l++) x[j + l] = v;
}

/*
 * sum (a - za)(b - zb) = sum a b - za (sum b - k zb) - zb sum a, for the columns of the chunk. With
 * one za the middle term is part of col_add.
 */
static void column_terms(const work *w)
{
    const lmn_qgemm_args *args = w->args;
    int32_t *restrict sum = w->s.col_sum, *restrict add = w->s.col_add;
    const uint32_t k = (uint32_t)w->p->k;
    const uint32_t za = args->a_zps ? 0 : (uint32_t)a_zp_of(w, args->a_zp);
    const uint32_t off = args->b_zps ? 0 : k * (uint32_t)b_zp_of(w, args->b_zp);
    for (int64_t j = 0; args->b_zps && j < w->n; j++) {
        const int32_t zb = b_zp_of(w, args->b_zps[w->j + j]);
        w->s.col_zp[j] = zb, sum[j] = (int32_t)((uint32_t)sum[j] - k * (uint32_t)zb);
    }
    if (za || off || args->a_zps) {
        for (int64_t j = 0; j < w->n; j += WIDE)
            for (int l = 0; l < WIDE; l++) {
                const uint32_t s = (uint32_t)sum[j + l] - off;
                sum[j + l] = (int32_t)s, add[j + l] = (int32_t) - (za * s);
            }
    } else {
        memset(add, 0, (size_t)w->n * sizeof *add);
    }
    for (int64_t j = 0; args->col_bias && j < w->n; j++)
        add[j] = (int32_t)((uint32_t)add[j] + (uint32_t)args->col_bias[w->j + j]);
    const size_t floats = (size_t)w->n * sizeof(float);
    if (args->out == LMN_QGEMM_F32 && args->col_bias_f32)
        memcpy(w->s.col_bias, args->col_bias_f32 + w->j, floats);
    if (args->out == LMN_QGEMM_I32 || args->row_mul) return;
    if (args->col_mul)
        memcpy(w->s.col_mul, args->col_mul + w->j, floats);
    else
        fill(w->s.col_mul, args->mul, w->n);
}

/* Terms of rows i .. i + m - 1 of the chunk. */
static void row_terms(const work *w, int64_t i, int64_t m)
{
    const lmn_qgemm_args *args = w->args;
    const uint32_t zb = (uint32_t)b_zp_of(w, args->b_zp);
    const bool sums = !args->b_zps && zb;
    if (!args->row_bias && !sums) memset(w->s.row_add + i, 0, (size_t)m * 4);
    for (int64_t r = i; (args->row_bias || sums) && r < i + m; r++) {
        uint32_t add = args->row_bias ? (uint32_t)args->row_bias[w->i + r] : 0;
        if (sums) add -= zb * (uint32_t)w->s.row_sum[r];
        w->s.row_add[r] = (int32_t)add;
    }
    for (int64_t r = i; args->a_zps && r < i + m; r++)
        w->s.row_zp[r] = a_zp_of(w, args->a_zps[w->i + r]);
}

/* A's rows i .. i + m - 1, k long from k0 on, as the row takes them; *step is set. */
static const uint8_t *bring_a(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k,
                              int64_t *step)
{
    const lmn_qgemm_args *args = w->args;
    const uint8_t *src = w->s.raw;
    int64_t ld = raw_step(w->p);
    if (w->p->rows) {
        const lmn_qgemm_strip strip = {w->item, w->i + i, m, k0, k, w->s.raw, ld};
        args->rows(args->rows_ctx, &strip);
    } else {
        src = args->a + w->item * args->a_batch + (w->i + i) * args->lda + k0;
        ld = args->lda;
    }
    *step = w->pack_a ? a_step(w->p) : ld;
    if (!w->pack_a) return src;
    const lmn_qgemm_pack pack = {.dst = w->s.a,
                                 .step = a_step(w->p),
                                 .src = src,
                                 .ld = ld,
                                 .k = k,
                                 .n = m,
                                 .flip = w->a_flip,
                                 .sums = w->s.row_sum + i};
    w->p->row->pack_a(&pack);
    return w->s.a;
}

/* The block's end for rows i .. i + m - 1. */
static void set_end(const work *w, int64_t i, int64_t m, lmn_qgemm_end *end)
{
    const lmn_qgemm_args *args = w->args;
    const bool scaled = args->out != LMN_QGEMM_I32;
    row_terms(w, i, m);
    *end = w->end;
    end->row_add = w->s.row_add + i, end->col_add = w->s.col_add;
    if (args->b_zps) end->row_sum = w->s.row_sum + i, end->col_zp = w->s.col_zp;
    if (args->a_zps) end->row_zp = w->s.row_zp + i, end->col_sum = w->s.col_sum;
    if (scaled && args->row_mul) end->row_mul = args->row_mul + w->i + i;
    if (scaled && !args->row_mul) end->col_mul = w->s.col_mul;
    if (args->out == LMN_QGEMM_F32 && args->col_bias_f32) end->col_bias = w->s.col_bias;
    if (args->plus) end->plus = args->plus + (w->i + i) * args->ld_plus + w->j;
    end->c = (uint8_t *)w->end.c + i * args->ldc * (args->out == LMN_QGEMM_BYTES ? 1 : 4);
}

/* Rows i .. i + m - 1 over the packed columns, for k rows from k0 on. */
static void strip(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k)
{
    const lmn_qgemm_row *row = w->p->row;
    lmn_qgemm_block t = {.b = w->s.b, .b_panel = b_panel(w->p), .m = m, .n = w->n, .k = k};
    t.a_signed = w->a_signed, t.c_past = w->p->c_past && w->args->out == LMN_QGEMM_BYTES;
    if (w->p->packed) {
        t.b_panel = packed_panel(row, w->p->k);
        t.b = w->packed + w->j / row->nr * t.b_panel + k0 * row->nr * row->b_bytes;
        t.b_far = packed_panels(row, w->p->k, w->p->n) > FAR_BYTES;
    }
    t.a = bring_a(w, i, m, k0, k, &t.lda);
    /* whole groups: what lies behind rows that were brought meets weights of 0 */
    if (w->p->rows && !w->pack_a) t.k = lmn_round_up_i64(k, row->group);
    t.first = k0 == 0, t.last = k0 + k >= w->p->k;
    if (w->s.part) t.part = w->s.part + i * w->p->nc, t.ld_part = w->p->nc;
    if (t.last) set_end(w, i, m, &t.end);
    row->block(&t);
}

/* All rows of the chunk at once: sums first, then their end by a block without k. */
static void stream(const work *w)
{
    const lmn_qgemm_args *args = w->args;
    const lmn_qgemm_plan *p = w->p;
    const bool sums = args->a_zps || a_zp_of(w, args->a_zp);
    lmn_qgemm_stream s = {.ldb = args->ldb,
                          .m = w->m,
                          .n = w->n,
                          .k = p->k,
                          .flip = w->b_flip,
                          .part = w->s.part,
                          .ld_part = p->nc,
                          .room = w->s.room};
    s.a = bring_a(w, 0, w->m, 0, p->k, &s.a_step);
    s.b = args->b + w->item * args->b_batch + (p->trans_b ? w->j * args->ldb : w->j);
    s.col_sum = sums || !p->trans_b ? w->s.col_sum : NULL;
    (p->trans_b ? p->row->dot : p->row->stream)(&s);
    column_terms(w);
    lmn_qgemm_block t = {.m = w->m, .n = w->n, .part = w->s.part, .ld_part = p->nc, .last = true};
    t.a = w->s.a, t.b = w->s.a; /* not read */
    set_end(w, 0, w->m, &t.end);
    p->row->block(&t);
}

/* Must rows of A be copied? Where they lie in a form that the row does not take, or where their
   sums are wanted. */
static bool copies_a(const work *w)
{
    const lmn_qgemm_plan *p = w->p;
    if (w->a_flip || p->row->a_bytes != 1 || w->args->b_zps || b_zp_of(w, w->args->b_zp))
        return true;
    if (p->stream && !p->trans_b) return p->k % 4;                      /* whole fours are read */
    if (p->stream && p->m > 4 && w->args->lda % 4096 == 0) return true; /* rows share sets */
    return p->k % p->row->group && !p->row->any_k && !p->stream;
}

/* The columns of a chunk that is not streamed, k piece by piece. */
static void blocks(const work *w)
{
    const lmn_qgemm_plan *p = w->p;
    const int64_t mr = p->row->mr, most = w->pack_a || p->rows ? strip_rows(p) : w->m;
    int64_t step = lmn_ceil_div_i64(w->m, lmn_ceil_div_i64(w->m, most)); /* dealt evenly */
    if (most > mr || mr > WIDE) step = lmn_min_i64(most, lmn_round_up_i64(step, mr));
    int64_t k0 = 0;
    if (p->packed)
        memcpy(w->s.col_sum, w->packed + packed_panels(p->row, p->k, p->n) + w->j * 4,
               (size_t)w->n * 4);
    do {
        const int64_t k = lmn_min_i64(p->kc, p->k - k0);
        if (!p->packed) pack_b(w, k0, k);
        if (k0 + k >= p->k) column_terms(w);
        for (int64_t i = 0; i < w->m; i += step) strip(w, i, lmn_min_i64(step, w->m - i), k0, k);
        k0 += k;
    } while (k0 < p->k);
}

void lmn_qgemm_chunk(const lmn_qgemm_plan *p, const lmn_qgemm_args *args, int64_t chunk,
                     void *scratch)
{
    lmn_assert(chunk >= 0 && chunk < p->n_chunks);
    const int64_t per_item = p->m_blocks * p->n_blocks;
    work w = {.p = p, .args = args, .item = chunk / per_item};
    lmn_split_place(chunk % per_item, p->m_blocks, p->n_blocks, p->threads, &w.i, &w.j);
    w.i *= p->mc, w.j *= p->nc;
    w.m = lmn_min_i64(p->mc, p->m - w.i), w.n = lmn_min_i64(p->nc, p->n - w.j);
    if (w.m <= 0 || w.n <= 0) return; /* lmn_split_even rounds up: a last block may be empty */
    (void)lay_out(p, scratch, &w.s);
    w.b_flip = args->b_signed ? 0 : 0x80;
    /* packing sums rows as u8 */
    const bool sums = args->b_zps || b_zp_of(&w, args->b_zp);
    w.a_signed = args->a_signed && p->row->signs && !p->stream && !sums;
    w.a_flip = args->a_signed && !w.a_signed ? 0x80 : 0;
    w.pack_a = copies_a(&w);
    if (p->packed) w.packed = args->b + w.item * args->b_batch;
    w.end = (lmn_qgemm_end){.out = args->out,
                            .div = args->div,
                            .zp = args->zp,
                            .lo = args->lo,
                            .hi = args->hi,
                            .ld_plus = args->ld_plus,
                            .ldc = args->ldc};
    const int64_t at = w.item * args->c_batch + w.i * args->ldc + w.j;
    w.end.c = (uint8_t *)args->c + at * (args->out == LMN_QGEMM_BYTES ? 1 : 4);
    memset(w.s.row_sum, 0, (size_t)w.m * 4);
    memset(w.s.col_sum, 0, (size_t)p->nc * 4);
    if (p->stream)
        stream(&w);
    else
        blocks(&w);
}
