/*
 * Test helper: a device for Neg of rows that takes its time as the test says. Options are the
 * address of what the test keeps for it, which execute() gets as self.
 */
#ifndef LMN_TESTS_SERVE_NEG_DEVICE_H
#define LMN_TESTS_SERVE_NEG_DEVICE_H

#include "base/types.h"
#include "lamina/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static lamina_status neg_probe(char *reason, size_t cap)
{
    (void)reason, (void)cap;
    return LAMINA_OK;
}
static lamina_status neg_open(lamina_engine *engine, const char *options, void **self)
{
    (void)engine;
    *self = (void *)(uintptr_t)strtoull(options, NULL, 10);
    return LAMINA_OK;
}
static void neg_close(void *self)
{
    (void)self;
}
static bool neg_supports(void *self, const lamina_node *node, char *text, size_t cap)
{
    (void)self;
    (void)snprintf(text, cap, "slow");
    return !strcmp(lamina_node_op(node), "Neg");
}
static lamina_status neg_compile(void *self, const lamina_node *node, lamina_kernel **out,
                                 lamina_error *err)
{
    (void)node, (void)err;
    *out = self;
    return LAMINA_OK;
}
static void neg_free(void *self, lamina_kernel *kernel)
{
    (void)self, (void)kernel;
}

/* What execute() computes: y = -x of f32 [rows][each]. */
static lamina_status neg_rows(lamina_call *call, const float **x, const int64_t **dims)
{
    const lamina_tensor *in = lamina_call_input(call, 0);
    lamina_tensor *out;
    *dims = lamina_tensor_dims(in);
    *x = lamina_tensor_data(in);
    LMN_TRY(lamina_call_output(call, 0, LAMINA_F32, 2, *dims, &out));
    float *y = lamina_tensor_mutable_data(out);
    for (int64_t i = 0; i < (*dims)[0] * (*dims)[1]; i++) y[i] = -(*x)[i];
    return LAMINA_OK;
}

/* A vtable; it has to live as long as the engine. */
#define NEG_DEVICE(run)                                                                 \
    {                                                                                   \
        .abi = LAMINA_DEVICE_ABI, .name = "slow", .probe = neg_probe, .open = neg_open, \
        .close = neg_close, .supports = neg_supports, .compile = neg_compile,           \
        .kernel_free = neg_free, .execute = (run)                                       \
    }

static lamina_status neg_register(lamina_engine *engine, const lamina_device_vtable *device,
                                  void *self, lamina_error *err)
{
    char options[32];
    (void)snprintf(options, sizeof options, "%llu", (unsigned long long)(uintptr_t)self);
    return lamina_device_register(engine, device, options, err);
}

#endif
