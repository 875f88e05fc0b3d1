/*
 * The client as its parts see it: client.c talks, client_example.c makes requests.
 */
#ifndef LMN_SERVE_CLIENT_INT_H
#define LMN_SERVE_CLIENT_INT_H

#include "lamina/client.h"

#include "base/strbuf.h"
#include "http/tls_link.h"

#define LMN_CLIENT_READ (64u << 10)

/* An address with TLS or without. */
typedef struct lmn_client_where {
    char host[256]; /* as it was given, without "https://", with a port: for sentences and Host */
    lmn_address address;
    lmn_tls_client *tls; /* owned; NULL: plain */
} lmn_client_where;
/* `tls` says what is to be known for https; its host is filled in where it is NULL. */
lamina_status lmn_client_find(const char *address, const lmn_tls_client_opts *tls,
                              lmn_client_where *out, lamina_error *err);

struct lamina_client {
    lamina_client_opts opts;
    lmn_client_where where;
    char token[512];
    int fd;    /* -1: none */
    bool used; /* it has answered before */
    lmn_tls_link link;
    lmn_strbuf out, body, type;
    lmn_strbuf example, target;
    uint8_t room[LMN_CLIENT_READ];
};

#endif
