/*
 * Zip with stored members (APPNOTE 6.3): the central directory says where they are. Sizes beyond
 * 4 GiB are read from the zip64 extra field; archives whose directory itself is zip64 are refused.
 */
#include "formats/npy/npy.h"

#include <string.h>

#define FAIL(st, ...) lmn_fail(err, (st), __VA_ARGS__)
#define END_BYTES 22u
#define CENTRAL_BYTES 46u
#define LOCAL_BYTES 30u

static uint32_t le16(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8;
}
static uint32_t le32(const uint8_t *p)
{
    return le16(p) | le16(p + 2) << 16;
}
static uint64_t le64(const uint8_t *p)
{
    return le32(p) | (uint64_t)le32(p + 4) << 32;
}

/* End of central directory: the last signature whose comment ends with the file; NULL if none. */
static const uint8_t *find_end(const uint8_t *p, size_t n)
{
    if (n < END_BYTES) return NULL;
    const size_t lowest = n > END_BYTES + 65535u ? n - END_BYTES - 65535u : 0;
    for (size_t at = n - END_BYTES + 1; at-- > lowest;)
        if (le32(p + at) == 0x06054b50u && le16(p + at + 20) == n - END_BYTES - at) return p + at;
    return NULL;
}

/* 64-bit sizes and offset where the 32-bit fields say 0xffffffff. */
static bool zip64(const uint8_t *extra, size_t n, uint64_t *raw, uint64_t *packed, uint64_t *at)
{
    uint64_t *fields[] = {raw, packed, at};
    while (n >= 4) {
        const uint32_t id = le16(extra);
        size_t len = le16(extra + 2);
        const uint8_t *v = extra + 4;
        if (len > n - 4) return false;
        extra += 4 + len;
        n -= 4 + len;
        for (size_t i = 0; id == 1 && i < 3; i++) {
            if (*fields[i] != UINT32_MAX) continue;
            if (len < 8) return false;
            *fields[i] = le64(v);
            v += 8;
            len -= 8;
        }
    }
    return true;
}

/* One entry of the central directory at c, `left` bytes to its end; *used is its length. */
static lamina_status read_member(lmn_npz *z, const uint8_t *c, size_t left, lmn_npz_member *m,
                                 size_t *used, lamina_error *err)
{
    const uint8_t *p = z->file->data;
    const size_t total = z->file->data_bytes;
    if (left < CENTRAL_BYTES || le32(c) != 0x02014b50u)
        return FAIL(LAMINA_E_CORRUPT, "the zip directory is damaged");
    const size_t n_name = le16(c + 28), n_extra = le16(c + 30), n_note = le16(c + 32);
    *used = CENTRAL_BYTES + n_name + n_extra + n_note;
    if (*used > left) return FAIL(LAMINA_E_CORRUPT, "the zip directory is damaged");
    char shown[120];
    (void)lmn_format_name(shown, sizeof shown, c + CENTRAL_BYTES, n_name);
    uint64_t packed = le32(c + 20), raw = le32(c + 24), at = le32(c + 42);
    if (!zip64(c + CENTRAL_BYTES + n_name, n_extra, &raw, &packed, &at))
        return FAIL(LAMINA_E_CORRUPT, "the zip directory is damaged");
    if (le16(c + 8) & 1) return FAIL(LAMINA_E_UNSUPPORTED, "member \"%s\" is encrypted", shown);
    if (le16(c + 10) != 0 || packed != raw)
        return FAIL(LAMINA_E_UNSUPPORTED, "member \"%s\" is compressed; write it with numpy.savez",
                    shown);
    if (at > total || total - at < LOCAL_BYTES || le32(p + at) != 0x04034b50u)
        return FAIL(LAMINA_E_CORRUPT, "member \"%s\" is not where the zip directory says", shown);
    const uint64_t data = at + LOCAL_BYTES + le16(p + at + 26) + le16(p + at + 28);
    if (data > total || raw > total - data)
        return FAIL(LAMINA_E_CORRUPT, "member \"%s\" is cut off", shown);
    const size_t n = strlen(shown);
    if (n > 4 && strcmp(shown + n - 4, ".npy") == 0) shown[n - 4] = 0;
    *m = (lmn_npz_member){lmn_arena_str(&z->arena, shown), (size_t)data, (size_t)raw};
    return m->name ? LAMINA_OK : FAIL(LAMINA_E_NOMEM, "out of memory");
}

lamina_status lmn_npz_open(lamina_tensor *file, lmn_npz *z, lamina_error *err)
{
    *z = (lmn_npz){.file = lamina_tensor_ref(file)};
    lmn_arena_init(&z->arena, &file->engine->alloc, 0);
    const uint8_t *p = file->data, *end = find_end(p, file->data_bytes);
    if (!end) return FAIL(LAMINA_E_PARSE, "no zip file, or cut off: its directory is missing");
    const size_t n = le16(end + 10), bytes = le32(end + 12), at = le32(end + 16);
    if (at == UINT32_MAX || n == 65535)
        return FAIL(LAMINA_E_UNSUPPORTED, "the zip directory is in zip64 form");
    if (at > file->data_bytes || bytes > file->data_bytes - at || n > bytes / CENTRAL_BYTES)
        return FAIL(LAMINA_E_CORRUPT, "the zip directory is outside the file");
    z->members = LMN_ARENA_ARRAY(&z->arena, lmn_npz_member, n);
    if (!z->members) return FAIL(LAMINA_E_NOMEM, "out of memory");
    for (size_t pos = 0; z->n < n; z->n++) {
        size_t used = 0;
        LMN_TRY(read_member(z, p + at + pos, bytes - pos, &z->members[z->n], &used, err));
        pos += used;
    }
    return LAMINA_OK;
}

void lmn_npz_close(lmn_npz *z)
{
    lmn_arena_finish(&z->arena);
    lamina_tensor_unref(z->file);
    *z = (lmn_npz){0};
}

lamina_status lmn_npz_get(const lmn_npz *z, const char *name, lamina_tensor **out,
                          lamina_error *err)
{
    for (size_t i = 0; i < z->n; i++)
        if (strcmp(z->members[i].name, name) == 0)
            return lmn_npy_read(z->file, z->members[i].offset, z->members[i].bytes, out, err);
    return FAIL(LAMINA_E_RANGE, "the archive has no member \"%s\"", name);
}

/* ---- writing ----------------------------------------------------------------------------------
 */

/* CRC-32 (IEEE 802.3), a nibble at a time: checksums are no hot path here. */
static uint32_t crc32(const void *bytes, size_t n)
{
    static const uint32_t T[16] = {0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
                                   0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
                                   0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
                                   0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    const uint8_t *p = bytes;
    uint32_t c = UINT32_MAX;
    for (size_t i = 0; i < n; i++) {
        c ^= p[i];
        c = c >> 4 ^ T[c & 15];
        c = c >> 4 ^ T[c & 15];
    }
    return ~c;
}

static void put16(lmn_strbuf *b, uint32_t v)
{
    const uint8_t p[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    lmn_strbuf_add(b, p, 2);
}

static void put32(lmn_strbuf *b, uint32_t v)
{
    put16(b, v & 0xffff);
    put16(b, v >> 16);
}

/* The fields that the local header and the directory entry share. */
static void put_common(lmn_strbuf *b, uint32_t crc, uint32_t bytes, size_t n_name, uint32_t n_extra)
{
    put16(b, 20);          /* version needed */
    put16(b, 1u << 11);    /* names are UTF-8 */
    put16(b, 0);           /* stored */
    put32(b, 0x00210000u); /* 1980-01-01: the same input gives the same file */
    put32(b, crc);
    put32(b, bytes);
    put32(b, bytes);
    put16(b, (uint32_t)n_name + 4);
    put16(b, n_extra);
}

static void put_member(lmn_strbuf *out, lmn_strbuf *dir, const lmn_strbuf *npy, const char *name)
{
    static const uint8_t ZEROES[64] = {0};
    const size_t n_name = strlen(name), at = out->n;
    /* An extra field of zeroes lets arrays lie at multiples of 64. */
    const size_t pad = (64 - (at + LOCAL_BYTES + n_name + 4 + 4) % 64) % 64;
    const uint32_t crc = crc32(npy->p, npy->n);
    put32(out, 0x04034b50u);
    put_common(out, crc, (uint32_t)npy->n, n_name, (uint32_t)pad + 4);
    lmn_strbuf_str(out, name);
    lmn_strbuf_str(out, ".npy");
    put16(out, 0xa220); /* an id that readers skip */
    put16(out, (uint32_t)pad);
    lmn_strbuf_add(out, ZEROES, pad);
    lmn_strbuf_add(out, npy->p, npy->n);
    put32(dir, 0x02014b50u);
    put16(dir, 20); /* made by */
    put_common(dir, crc, (uint32_t)npy->n, n_name, 0);
    put16(dir, 0); /* comment */
    put16(dir, 0); /* disk */
    put16(dir, 0);
    put32(dir, 0);
    put32(dir, (uint32_t)at);
    lmn_strbuf_str(dir, name);
    lmn_strbuf_str(dir, ".npy");
}

static lamina_status add_member(lmn_strbuf *out, lmn_strbuf *dir, const lamina_tensor *t,
                                const char *name)
{
    lmn_strbuf npy;
    lmn_strbuf_init(&npy, out->alloc, out->max);
    lamina_status st = lmn_npy_write(t, &npy);
    if (st == LAMINA_OK && (npy.n > UINT32_MAX - 1 || out->n > UINT32_MAX || strlen(name) > 1000))
        st = LAMINA_E_LIMIT;
    if (st == LAMINA_OK) {
        put_member(out, dir, &npy, name);
        st = out->status ? out->status : dir->status;
    }
    lmn_strbuf_finish(&npy);
    return st;
}

lamina_status lmn_npz_write(const lamina_tensor *const *t, const char *const *names, size_t n,
                            lmn_strbuf *out)
{
    LMN_CHECK(n < 65535 && out->n == 0, LAMINA_E_INVALID);
    lmn_strbuf dir;
    lmn_strbuf_init(&dir, out->alloc, out->max);
    lamina_status st = LAMINA_OK;
    for (size_t i = 0; st == LAMINA_OK && i < n; i++) st = add_member(out, &dir, t[i], names[i]);
    if (st == LAMINA_OK && out->n > UINT32_MAX - 1) st = LAMINA_E_LIMIT;
    if (st == LAMINA_OK) {
        const size_t at = out->n;
        if (dir.n) lmn_strbuf_add(out, dir.p, dir.n);
        put32(out, 0x06054b50u);
        put32(out, 0); /* disks */
        put16(out, (uint32_t)n);
        put16(out, (uint32_t)n);
        put32(out, (uint32_t)dir.n);
        put32(out, (uint32_t)at);
        put16(out, 0);
        st = out->status;
    }
    lmn_strbuf_finish(&dir);
    return st;
}
