// SPDX-License-Identifier: Apache-2.0
// optimizer_lion.cl - Lion: the sign of the interpolated momentum, with decoupled weight decay.
//   g' = g * clip;  p = p * decay - lr * sign(b1 m + (1 - b1) g');  m = b2 m + (1 - b2) g'
//   decay = 1 - lr * weight_decay;  sign(0) = 0
// shapes   optimizer_moments.clh; s: {decay, lr, -, -}; h: {b1, 1 - b1, b2, 1 - b2}
// launch   optimizer_moments.clh
// defines  WG, VW, CHUNK, STEPS, PT, GT; EVERY 1: ids is not read, DECAY 0: decay counts as 1
//          (both for tables)
// numbers  the same expressions in every kernel; each element by itself
#include "common.clh"

#define LION(F)                                                                                    \
    static inline F __attribute__((overloadable))                                                  \
    opt_1(F p, F g, F *m, F *v, float decay, float4 s, float4 h) {                                 \
        const F u = sign(fma(*m, (F)(h.x), g * (F)(h.y)));                                         \
        *m = fma(*m, (F)(h.z), g * (F)(h.w));                                                      \
        return fma((F)(-s.y), u, p * (F)(decay));                                                  \
    }
LION(float)
#if VW > 1
LION(floatv)
#endif

#define MOMENTS 1
#include "optimizer_moments.clh"
