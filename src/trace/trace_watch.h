/*
 * A trace watched by the process that writes it: its level for a while, and the descriptor of its
 * file, which /proc/self/fd makes a path of.
 */
#ifndef LMN_TRACE_TRACE_WATCH_H
#define LMN_TRACE_TRACE_WATCH_H

#include "lamina/trace.h"

/* Any thread. What it was. */
double lmn_trace_level_swap(lamina_trace *t, double level);
int lmn_trace_fd(const lamina_trace *t);

#endif
