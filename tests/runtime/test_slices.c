/*
 * Stretches that a run takes some images of a batch through at a time: that they give the bits of
 * all images at once where what is no image looks like one, and what the profile tells of them.
 */
#include "runtime/rt_model.h"

#include <string.h>

enum { N = 8, C = 4, SIDE = 16 };

/* x -> Reshape -> Conv -> [Add r = Relu(u)] -> Conv -> Relu -> y; u has as many rows as there are
   images, and as an image has. */
static lamina_model *model(t_env *env, bool rows)
{
    static pb g, bytes;
    static float w[C * C];
    const int64_t four = 4, dims[4] = {C, C, 1, 1}, shape[4] = {N, C, N, SIDE};
    g.n = bytes.n = 0;
    for (int i = 0; i < C * C; i++) w[i] = (float)((i * 37 + 11) % 101) / 101.0f - 0.5f;
    rt_weight(&g, "w", LAMINA_F32, 4, dims, w, sizeof w);
    rt_weight(&g, "shape", LAMINA_I64, 1, &four, shape, sizeof shape);
    rt_node(&g, "Reshape", "x shape", "image", NULL);
    rt_node(&g, "Conv", "image w", "c0", NULL);
    if (rows) rt_node(&g, "Relu", "u", "r", NULL);
    if (rows) rt_node(&g, "Add", "c0 r", "a", NULL);
    rt_node(&g, "Conv", rows ? "a w" : "c0 w", "c1", NULL);
    rt_node(&g, "Relu", "c1", "y", NULL);
    pb_str(&g, 2, "g");
    rt_port(&g, 11, "x", LAMINA_F32, "8 512");
    if (rows) rt_port(&g, 11, "u", LAMINA_F32, "8 16");
    rt_port(&g, 12, "y", LAMINA_F32, "8 4 8 16");
    return rt_load(env, &bytes, &g);
}

static lamina_session *session(lamina_model *m, uint64_t slice_bytes, bool plain)
{
    const lamina_session_opts o = {
        .size = sizeof o, .profile = true, .n_threads = 1, .no_optimize = plain};
    lamina_session *s = rt_session(m, &o);
    if (s) s->slice_bytes = slice_bytes;
    return s;
}

static lamina_tensor *result(t_env *env, lamina_session *s, size_t n_in)
{
    lamina_tensor *in[2] = {rt_floats(env, 2, (int64_t[]){N, C * N * SIDE}),
                            rt_floats(env, 2, (int64_t[]){N, SIDE})};
    lamina_tensor *out = NULL;
    lamina_error err = {0};
    const lamina_run_opts o = {.size = sizeof o, .error = &err};
    T_OK_ERR(lamina_session_run(s, (const lamina_tensor *const *)in, n_in, &out, 1, &o), &err);
    for (int i = 0; i < 2; i++) lamina_tensor_unref(in[i]);
    return out;
}

/* An operand of fewer dimensions that is made, or read, image by image is still whole for others.
 */
static void test_rows(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = model(env, true);
    T_REQUIRE(m);
    for (int plain = 0; plain < 2; plain++) {
        lamina_session *whole = session(m, UINT64_MAX, plain), *cut = session(m, 1, plain);
        T_REQUIRE(whole && cut);
        lamina_tensor *want = result(env, whole, 2), *got = result(env, cut, 2);
        T_REQUIRE(want && got);
        T_MEM_EQ(lamina_tensor_data(want), lamina_tensor_data(got), lamina_tensor_bytes(want));
        lamina_tensor_unref(want), lamina_tensor_unref(got);
        lamina_session_destroy(whole), lamina_session_destroy(cut);
    }
    lamina_model_unref(m);
}

/* A view of an input dies in the stretch, whose first step is told with its shape nevertheless. */
static void test_profile(t_env *env)
{
    rt_cpu(env);
    lamina_model *m = model(env, false);
    T_REQUIRE(m);
    lamina_session *s = session(m, 1, true);
    T_REQUIRE(s);
    lamina_tensor_unref(result(env, s, 1));
    T_REQUIRE(s->plans && s->plans->slices.n == 1);
    const lmn_slice *slice = s->plans->slices.all;
    T_CHECK(slice->n_images == N && slice->n_in == 1);
    for (uint32_t i = slice->first; i <= slice->last; i++) {
        const lmn_row *row = s->x->steps[i].rows;
        T_REQUIRE(row && row->n_in == 2);
        T_CHECK(row->words[0] && row->words[1] == N && row->flops > 0 && !row->next);
    }
    lamina_session_destroy(s);
    lamina_model_unref(m);
}

T_MAIN(T_TEST(test_rows), T_TEST(test_profile))
