/*
 * What the files of kserve_*.c share.
 */
#ifndef LMN_SERVE_KSERVE_INT_H
#define LMN_SERVE_KSERVE_INT_H

#include "base/cpu.h"
#include "serve/kserve.h"

/* Room for a foreign name in a sentence. */
#define LMN_KSERVE_NAME 72
/* Longest id of a request, since answers repeat it. */
#define LMN_KSERVE_ID 4096

/* Number of elements of dims; false: negative, or more than an int64 or a size of elements says. */
bool lmn_kserve_count(const int64_t *dims, int32_t rank, size_t elem_bytes, int64_t *out);
/* Memory for `count` elements of t, 64-aligned; t->bytes is set but for strings. */
void *lmn_kserve_room(lmn_infer_tensor *t, int64_t count, lmn_arena *arena);

/*
 * The value of "data" that begins at p, flat or nested as the shape of t says, into memory of the
 * arena. Returns the byte behind it, or NULL with the sentence, which names the input.
 */
const uint8_t *lmn_kserve_data(const uint8_t *p, const uint8_t *end, lmn_infer_tensor *t,
                               const char *name, lmn_arena *arena, lamina_error *err);

/* Bytes of a tensor in place or copied: `raw` is all of it. Also what gRPC calls raw contents. */
lamina_status lmn_kserve_binary(lmn_span raw, lmn_infer_tensor *t, const char *name,
                                lmn_arena *arena, lamina_error *err);

/* What was said of a part of lent memory is all that must be said, and lies within its region;
 * sized: so many bytes were said. */
lamina_status lmn_kserve_lent_whole(const lmn_lent_part *p, bool sized, lamina_error *err);
/* lmn_kserve_binary of it; what the client can still change is copied first. */
lamina_status lmn_kserve_lent_input(const lmn_lent_part *p, lmn_infer_tensor *t, const char *name,
                                    lmn_arena *arena, lamina_error *err);

/* Room for what a request may name. */
lamina_status lmn_kserve_ports(const lmn_signature *s, lmn_arena *arena, lmn_infer *r,
                               lamina_error *err);
/* Which of n ports has that name; n: none. */
uint32_t lmn_kserve_port(const lmn_serve_port *ports, uint32_t n, lmn_span name);
/* The one input whose bytes are the whole body; the shape follows from the signature. */
lamina_status lmn_kserve_raw_body(const lmn_signature *s, lmn_span body, lmn_arena *arena,
                                  lmn_infer *r, lamina_error *err);

/* What is said of one output: a result, or texts made of it. */
typedef struct lmn_kserve_said {
    lmn_infer_tensor t; /* dtype, shape; for STRING an array of lmn_span */
    const char *name;
    int64_t count;
    bool binary;
    lmn_isa isa;        /* what the CPU can that writes it */
    lmn_lent_part lent; /* where its bytes go; without a region: into the answer */
} lmn_kserve_said;

/* How many outputs the answer to r has; the i-th of them; its binary form, in place or in arena. */
uint32_t lmn_kserve_n_answers(const lmn_signature *s, const lmn_infer *r);
lamina_status lmn_kserve_describe(const lmn_signature *s, const lmn_infer *r, uint32_t i,
                                  lmn_arena *arena, lmn_kserve_said *o, lamina_error *err);
lamina_status lmn_kserve_binary_of(const lmn_kserve_said *o, lmn_arena *arena, lmn_span *out,
                                   lamina_error *err);

/* The bytes of an output into the memory that the client has lent for them. */
lamina_status lmn_kserve_lend(lmn_kserve_said *o, lmn_arena *arena, lamina_error *err);

/* The input that a request names: in *t its port, which was not `seen` before; `name` is for
 * sentences. And whether its type is the model's. */
lamina_status lmn_kserve_name_input(const lmn_signature *s, lmn_span given, bool *seen,
                                    lmn_infer_tensor *t, char name[LMN_KSERVE_NAME],
                                    lamina_error *err);
lamina_status lmn_kserve_name_output(const lmn_signature *s, lmn_span given, bool *seen,
                                     lmn_infer_tensor *t, lamina_error *err);
lamina_status lmn_kserve_check_type(const lmn_signature *s, const lmn_infer_tensor *t,
                                    const char *name, lamina_error *err);
/* All inputs that must be there are. */
lamina_status lmn_kserve_all_seen(const lmn_signature *s, const bool *seen, lamina_error *err);

/* Extensions of the protocol that are spoken here. */
extern const char *const lmn_kserve_extensions[];
extern const uint32_t lmn_kserve_n_extensions;

/* The n best of each row of t, as texts "value:index:label"; rows * n of them, row by row. */
lamina_status lmn_kserve_classes(const lamina_tensor *t, const lmn_serve_port *port, uint32_t n,
                                 bool batched, lmn_arena *arena, lmn_infer_tensor *out);

#endif
