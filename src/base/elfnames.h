/*
 * Names of functions, out of the symbol table of an ELF file (64 bits, little endian): of
 * .symtab, or of .dynsym where that is stripped. The file is read with pread in small pieces, and
 * every offset and count in it is compared with its size before it is used: it may be anything.
 */
#ifndef LMN_BASE_ELFNAMES_H
#define LMN_BASE_ELFNAMES_H

#include "base/alloc.h"

#define LMN_ELF_NAME_BYTES 200u /* of a name; longer ones are cut */

/* A place in a file: what function is there? */
typedef struct lmn_elf_place {
    uint64_t offset;  /* in the file */
    uint64_t address; /* as the file's symbols have it; lmn_elf_names sets it */
    const char *name; /* in the arena; NULL: unknown */
} lmn_elf_place;

/* Names for n places, which are sorted by offset. What is not known stays NULL, also where the
 * file is none of that kind. */
void lmn_elf_names(int fd, uint64_t bytes, lmn_elf_place *places, size_t n, lmn_arena *arena);

#endif
