/*
 * Property tests of the operators: parts of the program `props`. A draw is a model around one node
 * (at times with a short tail of elementwise nodes, for the passes to fuse) and its input values;
 * it follows from operator and seed alone, or from bytes (tests/fuzz/fuzz_ops.c, with whole chains
 * of nodes: props_chain.c). props_draw.c and props_attr.c make it, props_recipe.c says what shapes
 * and attributes an operator likes, props_body.c draws subgraphs, props_model.c writes it as an
 * ONNX file, props_run.c runs it in several ways and compares.
 */
#ifndef LMN_TESTS_PROPS_H
#define LMN_TESTS_PROPS_H

#include "base/rng.h"
#include "lamina/lamina.h"
#include "ops/op.h"

#define PR_MAX_IN 24
#define PR_MAX_OUT 8
#define PR_MAX_LINKS 6
#define PR_MAX_DRAW_RANK 6

/* A message or text under construction; grows. */
typedef struct pr_bytes {
    uint8_t *p;
    size_t n, cap;
} pr_bytes;

typedef enum pr_style {
    PR_SMALL,   /* whole numbers and sixteenths: sums are exact */
    PR_REAL,    /* ordinary numbers */
    PR_SPECIAL, /* with NaN, infinities, -0 and denormals */
    PR_EXTREME, /* with the largest magnitudes of the type */
    PR_STYLES
} pr_style;

typedef enum pr_shown { PR_STATIC, PR_SYMBOLIC, PR_UNRANKED } pr_shown;

typedef struct pr_input {
    bool absent, constant, sequence;
    bool captured;     /* read by bodies alone: no input of the node */
    pr_shown shown;    /* what the model says of its shape */
    lamina_tensor *t;  /* dense; of the engine that makes values */
    uint32_t dim_mask; /* PR_SYMBOLIC: dims that are symbols */
} pr_input;

/* A node behind the first that reads any values before it (props_chain.c). */
typedef struct pr_link {
    const char *op;
    int32_t n_in;
    int32_t in[3];    /* value: 0 .. n_out - 1 the first node's, then the links'; -1 a constant */
    lamina_tensor *c; /* the constant */
    pr_bytes attrs;
} pr_link;

typedef struct pr_draw {
    const lmn_op_def *op;
    uint64_t seed;
    lmn_rng rng;
    const uint8_t *bytes; /* where choices come from while there are any; else from rng */
    size_t n_bytes;
    int32_t hostile; /* percent of integers that are absurd */
    int32_t opset;
    pr_style style;
    int32_t n_in, n_out, n_tail;
    uint32_t out_mask; /* outputs that have a name */
    pr_input in[PR_MAX_IN];
    pr_bytes attrs; /* AttributeProtos as fields of a NodeProto */
    pr_bytes text;  /* the node, for people */
    const char *tail[3];
    float tail_arg[3];
    int32_t n_links;
    pr_link link[PR_MAX_LINKS];
} pr_draw;

/* One line of what an operator likes; grammar at the table. */
typedef struct pr_recipe {
    const char *op, *ins, *attrs;
} pr_recipe;
/* Recipe number `k` of the operator, NULL past the last. */
const pr_recipe *pr_recipe_find(const char *op, int32_t k);

typedef struct pr_counts {
    uint64_t draws, ran, fast, refused, skipped, failed;
} pr_counts;

/* ---- bytes (props_model.c) ---- */
void pr_put(pr_bytes *b, const void *p, size_t n);
LMN_PRINTF(2, 3) void pr_say(pr_bytes *b, const char *fmt, ...);
void pr_field_int(pr_bytes *b, uint32_t num, uint64_t v);
void pr_field_bytes(pr_bytes *b, uint32_t num, const void *p, size_t n);
void pr_field_str(pr_bytes *b, uint32_t num, const char *s);
/* `m` as a field; then it is freed. */
void pr_field_msg(pr_bytes *b, uint32_t num, pr_bytes *m);
void pr_free(pr_bytes *b);
/* TensorProto. */
void pr_tensor(pr_bytes *b, const char *name, const lamina_tensor *t);
/* The whole ModelProto. */
void pr_model(const pr_draw *d, pr_bytes *out);

/* ---- draws (props_draw.c) ---- */
/* False: out of memory. The draw is freed either way by pr_draw_free. */
bool pr_draw_make(pr_draw *d, lamina_engine *maker, const lmn_op_def *op, uint64_t seed);
/* The same with choices from bytes first, absurd numbers among them and links behind the node. */
bool pr_draw_from_bytes(pr_draw *d, lamina_engine *maker, const lmn_op_def *op,
                        const uint8_t *bytes, size_t n);
void pr_draw_free(pr_draw *d);
int64_t pr_int(pr_draw *d, int64_t lo, int64_t hi);
bool pr_chance(pr_draw *d, int32_t percent);
/* Fill with values of the style; lo <= hi bounds them, else everything is allowed. */
void pr_fill(pr_draw *d, lamina_tensor *t, double lo, double hi);

/* ---- operators with subgraphs (props_body.c) ---- */
bool pr_has_body(const lmn_op_def *op);
/* Inputs, attributes and outputs of such a one. False: out of memory. */
bool pr_body_make(pr_draw *d, lamina_engine *maker);

/* ---- chains (props_chain.c) ---- */
void pr_links_draw(pr_draw *d, lamina_engine *maker);
void pr_links_free(pr_draw *d);
/* The links as nodes of a GraphProto, and the last one's output. */
void pr_links_put(const pr_draw *d, pr_bytes *graph);

/* ---- runs (props_run.c) ---- */
typedef struct pr_bench pr_bench;
pr_bench *pr_bench_open(void);
/* False: memory was not given back. */
bool pr_bench_close(pr_bench *b);
lamina_engine *pr_bench_maker(pr_bench *b);
/* The value of an input as a tensor of this engine, at times with odd strides; NULL: no memory. */
lamina_tensor *pr_input_for(lamina_engine *e, pr_draw *d, const pr_input *in, bool strided);
/* All properties of one draw. False: one does not hold; `why` says which. */
bool pr_check(pr_bench *b, pr_draw *d, pr_counts *counts, char *why, size_t cap);

#endif
