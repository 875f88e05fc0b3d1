/*
 * Control flow: what If, Loop and Scan share when they call subgraphs and stack what each turn
 * gives.
 */
#ifndef LMN_OPS_CONTROL_H
#define LMN_OPS_CONTROL_H

#include "ops/join.h"
#include "ops/sequence.h"

/* Refs of the tensors a loop output got so far, in scratch; grows by doubling. */
typedef struct lmn_stack {
    lamina_tensor **at;
    int64_t n, cap;
    size_t bytes; /* held by the tensors */
} lmn_stack;

/* Takes over the ref t also on failure. */
lamina_status lmn_stack_push(lmn_eval *ec, lmn_stack *s, lamina_tensor *t);
void lmn_stack_release(lmn_stack *s);
/* Output o = the stack joined on a fresh `axis`, last turn first when `reverse`. Without turns its
   type and shape are what output `g` of the body would be in a first turn, given the facts of its
   formal inputs, as far as these tell; unknown extents 0. */
typedef struct lmn_stacked {
    const lmn_fact *formal;
    int32_t n_formal, g;
    int64_t axis;
    bool reverse;
} lmn_stacked;
lamina_status lmn_stack_out(lmn_eval *ec, int32_t o, lmn_stack *s, const lmn_stacked *how);

/* A heap scalar: int64 or bool. */
lamina_status lmn_scalar(lmn_eval *ec, lamina_dtype dt, int64_t v, lamina_tensor **out);
/* One truth value out of a tensor of one element. */
lamina_status lmn_truth(lmn_eval *ec, const lamina_tensor *t, const char *what, bool *out);

/* Facts for a subgraph call: n_in pointers (the last n_caps are those of the node) and n_out
 * results. */
typedef struct lmn_call_facts {
    const lmn_fact **in;
    lmn_fact *own; /* n_in facts to fill and point at */
    lmn_fact *out;
    int32_t n_in, n_out;
} lmn_call_facts;
lamina_status lmn_call_facts_make(lmn_infer *ic, int32_t n_formal, int32_t n_out,
                                  lmn_call_facts *c);
lamina_status lmn_call_facts_run(lmn_infer *ic, const char *graph, lmn_call_facts *c);
/* Weaken the loop-carried facts in[at..at+n) until the results out[from..from+n) agree with them.
 */
lamina_status lmn_call_facts_settle(lmn_infer *ic, lmn_call_facts *c, int32_t at, int32_t from,
                                    int32_t n);
/* Output o is `f` with a leading extent `len` put in at `axis`. */
lamina_status lmn_infer_stacked(lmn_infer *ic, int32_t o, const lmn_fact *f, int64_t axis,
                                lmn_dim len);

#endif
