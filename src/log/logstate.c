/*
 * The collector's memory (logstate.h).
 */
#include "log/logstate.h"

#include "base/os/os_env.h"
#include "base/os/os_self.h"
#include "base/os/os_time.h"

#include <string.h>

#define MAGIC 0x3144474cu /* "LGD1" */
#define VERSION 1u
#define FILE_NAME ".logd-state"

static void read_boot(char out[40])
{
    memset(out, 0, 40);
    if (lmn_os_text_read("/proc/sys/kernel/random/boot_id", out, 40) < 0) out[0] = 0;
}

lamina_status lmn_logstate_open(const char *dir, lmn_logstate *out, lamina_error *err)
{
    char path[LMN_LOGSTATE_PATH_BYTES + 32], boot[40];
    bool fresh = false;
    *out = (lmn_logstate){0};
    (void)lmn_format(path, sizeof path, "%s/%s", dir, FILE_NAME);
    const lamina_status st =
        lmn_shared_claim(path, sizeof(lmn_logstate_mem), &out->file, &fresh, err);
    if (st == LAMINA_E_BUSY)
        return lmn_fail(err, st, "another collector is at work in \"%.200s\"", dir);
    if (st != LAMINA_OK) return st;
    lmn_logstate_mem *m = out->mem = (lmn_logstate_mem *)(void *)out->file.p;
    read_boot(boot);
    if (fresh || m->magic != MAGIC || m->version != VERSION) {
        memset(m, 0, sizeof *m);
        m->version = VERSION;
        m->reader = lmn_wall_ns() ^ (uint64_t)lmn_self_pid() << 40;
        memcpy(m->boot, boot, sizeof boot);
        m->magic = MAGIC;
    }
    m->path[sizeof m->path - 1] = 0;
    out->same_boot = memcmp(m->boot, boot, sizeof boot) == 0;
    memcpy(m->boot, boot, sizeof boot);
    out->reader = m->reader;
    out->batch = lmn_atomic_load(&m->batch, acquire);
    /* The entry stands before it counts, and both before any batch of ours. */
    const uint64_t n = lmn_atomic_load(&m->n_voids, relaxed);
    m->void_batch[n % LMN_LOGSTATE_VOIDS] = out->batch + 1;
    lmn_atomic_store(&m->n_voids, n + 1, release);
    return LAMINA_OK;
}

void lmn_logstate_close(lmn_logstate *s)
{
    lmn_shared_close(&s->file);
}

bool lmn_logstate_last(const lmn_logstate *s, char *path, lmn_logfile_at *out)
{
    memcpy(path, s->mem->path, sizeof s->mem->path);
    *out = s->mem->at[s->batch & 1];
    return path[0] && s->batch;
}

void lmn_logstate_name(lmn_logstate *s, const char *path)
{
    memset(s->mem->path, 0, sizeof s->mem->path);
    (void)lmn_format(s->mem->path, sizeof s->mem->path, "%s", path);
}

void lmn_logstate_mark(const lmn_logstate *s, lmn_logring_mem *m, int slot, uint64_t at,
                       uint64_t dropped, uint64_t unfinished)
{
    m->mark[!slot] = (lmn_logmark){s->reader, s->batch + 1, at, dropped, unfinished};
}

void lmn_logstate_commit(lmn_logstate *s, const lmn_logfile_at *at)
{
    s->mem->at[(s->batch + 1) & 1] = *at;
    s->batch++;
    lmn_atomic_store(&s->mem->batch, s->batch, release);
}

static bool happened(const lmn_logstate *s, const lmn_logmark *mark)
{
    if (mark->reader != s->reader || !mark->batch || mark->batch > s->batch) return false;
    for (size_t i = 0; i < LMN_LOGSTATE_VOIDS; i++)
        if (s->mem->void_batch[i] == mark->batch) return false;
    return true;
}

int lmn_logstate_find(const lmn_logstate *s, const lmn_logring_mem *m, lmn_logmark *out)
{
    int best = -1;
    lmn_logmark marks[2];
    memcpy(marks, m->mark, sizeof marks);
    for (int i = 0; i < 2; i++) {
        if (!happened(s, &marks[i])) continue;
        if (best < 0 || marks[i].batch > marks[best].batch) best = i;
    }
    if (best >= 0) *out = marks[best];
    return best;
}
