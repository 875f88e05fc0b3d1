/*
 * What RNN, GRU and LSTM share: arguments, shapes, activations, and the walk over directions, batch
 * rows and time. All arithmetic is f64 with one rounding into the outputs. A batch row of one
 * direction is a chunk of its own, so that results do not depend on the threads.
 *
 * Rows shorter than the sequence (sequence_lens): outputs past the end are zero, the last state is
 * that of the row's own last step; the reverse direction starts at the row's own last step.
 */
#ifndef LMN_OPS_RNN_H
#define LMN_OPS_RNN_H

#include "ops/op.h"

enum { LMN_RNN_MAX_ACTS = 3 };

typedef struct lmn_rnn_act {
    double (*f)(double x, double alpha, double beta);
    double alpha, beta;
} lmn_rnn_act;

/* What a cell sees of its direction. */
typedef struct lmn_rnn_dir {
    const float *r32;      /* [gates * hidden, hidden] where R is f32 and dense, else NULL, and */
    const double *r;       /* the same widened */
    const double *wb, *rb; /* [gates * hidden] each: biases of the input and of the recurrence */
    const double *p;       /* peepholes [3 * hidden] or NULL */
    lmn_rnn_act act[LMN_RNN_MAX_ACTS];
} lmn_rnn_dir;

typedef struct lmn_rnn lmn_rnn;
/*
 * One step of one row: x holds gates * hidden values X W', h and c the state, updated in place; tmp
 * has room for (gates + 1) * hidden values.
 */
typedef void lmn_rnn_cell(const lmn_rnn *a, const lmn_rnn_dir *d, const double *x, double *h,
                          double *c, double *tmp);

typedef struct lmn_rnn_kind {
    int32_t gates, acts;
    bool has_cell; /* a second state: inputs initial_c and P, output Y_c */
    const char *const *default_acts;
    lmn_rnn_cell *cell;
} lmn_rnn_kind;

struct lmn_rnn {
    const lmn_rnn_kind *kind;
    int64_t seq, batch, input, hidden;
    int32_t dirs;
    bool batch_first; /* layout 1 */
    bool flag;        /* linear_before_reset of GRU, input_forget of LSTM */
    double clip;      /* INFINITY = none */
};

lamina_status lmn_rnn_infer(lmn_infer *ic, const lmn_rnn_kind *k);
lamina_status lmn_rnn_eval(lmn_eval *ec, const lmn_rnn_kind *k, const char *flag_attr);
/* The extents of a call, by its kind; every input is checked against them. */
lamina_status lmn_rnn_shapes(lmn_eval *ec, lmn_rnn *a);
/* Opset < 7 says output_sequence; the outputs that the node names tell it all. */
lamina_status lmn_rnn_canon(lmn_canon *c);
void lmn_rnn_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c);

/* out[i] = sum_k r[(row + i) * hidden + k] h[k], i < hidden. */
void lmn_rnn_recur(const lmn_rnn *a, const lmn_rnn_dir *d, int64_t row, const double *h,
                   double *out);
/* Activation k of the direction on the clipped x. */
double lmn_rnn_apply(const lmn_rnn *a, const lmn_rnn_dir *d, int32_t k, double x);

#define LMN_RNN_IN                                                                      \
    {"X", 'T', 0, LMN_D_FLOAT}, {"W", 'T', 0, LMN_D_FLOAT}, {"R", 'T', 0, LMN_D_FLOAT}, \
        {"B", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},                                     \
        {"sequence_lens", 0, LMN_PORT_OPTIONAL, LMN_DBIT(LAMINA_I32)},                  \
    {                                                                                   \
        "initial_h", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT                                \
    }
#define LMN_RNN_OUT                                \
    {"Y", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT},    \
    {                                              \
        "Y_h", 'T', LMN_PORT_OPTIONAL, LMN_D_FLOAT \
    }
#define LMN_RNN_ATTRS                                                                  \
    {"activation_alpha", LMN_ATTR_FLOATS, 0}, {"activation_beta", LMN_ATTR_FLOATS, 0}, \
        {"activations", LMN_ATTR_STRINGS, 0}, {"clip", LMN_ATTR_FLOAT, 0},             \
        {"direction", LMN_ATTR_STRING, 0}, {"hidden_size", LMN_ATTR_INT, 0},           \
    {                                                                                  \
        "layout", LMN_ATTR_INT, 0                                                      \
    }

#endif
