/*
 * How sums of the bf16 row for AMX leave: what is left to be done with them is done row by row from
 * a small buffer, behind the steps of the next block, before them or between them. For the file of
 * that row alone.
 */
#ifndef LMN_KERNELS_HGEMM_AMX_LEAVE_TMPL_H
#define LMN_KERNELS_HGEMM_AMX_LEAVE_TMPL_H

#include "kernels/hgemm/hgemm_pair_tmpl.h"
#include "kernels/simd/amx_tile.h"
#include "kernels/simd/simd_math.h"

#include <math.h>

/* From this k on the end of a whole tile is dealt to the steps of the next. */
enum { EASE_K = 64 };
/* And from here on the lines of C are fetched between the steps. */
enum { SOON_K = 512 };

/* Sums of a tile on their way out, in a buffer: what is left to do is done behind the steps of the
   next tile, which are then still at work, or, where those are many, between or before them. Of a
   whole block they are still in the tiles, each of which is stored when the next block begins it.
 */
typedef struct waiting {
    const lmn_hgemm_block *t;
    const float *sums;      /* HG_NR apart */
    int64_t i, j, m, n;     /* m == 0: nothing waits */
    int64_t next_i, next_m; /* rows of the lower tile, where they are another run */
    char *held;             /* where tiles 0 to 3 are to be stored; NULL = they are */
    int64_t held_step;      /* bytes */
} waiting;

/* Is C stored past the caches? Of a longer k its lines are fetched in time. */
static inline bool goes_past(const lmn_hgemm_block *t)
{
    const uintptr_t apart = (uintptr_t)t->c | (uintptr_t)t->ldc * sizeof(float);
    return t->c_past && t->k < SOON_K && !t->beta && !t->head && apart % 64 == 0;
}

/* Store what is held, before the tiles are configured anew or all of it is wanted. */
static void let_go(waiting *w)
{
    if (!w->held) return;
    char *low = w->held + AMX_ROWS * w->held_step;
    AMX_STORE(0, w->held, w->held_step);
    AMX_STORE(1, w->held + AMX_ROW_BYTES, w->held_step);
    AMX_STORE(2, low, w->held_step);
    AMX_STORE(3, low + AMX_ROW_BYTES, w->held_step);
    w->held = NULL;
}

/* Sixteen columns of a row: bias, what lmn_hgemm_head calls `act`, residual, clip; capped: is hi
   not +inf? Adding -0 changes nothing. */
VF_INLINE vf ended(vf v, vf col, const int act, vf add, vf lo, vf hi, const bool capped)
{
    v = vf_add(v, col);
    if (act == LMN_EPI_SILU) v = bf16_silu(v);
    if (act == LMN_EPI_GELU) v = vf_gelu(v);
    if (act == LMN_EPI_GELU_TANH) v = vf_gelu_tanh(v);
    v = vf_max(lo, vf_add(v, add));
    return capped ? vf_min(hi, v) : v;
}

/* What rows of 16 bits of a tile have in common. */
typedef struct short_rows {
    vf col0, col1, lo, hi;
    int64_t n; /* columns */
    bool capped;
    bool calm; /* without act and residual none of them makes a denormal */
} short_rows;

/* Products are no denormals, and so no denormal is made by adding 0 or what is not less than
   2^-100: where they cancel, both are multiples of 2^-124. */
VF_INLINE vm near_zero(vf v)
{
    const __m512i magnitude = _mm512_slli_epi32(_mm512_castps_si512(v), 1);
    const __m512i zero = _mm512_setzero_si512(), least = _mm512_set1_epi32(27 << 24);
    return _mm512_mask_cmplt_epu32_mask(_mm512_cmpneq_epu32_mask(magnitude, zero), magnitude,
                                        least);
}

VF_INLINE short_rows short_rows_of(const lmn_hgemm_head *h, int64_t j, int64_t n)
{
    const vf none = vf_set1(-0.0f);
    short_rows r = {.col0 = none, .col1 = none, .lo = vf_set1(h->lo), .hi = vf_set1(h->hi), .n = n};
    if (h->col) {
        r.col0 = vf_loadm(h->col + j, vm_first(n));
        r.col1 = vf_loadm(h->col + j + VF_LANES, vm_first(n - VF_LANES));
    }
    r.capped = !(h->hi == INFINITY);
    r.calm = !(near_zero(r.col0) | near_zero(r.col1) | near_zero(r.lo) | near_zero(r.hi));
    return r;
}

/* What stands at the call of short_row(), constants all: is there a residual, at `from`; are there
   32 columns; are denormals out of the question; is there a clip from above; an act. */
typedef struct short_kind {
    bool add, whole, calm, capped;
    int act;
} short_kind;

/* A row. The instruction that rounds makes denormals 0. */
VF_INLINE void short_row(const short_rows *r, const float *sums, const uint16_t *from,
                         uint16_t *out, const short_kind k)
{
    enum { DENORMAL = 0x20 };
    const vm in0 = k.whole ? 0xffff : vm_first(r->n),
             in1 = k.whole ? 0xffff : vm_first(r->n - VF_LANES);
    const bool right = k.whole || r->n > VF_LANES; /* else that half holds nothing */
    vf add0 = vf_set1(-0.0f), add1 = add0;
    if (k.add && k.whole) {
        add0 = bf16_widen(_mm256_loadu_si256((const __m256i *)(const void *)from));
        add1 = bf16_widen(_mm256_loadu_si256((const __m256i *)(const void *)(from + VF_LANES)));
    } else if (k.add) {
        const __m512i x = load32n(from, r->n);
        add0 = bf16_widen(_mm512_castsi512_si256(x));
        add1 = bf16_widen(_mm512_extracti64x4_epi64(x, 1));
    }
    const vf v0 = ended(vf_load(sums), r->col0, k.act, add0, r->lo, r->hi, k.capped);
    vf v1 = vf_zero();
    if (right) v1 = ended(vf_load(sums + VF_LANES), r->col1, k.act, add1, r->lo, r->hi, k.capped);
    if (k.calm || LMN_LIKELY(_kortestz_mask16_u8(_mm512_mask_fpclass_ps_mask(in0, v0, DENORMAL),
                                                 _mm512_mask_fpclass_ps_mask(in1, v1, DENORMAL)))) {
        if (k.whole)
            _mm512_storeu_si512(out, f32_join(v0, v1));
        else
            _mm512_mask_storeu_epi16(out, first32(r->n), f32_join(v0, v1));
    } else {
        bf16_store(out, v0, r->n), bf16_store(out + VF_LANES, v1, r->n - VF_LANES);
    }
}

/* m rows, `ld` apart but for the sums. */
VF_INLINE void short_rows_run(const short_rows *r, const float *sums, const uint16_t *from,
                              uint16_t *out, int64_t m, int64_t ld, const short_kind k)
{
    for (; !k.act && m >= 2; m -= 2, sums += 2 * HG_NR, out += 2 * ld) {
        short_row(r, sums, from, out, k);
        short_row(r, sums + HG_NR, k.add ? from + ld : NULL, out + ld, k);
        if (k.add) from += 2 * ld;
    }
    for (; m > 0; m--, sums += HG_NR, out += ld) {
        short_row(r, sums, from, out, k);
        if (k.add) from += ld;
    }
}

/* The same, by what is known of r where that is worth it. */
VF_INLINE void short_rows_any(const short_rows *r, const float *sums, const uint16_t *from,
                              uint16_t *out, int64_t m, int64_t ld, short_kind k)
{
    const bool calm = r->calm && !k.add;
    k.capped = true;
    if (k.act || !k.whole || (!k.add && !calm)) {
        short_rows_run(r, sums, from, out, m, ld, k);
    } else if (r->capped) {
        k.calm = !k.add;
        short_rows_run(r, sums, from, out, m, ld, k);
    } else {
        k.calm = !k.add, k.capped = false;
        short_rows_run(r, sums, from, out, m, ld, k);
    }
}

/* Rows of 16 bits. */
VF_INLINE void leave_short(const waiting *w, const bool add, const bool whole, const int act)
{
    const lmn_hgemm_head h = *w->t->head; /* a copy, which stores cannot change */
    const short_rows r = short_rows_of(&h, w->j, w->n);
    uint16_t *out = h.out + w->i * h.out_ld + w->j;
    const uint16_t *from = add ? h.add + w->i * h.out_ld + w->j : NULL;
    const short_kind kind = {.add = add, .whole = whole, .act = act};
    short_rows_any(&r, w->sums, from, out, w->m, h.out_ld, kind);
}

/* Rows of f32. */
static void leave_f32(const waiting *w)
{
    static const lmn_hgemm_head nothing = {.lo = -INFINITY, .hi = INFINITY};
    const lmn_hgemm_head h = w->t->head ? *w->t->head : nothing;
    const vf none = vf_set1(-0.0f), lo = vf_set1(h.lo), hi = vf_set1(h.hi);
    for (int64_t v = 0; v < w->n; v += VF_LANES) {
        const vm in = vm_first(w->n - v);
        const vf col = h.col ? vf_loadm(h.col + w->j + v, in) : none;
        const float *full = h.full ? h.full + w->i * h.full_ld + w->j + v : NULL;
        float *c = w->t->c + w->i * w->t->ldc + w->j + v;
        for (int64_t i = 0; i < w->m; i++, c += w->t->ldc) {
            vf x = vf_load(w->sums + i * HG_NR + v);
            if (h.row) x = vf_add(x, vf_set1(h.row[w->i + i]));
            vf_storem(
                c, in,
                ended(x, col, 0, full ? vf_loadm(full + i * h.full_ld, in) : none, lo, hi, true));
        }
    }
}

/* Whole lines of a C that is not wanted in the caches, of whole tiles. */
static void leave_past(const waiting *w)
{
    float *c = w->t->c + w->i * w->t->ldc + w->j;
    const float *sums = w->sums;
    for (int64_t i = 0; i < w->m; i++, c += w->t->ldc, sums += HG_NR) {
        vf_stream(c, vf_load(sums));
        vf_stream(c + VF_LANES, vf_load(sums + VF_LANES));
    }
}

static __attribute__((noinline)) void leave(const waiting *w)
{
    const lmn_hgemm_head *h = w->t->head;
    if (goes_past(w->t) && w->n == HG_NR)
        leave_past(w);
    else if (!h || !h->out)
        leave_f32(w);
    else if (h->act == LMN_EPI_SILU && h->add)
        leave_short(w, true, false, LMN_EPI_SILU);
    else if (h->act == LMN_EPI_SILU)
        leave_short(w, false, false, LMN_EPI_SILU);
    else if (h->act == LMN_EPI_GELU)
        leave_short(w, h->add, false, LMN_EPI_GELU);
    else if (h->act)
        leave_short(w, h->add, false, LMN_EPI_GELU_TANH);
    else if (h->add && w->n == HG_NR)
        leave_short(w, true, true, 0);
    else if (h->add)
        leave_short(w, true, false, 0);
    else if (w->n == HG_NR)
        leave_short(w, false, true, 0);
    else
        leave_short(w, false, false, 0);
}

static void leave_last(waiting *w)
{
    if (w->m) leave(w);
    if (w->next_m) {
        w->sums += AMX_ROWS * HG_NR, w->i = w->next_i, w->m = w->next_m;
        leave(w);
    }
    w->m = w->next_m = 0;
}

/* How the end of a whole tile of 16 bits is dealt to the steps of the next tile. */
typedef enum easing_kind {
    NOT_EASED,
    EASED,
    EASED_ADD,
    EASED_SILU,
    EASED_GELU,
    EASED_GELU_TANH
} easing_kind;

static easing_kind easing_of(const waiting *w, int64_t k)
{
    if (!w->m || k < EASE_K || w->n != HG_NR) return NOT_EASED;
    const lmn_hgemm_head *h = w->t->head;
    if (!h || !h->out || (h->act && h->add)) return NOT_EASED;
    switch (h->act) {
    case LMN_EPI_SILU: return EASED_SILU;
    case LMN_EPI_GELU: return EASED_GELU;
    case LMN_EPI_GELU_TANH: return EASED_GELU_TANH;
    default: return h->add ? EASED_ADD : EASED;
    }
}

/* Rows on their way: `left` of them, `then` of the lower tile where that is another run. */
typedef struct easing {
    short_rows r;
    const float *sums, *low;
    uint16_t *out, *out_low;
    const uint16_t *from, *from_low; /* with EASED_ADD */
    int64_t ld, left, then;
} easing;

VF_INLINE easing ease_begin(waiting *w, const bool add)
{
    const lmn_hgemm_head *h = w->t->head;
    const int64_t at = w->i * h->out_ld + w->j, low = w->next_i * h->out_ld + w->j;
    const easing e = {.r = short_rows_of(h, w->j, HG_NR),
                      .sums = w->sums,
                      .low = w->sums + AMX_ROWS * HG_NR,
                      .out = h->out + at,
                      .out_low = h->out + low,
                      .from = add ? h->add + at : NULL,
                      .from_low = add ? h->add + low : NULL,
                      .ld = h->out_ld,
                      .left = w->m,
                      .then = w->next_m};
    w->m = w->next_m = 0;
    return e;
}

/* At most `rows` more. */
VF_INLINE void ease(easing *e, int64_t rows, const bool add, const int act)
{
    const short_kind kind = {.add = add, .whole = true, .act = act};
    while (rows > 0) {
        if (!e->left) {
            if (!e->then) return;
            e->sums = e->low, e->out = e->out_low, e->from = e->from_low;
            e->left = e->then, e->then = 0;
        }
        const int64_t m = lmn_min_i64(rows, e->left);
        short_rows_any(&e->r, e->sums, e->from, e->out, m, e->ld, kind);
        rows -= m, e->left -= m, e->sums += m * HG_NR, e->out += m * e->ld;
        if (add) e->from += m * e->ld;
    }
}

#endif
