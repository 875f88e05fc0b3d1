/*
 * Reading and writing the file of packed weights (packfile.h).
 */
#include "runtime/packfile.h"

#include "base/checksum.h"

#include <string.h>

_Static_assert(sizeof(lmn_packhead) == 512, "the head is 512 bytes");
_Static_assert(sizeof(lmn_packentry) == 192, "an entry is 192 bytes");

static const char MAGIC[8] = {'L', 'M', 'N', 'P', 'A', 'C', 'K', '\n'};
enum { ALIGN = 64 };

static uint64_t table_sum(const lmn_packhead *head, const lmn_packentry *entries)
{
    lmn_packhead h = *head;
    h.sum = 0;
    return lmn_checksum(&h, sizeof h) ^
           lmn_checksum(entries, (uint64_t)head->n_entries * sizeof *entries) << 1;
}

static lamina_status check_entry(const lmn_packfile *f, const lmn_packentry *e, lamina_error *err)
{
    const uint64_t data = sizeof *f->head + (uint64_t)f->head->n_entries * sizeof *e;
    if (e->offset < data || e->offset % ALIGN || e->offset > f->map.n ||
        e->bytes > f->map.n - e->offset || e->bytes == 0)
        return lmn_fail(err, LAMINA_E_CORRUPT, "an entry lies outside of the file");
    if (!memchr(e->layout, 0, sizeof e->layout) || e->source.bytes == 0)
        return lmn_fail(err, LAMINA_E_CORRUPT, "an entry has no name or no source");
    return LAMINA_OK;
}

lamina_status lmn_packfile_read(lmn_span bytes, lmn_packfile *out, lamina_error *err)
{
    if (bytes.n < sizeof(lmn_packhead) || (uintptr_t)bytes.p % 8)
        return lmn_fail(err, LAMINA_E_CORRUPT, "the file is too short");
    const lmn_packhead *h = (const lmn_packhead *)(const void *)bytes.p;
    if (memcmp(h->magic, MAGIC, sizeof MAGIC) != 0)
        return lmn_fail(err, LAMINA_E_CORRUPT, "the file does not begin as packed weights do");
    if (h->version != LMN_PACKFILE_VERSION)
        return lmn_fail(err, LAMINA_E_VERSION, "the file is of version %u, not %u", h->version,
                        LMN_PACKFILE_VERSION);
    if (h->bytes != bytes.n)
        return lmn_fail(err, LAMINA_E_CORRUPT, "the file has %llu bytes and says %llu",
                        (unsigned long long)bytes.n, (unsigned long long)h->bytes);
    const uint64_t table = (uint64_t)h->n_entries * sizeof(lmn_packentry);
    if (h->n_entries > LMN_PACKFILE_MOST || table > bytes.n - sizeof *h)
        return lmn_fail(err, LAMINA_E_CORRUPT, "the table is larger than the file");
    const lmn_packentry *e = (const lmn_packentry *)(const void *)(bytes.p + sizeof *h);
    if (h->sum != table_sum(h, e) || !memchr(h->model, 0, sizeof h->model))
        return lmn_fail(err, LAMINA_E_CORRUPT, "head and table are not as they were written");
    *out = (lmn_packfile){bytes, h, e};
    for (uint32_t i = 0; i < h->n_entries; i++) LMN_TRY(check_entry(out, &e[i], err));
    return LAMINA_OK;
}

bool lmn_packentry_intact(const lmn_packfile *f, const lmn_packentry *e)
{
    return lmn_checksum(f->map.p + e->offset, e->bytes) == e->sum;
}

bool lmn_packfile_lay_out(lmn_packentry *entries, size_t n, uint64_t *bytes)
{
    if (n > LMN_PACKFILE_MOST) return false;
    uint64_t at = sizeof(lmn_packhead) + n * sizeof *entries;
    for (size_t i = 0; i < n; i++) {
        at = (at + ALIGN - 1) / ALIGN * ALIGN;
        entries[i].offset = at;
        if (entries[i].bytes > (UINT64_MAX >> 2) - at) return false;
        at += entries[i].bytes;
    }
    *bytes = at;
    return at <= SIZE_MAX / 2;
}

void lmn_packfile_seal(uint8_t *file, uint64_t bytes, const lmn_packentry *entries, size_t n,
                       const char *model, uint64_t made_ns)
{
    lmn_packhead h = {.version = LMN_PACKFILE_VERSION, .n_entries = (uint32_t)n, .bytes = bytes};
    memcpy(h.magic, MAGIC, sizeof MAGIC);
    h.made_ns = made_ns;
    (void)lmn_format(h.model, sizeof h.model, "%s", model);
    h.sum = table_sum(&h, entries);
    if (n) memcpy(file + sizeof h, entries, n * sizeof *entries);
    memcpy(file, &h, sizeof h);
}
