/*
 * What the files share that read the body of an infer request: kserve_read.c its tensors,
 * kserve_parameters.c its parameters, kserve_keys.c keys and values of any object in it.
 */
#ifndef LMN_SERVE_KSERVE_READ_INT_H
#define LMN_SERVE_KSERVE_READ_INT_H

#include "serve/kserve_int.h"

typedef struct lmn_kserve_reader {
    const lmn_signature *s;
    lmn_json j;
    lmn_infer *r;
    lmn_arena *arena;
    lamina_error *err;
    lmn_span tail; /* binary tensors that nobody has taken yet */
    bool has_head; /* the length of the JSON was said */
    bool seen_in[LMN_INFER_MAX_PORTS], seen_out[LMN_INFER_MAX_PORTS];
} lmn_kserve_reader;

/* Keys of an object: those that mean something have names. */
typedef struct lmn_kserve_keys {
    const char *const *names;
    uint32_t n, seen; /* seen: a bit a name; from the 8th on those of lent memory */
    uint32_t at;      /* which of the names the last key is; n: none of them */
    lmn_json_token t; /* the last key */
} lmn_kserve_keys;

/* Of a JSON text that is none: the parser has said why. */
lamina_status lmn_kserve_bad_json(const lmn_kserve_reader *d);
/* The value of a key, which is to be `what`: the next token, which must be of that kind. The forms
 * for one type set *out on success alone; a text lies in the body where it can, else in the arena.
 */
lamina_status lmn_kserve_want(lmn_kserve_reader *d, lmn_json_kind kind, const char *key,
                              const char *what, lmn_json_token *t);
lamina_status lmn_kserve_want_text(lmn_kserve_reader *d, const char *key, lmn_span *out);
lamina_status lmn_kserve_want_bool(lmn_kserve_reader *d, const char *key, bool *out);
lamina_status lmn_kserve_want_count(lmn_kserve_reader *d, const char *key, int64_t max,
                                    int64_t *out);

/* The next key of an object: *more false at its end. A key with a name may stand once. */
lamina_status lmn_kserve_next_key(lmn_kserve_reader *d, lmn_kserve_keys *k, bool *more);
/* Which of the names the key t is; n: none of them. */
uint32_t lmn_kserve_key_of(const lmn_json_token *t, const char *const *names, uint32_t n);
/* Bit `key` of what was seen, once. */
lamina_status lmn_kserve_once(lmn_kserve_reader *d, uint32_t *seen, uint32_t key, const char *name);

/* The value of "parameters": of the request, into d->r; of an input, *binary_bytes where it is said
 * how many of the tail are its own; of an output. */
lamina_status lmn_kserve_request_parameters(lmn_kserve_reader *d);
lamina_status lmn_kserve_input_parameters(lmn_kserve_reader *d, lmn_lent_part *lent,
                                          int64_t *binary_bytes);
lamina_status lmn_kserve_output_parameters(lmn_kserve_reader *d, lmn_infer_tensor *out);

#endif
