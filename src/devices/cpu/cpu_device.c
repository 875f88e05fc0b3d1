/*
 * The CPU device: looks a node up among the bindings, keeps the kernel set of this engine.
 */
#include "devices/cpu/cpu_bind.h"
#include "devices/cpu/cpu_bind_list.h"
#include "devices/device_list.h"

#include "base/os/os_env.h"

#include <string.h>

#define X(name) extern const lmn_cpu_binding lmn_cpu_##name;
LMN_CPU_BIND_LIST(X)
#undef X

static const lmn_cpu_binding *const BINDINGS[] = {
#define X(name) &lmn_cpu_##name,
    LMN_CPU_BIND_LIST(X)
#undef X
        NULL,
};

static lamina_status cpu_probe(char *reason, size_t cap)
{
    if (cap) reason[0] = 0;
    return LAMINA_OK;
}

static lamina_status cpu_open(lamina_engine *engine, const char *options, void **self)
{
    (void)options;
    lmn_cpu_dev *d = lmn_calloc(&engine->alloc, 1, sizeof *d, "cpu");
    if (!d) return LAMINA_E_NOMEM;
    d->engine = engine;
    const char *pins = lmn_os_getenv("LAMINA_KERNEL");
    if (!lmn_kset_choose(&engine->cpu, pins, &d->kset))
        lmn_log(engine, LAMINA_LOG_WARN,
                "LAMINA_KERNEL=%.200s names a row that does not exist or cannot run here", pins);
    d->strict = d->kset, d->strict.wino_f32 = NULL;
    d->pinned = pins && strstr(pins, "hgemm.bf16:");
    *self = d;
    return LAMINA_OK;
}

static void cpu_close(void *self)
{
    lmn_cpu_dev *d = self;
    lmn_cfree(&d->engine->alloc, d, 1, sizeof *d, "cpu");
}

static const lmn_cpu_binding *find(const lmn_cpu_dev *d, const lamina_node *node, char *text,
                                   size_t cap)
{
    (void)lmn_format(text, cap, "no fast kernel for this operator on the CPU yet");
    for (size_t i = 0; BINDINGS[i]; i++) {
        const lmn_cpu_binding *b = BINDINGS[i];
        if (strcmp(b->op, node->op->def->name) || strcmp(b->domain, node->op->def->domain))
            continue;
        if (b->supports(d, node, text, cap)) return b;
    }
    return NULL;
}

static bool cpu_supports(void *self, const lamina_node *node, char *text, size_t cap)
{
    return find(self, node, text, cap) != NULL;
}

static void cpu_kernel_free(void *self, lamina_kernel *k)
{
    lmn_cpu_dev *d = self;
    if (k->state && k->bind->finish) k->bind->finish(d, k->state);
    lmn_free(&d->engine->alloc, k->state, k->state_bytes, 64, "cpu");
    lmn_cfree(&d->engine->alloc, k, 1, sizeof *k, "cpu");
}

static lamina_status cpu_compile(void *self, const lamina_node *node, lamina_kernel **out,
                                 lamina_error *err)
{
    lmn_cpu_dev *d = self;
    char text[160];
    const lmn_cpu_binding *b = find(d, node, text, sizeof text);
    if (!b) return lmn_fail(err, LAMINA_E_UNSUPPORTED, "%s", text);
    lamina_kernel *k = lmn_calloc(&d->engine->alloc, 1, sizeof *k, "cpu");
    if (!k) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory compiling a node");
    *k = (lamina_kernel){
        .bind = b, .dev = d, .precision = node->precision, .state_bytes = b->state_bytes};
    k->site = node->site;
    lamina_status st = LAMINA_OK;
    if (b->state_bytes) {
        k->state = lmn_alloc(&d->engine->alloc, b->state_bytes, 64, "cpu");
        if (!k->state) st = lmn_fail(err, LAMINA_E_NOMEM, "out of memory compiling a node");
        if (k->state) memset(k->state, 0, b->state_bytes);
    }
    if (st == LAMINA_OK && b->init) st = b->init(d, node, k->state, err);
    if (st != LAMINA_OK) {
        cpu_kernel_free(d, k);
        return st;
    }
    *out = k;
    return LAMINA_OK;
}

static lamina_status cpu_execute(void *self, lamina_kernel *k, lamina_call *c)
{
    (void)self;
    return k->bind->run(k, lmn_call_eval(c));
}

static bool cpu_any_address(void *self, const lamina_kernel *k, int32_t i)
{
    (void)self;
    return k->bind->any_address && k->bind->any_address(k->dev, i);
}

void lmn_cpu_families(const char *domain, const char *op, bool *bound, char *buf, size_t cap)
{
    size_t n = lmn_format(buf, cap, "%s", "");
    *bound = false;
    for (size_t i = 0; BINDINGS[i]; i++) {
        const lmn_cpu_binding *b = BINDINGS[i];
        if (strcmp(b->op, op) || strcmp(b->domain, domain)) continue;
        *bound = true;
        if (b->families && !strstr(buf, b->families))
            n += lmn_format(buf + n, cap - n, "%s%s", n ? " " : "", b->families);
    }
}

const lamina_device_vtable lmn_device_cpu = {
    .abi = LAMINA_DEVICE_ABI,
    .name = "cpu",
    .probe = cpu_probe,
    .open = cpu_open,
    .close = cpu_close,
    .supports = cpu_supports,
    .compile = cpu_compile,
    .kernel_free = cpu_kernel_free,
    .execute = cpu_execute,
    .any_address = cpu_any_address,
};
