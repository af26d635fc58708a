// SPDX-License-Identifier: Apache-2.0
// loss.cl - loss over sequences and its gradient in one pass.
//   classes   l[r] = log sum_c exp(z[r,c]) - z[r,label]
//             dz[r,c] = w (softmax(z[r])[c] - [c = label])
//   squared   l[r] = (z[r] - t[r])^2;  dz[r] = 2 w (z[r] - t[r])
//   loss (+)= w sum_r l[r], w the loss scale
// shapes   z, dz: float[R,C]   labels: int[R], or t: the bits of float[R] (C = 1)
//          l: float[R]   loss: float[1]
// launch   loss_classes, loss_squared: R work-groups of WG; loss_sum: one work-item
// defines  WG, VW
// numbers  the row's maximum is taken off first; rows are added in ascending order. A label outside
//          [0,C) makes its row's loss NaN rather than reading elsewhere
#include "math.clh"

TT_KERNEL void loss_classes(global float *dz, global float *l, global const float *z,
                            global const int *labels, const int C, const float w) {
    TT_SUM_LOCAL(tmp);
    const size_t r = get_group_id(0), row = r * C;
    const int label = labels[r];
    const bool valid = label >= 0 && label < C;
    float top = -INFINITY;
    for (int c = get_local_id(0); c < C; c += WG) top = fmax(top, LD(z, row + c));
    top = WG_MAX(top, tmp);
    float s1 = 0.0f;
    floatv sv = SPLAT(0.0f);
    ROW_LOOP_V(c, C) sv += tt_exp(LDV(z, row + c) - SPLAT(top));
    ROW_LOOP_1(c, C) s1 += tt_exp(LD(z, row + c) - top);
    const float sum = WG_SUM(SUMV(sv) + s1, tmp), scale = w / sum;
    if (get_local_id(0) == 0) l[r] = valid ? log(sum) + (top - LD(z, row + label)) : NAN;
    ROW_LOOP_V(c, C) STV(dz, row + c, tt_exp(LDV(z, row + c) - SPLAT(top)) * SPLAT(scale));
    ROW_LOOP_1(c, C) ST(dz, row + c, tt_exp(LD(z, row + c) - top) * scale);
#if WG > 1
    barrier(CLK_GLOBAL_MEM_FENCE);
#endif
    if (get_local_id(0) == 0 && valid) dz[row + label] -= w;
}

TT_KERNEL void loss_squared(global float *dz, global float *l, global const float *z,
                            global const int *labels, const int C, const float w) {
    const size_t r = get_group_id(0);
    if (get_local_id(0) != 0) return;
    const float d = z[r * C] - as_float(labels[r]);
    l[r] = d * d;
    dz[r * C] = 2.0f * w * d;
}

kernel void loss_sum(global float *loss, global const float *l, const int R, const float w,
                     const int accumulate) {
    float sum = 0.0f;
    for (int r = 0; r < R; r++) sum += l[r];
    loss[0] = accumulate ? loss[0] + sum * w : sum * w;
}
