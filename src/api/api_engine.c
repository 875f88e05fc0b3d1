/*
 * Putting an engine together: the base record, the pool, the built-in devices, an empty list of
 * plug-ins.
 */
#include "base/engine.h"
#include "devices/device_list.h"
#include "ops/plugin.h"
#include "runtime/workers.h"

static lamina_status fill(lamina_engine *e)
{
    lmn_workpool *pool;
    LMN_TRY(lmn_workers_get(e, &pool));
    LMN_TRY(lmn_plugins_open(e));
#define X(name) LMN_TRY(lamina_device_register(e, &lmn_device_##name, NULL, NULL));
    LMN_DEVICE_LIST(X)
#undef X
    return LAMINA_OK;
}

lamina_status lamina_engine_create(const lamina_engine_opts *opts, lamina_engine **out)
{
    LMN_CHECK(out, LAMINA_E_INVALID);
    lamina_engine tmp;
    LMN_TRY(lmn_engine_init(&tmp, opts));
    lamina_engine *e = lmn_calloc(&tmp.alloc, 1, sizeof *e, "engine");
    if (!e) return LAMINA_E_NOMEM;
    *e = tmp;
    lamina_status st = fill(e);
    if (st != LAMINA_OK) {
        lamina_engine_destroy(e);
        return st;
    }
    *out = e;
    return LAMINA_OK;
}

void lamina_engine_destroy(lamina_engine *e)
{
    if (!e) return;
    lmn_engine_finish(e);
    const lamina_allocator alloc = e->alloc;
    lmn_cfree(&alloc, e, 1, sizeof *e, "engine");
}
