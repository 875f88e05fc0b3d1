/*
 * Packed weights of a session (ops/prepack.h): what its kernels asked for, and where it lives: in a
 * mapped file that other sessions share and later ones find, or on the heap.
 *
 * Kernels ask while they are compiled; nothing is packed before all have. Then the file of the
 * model is mapped if it has everything, or made anew; whatever forbids that puts the bytes on the
 * heap and is said in the note. So the bytes that a kernel reads are the same in every case. Mapped
 * bytes are compared with their checksum when they are first used; damaged ones are packed again,
 * on the heap, and the file is removed.
 */
#ifndef LMN_RUNTIME_PACKS_H
#define LMN_RUNTIME_PACKS_H

#include "graph/model.h"
#include "lamina/session.h"
#include "runtime/packdir.h"

typedef struct lmn_packs lmn_packs;

/* The options' strings are borrowed until commit. E_NOMEM. */
lamina_status lmn_packs_create(lamina_model *model, const lamina_session_opts *opts,
                               lmn_packs **out);
/* What devices see of it. */
lmn_prepack *lmn_packs_door(lmn_packs *p);
/* Every kernel has asked: find or make what they want. E_NOMEM. */
lamina_status lmn_packs_commit(lmn_packs *p, lamina_error *err);
/* No kernel uses them any more; NULL is fine. */
void lmn_packs_destroy(lmn_packs *p);

/* For the report. Any thread; the note is lent until destroy, "" = as asked for. */
void lmn_packs_stats(lmn_packs *p, lamina_session_stats *out);

#endif
