/*
 * Putting an engine together: the base record, the pool, the built-in devices, an empty list of
 * plug-ins.
 */
#include "base/engine.h"
#include "base/os/os_dir.h"
#include "base/os/os_env.h"
#include "devices/device_list.h"
#include "ops/plugin.h"
#include "runtime/workers.h"
#include "trace/trace.h"

static void end_trace(lamina_engine *e, void *trace)
{
    (void)e;
    lamina_trace_destroy(trace);
}

/* The trace that the environment asks for: of the first engine alone, since a file has one owner.
 */
static void trace_from_env(lamina_engine *e)
{
    const char *path = lmn_os_getenv("LAMINA_TRACE");
    if (e->slot[LMN_SLOT_TRACE].ptr || !path || lmn_os_path_kind(path) != LMN_PATH_NONE) return;
    const char *level = lmn_os_getenv("LAMINA_TRACE_LEVEL");
    const bool known = level && level[0] >= '1' && level[0] <= '3' && !level[1];
    const lamina_trace_opts o = {.size = sizeof o,
                                 .level = known ? (uint32_t)(level[0] - '0') : 0,
                                 .allow_set = true,
                                 .allocator = &e->alloc};
    if (level && !known)
        lmn_log(e, LAMINA_LOG_WARN, "LAMINA_TRACE_LEVEL=%.40s is none of 1, 2, 3, ignored", level);
    lamina_trace *t;
    lamina_error err;
    if (lamina_trace_create(path, &o, &t, &err) != LAMINA_OK) {
        lmn_log(e, LAMINA_LOG_WARN, "LAMINA_TRACE: %s", err.msg);
        return;
    }
    e->slot[LMN_SLOT_TRACE].ptr = t;
    e->slot[LMN_SLOT_TRACE].finish = end_trace;
}

static lamina_status fill(lamina_engine *e)
{
    trace_from_env(e);
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
