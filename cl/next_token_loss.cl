// SPDX-License-Identifier: Apache-2.0
// next_token_loss.cl - cross-entropy of rows of logits, which become their own gradient in place.
//   z = CAP tanh(logits / CAP) where CAP > 0, else logits
//   l[first + r] = log sum_c exp(z[r,c]) - z[r,label]
//   logits[r,c] = w (softmax(z[r])[c] - [c = label]) dz/dlogits, where GRAD
//   loss (+)= w sum_i l[i], w the loss scale
// shapes   logits: float[R,C], rows first .. first + R - 1 of N   labels: int[N]   l: float[N]
//          loss: float[1]
// launch   rows: R work-groups of WG; sum: one work-group of WG
// defines  WG, VW, CAP 0.0f or more, GRAD
// numbers  the row's maximum is taken off first; sums in fixed order. A label outside [0,C) makes
//          its row's loss NaN rather than reading elsewhere
#include "math.clh"

#ifndef GRAD
#define GRAD 1
#endif
#ifdef CAP
#define CAPPED(x) (tt_tanh((x) / (CAP)) * (CAP))
#define SLOPE(z) (1.0f - (z) * (z) * (1.0f / (CAP * CAP)))
#else
#define CAPPED(x) (x)
#define SLOPE(z) 1.0f
#endif
#if WG == 1
#define ROW_BARRIER
#else
#define ROW_BARRIER barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE)
#endif

#if VW == 1
#define MAXV(v) (v)
#else
static inline float tt_maxv(floatv v) {
    float t[VW], top = -INFINITY;
    STV(t, 0, v);
    for (int i = 0; i < VW; i++) top = fmax(top, t[i]);
    return top;
}
#define MAXV(v) tt_maxv(v)
#endif

TT_KERNEL void next_token_loss_rows(global float *logits, global float *l,
                                    global const int *labels, const int first, const int C,
                                    const float w) {
    TT_SUM_LOCAL(tmp);
    global float *z = logits + get_group_id(0) * (size_t)C;
    const size_t r = get_group_id(0) + first;
    const int label = labels[r];
    const bool valid = label >= 0 && label < C;
    const float at = valid ? CAPPED(z[label]) : NAN;
    ROW_BARRIER; // every work-item has read the label's logit before one writes there
    floatv topv = SPLAT(-INFINITY);
    float top = -INFINITY;
    ROW_LOOP_V(c, C) {
        const floatv x = CAPPED(LDV(z, c));
#ifdef CAP
        STV(z, c, x);
#endif
        topv = fmax(topv, x);
    }
    ROW_LOOP_1(c, C) {
        const float x = CAPPED(LD(z, c));
#ifdef CAP
        ST(z, c, x);
#endif
        top = fmax(top, x);
    }
    top = WG_MAX(fmax(top, MAXV(topv)), tmp);
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    ROW_LOOP_V(c, C) sv += tt_exp(LDV(z, c) - SPLAT(top));
    ROW_LOOP_1(c, C) s1 += tt_exp(LD(z, c) - top);
    const float sum = WG_SUM(SUMV(sv) + s1, tmp);
    if (get_local_id(0) == 0) l[r] = valid ? log(sum) + (top - at) : NAN;
#if GRAD
    const float scale = w / sum;
    ROW_LOOP_V(c, C) {
        const floatv x = LDV(z, c);
        STV(z, c, tt_exp(x - SPLAT(top)) * SPLAT(scale) * SLOPE(x));
    }
    ROW_LOOP_1(c, C) {
        const float x = LD(z, c);
        ST(z, c, tt_exp(x - top) * scale * SLOPE(x));
    }
    ROW_BARRIER;
    if (get_local_id(0) == 0 && valid) z[label] = (tt_exp(at - top) * scale - w) * SLOPE(at);
#endif
}

TT_KERNEL void next_token_loss_sum(global float *loss, global const float *l, const int N,
                                   const float w, const int accumulate) {
    TT_SUM_LOCAL(tmp);
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    ROW_LOOP_V(i, N) sv += LDV(l, i);
    ROW_LOOP_1(i, N) s1 += LD(l, i);
    const float sum = WG_SUM(SUMV(sv) + s1, tmp) * w;
    if (get_local_id(0) == 0) loss[0] = accumulate ? loss[0] + sum : sum;
}
