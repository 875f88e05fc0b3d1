/*
 * Unique (com.microsoft, since 1): ai.onnx Unique of a vector in order of appearance; outputs are
 * the values, the position of every element among them, and their counts.
 */
#include "ops/msmap.h"

static lamina_status canon_unique(lmn_canon *c)
{
    lmn_map m = lmn_map_begin(c);
    const lmn_ref x = lmn_map_in(&m, 0);
    const lmn_attr unsorted = lmn_map_i("sorted", 0);
    lmn_ref out[4];
    lmn_map_nodes(&m, "Unique", &x, 1, &unsorted, 1, out, 4);
    m.out[0] = out[0];
    m.out[1] = out[2];
    m.out[2] = out[3];
    return lmn_map_end(&m);
}

static const lmn_port IN[] = {{"x", 'T', 0, LMN_D_ALL}, {0}};
static const lmn_port OUT[] = {
    {"y", 'T', 0, LMN_D_ALL}, {"idx", 0, 0, LMN_D_I64}, {"counts", 0, 0, LMN_D_I64}, {0}};
#define ATTRS NULL

LMN_MS_MAPPED(Unique, canon_unique);
