/*
 * Fuzz target: the file of packed weights. Bytes as they come, and once more with a head whose
 * length and sum are made right, since no mutation gets past those by chance. Of what is accepted
 * every byte that it names is read.
 */
#include "runtime/packfile.h"

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

static void try_file(const uint8_t *bytes, size_t n)
{
    lamina_error err = {0};
    lmn_packfile f;
    const lamina_status st = lmn_packfile_read((lmn_span){bytes, n}, &f, &err);
    if (st != LAMINA_OK) {
        if (!err.msg[0]) abort();
        return;
    }
    size_t shown = strlen(f.head->model), intact = 0;
    const uint32_t most = f.head->n_entries < 64 ? f.head->n_entries : 64;
    for (uint32_t i = 0; i < most; i++) {
        shown += strlen(f.entries[i].layout);
        intact += lmn_packentry_intact(&f, &f.entries[i]);
    }
    if (shown > n || intact > f.head->n_entries) abort();
}

/* The head as a writer would have made it around this table. */
static void mend(uint8_t *bytes, size_t n)
{
    lmn_packhead head;
    memcpy(&head, bytes, sizeof head);
    head.n_entries %= 8;
    head.model[sizeof head.model - 1] = 0;
    const size_t table = head.n_entries * sizeof(lmn_packentry);
    lmn_packentry entries[8];
    if (table > n - sizeof head) return;
    memcpy(entries, bytes + sizeof head, table);
    lmn_packfile_seal(bytes, n, entries, head.n_entries, head.model, head.made_ns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const lamina_allocator *al = &lmn_libc_allocator;
    uint8_t *copy = lmn_alloc(al, size, 64, "fuzz"); /* aligned, and not a byte longer */
    if (!copy) return 0;
    memcpy(copy, data, size);
    try_file(copy, size);
    if (size >= sizeof(lmn_packhead)) {
        mend(copy, size);
        try_file(copy, size);
    }
    lmn_free(al, copy, size, 64, "fuzz");
    return 0;
}
