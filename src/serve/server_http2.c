/*
 * lamina/serve.h: the plug-in for HTTP/2 as an object of its own, so that it can be found before a
 * process gives up reading files.
 */
#include "serve/server_int.h"

#include "base/engine.h"
#include "http/h2.h"

struct lamina_http2 {
    const lamina_allocator *alloc;
    lmn_http_plugin plugin;
};

lamina_status lamina_http2_open(lamina_engine *engine, lamina_http2 **out, lamina_error *err)
{
    if (!engine || !out) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    lamina_http2 *h = lmn_calloc(&engine->alloc, 1, sizeof *h, "http2");
    if (!h) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    h->alloc = &engine->alloc;
    const lamina_status st =
        lmn_http_plugin_open("h2", LMN_H2_VERSION, sizeof(lmn_h2_table), &h->plugin, err);
    if (st == LAMINA_OK)
        *out = h;
    else
        lmn_cfree(h->alloc, h, 1, sizeof *h, "http2");
    return st;
}

void lamina_http2_close(lamina_http2 *h)
{
    if (!h) return;
    lmn_http_plugin_close(&h->plugin);
    lmn_cfree(h->alloc, h, 1, sizeof *h, "http2");
}

const char *lamina_http2_name(const lamina_http2 *h)
{
    return h ? lmn_serve_h2(h)->name : "none";
}

const lmn_h2_table *lmn_serve_h2(const lamina_http2 *h)
{
    return h ? (const lmn_h2_table *)(const void *)h->plugin.table : NULL;
}
