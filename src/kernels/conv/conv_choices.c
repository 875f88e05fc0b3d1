/*
 * Which choices are worth measuring for a convolution: the other ways it can go, and blocks around
 * the rule's. Every offer is a plan that the driver accepted, and no two are the same plan.
 */
#include "kernels/conv/conv_plan.h"
#include "kernels/gemm/gemm.h"

static bool same_plan(const lmn_conv_plan *a, const lmn_conv_plan *b)
{
    return a->path == b->path && a->tiles == b->tiles && a->v_first == b->v_first &&
           a->by_lines == b->by_lines && a->mc == b->mc && a->nc == b->nc && a->cc == b->cc &&
           (a->n_prepare > 0) == (b->n_prepare > 0);
}

/* The plan of `c` if it is possible and new. */
static void offer(const lmn_conv_plan *rule, lmn_choice c, lmn_choices *out)
{
    lmn_conv_plan p, other;
    if (out->n == LMN_CHOICE_MOST || !lmn_conv_f32_plan_as(rule->set, &rule->g, &c, &p)) return;
    if (same_plan(&p, rule)) return;
    for (int32_t i = 0; i < out->n; i++)
        if (lmn_conv_f32_plan_as(rule->set, &rule->g, &out->at[i], &other) && same_plan(&p, &other))
            return;
    out->other_bits[out->n] = (p.tiles > 0) != (rule->tiles > 0);
    out->at[out->n++] = c;
}

static int32_t units(int64_t x, int64_t unit)
{
    return (int32_t)lmn_min_i64(LMN_CHOICE_BLOCK_MAX / unit * unit,
                                lmn_max_i64(1, (x + unit / 2) / unit) * unit);
}

/* Blocks around those of one way; without nr those of Winograd, whose columns are tile rows. */
static void offer_around(const lmn_conv_plan *rule, int32_t way, int64_t mu, int64_t nu,
                         lmn_choices *out)
{
    const lmn_choice plain = {way, 0, 0, 0};
    lmn_conv_plan p;
    if (!lmn_conv_f32_plan_as(rule->set, &rule->g, &plain, &p)) return;
    offer(rule, plain, out);
    const int32_t half_m = units(p.mc / 2, mu), twice_m = units(p.mc * 2, mu);
    const int32_t half_n = units(p.nc / 2, nu), twice_n = units(p.nc * 2, nu);
    const int32_t cc = (int32_t)lmn_min_i64(p.cc, LMN_CHOICE_BLOCK_MAX / 2);
    const lmn_choice block[] = {{way, twice_m, 0, 0},
                                {way, half_m, 0, 0},
                                {way, 0, twice_n, 0},
                                {way, 0, half_n, 0},
                                {way, twice_m, half_n, 0},
                                {way, half_m, twice_n, 0},
                                {way, 0, units(p.nc * 3 / 2, nu), 0},
                                {way, 0, units(p.nc * 3 / 4, nu), 0},
                                {way, 0, 0, cc * 2},
                                {way, 0, 0, cc / 2},
                                {way, 0, half_n, cc * 2},
                                {way, 0, twice_n, cc / 2}};
    for (size_t i = 0; i < sizeof block / sizeof *block; i++) offer(rule, block[i], out);
}

void lmn_conv_f32_choices(const lmn_kset *set, const lmn_conv_geom *g, lmn_choices *out)
{
    lmn_conv_plan rule;
    out->n = 0;
    lmn_conv_f32_plan(set, g, &rule);
    if (rule.n_chunks == 0) return;
    static const int32_t WAYS[] = {LMN_CHOICE_OWN, LMN_CHOICE_SHARED, LMN_CHOICE_WINO_U,
                                   LMN_CHOICE_WINO_V};
    for (int i = 0; i < 4; i++) offer(&rule, (lmn_choice){WAYS[i], 0, 0, 0}, out);
    const int64_t mr = set->gemm_f32->mr, nr = set->gemm_f32->nr;
    if (rule.cc == 0 && rule.tiles == 0)
        offer_around(&rule, LMN_CHOICE_RULE, 1, 1, out);
    else if (rule.tiles > 0)
        offer_around(&rule, rule.v_first ? LMN_CHOICE_WINO_V : LMN_CHOICE_WINO_U, 8, 1, out);
    else
        offer_around(&rule, LMN_CHOICE_RULE, mr, nr, out);
}
