// SPDX-License-Identifier: Apache-2.0
// pool.cl - one row for each sequence: its first, its last, or the mean over its rows.
//   forward   y[s,c] = x[off[s],c], x[off[s+1]-1,c], or sum over the rows / their number
//   backward  dx[r,c] = dy[s,c] times 1, 0 or 1 / rows, for every row r of sequence s
// shapes   x, dx: float[R,C]   y, dy: float[S,C]   off: int[S+1], rows of sequence s are
//          [off[s], off[s+1]); a sequence without rows gives zeros
// launch   S x any number of work-groups of WG, which share the columns among them
// defines  WG, VW, HOW 0 first, 1 last, 2 mean
// numbers  rows are added in ascending order
#include "common.clh"

#ifndef HOW
#define HOW 0
#endif
#define POOL_FIRST 0
#define POOL_LAST 1
#define POOL_MEAN 2
#define COLUMNS(c, C)                                                                              \
    for (int c = (int)(get_group_id(1) * WG + get_local_id(0)) * VW; c < (C);                      \
         c += (int)get_num_groups(1) * WG * VW)

TT_KERNEL void pool_fwd(global float *y, global const float *x, global const int *off,
                        const int C) {
    const size_t s = get_group_id(0);
    int first = off[s], end = off[s + 1];
    const float scale = HOW == POOL_MEAN && end > first ? 1.0f / (end - first) : 1.0f;
    if (HOW == POOL_FIRST) end = min(first + 1, end);
    if (HOW == POOL_LAST) first = max(end - 1, first);
    COLUMNS(c, C) {
        floatv sum = SPLAT(0.0f);
        for (int r = first; r < end; r++) sum += tt_load_part(x + (size_t)r * C + c, C - c);
        tt_store_part(y + s * C + c, C - c, sum * SPLAT(scale));
    }
}

TT_KERNEL void pool_bwd(global float *dx, global const float *dy, global const int *off,
                        const int C) {
    const size_t s = get_group_id(0);
    const int first = off[s], end = off[s + 1];
    const float scale = HOW == POOL_MEAN && end > first ? 1.0f / (end - first) : 1.0f;
    COLUMNS(c, C) {
        const floatv d = tt_load_part(dy + s * C + c, C - c) * SPLAT(scale);
        for (int r = first; r < end; r++) {
            const bool takes = HOW == POOL_MEAN || r == (HOW == POOL_FIRST ? first : end - 1);
            tt_store_part(dx + (size_t)r * C + c, C - c, takes ? d : SPLAT(0.0f));
        }
    }
}
