/*
 * Environment, CPU permission and small text files of the system: what detection needs of the OS.
 */
#ifndef LMN_BASE_OS_ENV_H
#define LMN_BASE_OS_ENV_H

#include "base/types.h"

/* Value of an environment variable, NULL when unset. Valid until the process changes it. */
const char *lmn_os_getenv(const char *name);

/* Ask the kernel for AMX tile data on behalf of the whole process; true when granted. */
bool lmn_os_amx_request(void);

/* AT_HWCAP and AT_HWCAP2 of the auxiliary vector; 0 where there is none. */
void lmn_os_hwcap(uint64_t *hwcap, uint64_t *hwcap2);

/* CPUs in this process's affinity mask, 0 when unknown. */
uint32_t lmn_os_affinity_count(void);

/* Read a small text file (of /proc or /sys): at most cap - 1 bytes, always terminated. Returns the
   length, or -1 when it cannot be read. */
int64_t lmn_os_text_read(const char *path, char *buf, size_t cap);

/* Resident set of this process in bytes, 0 = unknown; cheap: lmn_os_memory walks every page. */
uint64_t lmn_os_resident(void);
/* Resident and proportional set of this process in bytes; a value that is unknown is 0. */
void lmn_os_memory(uint64_t *rss_bytes, uint64_t *pss_bytes);

/* Ask the C library to return free heap pages to the system; nothing where it cannot. */
void lmn_os_heap_trim(void);

#endif
