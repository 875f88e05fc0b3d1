/*
 * test_elf.c - functions of this very program, by the symbol tables of the files it is made of.
 */
#include "t.h"

#include "base/elfnames.h"
#include "base/os/os_file.h"
#include "base/os/os_self.h"

typedef struct search {
    uintptr_t pc;
    char path[4096];
    uint64_t offset;
} search;

static bool is_there(void *ctx, const lmn_mapping *m)
{
    search *s = ctx;
    if (s->pc < m->from || s->pc >= m->to) return true;
    snprintf(s->path, sizeof s->path, "%s", m->path);
    s->offset = s->pc - m->from + m->offset;
    return false;
}

/* The name of the function at pc, as the file that it lies in has it. */
static const char *name_at(uintptr_t pc, lmn_arena *arena)
{
    search s = {.pc = pc};
    lmn_elf_place place = {0};
    int fd;
    uint64_t bytes;
    T_CHECK(lmn_mappings(is_there, &s));
    T_EQ(lmn_os_open(s.path, &fd, &bytes, NULL), LAMINA_OK);
    place.offset = s.offset;
    lmn_elf_names(fd, bytes, &place, 1, arena);
    lmn_os_close(fd);
    return place.name;
}

static void test_own_functions(t_env *env)
{
    lmn_arena arena;
    (void)env;
    lmn_arena_init(&arena, &lmn_libc_allocator, 1u << 20);
    const char *name = name_at((uintptr_t)&lmn_elf_names + 1, &arena);
    T_CHECK(name && strcmp(name, "lmn_elf_names") == 0);
    name = name_at((uintptr_t)&name_at, &arena); /* nobody's but this file's */
    T_CHECK(name && strncmp(name, "name_at", 7) == 0);
    name = name_at((uintptr_t)&qsort, &arena); /* out of what a stripped library has left */
    T_CHECK(!name || strstr(name, "qsort"));
    lmn_arena_finish(&arena);
}

/* A file that is none gives no names. */
static void test_no_elf(t_env *env)
{
    lmn_arena arena;
    lmn_elf_place place = {.offset = 4};
    char path[4096];
    int fd;
    uint64_t bytes;
    t_write(env, "text", "no ELF file at all, but longer than its header would be, were it one", 68,
            path, sizeof path);
    lmn_arena_init(&arena, &lmn_libc_allocator, 1u << 16);
    T_EQ(lmn_os_open(path, &fd, &bytes, NULL), LAMINA_OK);
    lmn_elf_names(fd, bytes, &place, 1, &arena);
    T_CHECK(place.name == NULL);
    lmn_os_close(fd);
    lmn_arena_finish(&arena);
}

T_MAIN(T_TEST(test_own_functions), T_TEST(test_no_elf))
