/*
 * Fuzz target: KServe bodies. The first byte says which model and how much of the rest is JSON.
 * What is taken has tensors that can be read to their last byte, and the answer made of one of them
 * is JSON. Memory that is lent has its exact size, so that reading or writing past it is seen.
 */
#include "kserve_checks.h"

static void check_answer(lamina_engine *e, const lmn_signature *s, lmn_infer *r, lmn_arena *arena)
{
    lmn_span pieces[1 + LMN_INFER_MAX_PORTS];
    uint32_t n = 0;
    int64_t json_bytes;
    lmn_json j;
    lmn_json_token t;
    lamina_error err;
    lamina_tensor *y = r->n_in ? echo(e, &r->in[0]) : NULL;
    r->result[0] = r->result[1] = y;
    r->n_result = 2;
    if (lmn_kserve_write(s, r, arena, pieces, &n, &json_bytes, &err) == LAMINA_OK) {
        for (uint32_t i = 0; i < n; i++) touch(pieces[i].p, pieces[i].n);
        lmn_json_init(&j, pieces[0], &err);
        for (lmn_json_kind k = LMN_JSON_NULL; k != LMN_JSON_END;) {
            k = lmn_json_next(&j, &t);
            if (k == LMN_JSON_ERROR) abort();
        }
    } else if (!err.msg[0]) {
        abort();
    }
    lamina_tensor_unref(y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t N = sizeof KM_MODELS / sizeof KM_MODELS[0];
    static lamina_engine e; /* one for all: it asks the machine what it is */
    static bool begun;
    lamina_error err = {0};
    lmn_arena arena;
    if (size < 2 || (!begun && lmn_engine_init(&e, NULL) != LAMINA_OK)) return 0;
    begun = true;
    lmn_infer *r = malloc(sizeof *r);
    /* memory that the client lent, which it may or may not change */
    uint8_t *memory = calloc(1, 64);
    lmn_lent_region region = {
        .name = "r", .memory = {.p = memory, .bytes = 64, .fixed = data[1] & 1, .writable = true}};
    lmn_lent_view lent = {.n = 1, .region = {&region}};
    r->lent = data[1] & 2 ? &lent : NULL;
    const lmn_signature *s = &KM_MODELS[data[0] % N];
    /* the tail is as long as the second byte says */
    const size_t n = size - 2, tail = data[1] < n ? data[1] : n;
    const uint8_t mode = (uint8_t)(data[0] / N % 4);
    const int64_t json_bytes = mode == 0 ? 0 : mode == 1 ? -1 : (int64_t)(n - tail);
    uint8_t *body = malloc(n ? n : 1); /* the very size: what lies behind is foreign */
    if (n) memcpy(body, data + 2, n);
    lmn_arena_init(&arena, &e.alloc, 1 << 20);
    const lamina_status st = lmn_kserve_read(s, (lmn_span){body, n}, json_bytes, &arena, r, &err);
    if (check_request(s, r, st, &err)) check_answer(&e, s, r, &arena);
    lmn_arena_finish(&arena);
    free(body);
    free(memory);
    free(r);
    return 0;
}
