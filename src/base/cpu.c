/*
 * CPU feature detection. A level is granted when every feature of its set is there and the kernel
 * saves the registers it needs (XCR0; for AMX also the permission of arch_prctl). Above the base
 * levels each is an independent bit, because machines combine them freely.
 */
#include "base/cpu.h"

#include "base/error.h"
#include "base/os/os_env.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const struct isa_name {
    const char *name;
    lmn_isa bit;
    lmn_isa cap; /* what stays usable when LAMINA_ISA names this level */
} NAMES[] = {
#define UP_TO_AVX512 (LMN_ISA_AVX2 | LMN_ISA_AVX512)
    {"ref", LMN_ISA_REF, LMN_ISA_REF},
    {"avx2", LMN_ISA_AVX2, LMN_ISA_AVX2},
    {"avx512", LMN_ISA_AVX512, UP_TO_AVX512},
    {"avx512vnni", LMN_ISA_AVX512VNNI, UP_TO_AVX512 | LMN_ISA_AVX512VNNI},
    {"avx512bf16", LMN_ISA_AVX512BF16, UP_TO_AVX512 | LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16},
    {"avx512fp16", LMN_ISA_AVX512FP16,
     UP_TO_AVX512 | LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16 | LMN_ISA_AVX512FP16},
    {"avxvnni", LMN_ISA_AVXVNNI,
     UP_TO_AVX512 | LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16 | LMN_ISA_AVXVNNI},
    {"amx", LMN_ISA_AMX,
     UP_TO_AVX512 | LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16 | LMN_ISA_AVX512FP16 | LMN_ISA_AVXVNNI |
         LMN_ISA_AMX},
    {"neon", LMN_ISA_NEON, LMN_ISA_NEON},
    {"neondot", LMN_ISA_NEONDOT, LMN_ISA_NEON | LMN_ISA_NEONDOT},
    {"neonbf16", LMN_ISA_NEONBF16, LMN_ISA_NEON | LMN_ISA_NEONDOT | LMN_ISA_NEONBF16},
    {"sve", LMN_ISA_SVE, LMN_ISA_NEON | LMN_ISA_NEONDOT | LMN_ISA_NEONBF16 | LMN_ISA_SVE},
#undef UP_TO_AVX512
};

#if defined(__x86_64__)
typedef struct cpuid_regs {
    uint32_t eax, ebx, ecx, edx;
} cpuid_regs;

static cpuid_regs cpuid(uint32_t leaf, uint32_t sub)
{
    cpuid_regs r = {0};
    if (!__get_cpuid_count(leaf, sub, &r.eax, &r.ebx, &r.ecx, &r.edx)) r = (cpuid_regs){0};
    return r;
}

static uint64_t xcr0(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return ((uint64_t)hi << 32) | lo;
}

static bool has(uint64_t word, uint64_t bits)
{
    return (word & bits) == bits;
}
#define BIT(n) (1ull << (n))

/* Data caches by the deterministic cache leaf: 4 (Intel) or 0x8000001D (AMD), same layout. */
static void caches(lmn_cpu *out)
{
    uint32_t leaf = cpuid(4, 0).eax & 31 ? 4 : 0x8000001Du;
    for (uint32_t i = 0; i < 16; i++) {
        cpuid_regs r = cpuid(leaf, i);
        uint32_t type = r.eax & 31, level = (r.eax >> 5) & 7;
        if (type == 0) break;
        if (type == 2) continue; /* instructions */
        uint64_t bytes = ((uint64_t)(r.ebx >> 22) + 1) * (((r.ebx >> 12) & 1023) + 1) *
                         ((r.ebx & 4095) + 1) * ((uint64_t)r.ecx + 1);
        if (bytes > UINT32_MAX) bytes = UINT32_MAX;
        if (level == 1) out->l1d_bytes = (uint32_t)bytes;
        if (level == 2) out->l2_bytes = (uint32_t)bytes;
        if (level == 3) out->l3_bytes = (uint32_t)bytes;
    }
}

static void detect_hw(lmn_cpu *out)
{
    const cpuid_regs l1 = cpuid(1, 0), l7 = cpuid(7, 0), l71 = cpuid(7, 1);
    const uint32_t base = (l1.eax >> 8) & 15, ext = (l1.eax >> 20) & 255;
    (void)lmn_format(out->vendor_note, sizeof out->vendor_note,
                     "x86 family %u model %u stepping %u", base == 15 ? base + ext : base,
                     ((l1.eax >> 4) & 15) | ((l1.eax >> 12) & 0xf0), l1.eax & 15);
    caches(out);
    if (!has(l1.ecx, BIT(27))) return; /* OSXSAVE: without it xgetbv is illegal */
    const uint64_t saved = xcr0();
    const bool ymm = has(saved, BIT(1) | BIT(2)), zmm = ymm && has(saved, BIT(5) | BIT(6) | BIT(7));
    lmn_isa isa = 0;
    /* FMA, AVX, F16C; AVX2 and BMI2 */
    if (ymm && has(l1.ecx, BIT(12) | BIT(28) | BIT(29)) && has(l7.ebx, BIT(5) | BIT(8)))
        isa |= LMN_ISA_AVX2;
    /* F DQ CD BW VL */
    if ((isa & LMN_ISA_AVX2) && zmm && has(l7.ebx, BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31)))
        isa |= LMN_ISA_AVX512;
    if (isa & LMN_ISA_AVX512) {
        if (has(l7.ecx, BIT(11))) isa |= LMN_ISA_AVX512VNNI;
        if (has(l71.eax, BIT(5))) isa |= LMN_ISA_AVX512BF16;
        if (has(l7.edx, BIT(23))) isa |= LMN_ISA_AVX512FP16;
        /* kernels of this level use those two */
        if (has(l71.eax, BIT(4)) && has(isa, LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16))
            isa |= LMN_ISA_AVXVNNI;
        /* BF16 TILE INT8; XTILECFG and XTILEDATA saved; the kernel asked. The kernels of this level
           use VNNI, BF16 and GFNI vector code beside the tiles. */
        if (has(l7.edx, BIT(22) | BIT(24) | BIT(25)) && has(saved, BIT(17) | BIT(18)) &&
            has(isa, LMN_ISA_AVX512VNNI | LMN_ISA_AVX512BF16) && has(l7.ecx, BIT(8)) &&
            lmn_os_amx_request())
            isa |= LMN_ISA_AMX;
    }
    out->isa_hw = isa;
}

#elif defined(__aarch64__)
/* Bits of asm/hwcap.h, spelled out so that an old header does not hide a new CPU. */
#define HWCAP_ASIMD_BIT (1ull << 1)
#define HWCAP_ASIMDDP_BIT (1ull << 20)
#define HWCAP_SVE_BIT (1ull << 22)
#define HWCAP2_BF16_BIT (1ull << 14)

static uint32_t cache_bytes(int index)
{
    char path[96], text[32];
    (void)lmn_format(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    if (lmn_os_text_read(path, text, sizeof text) <= 0) return 0;
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    n *= *end == 'K' ? 1024u : *end == 'M' ? 1048576u : 1u;
    return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static void detect_hw(lmn_cpu *out)
{
    uint64_t cap, cap2;
    lmn_os_hwcap(&cap, &cap2);
    lmn_isa isa = 0;
    if (cap & HWCAP_ASIMD_BIT) isa |= LMN_ISA_NEON;
    if (cap & HWCAP_ASIMDDP_BIT) isa |= LMN_ISA_NEONDOT;
    if (cap2 & HWCAP2_BF16_BIT) isa |= LMN_ISA_NEONBF16;
    if (cap & HWCAP_SVE_BIT) isa |= LMN_ISA_SVE;
    out->isa_hw = isa;
    out->l1d_bytes = cache_bytes(0), out->l2_bytes = cache_bytes(2), out->l3_bytes = cache_bytes(3);
    (void)lmn_format(out->vendor_note, sizeof out->vendor_note, "aarch64");
}

#else
static void detect_hw(lmn_cpu *out)
{
    (void)lmn_format(out->vendor_note, sizeof out->vendor_note, "portable C");
}
#endif

lamina_status lmn_cpu_detect(lmn_cpu *out, const char *cap)
{
    *out = (lmn_cpu){0};
    detect_hw(out);
    out->isa = out->isa_hw;
    if (!cap || !cap[0]) return LAMINA_OK;
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++) {
        if (strcmp(NAMES[i].name, cap) != 0) continue;
        out->isa &= NAMES[i].cap;
        (void)lmn_format(out->isa_cap, sizeof out->isa_cap, "%s", cap);
        return LAMINA_OK;
    }
    return LAMINA_E_INVALID;
}

const char *lmn_isa_name(lmn_isa bit)
{
    for (size_t i = 0; i < LMN_COUNT(NAMES); i++)
        if (NAMES[i].bit == bit) return NAMES[i].name;
    return "unknown";
}
