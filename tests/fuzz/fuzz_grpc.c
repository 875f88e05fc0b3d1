/*
 * Fuzz target: messages of KServe over gRPC. The first byte says which model, and whether memory
 * was lent, which has its exact size. What is taken has tensors that can be read to their last
 * byte, and the answer made of one of them is a message.
 */
#include "serve/grpc_codec.h"

#include "base/pbwire.h"
#include "kserve_checks.h"

static void check_message(lmn_span bytes)
{
    lmn_pb c = lmn_pb_of(bytes);
    lmn_pb_field f;
    while (lmn_pb_next(&c, &f)) {
        if (f.wire != LMN_PB_BYTES || f.num == 0 || f.num > 6) abort();
        touch(f.s.p, f.s.n);
    }
    if (c.bad) abort();
}

static void check_answer(lamina_engine *e, const lmn_signature *s, lmn_infer *r, lmn_arena *arena)
{
    lmn_span pieces[LMN_GRPC_MAX_PIECES];
    uint32_t n = 0;
    lamina_error err = {0};
    lamina_tensor *y = r->n_in ? echo(e, &r->in[0]) : NULL;
    r->result[0] = r->result[1] = y;
    r->n_result = 2;
    if (lmn_grpc_write_infer(s, r, arena, pieces, &n, &err) == LAMINA_OK) {
        size_t bytes = 0;
        for (uint32_t i = 0; i < n; i++) bytes += pieces[i].n;
        uint8_t *all = malloc(bytes + 1);
        bytes = 0;
        for (uint32_t i = 0; i < n; i++) {
            if (pieces[i].n) memcpy(all + bytes, pieces[i].p, pieces[i].n);
            bytes += pieces[i].n;
        }
        check_message((lmn_span){all, bytes});
        free(all);
    } else if (!err.msg[0]) {
        abort();
    }
    lamina_tensor_unref(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static lamina_engine e; /* one for all: it asks the machine what it is */
    static bool begun;
    lamina_error err = {0};
    lmn_grpc_target target;
    lmn_arena arena;
    if (size < 1 || (!begun && lmn_engine_init(&e, NULL) != LAMINA_OK)) return 0;
    begun = true;
    lmn_infer *r = malloc(sizeof *r);
    uint8_t *memory = calloc(1, 64);
    lmn_lent_region region = {
        .name = "r", .memory = {.p = memory, .bytes = 64, .fixed = data[0] & 64, .writable = true}};
    lmn_lent_view lent = {.n = 1, .region = {&region}};
    r->lent = data[0] & 128 ? &lent : NULL;
    const lmn_signature *s = &KM_MODELS[data[0] % (sizeof KM_MODELS / sizeof KM_MODELS[0])];
    const size_t n = size - 1;
    uint8_t *body = malloc(n ? n : 1); /* the very size: what lies behind is foreign */
    if (n) memcpy(body, data + 1, n);
    const lmn_span message = {body, n};
    if (lmn_grpc_read_target(message, &target, &err) == LAMINA_OK) {
        touch(target.name.p, target.name.n);
        touch(target.version.p, target.version.n);
    }
    lmn_arena_init(&arena, &e.alloc, 1 << 20);
    err = (lamina_error){0};
    const lamina_status st = lmn_grpc_read_infer(s, message, &arena, r, &err);
    if (check_request(s, r, st, &err)) check_answer(&e, s, r, &arena);
    lmn_arena_finish(&arena);
    free(body);
    free(memory);
    free(r);
    return 0;
}
