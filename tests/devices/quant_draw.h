/*
 * Test helper: a random call of a quantised operator, its operands drawn one by one, run by the CPU
 * device's kernel and by the reference evaluation. Signs are either, zero points {0, the middle,
 * any} for a tensor, a row or a column, scales for a tensor or a channel.
 */
#ifndef LMN_TESTS_DEVICES_QUANT_DRAW_H
#define LMN_TESTS_DEVICES_QUANT_DRAW_H

#include "t.h"

#include <math.h>

#include "devices/device_list.h"
#include "ops/node.h"
#include "ops/op_bench.h"
#include "ops/prepack.h"

/* Element types and zero points of one draw. */
typedef struct draw {
    t_env *env;
    op_bench b;
    lamina_dtype x, w, y;
} draw;

static inline void begin_outs(draw *d, t_env *env, const char *domain, const char *op,
                              int32_t n_out)
{
    static const lamina_dtype EITHER[2] = {LAMINA_U8, LAMINA_I8};
    d->env = env;
    op_begin(&d->b, env, "Relu", n_out);
    d->b.node.def = lmn_op_find(domain, op);
    if (!d->b.node.def) t_fail(__FILE__, __LINE__, "no operator %s", op);
    d->x = EITHER[t_rand_int(env, 0, 1)];
    d->w = EITHER[t_rand_int(env, 0, 1)];
    d->y = EITHER[t_rand_int(env, 0, 1)];
}

static inline void begin(draw *d, t_env *env, const char *domain, const char *op)
{
    begin_outs(d, env, domain, op, 1);
}

static inline void bytes(draw *d, lamina_dtype dt, int32_t rank, const int64_t *dims)
{
    const lamina_tensor *t = op_in(&d->b, dt, rank, dims, NULL);
    uint8_t *p = t->data;
    for (size_t i = 0; i < t->data_bytes; i++) p[i] = (uint8_t)t_rand(d->env);
}

/* n zero points; 1 is a scalar. */
static inline void zero_points(draw *d, lamina_dtype dt, int64_t n)
{
    const int64_t lo = dt == LAMINA_I8 ? -128 : 0, kind = t_rand_int(d->env, 0, 2);
    const lamina_tensor *t = op_in(&d->b, dt, n != 1, &n, NULL);
    for (int64_t i = 0; i < n; i++) {
        const int64_t any = lo + t_rand_int(d->env, 0, 255);
        ((uint8_t *)t->data)[i] = (uint8_t)(kind == 0 ? 0 : kind == 1 ? lo + 128 : any);
    }
}

static inline void scales(draw *d, int64_t n, double lo, double hi)
{
    const lamina_tensor *t = op_in(&d->b, LAMINA_F32, n != 1, &n, NULL);
    for (int64_t i = 0; i < n; i++) ((float *)t->data)[i] = (float)t_rand_real(d->env, lo, hi);
}

static inline void words(draw *d, int64_t n)
{
    const lamina_tensor *t = op_in(&d->b, LAMINA_I32, 1, &n, NULL);
    for (int64_t i = 0; i < n; i++)
        ((int32_t *)t->data)[i] = (int32_t)t_rand_int(d->env, -20000, 20000);
}

static inline int64_t one_or(draw *d, int64_t n)
{
    return t_rand_int(d->env, 0, 1) ? n : 1;
}

/* A session's store of packed weights that packs at once. */
typedef struct store {
    lmn_prepack door; /* first */
    lmn_packed packed;
    void *mem;
} store;

static inline lamina_status want(lmn_prepack *self, const lmn_pack_job *job, lmn_packed **out)
{
    store *s = (store *)(void *)self;
    s->mem = aligned_alloc(64, lmn_align_up((size_t)job->bytes, 64) + 64);
    if (!s->mem) return LAMINA_E_NOMEM;
    job->pack(job->row, job->flags, job->w, s->mem);
    lmn_atomic_store(&s->packed.data, (uintptr_t)s->mem, release);
    *out = &s->packed;
    return LAMINA_OK;
}

/* The CPU device's kernel on the bench, into its slots. Half of the time inputs are constants that
   it may pack. */
static inline void run_kernel(draw *d, const char *what)
{
    op_bench *b = &d->b;
    const lmn_fact *in[OP_MAX];
    const lamina_tensor *data[OP_MAX] = {0};
    store packs = {.door = {.want = want}};
    const bool constant = t_rand_int(d->env, 0, 1);
    for (int32_t i = 0; i < OP_MAX; i++) {
        in[i] = b->has_fact[i] ? &b->facts[i] : NULL;
        if (constant && in[i]) data[i] = b->in[i];
    }
    const lamina_node node = {.op = &b->node,
                              .in = in,
                              .in_const = data,
                              .out = b->out_facts,
                              .precision = LAMINA_PRECISION_EXACT,
                              .prepack = constant ? &packs.door : NULL};
    void *self = NULL;
    lamina_kernel *k = NULL;
    if (!T_OK(lmn_device_cpu.open(d->env->engine, NULL, &self))) return;
    if (T_OK_ERR(lmn_device_cpu.compile(self, &node, &k, &b->err), &b->err)) {
        lmn_eval ec = {.node = &b->node,
                       .engine = d->env->engine,
                       .n_in = b->node.n_in,
                       .n_out = b->node.n_out,
                       .in = b->in,
                       .out = b->out,
                       .err = &b->err};
        if (!T_OK_ERR(lmn_device_cpu.execute(self, k, lmn_eval_call(&ec)), &b->err))
            t_fail(__FILE__, __LINE__, "%s", what);
        lmn_scratch_release(&ec);
        lmn_device_cpu.kernel_free(self, k);
    }
    lmn_device_cpu.close(self);
    free(packs.mem);
}

/* Both, all outputs compared; ends the bench. */
static inline void compare(draw *d, const char *what)
{
    lamina_tensor fast[OP_MAX], *slot[OP_MAX];
    const int32_t n = d->b.node.n_out;
    for (int32_t i = 0; i < n; i++) {
        fast[i] = (lamina_tensor){.kind = LAMINA_KIND_NONE, .engine = d->env->engine};
        slot[i] = d->b.out[i], d->b.out[i] = &fast[i];
    }
    run_kernel(d, what);
    for (int32_t i = 0; i < n; i++) d->b.out[i] = slot[i];
    const bool ran = T_OK_ERR(op_eval(&d->b), &d->b.err);
    for (int32_t i = 0; i < n; i++) {
        T_EQ(fast[i].dtype, slot[i]->dtype);
        T_EQ(fast[i].rank, slot[i]->rank);
        if (ran && (fast[i].data_bytes != slot[i]->data_bytes ||
                    memcmp(fast[i].data, slot[i]->data, slot[i]->data_bytes) != 0))
            t_fail(__FILE__, __LINE__, "%s: kernel and reference differ", what);
        lmn_slot_clear(&fast[i]);
    }
    op_end(&d->b);
}

/* Both, whose floats differ by at most `bound` (1 + |v|); ends the bench. */
static inline void compare_near(draw *d, double bound, const char *what)
{
    lamina_tensor fast = {.kind = LAMINA_KIND_NONE, .engine = d->env->engine};
    lamina_tensor *const slot = d->b.out[0];
    d->b.out[0] = &fast;
    run_kernel(d, what);
    d->b.out[0] = slot;
    if (T_OK_ERR(op_eval(&d->b), &d->b.err) && T_EQ(fast.data_bytes, slot->data_bytes)) {
        const float *x = fast.data, *y = slot->data;
        for (int64_t i = 0; i < lmn_count(slot); i++)
            if (!(fabsf(x[i] - y[i]) <= bound * (1 + fabsf(y[i]))))
                t_fail(__FILE__, __LINE__, "%s: %g, not %g, at %d", what, (double)x[i],
                       (double)y[i], (int)i);
    }
    lmn_slot_clear(&fast);
    op_end(&d->b);
}

#endif
