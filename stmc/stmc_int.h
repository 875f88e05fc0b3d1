/*
 * stmc inside. One scene runs on fibres of one OS thread: a fibre announces its next atomic
 * operation and gives up control; the search picks whose operation happens and, for a load, which
 * write it returns; the memory carries it out. Thread 0 is begin and end, which run alone.
 *
 * Memory: per location the list of its writes ("messages"); per thread a view, the oldest message
 * of each location that it may still read. A message carries the view and the vector clock that a
 * reader acquires. Races and lifetimes are judged by the clocks, so that they show in every
 * schedule in which no happens-before orders the two sides.
 */
#ifndef STMC_INT_H
#define STMC_INT_H

#include <stdbool.h>
#include <stdio.h>

#include "lamina/stmc.h"

#define N_THREADS (STMC_MAX_THREADS + 1)
#define MAX_LOCS 192
#define MAX_STEPS 4000
#define MAX_CHOICES 4000

typedef struct clock {
    uint32_t at[N_THREADS];
} clock;

/* What a thread knows, or a message hands on. */
typedef struct knowledge {
    clock vc;
    uint32_t view[MAX_LOCS];
} knowledge;

typedef struct message {
    uint64_t value;
    int thread;
    knowledge given; /* to who acquires it */
} message;

typedef struct location {
    char *p;
    size_t n;
    message *messages;
    uint32_t n_messages, room;
    uint32_t sc_floor; /* the oldest that a seq_cst load may read */
    clock used;        /* last access of each thread */
    clock kept;        /* last load of each thread that counts (stmc_kept); 0: none */
} location;

typedef enum run_state { RUN_READY, RUN_WAITING, RUN_SPINNING, RUN_DONE } run_state;

/* An announced operation. */
typedef struct pending {
    stmc_site *site;
    stmc_op op;
    stmc_order order; /* after mutation */
    void *p;
    size_t n;
    uint64_t value, expected, result;
    int loc;
    bool timed;
    uint32_t floor; /* a load that was explored earlier need not read below this again */
} pending;

typedef struct fibre {
    void *sp;
    void *stack;
    void *fake_stack; /* of the address sanitizer */
} fibre;

typedef struct thread {
    fibre fibre;
    run_state state;
    pending next;
    knowledge know, acquired, released; /* now; by relaxed loads; at the last release fence */
    uint64_t spun_at;                   /* writes done when it began to spin */
    uint64_t respun_at;                 /* writes done when it was last let look again */
    bool woken;                         /* from a futex: goes on at once */
} thread;

typedef struct step {
    int thread;
    pending op;
    uint32_t read, written; /* message numbers + 1; 0 none */
    uint32_t newest;
} step;

typedef struct block {
    char *p;
    size_t n;
    bool freed;
    clock free_at;
    int thread;
} block;

/* One byte's accesses. */
typedef struct shadow {
    uintptr_t byte;
    uint64_t run;
    int writer;
    uint32_t written;
    uint32_t read[N_THREADS];
} shadow;

typedef struct choice {
    uint16_t n, at;
} choice;

typedef enum search_mode { SEARCH_ALL, SEARCH_BOUNDED, SEARCH_RANDOM } search_mode;

typedef struct options {
    search_mode mode;
    int preemptions;
    uint64_t max_runs, seed;
    const char *replay, *only; /* a path as printed; part of a scene's name */
    bool mutate, markdown;
} options;

typedef struct stmc_state {
    struct stmc_state *next;
    stmc_site *site;
    uint64_t n_done;
} stmc_state;

typedef struct checker {
    options opt;
    const stmc_scene *scene;
    int n_threads; /* without thread 0 */
    thread threads[N_THREADS];
    fibre main;
    int self;

    location locs[MAX_LOCS];
    int n_locs;
    knowledge sc; /* of seq_cst fences */
    uint64_t n_writes;

    block *blocks;
    size_t n_blocks, room_blocks;
    shadow *shadows;
    uint64_t run;

    choice choices[MAX_CHOICES];
    int n_choices, at_choice;
    uint32_t asleep; /* threads whose next operation was explored at this point */
    int last_thread, preempted;
    uint64_t rng;
    int priority[N_THREADS];

    step steps[MAX_STEPS];
    int n_steps;
    uint32_t n_ops[N_THREADS], most_ops[N_THREADS]; /* in this run; in any run of the scene */
    bool failed, pruned;
    char failure[400];

    stmc_state *sites;
    stmc_site *weak_site; /* the mutant */
    stmc_order weak_order;
    uint64_t n_runs, n_pruned;
} checker;

extern checker stmc_now;

/* Fibres. */
void stmc_fibre_start(fibre *f, void (*fn)(void));
void stmc_fibre_switch(fibre *from, fibre *to);
#define STMC_STACK_BYTES ((size_t)256 << 10)

/* Memory: number of the location, made when it is new; -1 when there are too many. */
int stmc_location(void *p, size_t n);
/* Which messages (newest first) the announced load or failing compare of thread t may return. */
int stmc_readable(int t, const pending *op, uint32_t *out, int most);
/* Carry the announced operation of thread t out; a read returns message `m`. */
void stmc_perform(int t, uint32_t m);
void stmc_join(clock *into, const clock *from);
void stmc_know(knowledge *into, const knowledge *from);
bool stmc_before(const clock *a, const clock *b);

/* Plain accesses and blocks: stmc_plain.c. */
bool stmc_alive(const void *p, size_t n, const char *what);
/* The atomic at p is alive and its first value visible. */
bool stmc_begun(const void *p, size_t n);
void stmc_forget(void);
void stmc_leaks(void);

/* Search: one scene, to the end of the options; true when it held. */
bool stmc_search(const stmc_scene *scene);
/* Fail: the sentence is kept, control leaves the fibre for good. */
__attribute__((format(printf, 1, 2))) void stmc_fail(const char *fmt, ...);
int stmc_choose(int n);
/* In a scene that has failed: never returns. */
void stmc_leave(void);

/* Report. */
void stmc_print_failure(void);
const char *stmc_op_name(stmc_op op);
const char *stmc_order_name(stmc_order order);
int stmc_mutate(const stmc_scene *scenes, size_t n);
bool stmc_wanted(const stmc_scene *scene);

#endif
