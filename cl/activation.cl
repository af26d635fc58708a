// SPDX-License-Identifier: Apache-2.0
// activation.cl - functions of one element: gelu, gelu by tanh, relu, silu, tanh.
//   forward   y[i] = act(x[i])
//   backward  dx[i] = dy[i] * act'(x[i])
// shapes   x, y, dy, dx: float[rows, cols], contiguous; y may be x, dx may be dy
// launch   ceil(rows * cols / CHUNK) work-groups of WG
// defines  WG, VW, CHUNK elements of a work-group, ACT as in math.clh
// numbers  float; an element's bits do not depend on its place
#include "math.clh"

#ifndef ACT
#define ACT TT_ACT_GELU
#endif

TT_KERNEL void activation_fwd(global float *y, global const float *x, const int rows,
                              const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) STV(y, i, tt_act(ACT, LDV(x, i)));
    CHUNK_LOOP_1(i, n) ST(y, i, tt_act(ACT, LD(x, i)));
}

TT_KERNEL void activation_bwd(global float *dx, global const float *x, global const float *dy,
                              const int rows, const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) STV(dx, i, LDV(dy, i) * tt_act_d(ACT, LDV(x, i)));
    CHUNK_LOOP_1(i, n) ST(dx, i, LD(dy, i) * tt_act_d(ACT, LD(x, i)));
}
