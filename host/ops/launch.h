// SPDX-License-Identifier: Apache-2.0
/* launch.h - how the kernels of the ops are cut into work-groups, on CPUs (work-groups of 1 that
 * loop over vectors) and GPUs alike. */
#ifndef TT_HOST_OPS_LAUNCH_H
#define TT_HOST_OPS_LAUNCH_H

#include "host/ops/ops.h"

static inline size_t tti_ceil_div(size_t a, size_t b) { return (a + b - 1) / b; }

/* Elements one work-group handles (-DCHUNK). On a CPU a work-group costs about a microsecond to
 * start: 4096 elements are several. */
static inline int tti_x_chunk(const tti_exec *e) {
    return e->caps->wg == 1 ? 4096 : 4 * e->caps->wg * e->caps->vw;
}
/* A kernel that walks the elements of v, with rows and columns of v as its last arguments. */
static inline tt_status tti_x_run_chunks(tti_exec *e, tti_launch *k, tti_val v) {
    const size_t rows = tti_x_rows(e, v), cols = tti_x_cols(e, v);
    tti_arg_i32(k, (int)rows);
    tti_arg_i32(k, (int)cols);
    return tti_run_groups(k, tti_ceil_div(rows * cols, (size_t)tti_x_chunk(e)));
}

/* A kernel that walks rows of cols elements: a work-group takes EACH / cols of them in turn, at
 * least one (-DEACH; PER in the kernel). */
static inline int tti_x_each(const tti_exec *e) { return e->caps->wg == 1 ? 4096 : 1; }
static inline tt_status tti_x_run_rows(const tti_exec *e, tti_launch *k, size_t rows, size_t cols) {
    const size_t per = TT_MAX((size_t)tti_x_each(e) / TT_MAX(cols, 1), 1);
    return tti_run_groups(k, tti_ceil_div(rows, per));
}

/* Vectors of columns side by side in a work-group that sums over rows (-DCOLV): 32 columns, which
 * a GPU reads as one piece; the rest of the work-group takes other rows. */
static inline int tti_x_colv(const tti_exec *e) {
    return TT_MAX(1, TT_MIN(e->caps->wg, 32 / e->caps->vw));
}
static inline size_t tti_x_column_groups(const tti_exec *e, size_t cols, int colv) {
    return tti_ceil_div(cols, (size_t)colv * (size_t)e->caps->vw);
}
/* first x second work-groups of WG work-items along the first dimension */
static inline tt_status tti_x_run_2d(const tti_exec *e, tti_launch *k, size_t first,
                                     size_t second) {
    const size_t wg = (size_t)e->caps->wg;
    return tti_run(k, 2, (size_t[]){first * wg, second}, (size_t[]){wg, 1});
}

#endif
