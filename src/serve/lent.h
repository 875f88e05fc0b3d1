/*
 * Memory that a client lends for its tensors ("system shared memory" of KServe's extension), passed
 * as a descriptor over a UNIX socket; nothing is ever opened by a name. Names are the client's. A
 * region belongs to the connection that brought it and ends with it. By HTTP/1 it means something
 * on that connection alone; by HTTP/2, whose connections cannot pass descriptors, on those UNIX
 * sockets that the same process of the same user opened, and with the same token.
 *
 * Invariants: who uses a region holds it, so that its memory stays until the last request that
 * named it is answered, whoever gives it back meanwhile. What may still be written by the client is
 * copied once before anything is made of it.
 *
 * Any thread; a lock of all regions is held while one is looked for.
 */
#ifndef LMN_SERVE_LENT_H
#define LMN_SERVE_LENT_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/json.h"
#include "base/os/os_mutex.h"
#include "base/os/os_passed.h"
#include "base/os/os_socket.h"
#include "base/sha256.h"

#define LMN_LENT_NAME 128u
#define LMN_LENT_MOST 16u /* of a connection, and in a request */

/* Of a server. */
typedef struct lmn_lents {
    const lamina_allocator *alloc;
    lmn_mutex lock;
    struct lmn_lent *first;    /* connections that lend */
    lmn_atomic(uint32_t) n;    /* regions */
    lmn_atomic(uint64_t) held; /* their bytes, and those still in use */
} lmn_lents;

/* Whose a region is, beyond its connection. */
typedef struct lmn_lent_owner {
    lmn_sock_peer peer;
    uint8_t token[LMN_SHA256_BYTES]; /* zeros: none is asked for */
} lmn_lent_owner;

typedef struct lmn_lent_region {
    lmn_lents *all;
    lmn_atomic(uint32_t) refs;
    lmn_lent_owner owner;
    char name[LMN_LENT_NAME + 1];
    lmn_passed memory;
} lmn_lent_region;

/* All of one connection. */
typedef struct lmn_lent {
    lmn_lents *all;
    struct lmn_lent *next, *prev;
    uint32_t n;
    lmn_lent_region *region[LMN_LENT_MOST];
} lmn_lent;

/* What a request may name: regions of its connection or of its owner. It holds what it found. */
typedef struct lmn_lent_view {
    lmn_lents *all;
    const lmn_lent *own; /* NULL: those of the owner */
    lmn_lent_owner owner;
    uint32_t n;
    lmn_lent_region *region[LMN_LENT_MOST];
} lmn_lent_view;

/* A part of a region, named by a request. */
typedef struct lmn_lent_part {
    const lmn_lent_region *region; /* NULL: none */
    size_t offset, bytes;
} lmn_lent_part;

void lmn_lents_init(lmn_lents *s, const lamina_allocator *alloc);
/* All connections are gone, and all requests answered. */
void lmn_lents_finish(lmn_lents *s);

/* NULL: no memory. */
lmn_lent *lmn_lent_make(lmn_lents *all);
void lmn_lent_free(lmn_lent *l);
/* Takes memory, not the descriptor. A name that is there already stands for what is new. E_INVALID,
 * E_LIMIT, E_OS with a sentence; *region may be up to `most` bytes, all that are held `most_held`.
 */
lamina_status lmn_lent_add(lmn_lent *l, lmn_span name, const lmn_lent_owner *owner, int fd,
                           uint64_t most, uint64_t most_held, lamina_error *err);

/* The region of that name, held by the view. E_INVALID: there is none, or the owner has several;
 * E_LIMIT: more than a request may name. */
lamina_status lmn_lent_find(lmn_lent_view *v, lmn_span name, const lmn_lent_region **out,
                            lamina_error *err);
void lmn_lent_let_go(lmn_lent_view *v);
/* Is the part within its region? E_RANGE. */
lamina_status lmn_lent_check(const lmn_lent_part *p, lamina_error *err);

/* Take the region of that name back, an empty one: all. E_RANGE: there is none; E_INVALID: the
 * owner has several. */
lamina_status lmn_lent_drop(const lmn_lent_view *v, lmn_span name, lamina_error *err);
/* Calls `each` for the region of that name, an empty one: for all; strings are lent. How many. */
uint32_t lmn_lent_each(const lmn_lent_view *v, lmn_span name,
                       void (*each)(void *ctx, const lmn_lent_region *r), void *ctx);

#endif
