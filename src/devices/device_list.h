/*
 * The built-in devices, in order of registration (the last is preferred): X(name) names
 * lmn_device_<name> in devices/<name>/. The mock is built in but only registered by those who ask.
 */
#ifndef LMN_DEVICES_DEVICE_LIST_H
#define LMN_DEVICES_DEVICE_LIST_H

#include "lamina/device.h"

#define LMN_DEVICE_LIST(X) X(cpu)

#define X(name) extern const lamina_device_vtable lmn_device_##name;
LMN_DEVICE_LIST(X)
#undef X

/* Kernel families that the bindings of an operator on the CPU may call: "gemm.f32 norm.f32".
   `bound` receives whether there is a binding at all: some have code of their own. */
void lmn_cpu_families(const char *domain, const char *op, bool *bound, char *buf, size_t cap);

#endif
