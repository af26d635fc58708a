// SPDX-License-Identifier: Apache-2.0
// rmsnorm.cl - root-mean-square normalisation of groups of columns, all with the same weights.
//   forward   s[r] = 1 / sqrt(mean_c x[r,c]^2 + eps);  y[r,c] = x[r,c] * s[r] * (w[c] + PLUS)
//   backward  g = dy * (w + PLUS);  h = x * s
//             dx[r,c] = s[r] * (g[r,c] - h[r,c] * mean_c(g * h)) (+ before[r,c])
//             dw[c] (+)= sum_r dy[r,c] * h[r,c]
// shapes   x, y, dy, dx, before: float[N,C], N groups of C columns   w, dw: float[C]   s: float[N]
//          C >= 1; y may be x; dx may be dy or before
// launch   fwd, bwd_x: ceil(N / PER) work-groups of WG, PER = max(EACH / C, 1) groups each; bwd_w:
//          ceil(C / (COLV * VW)) work-groups of WG
// defines  WG, VW, EACH, PLUS 0 or 1, COLV vectors of columns in a work-group, BEFORE 1: a gradient
//          to add to
// numbers  sums in fixed order; a group's bits do not depend on its place
#include "common.clh"

#ifndef EACH
#define EACH 1
#endif
#ifndef PLUS
#define PLUS 0
#endif
#ifndef BEFORE
#define BEFORE 0
#endif
#if PLUS
#define WV(c) (LDV(w, c) + SPLAT(1.0f))
#define W1(c) (LD(w, c) + 1.0f)
#else
#define WV(c) LDV(w, c)
#define W1(c) LD(w, c)
#endif
#define PER max(EACH / C, 1)
#define EACH_GROUP(r)                                                                              \
    for (int r = (int)get_group_id(0) * PER; r < min((int)(get_group_id(0) + 1) * PER, N); r++)

TT_KERNEL void rmsnorm_fwd(global float *y, global float *s, global const float *x,
                           global const float *w, const int N, const int C, const float eps) {
    TT_SUM_LOCAL(tmp);
    EACH_GROUP(r) {
        const size_t row = (size_t)r * C;
        floatv sv = SPLAT(0.0f);
        float s1 = 0.0f;
        ROW_LOOP_V(c, C) {
            const floatv a = LDV(x, row + c);
            sv = fma(a, a, sv);
        }
        ROW_LOOP_1(c, C) {
            const float a = LD(x, row + c);
            s1 = fma(a, a, s1);
        }
        const float scale = 1.0f / sqrt(WG_SUM(SUMV(sv) + s1, tmp) / C + eps);
        ROW_LOOP_V(c, C) STV(y, row + c, LDV(x, row + c) * SPLAT(scale) * WV(c));
        ROW_LOOP_1(c, C) ST(y, row + c, LD(x, row + c) * scale * W1(c));
        if (get_local_id(0) == 0) s[r] = scale;
    }
}

TT_KERNEL void rmsnorm_bwd_x(global float *dx, global const float *dy, global const float *x,
                             global const float *w, global const float *s,
                             global const float *before, const int N, const int C) {
    TT_SUM_LOCAL(tmp);
    EACH_GROUP(r) {
        const size_t row = (size_t)r * C;
        const float scale = s[r];
        floatv sv = SPLAT(0.0f);
        float s1 = 0.0f;
        ROW_LOOP_V(c, C) sv = fma(LDV(dy, row + c) * WV(c), LDV(x, row + c) * SPLAT(scale), sv);
        ROW_LOOP_1(c, C) s1 = fma(LD(dy, row + c) * W1(c), LD(x, row + c) * scale, s1);
        const float mean = WG_SUM(SUMV(sv) + s1, tmp) / C;
        ROW_LOOP_V(c, C) {
            const floatv h = LDV(x, row + c) * SPLAT(scale);
            const floatv g = fma(LDV(dy, row + c), WV(c), -(h * SPLAT(mean)));
            STV(dx, row + c,
                BEFORE ? fma(g, SPLAT(scale), LDV(before, row + c)) : g * SPLAT(scale));
        }
        ROW_LOOP_1(c, C) {
            const float h = LD(x, row + c) * scale;
            const float g = fma(LD(dy, row + c), W1(c), -(h * mean));
            ST(dx, row + c, BEFORE ? fma(g, scale, LD(before, row + c)) : g * scale);
        }
    }
}

TT_KERNEL void rmsnorm_bwd_w(global float *dw, global const float *dy, global const float *x,
                             global const float *s, const int N, const int C,
                             const int accumulate) {
    TT_LANES_LOCAL(tmp);
    const int c = ((int)get_group_id(0) * COLV + LANE_COL) * VW, n = C - c;
    floatv sum = SPLAT(0.0f);
    if (n > 0)
        for (int r = LANE; r < N; r += LANES) {
            const size_t i = (size_t)r * C + c;
            sum = fma(tt_load_part(dy + i, n), tt_load_part(x + i, n) * SPLAT(s[r]), sum);
        }
    sum = LANES_SUM(sum, tmp);
    if (n <= 0 || LANE != 0) return;
    if (accumulate) sum += tt_load_part(dw + c, n);
    tt_store_part(dw + c, n, sum);
}
