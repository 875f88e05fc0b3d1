/*
 * The subjects of `lamina bench SUBJECT`: one row each, with what it shows.
 */
#include "sys_bench.h"

#include <stdlib.h>
#include <string.h>

void sys_free(void *state)
{
    free(state);
}

static void nothing(void *state)
{
    (void)state;
}

const sys_subject sys_subjects[] = {
    {"queues", "items from thread to thread", "million items/s", true, true,
     "What a queue costs is the cache lines that move between processors: spans move many items a "
     "line, an index that is remembered saves a line, a lock moves its own line as well. Figures "
     "far apart from run to run are two processors near or far.",
     sys_queues, sys_queues_end},
    {"pool", "tasks handed to threads", "ns a task", false, true,
     "What a task costs before it does anything: a thread of its own, a deque that others may "
     "steal "
     "from, a lock, a shared counter. A task must last many times longer to be worth it; taking "
     "many at once divides the price.",
     sys_pool, sys_pool_end},
    {"allocators", "objects of 64 bytes from malloc, arena and pools", "ns an object", false, true,
     "An allocator is fast for a pattern: an arena when all goes at once, a pool for one size, "
     "magazines when another thread gives back. malloc comes nearest with one object at a time.",
     sys_allocators, sys_allocators_end},
    {"false-sharing", "two threads that write side by side, and apart", "ns an increment", false,
     true,
     "Two threads that never touch the same variable slow each other down when their variables "
     "lie on one cache line: the line moves between the processors with every write.",
     sys_false_sharing, sys_free},
    {"core-to-core", "a cache line there and back between two processors", "ns a round trip", false,
     false,
     "What a message between threads costs at least, and which processors are near each other. "
     "Figures of anything shared can be compared within one class of distance only.",
     sys_core_to_core, nothing},
    {"page-faults", "the first touch of a page: minor, major, huge, populated", "ns a 4 KiB page",
     false, false,
     "Memory costs when it is first touched, not when it is asked for; asking for pages at once "
     "(populate, huge pages) is cheaper than one fault at a time, a page from disk dearest.",
     sys_page_faults, sys_page_faults_end},
    {"file-copy", "ways to copy a file", "GB/s", true, false,
     "Copies within the page cache: how often the bytes pass through memory and how often the "
     "kernel is asked. Direct I/O passes the cache by and shows the device. Nothing is synced.",
     sys_file_copy, sys_file_copy_end},
    {"traversal", "a matrix by rows and by columns", "ns an element", false, false,
     "The same additions in another order: by columns every element is on another cache line, and "
     "with a pitch that is a power of two on the few lines of the same set.",
     sys_traversal, sys_free},
    {"branches", "branches that can be foreseen and branches that cannot", "ns an element", false,
     false,
     "The processor guesses where a branch goes. Right guesses are free, a wrong one throws away "
     "some twenty cycles of work; code without the branch does not care about the data.",
     sys_branches, sys_free},
    {"layouts", "arrays of structures against structures of arrays", "ns an element", false, false,
     "What lies beside what is used travels with it: one field of many wants fields side by side, "
     "all fields of one wants structures; splitting hot from cold fields helps both.",
     sys_layouts, sys_free},
    {NULL, NULL, NULL, false, false, NULL, NULL, NULL},
};

const sys_subject *sys_find(const char *name)
{
    for (const sys_subject *s = sys_subjects; s->name; s++)
        if (strcmp(s->name, name) == 0) return s;
    return NULL;
}
