/*
 * What bindings of windows over images with their channels last share, in 8 bits and in 16: the
 * geometry, and weights that are packed once a session where they are constant, and once a run
 * where not. As everywhere, false leaves the case to the reference.
 */
#ifndef LMN_DEVICES_CPU_LAST_H
#define LMN_DEVICES_CPU_LAST_H

#include "devices/cpu/cpu_geom.h"
#include "devices/cpu/cpu_tools.h"

/* A window over x [n][up to three axes][channels], kernel as in cpu_window.h; `dims` receives those
   of the result but for its channels. */
bool lmn_cpu_last_window(const lmn_opnode *n, const lamina_tensor *x, const int64_t *kernel,
                         lmn_cpu_window *out, int64_t *dims);

/* A convolution by weights w [c_out][c_in / groups][kernel]; `dims`: those of its result. Whether
   c_in fits the weights is the caller's to ask. */
bool lmn_cpu_last_geom(lmn_eval *ec, const lamina_tensor *x, const lamina_tensor *w,
                       lmn_conv_geom *g, int64_t *dims);

typedef struct lmn_cpu_last_weights {
    lmn_packed *packed; /* NULL: the weights are not constant, or there is no store */
} lmn_cpu_last_weights;

/* Ask for the job's bytes in an order called `kind`, in panels of nr columns of job->row. */
lamina_status lmn_cpu_last_want(const lamina_node *node, lmn_pack_job *job, int32_t nr,
                                const char *kind, lmn_cpu_last_weights *w, lamina_error *err);
/* Those bytes, or the job's done now, into scratch. */
lamina_status lmn_cpu_last_packed(lmn_eval *ec, const lmn_cpu_last_weights *w,
                                  const lmn_pack_job *job, const void **out);

#endif
