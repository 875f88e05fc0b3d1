/*
 * Convolutions of small images: several of them are one product, and each has the bits that it has
 * alone.
 */
#include "kcheck/kc_conv.h"

/* All images at once, with an epilogue that is alike in them, against each one alone. */
static void expect_alone(kc_ctx *kc, const lmn_kset *set, const lmn_conv_geom *g)
{
    const int64_t pixels = lmn_conv_volume(g->out), plane = lmn_conv_volume(g->in);
    const int64_t k = g->c_in / g->groups * lmn_conv_volume(g->kernel);
    const kc_mat x = kc_input(kc, KC_REAL, g->n * g->c_in, plane, plane);
    const kc_mat w = kc_input(kc, KC_REAL, g->c_out, k, k);
    const kc_mat bias = kc_input(kc, KC_REAL, 1, g->c_out, g->c_out);
    const kc_mat got = kc_output(kc, g->n * g->c_out, pixels, pixels), want = kc_copy(kc, &got);
    lmn_epi epi = {.n_ops = 2};
    epi.op[0] = (lmn_epi_op){.kind = LMN_EPI_ADD, .bcast = LMN_EPI_ROW, .x = bias.p};
    epi.op[1] = (lmn_epi_op){.kind = LMN_EPI_CLIP, .p0 = -0.25f, .p1 = 0.75f};
    lmn_conv_plan plan;
    lmn_conv_geom one = *g;
    one.n = 1;
    lmn_conv_f32_plan(set, &one, &plan);
    for (int64_t i = 0; i < g->n; i++) {
        const lmn_conv_args args = {.x = x.p + i * g->c_in * plane,
                                    .w = w.p,
                                    .y = want.p + i * g->c_out * pixels,
                                    .epi = &epi};
        KC_CALL(kc, kc_conv_run(kc, &plan, args, false));
    }
    const lmn_conv_args args = {.x = x.p, .w = w.p, .y = got.p, .epi = &epi};
    lmn_conv_f32_plan(set, g, &plan);
    KC_CALL(kc, kc_conv_run(kc, &plan, args, true));
    kc_expect_bits(kc, &got, &want, kc_conv_text(g));
}

/* Images of up to eight pixels, many in one block, over windows of one line and of several. */
static void check_few(kc_ctx *kc, const lmn_krow *head)
{
    lmn_kset set = kc_conv_set(kc, head);
    set.wino_f32 = NULL; /* so many images may go Winograd's way where one does not */
    const int n_cases = kc_quick(kc) ? 40 : 400;
    for (int c = 0; c < n_cases; c++) {
        kc_case(kc);
        lmn_conv_geom g = {.n = kc_int(kc, 1, 13), .groups = kc_int(kc, 0, 3) ? 1 : 2};
        const bool wide = kc_int(kc, 0, 2) == 0; /* few channels, long windows */
        g.c_in = g.groups * (wide ? kc_int(kc, 1, 4) : kc_int(kc, 30, 160));
        g.c_out = g.groups * kc_int(kc, 16, 40);
        for (int i = 0; i < 3; i++) {
            const bool one = i == 0 || (i == 1 && kc_int(kc, 0, 2));
            g.kernel[i] = one ? 1 : wide ? kc_int(kc, 20, 90) : kc_int(kc, 1, 9);
            g.stride[i] = one ? 1 : kc_int(kc, 1, wide ? 40 : 3);
            g.dilation[i] = one || kc_int(kc, 0, 3) ? 1 : 2;
            g.out[i] = one ? 1 : kc_int(kc, 1, i == 1 ? 2 : 4);
            const int64_t reach = (g.out[i] - 1) * g.stride[i] + (g.kernel[i] - 1) * g.dilation[i];
            g.pad[i] = one ? 0 : kc_int(kc, 0, lmn_min_i64(reach, g.kernel[i]));
            g.in[i] = lmn_max_i64(1, reach + 1 - g.pad[i] - (one ? 0 : kc_int(kc, 0, 3)));
        }
        if (kc_int(kc, 0, 1)) kc_conv_whole(kc, &set, &g);
        expect_alone(kc, &set, &g);
    }
}

const kc_driver kc_im2col_few = {"im2col", "few", check_few, NULL};
