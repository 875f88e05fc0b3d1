/*
 * How large a whole batch is. What a start tries is a guess, since every doubling makes it longer.
 * Past that a batch grows on what clients ask: while twice as many rows wait, batches of twice as
 * many take turns with those of as many as before, and the quickest of each tell whether it pays.
 */
#include "serve/batcher_int.h"

#define TRIES 3u
#define BLANK 32u                       /* runs between them that tell nothing */
#define PAYS_NS ((uint64_t)2000000)     /* runs shorter than this gain nothing */
#define LONGEST_NS ((uint64_t)40000000) /* of a run: who comes meanwhile waits for it */
#define STALE_NS ((uint64_t)1000000000) /* runs so far apart are not compared */
/* After it did not pay: the machine may have been busy. */
#define AGAIN_NS ((uint64_t)60000000000)

void lmn_batch_try(lmn_batcher *b, uint64_t now)
{
    const lmn_batch_config *c = &b->config;
    if (2 * b->whole > c->grow_rows) {
        b->grow.due = false;
        return;
    }
    const uint64_t cost = lmn_batcher_cost(b, b->whole);
    b->grow.due = now >= b->grow.again_ns && !c->n_preferred && cost >= PAYS_NS &&
                  cost + cost / 2 <= LONGEST_NS;
}

static void begin_anew(lmn_batcher *b, uint64_t not_before)
{
    b->grow.due = false;
    b->grow.runs[0] = b->grow.runs[1] = b->grow.blank = 0;
    b->grow.least_ns[0] = b->grow.least_ns[1] = 0;
    b->grow.again_ns = not_before;
}

static void decide(lmn_batcher *b, uint64_t now)
{
    const uint64_t row = b->grow.least_ns[1], took = row * (uint64_t)(2 * b->whole);
    if (took > LONGEST_NS || row * 100 > b->grow.least_ns[0] * 95) {
        begin_anew(b, lmn_batch_later(now, AGAIN_NS));
        return;
    }
    b->whole *= 2;
    if (b->grow.room_too) b->room = lmn_max_i64(b->room, 2 * b->whole);
    lmn_batcher_seed(b, b->whole, took); /* what was learned is of its first run, too */
    begin_anew(b, 0);
}

void lmn_batch_grow(lmn_batcher *b, const lmn_batch *batch, uint64_t took_ns, uint64_t now)
{
    if (!b->grow.due) return;
    uint32_t *runs = b->grow.runs;
    const int twice = batch->n > 1 && batch->rows > b->whole;
    const int64_t most = b->whole << twice;
    /* A lone request of more rows is run in parts. */
    const bool tells = took_ns && batch->rows <= most && batch->rows * 8 > most * 7;
    if (!tells) {
        /* Requests that make up no whole batch, or a failure, after which they run one by one. */
        if (twice || (runs[1] && ++b->grow.blank > BLANK))
            begin_anew(b, lmn_batch_later(now, AGAIN_NS));
        return;
    }
    if (runs[1] && now - b->grow.last_ns > STALE_NS) begin_anew(b, 0), b->grow.due = true;
    if (!twice && runs[0] >= runs[1]) return;
    b->grow.last_ns = now;
    const uint64_t row = took_ns / (uint64_t)batch->rows + 1;
    uint64_t *least = &b->grow.least_ns[twice];
    /* The first of twice as many makes its plan, too. */
    if ((!twice || runs[1]) && (!*least || row < *least)) *least = row;
    runs[twice]++;
    if (runs[0] >= TRIES && runs[1] > TRIES) decide(b, now);
}
