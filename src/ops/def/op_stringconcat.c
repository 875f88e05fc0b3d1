/*
 * StringConcat (ai.onnx, since 20): elementwise concatenation with numpy broadcast.
 */
#include "ops/strings.h"

#include <string.h>

typedef struct pairing {
    int32_t rank;
    int64_t dims[LMN_MAX_RANK], a_st[LMN_MAX_RANK], b_st[LMN_MAX_RANK];
} pairing;

static void spread(const lamina_tensor *t, int32_t rank, int64_t *st)
{
    int64_t own[LMN_MAX_RANK];
    lmn_dense_strides(t->rank, t->dims, own);
    for (int32_t k = 0; k < rank; k++) {
        const int32_t i = k - (rank - t->rank);
        st[k] = i >= 0 && t->dims[i] != 1 ? own[i] : 0;
    }
}

static lamina_status pair(lmn_eval *ec, const lamina_tensor *a, const lamina_tensor *b, pairing *p)
{
    p->rank = a->rank > b->rank ? a->rank : b->rank;
    for (int32_t k = 0; k < p->rank; k++) {
        const int32_t i = k - (p->rank - a->rank), j = k - (p->rank - b->rank);
        const int64_t x = i >= 0 ? a->dims[i] : 1, y = j >= 0 ? b->dims[j] : 1;
        if (x != y && x != 1 && y != 1)
            return lmn_eval_fail(ec, LAMINA_E_SHAPE, "extents %lld and %lld cannot be broadcast",
                                 (long long)x, (long long)y);
        p->dims[k] = x == 1 ? y : x;
    }
    spread(a, p->rank, p->a_st);
    spread(b, p->rank, p->b_st);
    return LAMINA_OK;
}

/* Places of element i in both inputs. */
static void locate(const pairing *p, int64_t i, int64_t *a, int64_t *b)
{
    *a = *b = 0;
    for (int32_t k = p->rank - 1; k >= 0; k--) {
        *a += i % p->dims[k] * p->a_st[k];
        *b += i % p->dims[k] * p->b_st[k];
        i /= p->dims[k];
    }
}

static lamina_status eval_stringconcat(lmn_eval *ec)
{
    const lamina_tensor *a, *b;
    pairing p = {0};
    size_t bytes = 0;
    int64_t i, k;
    lmn_str_pool pool;
    lmn_plain out;
    LMN_TRY(lmn_need_strings(ec, 0, &a));
    LMN_TRY(lmn_need_strings(ec, 1, &b));
    LMN_TRY(pair(ec, a, b, &p));
    LMN_TRY(lmn_check_grown(ec, LAMINA_STRING, p.rank, p.dims));
    LMN_TRY(lmn_plain_out(ec, 0, LAMINA_STRING, p.rank, p.dims, &out));
    if (!out.t) return LAMINA_OK;
    for (int64_t e = 0; e < out.n; e++) {
        locate(&p, e, &i, &k);
        if (!lmn_add_size(bytes, lmn_strs(a)[i].n + lmn_strs(b)[k].n, &bytes))
            return lmn_eval_fail(ec, LAMINA_E_LIMIT, "the text is too long");
    }
    LMN_TRY(lmn_str_pool_make(ec, bytes, &pool));
    for (int64_t e = 0; e < out.n; e++) {
        locate(&p, e, &i, &k);
        const lmn_str *x = &lmn_strs(a)[i], *y = &lmn_strs(b)[k];
        if (x->n) memcpy(pool.at, x->p, x->n);
        if (y->n) memcpy(pool.at + x->n, y->p, y->n);
        lmn_plain_strs(&out)[e] = (lmn_str){pool.at, x->n + y->n};
        pool.at += x->n + y->n;
    }
    return lmn_plain_done(ec, &out);
}

static const lmn_port IN[] = {{"X", 0, 0, LMN_D_STRING}, {"Y", 0, 0, LMN_D_STRING}, {0}};
static const lmn_port OUT[] = {{"Z", 0, 0, LMN_D_STRING}, {0}};

const lmn_op_def lmn_op_StringConcat = {
    .name = "StringConcat",
    .domain = "",
    .since = 20,
    .flags = LMN_OP_ELEMENTWISE,
    .in = IN,
    .out = OUT,
    .eval = eval_stringconcat,
};
