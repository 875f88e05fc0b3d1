/*
 * A model that gives back its inputs, for clients of other people as judges of the codecs. Frames
 * on stdin: kind (0 HTTP, 1 gRPC, 2 and 3 metadata), json_bytes (int64), n (uint32), body. On
 * stdout: status (int32), json_bytes (int64), n (uint32), the answer or the sentence.
 */
#include "kserve_models.h"
#include "serve/grpc_codec.h"
#include "tensor/tensor.h"

#include <stdio.h>
#include <stdlib.h>

static const lmn_signature ECHO = {.model = "echo",
                                   .version = "1",
                                   .platform = "onnx_lamina",
                                   .in = KM_ALL,
                                   .out = KM_ALL,
                                   .n_in = sizeof KM_ALL / sizeof KM_ALL[0],
                                   .n_out = sizeof KM_ALL / sizeof KM_ALL[0]};

static lamina_status echo(lamina_engine *e, lmn_infer *r)
{
    memset(r->result, 0, ECHO.n_out * sizeof r->result[0]);
    r->n_result = ECHO.n_out;
    for (uint32_t i = 0; i < r->n_in; i++) {
        const lmn_infer_tensor *t = &r->in[i];
        lamina_tensor *y;
        LMN_TRY(lmn_tensor_new(e, t->dtype, t->rank, t->dims, true, &y));
        r->result[t->port] = y;
        if (t->dtype != LAMINA_STRING && t->bytes) memcpy(y->data, t->data, t->bytes);
        for (int64_t k = 0; t->dtype == LAMINA_STRING && k < lmn_count(y); k++) {
            const lmn_span text = ((const lmn_span *)t->data)[k];
            LMN_TRY(lamina_tensor_set_string(y, k, (const char *)text.p, text.n));
        }
    }
    if (r->n_out) return LAMINA_OK;
    for (uint32_t i = 0; i < r->n_in; i++) /* what is not given is not asked for */
        r->out[r->n_out++] = (lmn_infer_tensor){.port = r->in[i].port, .binary = r->binary_out};
    return LAMINA_OK;
}

static void put(lamina_status st, int64_t json_bytes, const lmn_span *pieces, uint32_t n)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) bytes += (uint32_t)pieces[i].n;
    fwrite(&st, 4, 1, stdout);
    fwrite(&json_bytes, 8, 1, stdout);
    fwrite(&bytes, 4, 1, stdout);
    for (uint32_t i = 0; i < n; i++)
        if (pieces[i].n) fwrite(pieces[i].p, 1, pieces[i].n, stdout);
}

static void serve(lamina_engine *e, lmn_infer *r, bool grpc, lmn_span body, int64_t json_bytes)
{
    lmn_arena arena;
    lamina_error err = {0};
    lmn_span pieces[LMN_GRPC_MAX_PIECES];
    uint32_t n = 0;
    r->n_result = 0;
    lmn_arena_init(&arena, &e->alloc, 1 << 28);
    lamina_status st = grpc ? lmn_grpc_read_infer(&ECHO, body, &arena, r, &err)
                            : lmn_kserve_read(&ECHO, body, json_bytes, &arena, r, &err);
    if (st == LAMINA_OK) st = echo(e, r);
    if (st == LAMINA_OK && grpc)
        st = lmn_grpc_write_infer(&ECHO, r, &arena, pieces, &n, &err);
    else if (st == LAMINA_OK)
        st = lmn_kserve_write(&ECHO, r, &arena, pieces, &n, &json_bytes, &err);
    const lmn_span sentence = {(const uint8_t *)err.msg, strlen(err.msg)};
    put(st, json_bytes, st ? &sentence : pieces, st ? 1 : n);
    for (uint32_t i = 0; i < r->n_result; i++) lamina_tensor_unref(r->result[i]);
    lmn_arena_finish(&arena);
}

/* Metadata as gRPC messages: 2 of the server, 3 of the model. */
static void describe(lamina_engine *e, uint8_t kind)
{
    static const uint64_t VERSIONS[] = {1, 20};
    lmn_arena arena;
    lmn_span out = {NULL, 0};
    lmn_arena_init(&arena, &e->alloc, 1 << 20);
    const lamina_status st = kind == 2 ? lmn_grpc_server_metadata(&arena, &out)
                                       : lmn_grpc_model_metadata(&ECHO, VERSIONS, 2, &arena, &out);
    put(st, -1, &out, 1);
    lmn_arena_finish(&arena);
}

int main(void)
{
    lamina_engine e;
    lmn_infer *r = calloc(1, sizeof *r);
    uint8_t kind;
    int64_t json_bytes;
    uint32_t n;
    if (!r || lmn_engine_init(&e, NULL) != LAMINA_OK) return 1;
    while (fread(&kind, 1, 1, stdin) == 1 && fread(&json_bytes, 8, 1, stdin) == 1 &&
           fread(&n, 4, 1, stdin) == 1) {
        uint8_t *body = malloc(n ? n : 1);
        if (!body || fread(body, 1, n, stdin) != n) return 1;
        if (kind > 1)
            describe(&e, kind);
        else
            serve(&e, r, kind == 1, (lmn_span){body, n}, json_bytes);
        fflush(stdout);
        free(body);
    }
    lmn_engine_finish(&e);
    free(r);
    return 0;
}
