/*
 * What this process may use of the machine: CPUs by affinity mask and cpuset, CPU time by cgroup
 * quota (v2 cpu.max, v1 cfs_quota), memory by cgroup limit. Read at start and on a slow tick.
 */
#ifndef LMN_BASE_TOPO_H
#define LMN_BASE_TOPO_H

#include "base/types.h"

typedef struct lmn_topo {
    uint32_t n_online;           /* CPUs the system has online */
    uint32_t n_affinity;         /* CPUs in sched_getaffinity (cpuset included by the kernel) */
    double quota_cpus;           /* cgroup CPU quota in CPUs, 0 = none */
    uint64_t memory_limit_bytes; /* cgroup memory limit, 0 = none */
    uint32_t n_numa;             /* NUMA nodes online, >= 1 */
    uint32_t width;              /* min(n_affinity, ceil(quota)), >= 1 */
} lmn_topo;

/* `root` prefixes /proc and /sys (tests hand in a fake tree); "" for the real one. Never fails:
   what cannot be read counts as absent. */
void lmn_topo_read(lmn_topo *out, const char *root);

#endif
