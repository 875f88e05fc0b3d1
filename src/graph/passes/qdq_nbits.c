/*
 * MatMul of floats with constant weights of 4 or 2 bits: they stay packed and are widened inside
 * the product (MatMulNBits of com.microsoft), by blocks along the inner extent, a scale a column or
 * one for all. The weights are the same f32 numbers; sums may be added up in another order.
 */
#include "graph/passes/qdq.h"

#include <string.h>

typedef struct packing {
    const lmn_qside *s;
    const lamina_tensor *w; /* [k, n] */
    int64_t k, n, block, n_blocks, zp_bytes;
    int32_t bits;
    int64_t offset; /* to unsigned */
} packing;

static bool plan_packing(const lmn_match *m, const lmn_qside *s, packing *p)
{
    static const lmn_dset types =
        LMN_DBIT(LAMINA_I4) | LMN_DBIT(LAMINA_U4) | LMN_DBIT(LAMINA_I2) | LMN_DBIT(LAMINA_U2);
    const lamina_tensor *w = lmn_match_const(m, s->data);
    if (!w || !(types & LMN_DBIT(w->dtype)) || w->rank != 2 || lmn_count(w) == 0) return false;
    static const int64_t most = (int64_t)1 << 30; /* of what kernels count in 32 bits */
    if (w->dims[0] > most || w->dims[1] > most || s->block > most) return false;
    *p = (packing){.s = s, .w = w, .k = w->dims[0], .n = w->dims[1]};
    p->bits = (int32_t)lamina_dtype_bits(w->dtype);
    p->offset = lmn_dtype_class(w->dtype) == LMN_CLASS_SINT ? (int64_t)1 << (p->bits - 1) : 0;
    if (s->block > 0) {
        p->block = s->block;
        if (s->axis != 0 || s->block < 16 || (s->block & (s->block - 1))) return false;
    } else {
        if (s->axis == 0) return false;
        for (p->block = 16; p->block < p->k;) p->block *= 2;
    }
    p->n_blocks = (p->k + p->block - 1) / p->block;
    p->zp_bytes = (p->n_blocks * p->bits + 7) / 8;
    return s->block == 0 ||
           (s->scale->rank == 2 && s->scale->dims[0] == p->n_blocks && s->scale->dims[1] == p->n);
}

/* Where the scale of a block of a column lies. */
static int64_t side_at(const packing *p, int64_t block, int64_t col)
{
    if (p->s->block > 0) return block * p->n + col;
    return p->s->axis < 0 ? 0 : col;
}

static void put(uint8_t *row, int64_t i, int32_t bits, int64_t v)
{
    row[i * bits / 8] |= (uint8_t)(v << (i * bits % 8));
}

static void fill_weights(const packing *p, uint8_t *out)
{
    const int64_t row_bytes = p->n_blocks * p->block * p->bits / 8;
    for (int64_t k = 0; k < p->k; k++)
        for (int64_t n = 0; n < p->n; n++)
            put(out + n * row_bytes, k, p->bits, lmn_get_i64(p->w, k * p->n + n) + p->offset);
}

static void fill_sides(const packing *p, float *scales, uint8_t *zps)
{
    for (int64_t n = 0; n < p->n; n++)
        for (int64_t b = 0; b < p->n_blocks; b++) {
            const int64_t at = side_at(p, b, n);
            scales[n * p->n_blocks + b] = (float)lmn_qside_scale(p->s, at);
            put(zps + n * p->zp_bytes, b, p->bits, lmn_qside_zp(p->s, at) + p->offset);
        }
}

static lamina_status make(lmn_match *m, lamina_dtype dt, int32_t rank, const int64_t *dims,
                          lamina_tensor **out)
{
    return lmn_tensor_new(m->g->engine, dt, rank, dims, true, out);
}

/* B, scales and zero points of MatMulNBits into in[1 .. 3]; *ok false: no room for them. */
static lamina_status pack(lmn_match *m, const packing *p, lmn_vid in[4], bool *ok)
{
    const int64_t row_bytes = p->n_blocks * p->block * p->bits / 8;
    const int64_t dims[3] = {p->n, p->n_blocks, p->block * p->bits / 8};
    const int64_t side_dims[2] = {p->n, p->n_blocks}, zp_dims[2] = {p->n, p->zp_bytes};
    int64_t bytes;
    lamina_tensor *w = NULL, *scales = NULL, *zps = NULL;
    *ok = lmn_mul_i64(p->n, row_bytes, &bytes) && lmn_qdq_afford(m, (size_t)bytes);
    if (!*ok) return LAMINA_OK;
    lamina_status st = make(m, LAMINA_U8, 3, dims, &w);
    if (st == LAMINA_OK) st = make(m, LAMINA_F32, 2, side_dims, &scales);
    if (st == LAMINA_OK) st = make(m, LAMINA_U8, 2, zp_dims, &zps);
    if (st == LAMINA_OK) {
        fill_weights(p, w->data);
        fill_sides(p, scales->data, zps->data);
        in[1] = lmn_graph_constant(m->g, m->g->values[p->s->data].name, w);
        in[2] = lmn_graph_constant(m->g, m->g->values[p->s->scale_v].name, scales);
        in[3] = lmn_graph_constant(m->g, "", zps);
        if (!in[1] || !in[2] || !in[3]) st = LAMINA_E_NOMEM;
    }
    lamina_tensor_unref(w);
    lamina_tensor_unref(scales);
    lamina_tensor_unref(zps);
    return st;
}

lamina_status lmn_qdq_nbits(lmn_match *m, lmn_gnode *n)
{
    lmn_qside s;
    packing p;
    bool ok;
    if (n->op.n_in != 2 || !lmn_match_is_f32(m, n->in[0]) || m->g->values[n->in[0]].fact.rank < 2 ||
        !lmn_qside_from(m, n->in[1], &s) || !plan_packing(m, &s, &p))
        return LAMINA_OK;
    lmn_vid in[4] = {n->in[0]};
    LMN_TRY(pack(m, &p, in, &ok));
    if (!ok) return LAMINA_OK;
    const lmn_attr attrs[4] = {
        {.name = "K", .type = LMN_ATTR_INT, .n = 1, .u.i = p.k},
        {.name = "N", .type = LMN_ATTR_INT, .n = 1, .u.i = p.n},
        {.name = "bits", .type = LMN_ATTR_INT, .n = 1, .u.i = p.bits},
        {.name = "block_size", .type = LMN_ATTR_INT, .n = 1, .u.i = p.block}};
    return lmn_match_become(m, n,
                            &(lmn_rewrite){.domain = "com.microsoft",
                                           .op = "MatMulNBits",
                                           .name = n->op.name,
                                           .opset = n->op.opset,
                                           .in = in,
                                           .n_in = 4,
                                           .attrs = attrs,
                                           .n_attrs = 4});
}
