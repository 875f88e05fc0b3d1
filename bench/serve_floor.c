/*
 * The floor of serving: the http room with a fixed answer and no model, for wrk beside nginx.
 * Usage: bench_serve_floor [ADDRESS [LOOPS [BODY_BYTES]]]; ends with its standard input, then tells
 * the CPU time of a request.
 */
#include "base/alloc.h"
#include "base/os/os_time.h"
#include "http/http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void answer(void *ctx, lmn_http_request *r)
{
    const lmn_http_piece piece = {.bytes = *(const lmn_span *)ctx};
    const lmn_http_answer a = {
        .status = 200, .content_type = "application/json", .pieces = &piece, .n_pieces = 1};
    lmn_http_reply(r, &a);
}

int main(int argc, char **argv)
{
    const size_t n = argc > 3 ? strtoul(argv[3], NULL, 10) : 140;
    uint8_t *body = malloc(n + 1);
    lmn_http_server *s;
    lamina_error err;
    lmn_http_stats stats;
    if (!body) return 1;
    memset(body, 'x', n);
    lmn_span span = {body, n};
    const lmn_http_listen where = {.where = argc > 1 ? argv[1] : "127.0.0.1:0"};
    const lmn_http_handler handler = {.ctx = &span, .request = answer};
    const lmn_http_server_opts opts = {.listen = &where,
                                       .n_listen = 1,
                                       .n_loops = argc > 2 ? (uint32_t)atoi(argv[2]) : 1,
                                       .handler = &handler};
    if (lmn_http_start(&lmn_libc_allocator, &opts, &s, &err) != LAMINA_OK) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    printf("port %u\n", lmn_http_port(s, 0));
    fflush(stdout);
    const uint64_t cpu = lmn_process_cpu_ns();
    while (getchar() != EOF) {
    }
    lmn_http_get_stats(s, &stats);
    printf("%llu requests, %.2f us CPU each\n", (unsigned long long)stats.requests,
           (double)(lmn_process_cpu_ns() - cpu) / 1e3 / (double)(stats.requests + !stats.requests));
    lmn_http_stop(s);
    free(body);
    return 0;
}
