// SPDX-License-Identifier: Apache-2.0
// scale.cl - y[i] = s * x[i]; the gradient is the same of dy.
// shapes   x, y: float[rows, cols], contiguous; y may be x
// launch   ceil(rows * cols / CHUNK) work-groups of WG
// defines  WG, VW, CHUNK elements of a work-group
// numbers  one multiplication
#include "common.clh"

TT_KERNEL void scale(global float *y, global const float *x, const float s, const int rows,
                     const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) STV(y, i, LDV(x, i) * SPLAT(s));
    CHUNK_LOOP_1(i, n) ST(y, i, LD(x, i) * s);
}
