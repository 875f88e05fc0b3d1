/*
 * Memory that outlives the process: a file, all of its blocks allocated, mapped for writing. Also
 * what a reader in another process needs to know about who wrote it.
 */
#ifndef LMN_BASE_OS_PUBLISH_H
#define LMN_BASE_OS_PUBLISH_H

#include "base/error.h"

typedef struct lmn_os_pub {
    int fd;
    uint8_t *p;
    size_t bytes;
    char path[4096], tmp[4096 + 32];
} lmn_os_pub;

/* A zeroed file beside `path`, readable and writable by this user alone; a full disk is a status
   now and no signal later. NULL path: memory with a descriptor only. */
lamina_status lmn_os_pub_create(lmn_os_pub *s, const char *path, uint64_t bytes, lamina_error *err);
/* Wait until its bytes are on the disk. */
lamina_status lmn_os_pub_sync(lmn_os_pub *s, lamina_error *err);
/* Let it take its place at `path`: readers see the old file or this one, complete. */
lamina_status lmn_os_pub_publish(lmn_os_pub *s, lamina_error *err);
/* Unmap and close; one that was not published is removed. */
void lmn_os_pub_close(lmn_os_pub *s);
/* Write n bytes at `offset` of an existing file. */
lamina_status lmn_os_patch(const char *path, uint64_t offset, const void *bytes, size_t n,
                           lamina_error *err);

/* When a process started, in clock ticks since the boot; 0 when there is no such process. */
uint64_t lmn_os_process_start(uint32_t pid);
/* Name of the calling thread; "" when it has none. */
void lmn_os_thread_name(char buf[16]);
#endif
