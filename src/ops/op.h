/*
 * Operators: what one is (lmn_op_def), what it sees of its node (lmn_opnode), and the two contexts
 * in which it works: inference on facts (lmn_infer) and evaluation on data (lmn_eval).
 *
 * One operator = one file src/ops/def/op_<name>.c defining `const lmn_op_def lmn_op_<Name>` and one
 * row in op_list.h. The evaluation is the reference: plain, f64 or exact integers, rounded once; a
 * device binds faster kernels elsewhere. Operators never allocate except through lmn_out* and
 * lmn_scratch, hold no state, and are safe to call from many threads.
 *
 * Semantics are those of the newest opset (28). Older versions are rewritten at import by `canon`.
 */
#ifndef LMN_OPS_OP_H
#define LMN_OPS_OP_H

#include "base/diag.h"
#include "base/error.h"
#include "base/par.h"
#include "ops/fact.h"

typedef struct lmn_op_def lmn_op_def;
struct lmn_graph; /* owned by room graph; opaque here */

/* ---- attributes -------------------------------------------------------------------------------
 */

/* Numbers of AttributeProto.AttributeType (onnx.proto). */
typedef enum lmn_attr_type {
    LMN_ATTR_NONE = 0,
    LMN_ATTR_FLOAT = 1,
    LMN_ATTR_INT = 2,
    LMN_ATTR_STRING = 3,
    LMN_ATTR_TENSOR = 4,
    LMN_ATTR_GRAPH = 5,
    LMN_ATTR_FLOATS = 6,
    LMN_ATTR_INTS = 7,
    LMN_ATTR_STRINGS = 8,
    LMN_ATTR_TENSORS = 9,
    LMN_ATTR_GRAPHS = 10,
    LMN_ATTR_SPARSE = 11,
    LMN_ATTR_TYPE = 13
} lmn_attr_type;

typedef struct lmn_attr {
    const char *name;
    lmn_attr_type type;
    int32_t n; /* entries of a list; 1 for scalars */
    union {
        float f;
        int64_t i;
        lmn_str s;
        lamina_tensor *t;    /* ref held by the graph that holds the node */
        struct lmn_graph *g; /* owned by the graph that holds the node */
        const float *floats;
        const int64_t *ints;
        const lmn_str *strings;
        const lmn_fact *type_fact; /* LMN_ATTR_TYPE */
    } u;
} lmn_attr;

/* What an operator may know of its node. Lives in the graph's arena. */
typedef struct lmn_opnode {
    const lmn_op_def *def;
    const char *name; /* printable (lmn_format_name), never NULL; "" if the file gave none */
    int32_t opset;    /* version of the operator's domain in the file, before canonicalisation */
    int32_t n_in;     /* captured values included */
    int32_t n_caps; /* trailing inputs that are captures of the node's subgraphs (If, Loop, Scan) */
    int32_t n_out;
    int32_t n_attrs;
    const lmn_attr *attrs;
    uint32_t id; /* stable number of the node in its model: keys random operators */
} lmn_opnode;

/* Lookup by name, NULL if absent or of another type. The typed getters return `def` then. */
const lmn_attr *lmn_attr_find(const lmn_opnode *n, const char *name);
int64_t lmn_attr_i(const lmn_opnode *n, const char *name, int64_t def);
float lmn_attr_f(const lmn_opnode *n, const char *name, float def);
/* Zero-terminated; never NULL unless def is. */
const char *lmn_attr_s(const lmn_opnode *n, const char *name, const char *def);
bool lmn_attr_is(const lmn_opnode *n, const char *name, const char *value, const char *def);
/* Count and pointer of an ints list; 0 and NULL if absent. */
int32_t lmn_attr_ints(const lmn_opnode *n, const char *name, const int64_t **out);
int32_t lmn_attr_floats(const lmn_opnode *n, const char *name, const float **out);
const lamina_tensor *lmn_attr_t(const lmn_opnode *n, const char *name);

/* ---- inference --------------------------------------------------------------------------------
 */

typedef struct lmn_infer lmn_infer;
struct lmn_infer {
    const lmn_opnode *node;
    lmn_dim_pool *dims;
    lmn_arena *arena;                     /* for elems; lives as long as the facts */
    const lmn_fact *const *in;            /* n_in; NULL = input absent */
    const lamina_tensor *const *in_const; /* n_in; non-NULL where the data are known */
    lmn_fact *out; /* n_out; preset to unknown, dtype preset by the port variables */
    lmn_diags *diags;
    lmn_diag_at at;
    /* Infer a subgraph: facts of its inputs (formal then captured) to facts of its outputs. */
    lamina_status (*subgraph)(lmn_infer *ic, const lmn_attr *graph, const lmn_fact *const *in,
                              int32_t n_in, lmn_fact *out, int32_t n_out);
    void *host;
};

static inline bool lmn_infer_has(const lmn_infer *ic, int32_t i)
{
    return i < ic->node->n_in && ic->in[i] && ic->in[i]->kind != LMN_FACT_UNKNOWN;
}
/* Report "status: what; fix" for this node and return status. fix may be NULL. */
LMN_PRINTF(4, 5)
lamina_status lmn_infer_fail(lmn_infer *ic, lamina_status status, const char *fix, const char *fmt,
                             ...);
/* Output o gets dtype and shape of input i (also if partly unknown); elems are not copied. */
void lmn_infer_same(lmn_infer *ic, int32_t o, int32_t i);
/* One dim of a numpy broadcast. False when a and b can never meet. */
bool lmn_dim_broadcast(lmn_dim_pool *p, lmn_dim a, lmn_dim b, lmn_dim *out);
/* Numpy broadcast of the shapes of all inputs first..last into out[o] (dtype untouched). */
lamina_status lmn_infer_broadcast(lmn_infer *ic, int32_t o, int32_t first, int32_t last);
/* Integer elements of input i as dims: count, or -1 if unknown. Rank 0 and 1 (a scalar counts as
 * 1). */
int32_t lmn_infer_elems(lmn_infer *ic, int32_t i, const lmn_dim **out);
/* All elements constant integers? Count (<= cap) or -1. */
int32_t lmn_infer_ints(lmn_infer *ic, int32_t i, int64_t *out, int32_t cap);
/* Give output o known elements (its shape must be set): array of n in the arena, NULL on
 * exhaustion. */
lmn_dim *lmn_infer_set_elems(lmn_infer *ic, int32_t o, int32_t n);
/* Axis attribute normalised into [0, rank); fails with a sentence when outside. rank_extra widens.
 */
lamina_status lmn_infer_axis(lmn_infer *ic, int64_t axis, int32_t rank, int32_t *out);

/* ---- evaluation -------------------------------------------------------------------------------
 */

typedef struct lmn_eval lmn_eval;
/* What the executor offers: filled by the runtime, by constant folding, by tests. */
typedef struct lmn_eval_host {
    /* Run a subgraph attribute: in = formal inputs then captures, borrowed; out receives n_out refs
       owned by the caller. On failure nothing is owned. */
    lamina_status (*run_graph)(lmn_eval *ec, const lmn_attr *graph, lamina_tensor *const *in,
                               int32_t n_in, lamina_tensor **out, int32_t n_out);
    bool (*cancelled)(lmn_eval *ec); /* NULL = never */
    /* What output o of a subgraph would be for inputs of such facts (formal ones, then captures):
       shapes the result of a loop that never turned. False or NULL = nothing. */
    bool (*graph_fact)(lmn_eval *ec, const lmn_attr *graph, const lmn_fact *const *in, int32_t n_in,
                       int32_t o, lmn_fact *f);
} lmn_eval_host;

struct lmn_eval {
    const lmn_opnode *node;
    lamina_engine *engine;
    int32_t n_in, n_out;
    lamina_tensor *const *in;  /* dense; NULL = absent. Never written. */
    lamina_tensor *const *out; /* slots, filled by lmn_out*; NULL = output not wanted */
    void *const *plan_data;    /* n_out planned addresses, or NULL entries, or NULL: heap */
    const size_t *plan_bytes;
    const lmn_par *par;        /* NULL = serial */
    lamina_error *err;         /* may be NULL */
    const lmn_eval_host *host; /* may be NULL: no subgraphs, never cancelled */
    void *host_ctx;
    uint64_t seed;                /* of the run, for random operators without a seed attribute */
    void *scratch_head;           /* blocks of lmn_scratch, released by the executor */
    const struct lmn_mm_hook *mm; /* of a device, for lmn_mm_run (mm.h); may be NULL */
};

static inline const lamina_tensor *lmn_in(const lmn_eval *ec, int32_t i)
{
    return i < ec->n_in && ec->in[i] && ec->in[i]->kind != LAMINA_KIND_NONE ? ec->in[i] : NULL;
}
static inline bool lmn_out_wanted(const lmn_eval *ec, int32_t i)
{
    return i < ec->n_out && ec->out[i];
}
/*
 * Make output i ready: type, shape and uninitialised dense memory (strings: empty). For an output
 * that nobody wants *t is NULL with LAMINA_OK: write nothing then. Memory: the planned address if
 * there is one and it is large enough, else the slot's own buffer if it is unique and of this very
 * size, else a new one.
 */
lamina_status lmn_out(lmn_eval *ec, int32_t i, lamina_dtype dt, int32_t rank, const int64_t *dims,
                      lamina_tensor **t);
/*
 * Output i has the bytes of input j under new dims (same count and type): no copy where possible.
 *  - planned address equal to the input's data, or no planned address: the slot points at the
 * input's data, with a reference when the input has a buffer, without one when its memory is the
 * plan's or the caller's. The executor keeps such memory alive for the run and copies (lmn_keep)
 * what leaves it.
 *  - another planned address: the bytes are copied there.
 */
lamina_status lmn_out_alias(lmn_eval *ec, int32_t i, int32_t j, int32_t rank, const int64_t *dims);
/* Output i is this value (any kind); shares or copies, `v` stays the caller's. */
lamina_status lmn_out_value(lmn_eval *ec, int32_t i, const lamina_tensor *v);
/* Output i is a sequence of these items (refs are taken or copies made; items stay the caller's).
 */
lamina_status lmn_out_sequence(lmn_eval *ec, int32_t i, lamina_dtype dt, int64_t n,
                               lamina_tensor *const *items);
lamina_status lmn_out_none(lmn_eval *ec, int32_t i, lamina_dtype dt);
/* A heap value equal to v with a new ref: v itself or a view when a buffer holds its memory, else a
 * copy. */
lamina_status lmn_keep(lmn_eval *ec, const lamina_tensor *v, lamina_tensor **out);
/* 64-byte aligned uninitialised memory until the node is done; NULL on exhaustion. Not for use
   inside lmn_par_for: take what all workers need before. */
void *lmn_scratch(lmn_eval *ec, size_t bytes);
void lmn_scratch_release(lmn_eval *ec); /* by the executor, after each node */
LMN_PRINTF(3, 4)
lamina_status lmn_eval_fail(lmn_eval *ec, lamina_status status, const char *fmt, ...);
/* "[2,-3]" for such sentences; extents that do not fit end in "...". */
void lmn_extents_text(int32_t rank, const int64_t *dims, char *buf, size_t cap);
lamina_status lmn_run_graph(lmn_eval *ec, const lmn_attr *graph, lamina_tensor *const *in,
                            int32_t n_in, lamina_tensor **out, int32_t n_out);
bool lmn_eval_cancelled(lmn_eval *ec);
/* Release what a slot holds; leaves it KIND_NONE without memory. */
void lmn_slot_clear(lamina_tensor *slot);

/* ---- canonicalisation and decomposition --------------------------------------------------------
 */

typedef uint32_t lmn_ref; /* value handle of the builder; 0 = absent */
/* Implemented by graph; everything fails softly: a 0 ref or false, error kept by the builder. */
typedef struct lmn_builder {
    void *ctx;
    /* Constant tensor (copied). */
    lmn_ref (*constant)(void *ctx, lamina_dtype dt, int32_t rank, const int64_t *dims,
                        const void *data);
    /* Node in the default domain (or "domain:Op"), newest opset. Writes n_out refs. */
    bool (*node)(void *ctx, const char *op, const lmn_ref *in, int32_t n_in, const lmn_attr *attrs,
                 int32_t n_attrs, lmn_ref *out, int32_t n_out);
    /* Fact of a ref as far as inference has come (rank and dtype are usually known). */
    const lmn_fact *(*fact)(void *ctx, lmn_ref r);
    /* Data of a ref if constant, else NULL. */
    const lamina_tensor *(*data)(void *ctx, lmn_ref r);
    /* The value of this graph that the file calls `name`, 0 if none is defined yet. */
    lmn_ref (*find)(void *ctx, lmn_str name);
    /* dx[i] = derivative of the sum of y by x[i], as new nodes (reverse mode, rules of ops/grad.h);
       zeros where y does not depend on x[i]. */
    bool (*gradient)(void *ctx, lmn_ref y, const lmn_ref *x, int32_t n_x, lmn_ref *dx);
} lmn_builder;

#define LMN_CANON_MAX_IN 64
typedef struct lmn_canon {
    const lmn_opnode *node; /* as in the file; attrs readable by lmn_attr_* */
    int32_t opset;          /* version of the domain the file imports */
    const char *op;         /* set to rename: the op that the rewritten node becomes */
    lmn_attr *attrs;        /* editable copy, room for n_attrs + 8 */
    int32_t n_attrs;
    lmn_ref *in; /* editable, room for n_in + 8 */
    int32_t n_in;
    bool replaced; /* set: the node is dropped, `out` holds its values */
    lmn_ref *out;  /* n_out */
    int32_t n_out;
    const lmn_builder *b;
    lmn_diags *diags;
    lmn_diag_at at;
} lmn_canon;

/* Helpers for canon functions. */
void lmn_canon_drop_attr(lmn_canon *c, const char *name);
bool lmn_canon_set_i(lmn_canon *c, const char *name, int64_t v);
bool lmn_canon_set_f(lmn_canon *c, const char *name, float v);
bool lmn_canon_set_in(lmn_canon *c, int32_t i, lmn_ref r);
/* Append or set input i to a constant i64 vector / scalar f32 (pads missing inputs as absent). */
bool lmn_canon_in_i64s(lmn_canon *c, int32_t i, const int64_t *v, int32_t n);
bool lmn_canon_in_f32(lmn_canon *c, int32_t i, float v);
/* Scalar of any numeric type, such as a bound whose type follows the data. */
bool lmn_canon_in_scalar(lmn_canon *c, int32_t i, lamina_dtype dt, double v);
/* Attribute `name` (ints) becomes input i as an i64 vector, if present; then it is dropped. */
bool lmn_canon_attr_to_input(lmn_canon *c, const char *name, int32_t i);
LMN_PRINTF(4, 5)
lamina_status lmn_canon_fail(lmn_canon *c, lamina_status status, const char *fix, const char *fmt,
                             ...);

/* ---- the definition ---------------------------------------------------------------------------
 */

enum {
    LMN_PORT_OPTIONAL = 1,
    LMN_PORT_VARIADIC = 2, /* last port; one type for all */
    LMN_PORT_HETERO = 4,   /* variadic with free types */
    LMN_PORT_ANYKIND = 8,  /* sequences and optionals too: types are those of the items */
    LMN_PORT_FAR = 16,     /* takes large weights: they are left where the file has them, at any
                              address; a kernel that minds gets a copy (lamina_device_vtable) */
    LMN_PORT_BYTES = 32    /* the evaluation copies bytes of this port and minds no address */
};
typedef struct lmn_port {
    const char *name;
    char var;       /* type variable: equal letters mean equal dtype; 0 = on its own */
    uint8_t flags;  /* LMN_PORT_* */
    lmn_dset types; /* allowed */
} lmn_port;

enum { LMN_ATTR_REQUIRED = 1 };
typedef struct lmn_attr_schema {
    const char *name; /* NULL ends the list */
    lmn_attr_type type;
    uint8_t flags;
} lmn_attr_schema;

enum {
    LMN_OP_VIEW = 1,         /* output 0 is input 0's bytes under another shape */
    LMN_OP_INPLACE = 2,      /* output 0 may overwrite an input of the same type and shape */
    LMN_OP_RANDOM = 4,       /* never folded, merged or removed as equal */
    LMN_OP_ELEMENTWISE = 8,  /* out = broadcast of all inputs; infer may be NULL */
    LMN_OP_SAME = 16,        /* every output has input 0's shape; infer may be NULL */
    LMN_OP_DYNAMIC = 32,     /* output shapes depend on data that inference does not see */
    LMN_OP_INT_LATTICE = 64, /* infer computes elems */
    LMN_OP_COMMUTES = 128,
    LMN_OP_INPLACE_LAST = 256, /* as LMN_OP_INPLACE, but the last input alone */
    /* An index of dimension 0 of input 0 makes that of output 0, alone and in the same bits
       whatever the others are; inputs 1 and 2 serve all. Of the others and of output 0 the same. */
    LMN_OP_IMAGES = 512
};

typedef struct lmn_cost {
    double flops, bytes; /* multiply-add counts 2; bytes read and written, operands once */
} lmn_cost;

struct lmn_op_def {
    const char *domain; /* "" = ai.onnx */
    const char *name;
    int32_t since; /* first opset of the domain that has it */
    int32_t until; /* last opset that has it, 0 = still there */
    uint32_t flags;
    const lmn_port *in; /* name NULL ends the list */
    const lmn_port *out;
    const lmn_attr_schema *attrs; /* may be NULL: none */
    lamina_status (*infer)(lmn_infer *ic);
    lamina_status (*eval)(lmn_eval *ec);
    lamina_status (*canon)(lmn_canon *c); /* NULL = all versions since `since` mean the same */
    /* Refines *c, which holds the default: operands once, 1 flop per element of output 0. May be
     * NULL. */
    void (*cost)(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c);
};

/* By domain ("" or "ai.onnx" = default) and name; NULL if unknown. */
const lmn_op_def *lmn_op_find(const char *domain, const char *name);
/* The same among the built-in ones and then the plug-ins of this engine. */
const lmn_op_def *lmn_op_find_in(const lamina_engine *e, const char *domain, const char *name);
/* Port of the i-th input or output of a list that a NULL name ends; NULL past the end. */
const lmn_port *lmn_port_at(const lmn_port *p, int32_t i);
/* All rows in the order of op_list.h, NULL-terminated; n may be NULL. */
const lmn_op_def *const *lmn_op_all(size_t *n);
/* Is a string attribute one of the words that the standard lists for it? *words: those, NULL when
   it lists none. */
bool lmn_attr_word_fits(const lmn_op_def *def, const lmn_attr *a, const char **words);
/* Letters to change between two names, case ignored; SIZE_MAX if one is too long to be a name. */
size_t lmn_name_distance(const char *a, const char *b);
/* Closest known name for messages ("Add" for "Addd"), or NULL. */
const char *lmn_op_nearest(const char *name);
/* Was the library built of some operators alone (LAMINA_OPS)? */
bool lmn_op_subset(void);
/* Check counts, types and required attributes, preset out dtypes, then run def->infer (or the
   default of ELEMENTWISE and SAME). The only way inference is called. */
lamina_status lmn_op_infer(lmn_infer *ic);
/* Cost with the default for defs without one; unknown dims count as 1. */
void lmn_op_cost(const lmn_opnode *n, const lmn_fact *const *in, const lmn_fact *out, lmn_cost *c);

#endif
