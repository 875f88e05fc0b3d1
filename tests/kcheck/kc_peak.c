/*
 * The FMA peak of this core, the yardstick of --bench.
 */
#include "kcheck/kcheck.h"

#include "kcheck/fma_burst.h"

#include <time.h>

double kc_cpu_seconds(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

#if defined(__x86_64__)
enum { STEPS = 200000 };

double kc_peak_gflops(const lmn_cpu *cpu)
{
    if (!(cpu->isa & LMN_ISA_AVX2)) return 0;
    bool wide = cpu->isa & LMN_ISA_AVX512;
    double best = 1e30;
    volatile float sink = 0;
    for (int r = 0; r < 20; r++) {
        double t0 = kc_cpu_seconds();
        sink = wide ? fma_burst_512(STEPS) : fma_burst_256(STEPS);
        double t = kc_cpu_seconds() - t0;
        if (t < best) best = t;
    }
    (void)sink;
    return fma_burst_flops(wide, STEPS) / best * 1e-9;
}
#else
double kc_peak_gflops(const lmn_cpu *cpu)
{
    (void)cpu;
    return 0;
}
#endif
