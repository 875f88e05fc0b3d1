/*
 * The devices of an engine: opened at registration, closed with the engine.
 */
#include "runtime/exec.h"

static void devices_finish(lamina_engine *e, void *ptr)
{
    lmn_devices *d = ptr;
    for (int32_t i = d->n - 1; i >= 0; i--)
        if (d->dev[i].vt->close) d->dev[i].vt->close(d->dev[i].self);
    lmn_cfree(&e->alloc, d, 1, sizeof *d, "devices");
}

lamina_status lamina_device_register(lamina_engine *engine, const lamina_device_vtable *vtable,
                                     const char *options, lamina_error *err)
{
    if (!engine || !vtable) return lmn_fail(err, LAMINA_E_INVALID, "no engine or no device");
    if (vtable->abi != LAMINA_DEVICE_ABI)
        return lmn_fail(err, LAMINA_E_VERSION, "the device speaks abi %u, this library %u",
                        vtable->abi, LAMINA_DEVICE_ABI);
    lmn_devices *d = engine->slot[LMN_SLOT_DEVICES].ptr;
    if (!d) {
        d = lmn_calloc(&engine->alloc, 1, sizeof *d, "devices");
        if (!d) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory registering a device");
        engine->slot[LMN_SLOT_DEVICES].ptr = d;
        engine->slot[LMN_SLOT_DEVICES].finish = devices_finish;
    }
    if (d->n == LMN_MAX_DEVICES)
        return lmn_fail(err, LAMINA_E_LIMIT, "an engine has at most %d devices", LMN_MAX_DEVICES);
    char reason[160] = "";
    if (vtable->probe(reason, sizeof reason) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_NODEV, "device %s is not there: %s", vtable->name, reason);
    void *self = NULL;
    lamina_status st = vtable->open(engine, options, &self);
    if (st != LAMINA_OK)
        return lmn_fail(err, st, "device %s could not be opened: %s", vtable->name,
                        lamina_status_text(st));
    d->dev[d->n].vt = vtable;
    d->dev[d->n++].self = self;
    return LAMINA_OK;
}
