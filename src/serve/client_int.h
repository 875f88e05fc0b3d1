/*
 * The client as its parts see it: client.c talks, client_example.c makes requests.
 */
#ifndef LMN_SERVE_CLIENT_INT_H
#define LMN_SERVE_CLIENT_INT_H

#include "lamina/client.h"

#include "base/os/os_socket.h"
#include "base/strbuf.h"

#define LMN_CLIENT_READ (64u << 10)

struct lamina_client {
    lamina_client_opts opts;
    lmn_address address;
    char host[256], token[512];
    int fd;    /* -1: none */
    bool used; /* it has answered before */
    lmn_strbuf out, body, type;
    lmn_strbuf example, target;
    uint8_t room[LMN_CLIENT_READ];
};

#endif
