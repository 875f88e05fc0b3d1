/*
 * A trace watched by the process that writes it: its level for a while, the descriptor of its file,
 * which /proc/self/fd makes a path of, and what a thread is in the middle of.
 */
#ifndef LMN_TRACE_TRACE_WATCH_H
#define LMN_TRACE_TRACE_WATCH_H

#include "lamina/trace.h"

#include "trace/lane.h"

/* Any thread. What it was. */
double lmn_trace_level_swap(lamina_trace *t, double level);
int lmn_trace_fd(const lamina_trace *t);
/* What the calling thread is in the middle of, outermost first: a name and a word to it, 0 none.
 * Left as it is where the thread holds no lane. Safe in handlers of signals. */
void lmn_trace_inside_of(const lamina_trace *t, uint64_t out[LMN_LANE_OPEN]);
/* Text of name i, as of the last poll; "?" for one that is not there. */
const char *lmn_reader_name(const lamina_trace_reader *r, uint64_t i);

#endif
