/*
 * The file of a trace: one header that says how many of everything there is, then the parts in a
 * fixed order. Offsets follow from the counts, so that a reader believes no offset from outside;
 * counts have bounds. All numbers little endian words of this machine. docs/rooms/trace.md draws
 * it.
 *
 * The owner writes all of it but the values of knobs, which another process may set, and trusts
 * nothing that it reads back: its own counts and places are in its own memory.
 */
#ifndef LMN_TRACE_TRACE_FILE_H
#define LMN_TRACE_TRACE_FILE_H

#include "trace/lane.h"

#define LMN_TRACE_MAGIC 0x4543415254414d4cu /* "LMATRACE" */
#define LMN_TRACE_VERSION 1u
#define LMN_TRACE_HEAD_BYTES 4096u

#define LMN_TRACE_MAX_LANES 1024u
#define LMN_TRACE_MAX_EVENTS (1u << 20) /* of a lane */
#define LMN_TRACE_N_THREADS 4096u
#define LMN_TRACE_N_NAMES 32768u
#define LMN_TRACE_NAME_BYTES (1u << 20)
#define LMN_TRACE_N_METRICS 256u
#define LMN_TRACE_N_CELLS 32768u
#define LMN_TRACE_N_KNOBS 64u
#define LMN_TRACE_ARGS 4

typedef struct lmn_trace_counts {
    uint32_t lanes, events, threads, names, name_bytes, metrics, cells, knobs;
} lmn_trace_counts;

typedef struct lmn_trace_head {
    uint64_t magic;
    uint32_t version, head_bytes;
    uint64_t file_bytes;
    lmn_trace_counts counts;
    uint32_t counter;           /* ticks are of the hardware counter, not nanoseconds */
    uint32_t allow_set;         /* knobs may be set from outside */
    uint64_t tick0, ns0, wall0; /* one instant: ticks, CLOCK_MONOTONIC, CLOCK_REALTIME */
    uint32_t pid, reserved;
    uint64_t pid_start; /* lmn_os_process_start */
    char boot[40];      /* of the kernel: ticks of another boot cannot be told apart by now */
    char program[64];
    /* What changes while the owner lives. */
    _Alignas(LMN_APART) lmn_atomic(uint64_t) tick_ns; /* nanoseconds a tick, as a double */
    lmn_atomic(uint32_t) closed;                      /* ended in order */
    lmn_atomic(uint32_t) n_threads, n_names, n_metrics, n_knobs, n_name_bytes, n_cells;
    lmn_atomic(uint64_t) n_no_lane; /* turned away: every lane was held */
} lmn_trace_head;
_Static_assert(sizeof(lmn_trace_head) <= LMN_TRACE_HEAD_BYTES, "fits");

typedef struct lmn_trace_thread {
    uint32_t name, reserved;
    uint64_t tid;
} lmn_trace_thread;

/* A name: bytes in the name table. `form`: the name that says its category and arguments, 0 none:
   "node(node:s,kernel:s,run:u)" with s a name, u a number, i a signed one, f a double. */
typedef struct lmn_trace_name {
    uint32_t offset, n, form, reserved;
} lmn_trace_name;

enum { LMN_METRIC_COUNTER = 1, LMN_METRIC_GAUGE, LMN_METRIC_HISTOGRAM };
typedef struct lmn_trace_metric {
    uint32_t name, help, unit, kind;
    uint32_t first_cell, n_cells;
    uint64_t scale; /* double: what a cell's 1 is in the unit */
} lmn_trace_metric;

typedef struct lmn_trace_knob {
    uint32_t name, help, whole, reserved;
    uint64_t lo, hi; /* doubles */
    lmn_atomic(uint64_t) value;
} lmn_trace_knob;

/* Words of an event: time; kind | thread << 16 | name << 32; span | parent << 32; then value and
   arguments. Kinds are those of lamina/trace.h. */
enum { LMN_EV_TIME, LMN_EV_WHAT, LMN_EV_SPAN, LMN_EV_VALUE, LMN_EV_ARGS };

typedef struct lmn_trace_layout {
    uint64_t lanes, threads, names, name_bytes, metrics, knobs, cells, events, total;
} lmn_trace_layout;

/* Where the parts lie; false when a count is out of bounds. */
bool lmn_trace_layout_of(const lmn_trace_counts *c, lmn_trace_layout *out);

#endif
