/*
 * Packed weights: op(B) as panels of the kernel's width, each k long, one behind the other, so that
 * any block of rows and columns of B is where the block kernel wants it. The order of sums is that
 * of the kernel's chain over k.
 */
#include "gemmapi/gemmapi_int.h"

#include "kernels/split.h"

/* As the blocks of gemm_plan.c: B's stays in L2 while rows pass; few rows pass B but once. */
enum { KC = 384, NC = 192, MC = 512, MC_LEAST = 128, FEW_ROWS = 32, STREAM_ELEMS = 65536 };
static const int64_t worth_halving = 4 << 20; /* multiply-adds of a chunk */
static const int64_t past_elems = 8 << 20; /* a C this large has left the caches when it is read */
enum { WANT_CHUNKS = 8 };

/* Fewer columns than a panel has: a plain B without gaps, for the plan of plain ones. */
static void pack_narrow(float *to, const float *b, int64_t ldb, const lamina_gemm_packed *w,
                        bool trans)
{
    for (int64_t k = 0; k < w->k; k++)
        for (int64_t j = 0; j < w->n; j++)
            to[k * w->n + j] = trans ? b[j * ldb + k] : b[k * ldb + j];
}

lamina_status lmn_gemmapi_packed_create(lamina_gemm *g, lamina_dtype dtype, int64_t n, int64_t k,
                                        size_t bytes, lamina_gemm_packed **out)
{
    lamina_gemm_packed *w = lmn_calloc(&g->alloc, 1, sizeof *w, "packed weights");
    if (!w) return LAMINA_E_NOMEM;
    *w = (lamina_gemm_packed){.g = g, .n = n, .k = k, .dtype = dtype, .bytes = bytes};
    w->panels = lmn_alloc(&g->alloc, bytes, LMN_TENSOR_ALIGN, "packed weights");
    if (bytes && !w->panels) {
        lamina_gemm_packed_destroy(w);
        return LAMINA_E_NOMEM;
    }
    *out = w;
    return LAMINA_OK;
}

lamina_status lamina_gemm_pack(lamina_gemm *g, const lamina_gemm_shape *shape, const void *b,
                               int64_t ldb, lamina_gemm_packed **out)
{
    LMN_CHECK(g && shape && out, LAMINA_E_INVALID);
    LMN_TRY(lmn_gemmapi_shape_check(shape));
    LMN_CHECK(shape->n_batch == 1, LAMINA_E_INVALID);
    const int64_t n = shape->n, k = shape->k;
    const bool trans = shape->flags & LAMINA_GEMM_TRANS_B;
    const matrix x = {b, trans ? n : k, trans ? k : n, ldb, 0, sizeof(float)};
    LMN_TRY(lmn_gemmapi_matrix_check(&x, 1));
    LMN_CHECK(shape->dtype == LAMINA_F32, LAMINA_E_UNSUPPORTED);
    const lmn_gemm_row *row = g->kset.gemm_f32;
    size_t elems, bytes;
    const bool narrow = n < row->nr;
    LMN_CHECK(
        lmn_mul_size((size_t)(narrow ? n : lmn_round_up_i64(n, row->nr)), (size_t)k, &elems) &&
            lmn_mul_size(elems, sizeof(float), &bytes),
        LAMINA_E_NOMEM);
    lamina_gemm_packed *w;
    LMN_TRY(lmn_gemmapi_packed_create(g, LAMINA_F32, n, k, bytes, &w));
    w->narrow = narrow;
    if (narrow)
        pack_narrow(w->panels, b, ldb, w, trans);
    else if (bytes)
        (trans ? row->pack_nt : row->pack_nn)(w->panels, b, ldb, k, n);
    *out = w;
    return LAMINA_OK;
}

void lamina_gemm_packed_destroy(lamina_gemm_packed *w)
{
    if (!w) return;
    const lamina_allocator a = w->g->alloc;
    lmn_free(&a, w->panels, w->bytes, LMN_TENSOR_ALIGN, "packed weights");
    lmn_cfree(&a, w, 1, sizeof *w, "packed weights");
}

void lmn_gemmapi_packed_plan(const lamina_gemm_packed *w, const lamina_gemm_shape *s,
                             packed_plan *out)
{
    const lmn_gemm_row *row = w->g->kset.gemm_f32;
    const int64_t nr = row->nr, mr = row->mr;
    packed_plan p = {.w = w, .m = s->m, .kc = s->k};
    p.c_past = s->k <= KC && s->m * s->n > past_elems;
    p.mc = lmn_split_even(s->m, MC, mr);
    if (s->m <= FEW_ROWS) {
        p.nc = lmn_round_up_i64(lmn_max_i64(1, STREAM_ELEMS / lmn_max_i64(1, s->k)), nr);
    } else {
        p.kc = lmn_split_even(s->k, KC, 16);
        p.nc = lmn_split_even(s->n, NC, nr);
    }
    for (;;) {
        p.m_blocks = lmn_ceil_div_i64(s->m, p.mc), p.n_blocks = lmn_ceil_div_i64(s->n, p.nc);
        const bool enough = p.m_blocks * p.n_blocks * s->n_batch >= WANT_CHUNKS;
        if (enough || p.mc < 2 * MC_LEAST || p.mc * p.nc * s->k < worth_halving) break;
        p.mc = lmn_split_even(s->m, p.mc / 2, mr);
    }
    p.n_chunks = p.m_blocks * p.n_blocks * s->n_batch;
    *out = p;
}

void lmn_gemmapi_packed_chunk(const packed_plan *p, const lmn_gemm_args *args, int64_t chunk)
{
    const lamina_gemm_packed *w = p->w;
    const lmn_gemm_row *row = w->g->kset.gemm_f32;
    const int64_t per_item = p->m_blocks * p->n_blocks, item = chunk / per_item;
    const int64_t i = chunk % per_item % p->m_blocks * p->mc;
    const int64_t j = chunk % per_item / p->m_blocks * p->nc;
    lmn_gemm_block t = {.lda = args->lda, .ldb = row->nr, .ldc = args->ldc, .item = item};
    t.m = lmn_min_i64(p->mc, p->m - i), t.n = lmn_min_i64(p->nc, w->n - j);
    if (t.m <= 0 || t.n <= 0) return;
    t.b_panel = row->nr * w->k;
    t.row = i, t.col = j;
    t.c = args->c + item * args->c_batch + i * args->ldc + j;
    int64_t k0 = 0;
    do {
        t.k = lmn_min_i64(p->kc, w->k - k0);
        t.a = args->a + item * args->a_batch + i * args->lda + k0;
        t.b = (const float *)w->panels + j * w->k + k0 * row->nr;
        t.beta = k0 > 0 || args->beta;
        t.epi = k0 + t.k >= w->k ? args->epi : NULL;
        t.c_past = p->c_past && !t.beta;
        row->block(&t);
        k0 += t.k;
    } while (k0 < w->k);
}
