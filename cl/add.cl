// SPDX-License-Identifier: Apache-2.0
// add.cl - sum of two values.
//   forward   y[i] = a[i] + b[i]; its gradient is dy for both
// shapes   y, a, b: float[rows, cols], contiguous; y may be a or b
// launch   ceil(rows * cols / CHUNK) work-groups of WG
// defines  WG, VW, CHUNK elements of a work-group
// numbers  one rounding an element
#include "common.clh"

TT_KERNEL void add_fwd(global float *y, global const float *a, global const float *b,
                       const int rows, const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) STV(y, i, LDV(a, i) + LDV(b, i));
    CHUNK_LOOP_1(i, n) ST(y, i, LD(a, i) + LD(b, i));
}
