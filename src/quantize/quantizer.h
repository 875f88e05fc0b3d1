/*
 * Inside of a quantizer. `base` is the model prepared (constants folded); its graph is never
 * changed after create, so value ids of base and of the quantised graph, which is a clone of it
 * with more values, name the same things.
 */
#ifndef LMN_QUANTIZE_QUANTIZER_H
#define LMN_QUANTIZE_QUANTIZER_H

#include "graph/model.h"
#include "lamina/quantize.h"
#include "lamina/session.h"
#include "quantize/qedit.h"
#include "quantize/qparams.h"

/* What happens to a node. */
typedef enum lmn_qrole {
    LMN_Q_NONE = 0, /* stays in float32 */
    LMN_Q_WEIGHTED, /* has constant weights: Conv, Gemm, MatMul */
    LMN_Q_PASS,     /* moves values: the output has the input's scale */
    LMN_Q_OWN,      /* computes on quantised values: the output has a scale of its own */
    LMN_Q_FUSED     /* Relu or Clip behind one of the others, before the quantisation of both */
} lmn_qrole;

/* A model whose outputs are chosen values of a graph, to be run. */
typedef struct lmn_qtap {
    lamina_session *s;
    lamina_tensor **v; /* n values of the last run, refs held */
    size_t n;
    size_t n_inputs;
} lmn_qtap;

typedef struct lmn_qlayer {
    const char *name, *op;
    lmn_vid want, got; /* in base and in the quantised graph */
    bool output;
    lmn_qloss weights;
    uint64_t n_values, n_rows, n_top1;
    double max_abs, err2, want2, got2, dot;
} lmn_qlayer;

struct lamina_quantizer {
    lamina_engine *engine;
    lamina_quantize_opts opts; /* its lists are gone */
    lmn_arena arena;
    lamina_model *base;
    const lmn_graph *g; /* of base */
    lamina_model *made; /* NULL until finished */
    uint8_t *role;      /* lmn_qrole by node of g */
    uint32_t *uses;     /* by value of g */
    uint32_t *reader;   /* by value of g: a node that reads it */
    lmn_vid *root;      /* static: by value of g, the value whose range it has; 0 = not quantised */
    lmn_qrange *range;  /* static: by value, of roots */
    lmn_vid *roots;     /* static: n_roots */
    size_t n_roots;
    uint64_t n_fed;
    lmn_qtap seen, want, got;
    lmn_qlayer *layers;
    size_t n_layers, cap_layers;
};

/* ---- qselect.c --------------------------------------------------------------------------------
 */

/* The weights of a Gemm or MatMul as a matrix [k, n], and what is added; of a Conv as they stand.
 */
typedef struct lmn_qtarget {
    const lmn_gnode *n;
    const lamina_tensor *w, *bias; /* bias NULL: none */
    int64_t k, cols;               /* Gemm, MatMul; of a Conv cols are the output channels */
    bool conv, transposed;         /* transposed: w is [cols, k] */
    float alpha, beta;
} lmn_qtarget;
/* Can node n be quantised in this mode? */
bool lmn_qtarget_of(const lmn_graph *g, const lmn_gnode *n, uint32_t mode, lmn_qtarget *t);
/* Element i of the bias, which may be one for all, times beta. */
double lmn_qtarget_bias(const lmn_qtarget *t, int64_t i);
/* Give each node its role; static: each value its root. */
lamina_status lmn_qselect(lamina_quantizer *q, const lamina_quantize_opts *opts, lamina_error *err);
/* Where the result of node i appears that will be quantised: behind a fused activation. */
lmn_vid lmn_qresult(const lamina_quantizer *q, const lmn_gnode *n);

/* ---- the three rewrites: node i of the graph under ed, whose role is LMN_Q_WEIGHTED ------------
 */

void lmn_qstatic(lamina_quantizer *q, lmn_qedit *ed);
void lmn_qdynamic(lamina_quantizer *q, lmn_qedit *ed);
void lmn_qint4(lamina_quantizer *q, lmn_qedit *ed);
/* Note a layer; NULL after a failure, which ed keeps. */
lmn_qlayer *lmn_qlayer_add(lamina_quantizer *q, lmn_qedit *ed, const lmn_gnode *n, lmn_vid want);

/* ---- qtap.c -----------------------------------------------------------------------------------
 */

/* Prepare to run `m` for values `ids`. */
lamina_status lmn_qtap_open(const lamina_model *m, const lmn_vid *ids, size_t n, lmn_qtap *t,
                            lamina_error *err);
/* Fills t->v; they stay until the next run or the end. */
lamina_status lmn_qtap_run(lmn_qtap *t, const lamina_tensor *const *inputs, size_t n_inputs,
                           lamina_error *err);
void lmn_qtap_close(lamina_engine *e, lmn_qtap *t);

#endif
