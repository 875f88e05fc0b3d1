/*
 * CPU features as one word: ISA levels plus single bits. Detected from CPUID, XCR0 and the kernel's
 * AMX permission (x86), HWCAP (AArch64); never from brand strings. LAMINA_ISA caps the level.
 */
#ifndef LMN_BASE_CPU_H
#define LMN_BASE_CPU_H

#include "base/types.h"

/* Levels stand for sets of features (STYLE 3.2); the word of a CPU has every level it reaches. */
enum {
    LMN_ISA_REF = 0,          /* portable C, always there */
    LMN_ISA_AVX2 = 1u << 0,   /* AVX2 FMA F16C BMI2 */
    LMN_ISA_AVX512 = 1u << 1, /* F BW DQ VL CD */
    LMN_ISA_AVX512VNNI = 1u << 2,
    LMN_ISA_AVX512BF16 = 1u << 3,
    LMN_ISA_AVX512FP16 = 1u << 4,
    LMN_ISA_AMX = 1u << 5, /* TILE INT8 BF16 and GFNI, permission granted */
    /* The two levels of VNNI and BF16, and VNNI in its own encoding of 256 bits. Of the AMD CPUs
       those that multiply whole vectors of 512 bits twice a cycle (Zen 5) have it and those that do
       so in halves (Zen 4) do not; no bit says that by itself. */
    LMN_ISA_AVXVNNI = 1u << 6,
    LMN_ISA_NEON = 1u << 16,
    LMN_ISA_NEONDOT = 1u << 17,
    LMN_ISA_NEONBF16 = 1u << 18,
    LMN_ISA_SVE = 1u << 19
};
typedef uint32_t lmn_isa;

typedef struct lmn_cpu {
    lmn_isa isa;    /* usable levels, after the cap */
    lmn_isa isa_hw; /* what hardware and kernel allow, before the cap */
    uint32_t l1d_bytes, l2_bytes, l3_bytes;
    char isa_cap[24];     /* the value of LAMINA_ISA, "" = none */
    char vendor_note[64]; /* CPUID family and model, for reports only */
} lmn_cpu;

/* Detect; `cap` is the LAMINA_ISA text ("ref" or any name that lmn_isa_name gives), NULL = none. An
   unknown cap gives LAMINA_E_INVALID and *out still holds the uncapped truth. Asks the kernel for
   AMX. */
lamina_status lmn_cpu_detect(lmn_cpu *out, const char *cap);
/* "avx512", "avx512vnni" ...: name of the single bit `bit`, static. */
const char *lmn_isa_name(lmn_isa bit);

#endif
