/*
 * Parts of this room that lean on other people's libraries (TLS, HTTP/2) are plug-ins, so that a
 * server that needs neither links neither. A plug-in is liblamina-NAME.so; it is looked for in the
 * folder that LAMINA_PLUGIN_PATH names, else beside the library or program that this code is part
 * of, else in the library folder of the same installation; nowhere else.
 *
 * It exports one constant, lamina_NAME_plugin, which begins with an lmn_http_plugin_head and goes
 * on as the contract of its NAME says (http/tls.h: "tls"). A plug-in is never unloaded while
 * anything that it made lives, and calls nothing of this library but through what it is handed.
 */
#ifndef LMN_HTTP_HTTP_PLUGIN_H
#define LMN_HTTP_HTTP_PLUGIN_H

#include "base/error.h"

typedef struct lmn_http_plugin_head {
    uint32_t version; /* of the contract: the two sides must have the same */
    uint32_t bytes;   /* sizeof of the whole table */
} lmn_http_plugin_head;

typedef struct lmn_http_plugin {
    void *lib; /* NULL: none */
    const lmn_http_plugin_head *table;
} lmn_http_plugin;

/* E_UNSUPPORTED: there is none, or it is of another version; the sentence says which, and holds
 * paths: it is for who runs the server, not for who asks it. */
lamina_status lmn_http_plugin_open(const char *name, uint32_t version, uint32_t bytes,
                                   lmn_http_plugin *out, lamina_error *err);
void lmn_http_plugin_close(lmn_http_plugin *p);

#endif
