// SPDX-License-Identifier: Apache-2.0
// linear.cl - some rows of a gradient, made in f32, go to where they are kept in 16 bits.
//   g[first + r,c] = round((accumulate ? g[first + r,c] : 0) + panel[r,c])
// shapes   g: T[R,C]   panel: float[N,C], N <= R - first
// launch   ceil(N C / CHUNK) work-groups of WG
// defines  WG, VW, CHUNK, BF16 1: T is bfloat16, else half
// numbers  sums in f32, rounded to nearest even; what is over the type's range becomes infinite
#include "half.clh"

TT_KERNEL void linear_put(global ushort *g, global const float *panel, const int first,
                          const int N, const int C, const int accumulate) {
    const size_t n = (size_t)N * C;
    g += (size_t)first * C;
    CHUNK_LOOP_V(i, n) {
        const floatv x = LDV(panel, i);
        SET16V(g, i, accumulate ? GET16V(g, i) + x : x);
    }
    CHUNK_LOOP_1(i, n) SET16(g, i, accumulate ? GET16(g, i) + LD(panel, i) : LD(panel, i));
}
