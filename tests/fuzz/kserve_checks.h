/*
 * What the fuzzers of KServe requests check of every request that was taken.
 */
#ifndef LMN_FUZZ_KSERVE_CHECKS_H
#define LMN_FUZZ_KSERVE_CHECKS_H

#include "serve/kserve_models.h"
#include "tensor/tensor.h"

#include <stdlib.h>

static volatile uint8_t sink;

static void touch(const void *p, size_t n)
{
    for (size_t i = 0; i < n; i++) sink ^= ((const uint8_t *)p)[i];
}

static void check_input(const lmn_signature *s, const lmn_infer_tensor *t)
{
    int64_t n = 1;
    size_t bytes = 0;
    if (t->port >= s->n_in || t->dtype != s->in[t->port].dtype || t->rank > LAMINA_MAX_RANK)
        abort();
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->dims[i] < 0) abort();
        n *= t->dims[i];
    }
    if (t->dtype == LAMINA_STRING) {
        for (int64_t i = 0; i < n; i++) {
            const lmn_span text = ((const lmn_span *)t->data)[i];
            touch(text.p, text.n);
            bytes += text.n;
        }
    } else {
        bytes = (size_t)n * lmn_dtype_bytes(t->dtype);
        if ((uintptr_t)t->data % lmn_dtype_bytes(t->dtype)) abort();
        touch(t->data, bytes);
    }
    if (bytes != t->bytes) abort();
}

/* What was read with that status: whole, or refused by a sentence. True: it was taken. */
static bool check_request(const lmn_signature *s, const lmn_infer *r, lamina_status st,
                          const lamina_error *err)
{
    if (st != LAMINA_OK) {
        if (!err->msg[0] || err->status != st) abort();
        return false;
    }
    touch(r->id.p, r->id.n);
    for (uint32_t i = 0; i < r->n_in; i++) check_input(s, &r->in[i]);
    for (uint32_t i = 0; i < r->n_out; i++)
        if (r->out[i].port >= s->n_out) abort();
    return true;
}

/* As if the model gave back its input. */
static lamina_tensor *echo(lamina_engine *e, const lmn_infer_tensor *t)
{
    lamina_tensor *y = NULL;
    if (lmn_tensor_new(e, t->dtype, t->rank, t->dims, true, &y) != LAMINA_OK) return NULL;
    const int64_t n = lmn_count(y);
    if (t->dtype != LAMINA_STRING) {
        if (t->bytes) memcpy(y->data, t->data, t->bytes);
        return y;
    }
    for (int64_t i = 0; i < n; i++) {
        const lmn_span text = ((const lmn_span *)t->data)[i];
        if (lamina_tensor_set_string(y, i, (const char *)text.p, text.n) != LAMINA_OK) break;
    }
    return y;
}

#endif
