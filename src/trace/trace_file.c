/*
 * Where the parts of a trace file lie.
 */
#include "trace/trace_file.h"

static uint64_t part(uint64_t *at, uint64_t n, uint64_t bytes)
{
    const uint64_t from = *at;
    *at = (from + n * bytes + LMN_APART - 1) & ~(uint64_t)(LMN_APART - 1);
    return from;
}

bool lmn_trace_layout_of(const lmn_trace_counts *c, lmn_trace_layout *out)
{
    if (c->lanes == 0 || c->lanes > LMN_TRACE_MAX_LANES) return false;
    if (c->events < 16 || c->events > LMN_TRACE_MAX_EVENTS || (c->events & (c->events - 1)))
        return false;
    if (c->threads > LMN_TRACE_N_THREADS || c->names > LMN_TRACE_N_NAMES ||
        c->name_bytes > LMN_TRACE_NAME_BYTES || c->metrics > LMN_TRACE_N_METRICS ||
        c->cells > LMN_TRACE_N_CELLS || c->knobs > LMN_TRACE_N_KNOBS)
        return false;
    uint64_t at = LMN_TRACE_HEAD_BYTES;
    out->lanes = part(&at, c->lanes, sizeof(lmn_lane_mem));
    out->threads = part(&at, c->threads, sizeof(lmn_trace_thread));
    out->names = part(&at, c->names, sizeof(lmn_trace_name));
    out->name_bytes = part(&at, c->name_bytes, 1);
    out->metrics = part(&at, c->metrics, sizeof(lmn_trace_metric));
    out->knobs = part(&at, c->knobs, sizeof(lmn_trace_knob));
    out->cells = part(&at, c->cells, sizeof(uint64_t));
    at = (at + 4095) & ~(uint64_t)4095;
    out->events = part(&at, (uint64_t)c->lanes * c->events, sizeof(lmn_lane_slot));
    out->total = (at + 4095) & ~(uint64_t)4095;
    return true;
}
