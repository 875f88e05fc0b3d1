/*
 * What the subjects of `lamina bench SUBJECT` share. A subject lists cases; a case gives one sample
 * at a time; the runner takes one sample of each case a round, the first of a round turning, until
 * the time is up. Medians and quartiles over rounds are what is reported.
 */
#ifndef LAMINA_CLI_SYS_BENCH_H
#define LAMINA_CLI_SYS_BENCH_H

#include "cli.h"

#include <stddef.h>
#include <stdint.h>

#define SYS_MAX_CASES 64
#define SYS_MAX_ROUNDS 1001
#define SYS_APART 128 /* bytes: two lines, for the adjacent-line prefetcher */

typedef struct sys_run sys_run;

typedef struct sys_case {
    char name[64];
    /* One sample in the subject's unit; not finite: cannot be done here. Times itself, so that what
     * prepares it is left out. */
    double (*sample)(void *state, int arg);
    int arg;
    const char *why; /* that it could not */
    double *samples;
    int n;
    double median, q1, q3, least, most; /* after the run */
    bool overlaps;                      /* its quartiles with those of the best */
} sys_case;

typedef struct sys_subject {
    const char *name, *summary;
    const char *unit;
    bool more_is_better;
    bool shared; /* between processors: their distance is measured, too */
    const char *shows;
    /* Adds the cases; false after reporting why not. *state goes to the samples and to end. */
    bool (*begin)(sys_run *r, void **state);
    void (*end)(void *state);
} sys_subject;

/* Where and how it was measured. */
typedef struct sys_place {
    int cpus;
    double load;
    double trip_ns; /* a line there and back between the first two processors; 0: not measured */
    const char *placement;
} sys_place;

struct sys_run {
    const sys_subject *subject;
    sys_case cases[SYS_MAX_CASES];
    int n, rounds;
    double seconds;
    sys_place before, after;
};

/* All subjects; a row without a name ends them. */
extern const sys_subject sys_subjects[];
const sys_subject *sys_find(const char *name);

/* A case more; names are formatted. Past SYS_MAX_CASES it is dropped. */
__attribute__((format(printf, 5, 6))) void sys_add(sys_run *r, double (*sample)(void *, int),
                                                   int arg, const char *why, const char *fmt, ...);
/* Measure for about `seconds`; reports failure itself. */
int sys_measure(sys_run *r, double seconds);
void sys_release(sys_run *r);

void sys_print_text(const sys_run *r);
void sys_print_json(const sys_run *r);
/* Bars of medians with their quartiles; reports failure itself. */
int sys_write_svg(const sys_run *r, const char *path);
/* An element of a plot with its class; text is escaped. */
void sys_svg_text(FILE *f, double x, double y, const char *class, const char *s);
void sys_svg_escape(FILE *f, const char *s);
/* "12.3" with three digits. */
void sys_number(char buf[24], double v);

/* ---- for the subjects ------------------------------------------------------------------------ */

double sys_now_ns(void);
/* Nanoseconds of one of the n elements of loop(state, arg), which is repeated for a millisecond at
 * least; of the thread's own time, so that what else runs does not count. */
double sys_loop_ns(uint64_t (*loop)(void *state, int arg), void *state, int arg, double n);
/* The processors this process may use, in order; how many (at most cap). */
int sys_cpus(int *cpus, int cap);
/* n functions at once, each on a processor of its own while there are enough; every one returns the
 * nanoseconds it took. False when a thread is not to be had. */
typedef struct sys_part {
    double (*work)(void *ctx, int index);
    void *ctx;
    int cpu; /* -1: the index-th */
    double ns;
} sys_part;
bool sys_together(sys_part *parts, int n);
/* Median nanoseconds of `trips` round trips of one line between two processors. */
double sys_trip_ns(int cpu_a, int cpu_b, int trips);
/* A file that no name leads to, of `bytes` random bytes (0: empty), on a disk if there is one:
 * TMPDIR, else /var/tmp, else /tmp. -1 after reporting. */
int sys_temporary(size_t bytes);
/* Keeps a value from being optimised away. */
static inline void sys_keep(uint64_t v)
{
    __asm__ volatile("" : : "r"(v) : "memory");
}
uint64_t sys_random(uint64_t *state);

/* What each subject's file begins. */
bool sys_queues(sys_run *r, void **state);
void sys_queues_end(void *state);
bool sys_pool(sys_run *r, void **state);
void sys_pool_end(void *state);
bool sys_allocators(sys_run *r, void **state);
void sys_allocators_end(void *state);
bool sys_false_sharing(sys_run *r, void **state);
bool sys_core_to_core(sys_run *r, void **state);
bool sys_page_faults(sys_run *r, void **state);
void sys_page_faults_end(void *state);
bool sys_file_copy(sys_run *r, void **state);
void sys_file_copy_end(void *state);
bool sys_traversal(sys_run *r, void **state);
bool sys_branches(sys_run *r, void **state);
bool sys_layouts(sys_run *r, void **state);
void sys_free(void *state);

#endif
