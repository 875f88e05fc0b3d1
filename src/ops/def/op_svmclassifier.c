/*
 * SVMClassifier (ai.onnx.ml, since 1): one machine a pair of classes, each votes; the label of the
 * most votes (the first of equals) and the machines' values, or with prob_a and prob_b the classes'
 * probabilities (Wu, Lin and Weng 2004, second method). Without vectors_per_class it is linear,
 * one score a class, and the largest wins.
 *
 * Left open by the standard, and done as the runtimes do that exporters test against: rho[0] serves
 * every linear score; of two linear classes the second also wins where the larger score is positive
 * (0.5 at least, if no coefficient is negative). A single class is always the answer; its score is
 * left alone but for PROBIT. Two machine classes without probabilities have the scores (-s, s),
 * made (f(-s), f(s)) by LOGISTIC, or (1 - s, s), which only PROBIT transforms.
 */
#include "ops/f64io.h"
#include "ops/svm.h"
#include "ops/wide.h"

#include <math.h>
#include <string.h>

static lmn_ml_list labels_of(const lmn_opnode *n)
{
    return lmn_ml_list_of(n, "classlabels_strings", "classlabels_ints", NULL, NULL);
}

typedef struct machine {
    lmn_svm v;
    lmn_ml_list labels;
    lmn_ml_post post;
    int64_t classes, pairs, scores; /* pairs 0: linear */
    int64_t *first;                 /* classes + 1: where the vectors of each class start */
    const float *a, *b;             /* prob_a and prob_b, `pairs` of them, or NULL */
    bool positive;                  /* no coefficient below zero */
    double *scratch;
    int64_t per_worker;
    int64_t *best; /* label number of each row */
    lamina_tensor *z;
} machine;

static lamina_status infer_classifier(lmn_infer *ic)
{
    const lmn_ml_list labels = labels_of(ic->node);
    return lmn_ml_infer_classes(ic, &labels, LMN_DIM_UNKNOWN);
}

/* Where each class's vectors start; *total of all. */
static lamina_status read_counts(lmn_eval *ec, machine *m, int64_t *total)
{
    const int64_t *count;
    const int32_t n = lmn_attr_ints(ec->node, "vectors_per_class", &count);
    *total = 0;
    m->first = lmn_wide_scratch(ec, m->classes + 1, sizeof *m->first);
    if (!m->first) return LAMINA_E_NOMEM;
    for (int32_t i = 0; i < n; i++)
        if (count[i] < 0 || (*total += lmn_min_i64(count[i], INT32_MAX)) > INT32_MAX)
            return lmn_eval_fail(ec, LAMINA_E_INVALID,
                                 "vectors_per_class has a negative count, or more than 2^31");
    if (*total > 0 && (n != m->classes || n < 2))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "vectors_per_class has %d entries for %lld classes (2 at least)", n,
                             (long long)m->classes);
    m->first[0] = 0;
    for (int64_t i = 0; *total > 0 && i < n; i++) m->first[i + 1] = m->first[i] + count[i];
    return LAMINA_OK;
}

static lamina_status read_args(lmn_eval *ec, machine *m)
{
    int64_t vectors, need;
    m->labels = labels_of(ec->node);
    m->classes = m->labels.n;
    if (m->classes < 1 || m->classes > UINT16_MAX || !lmn_ml_post_of(ec->node, &m->post))
        return lmn_eval_fail(ec, LAMINA_E_INVALID,
                             "has %lld class labels (1 to 65535), or post_transform is not known",
                             (long long)m->classes);
    LMN_TRY(read_counts(ec, m, &vectors));
    LMN_TRY(lmn_svm_read(ec, vectors, m->classes, &m->v));
    m->positive = true;
    for (int64_t i = 0; i < m->v.n_coef; i++) m->positive &= m->v.coef[i] >= 0.0F;
    m->scores = m->classes;
    if (vectors == 0) return LAMINA_OK;
    const int64_t n_a = lmn_attr_floats(ec->node, "prob_a", &m->a),
                  n_b = lmn_attr_floats(ec->node, "prob_b", &m->b);
    m->pairs = m->classes * (m->classes - 1) / 2;
    if (!lmn_mul_i64(m->classes - 1, vectors, &need) || m->v.n_coef < need ||
        m->v.n_rho < m->pairs || n_a != n_b || (n_a > 0 && n_a < m->pairs))
        return lmn_eval_fail(
            ec, LAMINA_E_INVALID,
            "%lld classes of %lld vectors need %lld coefficients and %lld of rho, prob_a, prob_b",
            (long long)m->classes, (long long)vectors, (long long)need, (long long)m->pairs);
    if (n_a == 0) m->a = m->b = NULL;
    if (!m->a) m->scores = m->classes > 2 ? m->pairs : 2;
    return LAMINA_OK;
}

/* ---- one row ------------------------------------------------------------------------------------
 */

/* Values of the machines, and the class with the most votes. */
static int64_t pair_values(const machine *m, const double *kernel, double *value, double *votes)
{
    const lmn_svm *v = &m->v;
    int64_t at = 0, best = 0;
    memset(votes, 0, (size_t)m->classes * sizeof *votes);
    for (int64_t i = 0; i + 1 < m->classes; i++) {
        for (int64_t j = i + 1; j < m->classes; j++, at++) {
            double s = 0.0;
            for (int64_t k = m->first[i]; k < m->first[i + 1]; k++)
                s += (double)v->coef[(j - 1) * v->n + k] * kernel[k];
            for (int64_t k = m->first[j]; k < m->first[j + 1]; k++)
                s += (double)v->coef[i * v->n + k] * kernel[k];
            value[at] = s + (double)v->rho[at];
            votes[value[at] > 0.0 ? i : j] += 1.0;
        }
    }
    for (int64_t i = 1; i < m->classes; i++)
        if (votes[i] > votes[best]) best = i;
    return best;
}

/* One sweep over the classes; q is the matrix of the method, p the probabilities. */
static void sweep(int64_t n, const double *q, double *qp, double *p, double pqp)
{
    for (int64_t t = 0; t < n; t++) {
        const double diff = (pqp - qp[t]) / q[t * n + t], whole = 1.0 + diff;
        p[t] += diff;
        pqp = (pqp + diff * (diff * q[t * n + t] + 2.0 * qp[t])) / (whole * whole);
        for (int64_t j = 0; j < n; j++) {
            qp[j] = (qp[j] + diff * q[t * n + j]) / whole;
            p[j] /= whole;
        }
    }
}

/* Pairwise probabilities r[i][j] of i against j, coupled: p. q and qp are scratch. */
static void couple(int64_t n, const double *r, double *q, double *qp, double *p)
{
    const int64_t turns = n > 100 ? n : 100;
    for (int64_t t = 0; t < n; t++) {
        p[t] = 1.0 / (double)n;
        q[t * n + t] = 0.0;
        for (int64_t j = 0; j < n; j++) {
            if (j == t) continue;
            q[t * n + t] += r[j * n + t] * r[j * n + t];
            q[t * n + j] = -r[j * n + t] * r[t * n + j];
        }
    }
    for (int64_t turn = 0; turn < turns; turn++) {
        double pqp = 0.0, worst = 0.0;
        for (int64_t t = 0; t < n; t++) {
            qp[t] = 0.0;
            for (int64_t j = 0; j < n; j++) qp[t] += q[t * n + j] * p[j];
            pqp += p[t] * qp[t];
        }
        for (int64_t t = 0; t < n; t++) worst = fmax(worst, fabs(qp[t] - pqp));
        if (worst < 0.005 / (double)n) break;
        sweep(n, q, qp, p, pqp);
    }
}

/* Values of the machines to probabilities s; work holds 2 n^2 + n. */
static void probabilities(const machine *m, const double *value, double *work, double *s)
{
    const int64_t n = m->classes;
    double *r = work, *q = r + n * n, *qp = q + n * n;
    for (int64_t i = 0, at = 0; i < n; i++)
        for (int64_t j = i + 1; j < n; j++, at++) {
            const double x = value[at] * (double)m->a[at] + (double)m->b[at];
            const double p = fmin(fmax(lmn_ml_logistic(-x), 1e-7), 1.0 - 1e-7);
            r[i * n + j] = p;
            r[j * n + i] = 1.0 - p;
        }
    couple(n, r, q, qp, s);
}

static int64_t linear_row(const machine *m, double *s)
{
    int64_t best = 0;
    for (int64_t k = 0; k < m->classes; k++) s[k] += (double)m->v.rho[0];
    for (int64_t k = 1; k < m->classes; k++)
        if (s[k] > s[best]) best = k;
    const double top = s[best];
    if (m->classes == 2 && (m->positive ? top >= 0.5 : top > 0.0)) best = 1;
    if (m->classes > 1 || m->post == LMN_ML_PROBIT) lmn_ml_post_apply(m->post, s, m->classes);
    return best;
}

/* Scores of the row into s, its label number. `kernel` has room for what `room` counts. */
static int64_t finish_row(const machine *m, double *kernel, double *s)
{
    double *value = kernel + m->v.n, *votes = value + m->pairs, *work = votes + m->classes;
    if (m->pairs == 0) {
        memcpy(s, kernel, (size_t)m->classes * sizeof *s);
        return linear_row(m, s);
    }
    int64_t best = pair_values(m, kernel, value, votes);
    if (m->a) {
        probabilities(m, value, work, s);
        lmn_ml_post_apply(m->post, s, m->classes);
    } else if (m->classes > 2) {
        memcpy(s, value, (size_t)m->pairs * sizeof *s);
        lmn_ml_post_apply(m->post, s, m->pairs);
    } else {
        const bool negate = m->post == LMN_ML_NONE || m->post == LMN_ML_LOGISTIC;
        s[1] = value[0];
        s[0] = negate ? -value[0] : 1.0 - value[0];
        if (m->post == LMN_ML_LOGISTIC || m->post == LMN_ML_PROBIT)
            lmn_ml_post_apply(m->post, s, 2);
    }
    return best;
}

static void classify_rows(void *arg, int64_t chunk, int32_t worker)
{
    const machine *m = arg;
    const lmn_svm *v = &m->v;
    double *row = m->scratch + worker * m->per_worker, *s = row + v->cols, *kernel = s + m->scores;
    const int64_t end = lmn_min_i64((chunk + 1) * LMN_SVM_BLOCK, v->rows);
    for (int64_t r = chunk * LMN_SVM_BLOCK; r < end; r++) {
        lmn_f64_load(v->x, r * v->cols, v->cols, row);
        lmn_svm_row(v, row, kernel);
        m->best[r] = finish_row(m, kernel, s);
        if (m->z) lmn_f64_store(m->z, r * m->scores, m->scores, s);
    }
}

static lamina_status eval_classifier(lmn_eval *ec)
{
    LMN_TRY(lmn_eval_ready(ec));
    machine m = {0};
    lamina_tensor *y;
    LMN_TRY(read_args(ec, &m));
    const int64_t n = m.classes, dims[2] = {m.v.rows, m.scores};
    LMN_TRY(lmn_out(ec, 0, lmn_ml_label_type(&m.labels), 1, dims, &y));
    LMN_TRY(lmn_out(ec, 1, LAMINA_F32, 2, dims, &m.z));
    m.per_worker = m.v.cols + m.v.n + m.scores + m.pairs + n + (m.a ? 2 * n * n + n : 0);
    LMN_TRY(lmn_svm_scratch(ec, m.per_worker, &m.scratch));
    m.best = lmn_wide_scratch(ec, m.v.rows, sizeof *m.best);
    if (!m.best) return LAMINA_E_NOMEM;
    lmn_par_for(ec->par, (m.v.rows + LMN_SVM_BLOCK - 1) / LMN_SVM_BLOCK, classify_rows, &m);
    if (lmn_eval_cancelled(ec)) return LAMINA_E_CANCELLED; /* rows were left out */
    for (int64_t i = 0; y && i < m.v.rows; i++)
        LMN_TRY(lmn_ml_put_label(ec, y, i, &m.labels, m.best[i]));
    return LAMINA_OK;
}

static const lmn_port IN[] = {{"X", 'T', 0, LMN_D_ML}, {0}};
static const lmn_port OUT[] = {{"Y", 'L', 0, LMN_D_LABEL}, {"Z", 0, 0, LMN_DBIT(LAMINA_F32)}, {0}};
static const lmn_attr_schema ATTRS[] = {LMN_SVM_ATTRS,
                                        {"classlabels_ints", LMN_ATTR_INTS, 0},
                                        {"classlabels_strings", LMN_ATTR_STRINGS, 0},
                                        {"prob_a", LMN_ATTR_FLOATS, 0},
                                        {"prob_b", LMN_ATTR_FLOATS, 0},
                                        {"vectors_per_class", LMN_ATTR_INTS, 0},
                                        {0}};

const lmn_op_def lmn_op_SVMClassifier = {
    .name = "SVMClassifier",
    .domain = "ai.onnx.ml",
    .since = 1,
    .in = IN,
    .out = OUT,
    .attrs = ATTRS,
    .infer = infer_classifier,
    .eval = eval_classifier,
};
