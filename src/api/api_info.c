/*
 * The report of an engine: one row of text a fact, in a fixed order.
 */
#include "lamina/info.h"

#include "base/engine.h"
#include "base/error.h"
#include "base/os/os_env.h"
#include "devices/device_list.h"
#include "kernels/kset.h"
#include "ops/plugin.h"
#include "runtime/exec.h"
#include "tune/tune_file.h"

#define FIXED_ROWS 13
#if defined(__clang__)
#define COMPILER ""
#else
#define COMPILER "gcc "
#endif

static void isa_text(lmn_isa isa, char *buf, size_t cap)
{
    size_t o = lmn_format(buf, cap, "%s", isa ? "" : "ref");
    for (uint32_t bit = 0; bit < 32; bit++)
        if (isa & (1u << bit))
            o += lmn_format(buf + o, cap - o, "%s%s", o ? " " : "", lmn_isa_name(1u << bit));
}

/* The file of choices that sessions read, or how many they find there. */
static void tune_row(const lamina_engine *e, bool count, char *v, size_t cap)
{
    char path[LMN_TUNE_PATH_MAX];
    lmn_tune_table t;
    if (!lmn_tune_path(e, NULL, path, sizeof path)) {
        (void)lmn_format(v, cap, "none");
        return;
    }
    (void)lmn_format(v, cap, "%.180s", path);
    if (!count) return;
    if (lmn_tune_load(e, path, &t) != LAMINA_OK) {
        (void)lmn_format(v, cap, "out of memory");
        return;
    }
    size_t o = lmn_format(v, cap, "%u", t.n);
    for (int32_t i = 0; i < LMN_TUNE_N_REASONS; i++)
        if (t.ignored[i])
            o += lmn_format(v + o, cap - o, ", %u line%s %s", t.ignored[i],
                            t.ignored[i] == 1 ? "" : "s", lmn_tune_reason_text(i));
    lmn_tune_table_finish(&t);
}

static void fixed_row(const lamina_engine *e, size_t i, lamina_info_row *r)
{
    static const char *const KEYS[FIXED_ROWS] = {
        "version", "compiler",   "cpu.isa",     "cpu.isa_hardware", "cpu.isa_cap",
        "cpu.id",  "cpu.caches", "limits.cpus", "limits.quota",     "limits.memory",
        "threads", "tune.file",  "tune.choices"};
    char *v = r->value;
    const size_t cap = sizeof r->value;
    (void)lmn_format(r->key, sizeof r->key, "%s", KEYS[i]);
    const lmn_topo *t = &e->topo;
    switch (i) {
    case 0: (void)lmn_format(v, cap, "%s", lamina_version()); break;
    case 1: (void)lmn_format(v, cap, "%s%s", COMPILER, __VERSION__); break;
    case 2: isa_text(e->cpu.isa, v, cap); break;
    case 3: isa_text(e->cpu.isa_hw, v, cap); break;
    case 4: (void)lmn_format(v, cap, "%s", e->cpu.isa_cap[0] ? e->cpu.isa_cap : "none"); break;
    case 5: (void)lmn_format(v, cap, "%s", e->cpu.vendor_note); break;
    case 6:
        (void)lmn_format(v, cap, "L1d %u KiB, L2 %u KiB, L3 %u KiB", e->cpu.l1d_bytes >> 10,
                         e->cpu.l2_bytes >> 10, e->cpu.l3_bytes >> 10);
        break;
    case 7:
        (void)lmn_format(v, cap, "%u online, %u allowed, %u NUMA node%s", t->n_online,
                         t->n_affinity, t->n_numa, t->n_numa == 1 ? "" : "s");
        break;
    case 8:
        if (t->quota_cpus > 0)
            (void)lmn_format(v, cap, "%.2f CPUs", t->quota_cpus);
        else
            (void)lmn_format(v, cap, "none");
        break;
    case 9:
        if (t->memory_limit_bytes)
            (void)lmn_format(v, cap, "%llu MiB", (unsigned long long)(t->memory_limit_bytes >> 20));
        else
            (void)lmn_format(v, cap, "none");
        break;
    case 10: (void)lmn_format(v, cap, "%u", e->n_threads ? e->n_threads : t->width); break;
    default: tune_row(e, i == 12, v, cap); break;
    }
}

static bool built_in(const lamina_device_vtable *vt)
{
#define X(name) \
    if (vt == &lmn_device_##name) return true;
    LMN_DEVICE_LIST(X)
#undef X
    return false;
}

static lamina_status plugin_row(const lamina_engine *e, size_t k, lamina_info_row *r)
{
    size_t n;
    const char *name = lmn_plugins_at(e, k, &n);
    LMN_CHECK(name, LAMINA_E_RANGE);
    (void)lmn_format(r->key, sizeof r->key, "plugin.%.50s", name);
    size_t o = lmn_format(r->value, sizeof r->value, "%zu operator%s:", n, n == 1 ? "" : "s");
    for (size_t i = 0; i < n && o < sizeof r->value - 1; i++) {
        const lmn_op_def *def = lmn_plugins_op(e, k, i);
        o += lmn_format(r->value + o, sizeof r->value - o, " %s:%s", def->domain, def->name);
    }
    return LAMINA_OK;
}

static lamina_status device_row(const lamina_engine *e, size_t i, lamina_info_row *r)
{
    const lmn_devices *d = e->slot[LMN_SLOT_DEVICES].ptr;
    const size_t n = d ? (size_t)d->n : 0;
    if (i >= n) return plugin_row(e, i - n, r);
    (void)lmn_format(r->key, sizeof r->key, "device.%s", d->dev[i].vt->name);
    (void)lmn_format(r->value, sizeof r->value, "%s",
                     built_in(d->dev[i].vt) ? "built in" : "plug-in");
    return LAMINA_OK;
}

lamina_status lamina_engine_info(const lamina_engine *e, size_t i, lamina_info_row *out)
{
    LMN_CHECK(e && out && out->size == sizeof *out, LAMINA_E_INVALID);
    if (i < FIXED_ROWS) {
        fixed_row(e, i, out);
        return LAMINA_OK;
    }
    i -= FIXED_ROWS;
    if (i >= (size_t)lmn_kernel_row_count())
        return device_row(e, i - (size_t)lmn_kernel_row_count(), out);
    const lmn_krow *row = lmn_kernel_row_at((int32_t)i);
    lmn_kset set;
    (void)lmn_kset_choose(&e->cpu, lmn_os_getenv("LAMINA_KERNEL"), &set);
    const char *state = (row->isa & e->cpu.isa_hw) != row->isa ? "not on this CPU"
                        : (row->isa & e->cpu.isa) != row->isa  ? "left out by LAMINA_ISA"
                        : lmn_kset_uses(&set, row)             ? "chosen"
                                                               : "usable";
    (void)lmn_format(out->key, sizeof out->key, "kernel.%s.%s:%s", row->family, row->dtype,
                     row->variant);
    (void)lmn_format(out->value, sizeof out->value, "%s", state);
    return LAMINA_OK;
}
