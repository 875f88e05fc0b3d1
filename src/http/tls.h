/*
 * TLS as this room sees it: what the plug-in "tls" (plugins/tls) gives. It is a machine over bytes
 * that knows no descriptors and no files: records come by `recv` and leave into a buffer that is
 * lent for the call, so that one send can carry all records of an answer.
 *
 * It plays both ends: a server's, and a client's, which trusts nobody whom the roots do not vouch
 * for and whose certificate does not name the host.
 *
 * Invariants: a session belongs to one thread; a context may be used by any thread; a session keeps
 * what it needs of its context. Renegotiation is refused, nothing below TLS 1.2 is spoken, and a
 * passphrase is never asked for.
 */
#ifndef LMN_HTTP_TLS_H
#define LMN_HTTP_TLS_H

#include "http/http_plugin.h"

#define LMN_TLS_VERSION 3u
/* `out` of a wire has room for the records of so many bytes, and what else there may be to say. */
#define LMN_TLS_SEAL_MOST ((size_t)48 << 10)
#define LMN_TLS_OUT_BYTES ((size_t)64 << 10)

typedef struct lmn_tls_context lmn_tls_context;
typedef struct lmn_tls_session lmn_tls_session;

/* PEM texts; borrowed until return. */
typedef struct lmn_tls_files {
    lmn_span cert; /* our own, then those between it and a root; a client may have none */
    lmn_span key;  /* without a passphrase */
    lmn_span ca;   /* who the others' certificates must come from. Empty: a server asks for none, a
                      client trusts whom the system trusts, the one thing that is read from files */
    lmn_span alpn; /* protocols, each behind a byte with its length, best first */
    bool client;
} lmn_tls_files;

enum {
    LMN_TLS_AGAIN = -1, /* not before more comes */
    LMN_TLS_LOST = -2   /* over: what `out` then holds may say why */
};

/* Both ends of the line of one session, for one call. */
typedef struct lmn_tls_wire {
    int64_t (*recv)(void *ctx, void *buf, size_t cap); /* as lmn_sock_recv: 0 the end, -1, -2 */
    void *ctx;
    uint8_t *out; /* LMN_TLS_OUT_BYTES */
    size_t out_n; /* how much of it is to be sent, after the call */
} lmn_tls_wire;

typedef struct lmn_tls_table {
    lmn_http_plugin_head head;
    const char *(*about)(void); /* "OpenSSL 3.0.19 ..." */
    /* E_INVALID, E_PARSE, E_NOMEM; the sentence names certificate, key or CA. */
    lamina_status (*context_make)(const lmn_tls_files *files, lmn_tls_context **out,
                                  lamina_error *err);
    void (*context_free)(lmn_tls_context *c); /* sessions go on */
    /* `host`: of a client: the name or address that the server's certificate must name; else NULL.
     * NULL: no memory. */
    lmn_tls_session *(*session_make)(lmn_tls_context *c, const char *host);
    void (*session_free)(lmn_tls_session *s);
    /* 1: done; AGAIN, LOST. */
    int32_t (*handshake)(lmn_tls_session *s, lmn_tls_wire *w);
    /* How many bytes; 0: the end, said or not; AGAIN, LOST. */
    int64_t (*read)(lmn_tls_session *s, lmn_tls_wire *w, void *buf, size_t cap);
    /* After AGAIN: did a part of a record come, whose rest is awaited? */
    bool (*within)(const lmn_tls_session *s);
    /* Seal n <= LMN_TLS_SEAL_MOST bytes, beyond what out holds already. False: lost. */
    bool (*write)(lmn_tls_session *s, lmn_tls_wire *w, const void *p, size_t n);
    /* Say that no more will be sent. */
    void (*finish)(lmn_tls_session *s, lmn_tls_wire *w);
    /* Of the handshake: the protocol both have, or empty. Lives as long as the session. */
    lmn_span (*alpn)(const lmn_tls_session *s);
    /* Why it was lost: a constant phrase; NULL: the connection was. */
    const char *(*why)(const lmn_tls_session *s);
} lmn_tls_table;

#endif
