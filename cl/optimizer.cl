// SPDX-License-Identifier: Apache-2.0
// optimizer.cl - AdamW with decoupled weight decay.
//   g' = g * clip;  m += (g' - m) (1 - b1);  v = b2 v + (1 - b2) g'^2
//   p = p * decay - rate * m / (sqrt(v) * inv + eps)
//   decay = 1 - lr * weight_decay, rate = lr / (1 - b1^t), inv = 1 / sqrt(1 - b2^t)
// shapes   optimizer_moments.clh; s: {decay, rate, inv, -}; h: {1 - b1, b2, 1 - b2, eps}
// launch   optimizer_moments.clh
// defines  WG, VW, CHUNK, STEPS, PT, GT; EVERY 1: ids is not read, DECAY 0: decay counts as 1
//          (both for tables)
// numbers  the same expressions in every kernel; each element by itself
#define MOMENTS 2
#include "optimizer_adamw.clh"
#include "optimizer_moments.clh"
