/*
 * Answers of one version of a model by the whole of a request: types, shapes, elements and outputs
 * asked for. The key is those bytes, not a hash of them, so no client can be given what belongs to
 * other inputs. Bounded in bytes, keys included; the least recently used go. Requests with strings
 * or of more than 64 KiB are not kept.
 *
 * Any thread.
 */
#ifndef LMN_SERVE_RESPCACHE_H
#define LMN_SERVE_RESPCACHE_H

#include "base/engine.h"
#include "serve/infer.h"
#include "sync/lru.h"

typedef struct lmn_respcache {
    lmn_lru lru;
    lamina_engine *engine;
} lmn_respcache;

lamina_status lmn_respcache_init(lmn_respcache *c, lamina_engine *engine, size_t max_bytes);
/* Nobody is inside. A zeroed one is fine. */
void lmn_respcache_finish(lmn_respcache *c);
/* True: r has its results and is LAMINA_OK. */
bool lmn_respcache_find(lmn_respcache *c, lmn_infer *r);
/* Keep what r got; what cannot be kept is not. */
void lmn_respcache_keep(lmn_respcache *c, const lmn_infer *r);

#endif
