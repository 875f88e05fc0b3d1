/*
 * Chunks of a product. A packed block of B stays in L2 while all rows of the chunk pass over it, a
 * strip at a time, packed themselves where they lie in another form than the row takes. Long k is
 * cut; sums between the pieces wait in C, or in scratch where C is of 16 bits.
 */
#include "kernels/hgemm/hgemm_parts.h"

#include <math.h>
#include <string.h>

enum {
    ALONE_M = 4,          /* rows whose panels hardware fetches faster than they do */
    FAR_B_ELEMS = 4 << 20 /* of a plain B that comes from memory */
};

/* One chunk: rows i .. i + m - 1, columns j .. j + n - 1 of an item. */
typedef struct work {
    const lmn_hgemm_plan *p;
    const lmn_hgemm_args *args;
    parts s;
    int64_t item, i, j, m, n;
} work;

/* a is [k][lda]: m of its columns become rows, k long. */
#define TURN(type)                                                                               \
    static void turn_##type(type *dst, const type *a, int64_t lda, int64_t m, int64_t k)         \
    {                                                                                            \
        for (int64_t q = 0; q < k; q++)                                                          \
            for (int64_t i = 0; i < m; i++) memcpy(dst + i * k + q, a + q * lda + i, sizeof *a); \
    }
TURN(uint16_t)
TURN(float)

/* Rows of 16 bits that the caller brings together, padded to whole groups. */
static const void *bring_rows(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k,
                              int64_t *ld)
{
    const lmn_hgemm_row *row = w->p->row;
    const int64_t padded = lmn_round_up_i64(k, row->group);
    const bool wide = row->elem == 4;
    lmn_hgemm_strip s = {.item = w->item, .i = i, .m = m, .k0 = k0, .k = k};
    *ld = a_step(w->p);
    s.dst = (uint16_t *)(void *)(wide ? w->s.turned : w->s.a), s.ld_dst = wide ? k : *ld;
    w->args->rows(w->args->rows_ctx, &s);
    for (int64_t r = 0; !wide && k < padded && r < m; r++) /* a_step leaves room for a word */
        memset(s.dst + r * *ld + k, 0, MOST_GROUP * 2);
    if (wide) row->rows(&(lmn_hgemm_rows){w->s.a, *ld, s.dst, k, m, k, padded});
    return w->s.a;
}

/* Rows i .. of A from k0 on in the form the row takes; *ld is set. */
static const void *bring_a(const work *w, int64_t i, int64_t m, int64_t k0, int64_t k, int64_t *ld)
{
    const lmn_hgemm_plan *p = w->p;
    const lmn_hgemm_args *args = w->args;
    const bool f32 = is(p, LMN_HGEMM_A_F32), turned = is(p, LMN_HGEMM_TRANS_A);
    const int64_t at = w->item * args->a_batch + (turned ? k0 * args->lda + i : i * args->lda + k0);
    const uint16_t *half = (const uint16_t *)args->a + (f32 ? 0 : at);
    const float *full = (const float *)args->a + (f32 ? at : 0);
    if (a_in_place(p)) {
        *ld = args->lda;
        return half;
    }
    if (is(p, LMN_HGEMM_ROWS)) return bring_rows(w, i, m, k0, k, ld);
    lmn_hgemm_rows r = {.dst = w->s.a, .ld = args->lda, .m = m, .k = k};
    r.src = f32 ? (const void *)full : half;
    if (turned && f32) turn_float((float *)(void *)w->s.turned, full, args->lda, m, k);
    if (turned && !f32) turn_uint16_t((uint16_t *)(void *)w->s.turned, half, args->lda, m, k);
    if (turned) r.src = w->s.turned, r.ld = k;
    r.ld_dst = *ld = a_step(p);
    r.padded = lmn_round_up_i64(k, lmn_max_i64(p->small ? 2 : 1, p->row->group));
    (f32 ? p->row->rows_f32 : p->row->rows)(&r);
    return w->s.a;
}

/* The panels' rows behind k up to a whole group, of n columns. */
static void pad_panels(const lmn_hgemm_row *row, uint8_t *b, int64_t panel, int64_t k, int64_t n)
{
    if (row->elem != 2) return;
    const int64_t nr = row->nr, from = lmn_round_up_i64(k, 2) * nr * 2;
    const int64_t to = lmn_round_up_i64(k, row->group) * nr * 2;
    for (int64_t j = 0; from < to && j < n; j += nr)
        memset(b + j / nr * panel * 2 + from, 0, (size_t)(to - from));
}

/* From B as it is given; the pack says where to. */
static void pack_panels(const lmn_hgemm_row *row, int32_t flags, const lmn_hgemm_pack *b)
{
    const bool nt = flags & LMN_HGEMM_TRANS_B;
    if (flags & LMN_HGEMM_B_F32)
        (nt ? row->pack_nt_f32 : row->pack_nn_f32)(b);
    else
        (nt ? row->pack_nt : row->pack_nn)(b);
    pad_panels(row, b->dst, b->panel, b->k, b->n);
}

void lmn_hgemm_prepack(const lmn_hgemm_row *row, int32_t flags, const void *b, int64_t ldb,
                       int64_t k, int64_t n, void *packed)
{
    const lmn_hgemm_pack p = {packed, lmn_hgemm_panel_elems(row, k), b, ldb, k, n};
    pack_panels(row, flags, &p);
}

static void bring_b(const work *w, int64_t k0, int64_t k)
{
    const lmn_hgemm_plan *p = w->p;
    const lmn_hgemm_row *row = p->row;
    const lmn_hgemm_args *args = w->args;
    const bool f32 = is(p, LMN_HGEMM_B_F32), nt = is(p, LMN_HGEMM_TRANS_B);
    lmn_hgemm_pack b = {.dst = w->s.b, .panel = panel_elems(p), .ld = args->ldb, .k = k, .n = w->n};
    if (!is(p, LMN_HGEMM_BRING)) {
        const int64_t at =
            w->item * args->b_batch + (nt ? w->j * args->ldb + k0 : k0 * args->ldb + w->j);
        if (f32)
            b.src = (const float *)args->b + at;
        else
            b.src = (const uint16_t *)args->b + at;
        pack_panels(row, p->flags, &b);
        return;
    }
    for (int64_t done = 0; done < k; done += p->slab) {
        lmn_hgemm_slab slab = {w->item, k0 + done, lmn_min_i64(p->slab, k - done), w->j, w->n,
                               row->nr, w->s.slab};
        args->bring(args->bring_ctx, &slab);
        for (int64_t j = 0; j < w->n; j += row->nr) {
            lmn_hgemm_pack one = {.panel = 0, .ld = row->nr, .k = slab.k};
            one.dst = w->s.b + (j / row->nr * b.panel + done * row->nr) * row->elem;
            one.src = w->s.slab + j * slab.k, one.n = lmn_min_i64(row->nr, w->n - j);
            row->pack_nn_f32(&one);
        }
    }
    pad_panels(row, w->s.b, b.panel, k, w->n);
}

/* The columns behind the chunk's, gathered as rows of f32: panels one column wide are rows. */
static void bring_thin(const work *w)
{
    const lmn_hgemm_plan *p = w->p;
    const lmn_hgemm_args *args = w->args;
    const int64_t col = w->j + w->n;
    const lmn_hgemm_slab slab = {w->item, 0, p->k, col, p->thin, 1, w->s.thin};
    if (is(p, LMN_HGEMM_BRING))
        args->bring(args->bring_ctx, &slab);
    else
        turn_float(w->s.thin, (const float *)args->b + w->item * args->b_batch + col, args->ldb,
                   p->thin, p->k);
}

/* The thin columns of the chunk's rows: dot products of rows, spread over C. */
static void run_thin(const work *w)
{
    const lmn_hgemm_plan *p = w->p;
    const lmn_hgemm_args *args = w->args;
    bring_thin(w);
    const lmn_hgemm_rows r = {.dst = w->s.thin_a,
                              .ld_dst = p->k,
                              .src = w->s.thin,
                              .ld = p->k,
                              .m = p->thin,
                              .k = p->k,
                              .padded = p->k};
    p->row->rows_f32(&r);
    const lmn_hgemm_small t = {.a = w->s.thin_a,
                               .lda = p->k,
                               .b = (const uint16_t *)args->a + w->item * args->a_batch +
                                    w->i * args->lda,
                               .ldb = args->lda,
                               .c = w->s.thin_c,
                               .ldc = w->m,
                               .m = p->thin,
                               .n = w->m,
                               .k = p->k};
    p->row->small_nt(&t);
    const int64_t at = w->item * args->c_batch + w->i * args->ldc + w->j + w->n;
    const int64_t ld = c_apart(p) ? p->thin : args->ldc;
    float *c = c_apart(p) ? w->s.thin_c + p->thin * p->mc : (float *)args->c + at;
    for (int64_t j = 0; j < p->thin; j++)
        for (int64_t i = 0; i < w->m; i++) c[i * ld + j] = w->s.thin_c[j * w->m + i];
    const lmn_epi_block e = {c,    ld,      args->row0 + w->i,    w->j + w->n,
                             w->m, p->thin, args->item0 + w->item};
    if (args->epi && args->epi->n_ops) p->row->epi(args->epi, &e);
    if (c_apart(p)) p->row->narrow((uint16_t *)args->c + at, args->ldc, c, ld, w->m, p->thin);
}

/* Rows i .. of the chunk and where they lie in the whole. */
static lmn_epi_block place_of(const work *w, float *sums, int64_t ld, int64_t i, int64_t m)
{
    const lmn_hgemm_args *args = w->args;
    return (lmn_epi_block){sums, ld, args->row0 + i, w->j, m, w->n, args->item0 + w->item};
}

/* What is left to do of an ending: epi, a residual, a clip; NULL = nothing. */
typedef struct ending {
    const lmn_epi *epi, *clip;
    const float *add;
} ending;

/* Sums of rows i .. are complete, `ld` apart: the ending, and rounding where C is of 16 bits. */
static void finish(const work *w, const ending *e, float *sums, int64_t ld, int64_t i, int64_t m)
{
    const lmn_hgemm_args *args = w->args;
    const lmn_epi_block at = place_of(w, sums, ld, i, m);
    if (e->epi && e->epi->n_ops) w->p->row->epi(e->epi, &at);
    if (!c_apart(w->p)) return;
    const lmn_epi_block own = {.c = sums, .ldc = ld, .m = m, .n = w->n};
    if (e->add) {
        const lmn_epi_op op = {
            .kind = LMN_EPI_ADD, .bcast = LMN_EPI_FULL, .x = e->add, .ld = w->p->nc};
        w->p->row->epi(&(lmn_epi){.n_ops = 1, .op = {op}}, &own);
    }
    if (e->clip) w->p->row->epi(e->clip, &own);
    uint16_t *c = (uint16_t *)args->c + w->item * args->c_batch + i * args->ldc + w->j;
    w->p->row->narrow(c, args->ldc, sums, ld, m, w->n);
}

/* Rows i .. of the residual as f32. */
static const float *bring_add(const work *w, int64_t i, int64_t m)
{
    const lmn_hgemm_args *args = w->args;
    if (!is(w->p, LMN_HGEMM_ADD)) return NULL;
    const int64_t at = w->item * args->c_batch + i * args->ldc + w->j;
    w->p->row->widen(
        &(lmn_hgemm_rows){w->s.add, w->p->nc, args->add + at, args->ldc, m, w->n, w->n});
    return w->s.add;
}

/* Where sums of rows i .. of the item stand. */
static float *sums_at(const work *w, int64_t i, int64_t *ld)
{
    const lmn_hgemm_plan *p = w->p;
    if (c_apart(p)) {
        *ld = p->nc;
        return w->s.c + (p->kc < p->k ? (i - w->i) * p->nc : 0);
    }
    *ld = w->args->ldc;
    return (float *)w->args->c + w->item * w->args->c_batch + i * w->args->ldc + w->j;
}

static void run_small(const work *w)
{
    const lmn_hgemm_plan *p = w->p;
    const lmn_hgemm_args *args = w->args;
    const bool nt = is(p, LMN_HGEMM_TRANS_B);
    lmn_hgemm_small t = {.ldb = args->ldb, .m = w->m, .n = w->n, .k = p->k};
    t.a = bring_a(w, w->i, w->m, 0, p->k, &t.lda);
    t.b = (const uint16_t *)args->b + w->item * args->b_batch + (nt ? w->j * args->ldb : w->j);
    t.c = sums_at(w, w->i, &t.ldc), t.room = w->s.room;
    t.b_far = p->k * p->n >= FAR_B_ELEMS;
    (nt ? p->row->small_nt : p->row->small_nn)(&t);
    finish(w, &(ending){args->epi, args->clip, NULL}, t.c, t.ldc, w->i, w->m);
}

/* What a tile applies in registers, taken off the front of the ending, whose epi is replaced by
   `rest`. Operands are those of the block at `at`. */
static bool take_head(ending *e, lmn_epi *rest, const lmn_epi_block *at, int64_t ld_add,
                      lmn_hgemm_head *h)
{
    const int32_t n_ops = e->epi ? e->epi->n_ops : 0;
    const lmn_epi_op *first = e->epi ? e->epi->op : rest->op, *op = first, *end = first + n_ops;
    *h = (lmn_hgemm_head){.lo = -INFINITY, .hi = INFINITY};
    if (op < end && op->kind == LMN_EPI_ADD && op->bcast == LMN_EPI_ROW)
        h->row = lmn_epi_operand(op++, at);
    else if (op < end && op->kind == LMN_EPI_ADD && op->bcast == LMN_EPI_COL)
        h->col = lmn_epi_operand(op++, at);
    if (op < end && op->kind == LMN_EPI_ADD && op->bcast == LMN_EPI_FULL)
        h->full_ld = op->ld, h->full = lmn_epi_operand(op++, at);
    if (op == end && e->add && !h->full) h->full_ld = ld_add, h->full = e->add, e->add = NULL;
    if (op == end && e->clip && !e->add) op = e->clip->op, end = op + 1, e->clip = NULL;
    if (op < end && op->kind == LMN_EPI_RELU)
        h->lo = 0.0f, op++;
    else if (op < end && op->kind == LMN_EPI_CLIP)
        h->lo = op->p0, h->hi = (op++)->p1;
    const bool any = op != first;
    for (rest->n_ops = 0; op < end; op++) rest->op[rest->n_ops++] = *op;
    e->epi = rest;
    return any || h->full;
}

/* What a head applies behind the bias, of what is left of an ending; 0 = nothing. */
static int32_t act_of(const lmn_hgemm_row *row, const lmn_epi *rest)
{
    const int32_t kind = rest->n_ops == 1 ? rest->op[0].kind : 0;
    const bool gelu = kind == LMN_EPI_GELU || kind == LMN_EPI_GELU_TANH;
    return kind == LMN_EPI_SILU || (gelu && row->gelus) ? kind : 0;
}

/* Is the whole ending, up to the rounding, what a head with `out` has? Then *h is that. */
static bool leaves_whole(const work *w, const ending *e, int64_t i, const lmn_epi_block *at,
                         lmn_hgemm_head *h)
{
    const lmn_hgemm_args *args = w->args;
    const int64_t from = w->item * args->c_batch + i * args->ldc + w->j;
    ending all = *e;
    lmn_epi rest = {0};
    if (!c_apart(w->p)) return false;
    (void)take_head(&all, &rest, at, 0, h);
    const int32_t act = act_of(w->p->row, &rest);
    if (act && (h->lo > -INFINITY || h->hi < INFINITY)) return false; /* a head bounds behind it */
    if (act && all.clip) /* which take_head leaves to what comes behind its part */
        h->lo = all.clip->op[0].kind == LMN_EPI_RELU ? 0.0f : all.clip->op[0].p0,
        h->hi = all.clip->op[0].kind == LMN_EPI_RELU ? INFINITY : all.clip->op[0].p1;
    else if (rest.n_ops > (act != 0) || all.clip)
        return false;
    if (h->row || h->full) return false;
    const bool clipped = h->lo > -INFINITY || h->hi < INFINITY;
    h->act = act;
    if (args->add && clipped && !e->clip) return false; /* epi's comes before the residual */
    h->out = (uint16_t *)args->c + from, h->out_ld = args->ldc;
    if (args->add) h->add = args->add + from;
    return true;
}

/* The last product of the chunk's rows i .., and its ending. */
static void run_last(const work *w, lmn_hgemm_block *t, int64_t i)
{
    const lmn_hgemm_row *row = w->p->row;
    ending e = {w->args->epi, c_apart(w->p) ? w->args->clip : NULL, NULL};
    const lmn_epi_block at = place_of(w, t->c, t->ldc, i, t->m);
    lmn_epi rest = {0};
    lmn_hgemm_head head;
    if (row->heads && leaves_whole(w, &e, i, &at, &head)) {
        t->head = &head;
        row->block(t);
        return;
    }
    e.add = bring_add(w, i, t->m);
    if (row->heads && take_head(&e, &rest, &at, w->p->nc, &head)) t->head = &head;
    row->block(t);
    finish(w, &e, t->c, t->ldc, i, t->m);
}

/* A step of the chunk: its rows i .., of k0 .. k0 + k - 1, and its columns j .. . */
typedef struct step {
    int64_t i, m, k0, k, j, n;
} step;

/* The panels that the step after this one, or the next chunk, meets first. */
static void want_next(const work *w, const step *s, lmn_hgemm_block *t)
{
    const lmn_hgemm_plan *p = w->p;
    int64_t col = w->j + s->j + s->n, k0 = s->k0;
    const bool wraps = s->j + s->n >= w->n;
    t->n_next = 0;
    if (!is(p, LMN_HGEMM_PACKED) || (p->m <= ALONE_M && p->row->group == 2)) return;
    if (wraps) {
        /* The last whole strip of rows: the panels are met again by those below. */
        const int64_t below = w->i + w->m - s->i - s->m;
        if (below >= s->m || (below == 0 && s->i > w->i && s->m < strip_rows(p))) return;
        k0 += s->k, col = w->j;
        if (k0 >= p->k) k0 = 0, col = w->j + w->n;
        if (k0 == 0 && w->i + w->m < p->m) return;
    } else if (s->i > w->i) {
        return;
    }
    const int64_t panel = lmn_hgemm_panel_elems(p->row, p->k), nr = p->row->nr;
    const int64_t at = w->item * w->args->b_batch + col / nr * panel + k0 * nr;
    t->n_next = lmn_min_i64(s->n, p->n - col);
    t->b_next = (const char *)w->args->b + at * p->row->elem;
}

/* Rows i .. of the chunk by the packed columns of w, sums of k0 .. k0 + k - 1. */
static void run_strip(const work *w, int64_t i, int64_t k0, int64_t k, lmn_hgemm_block *t)
{
    const lmn_hgemm_plan *p = w->p;
    const bool packed = is(p, LMN_HGEMM_PACKED);
    const int64_t panel = packed ? lmn_hgemm_panel_elems(p->row, p->k) : panel_elems(p);
    const int64_t at = w->item * w->args->b_batch + w->j / p->row->nr * panel;
    t->b = packed ? (const char *)w->args->b + (at + k0 * p->row->nr) * p->row->elem
                  : (const char *)w->s.b;
    t->b_panel = panel, t->n = w->n, t->beta = k0 > 0;
    t->k = takes_short(p) && a_in_place(p) ? k : lmn_round_up_i64(k, p->row->group);
    t->odd = a_in_place(p) && t->k > k;
    t->c = sums_at(w, i, &t->ldc);
    t->c_past = p->c_past && !w->args->epi;
    t->b_far = b_far(p), t->side = is_line(p);
    t->c_far = !c_apart(p) && p->m * p->n * 4 >= FAR_BYTES;
    if (k0 + k >= p->k)
        run_last(w, t, i);
    else
        p->row->block(t);
}

static void run_packed(const work *w)
{
    const lmn_hgemm_plan *p = w->p;
    const int64_t strip = a_in_place(p) && !c_apart(p) && !by_rows(p) ? w->m : strip_rows(p);
    /* Rows brought together meet all columns of the chunk, a few that stay in L2 at a time. */
    const int64_t n_step = is(p, LMN_HGEMM_ROWS) && !by_panels(p) ? NC : w->n;
    int64_t k0 = 0;
    do {
        const int64_t k = lmn_min_i64(p->kc, p->k - k0);
        if (!is(p, LMN_HGEMM_PACKED)) bring_b(w, k0, k);
        for (int64_t i = w->i; i < w->i + w->m; i += strip) {
            lmn_hgemm_block t = {.m = lmn_min_i64(strip, w->i + w->m - i)};
            t.a = bring_a(w, i, t.m, k0, k, &t.lda);
            if (a_far(p) && i + 2 * strip <= w->i + w->m)
                t.a_next = (const uint16_t *)t.a + strip * t.lda;
            for (int64_t j = 0; j < w->n; j += n_step) {
                const step s = {i, t.m, k0, k, j, lmn_min_i64(n_step, w->n - j)};
                work some = *w;
                some.j = w->j + j, some.n = s.n;
                if (w->s.c) some.s.c = w->s.c + j;
                t.head = NULL;
                want_next(w, &s, &t);
                run_strip(&some, i, k0, k, &t);
            }
        }
        k0 += k;
    } while (k0 < p->k);
}

void lmn_hgemm_chunk(const lmn_hgemm_plan *p, const lmn_hgemm_args *args, int64_t chunk,
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
    if (p->small)
        run_small(&w);
    else
        run_packed(&w);
    if (p->thin && w.j + w.n == p->n) run_thin(&w);
}
