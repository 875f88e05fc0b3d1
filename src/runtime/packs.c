/*
 * The store of packed weights (packs.h).
 */
#include "runtime/packs_int.h"

#include "base/checksum.h"
#include "base/os/os_cache.h"
#include "base/os/os_dir.h"
#include "base/os/os_memory.h"
#include "tensor/file_tensor.h"

#include <string.h>

#define DEFAULT_MOST ((uint64_t)8 << 30)
#define RACY_NS 2000000000u /* a file this young may change without its time changing */
#define LEAST_BYTES 65536u  /* of a file: less is packed faster than a file is found */

/* The first thing that stood against the file, for the report and the log. */
static void note(lmn_packs *p, const char *what, const lamina_error *err)
{
    if (p->spoken) return;
    p->spoken = true;
    (void)lmn_format(p->note, sizeof p->note, "%s: %s", what, err->msg);
    lmn_log(p->engine, LAMINA_LOG_WARN, "%s", p->note);
}

static void pack_at(lmn_packrec *r, uint8_t *heap)
{
    r->heap = heap;
    r->job.pack(r->job.row, r->job.flags, r->job.w, heap);
    lmn_atomic_store(&r->head.data, (uintptr_t)heap, release);
}

static size_t block_align(const lmn_packs *p)
{
    return lmn_huge_align((size_t)p->block_bytes, LMN_TENSOR_ALIGN);
}

/* All records in one block, so that they lie on huge pages: every run reads the weights once, and
   with small pages the walks to them took a tenth of the time of convolutions of few pixels. */
static lamina_status pack_all(lmn_packs *p)
{
    const size_t bytes = (size_t)p->block_bytes;
    if (!bytes) return LAMINA_OK;
    uint8_t *at = p->block = lmn_alloc(&p->engine->alloc, bytes, block_align(p), "prepack");
    if (!at) return LAMINA_E_NOMEM;
    lmn_advise_huge(at, bytes);
    for (lmn_packrec *r = p->records; r; r = r->next) {
        pack_at(r, at);
        at += lmn_align_up((size_t)r->job.bytes, LMN_TENSOR_ALIGN);
    }
    return LAMINA_OK;
}

/* Mapped bytes nobody has looked at. Whoever comes first reads them all; the others wait. */
static const void *first_use(lmn_packed *head)
{
    lmn_packrec *r = (lmn_packrec *)(void *)head;
    lmn_packs *p = r->packs;
    lmn_mutex_lock(&p->lock);
    if (!lmn_atomic_load(&r->head.data, relaxed)) {
        const uint8_t *at = p->map.p + r->entry.offset;
        if (lmn_checksum(at, r->entry.bytes) == r->entry.sum) {
            lmn_atomic_store(&r->head.data, (uintptr_t)at, release);
        } else {
            lamina_error why = {0};
            (void)lmn_fail(&why, LAMINA_E_CORRUPT, "\"%.300s\" is damaged and was removed",
                           p->path);
            note(p, "weights were packed again in memory", &why);
            (void)lmn_os_file_remove(p->path, NULL);
            uint8_t *own =
                lmn_alloc(&p->engine->alloc, (size_t)r->entry.bytes, LMN_TENSOR_ALIGN, "prepack");
            if (own) pack_at(r, own);
        }
    }
    lmn_mutex_unlock(&p->lock);
    return (const void *)lmn_atomic_load(&r->head.data, acquire);
}

/* The file that weights lie in, unless its time is too young to tell one state from the next. */
static void identify(lmn_packrec *r)
{
    const lamina_tensor *w = r->job.w;
    const lmn_file_origin *o = lmn_buffer_origin(w->buf);
    r->entry.source = (lmn_packsource){.bytes = w->data_bytes};
    if (!o || !o->id.ino) return;
    const uint64_t young = o->id.mtime_ns > o->id.ctime_ns ? o->id.mtime_ns : o->id.ctime_ns;
    const uint64_t now = lmn_os_cache_now();
    if (young > now || now - young < RACY_NS) return;
    r->entry.source.file = o->id;
    r->entry.source.offset = (uint64_t)((const uint8_t *)w->data - o->base);
}

static bool same_job(const lmn_pack_job *a, const lmn_pack_job *b)
{
    return a->w->data == b->w->data && a->bytes == b->bytes && strcmp(a->layout, b->layout) == 0;
}

static lamina_status want(lmn_prepack *self, const lmn_pack_job *job, lmn_packed **out)
{
    lmn_packs *p = (lmn_packs *)(void *)self;
    for (lmn_packrec *r = p->records; r; r = r->next)
        if (same_job(&r->job, job)) {
            *out = &r->head;
            return LAMINA_OK;
        }
    lmn_packrec *r = lmn_calloc(&p->engine->alloc, 1, sizeof *r, "prepack");
    if (!r) return LAMINA_E_NOMEM;
    r->packs = p, r->job = *job;
    r->job.w = lamina_tensor_ref((lamina_tensor *)(uintptr_t)job->w);
    r->head.first = first_use;
    r->entry.bytes = job->bytes;
    memcpy(r->entry.layout, job->layout, sizeof r->entry.layout);
    *p->last = r, p->last = &r->next;
    p->n++, p->bytes += job->bytes;
    p->block_bytes += lmn_align_up((size_t)job->bytes, LMN_TENSOR_ALIGN);
    *out = &r->head;
    return LAMINA_OK;
}

lamina_status lmn_packs_create(lamina_model *model, const lamina_session_opts *opts,
                               lmn_packs **out)
{
    lamina_engine *e = model->engine;
    lmn_packs *p = lmn_calloc(&e->alloc, 1, sizeof *p, "prepack");
    if (!p) return LAMINA_E_NOMEM;
    p->engine = e, p->model = model, p->last = &p->records;
    p->asked =
        opts->prepack_cache && strcmp(opts->prepack_cache, "off") ? opts->prepack_cache : NULL;
    p->most = opts->prepack_cache_bytes ? opts->prepack_cache_bytes : DEFAULT_MOST;
    p->door = (lmn_prepack){.kept = p->asked != NULL, .want = want};
    /* sessions that pack in different ways have different files */
    const lmn_file_origin *o = lmn_buffer_origin(model->file);
    const uint64_t by[] = {opts->precision, opts->no_optimize, opts->max_const_bytes, e->cpu.isa,
                           LMN_PACKFILE_VERSION};
    p->key = lmn_checksum(by, sizeof by);
    if (o) p->key ^= lmn_checksum(o->path, strlen(o->path)) ^ (o->path[0] ? 0 : o->id.ino);
    *out = p;
    return LAMINA_OK;
}

lmn_prepack *lmn_packs_door(lmn_packs *p)
{
    return &p->door;
}

lamina_status lmn_packs_commit(lmn_packs *p, lamina_error *err)
{
    lamina_error why = {0};
    lamina_status st = LAMINA_E_STATE;
    if (p->asked && p->bytes >= LEAST_BYTES) {
        for (lmn_packrec *r = p->records; r; r = r->next) identify(r);
        st = lmn_packs_file(p, &why);
        if (st != LAMINA_OK) note(p, "weights were packed in memory", &why);
    }
    p->asked = NULL;
    if (st == LAMINA_OK || pack_all(p) == LAMINA_OK) return LAMINA_OK;
    return lmn_fail(err, LAMINA_E_NOMEM, "out of memory for packed weights");
}

void lmn_packs_destroy(lmn_packs *p)
{
    if (!p) return;
    const lamina_allocator *al = &p->engine->alloc;
    for (lmn_packrec *r = p->records, *next; r; r = next) {
        next = r->next;
        if (!p->block) lmn_free(al, r->heap, (size_t)r->entry.bytes, LMN_TENSOR_ALIGN, "prepack");
        lamina_tensor_unref((lamina_tensor *)(uintptr_t)r->job.w);
        lmn_cfree(al, r, 1, sizeof *r, "prepack");
    }
    if (p->block) lmn_free(al, p->block, (size_t)p->block_bytes, block_align(p), "prepack");
    lmn_os_unmap(p->map);
    lmn_cfree(al, p, 1, sizeof *p, "prepack");
}

void lmn_packs_stats(lmn_packs *p, lamina_session_stats *out)
{
    lmn_mutex_lock(&p->lock);
    out->n_packed = p->n;
    out->packed_bytes = p->bytes;
    for (const lmn_packrec *r = p->records; r; r = r->next)
        if (!r->heap) out->packed_mapped_bytes += r->entry.bytes;
    out->packed_file = p->map.p ? p->path : "";
    out->packed_note = p->spoken ? p->note : "";
    lmn_mutex_unlock(&p->lock);
}
