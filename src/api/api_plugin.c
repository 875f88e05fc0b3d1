/*
 * lamina_plugin_load: open the library, find its table, hand both to the operators' room.
 */
#include "lamina/plugin.h"

#include "base/os/os_lib.h"
#include "ops/plugin.h"

static lamina_status load(lamina_engine *e, void *lib, bool *taken, lamina_error *err)
{
    *taken = false;
    if (lmn_plugins_have(e, lib)) return LAMINA_OK;
    const lamina_plugin *table = lmn_os_lib_symbol(lib, LAMINA_PLUGIN_SYMBOL);
    if (!table)
        return lmn_fail(err, LAMINA_E_UNSUPPORTED, "exports no %s: it is no plug-in of this engine",
                        LAMINA_PLUGIN_SYMBOL);
    LMN_TRY(lmn_plugins_add(e, table, lib, lmn_os_lib_close, err));
    *taken = true;
    return LAMINA_OK;
}

lamina_status lamina_plugin_load(lamina_engine *e, const char *path, lamina_error *err)
{
    if (!e || !path) return lmn_fail(err, LAMINA_E_INVALID, "the engine or the path is NULL");
    void *lib;
    bool taken = false;
    lamina_status st = lmn_os_lib_open(path, &lib, err);
    if (st == LAMINA_OK) {
        st = load(e, lib, &taken, err);
        if (!taken) lmn_os_lib_close(lib);
    }
    if (st != LAMINA_OK) lmn_error_prefix(err, "plug-in %.160s", path);
    return st;
}
