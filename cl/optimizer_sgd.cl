// SPDX-License-Identifier: Apache-2.0
// optimizer_sgd.cl - stochastic gradient descent with momentum and decoupled weight decay.
//   g' = g * clip;  m = b1 m + g';  p = p * decay - lr * m;  decay = 1 - lr * weight_decay
// shapes   optimizer_moments.clh; s: {decay, lr, -, -}; h: {b1, -, -, -}
// launch   optimizer_moments.clh
// defines  WG, VW, CHUNK, STEPS, PT, GT; MOMENTS 0: b1 is 0 and m is not kept; EVERY 1: ids is not
//          read, DECAY 0: decay counts as 1 (both for tables)
// numbers  the same expressions in every kernel; each element by itself
#include "common.clh"

#ifndef MOMENTS
#define MOMENTS 1
#endif

#define SGD(F)                                                                                     \
    static inline F __attribute__((overloadable))                                                  \
    opt_1(F p, F g, F *m, F *v, float decay, float4 s, float4 h) {                                 \
        *m = fma(*m, (F)(h.x), g);                                                                 \
        return fma((F)(-s.y), *m, p * (F)(decay));                                                 \
    }
SGD(float)
#if VW > 1
SGD(floatv)
#endif

#include "optimizer_moments.clh"
