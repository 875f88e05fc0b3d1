/*
 * TLS from the side of a client, for our own tools: a socket of theirs with a session on it, which
 * is read and written as a plain one. The same plug-in as for listeners (http/tls.h).
 *
 * Invariants: a client and its links belong to one thread. The server's certificate is always
 * judged, by the roots given (else the system's) and by the host's name; there is no way around
 * that.
 */
#ifndef LMN_HTTP_TLS_LINK_H
#define LMN_HTTP_TLS_LINK_H

#include "base/os/os_socket.h"
#include "http/tls.h"

typedef struct lmn_tls_client lmn_tls_client;

typedef struct lmn_tls_client_opts {
    const char *ca;         /* file, PEM: whom to trust; NULL: whom the system trusts */
    const char *cert, *key; /* files, PEM: who we are; NULL: nobody */
    const char *host;       /* name or address that the server's certificate must name */
} lmn_tls_client_opts;

/* Reads the files. E_UNSUPPORTED: no plug-in; E_IO, E_PARSE, E_LIMIT, E_NOMEM. */
lamina_status lmn_tls_client_open(const lamina_allocator *alloc, const lmn_tls_client_opts *opts,
                                  lmn_tls_client **out, lamina_error *err);
void lmn_tls_client_close(lmn_tls_client *c); /* its links have ended; NULL is fine */

/* One connection; zeroed at first. */
typedef struct lmn_tls_link {
    lmn_tls_client *client;
    lmn_tls_session *session; /* NULL: none */
    int fd;                   /* borrowed */
    bool shaken;
    uint8_t *rest; /* records that the system has not taken */
    size_t rest_n, rest_at, rest_bytes;
} lmn_tls_link;

/* On a socket that is connected. False: no memory. */
bool lmn_tls_link_begin(lmn_tls_link *l, lmn_tls_client *c, int fd);
void lmn_tls_link_end(lmn_tls_link *l);
/* 1: hands are shaken; LMN_SOCK_AGAIN: call again when the socket is readable or writable;
 * LMN_SOCK_LOST: lmn_tls_link_why says why. */
int32_t lmn_tls_link_shake(lmn_tls_link *l);
const char *lmn_tls_link_why(const lmn_tls_link *l); /* NULL: the other end just left */
/* As lmn_sock_recv. An end that the server does not announce is LMN_SOCK_LOST. */
int64_t lmn_tls_link_recv(lmn_tls_link *l, void *buf, size_t cap);
/* How many bytes were taken, LMN_SOCK_AGAIN, LMN_SOCK_LOST. What was taken need not have left: */
int64_t lmn_tls_link_send(lmn_tls_link *l, const void *p, size_t n);
/* 1: all has left; else as above. */
int32_t lmn_tls_link_flush(lmn_tls_link *l);

/* http_tls.c: a file with a certificate or a key, whole; and to forget it. */
lamina_status lmn_tls_file_read(const lamina_allocator *alloc, const char *what, const char *path,
                                lmn_span *out, lamina_error *err);
void lmn_tls_file_forget(const lamina_allocator *alloc, lmn_span *text);

#endif
