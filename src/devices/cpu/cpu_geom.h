/*
 * A window in numbers (cpu_window.h) as the geometry that kernels take.
 */
#ifndef LMN_DEVICES_CPU_GEOM_H
#define LMN_DEVICES_CPU_GEOM_H

#include "devices/cpu/cpu_window.h"
#include "kernels/conv/conv_geom.h"

#include <stddef.h>
#include <string.h>

static inline lmn_conv_geom lmn_cpu_geom(const lmn_cpu_window *w, int64_t n, int64_t c_in,
                                         int64_t c_out)
{
    lmn_conv_geom g = {.n = n, .c_in = c_in, .c_out = c_out, .groups = w->groups};
    enum { FROM = offsetof(lmn_cpu_window, in), TO = offsetof(lmn_conv_geom, in) };
    enum { BYTES = offsetof(lmn_cpu_window, pad_end) + sizeof w->pad_end - FROM };
    _Static_assert(TO + BYTES == offsetof(lmn_conv_geom, pad_end) + sizeof g.pad_end, "alike");
    memcpy((char *)&g + TO, (const char *)w + FROM, BYTES); /* all extents, in one order */
    return g;
}

#endif
