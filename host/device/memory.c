// SPDX-License-Identifier: Apache-2.0
/* memory.c - device memory through one ledger, and copies. */
#include "host/device/internal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define STAGE_MAX ((size_t)256 << 10)

const char *tti_mem_category_name(tti_mem_category c) {
    static const char *const names[TTI_MEM_CATEGORIES] = {
        "weights", "gradients", "optimizer", "activations", "inputs", "workspace", "other"};
    return c < TTI_MEM_CATEGORIES ? names[c] : "unknown";
}

static atomic_long fail_at = -1; /* -1: environment not read yet; 0: off */

void tti_mem_fail_at(long n) { atomic_store(&fail_at, n); }

static bool should_fail(void) {
    long n = atomic_load(&fail_at);
    if (n < 0) {
        const char *env = getenv("TT_FAIL_DEVICE_ALLOC");
        n = env ? strtol(env, NULL, 10) : 0;
        atomic_store(&fail_at, n);
    }
    return n > 0 && atomic_fetch_sub(&fail_at, 1) == 1;
}

/* Waits for one command and gives the code it ended with; releases e. */
static cl_int wait_for(cl_event e) {
    cl_int code = clWaitForEvents(1, &e), ended = CL_COMPLETE;
    if (code == CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST &&
        clGetEventInfo(e, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof ended, &ended, NULL) == 0 &&
        ended < 0)
        code = ended;
    clReleaseEvent(e);
    return code;
}

static cl_int fill(tti_device *d, cl_mem m, size_t offset, size_t bytes, cl_event *last) {
    /* Words where the driver can: filling byte by byte is slow on some. */
    const cl_uint zero = 0;
    size_t words = offset % sizeof zero ? 0 : bytes / sizeof zero * sizeof zero;
    cl_int code = CL_SUCCESS;
    if (words)
        code = clEnqueueFillBuffer(d->queue, m, &zero, sizeof zero, offset, words, 0, NULL,
                                   words == bytes ? last : NULL);
    if (code == CL_SUCCESS && words < bytes)
        code = clEnqueueFillBuffer(d->queue, m, &zero, 1, offset + words, bytes - words, 0, NULL,
                                   last);
    return code;
}

static tt_status check_room(const tti_device *d, size_t bytes, const char *name) {
    if (bytes == 0) return tti_fail(TT_E_ARG, "device memory for %s: 0 bytes asked for", name);
    if (bytes > d->caps.max_alloc)
        return tti_fail(TT_E_MEMORY,
                        "device memory for %s: %zu bytes asked for, %s allows %zu in one buffer",
                        name, bytes, d->info.name, d->caps.max_alloc);
    if (bytes > d->caps.memory || d->total > d->caps.memory - bytes)
        return tti_fail(TT_E_MEMORY,
                        "device memory for %s: %zu bytes asked for with %zu in use, %s has %zu; "
                        "use a smaller batch or length",
                        name, bytes, d->total, d->info.name, d->caps.memory);
    if (should_fail())
        return tti_fail(TT_E_MEMORY, "device memory for %s: %zu bytes asked for, failed by request",
                        name, bytes);
    return TT_OK;
}

tt_status tti_mem_new(cl_mem *out, tti_device *d, size_t bytes, tti_mem_category c, bool zero) {
    TT_ASSERT(c < TTI_MEM_CATEGORIES);
    const char *name = tti_mem_category_name(c);
    TT_TRY(check_room(d, bytes, name));
    TT_TRY(TTI_GROW(d->mem, d->mem_cap, d->mem_n + 1));
    cl_int code;
    cl_event done = NULL;
    cl_mem m = clCreateBuffer(d->context, CL_MEM_READ_WRITE, bytes, NULL, &code);
    /* Drivers, PoCL too, allocate when a command first touches the buffer: touch it now, so that
     * a failure shows here and not in the middle of a step. */
    if (code == CL_SUCCESS) code = fill(d, m, 0, zero ? bytes : TT_MIN(bytes, 4), &done);
    if (code == CL_SUCCESS) code = wait_for(done);
    if (code != CL_SUCCESS) {
        if (m) clReleaseMemObject(m);
        char what[160];
        snprintf(what, sizeof what, "device memory for %s: %zu bytes with %zu in use of %zu", name,
                 bytes, d->total, d->caps.memory);
        return tti_cl(code, what);
    }
    d->mem[d->mem_n++] = (tti_mem_entry){m, bytes, c};
    d->allocated[c] += bytes;
    d->total += bytes;
    d->peak = TT_MAX(d->peak, d->total);
    d->made++;
    *out = m;
    return TT_OK;
}

void tti_mem_free(tti_device *d, cl_mem m) {
    if (!m) return;
    size_t i = d->mem_n;
    while (i > 0 && d->mem[i - 1].mem != m) i--; /* the last one made is often the first to go */
    TT_ASSERT(i > 0);
    d->allocated[d->mem[i - 1].category] -= d->mem[i - 1].bytes;
    d->total -= d->mem[i - 1].bytes;
    d->mem[i - 1] = d->mem[--d->mem_n];
    clReleaseMemObject(m); /* the driver keeps it until commands that use it have ended */
}

size_t tti_mem_allocated(const tti_device *d, tti_mem_category c) {
    return c < TTI_MEM_CATEGORIES ? d->allocated[c] : 0;
}

size_t tti_mem_peak(const tti_device *d) { return d->peak; }
size_t tti_mem_made(const tti_device *d) { return d->made; }

/* Whether the slot's last write has ended; a failure is kept for tti_stage_sweep. */
static bool stage_ended(tti_device *d, tti_stage *t) {
    cl_int state = CL_QUEUED;
    if (!t->event) return true;
    cl_int code =
        clGetEventInfo(t->event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof state, &state, NULL);
    if (code != CL_SUCCESS || state > CL_COMPLETE) return false;
    if (state < 0 && d->write_failed == CL_SUCCESS) d->write_failed = state;
    clReleaseEvent(t->event);
    t->event = NULL;
    return true;
}

cl_int tti_stage_sweep(tti_device *d) {
    for (size_t i = 0; i < TTI_STAGES; i++) stage_ended(d, &d->stage[i]);
    cl_int code = d->write_failed;
    d->write_failed = CL_SUCCESS;
    return code;
}

/* A slot whose last write the device has read, with room for bytes; NULL when all are busy. */
static tti_stage *free_stage(tti_device *d, size_t bytes) {
    for (size_t i = 0; i < TTI_STAGES; i++) {
        tti_stage *t = &d->stage[i];
        if (!stage_ended(d, t)) continue;
        if (t->size < bytes) {
            void *p = tti_realloc(t->p, bytes, 1);
            if (!p) return NULL;
            t->p = p;
            t->size = bytes;
        }
        return t;
    }
    return NULL;
}

tt_status tti_mem_write(tti_device *d, cl_mem m, size_t offset, const void *src, size_t bytes) {
    if (bytes == 0) return TT_OK;
    /* A blocking write waits for all kernels before it: small ones (a step's ids and offsets) go
     * through a copy instead, so that the host can run ahead of the device. */
    tti_stage *t = bytes <= STAGE_MAX ? free_stage(d, bytes) : NULL;
    cl_int code;
    if (t) {
        memcpy(t->p, src, bytes);
        code = clEnqueueWriteBuffer(d->queue, m, CL_FALSE, offset, bytes, t->p, 0, NULL, &t->event);
        if (code != CL_SUCCESS) t->event = NULL;
    } else {
        code = clEnqueueWriteBuffer(d->queue, m, CL_TRUE, offset, bytes, src, 0, NULL, NULL);
    }
    return tti_cl(code, "writing device memory");
}

tt_status tti_mem_read(tti_device *d, cl_mem m, size_t offset, void *dst, size_t bytes) {
    if (bytes == 0) return TT_OK;
    return tti_cl(clEnqueueReadBuffer(d->queue, m, CL_TRUE, offset, bytes, dst, 0, NULL, NULL),
                  "reading device memory");
}

tt_status tti_mem_fill0(tti_device *d, cl_mem m, size_t offset, size_t bytes) {
    if (bytes == 0) return TT_OK;
    return tti_cl(fill(d, m, offset, bytes, NULL), "zeroing device memory");
}

void tti_memory_free(tti_device *d) {
    if (d->mem_n) tti_debug("%zu device buffers were left at close", d->mem_n);
    for (size_t i = 0; i < d->mem_n; i++) clReleaseMemObject(d->mem[i].mem);
    tti_free(d->mem);
    tti_free(d->parts);
    for (size_t i = 0; i < TTI_STAGES; i++) {
        if (d->stage[i].event) clReleaseEvent(d->stage[i].event);
        tti_free(d->stage[i].p);
    }
}
