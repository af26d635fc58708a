// SPDX-License-Identifier: Apache-2.0
// optimizer_norm.cl - the norm of all gradients, and whether the step's update is made.
//   norm = sqrt(sum g^2) / scale;  clip = min(1, max_norm / (norm + 1e-6)) / scale
// shapes   g: GT[count]; part: float[parts]; state, ring: optimizer.clh; loss: float[1]
// launch   opt_sumsq: ceil(count / CHUNK) work-groups of WG; opt_norm: one
// defines  WG, VW, CHUNK, STEPS, GT
// numbers  sums in fixed order. inv_scale is a power of two, or 1
#include "optimizer.clh"

// part[i]: sum of squares of chunk i of g
TT_KERNEL void opt_sumsq(global float *part, global const tt_g *g, const uint count,
                         const uint first_part) {
    TT_SUM_LOCAL(tmp);
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    CHUNK_LOOP_V(i, count) {
        const floatv x = LDGV(g, i);
        sv = fma(x, x, sv);
    }
    CHUNK_LOOP_1(i, count) s1 = fma(LDG(g, i), LDG(g, i), s1);
    const float sum = WG_SUM(SUMV(sv) + s1, tmp);
    if (get_local_id(0) == 0) part[first_part + get_group_id(0)] = sum;
}

TT_KERNEL void opt_norm(global float *state, global float4 *ring, global const float *part,
                        const int parts, const uint step, const float max_norm,
                        const float inv_scale, global const float *loss, const int has_loss) {
    TT_SUM_LOCAL(tmp);
    float s = 0.0f;
    for (int i = get_local_id(0); i < parts; i += WG) s += part[i];
    s = sqrt(WG_SUM(s, tmp)) * inv_scale;
    if (get_local_id(0) != 0) return;
    const int sound = !has_loss || isfinite(loss[0]), finite = isfinite(s) && sound;
    const float clip = max_norm / (s + 1e-6f);
    state[0] = (max_norm > 0.0f && clip < 1.0f ? clip : 1.0f) * inv_scale;
    state[1] = s;
    state[2] = finite ? 1.0f : 0.0f;
    state[3] = finite ? 1.0f : sound && inv_scale < 1.0f ? -1.0f : 0.0f;
    ring[step % STEPS].w = state[3];
    vstore4(ring[step % STEPS], 2, state);
    ((global uint *)state)[12] = step;
}
