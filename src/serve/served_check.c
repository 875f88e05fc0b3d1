/*
 * Does a request fit a served model, and in how many rows is it run? No lock: what is looked at is
 * fixed once the model is open.
 */
#include "serve/served_int.h"

#include "base/hash.h"
#include "tensor/tensor.h"

static lamina_status bad(lmn_infer *r, const lmn_serve_port *p, lamina_status st, const char *what)
{
    return r->status = lmn_fail(&r->error, st, "input \"%.120s\": %s", p->name, what);
}

static lamina_status check_port(const lmn_model *m, lmn_infer *r, const lmn_infer_tensor *t)
{
    const lmn_serve_port *p = &m->signature.in[t->port];
    int64_t n = 1;
    if (t->dtype != p->dtype) return bad(r, p, LAMINA_E_DTYPE, "its type is not the model's");
    if (p->rank >= 0 && t->rank != p->rank)
        return r->status = lmn_fail(&r->error, LAMINA_E_SHAPE,
                                    "input \"%.120s\": it has %d dimensions and must have %d",
                                    p->name, t->rank, p->rank);
    if (t->rank < 0 || t->rank > LAMINA_MAX_RANK)
        return bad(r, p, LAMINA_E_SHAPE, "it has too many dimensions");
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0 || !lmn_mul_i64(n, t->dims[i], &n))
            return bad(r, p, LAMINA_E_SHAPE, "its shape is negative or too large");
        if (p->rank >= 0 && p->dims[i] >= 0 && p->dims[i] != t->dims[i])
            return r->status = lmn_fail(&r->error, LAMINA_E_SHAPE,
                                        "input \"%.120s\": dimension %d is %lld and must be %lld",
                                        p->name, i, (long long)t->dims[i], (long long)p->dims[i]);
    }
    size_t bytes;
    if (t->dtype != LAMINA_STRING && (!lmn_dense_bytes(t->dtype, n, &bytes) || bytes != t->bytes))
        return bad(r, p, LAMINA_E_SHAPE, "its data have not the size of its shape");
    if (m->config.batch.max_batch_size <= 0) return LAMINA_OK;
    if (t->rank < 1 || t->dims[0] < 1) return bad(r, p, LAMINA_E_SHAPE, "it has no rows");
    if (r->rows && r->rows != t->dims[0])
        return bad(r, p, LAMINA_E_SHAPE, "its rows are not as many as those of other inputs");
    r->rows = t->dims[0];
    return LAMINA_OK;
}

lamina_status lmn_model_check(const lmn_model *m, lmn_infer *r)
{
    const lmn_signature *s = &m->signature;
    uint64_t there = 0, key = 0;
    r->rows = 0;
    r->bytes = 0;
    r->n_result = 0;
    if (r->n_in > s->n_in || r->n_out > s->n_out)
        return r->status = lmn_fail(&r->error, LAMINA_E_INVALID, "too many inputs or outputs");
    for (uint32_t i = 0; i < r->n_in; i++) {
        const lmn_infer_tensor *t = &r->in[i];
        if (t->port >= s->n_in || there >> t->port & 1)
            return r->status =
                       lmn_fail(&r->error, LAMINA_E_INVALID, "an input is unknown or given twice");
        there |= (uint64_t)1 << t->port;
        LMN_TRY(check_port(m, r, t));
        r->bytes += t->bytes;
        if (!m->fixed)
            key = lmn_hash_bytes(key ^ (uint64_t)t->port << 32 ^ (uint64_t)t->rank, t->dims + 1,
                                 t->rank > 1 ? (size_t)(t->rank - 1) * sizeof t->dims[0] : 0);
    }
    for (uint32_t i = 0; i < s->n_in; i++)
        if (!(there >> i & 1) && !s->in[i].optional)
            return bad(r, &s->in[i], LAMINA_E_INVALID, "it is missing");
    for (uint32_t i = 0; i < r->n_out; i++)
        if (r->out[i].port >= s->n_out)
            return r->status = lmn_fail(&r->error, LAMINA_E_INVALID, "an output is unknown");
    if (!r->rows) r->rows = 1;
    r->key = m->fixed ? 0 : key ^ there;
    return LAMINA_OK;
}

/* Up to 16 rows as they are, then in steps of an eighth to a sixteenth. */
int64_t lmn_model_pad(const lmn_model *m, int64_t rows)
{
    const lmn_batch_config *c = &m->config.batch;
    const int64_t max = c->grow_rows ? c->grow_rows : c->max_batch_size;
    if (max <= 0 || rows <= 16) return rows;
    const int64_t step = (int64_t)1 << (60 - __builtin_clzll((uint64_t)rows - 1));
    return lmn_min_i64(lmn_round_up_i64(rows, step), lmn_max_i64(max, rows));
}
