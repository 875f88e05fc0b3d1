/*
 * lamina_tls: what the http room knows of certificates, with the options of the public face.
 */
#include "serve/server_int.h"

lamina_status lamina_tls_open(lamina_engine *engine, const lamina_tls_opts *opts, lamina_tls **out,
                              lamina_error *err)
{
    lamina_tls_opts o;
    if (!engine || !out || !opts) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    if (lmn_opts_read(&o, sizeof o, opts) != LAMINA_OK)
        return lmn_fail(err, LAMINA_E_INVALID, "an option is set that this version does not know");
    if (!o.cert || !o.key)
        return lmn_fail(err, LAMINA_E_INVALID, "TLS wants a certificate and its key");
    lamina_tls *t = lmn_calloc(&engine->alloc, 1, sizeof *t, "tls");
    if (!t) return lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    t->alloc = &engine->alloc;
    t->asks_clients = o.client_ca != NULL;
    static const char BOTH[] = "\x02h2\x08http/1.1";
    t->offers_h2 = o.http2 != NULL;
    const lmn_http_tls_opts h = {
        .cert = o.cert,
        .key = o.key,
        .client_ca = o.client_ca,
        .alpn = {(const uint8_t *)BOTH, t->offers_h2 ? sizeof BOTH - 1 : 0}};
    const lamina_status st = lmn_http_tls_open(t->alloc, &h, &t->http, err);
    if (st == LAMINA_OK)
        *out = t;
    else
        lmn_cfree(t->alloc, t, 1, sizeof *t, "tls");
    return st;
}

lamina_status lamina_tls_reload(lamina_tls *t, lamina_error *err)
{
    if (!t) return lmn_fail(err, LAMINA_E_INVALID, "an argument is NULL");
    return lmn_http_tls_reload(t->http, err);
}

void lamina_tls_close(lamina_tls *t)
{
    if (!t) return;
    lmn_http_tls_close(t->http);
    lmn_cfree(t->alloc, t, 1, sizeof *t, "tls");
}
