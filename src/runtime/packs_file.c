/*
 * The file of a session's packed weights: found and believed, or made. An entry is that of a record
 * if both have the same layout and weights: of the same place in the same state of the same file,
 * or, where that cannot be told, of the same checksum.
 *
 * A writer holds the folder's lock, and looks once more after it got it. Head and table may be
 * written again in place (refresh), under the lock; a reader that met that half done finds them
 * damaged, comes for the lock, and finds it taken or the table whole.
 */
#include "runtime/packs_int.h"

#include "base/checksum.h"
#include "base/os/os_cache.h"
#include "base/os/os_publish.h"
#include "tensor/file_tensor.h"

#include <errno.h>
#include <string.h>

static bool zero_id(const lmn_os_file_id *id)
{
    return !id->ino && !id->dev;
}

static void sum_source(lmn_packrec *r)
{
    if (!r->entry.source.sum)
        r->entry.source.sum = lmn_checksum(r->job.w->data, r->job.w->data_bytes);
}

static bool matches(const lmn_packentry *e, lmn_packrec *r)
{
    const lmn_packsource *s = &r->entry.source;
    if (e->bytes != r->entry.bytes || e->source.bytes != s->bytes ||
        strcmp(e->layout, r->entry.layout) != 0)
        return false;
    if (!zero_id(&s->file) && memcmp(&e->source.file, &s->file, sizeof s->file) == 0)
        return e->source.offset == s->offset;
    sum_source(r);
    return e->source.sum == s->sum;
}

/* The entry of a record, most likely at its own place; NULL. */
static const lmn_packentry *entry_of(const lmn_packfile *f, size_t at, lmn_packrec *r)
{
    if (at < f->head->n_entries && matches(&f->entries[at], r)) return &f->entries[at];
    for (uint32_t i = 0; i < f->head->n_entries; i++)
        if (matches(&f->entries[i], r)) return &f->entries[i];
    return NULL;
}

/* All or nothing; *by_sum: some were known by their sum alone, and could be known by their place.
 */
static bool adopt(lmn_packs *p, const lmn_packfile *f, bool *by_sum)
{
    size_t i = 0;
    *by_sum = false;
    for (lmn_packrec *r = p->records; r; r = r->next, i++) {
        const lmn_packentry *e = entry_of(f, i, r);
        if (!e) return false;
        r->entry.offset = e->offset, r->entry.sum = e->sum;
        if (zero_id(&r->entry.source.file)) continue;
        *by_sum |= memcmp(&e->source.file, &r->entry.source.file, sizeof e->source.file) != 0;
    }
    return true;
}

/* Entries of all records, owned by the caller: p->n of them. */
static lmn_packentry *table_of(lmn_packs *p)
{
    lmn_packentry *t = lmn_calloc(&p->engine->alloc, p->n, sizeof *t, "prepack");
    size_t i = 0;
    for (lmn_packrec *r = p->records; t && r; r = r->next) t[i++] = r->entry;
    return t;
}

static void free_table(lmn_packs *p, lmn_packentry *t)
{
    lmn_cfree(&p->engine->alloc, t, p->n, sizeof *t, "prepack");
}

static const char *model_name(const lmn_packs *p)
{
    const lmn_file_origin *o = lmn_buffer_origin(p->model->file);
    return o && o->path[0] ? o->path : p->model->graph_name ? p->model->graph_name : "";
}

/* Next time the weights need not be read to know them. Best effort. */
static void refresh(lmn_packs *p, const lmn_packdir *d, const lmn_packfile *f)
{
    int lock;
    if (f->head->n_entries != p->n || lmn_packdir_lock(d, &lock, NULL) != LAMINA_OK) return;
    const size_t bytes = sizeof(lmn_packhead) + p->n * sizeof(lmn_packentry);
    lmn_packentry *t = table_of(p);
    uint8_t *image = lmn_alloc(&p->engine->alloc, bytes, 16, "prepack");
    for (lmn_packrec *r = p->records; r; r = r->next) sum_source(r);
    if (t && image) {
        size_t i = 0;
        for (lmn_packrec *r = p->records; r; r = r->next) t[i++].source.sum = r->entry.source.sum;
        lmn_packfile_seal(image, f->head->bytes, t, p->n, model_name(p), f->head->made_ns);
        (void)lmn_os_patch(p->path, 0, image, bytes, NULL);
    }
    lmn_free(&p->engine->alloc, image, bytes, 16, "prepack");
    free_table(p, t);
    lmn_os_close(lock);
}

/* Map the file and take everything from it. */
static lamina_status find(lmn_packs *p, const lmn_packdir *d, lamina_error *err)
{
    lmn_packfile f;
    bool by_sum;
    LMN_TRY(lmn_packdir_open(p->path, &f, err));
    if (!adopt(p, &f, &by_sum)) {
        lmn_os_unmap(f.map);
        return lmn_fail(err, LAMINA_E_STATE, "the file is of other weights");
    }
    p->map = f.map;
    if (by_sum) refresh(p, d, &f);
    return LAMINA_OK;
}

/* Pack every record into the new file; its bytes are then the session's. */
static lamina_status fill(lmn_packs *p, lmn_os_pub *pub, lmn_packentry *t, lamina_error *err)
{
    size_t i = 0;
    for (lmn_packrec *r = p->records; r; r = r->next, i++) {
        uint8_t *at = pub->p + t[i].offset;
        r->job.pack(r->job.row, r->job.flags, r->job.w, at);
        t[i].sum = lmn_checksum(at, t[i].bytes);
        r->entry.offset = t[i].offset, r->entry.sum = t[i].sum;
    }
    lmn_packfile_seal(pub->p, pub->bytes, t, p->n, model_name(p), lmn_os_cache_now());
    LMN_TRY(lmn_os_pub_sync(pub, err));
    LMN_TRY(lmn_os_map(pub->fd, pub->bytes, &p->map, err));
    const lamina_status st = lmn_os_pub_publish(pub, err);
    if (st == LAMINA_OK) return LAMINA_OK;
    lmn_os_unmap(p->map);
    p->map = (lmn_span){NULL, 0};
    return st;
}

static lamina_status make(lmn_packs *p, const lmn_packdir *d, lamina_error *err)
{
    const lamina_allocator *al = &p->engine->alloc;
    uint64_t bytes;
    for (lmn_packrec *r = p->records; r; r = r->next) sum_source(r);
    lmn_packentry *t = table_of(p);
    lmn_os_pub *pub = lmn_calloc(al, 1, sizeof *pub, "prepack");
    lamina_status st = t && pub ? LAMINA_OK : lmn_fail(err, LAMINA_E_NOMEM, "out of memory");
    if (st == LAMINA_OK && !lmn_packfile_lay_out(t, p->n, &bytes))
        st = lmn_fail(err, LAMINA_E_LIMIT, "there are too many packed weights for a file");
    if (st == LAMINA_OK) st = lmn_packdir_evict(d, al, bytes, p->most, p->path, err);
    if (st == LAMINA_OK) st = lmn_os_cache_room(d->path, bytes, err);
    if (st == LAMINA_OK) st = lmn_os_pub_create(pub, p->path, bytes, err);
    if (st == LAMINA_OK) {
        st = fill(p, pub, t, err);
        lmn_os_pub_close(pub);
    }
    /* just written: no need to read it again to believe it */
    for (lmn_packrec *r = p->records; st == LAMINA_OK && r; r = r->next)
        lmn_atomic_store(&r->head.data, (uintptr_t)(p->map.p + r->entry.offset), release);
    lmn_cfree(al, pub, 1, sizeof *pub, "prepack");
    free_table(p, t);
    return st;
}

lamina_status lmn_packs_file(lmn_packs *p, lamina_error *err)
{
    lmn_packdir d;
    int lock;
    if (!lmn_buffer_origin(p->model->file))
        return lmn_fail(err, LAMINA_E_STATE, "the model is not a file");
    LMN_TRY(lmn_packdir_find(&d, p->asked, err));
    LMN_TRY(lmn_os_cache_folder(d.path, d.levels, true, err));
    lmn_packdir_name(&d, p->key, p->path, sizeof p->path);
    if (find(p, &d, err) == LAMINA_OK) return LAMINA_OK;
    LMN_TRY(lmn_packdir_lock(&d, &lock, err));
    lamina_status st = find(p, &d, err); /* by another session, meanwhile */
    if (st != LAMINA_OK) st = make(p, &d, err);
    lmn_os_close(lock);
    return st;
}
