/*
 * Fuzz target: symbol tables of ELF files. Whatever a file says, places get a name within bounds or
 * none.
 */
#include "base/elfnames.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lmn_elf_place places[64];
    lmn_arena arena;
    const int fd = memfd_create("elf", MFD_CLOEXEC);
    if (fd < 0) return 0;
    if (write(fd, data, size) == (ssize_t)size) {
        memset(places, 0, sizeof places);
        for (size_t i = 0; i < 64; i++) places[i].offset = i * i * 8;
        lmn_arena_init(&arena, &lmn_libc_allocator, 1u << 20);
        lmn_elf_names(fd, size, places, 64, &arena);
        for (size_t i = 0; i < 64; i++)
            if (places[i].name && strlen(places[i].name) - 1 >= LMN_ELF_NAME_BYTES) abort();
        lmn_arena_finish(&arena);
    }
    (void)close(fd);
    return 0;
}
