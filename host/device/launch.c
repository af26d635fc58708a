// SPDX-License-Identifier: Apache-2.0
/* launch.c - the one place that enqueues kernels. */
#include "host/device/internal.h"

#include <string.h>

tti_launch tti_kernel(tti_device *d, const char *file, const char *name, const char *defines) {
    tti_launch l = {.d = d, .name = name};
    tti_kernel_entry *e = NULL;
    l.status = tti_kernel_find(&e, d, file, name, defines);
    if (l.status == TT_OK) {
        l.entry = e;
        l.k = e->k;
        l.name = e->name;
    }
    return l;
}

static void set_arg(tti_launch *l, size_t size, const void *value) {
    if (l->status != TT_OK) return;
    cl_int code = clSetKernelArg(l->k, l->narg, size, value);
    if (code != CL_SUCCESS) {
        char what[160];
        snprintf(what, sizeof what, "kernel %s, argument %u of %zu bytes", l->name, l->narg, size);
        l->status = tti_cl(code, what);
    }
    l->narg++;
}

void tti_arg_mem(tti_launch *l, cl_mem m) { set_arg(l, sizeof m, &m); }
void tti_arg_i32(tti_launch *l, int v) { set_arg(l, sizeof v, &v); }
void tti_arg_u32(tti_launch *l, uint32_t v) { set_arg(l, sizeof v, &v); }
void tti_arg_f32(tti_launch *l, float v) { set_arg(l, sizeof v, &v); }
void tti_arg_local(tti_launch *l, size_t bytes) { set_arg(l, bytes, NULL); }

/* Checks what drivers are not bound to check, or report only by a number. */
static tt_status check_sizes(const tti_launch *l, unsigned dims, const size_t *global,
                             const size_t *local) {
    const tti_kernel_entry *e = l->entry;
    size_t group = 1;
    for (unsigned i = 0; local && i < dims; i++) {
        size_t required = e->required[0] ? e->required[i] : local[i];
        if (local[i] == 0 || global[i] % local[i] != 0 || local[i] != required)
            return tti_fail(TT_E_ARG,
                            "kernel %s: global size %zu with local size %zu in dimension %u%s",
                            l->name, global[i], local[i], i,
                            local[i] != required ? ", not the size it was compiled for" : "");
        group *= local[i];
    }
    /* Where a size was compiled in, the driver has accepted it; rusticl 22.3 reports less there. */
    if (!e->required[0] && group > e->max_wg)
        return tti_fail(TT_E_ARG, "kernel %s: work-group of %zu, the device runs at most %zu",
                        l->name, group, e->max_wg);
    return TT_OK;
}

static tt_status check(tti_launch *l, unsigned dims) {
    TT_TRY(l->status);
    const tti_kernel_entry *e = l->entry;
    if (l->narg != e->nargs)
        return tti_fail(TT_E_INTERNAL, "kernel %s of cl/%s.cl takes %u arguments, %u were set",
                        l->name, e->file, e->nargs, l->narg);
    if (dims < 1 || dims > 3)
        return tti_fail(TT_E_ARG, "kernel %s: %u dimensions, not 1 to 3", l->name, dims);
    return TT_OK;
}

tt_status tti_run(tti_launch *l, unsigned dims, const size_t *global, const size_t *local) {
    TT_TRY(l->status = check(l, dims));
    for (unsigned i = 0; i < dims; i++)
        if (global[i] == 0) return TT_OK;
    tti_kernel_entry *e = l->entry;
    if (!local && e->required[0]) local = e->required;
    TT_TRY(l->status = check_sizes(l, dims, global, local));
    tti_device *d = l->d;
    if (d->profiling && e->profile == 0) {
        size_t row;
        TT_TRY(l->status = tti_profile_row_of(&row, d, e->name));
        e->profile = row + 1;
    }
    cl_event event = NULL;
    cl_int code = clEnqueueNDRangeKernel(d->queue, l->k, dims, NULL, global, local, 0, NULL,
                                         d->profiling ? &event : NULL);
    if (code != CL_SUCCESS) {
        char what[160];
        snprintf(what, sizeof what, "kernel %s of cl/%s.cl", l->name, e->file);
        return l->status = tti_cl(code, what);
    }
    if (event) tti_profile_add(d, e->profile - 1, event);
    return TT_OK;
}

tt_status tti_run_groups(tti_launch *l, size_t n) {
    const size_t wg = (size_t)l->d->caps.wg, global = n * wg;
    return tti_run(l, 1, &global, &wg);
}
