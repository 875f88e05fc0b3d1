/*
 * Rings of other processes (logsource.h).
 */
#include "log/logsource.h"

#include "log/logrec.h"

#include <string.h>

lamina_status lmn_logsource_open(lmn_logsource *s, const char *dir, const char *name,
                                 const lmn_logstate *state, lamina_error *err)
{
    char path[LMN_LOGSTATE_PATH_BYTES + LMN_LOGSOURCE_NAME_BYTES];
    lmn_logmark mark = {0};
    (void)lmn_format(path, sizeof path, "%s/%s", dir, name);
    LMN_TRY(lmn_shared_open(path, lmn_logring_bytes(2), lmn_logring_bytes(LMN_LOGRING_MAX_CELLS),
                            &s->file, err));
    if (lmn_logring_attach(s->file.p, s->file.n, &s->ring) != LAMINA_OK) {
        lmn_shared_close(&s->file);
        return lmn_fail(err, LAMINA_E_CORRUPT, "\"%.200s\" is no ring", name);
    }
    const lmn_logring_mem *m = s->ring.mem;
    memcpy(s->from, m->name, sizeof s->from);
    s->from[sizeof s->from - 1] = 0;
    s->pid = m->pid;
    const int slot = lmn_logstate_find(state, m, &mark);
    s->slot = slot < 0 ? 0 : slot;
    if (slot >= 0 && mark.at - s->ring.at <= s->ring.mask + 1) {
        s->touched = mark.at != s->ring.at; /* given back, and not yet told: a full ring waits */
        s->ring.at = mark.at;
    }
    if (slot < 0) /* another collector's: what it told is told */
        mark = m->mark[m->mark[1].batch > m->mark[0].batch];
    const uint64_t dropped = lmn_atomic_load(&m->dropped, relaxed);
    s->dropped = mark.dropped <= dropped ? mark.dropped : dropped;
    s->unfinished = s->holes = mark.unfinished;
    s->limit = UINT64_MAX;
    return LAMINA_OK;
}

uint64_t lmn_logsource_end(const lmn_logsource *s)
{
    const uint64_t tail = lmn_atomic_load(&s->ring.mem->tail, relaxed), all = s->ring.mask + 1;
    return s->ring.at + (tail - s->ring.at <= all ? tail - s->ring.at : all);
}

uint64_t lmn_logsource_waiting(const lmn_logsource *s)
{
    const uint64_t n = lmn_atomic_load(&s->ring.mem->tail, relaxed) - s->ring.at;
    return n <= s->ring.mask + 1 ? n : 0;
}

lamina_status lmn_logsource_load(lmn_logsource *s, uint64_t now_ns)
{
    lamina_status st = LAMINA_OK;
    if (s->n || s->ring.at >= s->limit) return LAMINA_OK;
    uint32_t n = lmn_logring_peek(&s->ring, &st);
    if (n == 0 && st == LAMINA_OK && s->dead && lmn_logsource_waiting(s)) {
        s->holes += lmn_logring_skip(&s->ring);
        s->touched = true;
        n = lmn_logring_peek(&s->ring, &st);
    }
    if (n == 0) {
        if (!lmn_logsource_waiting(s))
            s->stuck_ns = 0;
        else if (!s->stuck_ns)
            s->stuck_ns = now_ns;
        return st;
    }
    s->stuck_ns = 0;
    lmn_logring_read(&s->ring, n, s->bytes);
    const uint64_t time = lmn_logrec_read(s->bytes, (size_t)n * LMN_LOGRING_CELL_BYTES).time_ns;
    const uint64_t key = time < now_ns ? time : now_ns; /* clocks that are ahead wait for nobody */
    if (key > s->key) s->key = key;
    s->n = n;
    return LAMINA_OK;
}
