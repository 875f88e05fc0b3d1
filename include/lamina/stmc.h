/**
 * @file
 * stmc: a model checker for concurrent C. A harness states a small scene (a few threads of a few
 * operations each); stmc runs it again and again, once for every schedule and for every value that
 * the C11 memory model lets a load return, and stops at the first data race, use after free, leak,
 * deadlock, lost wake-up or failed check with the schedule that leads there.
 *
 * A harness is a C file that writes its shared words through the macros below and ends in
 * STMC_MAIN. Built by `lamina-stmc harness.c`, or by hand:
 *
 *     cc -Iinclude harness.c -llamina-stmc -o harness && ./harness --help
 *
 *     static int data, flag;
 *     static void begin(void) { stmc_init(&flag, 0); }
 *     static void writer(void) { stmc_write(data, 42); stmc_store(&flag, 1, release); }
 *     static void reader(void)
 *     {
 *         if (stmc_load(&flag, acquire)) stmc_check(stmc_read(data) == 42);
 *     }
 *     STMC_MAIN({"message passing", begin, {writer, reader}, 0})
 *
 * Memory model: RC11 without load buffering. A load returns any write that coherence and
 * happens-before leave it; a read-modify-write the newest; the writes of one location stand in the
 * order in which they ran, so that the one behaviour not shown is 2+2W (two threads that each
 * overwrite the other's location). seq_cst operations and fences are ordered by what ran first.
 *
 * The words below stand for _Atomic objects of 1, 2, 4 or 8 bytes, declared as plain objects of
 * the harness. ORDER is written without its prefix: relaxed, acquire, release, acq_rel, seq_cst.
 * Everything here is called from inside a scene only (but for stmc_main); one scene runs at a time.
 */
#ifndef LAMINA_STMC_H
#define LAMINA_STMC_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Most threads of one scene. */
#define STMC_MAX_THREADS 6

/** What an operation does to its location. */
typedef enum stmc_op {
    STMC_LOAD,     /**< returns a write that it may see */
    STMC_STORE,    /**< the newest write of its location from here on */
    STMC_EXCHANGE, /**< read-modify-write: the old value out, the new one in */
    STMC_ADD,      /**< read-modify-write: adds, gives the old value */
    STMC_SUB,      /**< read-modify-write: subtracts, gives the old value */
    STMC_OR,       /**< read-modify-write: or, gives the old value */
    STMC_AND,      /**< read-modify-write: and, gives the old value */
    STMC_CAS,      /**< compare and swap, strong */
    STMC_FENCE,    /**< atomic_thread_fence */
    STMC_HEAVY,    /**< membarrier: a seq_cst fence on every thread at once */
    STMC_WAIT,     /**< futex wait */
    STMC_WAKE,     /**< futex wake */
    STMC_YIELD     /**< spinning: nothing new can be seen until somebody writes */
} stmc_op;

/** Orders, as memory_order has them (consume is acquire). */
typedef enum stmc_order {
    STMC_relaxed, /**< atomicity and coherence alone */
    STMC_acquire, /**< what came before the release that is read is visible */
    STMC_release, /**< publishes what came before */
    STMC_acq_rel, /**< both, of a read-modify-write */
    STMC_seq_cst  /**< both, and one order of all of them */
} stmc_order;

/** A place in the source where an atomic operation stands; made by the macros. */
typedef struct stmc_site {
    const char *file;         /**< borrowed, static */
    int line;                 /**< from 1 */
    const char *text;         /**< the location as written */
    stmc_op op;               /**< what stands there */
    stmc_order order;         /**< as written; --mutate weakens it */
    struct stmc_state *state; /**< of the checker; starts NULL */
} stmc_site;

/** A scene. */
typedef struct stmc_scene {
    const char *name;                       /**< for --only and the report */
    void (*begin)(void);                    /**< before the threads; may be NULL */
    void (*thread[STMC_MAX_THREADS])(void); /**< NULL ends the list */
    void (*end)(void);                      /**< after the threads; checks, frees; may be NULL */
} stmc_scene;

/** One atomic operation on n bytes at p: `value` is stored, added ...; returns the old value or
 * what was loaded. For STMC_CAS: `value` replaces *expected, which receives what was found; returns
 * 1 when it was replaced. The macros call it. */
uint64_t stmc_atomic(stmc_site *site, void *p, size_t n, uint64_t value, uint64_t *expected);
/** The location p of n bytes begins here with this value: a plain write, to be published. */
void stmc_atomic_init(void *p, size_t n, uint64_t value);
/** The n bytes at p are read (write 0) or written (write 1) by ordinary code here: two accesses
 * that no happens-before orders, one of them a write, are a race. */
void stmc_plain(const void *p, size_t n, int write, const char *text, int line);
/** What this thread loaded from the n bytes at p, an atomic, before its last operation, counts:
 * that operation has shown that nobody had stored there yet. Whoever stores there now must come
 * after the load by happens-before. Finds the release that is missing where a location is read
 * first and claimed afterwards; without it a processor may carry out the load after the claim (load
 * buffering), which no schedule shows. */
void stmc_kept(const void *p, size_t n);
/** Memory, aligned to 128, whose use after free, double free and leak are found; NULL never. */
void *stmc_malloc(size_t n);
/** Give back what stmc_malloc gave; NULL is fine. */
void stmc_free(void *p);
/** A claim about the scene; when `holds` is 0 the schedule is printed and the program ends. */
void stmc_claim(int holds, const char *text, const char *file, int line);
/** Which thread runs, from 0; -1 in begin and end. */
int stmc_self(void);
/** Check these scenes as the arguments say (--help); returns the exit status: 0 all hold, 1 one
 * failed, 2 usage. */
int stmc_main(int argc, char **argv, const stmc_scene *scenes, size_t n);

/** @cond internal */
#define STMC_DO_(op_, p_, order_, value_, expected_)                                       \
    __extension__({                                                                        \
        static stmc_site stmc_s_ = {__FILE__, __LINE__, #p_, op_, STMC_##order_, NULL};    \
        stmc_atomic(&stmc_s_, (void *)(uintptr_t)(p_), sizeof *(p_), (value_), expected_); \
    })
#define STMC_BITS_(type_, v_)                                 \
    __extension__({                                           \
        __typeof__(((void)0, (type_))) stmc_v_ = (v_);        \
        uint64_t stmc_b_ = 0;                                 \
        __builtin_memcpy(&stmc_b_, &stmc_v_, sizeof stmc_v_); \
        stmc_b_;                                              \
    })
#define STMC_VALUE_(type_, bits_)                             \
    __extension__({                                           \
        uint64_t stmc_r_ = (bits_);                           \
        __typeof__(((void)0, (type_))) stmc_o_;               \
        __builtin_memcpy(&stmc_o_, &stmc_r_, sizeof stmc_o_); \
        stmc_o_;                                              \
    })
/** @endcond */

/**
 * Atomics: atomic_init, atomic_load_explicit and so on of <stdatomic.h>; p points at the location,
 * the value has its type.
 */
#define stmc_init(p, v) stmc_atomic_init((p), sizeof *(p), STMC_BITS_(*(p), v))
#define stmc_load(p, order) STMC_VALUE_(*(p), STMC_DO_(STMC_LOAD, p, order, 0, NULL))
#define stmc_store(p, v, order) ((void)STMC_DO_(STMC_STORE, p, order, STMC_BITS_(*(p), v), NULL))
#define stmc_exchange(p, v, order) \
    STMC_VALUE_(*(p), STMC_DO_(STMC_EXCHANGE, p, order, STMC_BITS_(*(p), v), NULL))
#define stmc_add(p, v, order) \
    STMC_VALUE_(*(p), STMC_DO_(STMC_ADD, p, order, STMC_BITS_(*(p), v), NULL))
#define stmc_sub(p, v, order) \
    STMC_VALUE_(*(p), STMC_DO_(STMC_SUB, p, order, STMC_BITS_(*(p), v), NULL))
#define stmc_or(p, v, order) \
    STMC_VALUE_(*(p), STMC_DO_(STMC_OR, p, order, STMC_BITS_(*(p), v), NULL))
#define stmc_and(p, v, order) \
    STMC_VALUE_(*(p), STMC_DO_(STMC_AND, p, order, STMC_BITS_(*(p), v), NULL))
/** expected: pointer to what is looked for, receives what was found; 1 when it was replaced. A
 * failure loads relaxed, or acquire where ORDER acquires. */
#define stmc_cas(p, expected, v, order)                                                        \
    __extension__({                                                                            \
        uint64_t stmc_e_ = STMC_BITS_(*(p), *(expected));                                      \
        const uint64_t stmc_ok_ = STMC_DO_(STMC_CAS, p, order, STMC_BITS_(*(p), v), &stmc_e_); \
        *(expected) = STMC_VALUE_(*(p), stmc_e_);                                              \
        stmc_ok_ != 0;                                                                         \
    })
/** Fences, barriers, waiting. A timed wait may also end by itself, and then gives 0: that is
 * another schedule. */
#define stmc_fence(order) ((void)STMC_DO_(STMC_FENCE, (char *)0, order, 0, NULL))
#define stmc_membarrier() ((void)STMC_DO_(STMC_HEAVY, (char *)0, seq_cst, 0, NULL))
#define stmc_yield() ((void)STMC_DO_(STMC_YIELD, (char *)0, relaxed, 0, NULL))
#define stmc_futex_wait(p, value) ((void)STMC_DO_(STMC_WAIT, p, relaxed, (value), NULL))
#define stmc_futex_wait_timed(p, value)                          \
    __extension__({                                              \
        uint64_t stmc_t_ = 1;                                    \
        STMC_DO_(STMC_WAIT, p, relaxed, (value), &stmc_t_) != 2; \
    })
#define stmc_futex_wake(p, n) ((void)STMC_DO_(STMC_WAKE, p, relaxed, (uint64_t)(n), NULL))
/** Ordinary objects that the protocol protects: read, write, or a range of bytes. */
#define stmc_read(x) (stmc_plain(&(x), sizeof(x), 0, #x, __LINE__), (x))
#define stmc_write(x, v) ((void)(stmc_plain(&(x), sizeof(x), 1, #x, __LINE__), ((x) = (v))))
#define stmc_read_bytes(p, n) stmc_plain((p), (n), 0, #p, __LINE__)
#define stmc_write_bytes(p, n) stmc_plain((p), (n), 1, #p, __LINE__)
/** What was loaded from the atomic p before the last operation counts (stmc_kept). */
#define stmc_keep(p) stmc_kept((p), sizeof *(p))
/** A claim. */
#define stmc_check(claim) stmc_claim(!!(claim), #claim, __FILE__, __LINE__)

/** The program of a harness: its scenes, each in braces. */
#define STMC_MAIN(...)                                                        \
    int main(int argc, char **argv)                                           \
    {                                                                         \
        static const stmc_scene scenes[] = {__VA_ARGS__};                     \
        return stmc_main(argc, argv, scenes, sizeof scenes / sizeof *scenes); \
    }

#ifdef __cplusplus
}
#endif

#endif
