/*
 * Opening, writing and rotating the collector's file.
 */
#include "log/logfile.h"

#include "base/os/os_dir.h"
#include "base/os/os_file.h"
#include "base/os/os_time.h"

#include <string.h>

#define NAME_BYTES (LMN_LOGSTATE_PATH_BYTES + 16)

static uint64_t now_s(void)
{
    return lmn_wall_ns() / 1000000000u;
}

static void name_old(char buf[NAME_BYTES], const char *path, uint32_t k)
{
    (void)lmn_format(buf, NAME_BYTES, "%s.%u", path, k);
}

static bool same(lmn_file_id a, lmn_file_id b)
{
    return a.device == b.device && a.inode == b.inode;
}

/* Lines of the file `path` behind what was accounted for: the collector that wrote them did not
 * live to say so. */
static lamina_status cut_behind(const char *path, const lmn_logfile_at *last, lamina_error *err)
{
    lmn_file_id id;
    lmn_append f;
    uint64_t bytes = 0;
    if (!lmn_file_identify(path, &id) || !same(id, last->id)) return LAMINA_OK;
    LMN_TRY(lmn_append_open(path, &f, &bytes, err));
    lamina_status st = LAMINA_OK;
    if (same(f.id, last->id) && bytes > last->offset) st = lmn_append_cut(&f, last->offset, err);
    lmn_append_close(&f);
    return st;
}

static lamina_status recover(const lmn_logstate *state, lamina_error *err)
{
    char path[LMN_LOGSTATE_PATH_BYTES], old[NAME_BYTES];
    lmn_logfile_at last;
    if (!lmn_logstate_last(state, path, &last) || !state->same_boot) return LAMINA_OK;
    LMN_TRY(cut_behind(path, &last, err));
    name_old(old, path, 1);
    return cut_behind(old, &last, err);
}

/* Take `path` as it is now. */
static lamina_status take(lmn_logfile *f, const char *path, lmn_append *file, lmn_logfile_at *at,
                          lamina_error *err)
{
    uint8_t last = '\n';
    uint64_t bytes = 0;
    LMN_TRY(lmn_append_open(path, file, &bytes, err));
    *at = (lmn_logfile_at){bytes, file->id, now_s()};
    const lamina_status st = bytes ? lmn_os_read_at(file->fd, bytes - 1, &last, 1, err) : LAMINA_OK;
    if (st != LAMINA_OK) {
        lmn_append_close(file);
        return st;
    }
    f->open_line = last != '\n';
    return LAMINA_OK;
}

lamina_status lmn_logfile_open(lmn_logfile *f, const char *path, uint32_t keep, lmn_logstate *state,
                               lamina_error *err)
{
    char before[LMN_LOGSTATE_PATH_BYTES];
    lmn_logfile_at last;
    *f = (lmn_logfile){.file = {.fd = -1}, .keep = keep};
    (void)lmn_format(f->path, sizeof f->path, "%s", path);
    LMN_TRY(recover(state, err));
    LMN_TRY(take(f, path, &f->file, &f->at, err));
    if (lmn_logstate_last(state, before, &last) && same(last.id, f->at.id))
        f->at.began_s = last.began_s;
    /* A batch without marks. The name comes first: a state that names the new file and counts in
       the old one finds that it is not the same. */
    lmn_logstate_name(state, path);
    lmn_logstate_commit(state, &f->at);
    return LAMINA_OK;
}

void lmn_logfile_close(lmn_logfile *f)
{
    lmn_append_close(&f->file);
}

lamina_status lmn_logfile_write(lmn_logfile *f, const void *bytes, size_t n, lamina_error *err)
{
    uint64_t end = 0, from = f->at.offset;
    LMN_TRY(lmn_append_size(&f->file, &end, err));
    if (end > from) LMN_TRY(lmn_append_cut(&f->file, from, err));
    if (end < from) from = end; /* somebody emptied it */
    lamina_status st = LAMINA_OK;
    if (f->open_line) {
        st = lmn_append_write(&f->file, from, "\n", 1, err);
        from++;
    }
    if (st == LAMINA_OK) st = lmn_append_write(&f->file, from, bytes, n, err);
    if (st != LAMINA_OK) {
        (void)lmn_append_cut(&f->file, f->at.offset, NULL); /* at once: readers see whole lines */
        return st;
    }
    f->open_line = false;
    f->at.offset = from + n;
    return LAMINA_OK;
}

/* Free the name FILE.1. The first gap ends the work, so that doing it again after a crash in the
 * middle drops no file. */
static lamina_status shift(const lmn_logfile *f, lamina_error *err)
{
    char from[NAME_BYTES], to[NAME_BYTES];
    uint32_t gap = 1;
    for (; gap < f->keep; gap++) {
        name_old(to, f->path, gap);
        if (lmn_os_path_kind(to) == LMN_PATH_NONE) break;
    }
    for (uint32_t k = gap; k > 1; k--) {
        name_old(from, f->path, k - 1);
        name_old(to, f->path, k);
        LMN_TRY(lmn_file_move(from, to, err));
    }
    return LAMINA_OK;
}

lamina_status lmn_logfile_reopen(lmn_logfile *f, lmn_logstate *state, lamina_error *err)
{
    lmn_append file;
    lmn_logfile_at at;
    const bool was_open = f->open_line;
    const lamina_status st = take(f, f->path, &file, &at, err);
    if (st != LAMINA_OK) {
        f->open_line = was_open;
        return st;
    }
    if (same(at.id, f->at.id)) { /* nobody moved it */
        lmn_append_close(&file);
        f->open_line = was_open;
        return LAMINA_OK;
    }
    lmn_append_close(&f->file);
    f->file = file;
    f->at = at;
    lmn_logstate_commit(state, &f->at);
    return LAMINA_OK;
}

lamina_status lmn_logfile_rotate(lmn_logfile *f, lmn_logstate *state, lamina_error *err)
{
    char first[NAME_BYTES];
    name_old(first, f->path, 1);
    LMN_TRY(shift(f, err));
    LMN_TRY(lmn_file_move(f->path, first, err));
    const lamina_status st = lmn_logfile_reopen(f, state, err);
    if (st != LAMINA_OK) (void)lmn_file_move(first, f->path, NULL);
    return st;
}
