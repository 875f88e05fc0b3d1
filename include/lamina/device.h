/*
 * lamina/device.h - the vtable a device implements: built-in (cpu, mock) or loaded as a plug-in
 * that exports `lamina_device_v1`. A device says which nodes it can run, compiles each into a
 * kernel of its own, and executes kernels on tensors the runtime hands it.
 *
 * SPDX-License-Identifier: Apache-2.0
 */
#ifndef LAMINA_DEVICE_H
#define LAMINA_DEVICE_H

#include "lamina/op.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LAMINA_DEVICE_ABI 1u

/* A node compiled by a device; owned by it, opaque to everybody else. */
typedef struct lamina_kernel lamina_kernel;

/*
 * A device. `self` is what open() made. All functions may be called from several threads at once
 * for different kernels and calls; execute() for the same kernel too. NULL optional entries are
 * marked.
 */
typedef struct lamina_device_vtable {
    uint32_t abi;     /* LAMINA_DEVICE_ABI */
    const char *name; /* "cpu", static */
    /* Is the device there? On failure `reason` (cap bytes) says why not. */
    lamina_status (*probe)(char *reason, size_t cap);
    /* Make an instance for an engine; `options` is device-specific text or NULL. */
    lamina_status (*open)(lamina_engine *engine, const char *options, void **self);
    void (*close)(void *self);
    /* Memory the device can compute on. Optional: NULL = host memory is device memory. */
    lamina_status (*buffer_alloc)(void *self, size_t bytes, void **ptr);
    void (*buffer_free)(void *self, void *ptr, size_t bytes);
    lamina_status (*copy)(void *self, void *dst, bool dst_on_device, const void *src,
                          bool src_on_device, size_t bytes);
    /*
     * Can this device run the node, and by which kernel? Writes the kernel's name on yes, the
     * reason on no, at most cap bytes. Must not allocate.
     */
    bool (*supports)(void *self, const lamina_node *node, char *text, size_t cap);
    /* Prepare a node that supports() accepted. On failure *out is untouched. */
    lamina_status (*compile)(void *self, const lamina_node *node, lamina_kernel **out,
                             lamina_error *err);
    void (*kernel_free)(void *self, lamina_kernel *kernel);
    /* Run it. Outputs are made ready through the call. */
    lamina_status (*execute)(void *self, lamina_kernel *kernel, lamina_call *call);
    /* Wait until everything executed so far is visible to the host. Optional. */
    lamina_status (*sync)(void *self);
    /* May input i of the kernel be a constant at any address, not aligned for its type? Weights of
       a mapped file often are; "no" costs a copy of them. Optional: NULL = no. */
    bool (*any_address)(void *self, const lamina_kernel *kernel, int32_t i);
} lamina_device_vtable;

/**
 * Register a device with an engine, before models are loaded. Later devices are preferred.
 *
 * @param engine   borrowed.
 * @param vtable   borrowed until the engine is gone.
 * @param options  device-specific text, borrowed until return; NULL = defaults.
 * @param err      borrowed; NULL allowed.
 * @return LAMINA_OK; E_VERSION (another abi); E_NODEV (probe said no); E_LIMIT; whatever open()
 * returns.
 *
 * Threads: none may use the engine meanwhile.   Memory: one slot.   Blocking: as open().   Since:
 * 0.1
 */
LAMINA_API LAMINA_NODISCARD lamina_status lamina_device_register(lamina_engine *engine,
                                                                 const lamina_device_vtable *vtable,
                                                                 const char *options,
                                                                 lamina_error *err);

#ifdef __cplusplus
}
#endif
#endif /* LAMINA_DEVICE_H */
