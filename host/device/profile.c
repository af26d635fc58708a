// SPDX-License-Identifier: Apache-2.0
/* profile.c - device time by kernel name. Events are read in batches, so their number is bounded.
 */
#include "host/device/internal.h"

#include <stdlib.h>
#include <string.h>

tt_status tti_profile_row_of(size_t *row, tti_device *d, const char *name) {
    for (size_t i = 0; i < d->rows_n; i++) {
        if (strncmp(d->rows[i].name, name, sizeof d->rows[i].name - 1) != 0) continue;
        *row = i;
        return TT_OK;
    }
    TT_TRY(TTI_GROW(d->rows, d->rows_cap, d->rows_n + 1));
    tti_profile_row *r = &d->rows[d->rows_n];
    *r = (tti_profile_row){0};
    snprintf(r->name, sizeof r->name, "%s", name);
    *row = d->rows_n++;
    return TT_OK;
}

static void harvest(tti_device *d) {
    if (d->pending_n) clFinish(d->queue);
    for (size_t i = 0; i < d->pending_n; i++) {
        cl_event e = d->pending[i].event;
        cl_ulong start = 0, end = 0;
        if (clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL) ==
                CL_SUCCESS &&
            clGetEventProfilingInfo(e, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL) ==
                CL_SUCCESS &&
            end >= start) {
            tti_profile_row *r = &d->rows[d->pending[i].row];
            r->count++;
            r->ms += (double)(end - start) * 1e-6;
        }
        clReleaseEvent(e);
    }
    d->pending_n = 0;
}

void tti_profile_add(tti_device *d, size_t row, cl_event e) {
    if (d->pending_n == TTI_PENDING) harvest(d);
    d->pending[d->pending_n++] = (tti_profile_event){e, row};
}

bool tti_profiling(const tti_device *d) { return d->profiling; }

void tti_profile_take(tti_device *d, const char *name, cl_event e) {
    size_t row;
    if (!e) return;
    if (d->profiling && tti_profile_row_of(&row, d, name) == TT_OK)
        tti_profile_add(d, row, e);
    else
        clReleaseEvent(e);
}

static int slower_first(const void *a, const void *b) {
    double x = ((const tti_profile_row *)a)->ms, y = ((const tti_profile_row *)b)->ms;
    return (x < y) - (x > y);
}

void tti_profile_report(tti_device *d, FILE *f) {
    harvest(d);
    tti_profile_row *rows = tti_calloc(d->rows_n, sizeof *rows);
    if (!rows) return;
    if (d->rows_n) memcpy(rows, d->rows, d->rows_n * sizeof *rows);
    qsort(rows, d->rows_n, sizeof *rows, slower_first);
    double all = 0;
    uint64_t count = 0;
    for (size_t i = 0; i < d->rows_n; i++) all += rows[i].ms, count += rows[i].count;
    fprintf(f, "%-40s %10s %12s %10s %6s\n", "kernel", "launches", "ms", "us each", "%");
    for (size_t i = 0; i < d->rows_n; i++) {
        if (!rows[i].count) continue;
        fprintf(f, "%-40s %10llu %12.3f %10.1f %6.1f\n", rows[i].name,
                (unsigned long long)rows[i].count, rows[i].ms,
                rows[i].ms * 1e3 / (double)rows[i].count, all > 0 ? 100 * rows[i].ms / all : 0.0);
    }
    fprintf(f, "%-40s %10llu %12.3f\n", "all", (unsigned long long)count, all);
    tti_free(rows);
    for (size_t i = 0; i < d->rows_n; i++) d->rows[i].count = 0, d->rows[i].ms = 0;
}

void tti_profile_free(tti_device *d) {
    for (size_t i = 0; i < d->pending_n; i++) clReleaseEvent(d->pending[i].event);
    d->pending_n = 0;
    tti_free(d->rows);
}
