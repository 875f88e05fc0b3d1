/*
 * What the files of kserve_*.c share.
 */
#ifndef LMN_SERVE_KSERVE_INT_H
#define LMN_SERVE_KSERVE_INT_H

#include "serve/kserve.h"

/* Room for a foreign name in a sentence. */
#define LMN_KSERVE_NAME 72

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

/* Which of n ports has that name; n: none. */
uint32_t lmn_kserve_port(const lmn_serve_port *ports, uint32_t n, lmn_span name);
/* The one input whose bytes are the whole body; the shape follows from the signature. */
lamina_status lmn_kserve_raw_body(const lmn_signature *s, lmn_span body, lmn_arena *arena,
                                  lmn_infer *r, lamina_error *err);

/* The n best of each row of t, as texts "value:index:label"; rows * n of them, row by row. */
lamina_status lmn_kserve_classes(const lamina_tensor *t, const lmn_serve_port *port, uint32_t n,
                                 bool batched, lmn_arena *arena, lmn_infer_tensor *out);

#endif
