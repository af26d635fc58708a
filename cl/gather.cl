// SPDX-License-Identifier: Apache-2.0
// gather.cl - some rows of a value, and their return.
//   forward   y[i,c] = x[row[i],c]
//   backward  dx[r,c] = dy[i,c] where row[i] = r, else 0
// shapes   x, dx: float[R,C]   y, dy: float[N,C]   row: int[N], ascending, each in [0,R)
// launch   fwd: ceil(N / PER) work-groups of WG; bwd: ceil(R / PER); PER = max(EACH / C, 1) rows
// defines  WG, VW, EACH
// numbers  copies
#include "common.clh"

#ifndef EACH
#define EACH 1
#endif
#define PER max(EACH / C, 1)
#define EACH_ROW(r, n)                                                                             \
    for (int r = (int)get_group_id(0) * PER; r < min((int)(get_group_id(0) + 1) * PER, n); r++)

TT_KERNEL void gather_fwd(global float *y, global const float *x, global const int *row,
                          const int N, const int C) {
    EACH_ROW(i, N) {
        const size_t to = (size_t)i * C, from = (size_t)row[i] * C;
        ROW_LOOP_V(c, C) STV(y, to + c, LDV(x, from + c));
        ROW_LOOP_1(c, C) ST(y, to + c, LD(x, from + c));
    }
}

TT_KERNEL void gather_bwd(global float *dx, global const float *dy, global const int *row,
                          const int R, const int N, const int C) {
    EACH_ROW(r, R) {
        int first = 0, end = N; // the first i with row[i] >= r
        while (first < end) {
            const int mid = (first + end) / 2;
            if (row[mid] < r)
                first = mid + 1;
            else
                end = mid;
        }
        const bool there = first < N && row[min(first, N - 1)] == r;
        const size_t to = (size_t)r * C, from = (size_t)first * C;
        ROW_LOOP_V(c, C) STV(dx, to + c, there ? LDV(dy, from + c) : SPLAT(0.0f));
        ROW_LOOP_1(c, C) ST(dx, to + c, there ? LD(dy, from + c) : 0.0f);
    }
}
