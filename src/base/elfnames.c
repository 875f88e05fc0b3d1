/*
 * Reading symbol tables. Places are few and symbols many: so each symbol looks for its places.
 */
#include "base/elfnames.h"

#include "base/os/os_file.h"

#include <string.h>

enum { LOAD = 1, SYMTAB = 2, DYNSYM = 11, FUNC = 2, IFUNC = 10, MOST_HEADS = 4096, CHUNK = 256 };

typedef struct head {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version;
    uint64_t entry, phoff, shoff;
    uint32_t flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
} head;

typedef struct segment {
    uint32_t type, flags;
    uint64_t offset, vaddr, paddr, filesz, memsz, align;
} segment;

typedef struct section {
    uint32_t name, type;
    uint64_t flags, addr, offset, size;
    uint32_t link, info;
    uint64_t align, entsize;
} section;

typedef struct symbol {
    uint32_t name;
    uint8_t info, other;
    uint16_t section;
    uint64_t value, size;
} symbol;
_Static_assert(sizeof(head) == 64 && sizeof(segment) == 56, "as the format has them");
_Static_assert(sizeof(section) == 64 && sizeof(symbol) == 24, "as the format has them");

typedef struct reader {
    int fd;
    uint64_t bytes;
    lmn_elf_place *place;
    size_t n;
    lmn_arena *arena;
} reader;

static bool inside(const reader *r, uint64_t offset, uint64_t n)
{
    return offset <= r->bytes && n <= r->bytes - offset;
}

static bool read_at(const reader *r, uint64_t offset, void *buf, size_t n)
{
    return inside(r, offset, n) && lmn_os_read_at(r->fd, offset, buf, n, NULL) == LAMINA_OK;
}

/* Where the file is loaded relative to its symbols. Places outside of all segments stay as they
 * are: no function is found for them but by chance, and a wrong name there harms nobody. */
static void find_addresses(const reader *r, const head *h)
{
    for (size_t i = 0; i < r->n; i++) r->place[i].address = r->place[i].offset;
    for (uint32_t k = 0; k < h->phnum && h->phentsize == sizeof(segment); k++) {
        segment s;
        if (!read_at(r, h->phoff + k * sizeof s, &s, sizeof s)) return;
        if (s.type != LOAD) continue;
        for (size_t i = 0; i < r->n; i++)
            if (r->place[i].offset >= s.offset && r->place[i].offset - s.offset < s.filesz)
                r->place[i].address = r->place[i].offset - s.offset + s.vaddr;
    }
}

static const char *read_name(const reader *r, const section *strings, uint32_t at)
{
    char text[LMN_ELF_NAME_BYTES];
    if (at >= strings->size || !inside(r, strings->offset, strings->size)) return NULL;
    const uint64_t left = strings->size - at;
    const size_t n = left < sizeof text ? (size_t)left : sizeof text;
    if (!read_at(r, strings->offset + at, text, n)) return NULL;
    const size_t k = strnlen(text, n);
    return k ? lmn_arena_strn(r->arena, text, k) : NULL;
}

/* The places within a function. Segments are in the order of their offsets as of their addresses,
 * so places are sorted by address too; where a file has it otherwise some stay without a name. */
static void name_places(const reader *r, const symbol *s, const section *strings)
{
    const char *name = NULL;
    size_t lo = 0, hi = r->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (r->place[mid].address < s->value)
            lo = mid + 1;
        else
            hi = mid;
    }
    for (; lo < r->n && r->place[lo].address - s->value < s->size; lo++) {
        if (r->place[lo].name) continue;
        if (!name) name = read_name(r, strings, s->name);
        r->place[lo].name = name;
    }
}

static bool read_table(const reader *r, const section *table, const section *strings)
{
    symbol some[CHUNK];
    if (table->entsize != sizeof(symbol) || !inside(r, table->offset, table->size)) return false;
    for (uint64_t left = table->size / sizeof(symbol), at = table->offset; left;) {
        const size_t k = left < CHUNK ? (size_t)left : CHUNK;
        if (!read_at(r, at, some, k * sizeof *some)) return false;
        for (size_t i = 0; i < k; i++) {
            const int type = some[i].info & 15;
            if ((type == FUNC || type == IFUNC) && some[i].section && some[i].size)
                name_places(r, &some[i], strings);
        }
        at += k * sizeof *some;
        left -= k;
    }
    return true;
}

/* The table of that type and its names. */
static bool find_table(const reader *r, const head *h, uint32_t type, section *table,
                       section *strings)
{
    for (uint32_t i = 0; i < h->shnum; i++) {
        if (!read_at(r, h->shoff + i * sizeof *table, table, sizeof *table)) return false;
        if (table->type == type)
            return table->link < h->shnum &&
                   read_at(r, h->shoff + table->link * sizeof *strings, strings, sizeof *strings);
    }
    return false;
}

void lmn_elf_names(int fd, uint64_t bytes, lmn_elf_place *places, size_t n, lmn_arena *arena)
{
    static const uint8_t IDENT[] = {0x7f, 'E', 'L', 'F', 2, 1}; /* 64 bits, little endian */
    const reader r = {fd, bytes, places, n, arena};
    head h;
    section table, strings;
    if (!read_at(&r, 0, &h, sizeof h) || memcmp(h.ident, IDENT, sizeof IDENT) != 0) return;
    if (h.phoff > bytes || h.shoff > bytes || h.phnum > MOST_HEADS || h.shnum > MOST_HEADS ||
        h.shentsize != sizeof(section))
        return;
    find_addresses(&r, &h);
    if (find_table(&r, &h, SYMTAB, &table, &strings) && read_table(&r, &table, &strings)) return;
    if (find_table(&r, &h, DYNSYM, &table, &strings)) (void)read_table(&r, &table, &strings);
}
