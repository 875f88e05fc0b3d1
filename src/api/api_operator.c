/*
 * What an engine can run: operators, their ports, the kernel rows that may serve them. The report
 * is the same on every machine of one architecture: rows are listed whether this CPU has them or
 * not.
 */
#include "base/error.h"
#include "devices/device_list.h"
#include "formats/onnx/onnx.h"
#include "kernels/kset.h"
#include "lamina/info.h"
#include "ops/plugin.h"

#include <string.h>

/* Operator i, and the name of the plug-in that brought it. */
static const lmn_op_def *find(const lamina_engine *e, size_t i, const char **plugin)
{
    size_t n;
    const lmn_op_def *const *all = lmn_op_all(&n);
    *plugin = "";
    if (i < n) return all[i];
    for (size_t k = 0; i >= n; k++) {
        i -= n;
        *plugin = lmn_plugins_at(e, k, &n);
        if (!*plugin) return NULL;
        if (i < n) return lmn_plugins_op(e, k, i);
    }
    return NULL;
}

/* "gemm.f32" -> "gemm.f32: ref avx2 avx512". */
static size_t family_rows(const char *family, size_t n, char *buf, size_t cap)
{
    size_t o = lmn_format(buf, cap, "%.*s:", (int)n, family);
    for (int32_t i = 0; i < lmn_kernel_row_count(); i++) {
        const lmn_krow *row = lmn_kernel_row_at(i);
        const size_t m = strlen(row->family);
        if (m + 1 + strlen(row->dtype) == n && !strncmp(row->family, family, m) &&
            !strncmp(row->dtype, family + m + 1, n - m - 1))
            o += lmn_format(buf + o, cap - o, " %s", row->variant);
    }
    return o;
}

static void kernels_of(const lmn_op_def *def, char *buf, size_t cap)
{
    char families[160];
    bool bound;
    lmn_cpu_families(def->domain, def->name, &bound, families, sizeof families);
    size_t o = lmn_format(buf, cap, "%s", bound && !families[0] ? "own" : "");
    for (const char *p = families; *p;) {
        const size_t n = strcspn(p, " ");
        if (o) o += lmn_format(buf + o, cap - o, ", ");
        o += family_rows(p, n, buf + o, cap - o);
        p += n;
        while (*p == ' ') p++;
    }
}

static uint32_t count(const lmn_port *p)
{
    uint32_t n = 0;
    while (p && p[n].name) n++;
    return n;
}

static int32_t last_version(const lmn_op_def *def, const char *plugin)
{
    if (def->until) return def->until;
    if (!def->domain[0]) return LMN_ONNX_MAX_OPSET;
    if (!strcmp(def->domain, "ai.onnx.ml")) return LMN_ONNX_MAX_OPSET_ML;
    return *plugin ? 0 : def->since;
}

lamina_status lamina_engine_operator(const lamina_engine *e, size_t i, lamina_operator *out)
{
    LMN_CHECK(e && out && out->size == sizeof *out, LAMINA_E_INVALID);
    const char *plugin;
    const lmn_op_def *def = find(e, i, &plugin);
    LMN_CHECK(def, LAMINA_E_RANGE);
    *out = (lamina_operator){.size = sizeof *out,
                             .domain = def->domain,
                             .name = def->name,
                             .plugin = plugin,
                             .since = def->since,
                             .last = last_version(def, plugin),
                             .n_inputs = count(def->in),
                             .n_outputs = count(def->out)};
    kernels_of(def, out->kernels, sizeof out->kernels);
    return LAMINA_OK;
}

lamina_status lamina_engine_operator_port(const lamina_engine *e, size_t i, bool output, size_t k,
                                          lamina_op_port *out)
{
    LMN_CHECK(e && out, LAMINA_E_INVALID);
    const char *plugin;
    const lmn_op_def *def = find(e, i, &plugin);
    const lmn_port *ports = !def ? NULL : output ? def->out : def->in;
    LMN_CHECK(k < count(ports), LAMINA_E_RANGE);
    const lmn_port *p = &ports[k];
    *out = (lamina_op_port){
        .name = p->name,
        .types = p->types,
        .flags = (p->flags & LMN_PORT_OPTIONAL ? (uint32_t)LAMINA_PORT_OPTIONAL : 0) |
                 (p->flags & LMN_PORT_VARIADIC ? (uint32_t)LAMINA_PORT_VARIADIC : 0),
        .var = p->var,
    };
    return LAMINA_OK;
}
