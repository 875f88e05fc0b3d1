/*
 * FusedAttention (fusedattn.h): the reference. Sums are f64; a score is rounded to f32 where the
 * separate operators would round it after the scale, the mask and the bias, so that a huge negative
 * mask swallows a score here as it does there.
 */
#include "ops/fusedattn.h"

#include "ops/f64io.h"
#include "ops/linalg.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

enum { N_IN = 5 };
static const char *const PERM[] = {"perm_q", "perm_k", "perm_v"};

/* An order of the axes: their number, 0 if it is none. */
static int32_t read_perm(const lmn_opnode *n, const char *name, const int64_t **perm)
{
    const int32_t rank = lmn_attr_ints(n, name, perm);
    uint32_t seen = 0;
    if (rank != 3 && rank != 4) return 0;
    for (int32_t i = 0; i < rank; i++) {
        if ((*perm)[i] < 0 || (*perm)[i] >= rank) return 0;
        seen |= 1u << (*perm)[i];
    }
    return seen == (1u << rank) - 1 ? rank : 0;
}

/* Rank that all four orders agree on, 0 if they do not. */
static int32_t read_perms(const lmn_opnode *n, const int64_t *perm[4])
{
    const int32_t rank = read_perm(n, "perm_y", &perm[3]);
    for (int32_t i = 0; i < 3; i++)
        if (read_perm(n, PERM[i], &perm[i]) != rank) return 0;
    return rank;
}

#define PERMS_WRONG "perm_q, perm_k, perm_v and perm_y must each order the same 3 or 4 axes"

/* ---- inference ---------------------------------------------------------------------------------
 */

/* *dim becomes the broadcast of itself and the axis `back` from the end of a mask. */
static void widen(lmn_infer *ic, int32_t i, int32_t back, lmn_dim *dim)
{
    if (!lmn_infer_has(ic, i) || ic->in[i]->rank < 0) {
        if (i < ic->node->n_in && ic->in[i]) *dim = LMN_DIM_UNKNOWN;
        return;
    }
    const lmn_fact *f = ic->in[i];
    if (f->rank >= back && !lmn_dim_broadcast(ic->dims, *dim, f->dims[f->rank - back], dim))
        *dim = LMN_DIM_UNKNOWN;
}

static lamina_status infer_op(lmn_infer *ic)
{
    const int64_t *perm[4];
    const int32_t rank = read_perms(ic->node, perm);
    if (!rank) return lmn_infer_fail(ic, LAMINA_E_INVALID, NULL, PERMS_WRONG);
    for (int32_t i = 0; i < 3; i++) LMN_TRY(lmn_infer_rank_in(ic, i, rank, rank));
    for (int32_t i = 3; i < ic->node->n_in; i++)
        if (ic->in[i]) LMN_TRY(lmn_infer_rank_in(ic, i, 0, rank));
    lmn_dim view[3][4], out[4];
    for (int32_t i = 0; i < 3; i++)
        for (int32_t a = 0; a < rank; a++)
            view[i][a] = ic->in[i]->rank < 0 ? LMN_DIM_UNKNOWN : ic->in[i]->dims[perm[i][a]];
    for (int32_t a = 0; a < rank; a++) out[a] = view[0][a];
    for (int32_t i = 1; i < 3; i++)
        if (!lmn_dim_broadcast(ic->dims, out[0], view[i][0], &out[0])) out[0] = LMN_DIM_UNKNOWN;
    for (int32_t i = 3; i < N_IN; i++)
        for (int32_t a = 0; a + 1 < rank; a++) widen(ic, i, rank - a, &out[a]);
    out[rank - 1] = view[2][rank - 1];
    ic->out[0].rank = rank;
    for (int32_t a = 0; a < rank; a++) ic->out[0].dims[a] = out[perm[3][a]];
    return LAMINA_OK;
}

/* ---- what the node says ------------------------------------------------------------------------
 */

/* The elements of t as f32: its own, or a widened copy in scratch. A bool stays what it is. */
static lamina_status widen_data(lmn_eval *ec, const lamina_tensor *t, const void **data)
{
    *data = t ? t->data : NULL;
    if (!t || t->dtype == LAMINA_F32 || t->dtype == LAMINA_BOOL) return LAMINA_OK;
    const int64_t n = lmn_count(t);
    void *copy = lmn_wide_scratch(ec, n > 0 ? n : 1, sizeof(float));
    if (!copy) return LAMINA_E_NOMEM;
    lmn_convert(LAMINA_F32, copy, t->dtype, t->data, n, false);
    *data = copy;
    return LAMINA_OK;
}

/* t, whose axes stand in the order of perm (NULL: as they are, the first ones may be missing). */
static bool set_view(const lamina_tensor *t, int32_t rank, const int64_t *perm, lmn_fattn_view *v)
{
    int64_t step[4], next = 1;
    *v = (lmn_fattn_view){.dims = {1, 1, 1, 1}};
    if (!t) return true;
    if (t->rank > rank || (perm && t->rank != rank)) return false;
    for (int32_t a = t->rank - 1; a >= 0; a--) {
        step[a] = next;
        next *= t->dims[a];
    }
    for (int32_t i = 0; i < t->rank; i++) {
        const int32_t axis = perm ? (int32_t)perm[i] : i;
        int32_t to = 4 - t->rank + i;
        if (rank == 3 && to == 1) to = 0; /* rank 3 has no head: its batch is the first axis */
        v->dims[to] = t->dims[axis];
        v->step[to] = t->dims[axis] == 1 ? 0 : step[axis];
    }
    return true;
}

static bool meet(int64_t *a, int64_t b)
{
    if (*a == 1) *a = b;
    return b == 1 || b == *a;
}

static bool set_extents(lmn_fattn *f)
{
    const lmn_fattn_view *all[N_IN] = {&f->q, &f->k, &f->v, &f->bias, &f->keep};
    f->batch = 1, f->heads = f->q.dims[1], f->queries = f->q.dims[2], f->keys = f->k.dims[2];
    f->d = f->q.dims[3], f->dv = f->v.dims[3];
    for (int32_t i = 0; i < N_IN; i++)
        if (!meet(&f->batch, all[i]->dims[0])) return false;
    for (int32_t i = 3; i < N_IN; i++)
        if (!meet(&f->heads, all[i]->dims[1]) || !meet(&f->queries, all[i]->dims[2]) ||
            !meet(&f->keys, all[i]->dims[3]))
            return false;
    if (f->k.dims[3] != f->d || f->v.dims[2] != f->keys) return false;
    f->k_group = f->v_group = 1;
    if (f->heads == 0) return true;
    if (f->k.dims[1] < 1 || f->v.dims[1] < 1) return false;
    f->k_group = f->heads / f->k.dims[1], f->v_group = f->heads / f->v.dims[1];
    return f->k_group * f->k.dims[1] == f->heads && f->v_group * f->v.dims[1] == f->heads;
}

static lamina_status make_out(lmn_eval *ec, lmn_fattn *f, int32_t rank, const int64_t *perm)
{
    const int64_t out4[4] = {f->batch, f->heads, f->queries, f->dv};
    const int64_t out3[3] = {f->batch, f->queries, f->dv};
    int64_t dims[4];
    lamina_tensor *y;
    for (int32_t i = 0; i < rank; i++) dims[i] = (rank == 4 ? out4 : out3)[perm[i]];
    LMN_TRY(lmn_out(ec, 0, lmn_in(ec, 0)->dtype, rank, dims, &y));
    if (!y || lmn_count(y) == 0) return LAMINA_OK;
    f->out = y;
    f->y = y->dtype == LAMINA_F32 ? y->data : lmn_wide_scratch(ec, lmn_count(y), sizeof(float));
    if (!f->y) return LAMINA_E_NOMEM;
    int64_t next = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        const int32_t axis = (int32_t)perm[i];
        f->y_step[rank == 3 && axis > 0 ? axis + 1 : axis] = next;
        next *= dims[i];
    }
    return LAMINA_OK;
}

lamina_status lmn_fattn_read(lmn_eval *ec, lmn_fattn *f)
{
    const int64_t *perm[4];
    const int32_t rank = read_perms(ec->node, perm);
    *f = (lmn_fattn){0};
    LMN_TRY(lmn_eval_ready(ec));
    if (!rank) return lmn_eval_fail(ec, LAMINA_E_INVALID, PERMS_WRONG);
    if (!set_view(lmn_in(ec, 0), rank, perm[0], &f->q) ||
        !set_view(lmn_in(ec, 1), rank, perm[1], &f->k) ||
        !set_view(lmn_in(ec, 2), rank, perm[2], &f->v) ||
        !set_view(lmn_in(ec, 3), rank, NULL, &f->bias) ||
        !set_view(lmn_in(ec, 4), rank, NULL, &f->keep) || !set_extents(f))
        return lmn_eval_fail(ec, LAMINA_E_SHAPE,
                             "queries, keys, values and masks do not fit each other");
    f->dt = lmn_in(ec, 0)->dtype;
    f->scale = lmn_attr_f(ec->node, "scale", 1.0F);
    f->fill = lmn_attr_f(ec->node, "fill", 0.0F);
    f->keep_if = lmn_attr_i(ec->node, "keep_if", 1) != 0;
    f->zero_blind = lmn_attr_i(ec->node, "zero_blind", 0) != 0;
    LMN_TRY(make_out(ec, f, rank, perm[3]));
    lmn_fattn_view *views[N_IN] = {&f->q, &f->k, &f->v, &f->bias, &f->keep};
    for (int32_t i = 0; f->y && i < N_IN; i++)
        LMN_TRY(widen_data(ec, lmn_in(ec, i), &views[i]->data));
    return LAMINA_OK;
}

void lmn_fattn_round(const lmn_fattn *f, float *s, int64_t n)
{
    if (f->dt == LAMINA_F16)
        for (int64_t i = 0; i < n; i++) s[i] = lmn_f16_to_f32(lmn_f32_to_f16(s[i]));
    if (f->dt == LAMINA_BF16)
        for (int64_t i = 0; i < n; i++) s[i] = lmn_bf16_to_f32(lmn_f32_to_bf16(s[i]));
}

void lmn_fattn_done(const lmn_fattn *f)
{
    const lamina_tensor *y = f->out;
    if (y && y->dtype != LAMINA_F32)
        lmn_convert(y->dtype, y->data, LAMINA_F32, f->y, lmn_count(y), false);
}

/* ---- evaluation --------------------------------------------------------------------------------
 */

typedef struct fattn_job {
    const lmn_fattn *f;
    double *area; /* keys a worker */
} fattn_job;

static const float *row_of(const lmn_fattn_view *v, int64_t b, int64_t h, int64_t i)
{
    return (const float *)v->data + b * v->step[0] + h * v->step[1] + i * v->step[2];
}

static void score_row(const lmn_fattn *f, int64_t b, int64_t h, int64_t i, double *s)
{
    const float *q = row_of(&f->q, b, h, i);
    for (int64_t j = 0; j < f->keys; j++) {
        const float *k = row_of(&f->k, b, h / f->k_group, j);
        double sum = 0.0;
        for (int64_t c = 0; c < f->d; c++)
            sum += (double)q[c * f->q.step[3]] * (double)k[c * f->k.step[3]];
        float x = (float)(sum * (double)f->scale);
        lmn_fattn_round(f, &x, 1);
        if (f->keep.data) {
            const uint8_t *keep = f->keep.data;
            const int64_t at = b * f->keep.step[0] + h * f->keep.step[1] + i * f->keep.step[2] +
                               j * f->keep.step[3];
            if ((keep[at] != 0) != f->keep_if) x = f->fill;
        }
        if (f->bias.data) x += row_of(&f->bias, b, h, i)[j * f->bias.step[3]];
        lmn_fattn_round(f, &x, 1);
        s[j] = (double)x;
    }
}

static void softmax_row(double *s, int64_t n)
{
    double top = -INFINITY, sum = 0.0;
    for (int64_t j = 0; j < n; j++) top = s[j] > top ? s[j] : top;
    for (int64_t j = 0; j < n; j++) sum += s[j] = exp(s[j] - top);
    for (int64_t j = 0; j < n; j++) s[j] /= sum;
}

static void run_head(void *arg, int64_t chunk, int32_t worker)
{
    const fattn_job *job = arg;
    const lmn_fattn *f = job->f;
    const int64_t b = chunk / f->heads, h = chunk % f->heads;
    double *s = job->area + worker * f->keys;
    for (int64_t i = 0; i < f->queries; i++) {
        float *y = f->y + b * f->y_step[0] + h * f->y_step[1] + i * f->y_step[2];
        score_row(f, b, h, i, s);
        softmax_row(s, f->keys);
        if (f->zero_blind && f->keys > 0 && lmn_fattn_is_blind((float)s[0]))
            memset(s, 0, (size_t)f->keys * sizeof *s);
        for (int64_t c = 0; c < f->dv; c++) {
            double sum = 0.0;
            for (int64_t j = 0; j < f->keys; j++)
                sum += s[j] * (double)row_of(&f->v, b, h / f->v_group, j)[c * f->v.step[3]];
            y[c * f->y_step[3]] = (float)sum;
        }
    }
}

static lamina_status eval_op(lmn_eval *ec)
{
    lmn_fattn f;
    LMN_TRY(lmn_fattn_read(ec, &f));
    if (!f.y) return LAMINA_OK;
    fattn_job job = {.f = &f};
    LMN_TRY(lmn_f64_alloc(ec, f.keys * lmn_par_width(ec->par), &job.area));
    lmn_par_for(ec->par, f.batch * f.heads, run_head, &job);
    lmn_fattn_done(&f);
    return LAMINA_OK;
}

static void cost_op(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out,
                    lmn_cost *c)
{
    const int64_t *perm;
    const int32_t rank = read_perm(n, "perm_k", &perm);
    if (!in[1] || !rank || in[1]->rank != rank) return;
    c->flops = 4.0 * lmn_cost_count(out) * lmn_cost_dim(in[1]->dims[perm[rank - 2]]);
}

#define TYPES (LMN_DBIT(LAMINA_F32) | LMN_DBIT(LAMINA_F16) | LMN_DBIT(LAMINA_BF16))
static const lmn_port IN[] = {{"Q", 'T', 0, TYPES},
                              {"K", 'T', 0, TYPES},
                              {"V", 'T', 0, TYPES},
                              {"bias", 'T', LMN_PORT_OPTIONAL, TYPES},
                              {"keep", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_BOOL)},
                              {0}};
static const lmn_port OUT[] = {{"Y", 'T', 0, TYPES}, {0}};
static const lmn_attr_schema ATTRS[] = {{"fill", LMN_ATTR_FLOAT, 0},
                                        {"keep_if", LMN_ATTR_INT, 0},
                                        {"perm_k", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"perm_q", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"perm_v", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"perm_y", LMN_ATTR_INTS, LMN_ATTR_REQUIRED},
                                        {"scale", LMN_ATTR_FLOAT, 0},
                                        {"zero_blind", LMN_ATTR_INT, 0},
                                        {0}};

const lmn_op_def lmn_op_FusedAttention = {
    .domain = "lamina",
    .name = "FusedAttention",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_op,
    .eval = eval_op,
    .cost = cost_op,
};
