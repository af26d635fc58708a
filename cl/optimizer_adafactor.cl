// SPDX-License-Identifier: Apache-2.0
// optimizer_adafactor.cl - Adafactor without a first moment.
//   g' = g * clip;  z = t^-0.8;  x <- (1 - z) x + z (mean g'^2 + eps)
//   of a matrix    r[i]: x over row i's mean, c[j]: over column j's;  v[i,j] = r[i] c[j] / mean(r)
//   of a vector    v[j]: x over g'[j]^2
//   u = g' / sqrt(v);  p = p * decay - lr * u / max(1, rms(u));  decay = 1 - lr * weight_decay
// shapes   p, g: the arena's, the matrix [R,C] from `first` on; or, with IDS, a table float[R,C]
//          and g float[slots,C] of its rows ids[slots]: the others count with zero gradients
//          f: float[], from `at` on r[R] then c[C], or v[C]; s: {decay, lr, z, -}
//          scratch: {mean(r), 1 / max(1, rms(u)), sums of u^2 of each row}
// launch   adafactor_rows, _squares, _apply: a work-group of WG for each row (IDS: slot);
//          _columns: ceil(C / (COLV * VW)); _fade: ceil(R / CHUNK); _mean, _clip, _vector: one
//          R is 0 for a vector's _apply
// defines  WG, VW, CHUNK, STEPS, PT, GT, COLV vectors of columns in a work-group; IDS 1
// numbers  sums in fixed order: of a row by vectors, then the work-group's as a tree; of a column
//          rows in ascending order within a lane, then the lanes as a tree
#include "optimizer.clh"

#ifndef IDS
#define IDS 0
#endif
#define EPS 1e-30f
// One step of an average whose new value is 0 but for eps, and what is added for another one.
#define FADE(x, z) fma(1.0f - (z), (x), (z) * EPS)
#if IDS
#define ROW_ID(r) ((size_t)ids[r])
#else
#define ROW_ID(r) (r)
#endif

// With IDS the rows have been faded before.
TT_KERNEL void adafactor_rows(global float *f, global const tt_g *g, global const int *ids,
                              global const float *state, const uint at, const int C,
                              const uint first) {
    TT_SUM_LOCAL(tmp);
    const float4 s = STATE_S(state);
    const float clip = state[0];
    const size_t r = get_group_id(0), row = first + r * C;
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    ROW_LOOP_V(c, C) {
        const floatv x = LDGV(g, row + c) * SPLAT(clip);
        sv = fma(x, x, sv);
    }
    ROW_LOOP_1(c, C) {
        const float x = LDG(g, row + c) * clip;
        s1 = fma(x, x, s1);
    }
    const float sum = WG_SUM(SUMV(sv) + s1, tmp);
    global float *out = f + at + ROW_ID(r);
    if (get_local_id(0) == 0 && s.w > 0.0f)
        *out = fma(s.z, sum / C, IDS ? *out : FADE(*out, s.z));
}

TT_KERNEL void adafactor_fade(global float *f, global const float *state, const uint at,
                              const uint R) {
    const float4 s = STATE_S(state);
    if (s.w <= 0.0f) return;
    CHUNK_LOOP_V(i, R) STV(f, at + i, FADE(LDV(f, at + i), SPLAT(s.z)));
    CHUNK_LOOP_1(i, R) f[at + i] = FADE(f[at + i], s.z);
}

// n of R rows have gradients; `at` is where r begins.
TT_KERNEL void adafactor_columns(global float *f, global const tt_g *g, global const float *state,
                                 const uint at, const int R, const int C, const uint first,
                                 const int n) {
    TT_LANES_LOCAL(tmp);
    const float4 s = STATE_S(state);
    const float clip = state[0];
    const int c = ((int)get_group_id(0) * COLV + LANE_COL) * VW, left = C - c;
    floatv sum = SPLAT(0.0f);
    for (int r = LANE; r < n && left > 0; r += LANES) {
        const size_t from = first + (size_t)r * C + c;
        floatv x;
#if VW == 1
        x = LDG(g, from);
#else
        if (left >= VW) {
            x = LDGV(g, from);
        } else {
            float t[VW];
            for (int j = 0; j < VW; j++) t[j] = j < left ? LDG(g, from + j) : 0.0f;
            x = LDV(t, 0);
        }
#endif
        x *= SPLAT(clip);
        sum = fma(x, x, sum);
    }
    sum = LANES_SUM(sum, tmp);
    if (left <= 0 || LANE != 0 || s.w <= 0.0f) return;
    global float *out = f + at + R + c;
    const floatv old = tt_load_part(out, left), z = SPLAT(s.z);
    const floatv faded = fma(SPLAT(1.0f) - z, old, z * SPLAT(EPS));
    tt_store_part(out, left, fma(z, sum / SPLAT((float)R), faded));
}

TT_KERNEL void adafactor_mean(global float *scratch, global const float *f, const uint at,
                              const int R) {
    TT_SUM_LOCAL(tmp);
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    ROW_LOOP_V(i, R) sv += LDV(f, at + i);
    ROW_LOOP_1(i, R) s1 += f[at + i];
    const float sum = WG_SUM(SUMV(sv) + s1, tmp);
    if (get_local_id(0) == 0) scratch[0] = sum / R;
}

// u without what its whole row has in common: 1 / sqrt(r / mean(r)), or 1 for a vector.
#define ROW_FACTOR(f, at, id, scratch)                                                             \
    (R == 0 ? 1.0f : rsqrt(f[at + id]) * sqrt(scratch[0]))
#define U(LOADG, LOADF, i, c) (LOADG(g, i) * clip * rsqrt(LOADF(f, cols + c)))
#define UV(i, c) (LDGV(g, i) * SPLAT(clip) * rsqrt(LDV(f, cols + c)))

TT_KERNEL void adafactor_squares(global float *scratch, global const float *f,
                                 global const tt_g *g, global const int *ids,
                                 global const float *state, const uint at, const int R,
                                 const int C, const uint first) {
    TT_SUM_LOCAL(tmp);
    const float clip = state[0];
    const size_t r = get_group_id(0), row = first + r * C, cols = (size_t)at + R;
    floatv sv = SPLAT(0.0f);
    float s1 = 0.0f;
    ROW_LOOP_V(c, C) {
        const floatv u = UV(row + c, c);
        sv = fma(u, u, sv);
    }
    ROW_LOOP_1(c, C) {
        const float u = U(LDG, LD, row + c, c);
        s1 = fma(u, u, s1);
    }
    const float sum = WG_SUM(SUMV(sv) + s1, tmp), k = ROW_FACTOR(f, at, ROW_ID(r), scratch);
    if (get_local_id(0) == 0) scratch[2 + r] = sum * k * k;
}

// n sums, of a matrix of `count` elements
TT_KERNEL void adafactor_clip(global float *scratch, const int n, const float count) {
    TT_SUM_LOCAL(tmp);
    float s = 0.0f;
    for (int i = get_local_id(0); i < n; i += WG) s += scratch[2 + i];
    s = WG_SUM(s, tmp);
    if (get_local_id(0) == 0) scratch[1] = 1.0f / fmax(1.0f, sqrt(s / count));
}

TT_KERNEL void adafactor_vector(global float *scratch, global float *f, global const tt_g *g,
                                global const float *state, const uint at, const int C,
                                const uint first) {
    TT_SUM_LOCAL(tmp);
    const float4 s = STATE_S(state);
    const float clip = state[0];
    float sum = 0.0f;
    for (int c = get_local_id(0); c < C; c += WG) {
        const float x = LDG(g, (size_t)first + c) * clip, v = fma(s.z, x * x, FADE(f[at + c], s.z));
        const float u = x * rsqrt(v);
        if (s.w > 0.0f) f[at + c] = v;
        sum = fma(u, u, sum);
    }
    sum = WG_SUM(sum, tmp);
    if (get_local_id(0) == 0) scratch[1] = 1.0f / fmax(1.0f, sqrt(sum / C));
}

TT_KERNEL void adafactor_apply(global tt_p *p, global const tt_g *g, global const float *f,
                               global const float *scratch, global const int *ids,
                               global int *last, global const float *state, const uint at,
                               const int R, const int C, const uint first, const uint arena,
                               const int decays) {
    const float4 s = STATE_S(state);
    const float clip = state[0], decay = decays ? s.x : 1.0f;
    const size_t r = get_group_id(0), id = ROW_ID(r), row = first + r * C, to = first + id * C;
    const size_t cols = (size_t)at + R;
    if (s.w <= 0.0f) return;
    const float k = -s.y * scratch[1] * ROW_FACTOR(f, at, id, scratch);
    ROW_LOOP_V(c, C) {
        const floatv old = LDPV(p, to + c) * SPLAT(decay);
        STPV(p, to + c, fma(SPLAT(k), UV(row + c, c), old), state, arena);
    }
    ROW_LOOP_1(c, C)
        STP(p, to + c, fma(k, U(LDG, LD, row + c, c), LDP(p, to + c) * decay), state, arena);
    if (IDS && get_local_id(0) == 0) last[id] = (int)STATE_STEP(state);
}
