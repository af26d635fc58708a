// SPDX-License-Identifier: Apache-2.0
/* memory_parts.c - sub-buffers.
 *
 * Those of one buffer are given back to the driver in the reverse order of their making, whatever
 * the order in which they are released: NVIDIA's driver (580.159, H200) crashes where one is
 * released before a later one that overlaps it. One that is released early is only a handle until
 * then; memory belongs to the buffer. */
#include <string.h>
#include "host/device/internal.h"

static tt_status check(const tti_device *d, cl_mem m, size_t offset, size_t bytes) {
    if (offset % d->caps.align)
        return tti_fail(TT_E_ARG, "sub-buffer at %zu: not a multiple of %zu", offset,
                        d->caps.align);
    size_t i = d->mem_n;
    while (i > 0 && d->mem[i - 1].mem != m) i--;
    TT_ASSERT(i > 0);
    const size_t size = d->mem[i - 1].bytes;
    if (bytes == 0 || offset > size || bytes > size - offset) /* NVIDIA's driver takes it */
        return tti_fail(TT_E_ARG, "sub-buffer of %zu bytes at %zu: the buffer has %zu", bytes,
                        offset, size);
    return TT_OK;
}

tt_status tti_mem_sub(cl_mem *out, tti_device *d, cl_mem m, size_t offset, size_t bytes) {
    TT_TRY(check(d, m, offset, bytes));
    TT_TRY(TTI_GROW(d->parts, d->parts_cap, d->parts_n + 1));
    cl_buffer_region region = {offset, bytes};
    cl_int code;
    cl_mem sub =
        clCreateSubBuffer(m, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &code);
    if (code != CL_SUCCESS) {
        char what[96];
        snprintf(what, sizeof what, "sub-buffer of %zu bytes at %zu", bytes, offset);
        return tti_cl(code, what);
    }
    d->parts[d->parts_n++] = (tti_mem_part){.mem = sub, .of = m};
    *out = sub;
    return TT_OK;
}

/* Gives the last parts of m that nobody needs back. */
static void give_back(tti_device *d, cl_mem m) {
    for (size_t i = d->parts_n; i-- > 0;) {
        if (d->parts[i].of != m) continue;
        if (!d->parts[i].released) return;
        clReleaseMemObject(d->parts[i].mem);
        d->parts_n--;
        memmove(&d->parts[i], &d->parts[i + 1], (d->parts_n - i) * sizeof *d->parts);
    }
}

void tti_mem_release(tti_device *d, cl_mem m) {
    if (!m) return;
    size_t i = d->parts_n;
    while (i > 0 && d->parts[i - 1].mem != m) i--;
    TT_ASSERT(i > 0 && !d->parts[i - 1].released);
    d->parts[i - 1].released = true;
    give_back(d, d->parts[i - 1].of);
}
