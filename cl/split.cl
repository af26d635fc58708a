// SPDX-License-Identifier: Apache-2.0
// split.cl - a part of the columns of a value, and its return.
//   take  y[r,c] = x[r,first+c]      put  x[r,first+c] = y[r,c]      zero  x[r,first+c] = 0
// shapes   x: float[R,C]   y: float[R,W]; first + W <= C
// launch   ceil(R / PER) work-groups of WG, PER = max(EACH / W, 1) rows each
// defines  WG, VW, EACH
// numbers  copies
#include "common.clh"

#ifndef EACH
#define EACH 1
#endif
#define PER max(EACH / W, 1)
#define EACH_ROW(r)                                                                                \
    for (int r = (int)get_group_id(0) * PER; r < min((int)(get_group_id(0) + 1) * PER, R); r++)

TT_KERNEL void split_take(global float *y, global const float *x, const int first, const int R,
                          const int C, const int W) {
    EACH_ROW(r) {
        const size_t from = (size_t)r * C + first, to = (size_t)r * W;
        ROW_LOOP_V(c, W) STV(y, to + c, LDV(x, from + c));
        ROW_LOOP_1(c, W) ST(y, to + c, LD(x, from + c));
    }
}

TT_KERNEL void split_put(global float *x, global const float *y, const int first, const int R,
                         const int C, const int W) {
    EACH_ROW(r) {
        const size_t to = (size_t)r * C + first, from = (size_t)r * W;
        ROW_LOOP_V(c, W) STV(x, to + c, LDV(y, from + c));
        ROW_LOOP_1(c, W) ST(x, to + c, LD(y, from + c));
    }
}

TT_KERNEL void split_zero(global float *x, const int first, const int R, const int C,
                          const int W) {
    EACH_ROW(r) {
        const size_t to = (size_t)r * C + first;
        ROW_LOOP_V(c, W) STV(x, to + c, SPLAT(0.0f));
        ROW_LOOP_1(c, W) ST(x, to + c, 0.0f);
    }
}
