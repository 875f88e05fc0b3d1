/*
 * Operators of plug-ins (lamina/plugin.h): what an engine has beyond the registry. The list grows
 * at its head by one atomic store and never shrinks before the engine goes, so that look-ups need
 * no lock.
 */
#ifndef LMN_OPS_PLUGIN_H
#define LMN_OPS_PLUGIN_H

#include "base/engine.h"
#include "lamina/plugin.h"
#include "ops/op.h"

/* Give the engine an empty list. Without one there are no plug-ins. */
lamina_status lmn_plugins_open(lamina_engine *e);
/* Is this handle of a library among those loaded? */
bool lmn_plugins_have(const lamina_engine *e, const void *lib);
/* Take over the operators of a table, and the library: `close(lib)` runs with the engine's end.
   On failure nothing was added and `lib` stays the caller's. */
lamina_status lmn_plugins_add(lamina_engine *e, const lamina_plugin *table, void *lib,
                              void (*close)(void *lib), lamina_error *err);

/* Name of the k-th plug-in in the order of loading, and its i-th operator; NULL past the end. */
const char *lmn_plugins_at(const lamina_engine *e, size_t k, size_t *n_ops);
const lmn_op_def *lmn_plugins_op(const lamina_engine *e, size_t k, size_t i);

/* The definition behind a table's row, as `def` of the operators that plugin.c makes. */
typedef struct lmn_plugin_op {
    lmn_op_def def; /* first: a node's def leads back here */
    lamina_op_v1 row;
} lmn_plugin_op;

/* Callbacks of such a definition (plugin_call.c). */
lamina_status lmn_plugin_infer(lmn_infer *ic);
lamina_status lmn_plugin_eval(lmn_eval *ec);

#endif
