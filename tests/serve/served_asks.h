/*
 * Test helper: requests of a served model without a protocol: made, waited for, looked at.
 */
#ifndef LMN_TESTS_SERVE_SERVED_ASKS_H
#define LMN_TESTS_SERVE_SERVED_ASKS_H

#include "serve/served_models.h"

#include "base/os/os_thread.h"
#include "base/os/os_time.h"
#include "devices/device_list.h"
#include "lamina/device.h"
#include "serve/served.h"

LMN_UNUSED static void use_cpu(t_env *env)
{
    T_OK(lamina_device_register(env->engine, &lmn_device_cpu, NULL, NULL));
}

LMN_UNUSED static lmn_model_config config_auto(void)
{
    return (lmn_model_config){
        .batch = {.dynamic = true, .max_batch_size = -1, .level = {{.allow_override = true}}},
        .warm_up = true};
}

LMN_UNUSED static lmn_model *open_model(t_env *env, const char *path, const lmn_model_config *c)
{
    lamina_error err = {0};
    lmn_model *m = NULL;
    T_OK_ERR(lmn_model_open(env->engine, path, "m", "1", c, &m, &err), &err);
    return m;
}

typedef struct ask {
    lmn_infer r;
    lmn_infer_tensor ports[4];
    lamina_tensor *result[2];
    float x[16 * 4];
    int64_t i[16];
    lmn_atomic(uint32_t) done, gone;
    uint64_t number; /* of its answer */
    uintptr_t by;    /* the thread that gave it */
    lmn_model *then; /* asked for the next one of the array while this is answered */
    struct asks *of;
} ask;

typedef struct asks {
    ask *a;
    int n;
    lmn_atomic(uint64_t) n_done;
} asks;

LMN_UNUSED static void on_done(lmn_infer *r)
{
    ask *a = r->user;
    a->by = lmn_thread_key();
    a->number = lmn_atomic_add(&a->of->n_done, 1, acq_rel);
    if (a->then && lmn_model_submit(a->then, &a[1].r, lmn_now_ns()) != LAMINA_OK)
        t_fail(__FILE__, __LINE__, "the next one was refused");
    /* not T_EQ: any thread may be here */
    if (lmn_atomic_exchange(&a->done, 1, acq_rel)) t_fail(__FILE__, __LINE__, "answered twice");
    lmn_futex_wake((lmn_atomic(uint32_t) *)&a->done, 1);
}

LMN_UNUSED static void asks_make(asks *all, int n)
{
    all->a = calloc((size_t)n, sizeof *all->a);
    all->n = n;
    lmn_atomic_store(&all->n_done, 0, relaxed);
    for (int i = 0; i < n; i++) {
        ask *a = &all->a[i];
        a->of = all;
        a->r.done = on_done;
        a->r.user = a;
        a->r.gone = &a->gone;
        a->r.in = a->ports;
        a->r.out = a->ports + 2;
        a->r.result = a->result;
        for (int k = 0; k < 64; k++) a->x[k] = (float)((i * 7 + k * 3) % 11) - 4;
    }
}

LMN_UNUSED static void ask_rows(ask *a, int64_t rows)
{
    a->r.n_in = 1;
    a->r.in[0] = (lmn_infer_tensor){.port = 0,
                                    .dtype = LAMINA_F32,
                                    .rank = 2,
                                    .dims = {rows, 4},
                                    .data = a->x,
                                    .bytes = (size_t)rows * 16};
}

LMN_UNUSED static void ask_indices(ask *a, int64_t first, int64_t rows)
{
    for (int64_t k = 0; k < rows; k++) a->i[k] = first + k;
    a->r.n_in = 1;
    a->r.in[0] = (lmn_infer_tensor){.port = 0,
                                    .dtype = LAMINA_I64,
                                    .rank = 1,
                                    .dims = {rows},
                                    .data = a->i,
                                    .bytes = (size_t)rows * 8};
}

LMN_UNUSED static void ask_free(ask *a)
{
    for (uint32_t i = 0; i < a->r.n_result; i++) lamina_tensor_unref(a->r.result[i]);
    a->r.n_result = 0;
}

LMN_UNUSED static void asks_free(asks *all)
{
    for (int i = 0; i < all->n; i++) ask_free(&all->a[i]);
    free(all->a);
}

LMN_UNUSED static void wait_for(lmn_model *m, ask *a)
{
    (void)lmn_model_turn(m, lmn_now_ns());
    while (!lmn_atomic_load(&a->done, acquire))
        lmn_futex_wait((lmn_atomic(uint32_t) *)&a->done, 0, 50000000);
}

LMN_UNUSED static void check_mlp(const ask *a, int64_t rows)
{
    T_EQ(a->r.status, LAMINA_OK);
    T_EQ(a->r.n_result, 1);
    if (a->r.status != LAMINA_OK || a->r.n_result != 1) return;
    const float *y = lamina_tensor_data(a->r.result[0]);
    T_EQ(lamina_tensor_dims(a->r.result[0])[0], rows);
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < 3; j++) {
            float want = (float)(j + 1);
            for (int k = 0; k < 4; k++) want += a->x[i * 4 + k] * ((float)((k * 3 + j) % 5) - 1.5f);
            T_NEAR(y[i * 3 + j], want, 1e-4);
        }
}

#endif
