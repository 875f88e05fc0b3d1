/*
 * A configuration as a tree of named values, read from JSON or from protobuf's text format, so that
 * one table of fields (config.c and its neighbours) understands both. A field that is repeated
 * stands as several nodes of one name, in order; a list is flattened into such nodes.
 *
 * The text is foreign: its length, depth and number of values are bounded, and every failure names
 * the line.
 */
#ifndef LMN_SERVE_CONFIG_TREE_H
#define LMN_SERVE_CONFIG_TREE_H

#include "base/alloc.h"
#include "base/error.h"

#define LMN_CFG_MAX_BYTES ((size_t)1 << 20)
#define LMN_CFG_MAX_NODES 20000u
#define LMN_CFG_MAX_DEPTH 16u

typedef enum lmn_cfg_kind {
    LMN_CFG_MESSAGE, /* children */
    LMN_CFG_STRING,  /* text, decoded */
    LMN_CFG_WORD     /* a number, true, false, a name of an enumeration: as written */
} lmn_cfg_kind;

typedef struct lmn_cfg_node {
    const char *name; /* terminated; "" for the root */
    lmn_cfg_kind kind;
    const char *text; /* terminated, without zero bytes; NULL of a message */
    uint32_t line;    /* where it stands; 0 = not known */
    struct lmn_cfg_node *first, *last, *next;
} lmn_cfg_node;

typedef struct lmn_cfg_tree {
    lmn_arena *arena;
    lmn_cfg_node *root;
    uint32_t n_nodes;
    bool json; /* numbers and names may stand in quotes */
    lamina_error *err;
} lmn_cfg_tree;

/* A new last child of `parent`. NULL after filling err: too many, out of memory. */
lmn_cfg_node *lmn_cfg_add(lmn_cfg_tree *t, lmn_cfg_node *parent, const void *name, size_t n_name,
                          lmn_cfg_kind kind, uint32_t line);

/* The root is made by these; nodes live in the arena. E_PARSE, E_LIMIT, E_NOMEM. */
lamina_status lmn_cfg_read_text(lmn_cfg_tree *t, lmn_span text);
lamina_status lmn_cfg_read_json(lmn_cfg_tree *t, lmn_span text);

#endif
