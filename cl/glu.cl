// SPDX-License-Identifier: Apache-2.0
// glu.cl - gated linear unit: one half of an MLP switches the other.
//   forward   y[i] = act(gate[i]) * up[i]
//   backward  dgate[i] = dy[i] * up[i] * act'(gate[i]);  dup[i] = dy[i] * act(gate[i])
// shapes   all float[rows, cols], contiguous; y may be gate, dgate may be dy
// launch   ceil(rows * cols / CHUNK) work-groups of WG
// defines  WG, VW, CHUNK elements of a work-group, ACT as in math.clh
// numbers  float; an element's bits do not depend on its place
#include "math.clh"

#ifndef ACT
#define ACT TT_ACT_SILU
#endif

TT_KERNEL void glu_fwd(global float *y, global const float *gate, global const float *up,
                       const int rows, const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) STV(y, i, tt_act(ACT, LDV(gate, i)) * LDV(up, i));
    CHUNK_LOOP_1(i, n) ST(y, i, tt_act(ACT, LD(gate, i)) * LD(up, i));
}

TT_KERNEL void glu_bwd(global float *dgate, global float *dup, global const float *dy,
                       global const float *gate, global const float *up, const int rows,
                       const int cols) {
    const size_t n = (size_t)rows * cols;
    CHUNK_LOOP_V(i, n) {
        const floatv d = LDV(dy, i), x = LDV(gate, i);
        STV(dgate, i, d * LDV(up, i) * tt_act_d(ACT, x));
        STV(dup, i, d * tt_act(ACT, x));
    }
    CHUNK_LOOP_1(i, n) {
        const float d = LD(dy, i), x = LD(gate, i);
        ST(dgate, i, d * LD(up, i) * tt_act_d(ACT, x));
        ST(dup, i, d * tt_act(ACT, x));
    }
}
