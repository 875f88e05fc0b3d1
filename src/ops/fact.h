/*
 * What is known of a value before it is computed: type, symbolic shape and, for small integer
 * tensors, the elements themselves (the value lattice that carries Shape -> Gather -> Concat ->
 * Reshape). The one currency of inference.
 */
#ifndef LMN_OPS_FACT_H
#define LMN_OPS_FACT_H

#include "tensor/dim.h"
#include "tensor/tensor.h"

/* Longest integer tensor whose elements the lattice carries. */
#define LMN_FACT_MAX_ELEMS 1024

enum { LMN_FACT_UNKNOWN = 0, LMN_FACT_TENSOR, LMN_FACT_SEQUENCE, LMN_FACT_OPTIONAL, LMN_FACT_MAP };

typedef struct lmn_fact {
    uint8_t kind; /* LMN_FACT_*; of a sequence or optional, dtype/rank/dims describe the items */
    uint8_t key;  /* I64 or STRING: a map from this to dtype, or a sequence of such; rank is -1 */
    bool maybe;   /* a sequence or map that an optional holds: it may be absent */
    lamina_dtype dtype; /* LAMINA_DTYPE_NONE = unknown */
    int32_t rank;       /* -1 = unknown */
    lmn_dim dims[LMN_MAX_RANK];
    int32_t n_elems; /* elements known in `elems`; -1 = none known */
    lmn_dim *elems;  /* lent by the arena of the inference; dense order; may hold LMN_DIM_UNKNOWN */
} lmn_fact;

static inline lmn_fact lmn_fact_unknown(void)
{
    return (lmn_fact){.rank = -1, .n_elems = -1};
}
/* Tensor of dtype with rank unknown dims (rank -1 allowed). */
lmn_fact lmn_fact_tensor(lamina_dtype dtype, int32_t rank);
/* Exact fact of a concrete value; small integer and bool tensors carry their elements (arena may be
   NULL: then they do not). */
lmn_fact lmn_fact_of(const lamina_tensor *t, lmn_arena *arena);
/* Number of elements as a dim. */
lmn_dim lmn_fact_count(lmn_dim_pool *p, const lmn_fact *f);
/* For costs: elements and bytes, with 1 for what is unknown. */
double lmn_fact_size(const lmn_fact *f);
double lmn_fact_bytes(const lmn_fact *f);
/* All dims constant? Then writes them. */
bool lmn_fact_static(const lmn_fact *f, int64_t *dims);
/* Meet of an inferred and a declared fact into *f; false when they contradict each other. */
bool lmn_fact_unify(const lmn_dim_pool *p, lmn_fact *f, const lmn_fact *other);
/* "float32[N,3,224,224]", "seq(int64[?])", "seq(map(string,float32))", "?": always terminates. */
size_t lmn_fact_format(const lmn_dim_pool *p, const lmn_fact *f, char *buf, size_t cap);

#endif
