/*
 * The blocked driver for f32; see gemm_plan_tmpl.h.
 */
#include "kernels/gemm/gemm_plan.h"

#define GEMM_T(name) lmn_gemm_##name
#define GEMM_F(name) lmn_gemm_f32_##name
#define GEMM_REAL float

/* For the paths whose kernels do not apply it. */
static void run_epilogue(const lmn_gemm_plan *p, const lmn_gemm_args *args, const lmn_gemm_block *t)
{
    const lmn_epi_block e = {t->c, t->ldc, t->row, t->col, t->m, t->n, t->item};
    p->row->epi(args->epi, &e);
}

#include "kernels/gemm/gemm_plan_tmpl.h"

/* ---- choices -----------------------------------------------------------------------------------
 */

enum { CHOSEN_STREAM_M = 16 }; /* rows of A that may stream B by choice */

/* The path that the choice names, -1 where it would read another operand or give other bits. */
static int32_t path_as(const lmn_gemm_plan *p, const lmn_choice *c)
{
    const bool trans_b = p->flags & LMN_GEMM_TRANS_B, trans_a = p->flags & LMN_GEMM_TRANS_A;
    if (c->path == LMN_CHOICE_RULE) return p->path;
    const bool chain = p->path == PATH_PACKED || p->path == PATH_DIRECT || p->path == PATH_SHORT;
    if (!chain && p->path != PATH_SMALL_NN) return -1;
    if (c->path == LMN_CHOICE_PACKED) return PATH_PACKED;
    if (c->path == LMN_CHOICE_DIRECT) return trans_b ? -1 : PATH_DIRECT;
    if (c->path != LMN_CHOICE_STREAMED || trans_a || trans_b) return -1;
    return p->m <= CHOSEN_STREAM_M ? PATH_SMALL_NN : -1;
}

/* Blocks as chosen: whole units of the path, as long as a cancelled run may wait for one. */
static bool cut_as(lmn_gemm_plan *p, const lmn_choice *c)
{
    const bool streams = p->path == PATH_SMALL_NN || p->path == PATH_SMALL_NT;
    const bool thin = p->path == PATH_THIN;
    const int64_t n_unit = streams ? 16 : p->row->nr, m_unit = thin ? 16 : p->row->mr;
    if ((streams && c->mc) || (thin && c->nc) || c->mc % m_unit || c->nc % n_unit || c->kc % 16)
        return false;
    const int64_t most = lmn_max_i64(max_chunk_madds, p->mc * p->nc * p->k);
    if (c->mc) p->mc = lmn_min_i64(c->mc, lmn_round_up_i64(p->m, m_unit));
    if (c->nc) p->nc = lmn_min_i64(c->nc, lmn_round_up_i64(p->n, n_unit));
    p->m_blocks = lmn_ceil_div_i64(p->m, p->mc), p->n_blocks = lmn_ceil_div_i64(p->n, p->nc);
    return p->mc * p->nc * p->k <= most;
}

bool lmn_gemm_f32_plan_as(const lmn_gemm_row *row, const lmn_gemm_shape *s, const lmn_choice *c,
                          lmn_gemm_plan *out)
{
    lmn_gemm_f32_plan(row, s, out);
    lmn_gemm_plan p = *out;
    if (row->head.isa == 0) return false; /* the reference rounds at every cut of k */
    if (!lmn_choice_in_range(c) || p.n_chunks == 0 || (p.path = path_as(out, c)) < 0) return false;
    cut(&p);
    if (!cut_as(&p, c)) return false;
    lay_out(&p, c->kc ? c->kc : longest_k(&p));
    p.n_chunks = p.m_blocks * p.n_blocks * p.n_batch;
    if (p.n_chunks > lmn_max_i64(LMN_CHOICE_CHUNKS_MAX, out->n_chunks)) return false;
    if (p.scratch_bytes > LMN_CHOICE_SCRATCH_MAX && p.scratch_bytes > out->scratch_bytes)
        return false;
    *out = p;
    return true;
}

static bool same_plan(const lmn_gemm_plan *a, const lmn_gemm_plan *b)
{
    return a->path == b->path && a->mc == b->mc && a->nc == b->nc && a->kc == b->kc;
}

/* The plan of `c` if it is possible and new. */
static void offer(const lmn_gemm_plan *rule, lmn_choice c, lmn_choices *out)
{
    const lmn_gemm_shape s = {rule->m, rule->n, rule->k, rule->n_batch, rule->flags, rule->threads};
    lmn_gemm_plan p, other;
    if (out->n == LMN_CHOICE_MOST || !lmn_gemm_f32_plan_as(rule->row, &s, &c, &p)) return;
    if (same_plan(&p, rule)) return;
    for (int32_t i = 0; i < out->n; i++)
        if (lmn_gemm_f32_plan_as(rule->row, &s, &out->at[i], &other) && same_plan(&p, &other))
            return;
    out->other_bits[out->n] = false;
    out->at[out->n++] = c;
}

/* x of a block in units, at least one. */
static int32_t units(int64_t x, int64_t unit)
{
    return (int32_t)lmn_min_i64(LMN_CHOICE_BLOCK_MAX / unit * unit,
                                lmn_max_i64(1, (x + unit / 2) / unit) * unit);
}

void lmn_gemm_f32_choices(const lmn_gemm_row *row, const lmn_gemm_shape *s, lmn_choices *out)
{
    lmn_gemm_plan rule;
    out->n = 0;
    lmn_gemm_f32_plan(row, s, &rule);
    if (rule.n_chunks == 0) return;
    static const int32_t PATHS[] = {LMN_CHOICE_DIRECT, LMN_CHOICE_PACKED, LMN_CHOICE_STREAMED};
    for (int i = 0; i < 3; i++) offer(&rule, (lmn_choice){PATHS[i], 0, 0, 0}, out);
    const bool streams = rule.path == PATH_SMALL_NN || rule.path == PATH_SMALL_NT;
    const int64_t mu = rule.path == PATH_THIN ? 16 : row->mr, nu = streams ? 16 : row->nr;
    const int32_t half_m = units(rule.mc / 2, mu), twice_m = units(rule.mc * 2, mu);
    const int32_t half_n = units(rule.nc / 2, nu), twice_n = units(rule.nc * 2, nu);
    const lmn_choice block[] = {{0, twice_m, 0, 0},
                                {0, 0, twice_n, 0},
                                {0, half_m, 0, 0},
                                {0, 0, half_n, 0},
                                {0, 0, 0, units(rule.kc * 2, 16)},
                                {0, twice_m, half_n, 0},
                                {0, half_m, twice_n, 0},
                                {0, 0, units(rule.nc * 3 / 2, nu), 0},
                                {0, 0, 0, units(rule.kc * 2 / 3, 16)},
                                {0, twice_m, twice_n, 0},
                                {0, 0, twice_n, units(rule.kc / 2, 16)},
                                {0, 0, half_n, units(rule.kc * 2, 16)},
                                {0, units(rule.m, mu), units(rule.nc, nu), 0},
                                {0, 0, units(rule.nc * 4, nu), 0}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++) offer(&rule, block[i], out);
}
