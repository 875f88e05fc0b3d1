/*
 * lamina/log.h - a log that may be written from anywhere, and the collector that writes the files.
 *
 * Writing needs no lock and no allocation: a record goes into a ring in a file that is mapped and
 * shared, and is there once the call returned, even if the process is killed with the next
 * instruction. So threads, signal handlers and a process that is crashing all write the same way.
 * A collector (`lamina logd DIR`, or lamina_logd_* in a process of yours) drains the rings of all
 * processes into one file in order of time.
 *
 *     lamina_logger *log;
 *     lamina_logger_opts o = {.size = sizeof o, .dir = "/dev/shm/app", .name = "server"};
 *     if (lamina_logger_open(&o, &log, &err)) ...
 *     lamina_log(log, LAMINA_LOG_INFO, "listening on port %d", port);
 *
 *     lamina_log_record r;
 *     lamina_log_begin(&r, log, LAMINA_LOG_WARN, "slow request");
 *     lamina_log_str(&r, "path", path);
 *     lamina_log_f64(&r, "ms", ms);
 *     lamina_log_end(&r);
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_LOG_H
#define LAMINA_LOG_H

#include "lamina/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Lets compilers compare lamina_log's arguments with its format. */
#if defined(__GNUC__)
#define LAMINA_LOG_PRINTF __attribute__((format(printf, 3, 4)))
#else
#define LAMINA_LOG_PRINTF
#endif

/* A process's end: one ring. */
typedef struct lamina_logger lamina_logger;

/* Most bytes of one record: text, keys and values with 4 bytes a field, and 28 of its own. */
#define LAMINA_LOG_RECORD_BYTES 1792

/* A record being built, on the caller's stack. The fields are the library's. */
typedef struct lamina_log_record {
    lamina_logger *logger;                        /* NULL: below the level, nothing is kept */
    uint32_t used;                                /* bytes so far */
    uint32_t flags;                               /* what did not fit */
    unsigned char bytes[LAMINA_LOG_RECORD_BYTES]; /* not initialised past `used` */
} lamina_log_record;

/* Options of lamina_logger_open(). Set `size` and `dir`, leave the rest zero. Append only. */
typedef struct lamina_logger_opts {
    size_t size;          /* sizeof(lamina_logger_opts) */
    const char *dir;      /* folder of the rings, which exists; best on tmpfs (/dev/shm/...) */
    const char *name;     /* "from" of every record, up to 63 bytes; NULL = the program's name */
    uint64_t ring_bytes;  /* memory of the ring, rounded up to 2^n; 0 = 1 MiB; at most 1 GiB */
    lamina_log_level min; /* records below this level are not kept */
    uint32_t wait_us;     /* how long a call may wait when the ring is full; 0 = not at all */
    bool thread_ids;      /* note the thread of each record: one system call a record */
} lamina_logger_opts;

/**
 * Open a ring of this process in a folder. Its file lives until a collector has drained it after
 * the process is gone, however it went.
 *
 * @param opts  borrowed until return.
 * @param out   on success owned, released by lamina_logger_close. On failure untouched.
 * @param err   borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID (no folder, sizes); E_PERM, E_IO (the folder, no space); E_NOMEM.
 *
 * Shapes:   none.   Units: bytes, microseconds.
 * Threads:  any; the logger may then be used from all threads and signal handlers. After fork the
 *           child may go on with it: records then carry the child's process id.
 * Memory:   the ring, in the file's memory; a page.   Blocking: makes the file, reserves its space.
 * Source:   docs/rooms/log.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_logger_open(const lamina_logger_opts *opts,
                                                             lamina_logger **out,
                                                             lamina_error *err);

/**
 * Close a logger. What was written stays for the collector.
 *
 * @param logger  owned; NULL does nothing.
 *
 * Shapes:   none.   Units: none.
 * Threads:  no other call on it may be running, nor come; handlers included.
 * Memory:   frees all.   Blocking: unmaps.
 * Source:   none.   Since: 0.1
 */
LAMINA_API void lamina_logger_close(lamina_logger *logger);

/**
 * Records of this logger that found the ring full and were given up; the collector reports them.
 *
 * @param logger  borrowed.
 * @return the count since the ring was opened; 0 for NULL.
 *
 * Threads: any, and signal handlers.   Memory: none.   Since: 0.1
 */
LAMINA_API uint64_t lamina_logger_dropped(const lamina_logger *logger);

/**
 * Write a record of one text. The formats are a part of printf's, done by the library itself:
 * %d %i %u %x %X %o %c %s %p %f %e %g %% with flags, width, precision and the lengths hh h l ll z j
 * t. %f, %e and %g are right to 15 digits. Anything else is copied as it stands, and ends
 * formatting.
 *
 * @param logger  borrowed; NULL is E_INVALID.
 * @param level   severity.
 * @param format  borrowed until return; what does not fit into a record is cut, and marked so.
 * @return LAMINA_OK (also below the level); E_AGAIN (the ring was full: counted); E_INVALID.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any, and signal handlers: no lock, no allocation; errno is kept.
 * Memory:   2 KiB of stack.   Blocking: not, or up to wait_us when the ring is full.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_LOG_PRINTF lamina_status lamina_log(lamina_logger *logger, lamina_log_level level,
                                                      const char *format, ...);

/**
 * Begin a record of a text and typed fields, which lamina_log_end writes. Whoever changes their
 * mind does nothing.
 *
 * @param record  the caller's, mostly on the stack; not initialised.
 * @param logger  borrowed until lamina_log_end.
 * @param level   severity.
 * @param text    borrowed until return.
 *
 * Shapes:   none.   Units: none.
 * Threads:  any, and signal handlers; one record belongs to one of them.   Memory: none.
 * Blocking: not.   Source: none.   Since: 0.1
 */
LAMINA_API void lamina_log_begin(lamina_log_record *record, lamina_logger *logger,
                                 lamina_log_level level, const char *text);

/**
 * Add a field. Keys are cut at 255 bytes; a text that does not fit is cut, a number that does not
 * is left out, and the record is marked "truncated".
 *
 * @param record  begun.
 * @param key     borrowed until return, as are texts. A key that the collector uses itself (time,
 *                level, from, pid, tid, msg, truncated) gets a "_" behind it.
 * @param value   text is UTF-8; what is not becomes U+FFFD. NULL is "(null)".
 *
 * Threads: as lamina_log_begin.   Memory: none.   Since: 0.1
 */
LAMINA_API void lamina_log_str(lamina_log_record *record, const char *key, const char *value);
/** As lamina_log_str: n bytes of text, which need no zero behind them. */
LAMINA_API void lamina_log_strn(lamina_log_record *record, const char *key, const void *value,
                                size_t n);
/** As lamina_log_str: a whole number. */
LAMINA_API void lamina_log_i64(lamina_log_record *record, const char *key, int64_t value);
/** As lamina_log_str: a whole number without sign. */
LAMINA_API void lamina_log_u64(lamina_log_record *record, const char *key, uint64_t value);
/** As lamina_log_str: a real number; NaN and infinities are written as text. */
LAMINA_API void lamina_log_f64(lamina_log_record *record, const char *key, double value);
/** As lamina_log_str: an address or a set of bits, written as "0x1f". */
LAMINA_API void lamina_log_hex(lamina_log_record *record, const char *key, uint64_t value);
/** As lamina_log_str: true or false. */
LAMINA_API void lamina_log_bool(lamina_log_record *record, const char *key, bool value);

/**
 * Write the record: from here on it survives the process.
 *
 * @param record  begun; may be begun again after.
 * @return LAMINA_OK (also below the level); E_AGAIN (the ring was full: counted); E_INVALID (the
 *         logger was NULL).
 *
 * Shapes:   none.   Units: none.
 * Threads:  any, and signal handlers; errno is kept.   Memory: none.
 * Blocking: not, or up to wait_us when the ring is full.   Source: none.   Since: 0.1
 */
LAMINA_API lamina_status lamina_log_end(lamina_log_record *record);

/**
 * Let a crash of this process write a last record: SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT get
 * a handler that writes the signal, the address and the place in the program, then a record with
 * the call frames, and then lets the signal do what it does by default. Other handlers of these
 * signals are replaced. May be called again, from each thread that wants a stack of its own for it.
 *
 * @param logger  borrowed; must stay open as long as the process lives.
 * @param stack   memory on which handlers of the calling thread run, so that a stack overflow is
 *                reported as well; must outlive the thread. NULL: the thread's own stack.
 * @param bytes   of it, at least 32 KiB.
 * @param err     borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID (a stack that is too small); E_OS.
 *
 * Shapes:   none.   Units: bytes.
 * Threads:  any.   Memory: none of its own.   Blocking: loads the unwinder of the C library.
 * Source:   docs/rooms/log.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_log_catch(lamina_logger *logger, void *stack,
                                                           size_t bytes, lamina_error *err);

/* How lines are written. */
typedef enum lamina_log_format {
    LAMINA_LOG_JSON = 0,  /* one object a line */
    LAMINA_LOG_LOGFMT = 1 /* key=value */
} lamina_log_format;

/* The collector of a folder. */
typedef struct lamina_logd lamina_logd;

/* Options of lamina_logd_open(). Set `size` and `dir`, leave the rest zero. Append only. */
typedef struct lamina_logd_opts {
    size_t size;           /* sizeof(lamina_logd_opts) */
    const char *dir;       /* folder of the rings */
    const char *out;       /* the file; NULL = lamina.log in that folder */
    uint32_t format;       /* lamina_log_format */
    uint32_t keep;         /* rotated files kept, FILE.1 the newest; 0 = 8, at most 1000 */
    uint64_t rotate_bytes; /* a file grows no larger, but for one line that is; 0 = no bound */
    uint64_t rotate_s;     /* nor older; 0 = no bound */
    uint64_t sync_records; /* fsync after so many records; 1 = before any leaves its ring; 0 = no */
    uint32_t sync_ms;      /* fsync so often, if something was written; 0 = no */
    uint32_t window_ms;    /* records wait so long for older ones of other processes; 0 = 10 */
    bool mend_bus;         /* the process is the collector's: it may handle SIGBUS, so that a ring
                              which somebody cuts short while it is read does no harm */
} lamina_logd_opts;

/* What a collector has done and seen; counts since it was opened. */
typedef struct lamina_logd_stats {
    size_t size;         /* sizeof(lamina_logd_stats), set by the caller */
    uint64_t records;    /* written */
    uint64_t bytes;      /* written */
    uint64_t dropped;    /* given up by writers whose rings were full, reported */
    uint64_t unfinished; /* cells that writers took and died before they filled them */
    uint64_t malformed;  /* records that no writer of ours wrote; what could be read is written */
    uint64_t rings;      /* there now */
    uint64_t stalled;    /* of these, with a record that was begun long ago and is not finished */
    uint64_t removed;    /* rings of dead writers, drained and removed */
    uint64_t corrupt;    /* files that are no rings, or no longer: let go */
    uint64_t rotations;  /* files begun because of size or age */
    uint64_t syncs;      /* fsync calls */
} lamina_logd_stats;

/**
 * Open the collector of a folder; one at a time. Goes on exactly where the last one stopped, also
 * if that was killed: a line that it had not accounted for is cut off and written again.
 *
 * @param opts  borrowed until return.
 * @param out   on success owned, released by lamina_logd_close. On failure untouched.
 * @param err   borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_INVALID; E_BUSY (another collector is at work); E_PERM, E_IO; E_NOMEM.
 *
 * Shapes:   none.   Units: bytes, seconds, milliseconds.
 * Threads:  any; a collector is used by one thread at a time.
 * Memory:   half a MiB and 3 KiB a ring.   Blocking: opens files.
 * Source:   docs/rooms/log.md.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_logd_open(const lamina_logd_opts *opts,
                                                           lamina_logd **out, lamina_error *err);

/**
 * One turn: find rings, write what is due, give the room back, remove what dead writers left. When
 * the file cannot be written nothing is lost: the rings keep their records, and the next turn tries
 * again.
 *
 * @param wait_ms  sleep up to so long when there is little to do.
 * @param err      borrowed; NULL allowed; one sentence on failure.
 * @return LAMINA_OK; E_PERM, E_IO (the file cannot be written now); E_NOMEM.
 *
 * Shapes:   none.   Units: milliseconds.
 * Threads:  one.   Memory: none but for new rings.   Blocking: writes, sleeps.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_logd_step(lamina_logd *d, uint32_t wait_ms,
                                                           lamina_error *err);

/**
 * Write everything that was in the rings when the call began, without waiting for older records.
 *
 * @param err  borrowed; NULL allowed.
 * @return as lamina_logd_step.
 *
 * Shapes:   none.   Units: none.
 * Threads:  one.   Memory: as lamina_logd_step.   Blocking: writes.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_logd_drain(lamina_logd *d, lamina_error *err);

/**
 * Open the file anew by its name, after somebody else has moved it away.
 *
 * @param err  borrowed; NULL allowed.
 * @return as lamina_logd_step.
 *
 * Shapes:   none.   Units: none.
 * Threads:  one.   Memory: none.   Blocking: opens a file.
 * Source:   none.   Since: 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_logd_reopen(lamina_logd *d, lamina_error *err);

/**
 * What was done and seen so far.
 *
 * @param out  the caller's; `size` set. Fields past what this version knows are left alone.
 *
 * Threads: one.   Memory: none.   Since: 0.1
 */
LAMINA_API void lamina_logd_stats_get(const lamina_logd *d, lamina_logd_stats *out);

/**
 * Close a collector; drains nothing. What is in the rings stays there.
 *
 * @param d  owned; NULL does nothing.
 *
 * Threads: one.   Memory: frees all.   Blocking: closes files.   Since: 0.1
 */
LAMINA_API void lamina_logd_close(lamina_logd *d);

#ifdef __cplusplus
}
#endif

#endif /* LAMINA_LOG_H */
