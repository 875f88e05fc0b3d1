/*
 * What the tables of a configuration's fields are made of: one table a message, one function a
 * field, and the words that refuse. A message may say a field that is not repeated once only.
 */
#ifndef LMN_SERVE_CONFIG_FIELDS_H
#define LMN_SERVE_CONFIG_FIELDS_H

#include "serve/config.h"
#include "serve/config_tree.h"

typedef struct lmn_cfg_reader {
    lmn_arena *arena;
    lmn_serve_config *c;
    bool json;
    lmn_batch_level fallback; /* default_queue_policy */
    bool given[LMN_BATCH_MAX_LEVELS];
    uint32_t last_level; /* highest that has a policy */
    lamina_error *err;
} lmn_cfg_reader;

typedef lamina_status lmn_cfg_take_fn(lmn_cfg_reader *r, const lmn_cfg_node *n, void *into);

typedef struct lmn_cfg_field {
    const char *name;
    lmn_cfg_take_fn *take; /* NULL: Triton has it, we do not */
    bool many;
} lmn_cfg_field;

/* E_INVALID: the line, the field's name, then what is wrong with it. */
LMN_PRINTF(3, 4)
lamina_status lmn_cfg_bad(lmn_cfg_reader *r, const lmn_cfg_node *n, const char *fmt, ...);
lamina_status lmn_cfg_no_memory(lmn_cfg_reader *r);

/* Takes the fields of a message by its table. */
lamina_status lmn_cfg_each(lmn_cfg_reader *r, const lmn_cfg_node *msg, const lmn_cfg_field *rows,
                           size_t n_rows, void *into);

/* Whole numbers: decimal or 0x; in quotes in JSON, as proto3 writes 64 bits. */
lamina_status lmn_cfg_number(lmn_cfg_reader *r, const lmn_cfg_node *n, int64_t lo, int64_t hi,
                             int64_t *out);
lamina_status lmn_cfg_boolean(lmn_cfg_reader *r, const lmn_cfg_node *n, bool *out);
lamina_status lmn_cfg_string(lmn_cfg_reader *r, const lmn_cfg_node *n, const char **out);
/* Which of the names, NULL ends. */
lamina_status lmn_cfg_choice(lmn_cfg_reader *r, const lmn_cfg_node *n, const char *const *names,
                             uint32_t *out);

/* Fields that say nothing to this server. */
lmn_cfg_take_fn lmn_cfg_nothing;
/* A thing Triton has that must not be asked for: fine when it is false. */
lmn_cfg_take_fn lmn_cfg_must_be_false;

typedef struct lmn_cfg_keyed {
    const lmn_cfg_node *key, *value;
} lmn_cfg_keyed;

/* An entry of a map, as text has it: { key: .. value { .. } }. */
lamina_status lmn_cfg_entry(lmn_cfg_reader *r, const lmn_cfg_node *n, lmn_cfg_keyed *out);

/* A map from strings: `take` for each of its entries, whichever way they are written. */
typedef lamina_status lmn_cfg_pair_fn(lmn_cfg_reader *r, const lmn_cfg_node *at, const char *key,
                                      const lmn_cfg_node *value, void *into);
lamina_status lmn_cfg_pairs(lmn_cfg_reader *r, const lmn_cfg_node *n, lmn_cfg_pair_fn *take,
                            void *into);

/* Messages with a file of their own, and what is to be said once all fields are read. */
lmn_cfg_take_fn lmn_cfg_batching, lmn_cfg_ensemble;
lamina_status lmn_cfg_settle_batching(lmn_cfg_reader *r);
lamina_status lmn_cfg_settle_ensemble(lmn_cfg_reader *r);

#endif
