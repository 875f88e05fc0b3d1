/*
 * A server for check_desync.py: every answer carries X-Echo and tells path and length of the body
 * of its request; /count tells how many others came; /big is 1 MiB. Usage: echo_server [MS], the
 * time limits of stalling and of idling, or echo_server CERT KEY; prints its port, ends with its
 * standard input.
 */
#include "base/alloc.h"
#include "http/h2.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void request(void *ctx, lmn_http_request *r)
{
    unsigned *count = ctx;
    static const uint8_t big[1 << 20];
    char text[300];
    const lmn_http_field mark = {{(const uint8_t *)"X-Echo", 6}, {(const uint8_t *)"1", 1}};
    const bool asks = r->path.n == 6 && memcmp(r->path.p, "/count", 6) == 0;
    const int n = asks ? snprintf(text, sizeof text, "%u", *count)
                       : snprintf(text, sizeof text, "%.*s %zu", (int)(r->path.n % 200),
                                  (const char *)r->path.p, r->body.n);
    const bool large = r->path.n == 4 && memcmp(r->path.p, "/big", 4) == 0;
    const lmn_http_piece piece = {
        .bytes = {large ? big : (const uint8_t *)text, large ? sizeof big : (size_t)n}};
    const lmn_http_answer a = {
        .status = 200, .fields = &mark, .n_fields = 1, .pieces = &piece, .n_pieces = 1};
    *count += !asks;
    lmn_http_reply(r, &a);
}

int main(int argc, char **argv)
{
    const uint64_t ns = argc == 2 ? strtoull(argv[1], NULL, 10) * UINT64_C(1000000) : 0;
    unsigned count = 0;
    lmn_http_server *s;
    lmn_http_plugin h2 = {NULL, NULL};
    (void)lmn_http_plugin_open("h2", LMN_H2_VERSION, sizeof(lmn_h2_table), &h2, NULL);
    lamina_error err;
    lmn_http_listen where = {.where = "127.0.0.1:0"};
    if (argc == 3) {
        const lmn_http_tls_opts tls = {.cert = argv[1], .key = argv[2]};
        if (lmn_http_tls_open(&lmn_libc_allocator, &tls, &where.tls, &err) != LAMINA_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
    }
    const lmn_http_handler handler = {.ctx = &count, .request = request};
    const lmn_http_server_opts opts = {.listen = &where,
                                       .n_listen = 1,
                                       .limits = {.header_ns = ns, .idle_ns = ns, .stall_ns = ns},
                                       .handler = &handler,
                                       .h2 = (const lmn_h2_table *)(const void *)h2.table};
    if (lmn_http_start(&lmn_libc_allocator, &opts, &s, &err) != LAMINA_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("%u\n", lmn_http_port(s, 0));
    fflush(stdout);
    while (getchar() != EOF) {
    }
    lmn_http_stop(s);
    lmn_http_tls_close(where.tls);
    lmn_http_plugin_close(&h2);
    return 0;
}
