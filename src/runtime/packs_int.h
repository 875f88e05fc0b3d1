/*
 * The inside of a session's packed weights, shared by the store (packs.c) and its file
 * (packs_file.c). Records do not move; all but `data` and what lock guards is immutable once
 * committed.
 */
#ifndef LMN_RUNTIME_PACKS_INT_H
#define LMN_RUNTIME_PACKS_INT_H

#include "base/os/os_mutex.h"
#include "runtime/packs.h"

typedef struct lmn_packrec {
    lmn_packed head; /* first: what kernels hold */
    struct lmn_packrec *next;
    lmn_packs *packs;
    lmn_pack_job job;    /* holds a reference to the weights */
    lmn_packentry entry; /* as in a file: layout, bytes and source; offset and sum of the file */
    uint8_t *heap;       /* entry.bytes, of the store's block or alone; or NULL */
} lmn_packrec;

struct lmn_packs {
    lmn_prepack door; /* first: what devices hold */
    lamina_engine *engine;
    lamina_model *model; /* borrowed: the session holds it */
    const char *asked;   /* the option, until commit */
    uint64_t most, key;  /* bytes of the folder; of the name of the file */
    lmn_packrec *records, **last;
    size_t n;
    uint64_t bytes;
    uint8_t *block; /* what is packed on the heap as a whole, block_bytes; or NULL */
    uint64_t block_bytes;
    lmn_span map;   /* of the file */
    lmn_mutex lock; /* first uses, and the note after commit */
    char path[LMN_PACKDIR_BYTES + 64];
    char note[LAMINA_ERROR_MSG_BYTES + 64];
    bool spoken; /* the note is final */
};

/* Map or make the file for all records; on failure nothing is mapped and *err says why. */
lamina_status lmn_packs_file(lmn_packs *p, lamina_error *err);

#endif
