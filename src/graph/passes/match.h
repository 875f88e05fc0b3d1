/*
 * What rewriting passes share: who makes a value, how often it is read, constants as numbers, and
 * turning one node into another in its place.
 *
 * A rewritten node stays where the last node of its pattern stood, so everything it reads comes
 * before it. Inputs that can be overridden are never constants here; graph outputs are never read
 * once. What nobody reads any more dies at once.
 */
#ifndef LMN_GRAPH_PASSES_MATCH_H
#define LMN_GRAPH_PASSES_MATCH_H

#include "graph/passes/pass.h"

typedef struct lmn_match {
    lmn_graph *g;
    lmn_pass_ctx *ctx;
    lmn_arena tmp;
    uint32_t *uses; /* readers of the n_uses values that existed at the start */
    size_t n_uses;
    double near; /* how far, relative, a constant may be from what it stands for */
} lmn_match;

lamina_status lmn_match_begin(lmn_match *m, lmn_graph *g, lmn_pass_ctx *ctx);
void lmn_match_finish(lmn_match *m);

/* Is it this operator of the default domain? NULL: no. */
bool lmn_match_op(const lmn_gnode *n, const char *op);
/* The node that makes v, NULL for inputs, constants and the absent value. */
lmn_gnode *lmn_match_maker(const lmn_match *m, lmn_vid v);
/* The same if it is this operator. */
lmn_gnode *lmn_match_made_by(const lmn_match *m, lmn_vid v, const char *op);
/* Read by exactly one input of one node and no graph output. */
bool lmn_match_once(const lmn_match *m, lmn_vid v);
/* The value of a constant that nobody can override, as a dense tensor; else NULL. */
const lamina_tensor *lmn_match_const(const lmn_match *m, lmn_vid v);
/* A float constant of one element. */
bool lmn_match_scalar(const lmn_match *m, lmn_vid v, double *out);
/* Is v what this constant of the file stands for? lmn_match_float says how near it must be. */
bool lmn_match_near(const lmn_match *m, double v, double want);
/* Is v known to be an f32 tensor of known rank? */
bool lmn_match_is_f32(const lmn_match *m, lmn_vid v);
/* Type of v if it is an f32, f16 or bf16 tensor of known rank, else none. From now on constants are
   taken as rounded to that type. */
lamina_dtype lmn_match_float(lmn_match *m, lmn_vid v);
/* v itself, or what it was before a Cast without loss from half precision to f32. */
lmn_vid lmn_match_narrow(const lmn_match *m, lmn_vid v);
/* Same rank and all dims known and equal? */
bool lmn_match_same_shape(const lmn_match *m, lmn_vid a, lmn_vid b);
/* The order that a Transpose of known rank gives to axes; their number, or -1. */
int32_t lmn_match_perm(const lmn_match *m, const lmn_gnode *n, int64_t perm[LMN_MAX_RANK]);
/* The other input of a two-input node one of whose inputs is v; 0 if v is none or both. */
lmn_vid lmn_match_other(const lmn_gnode *n, lmn_vid v);

/*
 * A product written out: scale * leaf * leaf ..., through Mul, division by a constant, and squares
 * and cubes. `stop` are values that are leaves whatever makes them.
 */
#define LMN_PRODUCT_MAX 8
typedef struct lmn_product {
    double scale;
    lmn_vid leaf[LMN_PRODUCT_MAX];
    int32_t n;
} lmn_product;
bool lmn_match_product(const lmn_match *m, lmn_vid v, const lmn_vid *stop, int32_t n_stop,
                       lmn_product *p);
/* Is p = scale * x^times * others once each? `other` may be 0. */
bool lmn_product_is(const lmn_match *m, const lmn_product *p, double scale, lmn_vid x,
                    int32_t times, lmn_vid other);

/* What a node becomes. Attributes and inputs are copied; strings and lists live in g's arena. The
   attributes are new, the node's own list, or those of `takes`, which then dies. */
typedef struct lmn_rewrite {
    const char *domain, *op;
    const char *name; /* in the arena of g */
    int32_t opset;    /* as in the file, of the node that gives the name */
    const lmn_vid *in;
    int32_t n_in;
    const lmn_attr *attrs;
    int32_t n_attrs;
    lmn_gnode *takes; /* NULL: none */
} lmn_rewrite;
/* E_NOMEM leaves the node as it was. */
lamina_status lmn_match_become(lmn_match *m, lmn_gnode *n, const lmn_rewrite *to);
/* "base+absorbed", an unnamed absorbed node by its operator; base unchanged when it gets too long.
   NULL on exhaustion. */
const char *lmn_match_trace(lmn_match *m, const lmn_opnode *base, const lmn_opnode *absorbed);

#endif
