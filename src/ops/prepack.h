/*
 * Constant weights in the order that a kernel reads: the door between a device, which knows the
 * order, and a session, which knows where packed weights can live (runtime/packs.h). A device
 * asks while it compiles a node; the bytes are there once the session is made, and stay as long.
 *
 * Packing is a pure function of the weights and the layout's name: equal names, equal bytes. A
 * device that changes what it packs changes the name.
 */
#ifndef LMN_OPS_PREPACK_H
#define LMN_OPS_PREPACK_H

#include "base/atomic.h"
#include "tensor/tensor.h"

typedef void lmn_pack_fn(const void *row, int32_t flags, const lamina_tensor *w, void *dst);

#define LMN_PACK_LAYOUT 64 /* bytes of a layout's name with the terminating zero */

typedef struct lmn_pack_job {
    const lamina_tensor *w; /* borrowed until return */
    uint64_t bytes;         /* what pack() writes at dst, which is aligned to 64 bytes */
    lmn_pack_fn *pack;
    const void *row; /* for pack(); static, or of the session */
    int32_t flags;   /* for pack() */
    char layout[LMN_PACK_LAYOUT];
} lmn_pack_job;

/* Packed weights. `first` is called when the data have not been looked at yet. */
typedef struct lmn_packed {
    lmn_atomic(uintptr_t) data;
    const void *(*first)(struct lmn_packed *p);
} lmn_packed;

/* The bytes; NULL: out of memory. Any thread of a run. */
static inline const void *lmn_packed_data(lmn_packed *p)
{
    const uintptr_t at = lmn_atomic_load(&p->data, acquire);
    return LMN_LIKELY(at != 0) ? (const void *)at : p->first(p);
}

typedef struct lmn_prepack {
    bool kept; /* packed bytes outlive the session: copies that save time later pay */
    /* *out is lent until the session is gone. Equal jobs share their bytes. E_NOMEM. */
    lamina_status (*want)(struct lmn_prepack *self, const lmn_pack_job *job, lmn_packed **out);
} lmn_prepack;

#endif
