/*
 * One inference request, whatever protocol it came by: from the codec that reads it (kserve_*.c)
 * through the batcher to the run, and back to the codec that writes the answer. Owned by whoever
 * made it; between lmn_model_submit and its `done` it belongs to the model.
 */
#ifndef LMN_SERVE_INFER_H
#define LMN_SERVE_INFER_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/error.h"
#include "lamina/tensor.h"
#include "serve/lent.h"
#include "serve/orderset.h"

#define LMN_INFER_MAX_PORTS 64u /* inputs, and outputs asked for, of one request */

/* A value as a client gave it. Dense, row-major, elements in host order. */
typedef struct lmn_infer_tensor {
    uint32_t port; /* index of the model's input or output */
    lamina_dtype dtype;
    int32_t rank;
    int64_t dims[LAMINA_MAX_RANK];
    /* Input: elements, aligned to their size, in a buffer that lives until `done`; for STRING an
     * array of lmn_span, one an element. Output: unused. */
    const void *data;
    size_t bytes;       /* of the elements; for STRING of their text */
    bool binary;        /* output: wanted as binary */
    uint32_t n_classes; /* output: > 0: the classification extension, so many best */
    lmn_lent_part lent; /* output: where its bytes go, instead of into the answer */
} lmn_infer_tensor;

typedef struct lmn_model lmn_model; /* a version of a model: serve/served.h */
typedef struct lmn_infer lmn_infer;

struct lmn_infer {
    lmn_infer *next, *prev; /* of the queue that it is in */
    lmn_model *model;       /* a reference */
    lmn_model *parent;      /* the ensemble that this is a step of (the outermost); NULL: none */
    lmn_span id;            /* "" = none */
    uint32_t n_in, n_out;   /* n_out 0: all, as JSON */
    bool binary_out;        /* default of outputs that say nothing */
    lmn_lent_view *lent;    /* memory of the client's that its tensors may lie in; NULL: none */

    /* Set by lmn_model_submit. */
    int64_t rows; /* of the batch dimension; 1 when the model has none */
    size_t bytes; /* of all inputs */
    uint64_t key; /* equal: may share a batch (inputs given, dimensions but the first) */

    uint32_t priority;    /* 1 = highest; 0 = the model's default */
    uint64_t timeout_ns;  /* asked for by the client; 0 = none */
    uint64_t deadline_ns; /* monotonic; UINT64_MAX = none: set at admission */
    uint64_t sequence;    /* of arrival in its queue, for order */
    uint64_t arrived_ns, queued_ns, started_ns, computed_ns; /* stamps of its stages */
    const lmn_atomic(uint32_t) * gone;                       /* the client has left; may be NULL */

    /* The batcher's own, from submit to done. */
    struct lmn_batch_group *group;
    lmn_ordnode order, due;   /* by who goes first; by deadline */
    lmn_infer *older, *newer; /* of all that wait */
    lmn_infer *line;          /* the next to be answered, with preserve_ordering */
    uint32_t level;           /* 0: the first */
    uint8_t stage;

    /* Filled before `done`: */
    lamina_status status;
    uint32_t n_result;
    uint32_t retry_after_s; /* with E_BUSY and E_LIMIT: when to come again */
    /* Called once, by the thread that computed or refused; never before submit returned. Meanwhile
     * `next` is what the same thread calls it for next; NULL: nothing at once. */
    void (*done)(lmn_infer *r);
    void *user;

    /* In memory of whoever made it, room for as many as the model has (lmn_infer_ports): model
     * outputs by position, owned, NULL where not asked for, a view of its own rows; what was given;
     * what was asked for. */
    lamina_tensor **result;
    lmn_infer_tensor *in, *out;

    lamina_error error; /* last: only who fails touches more of it than its first bytes */
};

/* Bytes of the ports of a request to a model of so many inputs and outputs; multiples of 8. */
static inline size_t lmn_infer_ports_bytes(uint32_t n_in, uint32_t n_out)
{
    return ((size_t)n_in + n_out) * sizeof(lmn_infer_tensor) + n_out * sizeof(lamina_tensor *);
}
/* They lie in `room`, so many bytes, aligned to 8, from now on. Nothing in it is set. */
static inline void lmn_infer_ports(lmn_infer *r, void *room, uint32_t n_in, uint32_t n_out)
{
    r->in = room;
    r->out = r->in + n_in;
    r->result = (lamina_tensor **)(void *)(r->out + n_out);
}

#endif
