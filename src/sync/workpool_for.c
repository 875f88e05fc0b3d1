/*
 * Loops and reductions (workpool.h). The caller puts the loop up as an offer and works on it at
 * once; helpers come if they come. All offers taken: it works alone.
 */
#include "sync/workpool_int.h"

#include "base/alloc.h"

#include <string.h>

#define WAKE_FIRST 4 /* helpers the caller wakes; each that comes wakes one more */
#define GRAIN 4096
#define PIECES_MAX 4096
#define PARTIAL_MAX ((size_t)64 << 10)
#define TAG "partial results"

static lmn_offer *put_up(lmn_workpool *p, const lmn_loop *l)
{
    for (int i = 0; i < LMN_POOL_OFFERS; i++)
        if (lmn_offer_open(&p->offer[i], l)) return &p->offer[i];
    return NULL;
}

static void join(lmn_workpool *p, lmn_offer *o)
{
    const lmn_pool_hooks *h = &p->hooks;
    const uint64_t began = h->join ? h->join(h->ctx) : 0;
    lmn_offer_close(o);
    if (h->joined) h->joined(h->ctx, began);
}

static void run_loop(lmn_workpool *p, lmn_loop *l)
{
    const int32_t width = (int32_t)lmn_workpool_width(p);
    if (l->width <= 0 || l->width > width) l->width = width;
    if (l->width > l->n_chunks) l->width = (int32_t)l->n_chunks;
    lmn_offer *o = NULL;
    if (l->width > 1 && lmn_pool_start(p, (uint32_t)l->width - 1) > 0) o = put_up(p, l);
    if (!o) {
        lmn_loop_alone(l);
        return;
    }
    const uint32_t helpers = (uint32_t)l->width - 1;
    lmn_park_notify(&p->lot, helpers < WAKE_FIRST ? helpers : WAKE_FIRST);
    lmn_offer_work(o, 0);
    join(p, o);
}

void lmn_workpool_expect(lmn_workpool *p, int32_t by)
{
    (void)lmn_atomic_add(&p->expected, by, relaxed);
}

void lmn_workpool_for(lmn_workpool *p, const lmn_loop *loop)
{
    lmn_loop l = *loop;
    lmn_fpenv callers;
    lmn_fpenv_enter(&callers);
    run_loop(p, &l);
    lmn_fpenv_leave(&callers);
}

typedef struct reducing {
    const lmn_reduction *r;
    int64_t grain;
    uint8_t *partial;
    size_t stride;
} reducing;

static void map_piece(void *arg, int64_t piece, int32_t worker)
{
    const reducing *a = arg;
    (void)worker;
    const int64_t begin = piece * a->grain, end = lmn_min_i64(a->r->n - begin, a->grain) + begin;
    a->r->map(a->r->arg, begin, end, a->partial + (size_t)piece * a->stride);
}

lamina_status lmn_workpool_reduce(lmn_workpool *p, const lmn_reduction *r, void *out)
{
    LMN_CHECK(r->n >= 0 && r->grain >= 0 && r->bytes > 0 && r->bytes <= PARTIAL_MAX,
              LAMINA_E_INVALID);
    if (r->n == 0) return LAMINA_OK;
    int64_t grain = r->grain ? r->grain : GRAIN;
    if ((r->n - 1) / grain >= PIECES_MAX) grain = (r->n - 1) / PIECES_MAX + 1;
    const int64_t pieces = (r->n - 1) / grain + 1;
    reducing a = {r, grain, NULL, lmn_align_up(r->bytes, 64)};
    const size_t bytes = (size_t)pieces * a.stride;
    a.partial = lmn_alloc(&p->alloc, bytes, 64, TAG);
    if (!a.partial) return LAMINA_E_NOMEM;
    memset(a.partial, 0, bytes);
    lmn_fpenv callers;
    lmn_fpenv_enter(&callers);
    run_loop(p, &(lmn_loop){pieces, map_piece, &a, NULL, NULL, r->width});
    for (int64_t i = 0; i < pieces; i++) r->combine(r->arg, out, a.partial + (size_t)i * a.stride);
    lmn_fpenv_leave(&callers);
    lmn_free(&p->alloc, a.partial, bytes, 64, TAG);
    return LAMINA_OK;
}
