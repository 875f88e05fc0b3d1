/*
 * What is said of the results of a run, whatever the protocol: shape, type, elements or texts, and
 * their binary form.
 */
#include "serve/kserve_int.h"

#include "base/engine.h"
#include "tensor/tensor.h"

#include <string.h>

static lamina_status cannot(lamina_error *err, const char *name, const char *what)
{
    return lmn_fail(err, LAMINA_E_UNSUPPORTED, "output \"%s\" %s", name, what);
}

static lamina_status no_memory(lamina_error *err)
{
    return lmn_fail(err, LAMINA_E_NOMEM, "no memory for the answer");
}

uint32_t lmn_kserve_n_answers(const lmn_signature *s, const lmn_infer *r)
{
    const uint32_t n = r->n_out ? r->n_out : s->n_out;
    return n < LMN_INFER_MAX_PORTS ? n : LMN_INFER_MAX_PORTS;
}

/* The strings of a result as spans. */
static lamina_status texts_of(const lamina_tensor *t, lmn_arena *arena, lmn_kserve_said *o)
{
    lmn_span *texts = lmn_arena_raw(arena, (size_t)o->count + 1, sizeof *texts);
    if (!texts) return LAMINA_E_NOMEM;
    const lmn_str *from = t->data;
    for (int64_t i = 0; i < o->count; i++) {
        texts[i] = (lmn_span){(const uint8_t *)from[i].p, from[i].n};
        o->t.bytes += from[i].n;
    }
    o->t.data = texts;
    return LAMINA_OK;
}

lamina_status lmn_kserve_describe(const lmn_signature *s, const lmn_infer *r, uint32_t i,
                                  lmn_arena *arena, lmn_kserve_said *o, lamina_error *err)
{
    const lmn_infer_tensor whole = {.port = i, .binary = r->binary_out};
    const lmn_infer_tensor *asked = r->n_out ? &r->out[i] : &whole;
    const lamina_tensor *t = asked->port < r->n_result ? r->result[asked->port] : NULL;
    *o = (lmn_kserve_said){.isa = t && t->engine ? t->engine->cpu.isa : LMN_ISA_REF};
    const lmn_serve_port *port = &s->out[asked->port];
    o->name = port->name;
    o->binary = asked->binary && !asked->lent.region;
    o->lent = asked->lent;
    if (!t) return cannot(err, o->name, "has no value");
    if (t->kind != LAMINA_KIND_TENSOR || !lmn_kserve_type(t->dtype))
        return cannot(err, o->name, "is of a type that the protocol does not know");
    if (asked->n_classes) {
        if (t->dtype == LAMINA_STRING || t->dtype == LAMINA_BOOL)
            return cannot(err, o->name, "holds no numbers to be classified");
        if (lmn_kserve_classes(t, port, asked->n_classes, s->max_batch_size > 0, arena, &o->t))
            return no_memory(err);
        o->count = o->t.dims[0] * (o->t.rank > 1 ? o->t.dims[1] : 1);
        return LAMINA_OK;
    }
    o->t = (lmn_infer_tensor){.dtype = t->dtype, .rank = t->rank, .data = t->data};
    memcpy(o->t.dims, t->dims, sizeof o->t.dims);
    o->count = lmn_count(t);
    if (t->dtype == LAMINA_STRING)
        return texts_of(t, arena, o) == LAMINA_OK ? LAMINA_OK : no_memory(err);
    o->t.bytes = t->data_bytes;
    if (!t->strided) return LAMINA_OK;
    void *dense = lmn_arena_bump(arena, t->data_bytes, LMN_TENSOR_ALIGN);
    if (!dense) return no_memory(err);
    lmn_tensor_pack(t, dense);
    o->t.data = dense;
    return LAMINA_OK;
}

lamina_status lmn_kserve_binary_of(const lmn_kserve_said *o, lmn_arena *arena, lmn_span *out,
                                   lamina_error *err)
{
    *out = (lmn_span){o->t.data, o->t.bytes};
    if (o->t.dtype != LAMINA_STRING) return LAMINA_OK;
    const lmn_span *texts = o->t.data;
    size_t bytes;
    if (!lmn_add_size(o->t.bytes, (size_t)o->count * 4, &bytes)) return no_memory(err);
    uint8_t *p = lmn_arena_bump(arena, bytes, 1);
    if (!p) return no_memory(err);
    *out = (lmn_span){p, bytes};
    for (int64_t i = 0; i < o->count; i++) {
        if (texts[i].n > UINT32_MAX) return cannot(err, o->name, "has a text of more than 4 GiB");
        const uint32_t n = (uint32_t)texts[i].n;
        const uint8_t head[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
                                 (uint8_t)(n >> 24)};
        memcpy(p, head, 4);
        if (n) memcpy(p + 4, texts[i].p, n);
        p += 4 + n;
    }
    return LAMINA_OK;
}

lamina_status lmn_kserve_lend(lmn_kserve_said *o, lmn_arena *arena, lamina_error *err)
{
    lmn_span raw;
    const lmn_passed *m = &o->lent.region->memory;
    LMN_TRY(lmn_kserve_binary_of(o, arena, &raw, err));
    if (!m->writable)
        return lmn_fail(err, LAMINA_E_INVALID, "the region of output \"%s\" cannot be written",
                        o->name);
    if (raw.n > o->lent.bytes)
        return lmn_fail(err, LAMINA_E_INVALID,
                        "output \"%s\" has %zu bytes, and %zu of its region are for it", o->name,
                        raw.n, o->lent.bytes);
    if (raw.n) memcpy(m->p + o->lent.offset, raw.p, raw.n);
    o->lent.bytes = raw.n;
    return LAMINA_OK;
}
