/*
 * Inside of the ONNX writer: what its files share while one model is written.
 *
 * The message grows in one bounded buffer; the bytes of weights are not copied into it but noted as
 * holes (where, which tensor, in which type), and go from their memory to the file when it is
 * flushed. Lengths of messages are varints padded to five bytes, patched at their end, so that
 * nothing is measured beforehand. The first failure sticks; whoever builds looks once at the end.
 */
#ifndef LMN_FORMATS_ONNX_WRITE_H
#define LMN_FORMATS_ONNX_WRITE_H

#include "base/map.h"
#include "base/os/os_dir.h"
#include "base/strbuf.h"
#include "formats/onnx/onnx.h"

/* A protobuf message, and so an ONNX file, cannot be larger. */
#define LMN_ONNX_MAX_MESSAGE ((uint64_t)INT32_MAX)
/* Weights of fewer bytes stay inside the model when the others go to a file of their own. */
#define LMN_ONNX_EXTERNAL_BYTES ((size_t)1024)
/* Floats of fewer elements keep their type: scalars and small vectors steer more than they weigh.
 */
#define LMN_ONNX_NARROW_COUNT ((int64_t)64)

/* Bytes that a tensor puts at `at`: of the message, or of the external file. */
typedef struct lmn_onnx_hole {
    uint64_t at;
    const lamina_tensor *t;
    lamina_dtype as; /* t's type, or the narrower one it is written in */
} lmn_onnx_hole;

typedef struct lmn_onnx_holes {
    lmn_onnx_hole *v;
    size_t n, cap;
    uint64_t bytes; /* of all; of an external file: where the next may begin */
} lmn_onnx_holes;

typedef struct lmn_onnx_out {
    lamina_engine *engine;
    const lamina_save_opts *opts;
    lmn_arena arena; /* names and tables: until the model is written */
    lmn_strbuf b;
    lmn_onnx_holes inside, outside;
    int32_t opset; /* of the default domain, as written */
    lamina_error *err;
    lamina_status status;
} lmn_onnx_out;

/* Note a failure; the first one stays. */
LMN_PRINTF(3, 4)
void lmn_onnx_out_fail(lmn_onnx_out *w, lamina_status st, const char *fmt, ...);
/* True while nothing failed; takes over what the buffer and the arena noted. */
bool lmn_onnx_out_ok(lmn_onnx_out *w);
void lmn_onnx_put_int(lmn_onnx_out *w, uint32_t num, int64_t v);
void lmn_onnx_put_bytes(lmn_onnx_out *w, uint32_t num, const void *p, size_t n);
void lmn_onnx_put_str(lmn_onnx_out *w, uint32_t num, const char *s);
/* A field of 32 bits. */
void lmn_onnx_put_f32(lmn_onnx_out *w, uint32_t num, float v);
/* A message inside: begin, its fields, end. */
typedef struct lmn_onnx_mark {
    size_t at;
    uint64_t holes;
} lmn_onnx_mark;
lmn_onnx_mark lmn_onnx_begin(lmn_onnx_out *w, uint32_t num);
void lmn_onnx_end(lmn_onnx_out *w, lmn_onnx_mark m);
/* raw_data: the bytes of t as type `as` go here or, when they are many and `movable`, into the
   external file if one is wanted. */
void lmn_onnx_put_raw(lmn_onnx_out *w, const lamina_tensor *t, lamina_dtype as, bool movable);
/* The message, or the external file, to its place on the disk: atomic, the old file stays on any
   failure. */
lamina_status lmn_onnx_flush(lmn_onnx_out *w, const char *path, bool external);

/* onnx_write_tensor.c: TensorProto as field `num`; nameless ones, of attributes, stay inside. */
void lmn_onnx_put_tensor(lmn_onnx_out *w, uint32_t num, const char *name, const lamina_tensor *t,
                         lamina_dtype as);
/* The type in which a weight is written: its own, or the narrow one that is asked for. */
lamina_dtype lmn_onnx_narrow(const lmn_onnx_out *w, const lamina_tensor *t);
/* ValueInfoProto as field `num`; TypeProto as field `num`. */
void lmn_onnx_put_info(lmn_onnx_out *w, uint32_t num, const lmn_dim_pool *dims, const char *name,
                       const lmn_fact *f);
void lmn_onnx_put_type(lmn_onnx_out *w, uint32_t num, const lmn_dim_pool *dims, const lmn_fact *f);

/* onnx_write_names.c: what every value of a graph is called in the file. */
typedef struct lmn_onnx_naming {
    const lmn_graph *g;
    const struct lmn_onnx_naming *outer; /* of the enclosing graph, NULL at the top */
    lmn_map used;                        /* names of values taken in this graph */
    lmn_map labels;                      /* names of nodes */
    const char **name;                   /* by value; in the writer's arena */
    bool *shared;                        /* by value: a name of the enclosing graph or of a twin */
    uint32_t *uses;                      /* readers of each value */
    uint32_t n_made;
} lmn_onnx_naming;
/* `n` is the node of the enclosing graph that holds g, NULL at the top. */
void lmn_onnx_naming_init(lmn_onnx_out *w, lmn_onnx_naming *s, const lmn_graph *g,
                          const lmn_onnx_naming *outer, const lmn_gnode *n);
void lmn_onnx_naming_finish(lmn_onnx_naming *s);
/* A name that nobody has, from a stem. */
const char *lmn_onnx_fresh(lmn_onnx_out *w, lmn_onnx_naming *s, const char *stem);

/* The name of a node, changed if another one has it: readers want them distinct. */
const char *lmn_onnx_label(lmn_onnx_out *w, lmn_onnx_naming *s, const char *name);

/* onnx_write_graph.c: GraphProto as field `num`; `n` as above. */
void lmn_onnx_put_graph(lmn_onnx_out *w, uint32_t num, const lmn_graph *g,
                        const lmn_onnx_naming *outer, const lmn_gnode *n, const char *doc);

/* onnx_write_opset.c: the lowest operator set in which every node of g means what it says here. */
void lmn_onnx_choose_opset(lmn_onnx_out *w, const lamina_model *m, const lmn_graph *g);
/* Version to import for a domain other than the default one. */
int64_t lmn_onnx_domain_version(const lamina_model *m, const lmn_op_def *def);

#endif
