// SPDX-License-Identifier: Apache-2.0
// layernorm.cl - layer normalisation over the last dimension.
//   forward   m[r] = mean_c x[r,c];  s[r] = rsqrt(mean_c (x[r,c] - m[r])^2 + eps)
//             y[r,c] = (x[r,c] - m[r]) * s[r] * w[c] + b[c];  stats[r] = {m[r], s[r]}
//   backward  g = dy * w;  h = (x - m) * s
//             dx[r,c] = s[r] * (g[r,c] - mean_c(g) - h[r,c] * mean_c(g * h)) (+ before[r,c])
//             dw[c] (+)= sum_r dy[r,c] * h[r,c];  db is the column sum of dy (colsum.cl)
// shapes   x, y, dy, dx, before: float[R,C]   w, b, dw: float[C]   stats: float[R,2]; C >= 1
//          y may be x; dx may be dy or before
// launch   fwd, bwd_x: R work-groups of WG; bwd_w: ceil(C / (COLV * VW)) work-groups of WG
// defines  WG, VW, COLV vectors of columns in a work-group, BEFORE 1: a gradient to add to
// numbers  variance from the differences to the mean; sums in fixed order
#include "common.clh"

#ifndef BEFORE
#define BEFORE 0
#endif

TT_KERNEL void layernorm_fwd(global float *y, global float *stats, global const float *x,
                             global const float *w, global const float *b, const int C,
                             const float eps) {
    TT_SUM_LOCAL(tmp);
    const size_t r = get_group_id(0), row = r * C;
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    ROW_LOOP_V(c, C) sv += LDV(x, row + c);
    ROW_LOOP_1(c, C) s1 += LD(x, row + c);
    const float mean = WG_SUM(SUMV(sv) + s1, tmp) / C;
    sv = SPLAT(0.0f);
    s1 = 0.0f;
    ROW_LOOP_V(c, C) {
        const floatv d = LDV(x, row + c) - SPLAT(mean);
        sv = fma(d, d, sv);
    }
    ROW_LOOP_1(c, C) {
        const float d = LD(x, row + c) - mean;
        s1 = fma(d, d, s1);
    }
    const float scale = 1.0f / sqrt(WG_SUM(SUMV(sv) + s1, tmp) / C + eps);
    ROW_LOOP_V(c, C) {
        const floatv h = (LDV(x, row + c) - SPLAT(mean)) * SPLAT(scale);
        STV(y, row + c, fma(h, LDV(w, c), LDV(b, c)));
    }
    ROW_LOOP_1(c, C) {
        const float h = (LD(x, row + c) - mean) * scale;
        ST(y, row + c, fma(h, LD(w, c), LD(b, c)));
    }
    if (get_local_id(0) == 0) {
        stats[2 * r] = mean;
        stats[2 * r + 1] = scale;
    }
}

TT_KERNEL void layernorm_bwd_x(global float *dx, global const float *dy, global const float *x,
                               global const float *w, global const float *stats,
                               global const float *before, const int C) {
    TT_SUM_LOCAL(tmp);
    const size_t r = get_group_id(0), row = r * C;
    const float mean = stats[2 * r], scale = stats[2 * r + 1];
    floatv gv = SPLAT(0.0f), ghv = SPLAT(0.0f);
    float g1 = 0.0f, gh1 = 0.0f;
    ROW_LOOP_V(c, C) {
        const floatv g = LDV(dy, row + c) * LDV(w, c);
        gv += g;
        ghv = fma(g, (LDV(x, row + c) - SPLAT(mean)) * SPLAT(scale), ghv);
    }
    ROW_LOOP_1(c, C) {
        const float g = LD(dy, row + c) * LD(w, c);
        g1 += g;
        gh1 = fma(g, (LD(x, row + c) - mean) * scale, gh1);
    }
    const float mg = WG_SUM(SUMV(gv) + g1, tmp) / C;
    const float mgh = WG_SUM(SUMV(ghv) + gh1, tmp) / C;
    ROW_LOOP_V(c, C) {
        const floatv h = (LDV(x, row + c) - SPLAT(mean)) * SPLAT(scale);
        const floatv g = fma(LDV(dy, row + c), LDV(w, c), -fma(h, SPLAT(mgh), SPLAT(mg)));
        STV(dx, row + c, BEFORE ? fma(g, SPLAT(scale), LDV(before, row + c)) : g * SPLAT(scale));
    }
    ROW_LOOP_1(c, C) {
        const float h = (LD(x, row + c) - mean) * scale;
        const float g = fma(LD(dy, row + c), LD(w, c), -fma(h, mgh, mg));
        ST(dx, row + c, BEFORE ? fma(g, scale, LD(before, row + c)) : g * scale);
    }
}

TT_KERNEL void layernorm_bwd_w(global float *dw, global const float *dy, global const float *x,
                               global const float *stats, const int R, const int C,
                               const int accumulate) {
    TT_LANES_LOCAL(tmp);
    const int c = ((int)get_group_id(0) * COLV + LANE_COL) * VW, n = C - c;
    floatv sum = SPLAT(0.0f);
    if (n > 0)
        for (int r = LANE; r < R; r += LANES) {
            const size_t i = (size_t)r * C + c;
            const floatv h =
                (tt_load_part(x + i, n) - SPLAT(stats[2 * r])) * SPLAT(stats[2 * r + 1]);
            sum = fma(tt_load_part(dy + i, n), h, sum);
        }
    sum = LANES_SUM(sum, tmp);
    if (n <= 0 || LANE != 0) return;
    if (accumulate) sum += tt_load_part(dw + c, n);
    tt_store_part(dw + c, n, sum);
}
