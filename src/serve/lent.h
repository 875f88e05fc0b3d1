/*
 * Memory that a client lends for its tensors ("system shared memory" of KServe's extension), passed
 * as a descriptor over a UNIX socket. Names are the client's, and mean something on its connection
 * alone; nothing is ever opened by a name. It ends with the connection.
 *
 * Invariants: requests of a connection are handled one after the other, so nothing is given back
 * while a request reads or writes it. What may still be written by the client is copied once before
 * anything is made of it.
 */
#ifndef LMN_SERVE_LENT_H
#define LMN_SERVE_LENT_H

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/json.h"
#include "base/os/os_passed.h"

#define LMN_LENT_NAME 128u
#define LMN_LENT_MOST 16u /* of a connection */

typedef struct lmn_lent_region {
    char name[LMN_LENT_NAME + 1];
    lmn_passed memory;
} lmn_lent_region;

/* All of one connection. */
typedef struct lmn_lent {
    const lamina_allocator *alloc;
    lmn_atomic(uint64_t) * held; /* bytes of all connections */
    uint32_t n;
    lmn_lent_region region[LMN_LENT_MOST];
} lmn_lent;

/* A part of a region, named by a request. */
typedef struct lmn_lent_part {
    const lmn_lent_region *region; /* NULL: none */
    size_t offset, bytes;
} lmn_lent_part;

/* NULL: no memory. */
lmn_lent *lmn_lent_make(const lamina_allocator *alloc, lmn_atomic(uint64_t) * held);
void lmn_lent_free(lmn_lent *l);
/* Takes memory, not the descriptor. A name that is there already stands for what is new. E_INVALID,
 * E_LIMIT, E_OS with a sentence; *region may be up to `most` bytes, all that are held `most_held`.
 */
lamina_status lmn_lent_add(lmn_lent *l, lmn_span name, int fd, uint64_t most, uint64_t most_held,
                           lamina_error *err);
/* False: there is none. */
bool lmn_lent_drop(lmn_lent *l, lmn_span name);
const lmn_lent_region *lmn_lent_find(const lmn_lent *l, lmn_span name);
/* Is the part within its region? E_RANGE. */
lamina_status lmn_lent_check(const lmn_lent_part *p, lamina_error *err);
/* {"name", "offset", "byte_size"} of each, or of the one named; l may be NULL. */
void lmn_lent_write(const lmn_lent *l, lmn_span only, lmn_jsonw *w);

#endif
