/*
 * Answers as messages. Their parts are small but for raw contents, which are pieces of their own
 * that lie where the run left them.
 */
#include "serve/grpc_codec.h"

#include "base/number.h"
#include "base/pbwire.h"
#include "serve/kserve_int.h"

#include <string.h>

/* Bytes that are written, or only counted while `p` is NULL. */
typedef struct writer {
    uint8_t *p;
    size_t n;
} writer;

static void put_varint(writer *w, uint64_t v)
{
    if (w->p)
        w->n += lmn_pb_put_varint(w->p + w->n, v);
    else
        w->n += lmn_pb_varint_bytes(v);
}

static void put_head(writer *w, uint32_t field, size_t bytes)
{
    put_varint(w, (uint64_t)field << 3 | LMN_PB_BYTES);
    put_varint(w, bytes);
}

static void put_bytes(writer *w, uint32_t field, const void *s, size_t n)
{
    if (n == 0) return; /* that is what nothing means */
    put_head(w, field, n);
    if (w->p) memcpy(w->p + w->n, s, n);
    w->n += n;
}

static void put_text(writer *w, uint32_t field, const char *s)
{
    put_bytes(w, field, s, strlen(s));
}

/* A tensor's name, type and shape: fields 1, 2, 3 of InferOutputTensor and of TensorMetadata. Of an
 * output also where its bytes are, when they are in memory that was lent: field 4. */
typedef struct about {
    const char *name;
    lamina_dtype dtype;
    int32_t rank;
    const int64_t *dims;
    const lmn_lent_part *lent;
} about;

/* An entry of a map of parameters: a text, or a number. */
static void put_parameter(writer *w, const char *key, const char *text, uint64_t number)
{
    writer value = {NULL, 0}, entry = {NULL, 0};
    for (writer *v = &value;; v = w) {
        if (v == w) {
            put_text(&entry, 1, key);
            put_head(&entry, 2, value.n);
            put_head(w, 4, entry.n + value.n);
            put_text(w, 1, key);
            put_head(w, 2, value.n);
        }
        if (text) {
            put_text(v, 3, text);
        } else {
            put_varint(v, 2 << 3 | LMN_PB_VARINT);
            put_varint(v, number);
        }
        if (v == w) return;
    }
}

static void put_lent(writer *w, const lmn_lent_part *lent)
{
    if (!lent || !lent->region) return;
    put_parameter(w, "shared_memory_region", lent->region->name, 0);
    put_parameter(w, "shared_memory_byte_size", NULL, lent->bytes);
    put_parameter(w, "shared_memory_offset", NULL, lent->offset);
}

static void put_about(writer *w, uint32_t field, const about *a)
{
    const char *type = lmn_kserve_type(a->dtype);
    writer dims = {NULL, 0}, all = {NULL, 0};
    for (int32_t i = 0; i < a->rank; i++) put_varint(&dims, (uint64_t)a->dims[i]);
    put_text(&all, 1, a->name);
    put_text(&all, 2, type ? type : "INVALID");
    if (dims.n) put_head(&all, 3, dims.n);
    put_lent(&all, a->lent);
    put_head(w, field, all.n + dims.n);
    put_text(w, 1, a->name);
    put_text(w, 2, type ? type : "INVALID");
    if (dims.n) put_head(w, 3, dims.n);
    for (int32_t i = 0; i < a->rank; i++) put_varint(w, (uint64_t)a->dims[i]);
    put_lent(w, a->lent);
}

static lamina_status no_memory(lamina_error *err)
{
    return lmn_fail(err, LAMINA_E_NOMEM, "no memory for the answer");
}

/* The answer but for the contents of outputs. */
static void put_answer(writer *w, const lmn_signature *s, const lmn_infer *r,
                       const lmn_kserve_said *all, uint32_t n)
{
    put_text(w, 1, s->model);
    put_text(w, 2, s->version);
    put_bytes(w, 3, r->id.p, r->id.n);
    for (uint32_t i = 0; i < n; i++) {
        const about a = {all[i].name, all[i].t.dtype, all[i].t.rank, all[i].t.dims, &all[i].lent};
        put_about(w, 5, &a);
    }
}

lamina_status lmn_grpc_write_infer(const lmn_signature *s, const lmn_infer *r, lmn_arena *arena,
                                   lmn_span pieces[LMN_GRPC_MAX_PIECES], uint32_t *n_pieces,
                                   lamina_error *err)
{
    const uint32_t n = lmn_kserve_n_answers(s, r);
    writer w = {NULL, 0};
    arena->failed = false;
    lmn_kserve_said *all = lmn_arena_raw(arena, n + 1, sizeof *all);
    if (!all) return no_memory(err);
    for (uint32_t i = 0; i < n; i++) {
        LMN_TRY(lmn_kserve_describe(s, r, i, arena, &all[i], err));
        if (all[i].lent.region) LMN_TRY(lmn_kserve_lend(&all[i], arena, err));
    }
    put_answer(&w, s, r, all, n);
    w = (writer){lmn_arena_bump(arena, w.n + 1, 1), 0};
    if (!w.p) return no_memory(err);
    put_answer(&w, s, r, all, n);
    pieces[0] = (lmn_span){w.p, w.n};
    *n_pieces = 1;
    for (uint32_t i = 0; i < n; i++) {
        lmn_span raw = {NULL, 0}; /* there is one for each, if it holds nothing */
        if (!all[i].lent.region) LMN_TRY(lmn_kserve_binary_of(&all[i], arena, &raw, err));
        writer head = {lmn_arena_bump(arena, 20, 1), 0};
        if (!head.p) return no_memory(err);
        put_head(&head, 6, raw.n);
        pieces[(*n_pieces)++] = (lmn_span){head.p, head.n};
        pieces[(*n_pieces)++] = raw;
    }
    return LAMINA_OK;
}

size_t lmn_grpc_write_bool(uint8_t out[2], bool value)
{
    out[0] = 1 << 3 | LMN_PB_VARINT;
    out[1] = 1;
    return value ? 2 : 0;
}

static void put_server(writer *w)
{
    put_text(w, 1, "lamina");
    put_text(w, 2, LAMINA_VERSION_STRING);
    for (uint32_t i = 0; i < lmn_kserve_n_extensions; i++) put_text(w, 3, lmn_kserve_extensions[i]);
}

lamina_status lmn_grpc_server_metadata(lmn_arena *arena, lmn_span *out)
{
    writer w = {NULL, 0};
    put_server(&w);
    w = (writer){lmn_arena_bump(arena, w.n, 1), 0};
    if (!w.p) return LAMINA_E_NOMEM;
    put_server(&w);
    *out = (lmn_span){w.p, w.n};
    return LAMINA_OK;
}

static void put_ports(writer *w, uint32_t field, const lmn_serve_port *ports, uint32_t n)
{
    static const int64_t ANY = -1;
    for (uint32_t i = 0; i < n; i++) {
        const bool any = ports[i].rank < 0; /* the protocol cannot say "any rank" */
        const about a = {ports[i].name, ports[i].dtype, any ? 1 : ports[i].rank,
                         any ? &ANY : ports[i].dims, NULL};
        put_about(w, field, &a);
    }
}

static void put_model(writer *w, const lmn_signature *s, const uint64_t *versions, uint32_t n)
{
    put_text(w, 1, s->model);
    for (uint32_t i = 0; i < n; i++) {
        char text[LMN_NUMBER_BYTES];
        put_bytes(w, 2, text, lmn_u64_write(text, versions[i]));
    }
    put_text(w, 3, s->platform);
    put_ports(w, 4, s->in, s->n_in);
    put_ports(w, 5, s->out, s->n_out);
}

lamina_status lmn_grpc_model_metadata(const lmn_signature *s, const uint64_t *versions, uint32_t n,
                                      lmn_arena *arena, lmn_span *out)
{
    writer w = {NULL, 0};
    put_model(&w, s, versions, n);
    w = (writer){lmn_arena_bump(arena, w.n + 1, 1), 0};
    if (!w.p) return LAMINA_E_NOMEM;
    put_model(&w, s, versions, n);
    *out = (lmn_span){w.p, w.n};
    return LAMINA_OK;
}
